"""
Gemini's usage: four counts that add up to the total, and what is in them by modality.

The prompt includes what was cached; what a tool put before the model and what the model thought are
counted beside it. A count of zero is left out, as protocol buffers do. In a stream every chunk has the
usage so far, and the last one is the call's. The SDKs write ``prompt_token_count`` where the wire has
``promptTokenCount``, and the Interactions API has names of its own for the same counts.

A modality is counted apart where it may be billed apart: sound and pictures. Video and documents count
as plain input, whose price they have (ai.google.dev, "Gemini Developer API pricing").

Sources: ai.google.dev/api/generate-content (UsageMetadata), ai.google.dev/api/interactions-api (Usage),
ai.google.dev/gemini-api/docs/google-search: Gemini 3 is billed for each search, empty ones apart, those
before it for each prompt that was grounded.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ..domain.usage import Usage
from ..errors import UsageMissingError
from .modalities import Share, by_modality
from .payloads import object_at, objects_at, text_at, texts_at
from .readings import Counts, Reading, input_only

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .payloads import Payload

PROVIDER: Final = "google"


@dataclass(frozen=True, slots=True)
class Names:
    """What an API calls the counts, and the lists of what is in them by modality."""

    input: str
    cached: str
    tool: str
    output: str
    thought: str
    total: str
    input_parts: str
    cached_parts: str
    tool_parts: str
    output_parts: str
    part: str


GENERATE: Final = Names(
    "prompt_token_count",
    "cached_content_token_count",
    "tool_use_prompt_token_count",
    "candidates_token_count",
    "thoughts_token_count",
    "total_token_count",
    "prompt_tokens_details",
    "cache_tokens_details",
    "tool_use_prompt_tokens_details",
    "candidates_tokens_details",
    "token_count",
)
INTERACT: Final = Names(
    "total_input_tokens",
    "total_cached_tokens",
    "total_tool_use_tokens",
    "total_output_tokens",
    "total_thought_tokens",
    "total_tokens",
    "input_tokens_by_modality",
    "cached_tokens_by_modality",
    "tool_use_tokens_by_modality",
    "output_tokens_by_modality",
    "tokens",
)

LIVE: Final = {
    "response_token_count": "candidates_token_count",
    "response_tokens_details": "candidates_tokens_details",
}
"""What the Live API calls the answer's counts."""

SEARCHES_BY_PROMPT: Final = re.compile(r"gemini-(?:1|2)\b")
"""Models whose searches are billed once for the prompt, however many there were."""

SEARCH_TOOLS: Final = {"google_search": "web_search", "google_maps": "maps_grounding"}


def read_generated(body: Payload) -> Reading:
    """
    Read an answer of ``generateContent``, or the last chunk of ``streamGenerateContent``.

    Raises:
        UsageMissingError: It carries no usage.
        UsageInconsistentError: The usage does not add up.
    """
    raw = _metadata(body) or object_at(body, "usage")
    if not raw:
        msg = "the answer carries no usage: usageMetadata is missing"
        raise UsageMissingError(msg)
    model = text_at(body, "modelVersion") or text_at(body, "model_version") or text_at(body, "model")
    counts = Counts({LIVE.get(name, name): count for name, count in _snake(raw).items()}, raw)
    return Reading(
        usage=_disjoint(counts, GENERATE, _grounding(objects_at(body, "candidates"), model)),
        model=model,
        provider=PROVIDER,
        service_tier=text_at(_snake(raw), "service_tier") or text_at(_snake(raw), "traffic_type"),
        raw=raw,
    )


def read_interaction(body: Payload) -> Reading:
    """
    Read an interaction.

    Raises:
        UsageMissingError: It carries no usage, as one that is still under way.
        UsageInconsistentError: The usage does not add up.
    """
    raw = object_at(body, "usage")
    if not raw:
        msg = "the interaction carries no usage: it has not been completed"
        raise UsageMissingError(msg)
    counts = Counts(_snake(raw), raw)
    return Reading(
        usage=_disjoint(counts, INTERACT, _tool_counts(counts)),
        model=text_at(body, "model"),
        provider=PROVIDER,
        service_tier=text_at(body, "service_tier"),
        raw=raw,
    )


