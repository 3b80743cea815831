"""
Where those who speak OpenAI's format count otherwise than OpenAI does.

Who answered is not asked: each deviation shows in the counts themselves, but for Google's, which takes
the name of a Gemini. Whatever is neither OpenAI's way nor one of these is refused.

Sources: docs.x.ai on reasoning ("counted separately from completion_tokens, but … in the total_tokens")
and on tool usage; api-docs.deepseek.com on context caching (``prompt_tokens`` are hits and misses);
docs.mistral.ai on audio (``prompt_audio_seconds``); openrouter.ai on usage accounting
(``server_tool_use``); Google's OpenAI endpoint as in its forum, topic 98760: thoughts are in the total
and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .readings import Counts

UNBILLED: Final = frozenset({"mcp"})
"""Server tools that xAI bills by their tokens alone."""

TOOLS: Final = {"code_interpreter": "code_execution", "document_search": "file_search"}
"""Our names for server tools that have another one at xAI."""


def hidden_thinking(usage: Counts, model: str | None, into: int, out: int, reasoning: int) -> int:
    """
    Return the output tokens that the total counts and the output leaves out; no total, none.

    xAI adds its reasoning on top of the completion. Google's OpenAI endpoint does the same with thoughts
    it does not report. For anybody else the total is input and output, or it is refused.
    """
    if usage.facts.get("total_tokens") is None:
        return 0
    beyond = usage.count("total_tokens") - into - out
    if beyond in (0, reasoning) or (beyond > 0 and not reasoning and _is_gemini(model)):
        return beyond
    return usage.refuse(f"total_tokens is {into + out + beyond}, not {into} + {out} = {into + out}")


def check_misses(usage: Counts, into: int) -> None:
    """Refuse DeepSeek's cache hits and misses if they are not the whole prompt between them."""
    if usage.facts.get("prompt_cache_miss_tokens") is None:
        return
    hit, miss = usage.count("prompt_cache_hit_tokens"), usage.count("prompt_cache_miss_tokens")
    if hit + miss != into:
        usage.refuse(f"{hit} + {miss} tokens by cache hit and miss are not prompt_tokens = {into}")


def billed_beside_tokens(usage: Counts) -> dict[str, int]:
    """
    Count what is billed by the piece: searches, sources, seconds of sound.

    What is reported as zero is there: it outweighs the calls that were seen to be attempted.
    """
    found: dict[str, int] = {}
    for name, count in (*_server_tools(usage), *_xai_tools(usage), *_audio(usage)):
        found[name] = usage.agreed(count, found.get(name, 0))
    return found


def _server_tools(usage: Counts) -> Iterator[tuple[str, int]]:
    section = usage.section("server_tool_use")
    for name in section.facts:
        if name.endswith("_requests"):
            yield name.removesuffix("_requests"), section.count(name)


def _xai_tools(usage: Counts) -> Iterator[tuple[str, int]]:
    section = usage.section("server_side_tool_usage_details")
    for name in section.facts:
        tool = name.removesuffix("_calls")
        if tool not in UNBILLED:
            yield TOOLS.get(tool, tool), section.count(name)
    yield "live_search_source", usage.count("num_sources_used")


def _audio(usage: Counts) -> Iterator[tuple[str, int]]:
    """Mistral's models that hear are billed by the minute as well; its SDK has ``{}`` for none."""
    if usage.facts.get("prompt_audio_seconds") != {}:
        yield "audio_second", usage.count("prompt_audio_seconds")


def _is_gemini(model: str | None) -> bool:
    return "gemini" in (model or "").lower()
