"""
What rating a call takes: our integers on a price resolved once, beside genai-prices' decimals.

Run: make bench ARGS="-k rating". Both rate the same usage of the same models to the same figure, in one
run on one machine, so the ratio says more than either time.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import genai_prices
import pytest

from ptmeter.domain.usage import Usage
from ptmeter.providers.prices import GenaiPrices
from ptmeter.providers.usage import UsageStream, read_usage

if TYPE_CHECKING:
    from decimal import Decimal

    from pytest_benchmark.fixture import BenchmarkFixture

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
MODELS = ("gpt-5", "gpt-6.1-sol", "claude-sonnet-4-5", "gemini-2.5-pro")
PAYLOADS = Path(__file__).parent.parent / "tests" / "corpus"

USAGE = Usage(input_uncached=1_203, input_cache_read=8_192, output_text=457, output_reasoning=193)
THEIRS = genai_prices.Usage(
    input_tokens=USAGE.input_total,
    cache_read_tokens=USAGE.input_cache_read,
    output_tokens=USAGE.output_total,
    output_reasoning_tokens=USAGE.output_reasoning,
)


@pytest.fixture(scope="module")
def listed() -> GenaiPrices:
    """Return one catalogue for all: it resolves each model once."""
    return GenaiPrices()


@pytest.mark.benchmark(group="rating: usage and price to cost")
@pytest.mark.parametrize("model", MODELS)
def test_rating_ours(benchmark: BenchmarkFixture, model: str, listed: GenaiPrices) -> None:
    """Price.cost alone: the price is at hand, as it is from the second call of a model on."""
    price = listed.price(model, AT)

    cost = benchmark(price.cost, USAGE)

    assert cost.nano == round(calc_price(model) * 10**9)


@pytest.mark.benchmark(group="rating: usage and price to cost")
@pytest.mark.parametrize("model", MODELS)
def test_rating_ours_by_name(benchmark: BenchmarkFixture, model: str, listed: GenaiPrices) -> None:
    """The name of the model and the time to the cost, through the catalogue's memory."""
    cost = benchmark(lambda: listed.price(model, AT).cost(USAGE))

    assert cost.nano == round(calc_price(model) * 10**9)


@pytest.mark.benchmark(group="rating: usage and price to cost")
@pytest.mark.parametrize("model", MODELS)
def test_rating_genai_prices(benchmark: BenchmarkFixture, model: str) -> None:
    """calc_price with the name of the model, which it too remembers."""
    assert benchmark(calc_price, model) > 0


@pytest.mark.benchmark(group="rating: the first price of a model")
def test_rating_first_lookup(benchmark: BenchmarkFixture) -> None:
    """What the first call of a model pays: the search in the catalogue and the conversion to integers."""
    assert benchmark(lambda: GenaiPrices().price("claude-sonnet-4-5-20250929", AT)).rates


@pytest.mark.benchmark(group="rating: reading the usage")
@pytest.mark.parametrize("name", ["openai-chat", "openai-responses", "anthropic-web-search"])
def test_reading_an_answer(benchmark: BenchmarkFixture, name: str) -> None:
    """A whole answer as a dictionary to a reading."""
    body = json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))["response"]

    assert benchmark(read_usage, body).usage.total


@pytest.mark.benchmark(group="rating: reading the usage")
@pytest.mark.parametrize("name", ["openai-chat", "anthropic-web-search"])
def test_reading_a_stream(benchmark: BenchmarkFixture, name: str) -> None:
    """A stream of 1,000 text events and those around them, as dictionaries, to a reading."""
    events = json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))["stream"]
    long = [*events[:3], *(events[2:3] * 1_000), *events[3:]]

    def read() -> UsageStream:
        stream = UsageStream()
        for event in long:
            stream.feed(event)
        return stream

    assert benchmark(read).reading().usage.total


def calc_price(model: str) -> Decimal:
    """Return genai-prices' cost of the same usage, in dollars."""
    return genai_prices.calc_price(THEIRS, model, genai_request_timestamp=AT).total_price
