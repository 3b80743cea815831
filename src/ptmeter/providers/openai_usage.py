"""
OpenAI's usage: totals that include everything, and details that say what is inside them.

Most others speak this format too: DeepSeek, Mistral, xAI, OpenRouter, Groq, vLLM. Where they count
otherwise is in `dialects`.

Prompt tokens come divided twice over: by modality (text, audio, image) and by cache (read, written,
neither). The two divisions are independent, and only the Realtime API reports how they overlap
(``cached_tokens_details``). Where it is not said, see `modalities`.

Sources: the Chat Completions, Responses, Realtime (``response.done``) and Transcription objects of the OpenAI
API reference and its prompt caching guide; ``cache_write_tokens`` and ``tool_usage`` as in openai-python 3.54.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from ..domain.usage import Usage
from ..errors import UsageMissingError
from .dialects import billed_beside_tokens, check_misses, hidden_thinking
from .modalities import Share, by_modality
from .payloads import DONE, Payload, object_at, objects_at, text_at
from .readings import Counts, Reading, input_only

PROVIDER: Final = "openai"

TERMINAL: Final = frozenset(
    {"response.completed", "response.incomplete", "response.failed", "response.cancelled", "response.done"}
)
"""What ends a response; each of them carries the usage (new-api #7241 billed 0 for want of two)."""

NOT_GENERATED: Final = frozenset(
    {"response.audio.delta", "response.output_audio.delta", "response.shell_call_output_content.delta"}
)
"""Deltas that are not the model's text: encoded sound, and what a tool printed."""


@dataclass(frozen=True, slots=True)
class Names:
    """What an API calls the four things that all of them report."""

    input: str
    output: str
    input_details: str
    output_details: str


CHAT: Final = Names(
    "prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details"
)
RESPONSES: Final = Names("input_tokens", "output_tokens", "input_tokens_details", "output_tokens_details")
REALTIME: Final = Names("input_tokens", "output_tokens", "input_token_details", "output_token_details")

CACHED: Final = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens", "cache_read_input_tokens")
"""Where cached tokens are counted beside the details: DeepSeek, Moonshot, Mistral, LiteLLM."""

INPUT_NAMES: Final = (
    "prompt_tokens",
    "prompt_tokens_details",
    "prompt_cache_miss_tokens",
    "cache_creation_input_tokens",
    *CACHED,
)


def read_chat(body: Payload) -> Reading:
    """
    Read a chat completion, or the chunk of one that carries the usage.

    Raises:
        UsageMissingError: It carries no usage.
        UsageInconsistentError: The usage does not add up.
    """
    return _reading(body, CHAT, {})


def read_response(body: Payload) -> Reading:
    """
    Read an answer of the Responses API, with the searches it made, of the Realtime API, or a transcription.

    A transcription that is billed by the minute counts as so many ``audio_second``.

    Raises:
        UsageMissingError: It carries no usage, as a cancelled or failed response may.
        UsageInconsistentError: The usage does not add up, or an image model's tokens came with it.
    """
    said = object_at(body, "usage")
    if text_at(said, "type") == "duration":
        seconds = Counts({"seconds": _whole(said.get("seconds"))}, said).need("seconds")
        timed = Usage(tool_calls={"audio_second": seconds} if seconds else {})
        return Reading(timed, text_at(body, "model"), PROVIDER, None, said)
    singular = REALTIME.input_details in said or REALTIME.output_details in said
    return _reading(body, REALTIME if singular else RESPONSES, _tool_calls(body))


@dataclass(slots=True)
class ChatStream:
    """
    Gathers the usage of a streamed chat completion.

    It comes once, in a last chunk without choices, if ``stream_options.include_usage`` was set. Others
    put it on the chunk with the ``finish_reason`` (LiteLLM #36168), into the choice (Moonshot), into
    ``x_groq`` (Groq) or, running, on every chunk (vLLM's ``continuous_usage_stats``): then it counts once
    every choice has finished and no text came after.
    """

    body: Payload = field(default_factory=dict[str, Any])
    finished: dict[object, bool] = field(default_factory=dict[object, bool])
    ended: bool = False
    stale: bool = False
    most: int = 0

    def feed(self, event: Payload) -> str:
        """Take a chunk and return the text generated in it."""
        if event == DONE:
            self.ended = True
        choices = objects_at(event, "choices")
        usage = _usage_in(event, choices)
        if "choices" not in event and "prompt_tokens" not in usage:
            return ""
        for choice in choices:
            index = str(choice.get("index"))
            self.finished[index] = self.finished.get(index, False) or bool(choice.get("finish_reason"))
        text = "".join(map(_chat_text, choices))
        self.body |= {name: found for name in ("model", "service_tier") if (found := event.get(name))}
        if usage:
            self._note(usage)
            self.ended |= not choices
        self.stale = not usage and (self.stale or bool(text))
        return text

    def reading(self) -> Reading | None:
        """Return the usage of the whole call, or ``None`` while it may still grow."""
        over = self.ended or (bool(self.finished) and all(self.finished.values()))
        if self.stale or not over or "usage" not in self.body:
            return None
        reading = read_chat(self.body)
        if reading.usage.total < self.most:
            counts = Counts({}, reading.raw)
            counts.refuse(f"the running total fell from {self.most} to {reading.usage.total} tokens")
        return reading

    def input_usage(self) -> Usage | None:
        """Return the input that a running usage has told, or ``None``: OpenAI tells it at the end."""
        usage = object_at(self.body, "usage")
        if not usage.get("prompt_tokens"):
            return None
        said = {name: usage.get(name) for name in INPUT_NAMES}
        return input_only(_disjoint(Counts({**said, "completion_tokens": 0}, usage), CHAT, {}))

    def _note(self, usage: Payload) -> None:
        self.body["usage"] = usage
        total = usage.get("total_tokens")
        self.most = max(self.most, total) if type(total) is int else self.most


@dataclass(slots=True)
class ResponsesStream:
    """
    Gathers the usage of a streamed response: it comes with the event that ends the response.

    The stream is of one response: each of a realtime session is a call of its own, and two are refused.
    """

    body: Payload = field(default_factory=dict[str, Any])
    ended: set[str | None] = field(default_factory=set["str | None"])

    def feed(self, event: Payload) -> str:
        """Take an event and return the text generated in it."""
        kind = text_at(event, "type") or ""
        if kind in TERMINAL:
            self.body = object_at(event, "response")
            self.ended.add(text_at(self.body, "id"))
        elif kind == "transcript.text.done":
            self.body = event
        spoken = kind.startswith(("response.", "transcript.text."))
        generated = spoken and kind.endswith(".delta") and kind not in NOT_GENERATED
        return text_at(event, "delta") or "" if generated else ""

    def reading(self) -> Reading | None:
        """Return the usage of the whole call, or ``None`` if it has not ended or ended without one."""
        raw = object_at(self.body, "usage")
        if len(self.ended) > 1:
            Counts({}, raw).refuse(
                f"{len(self.ended)} responses ended in one stream: each is a call of its own"
            )
        return read_response(self.body) if raw else None

    def input_usage(self) -> Usage | None:
        """Return ``None``: nothing is said of the input before the response ends."""
        return None


def _reading(body: Payload, names: Names, tool_calls: dict[str, int]) -> Reading:
    raw = object_at(body, "usage")
    if not raw:
        msg = "the answer carries no usage: a chat stream has to be asked for it with include_usage"
        raise UsageMissingError(msg)
    return Reading(
        usage=_disjoint(Counts(raw, raw), names, tool_calls, text_at(body, "model")),
        model=text_at(body, "model"),
        provider=PROVIDER,
        service_tier=text_at(body, "service_tier"),
        raw=raw,
    )


def _disjoint(usage: Counts, names: Names, tool_calls: dict[str, int], model: str | None = None) -> Usage:
    into, out = usage.need(names.input), usage.need(names.output)
    produced = usage.section(names.output_details)
    parts = {name: produced.count(name) for name in ("reasoning_tokens", "audio_tokens", "image_tokens")}
    hidden = hidden_thinking(usage, model, into, out, parts["reasoning_tokens"])
    out += hidden
    parts["reasoning_tokens"] = parts["reasoning_tokens"] or hidden
    check_misses(usage, into)

    details = usage.section(names.input_details)
    cached, written = _cached(usage, details), _written(usage, details)
    fresh = usage.fit(names.input, into, cached_tokens=cached, cache_write_tokens=written)
    audio, image = _share(details, "audio_tokens"), _share(details, "image_tokens")
    usage.fit(names.input, into, audio_tokens=audio.total, image_tokens=image.total)
    usage.fit("cached_tokens", cached, audio_tokens=audio.cached, image_tokens=image.cached)

    for name in ("accepted_prediction_tokens", "rejected_prediction_tokens"):
        usage.fit(names.output, out, **{name: produced.count(name)})  # inside, and billed as any other
    read = by_modality(fresh, cached, audio=audio, image=image) + Usage(
        input_cache_write_5m=written,
        output_text=usage.fit(names.output, out, **parts),
        output_reasoning=parts["reasoning_tokens"],
        output_audio=parts["audio_tokens"],
        output_image=parts["image_tokens"],
        tool_calls={name: n for name, n in (tool_calls | billed_beside_tokens(usage)).items() if n},
    )
    return usage.summed(read, into, out)


def _whole(seconds: object) -> object:
    """Return a whole number of seconds that an SDK has made a float of as the count it is on the wire."""
    return int(seconds) if isinstance(seconds, float) and seconds.is_integer() else seconds


def _share(details: Counts, name: str) -> Share:
    """Return the tokens of a modality, of which no more can be cached than there are."""
    share = Share(details.count(name), details.section("cached_tokens_details").count(name))
    details.fit(name, share.total, cached_tokens_details=share.cached)
    return share


def _cached(usage: Counts, details: Counts) -> int:
    """Return the cached tokens, wherever they are counted."""
    return usage.agreed(details.count("cached_tokens"), *map(usage.count, CACHED))


def _written(usage: Counts, details: Counts) -> int:
    """Return the tokens written to the cache for its default lifetime, which must be all of them."""
    written = usage.agreed(details.count("cache_write_tokens"), usage.count("cache_creation_input_tokens"))
    lifetimes = details.section("cache_write_tokens_details")
    default, long = lifetimes.count("ttl_30m_tokens"), lifetimes.count("ttl_12h_tokens")
    if lifetimes.facts and default + long != written:
        usage.refuse(f"{default} + {long} tokens by lifetime are not cache_write_tokens = {written}")
    if long:
        usage.refuse(f"{long} tokens were cached for 12 hours, for which there is no token class")
    return written


def _tool_calls(body: Payload) -> dict[str, int]:
    """
    Count the searches OpenAI bills by the call, which are not part of the usage object.

    ``tool_usage`` says how many were billable. Where it is absent, the calls in the output are counted;
    opening a page, or looking for a word in it, is not billed as a search.
    """
    used: Payload = {"tool_usage": body.get("tool_usage")}
    reported = Counts(used, used).section("tool_usage")
    if pictures := reported.section("image_gen").count("total_tokens"):
        reported.refuse(f"{pictures} tokens were used by an image model, whose price is another")
    made = [item for item in objects_at(body, "output") if item.get("status") != "failed"]
    web = sum(1 for item in made if item.get("type") == "web_search_call" and _is_search(item))
    if reported.facts.get("web_search") is not None:
        web = reported.section("web_search").count("num_requests")
    files = sum(1 for item in made if item.get("type") == "file_search_call")
    return {name: count for name, count in (("web_search", web), ("file_search", files)) if count}


def _is_search(item: Payload) -> bool:
    return object_at(item, "action").get("type") in (None, "search")


def _usage_in(event: Payload, choices: list[Payload]) -> Payload:
    """Return the usage in a chunk, wherever it is, or an empty one."""
    holders = (event, object_at(event, "x_groq"), *choices)
    return next((usage for holder in holders if (usage := object_at(holder, "usage"))), Payload())


def _chat_text(choice: Payload) -> str:
    delta = object_at(choice, "delta")
    calls = [
        *(
            object_at(call, kind)
            for call in objects_at(delta, "tool_calls")
            for kind in ("function", "custom")
        ),
        object_at(delta, "function_call"),
    ]
    pieces = [
        *(text_at(delta, name) for name in ("reasoning_content", "reasoning", "content", "refusal")),
        *map(_block_text, objects_at(delta, "content")),
        *(text_at(call, name) for call in calls for name in ("arguments", "input")),
        text_at(object_at(delta, "audio"), "transcript"),
    ]
    return "".join(filter(None, pieces))


def _block_text(block: Payload) -> str:
    """Return the text of a block of content, as Mistral's models that think send it."""
    return "".join([text_at(block, "text") or "", *map(_block_text, objects_at(block, "thinking"))])