@dataclass(slots=True)
class GenerateStream:
    """Gathers the usage of ``streamGenerateContent``: the last there is once every candidate has finished."""

    body: Payload = field(default_factory=dict[str, Any])
    finished: dict[str, bool] = field(default_factory=dict[str, bool])
    candidates: list[Payload] = field(default_factory=list["Payload"])
    stale: bool = False
    most: int = 0

    def feed(self, event: Payload) -> str:
        """Take a chunk and return the text generated in it."""
        usage, candidates = _metadata(event), objects_at(event, "candidates")
        feedback = _snake(object_at(event, "promptFeedback") or object_at(event, "prompt_feedback"))
        if not (usage or candidates or feedback):
            return ""
        for candidate in candidates:
            index, over = str(candidate.get("index") or 0), _snake(candidate).get("finish_reason")
            self.finished[index] = self.finished.get(index, False) or bool(over)
        if feedback.get("block_reason"):
            self.finished.setdefault("0", True)
        self.candidates += [grounded for grounded in candidates if _grounded(grounded)]
        named = ("modelVersion", "model_version")
        self.body |= {name: event[name] for name in named if event.get(name)}
        text = "".join(map(_text, candidates))
        if usage:
            self.body["usageMetadata"] = usage
            total = _snake(usage).get("total_token_count")
            self.most = max(self.most, total) if type(total) is int else self.most
        self.stale = not usage and (self.stale or bool(text))
        return text

    def reading(self) -> Reading | None:
        """Return the usage of the whole call, or ``None`` while it may still grow."""
        over = bool(self.finished) and all(self.finished.values())
        if self.stale or not over or "usageMetadata" not in self.body:
            return None
        reading = read_generated({**self.body, "candidates": self.candidates})
        if reading.usage.total < self.most:
            counts = Counts({}, reading.raw)
            counts.refuse(f"the running total fell from {self.most} to {reading.usage.total} tokens")
        return reading

    def input_usage(self) -> Usage | None:
        """Return the input, which every chunk tells, or ``None`` before the first."""
        raw = object_at(self.body, "usageMetadata")
        facts = _snake(raw)
        if not facts.get(GENERATE.input):
            return None
        names = (GENERATE.input, GENERATE.cached, GENERATE.tool)
        lists = (GENERATE.input_parts, GENERATE.cached_parts, GENERATE.tool_parts)
        said = {name: facts.get(name) for name in (*names, *lists)}
        return input_only(_disjoint(Counts(said, raw), GENERATE, {}))


@dataclass(slots=True)
class InteractionStream:
    """Gathers the usage of a streamed interaction: it comes with the event that completes it."""

    body: Payload = field(default_factory=dict[str, Any])

    def feed(self, event: Payload) -> str:
        """Take an event and return the text generated in it."""
        kind = text_at(event, "event_type") or ""
        if kind in ("interaction.complete", "interaction.completed"):
            self.body = object_at(event, "interaction")
        if not kind.endswith(".delta"):
            return ""
        delta = object_at(event, "delta")
        content = object_at(delta, "content")  # a summary of what was thought
        return text_at(delta, "text") or text_at(delta, "arguments") or text_at(content, "text") or ""

    def reading(self) -> Reading | None:
        """Return the usage of the whole call, or ``None`` if it was not completed."""
        return read_interaction(self.body) if object_at(self.body, "usage") else None

    def input_usage(self) -> Usage | None:
        """Return ``None``: nothing is said of the input before the end."""
        return None


