"""
An estimate of a request of about 1,000 tokens: count, price, rate, twice (expected and at most).

Beside it in the same run: tiktoken's ``encode`` of the same text alone, and litellm's ``token_counter`` +
``cost_per_token`` where there is an interpreter that has it (PTMETER_LITELLM_PYTHON).
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ptmeter import Policy, Tokenizers, Usage, reference_card
from ptmeter.pricing import Pricing
from ptmeter.providers import encodings
from ptmeter.providers.prices import GenaiPrices

MODEL = "gpt-4o-mini"
WORDS = (
    "The ledger keeps every token it was given, in the order it was given, and says what each of them "
    "was used for; nothing is taken twice and nothing is lost when the power fails. "
) * 29


def texts() -> Any:
    """Texts of about 1,000 tokens of which no two are the same, so that nothing is remembered."""
    return (f"{number} {WORDS}" for number in itertools.count())


def test_raw_encode(benchmark: Any) -> None:
    """Tiktoken's encode, and nothing else."""
    encoding = encodings.load(encodings.O200K).encoding
    stream = texts()

    benchmark.group = "estimate, 1,000 tokens"
    benchmark(lambda: encoding.encode(next(stream), disallowed_special=()))


def test_estimate(benchmark: Any) -> None:
    """Our whole estimate."""
    pricing = Pricing([reference_card()], Policy(), catalogue=GenaiPrices(), tokens=Tokenizers())
    pricing.estimate(MODEL, "warm")
    stream = texts()

    benchmark.group = "estimate, 1,000 tokens"
    benchmark(lambda: pricing.estimate(MODEL, [{"role": "user", "content": next(stream)}]))


def test_rate(benchmark: Any) -> None:
    """Rating what a call used."""
    pricing = Pricing([reference_card()], Policy(), catalogue=GenaiPrices(), tokens=Tokenizers())
    usage = Usage(input_uncached=1_000, input_cache_read=500, output_text=400)

    benchmark.group = "rate one call"
    benchmark(lambda: pricing.charge(MODEL, usage))


def test_litellm_pair(benchmark: Any) -> None:
    """Litellm's two calls, timed in its own interpreter; what is shown here is its median."""
    python = os.environ.get("PTMETER_LITELLM_PYTHON")
    if not python:
        pytest.skip("set PTMETER_LITELLM_PYTHON to a python that has litellm")
    script = Path(__file__).with_name("litellm_pair.py")
    ran = subprocess.run(
        [python, str(script), MODEL, "300"], input=WORDS, capture_output=True, text=True, check=True
    )
    measured = json.loads(ran.stdout.splitlines()[-1])
    seconds = iter(measured["seconds"])

    benchmark.group = "estimate, 1,000 tokens"
    benchmark.extra_info["litellm"] = measured["version"]
    _replay(benchmark, list(seconds))


def test_import(benchmark: Any) -> None:
    """``import ptmeter`` in a new interpreter, beside one that imports nothing."""
    benchmark.group = "import"
    benchmark(lambda: subprocess.run([sys.executable, "-c", "import ptmeter"], check=True))


def test_import_nothing(benchmark: Any) -> None:
    """A new interpreter that imports nothing."""
    benchmark.group = "import"
    benchmark(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True))


def _replay(benchmark: Any, seconds: list[float]) -> None:
    """Put measured times into the table as they are."""
    clock = itertools.accumulate(itertools.chain.from_iterable((0.0, each) for each in seconds))
    benchmark._timer = lambda: next(clock)
    benchmark.pedantic(lambda: None, rounds=len(seconds), iterations=1)
