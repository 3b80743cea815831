"""
Counting a text, beside what tiktoken takes for the encoding alone.

    make bench ARGS="bench/bench_tokens.py"

Each text is one its counter has not seen, so nothing is remembered, but for the last group. Compare
medians or minima within one run: the ratio is steadier than either.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from ptmeter.providers import encodings
from ptmeter.providers.tokens import Tokenizers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import tiktoken
    from pytest_benchmark.fixture import BenchmarkFixture

SIZES = [100, 1_000, 10_000]
PROSE = """
It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of
foolishness, it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, it
was the season of Darkness, it was the spring of hope, it was the winter of despair. Call me Ishmael. Some
years ago, never mind how long precisely, having little or no money in my purse, and nothing particular to
interest me on shore, I thought I would sail about a little and see the watery part of the world. It is a
truth universally acknowledged, that a single man in possession of a good fortune, must be in want of a
wife. However little known the feelings or views of such a man may be on his first entering a neighbourhood,
this truth is so well fixed in the minds of the surrounding families, that he is considered as the rightful
property of some one or other of their daughters. You will rejoice to hear that no disaster has accompanied
the commencement of an enterprise which you have regarded with such evil forebodings. Alice was beginning
to get very tired of sitting by her sister on the bank, and of having nothing to do.
"""
"""Dickens, Melville, Austen, Shelley and Carroll; a text is their words in another order."""


@pytest.fixture(scope="module")
def tokenizers() -> Tokenizers:
    """Have the ranks loaded before anything is timed."""
    counted = Tokenizers()
    counted.count_text("gpt-4o", "")
    return counted


@pytest.fixture(scope="module")
def encoding() -> tiktoken.Encoding:
    """Make the same encoding, to be called without us."""
    return encodings.load(encodings.O200K).encoding


@pytest.fixture
def prose(encoding: tiktoken.Encoding) -> Callable[[int], Iterator[str]]:
    """Make texts of so many tokens, each of them new."""

    def texts(size: int) -> Iterator[str]:
        chance = random.Random(size)
        while True:
            words = " ".join(chance.choices(PROSE.split(), k=size))
            yield encoding.decode(encoding.encode(words)[:size])

    return texts


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("counter", ["tiktoken", "ptmeter"])
def test_a_new_text(
    benchmark: BenchmarkFixture,
    *,
    tokenizers: Tokenizers,
    encoding: tiktoken.Encoding,
    prose: Callable[[int], Iterator[str]],
    counter: str,
    size: int,
) -> None:
    """A text never seen before."""
    benchmark.group = f"new text, {size:,} tokens"
    texts = prose(size)

    def by_tiktoken(text: str) -> int:
        return len(encoding.encode(text, disallowed_special=()))

    def by_ptmeter(text: str) -> int:
        return tokenizers.count_text("gpt-4o", text).tokens

    count = by_tiktoken if counter == "tiktoken" else by_ptmeter
    benchmark.pedantic(count, setup=lambda: ((next(texts),), {}), rounds=300_000 // size)


@pytest.mark.parametrize("size", SIZES)
def test_a_text_seen_before(
    benchmark: BenchmarkFixture, tokenizers: Tokenizers, prose: Callable[[int], Iterator[str]], size: int
) -> None:
    """The history of a chat, which comes again with every turn."""
    benchmark.group = f"seen before, {size:,} tokens"
    text = next(prose(size))
    tokenizers.count_text("gpt-4o", text)

    benchmark(tokenizers.count_text, "gpt-4o", text)