def _disjoint(usage: Counts, names: Names, tool_calls: Mapping[str, int]) -> Usage:
    prompt, tool = usage.need(names.input), usage.count(names.tool)
    into = prompt + tool
    thought = usage.count(names.thought)
    out = usage.count(names.output) + thought
    if usage.facts.get(names.total) is not None and usage.count(names.total) != into + out:
        usage.refuse(f"{names.total} is {usage.count(names.total)}, not {into} + {out} = {into + out}")

    cached = usage.count(names.cached)
    fresh = tool + usage.fit(names.input, prompt, **{names.cached: cached})
    given = _modalities(usage, names, names.input_parts)
    given = _sum(given, _modalities(usage, names, names.tool_parts))
    kept = _modalities(usage, names, names.cached_parts)
    usage.fit(names.input, into, AUDIO=given["AUDIO"], IMAGE=given["IMAGE"])
    usage.fit(names.cached, cached, AUDIO=kept["AUDIO"], IMAGE=kept["IMAGE"])
    shares = {name: Share(count, kept[name]) for name, count in given.items()}
    for modality, share in shares.items():
        usage.fit(modality, share.total, cached=share.cached)
    made = _modalities(usage, names, names.output_parts)
    read = by_modality(fresh, cached, audio=shares["AUDIO"], image=shares["IMAGE"]) + Usage(
        output_text=usage.fit(names.output, out - thought, AUDIO=made["AUDIO"], IMAGE=made["IMAGE"]),
        output_reasoning=thought,
        output_audio=made["AUDIO"],
        output_image=made["IMAGE"],
        tool_calls=tool_calls,
    )
    return usage.summed(read, into, out)


def _modalities(usage: Counts, names: Names, where: str) -> dict[str, int]:
    """Return the tokens of sound and of pictures in one of the lists, which may be absent."""
    found = {"AUDIO": 0, "IMAGE": 0}
    for entry in map(_snake, objects_at(usage.facts, where)):
        modality = str(entry.get("modality")).rpartition(".")[2].upper()
        count = Counts(entry, usage.payload, f"{where}.").count(names.part)
        if modality in found:
            found[modality] += count
    return found


def _sum(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: count + other[name] for name, count in one.items()}


def _grounding(candidates: list[Payload], model: str | None) -> dict[str, int]:
    grounds = [_grounded(candidate) for candidate in candidates]
    queries = {query for ground in grounds for query in texts_at(ground, "web_search_queries") if query}
    searches = min(len(queries), 1) if SEARCHES_BY_PROMPT.search(model or "") else len(queries)
    sources = [source for ground in grounds for source in objects_at(ground, "grounding_chunks")]
    maps = 1 if any(source.get("maps") for source in sources) else 0
    return {name: n for name, n in (("web_search", searches), ("maps_grounding", maps)) if n}


def _grounded(candidate: Payload) -> Payload:
    return _snake(object_at(candidate, "groundingMetadata") or object_at(candidate, "grounding_metadata"))


def _tool_counts(usage: Counts) -> dict[str, int]:
    made: dict[str, int] = {}
    for entry in objects_at(usage.facts, "grounding_tool_count"):
        name = (text_at(entry, "type") or "grounding").lower()
        count = Counts(entry, usage.payload, "grounding_tool_count.").count("count")
        made |= {SEARCH_TOOLS.get(name, name): count} if count else {}
    return made


def _metadata(body: Payload) -> Payload:
    return object_at(body, "usageMetadata") or object_at(body, "usage_metadata")


def _text(candidate: Payload) -> str:
    parts = objects_at(object_at(candidate, "content"), "parts")
    return "".join(text_at(part, "text") or _called(part) for part in parts)


def _called(part: Payload) -> str:
    """Return the arguments of a call to a function, which are generated too, about as they were."""
    call = object_at(part, "functionCall") or object_at(part, "function_call")
    return json.dumps(call.get("args"), ensure_ascii=False) if call.get("args") else ""


def _snake(facts: Payload) -> Payload:
    return {re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower(): value for name, value in facts.items()}
