"""
Counting a text, beside what tiktoken takes for the encoding alone.

    make bench ARGS="bench/bench_tokens.py"

Each text is one its counter has not seen, so nothing is remembered, but for the last groups. Compare
medians or minima within one run: the ratio is steadier than either. Other engines and litellm count the same
texts in an interpreter of their own, if PTMETER_ENGINES_PYTHON names one: see engines_pair.py.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import subprocess
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


@pytest.fixture(scope="module")
def ranks_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the ranks the way OpenAI publishes them, for engines that come without."""
    packed = (resources.files("ptmeter.providers") / "ranks" / "o200k_base.bin").read_bytes()
    path = tmp_path_factory.mktemp("ranks") / "o200k_base.tiktoken"
    path.write_bytes(encodings.tiktoken_text(encodings.unpack(packed)))
    return path


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("engine", ["gigatoken", "rs_bpe", "litellm"])
def test_a_new_text_by_another_engine(
    benchmark: Any,
    *,
    encoding: tiktoken.Encoding,
    prose: Callable[[int], Iterator[str]],
    ranks_file: Path,
    engine: str,
    size: int,
) -> None:
    """The same texts, timed where that engine is. Engines must count as tiktoken does; litellm may sample."""
    python = os.environ.get("PTMETER_ENGINES_PYTHON")
    if not python:
        pytest.skip("set PTMETER_ENGINES_PYTHON to a python that has gigatoken, rs-bpe and litellm")
    texts = list(itertools.islice(prose(size), 30_000 // size + 1))
    script = Path(__file__).with_name("engines_pair.py")
    arguments = [python, str(script), engine, str(ranks_file)]
    ran = subprocess.run(arguments, input=json.dumps(texts), capture_output=True, text=True, check=True)
    measured = json.loads(ran.stdout.splitlines()[-1])
    if "missing" in measured:
        pytest.skip(measured["missing"])

    if engine != "litellm":
        assert measured["tokens"] == [len(encoding.encode(t, disallowed_special=())) for t in texts[1:]]
    benchmark.group = f"new text, {size:,} tokens"
    benchmark.extra_info["version"] = measured["version"]
    _replay(benchmark, measured["seconds"])


@pytest.mark.parametrize("turns", [10, 100, 400])
def test_a_chat_one_message_later(
    benchmark: BenchmarkFixture, tokenizers: Tokenizers, prose: Callable[[int], Iterator[str]], turns: int
) -> None:
    """A conversation of so many messages of 100 tokens, of which the last is new."""
    benchmark.group = "a chat, one message later"
    texts = prose(100)
    messages = [{"role": "user", "content": next(texts)} for _ in range(turns)]
    tokenizers.count_request("gpt-4o", messages)

    def longer() -> tuple[tuple[str, list[dict[str, str]]], dict[str, Any]]:
        messages.append({"role": "user", "content": next(texts)})
        return ("gpt-4o", messages), {}

    benchmark.pedantic(tokenizers.count_request, setup=longer, rounds=50)


@pytest.mark.parametrize("size", SIZES)
def test_a_text_seen_before(
    benchmark: BenchmarkFixture, tokenizers: Tokenizers, prose: Callable[[int], Iterator[str]], size: int
) -> None:
    """The history of a chat, which comes again with every turn."""
    benchmark.group = f"seen before, {size:,} tokens"
    text = next(prose(size))
    tokenizers.count_text("gpt-4o", text)

    benchmark(tokenizers.count_text, "gpt-4o", text)


def _replay(benchmark: Any, seconds: list[float]) -> None:
    """Put measured times into the table as they are."""
    clock = itertools.accumulate(itertools.chain.from_iterable((0.0, each) for each in seconds))
    benchmark._timer = lambda: next(clock)
    benchmark.pedantic(lambda: None, rounds=len(seconds), iterations=1)
