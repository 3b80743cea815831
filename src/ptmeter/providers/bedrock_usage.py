"""
Bedrock's usage, as Converse reports it for the models of every maker: input in three parts, like Anthropic's.

``inputTokens`` are those that were neither read from a cache nor written to one, and the total includes
all three. The body does not name the model; its caller knows. In a stream the usage comes with the
``metadata`` event, which is the last. ``InvokeModel`` answers as the model's maker does and is read as such.

Known to report otherwise: OpenAI's models in ``ConverseStream`` count what they write to the cache in
``inputTokens`` as well (maximhq/bifrost#6942). It adds up, so nothing here can tell.

Sources: docs.aws.amazon.com, API_runtime_TokenUsage, API_runtime_CacheDetail and the prompt caching
guide ("total input tokens = inputTokens + cacheReadInputTokens + cacheWriteInputTokens").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..domain.usage import Usage
from ..errors import UsageMissingError
from .payloads import object_at, objects_at, text_at
from .readings import Counts, Reading

if TYPE_CHECKING:
    from .payloads import Payload

PROVIDER: Final = "bedrock"

SHORT: Final = "5m"
LONG: Final = "1h"


def read_converse(body: Payload) -> Reading:
    """
    Read an answer of ``Converse``, or the ``metadata`` of ``ConverseStream``.

    Raises:
        UsageMissingError: It carries no usage.
        UsageInconsistentError: The usage does not add up, or the lifetime of a cache write is unknown.
    """
    raw = object_at(body, "usage")
    if not raw:
        msg = "the answer carries no usage: a stream of Converse ends with a metadata event"
        raise UsageMissingError(msg)
    return Reading(
        usage=_disjoint(Counts(raw, raw)),
        model=text_at(body, "model"),
        provider=PROVIDER,
        service_tier=text_at(object_at(body, "serviceTier"), "type"),
        raw=raw,
    )


@dataclass(slots=True)
class ConverseStream:
    """Gathers the usage of ``ConverseStream``: it comes with the ``metadata`` event, after everything else."""

    body: Payload = field(default_factory=dict[str, Any])

    def feed(self, event: Payload) -> str:
        """Take an event and return the text generated in it."""
        metadata = object_at(event, "metadata")
        if "inputTokens" in object_at(metadata, "usage"):
            self.body = metadata
        delta = object_at(object_at(event, "contentBlockDelta"), "delta")
        places = (
            (delta, "text"),
            (object_at(delta, "toolUse"), "input"),
            (object_at(delta, "reasoningContent"), "text"),
        )
        return "".join(text_at(place, name) or "" for place, name in places)

    def reading(self) -> Reading | None:
        """Return the usage of the whole call, or ``None`` if it has not ended."""
        return read_converse(self.body) if self.body else None

    def input_usage(self) -> Usage | None:
        """Return ``None``: nothing is said of the input before the end."""
        return None


def _disjoint(usage: Counts) -> Usage:
    fresh, out = usage.need("inputTokens"), usage.need("outputTokens")
    cached = usage.count("cacheReadInputTokens")
    short, long = _written(usage)
    into = fresh + cached + short + long
    if usage.facts.get("totalTokens") is not None and usage.count("totalTokens") != into + out:
        usage.refuse(f"totalTokens is {usage.count('totalTokens')}, not {into} + {out} = {into + out}")
    read = Usage(
        input_uncached=fresh,
        input_cache_read=cached,
        input_cache_write_5m=short,
        input_cache_write_1h=long,
        output_text=out,
    )
    return usage.summed(read, into, out)


def _written(usage: Counts) -> tuple[int, int]:
    """Return the tokens written to the cache by lifetime; what has none reported has the default."""
    written = usage.count("cacheWriteInputTokens")
    lifetimes = dict.fromkeys((SHORT, LONG), 0)
    details = objects_at(usage.facts, "cacheDetails")
    for entry in details:
        lifetime = text_at(entry, "ttl") or SHORT
        if lifetime not in lifetimes:
            usage.refuse(f"tokens were cached for {lifetime!r}, for which there is no token class")
        lifetimes[lifetime] += Counts(entry, usage.payload, "cacheDetails.").count("inputTokens")
    if not details:
        return written, 0
    if usage.facts.get("cacheWriteInputTokens") is not None and sum(lifetimes.values()) != written:
        by_lifetime = " + ".join(map(str, lifetimes.values()))
        usage.refuse(f"{by_lifetime} tokens by lifetime are not cacheWriteInputTokens = {written}")
    return lifetimes[SHORT], lifetimes[LONG]
