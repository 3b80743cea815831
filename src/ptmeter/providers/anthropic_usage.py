"""
Anthropic's usage: input in three parts that add up, cache reads and writes beside the rest.

In a stream the input comes with ``message_start`` and the output with ``message_delta``, whose counts
are cumulative: each replaces what was known, none is added. ``output_tokens`` in ``message_start`` is
a placeholder, so there is no usage until the message has a ``stop_reason``.

Sources: platform.claude.com on the Messages API, streaming, prompt caching, the web search tool and
compaction; field names as in anthropic-sdk-python 2.12.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from ..domain.usage import Usage
from ..errors import UsageMissingError
from .payloads import object_at, objects_at, text_at
from .readings import Counts, Reading, input_only
from .tiers import answered_tier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .payloads import Payload

PROVIDER: Final = "anthropic"

GENERATED: Final = ("text", "partial_json", "thinking", "content")
"""Where a ``content_block_delta`` holds text: an answer, a tool's input, thinking, a compaction."""

SHORT: Final = "ephemeral_5m_input_tokens"
LONG: Final = "ephemeral_1h_input_tokens"


def read_message(body: Payload) -> Reading:
    """
    Read a message.

    Raises:
        UsageMissingError: It carries no usage.
        UsageInconsistentError: The usage does not add up, or another model's tokens came with it.
    """
    raw = object_at(body, "usage")
    if not raw:
        msg = "the message carries no usage"
        raise UsageMissingError(msg)
    counts = Counts(raw, raw)
    usage = _disjoint(counts)
    for compaction in _left_out(counts, text_at(body, "model")):
        usage += compaction
    return Reading(usage, text_at(body, "model"), PROVIDER, answered_tier(raw), raw)


@dataclass(slots=True)
class MessageStream:
    """Gathers the usage of a streamed message."""

    body: Payload = field(default_factory=dict[str, Any])
    known: Payload = field(default_factory=dict[str, Any])
    counted: bool = False
    stopped: bool = False

    def feed(self, event: Payload) -> str:
        """Take an event and return the text generated in it."""
        match event.get("type"):
            case "message_start":
                self.body = object_at(event, "message")
                self.known = _later(self.known, object_at(self.body, "usage"))
            case "message_delta":
                usage = object_at(event, "usage")
                self.known = _later(self.known, usage)
                self.counted |= "output_tokens" in usage
                self.stopped |= bool(object_at(event, "delta").get("stop_reason"))
            case "message_stop":
                self.stopped = True
            case "content_block_delta":
                delta = object_at(event, "delta")
                return next(filter(None, (text_at(delta, name) for name in GENERATED)), "")
            case _:
                pass
        return ""

    def reading(self) -> Reading | None:
        """Return the usage of the whole call, or ``None`` while it may still grow."""
        if not (self.counted and self.stopped):
            return None
        return read_message({**self.body, "usage": self._usage()})

    def input_usage(self) -> Usage | None:
        """Return what is known of the input, with no output, or ``None`` if nothing is."""
        if not self.known:
            return None
        facts = {**self._usage(), "output_tokens": 0, "output_tokens_details": None}
        return input_only(_disjoint(Counts(facts, self.known)))

    def _usage(self) -> Payload:
        return _with_lifetimes(self.known, object_at(self.body, "usage"))


def _disjoint(usage: Counts) -> Usage:
    if usage.section("prompt_tokens_details").count("cached_tokens") or usage.count("prompt_tokens"):
        # A gateway that counts both ways at once reported cached tokens twice (rust-genai PR #258).
        usage.refuse("prompt_tokens belong to another way of counting: are cached tokens in input_tokens?")
    fresh, out = usage.need("input_tokens"), usage.need("output_tokens")
    short, long = _written(usage)
    cached = usage.count("cache_read_input_tokens")
    thinking = usage.section("output_tokens_details").count("thinking_tokens")
    read = Usage(
        input_uncached=fresh,
        input_cache_read=cached,
        input_cache_write_5m=short,
        input_cache_write_1h=long,
        output_text=usage.fit("output_tokens", out, thinking_tokens=thinking),
        output_reasoning=thinking,
        tool_calls=_tool_calls(usage.section("server_tool_use")),
    )
    return usage.summed(read, fresh + cached + short + long, out)


def _written(usage: Counts) -> tuple[int, int]:
    """Return the tokens written to the cache by lifetime; what has none reported has the default."""
    lifetimes = usage.section("cache_creation")
    short, long = lifetimes.count(SHORT), lifetimes.count(LONG)
    written = usage.count("cache_creation_input_tokens")
    if not lifetimes.facts:
        return written, 0
    if usage.facts.get("cache_creation_input_tokens") is not None and short + long != written:
        usage.refuse(f"{short} + {long} tokens by lifetime are not cache_creation_input_tokens = {written}")
    return short, long


def _tool_calls(server: Counts) -> dict[str, int]:
    counts = {name: server.count(name) for name in server.facts if name.endswith("_requests")}
    return {name.removesuffix("_requests"): count for name, count in counts.items() if count}


def _left_out(usage: Counts, model: str | None) -> Iterator[Usage]:
    """
    Return the usage of the iterations that the totals leave out.

    A compaction reads the whole context once more, at the price of the model asked for, and is not in
    the totals (platform.claude.com, "Compaction at a token threshold"). Nor are an advisor's tokens,
    which have another model's price: such a call has no one price, and neither has one that fell back
    to another model half-way.
    """
    for entry in objects_at(usage.facts, "iterations"):
        used = _disjoint(Counts(entry, usage.payload, "iterations."))
        kind, other = entry.get("type"), text_at(entry, "model") or model
        if used.total and (other != model or kind not in ("message", "compaction", "fallback_message")):
            usage.refuse(f"{used.total} tokens of {kind} are those of {other}, not of {model}")
        if kind == "compaction":
            yield replace(used, requests=0)


def _later(before: Payload, after: Payload) -> Payload:
    """
    Return what is known after a further cumulative usage: of two counts the larger is the later.

    So a repeated or late event changes nothing, and a gateway that sends zeros for what it said before
    takes nothing back. What is not a count replaces what was there, for the reader to refuse it.
    """
    merged = dict(before)
    for name, value in after.items():
        known: object = merged.get(name)
        if object_at(merged, name) and object_at(after, name):
            merged[name] = _later(object_at(merged, name), object_at(after, name))
        elif value is None or (type(known) is int and type(value) is int and 0 <= value < known):
            merged.setdefault(name, None)
        else:
            merged[name] = value
    return merged


def _with_lifetimes(known: Payload, start: Payload) -> Payload:
    """
    Return *known* with the cache writes that came after ``message_start`` under their lifetime.

    ``message_delta`` counts them without saying for how long they are kept, on purpose
    (anthropic-sdk-typescript PR #1048). If only one lifetime was in use, they have that one; if none,
    the default; if both, the counts stay at odds and the reader refuses them, as it does if they were
    at odds from the start.
    """
    counts = Counts(start, known)
    lifetimes = counts.section("cache_creation")
    used = [name for name in (SHORT, LONG) if lifetimes.count(name)] or [SHORT]
    said = counts.count("cache_creation_input_tokens") == sum(map(lifetimes.count, used))
    if not lifetimes.facts or len(used) > 1 or not said or known["cache_creation"] != lifetimes.facts:
        return known
    written = known.get("cache_creation_input_tokens")
    return {**known, "cache_creation": {**lifetimes.facts, used[0]: written}}
