"""The wire may cut a stream anywhere: into lines, into bytes, in the middle of a character."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptmeter.errors import UsageMissingError
from ptmeter.providers.event_lines import EventLines
from ptmeter.providers.usage import UsageStream, read_usage

if TYPE_CHECKING:
    from collections.abc import Iterable

CORPUS = {
    path.stem: payload
    for path in sorted((Path(__file__).parent.parent / "corpus").glob("*.json"))
    if (payload := json.loads(path.read_text(encoding="utf-8")))["stream"]
}
NAMES = sorted(CORPUS)

EVENT = {
    "object": "chat.completion.chunk",
    "choices": [],
    "usage": {"prompt_tokens": 2, "completion_tokens": 1},
}


def wire(payload: dict[str, Any], end: str = "\n", *, gap: str = " ") -> str:
    """The stream as a server sends it, with the comments OpenRouter keeps a connection alive by."""
    lines = [": PROCESSING", ""]
    for event in payload["stream"]:
        kind = event.get("type") or event.get("event_type") or "message"
        lines += [f"event: {kind}", "id: 7", f"data:{gap}{json.dumps(event, ensure_ascii=False)}", ""]
    return end.join([*lines, f"data:{gap}[DONE]", "", ""])


def events(pieces: Iterable[object]) -> list[dict[str, Any]]:
    lines = EventLines()
    return [event for piece in pieces for event in lines.feed(piece)]


def cut(whole: Any, places: Iterable[int]) -> list[Any]:
    """*whole* in pieces, cut at each place."""
    ends = sorted({place % (len(whole) + 1) for place in places} | {0, len(whole)})
    return [whole[start:end] for start, end in pairwise(ends)]


@given(
    name=st.sampled_from(NAMES),
    places=st.lists(st.integers(0, 10**6), max_size=40),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    gap=st.sampled_from([" ", ""]),
    as_bytes=st.booleans(),
)
@settings(max_examples=400, deadline=None)
def test_any_split_gives_the_whole_answers_total(
    name: str, places: list[int], end: str, gap: str, as_bytes: bool
) -> None:
    """However a stream is cut, its reading and its text are those of the answer sent whole (P3)."""
    payload = CORPUS[name]
    sent = wire(payload, end, gap=gap)
    stream = UsageStream()
    for piece in cut(sent.encode() if as_bytes else sent, places):
        stream.feed(piece)

    assert read_usage(payload["response"]) == stream.reading()
    assert payload["text"] == stream.text


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_may_come_byte_by_byte(name: str) -> None:
    """The worst split there is: every byte alone."""
    payload = CORPUS[name]
    sent = wire(payload).encode()
    stream = UsageStream()
    for place in range(len(sent)):
        stream.feed(sent[place : place + 1])

    assert read_usage(payload["response"]) == stream.reading()
    assert payload["text"] == stream.text


def test_the_split_is_seen_by_a_reader_without_memory() -> None:
    """Positive control: pieces that are read each for itself, as lines, lose the usage."""
    pieces = cut(wire(CORPUS["openai-chat"]), range(0, 10_000, 100))
    stream = UsageStream()
    for piece in pieces:
        for event in events([piece]):
            stream.feed(event)

    with pytest.raises(UsageMissingError):
        stream.reading()


@pytest.mark.parametrize("place", range(1, 200, 7))
@pytest.mark.parametrize(
    "text", ["data: {}", '{"a": 1}', "data: [DONE]\n\n", "\u2028ä😀", "event: x\r\n", "}{", "\\", "\ufeff"]
)
def test_text_that_looks_like_the_wire_is_text(text: str, place: int) -> None:
    """A model that writes about server-sent events ends no line and starts no event, wherever it is cut."""
    event = {"choices": [{"index": 0, "delta": {"content": text}}], "object": "chat.completion.chunk"}
    for sent in (f"data: {json.dumps(event, ensure_ascii=False)}\n\n", f"data: {json.dumps(event)}\n\n"):
        assert [event] == events(cut(sent, [place]))
        assert [event] == events(cut(sent, [place, sent.index("content") + 11]))
        assert [event] == events(cut(sent.encode(), [place]))


def test_lines_without_their_ends_are_taken_as_they_come() -> None:
    """A client that yields lines leaves their ends out: each whole event counts at once."""
    lines = EventLines()

    assert [] == list(lines.feed("event: chunk"))
    assert [EVENT] == list(lines.feed(f"data: {json.dumps(EVENT)}"))
    assert [] == list(lines.feed(""))
    assert [EVENT] == list(lines.feed(json.dumps(EVENT)))
    assert [EVENT, EVENT] == list(lines.feed(f"{json.dumps(EVENT)}\n{json.dumps(EVENT)}\n"))


@pytest.mark.parametrize(
    "broken", ['data: {"choices": [', "data:", "data", "d", "data: {", 'data: {"a": "\\']
)
def test_a_line_that_broke_off_does_not_spoil_the_next(broken: str) -> None:
    """A line of which only the beginning came is dropped when the next whole line is there."""
    whole = f"data: {json.dumps(EVENT)}"

    assert [EVENT] == events([broken, whole])
    assert [EVENT, EVENT] == events([broken, "event: chunk", whole, whole])
    assert [EVENT] == events([f"{broken}\n", whole])


def test_events_may_stand_on_many_lines_if_they_are_json_alone() -> None:
    """JSON that is fed whole may be printed prettily."""
    assert [EVENT] == events([json.dumps(EVENT, indent=2)])
    assert [EVENT] == events([f"\ufeff{json.dumps(EVENT)}"])
