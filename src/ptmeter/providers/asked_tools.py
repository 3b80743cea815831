"""
The provider's own tools that a request turns on and that are billed by the call, and how many calls it allows.

A tool is recognised by the type it has at Anthropic (``web_search_20250305``), in OpenAI's and xAI's Responses API
(``web_search``, ``file_search``, ``x_search``), or by its key at Google (``googleSearch``, ``google_maps``); at
OpenRouter searches are a plugin. A caller's own functions are none of these.

Anthropic limits the calls of a tool with ``max_uses``, OpenAI those of all its tools together with
``max_tool_calls``. Gemini before 3 is billed once for a prompt however many searches there were, and so is Google Maps.

Sources: platform.claude.com, web search tool; platform.openai.com, API reference, Create a response;
docs.x.ai, Tools overview; ai.google.dev, Grounding with Google Search, with Google Maps; openrouter.ai, Web search.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from .gemini_usage import SEARCHES_BY_PROMPT

if TYPE_CHECKING:
    from collections.abc import Iterator

TYPES: Final[Mapping[str, re.Pattern[str]]] = {
    "web_search": re.compile(
        r"(?:openrouter:)?web_search(?:_preview)?(?:_\d{4}_?\d\d_?\d\d)?|google_?search(?:_?retrieval)?"
    ),
    "file_search": re.compile(r"file_search|collections_search"),
    "x_search": re.compile(r"x_search"),
    "code_execution": re.compile(r"code_execution|code_interpreter"),
    "maps_grounding": re.compile(r"google_?maps"),
}
"""What a tool is called, in lower case, by our name for a call of it."""

BILLED_BY: Final[Mapping[str, frozenset[str]]] = {
    "file_search": frozenset({"openai", "x-ai"}),
    "code_execution": frozenset({"x-ai"}),
}
"""Who bills a tool by the call, where others that have one of the same name do not."""


def asked_tools(request: object, model: str, provider: str) -> dict[str, int | None]:
    """
    The tools that *request* turns on, each with the most calls it can be billed for, or ``None`` if it does not say.

    *provider* is who charges for the call, *model* what it is sent to.
    """
    if not isinstance(request, Mapping):
        return {}
    body = cast("Mapping[str, Any]", request)
    found = {name: limit for name, limit in _tools(body) if provider in BILLED_BY.get(name, (provider,))}
    if provider == "google":
        by_prompt = ["maps_grounding", *(["web_search"] if _searches_by_prompt(model) else [])]
        found |= {name: 1 for name in by_prompt if name in found}
    together = _count(body.get("max_tool_calls"))
    if together is None:
        return found
    return {name: together if limit is None else min(limit, together) for name, limit in found.items()}


def _tools(body: Mapping[str, Any]) -> Iterator[tuple[str, int | None]]:
    for tool in _objects(body.get("tools")):
        said = tool.get("type")
        names = [said] if isinstance(said, str) else [*tool]
        for name in names:
            for piece, pattern in TYPES.items():
                if pattern.fullmatch(name.lower()):
                    yield piece, _count(tool.get("max_uses"))
    for plugin in _objects(body.get("plugins")):
        if plugin.get("id") == "web":
            yield "web_search", None


def _objects(listed: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(listed, list):
        for each in cast("list[object]", listed):
            if isinstance(each, Mapping):
                yield cast("Mapping[str, Any]", each)


def _searches_by_prompt(model: str) -> bool:
    return SEARCHES_BY_PROMPT.search(model.lower()) is not None


def _count(said: object) -> int | None:
    return said if type(said) is int and said >= 0 else None
