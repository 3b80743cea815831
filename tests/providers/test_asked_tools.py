"""The provider's tools that a request turns on: recognised in each format, with the limit that the request gives."""

from __future__ import annotations

from typing import Any

import pytest

from ptmeter.providers.asked_tools import asked_tools

FUNCTION = {"type": "function", "function": {"name": "web_search", "parameters": {}}}


@pytest.mark.parametrize(
    ("provider", "body", "expected"),
    [
        ("anthropic", {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 5}]}, {"web_search": 5}),
        ("anthropic", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, {"web_search": None}),
        ("anthropic", {"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]}, {}),
        ("anthropic", {"tools": [{"name": "web_search", "input_schema": {}}]}, {}),
        ("openai", {"tools": [{"type": "web_search"}, FUNCTION]}, {"web_search": None}),
        ("openai", {"tools": [{"type": "web_search_preview_2025_03_11"}], "max_tool_calls": 2}, {"web_search": 2}),
        ("openai", {"tools": [{"type": "file_search"}, {"type": "code_interpreter"}]}, {"file_search": None}),
        ("openai", {"tools": [FUNCTION]}, {}),
        ("x-ai", {"tools": [{"type": "x_search"}, {"type": "code_interpreter"}, {"type": "collections_search"}]}, {"x_search": None, "code_execution": None, "file_search": None}),
        ("openrouter", {"plugins": [{"id": "web"}, {"id": "file-parser"}]}, {"web_search": None}),
        ("openrouter", {"tools": [{"type": "openrouter:web_search"}]}, {"web_search": None}),
        ("google", {"tools": [{"googleSearch": {}, "googleMaps": {}}]}, {"web_search": None, "maps_grounding": 1}),
        ("google", {"tools": [{"type": "google_search"}], "max_tool_calls": True}, {"web_search": None}),
        ("google", {"tools": [{"functionDeclarations": []}, {"codeExecution": {}}]}, {}),
        ("openai", {"tools": "web_search"}, {}),
        ("openai", {"tools": ["web_search", {"type": 5}]}, {}),
        ("openai", {"messages": []}, {}),
        ("openai", "web_search", {}),
        ("openai", [{"role": "user", "content": "web_search"}], {}),
    ],
)  # fmt: skip
def test_tools_are_seen_in_each_format(provider: str, body: Any, expected: dict[str, int | None]) -> None:
    """What is billed by the call is there with its limit; a function of one's own, or what is not billed, is not."""
    assert expected == asked_tools(body, "a-model", provider)


@pytest.mark.parametrize(
    ("model", "limit"),
    [("gemini-2.5-flash", 1), ("models/gemini-2.0-flash", 1), ("gemini-3-flash-preview", None)],
)
def test_searches_before_gemini_3_are_billed_once(model: str, limit: int | None) -> None:
    """A prompt of theirs is billed for having been grounded, however many searches that took."""
    assert {"web_search": limit} == asked_tools({"tools": [{"google_search": {}}]}, model, "google")
