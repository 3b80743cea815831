"""How far a hold suffices for a text that is still being written."""

from __future__ import annotations

from base64 import b64encode

from hypothesis import given
from hypothesis import strategies as st

from ptmeter.providers.spoken import BYTES_PER_TOKEN
from ptmeter.providers.usage import UsageStream
from ptmeter.reaching import FARTHEST, MARGIN, Reach


def piece(text: str) -> dict[str, object]:
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]}


def spoken(sound: bytes, text: str = "") -> dict[str, object]:
    audio = {"data": b64encode(sound).decode()} | ({"transcript": text} if text else {})
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"audio": audio}}]}


@given(
    held=st.integers(1, 10_000),
    rate=st.integers(0, 20),
    base=st.integers(0, 100),
)
def test_it_is_the_longest_answer_that_is_paid_for(held: int, rate: int, base: int) -> None:
    """One token more would cost more than is held; where tokens cost nothing, any answer is paid for."""
    reach = Reach(lambda tokens: base + rate * tokens, len, held)

    if rate == 0:
        assert (FARTHEST if base <= held else 0) == reach.tokens
    else:
        assert max(0, (held - base) // rate) == reach.tokens


@given(
    pieces=st.lists(st.text("ab €😀", min_size=1, max_size=40), min_size=1, max_size=120),
    held=st.integers(1, 600),
)
def test_it_is_outrun_before_it_is(pieces: list[str], held: int) -> None:
    """However the text comes, it is noticed while there are `MARGIN` tokens left, and counted but a few times."""
    counts = 0

    def count(text: str) -> int:
        nonlocal counts
        counts += 1
        return len(text.split())

    reach, stream, text = Reach(lambda tokens: tokens, count, held), UsageStream(), ""
    for part in pieces:
        stream.feed(piece(part))
        text += part
        if reach.is_outrun(stream):
            double, least = reach.steps
            assert double >= least > 0
            reach.extend(double)
        assert len(text.split()) <= reach.tokens

    assert counts <= 4 + len(pieces) * 41 * 4 // MARGIN


@given(st.lists(st.text("ab €😀", min_size=1, max_size=40), max_size=20))
def test_a_stream_knows_how_much_text_there_is(pieces: list[str]) -> None:
    """The size is that of the text in UTF-8, and so never less than its tokens."""
    stream = UsageStream()
    for part in pieces:
        stream.feed(piece(part))

    assert len(stream.text.encode()) == stream.size


@given(
    pieces=st.lists(
        st.tuples(st.integers(0, 20 * BYTES_PER_TOKEN), st.text("ab €😀", max_size=20)),
        min_size=1,
        max_size=60,
    ),
    held=st.integers(1, 600),
)
def test_sound_is_outrun_before_it_is(pieces: list[tuple[int, str]], held: int) -> None:
    """However an answer is spoken, its sound and its transcript together are noticed in time."""
    reach, stream, text, sound = Reach(lambda tokens: tokens, len, held), UsageStream(), "", 0
    for size, part in pieces:
        stream.feed(spoken(bytes(size), part))
        text, sound = text + part, sound + size
        if reach.is_outrun(stream):
            double, least = reach.steps
            assert double >= least > 0
            reach.extend(double)
        assert len(text) + sound / BYTES_PER_TOKEN <= reach.tokens


@given(st.lists(st.binary(max_size=9_000), max_size=20))
def test_a_stream_knows_how_much_sound_there_is(pieces: list[bytes]) -> None:
    """A token of sound is 50 ms; of a chat completion and of a Realtime session, under both its names."""
    chat, old, new = UsageStream(), UsageStream(), UsageStream()
    for part in pieces:
        chat.feed(spoken(part))
        data = b64encode(part).decode()
        old.feed({"type": "response.audio.delta", "delta": data})
        new.feed({"type": "response.output_audio.delta", "delta": data})

    tokens = -(-sum(map(len, pieces)) // 2_400)
    assert [tokens] * 3 == [chat.sound, old.sound, new.sound]
    assert ["", "", ""] == [chat.text, old.text, new.text]
