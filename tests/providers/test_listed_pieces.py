"""Pieces that providers document and the catalogue does not list: what they cost, from when, and for which models."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ptmeter import GenaiPrices, Money, Price, Processing, UnknownModelError, Usage, read_prices
from ptmeter.domain.prices import ALWAYS
from ptmeter.providers.listed_pieces import DOCUMENTED, with_pieces

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
TOLD = datetime(2025, 11, 19, tzinfo=UTC)


@pytest.fixture(scope="module")
def listed() -> GenaiPrices:
    return GenaiPrices()


@pytest.mark.parametrize(
    ("model", "piece", "dollars"),
    [
        ("grok-4.5", "web_search", "0.005"),
        ("xai/grok-4-1-fast-reasoning", "x_search", "0.005"),
        ("grok-4.20", "code_execution", "0.005"),
        ("grok-4.20", "file_search", "0.0025"),
        ("grok-4.20", "live_search_source", "0.025"),
        ("gemini-2.5-pro", "maps_grounding", "0.025"),
        ("gemini/gemini-2.5-flash-lite", "maps_grounding", "0.025"),
    ],
)
def test_a_documented_piece_has_its_price(
    model: str, piece: str, dollars: str, listed: GenaiPrices
) -> None:
    """As the provider's page has it, beside tokens that cost what the catalogue lists; the source names both."""
    found = listed.price(model, AT)

    assert Money.usd(dollars) == found.cost(Usage(tool_calls={piece: 1}))
    assert found.source.startswith("genai-prices ")
    assert any(pieces.source in found.source for pieces in DOCUMENTED)
    assert found.rates["input_uncached"]


@pytest.mark.parametrize(
    ("model", "piece"),
    [
        ("gemini-3-flash-preview", "maps_grounding"),
        ("gemini-3.1-pro-preview", "maps_grounding"),
        ("gpt-5", "code_execution"),
        ("gpt-5", "x_search"),
        ("groq/openai/gpt-oss-120b", "web_search"),
    ],
)
def test_what_nobody_documents_by_the_piece_has_none(model: str, piece: str, listed: GenaiPrices) -> None:
    """The error names it and shows the override that prices it, in full but for the amount."""
    price = listed.price(model, AT)

    with pytest.raises(UnknownModelError) as caught:
        price.cost(Usage(input_uncached=1, tool_calls={piece: 1}))

    assert f"price for {piece}" == caught.value.missing
    line = f'{{"prices": {{"{price.provider}/{price.model}": [{{"usd_per_tool_call": {{"{piece}": "US'
    assert line in str(caught.value)


def test_a_price_begins_when_its_page_says(listed: GenaiPrices) -> None:
    """Before 19 November 2025 xAI's tools had other prices; what they were is not known here, so there is none."""
    before, since = (listed.price("grok-4-0709", at) for at in (TOLD - timedelta(seconds=1), TOLD))

    assert Money.usd("0.005") == since.cost(Usage(tool_calls={"x_search": 1}))
    assert before.rates == since.rates
    with pytest.raises(UnknownModelError, match="no price for x_search"):
        before.cost(Usage(tool_calls={"x_search": 1}))


def test_every_documented_price_says_where_from_and_is_used(listed: GenaiPrices) -> None:
    """None without a page, none for a model that is not there, none that the catalogue lists by now for all of them."""
    everything = listed.everything().prices
    for pieces in DOCUMENTED:
        assert "." in pieces.source.partition(",")[0]
        assert any(
            pieces.source in price.source and pieces.tools.items() <= price.tools.items()
            for history in everything.values()
            for price in history
        )


def test_what_the_catalogue_lists_comes_first() -> None:
    """Once it lists a piece of a model, its price counts and not the one that is here."""
    facts: dict[str, Any] = {
        "provider": "x-ai",
        "model": "grok-9",
        "source": "catalogue",
        "rates": {"output_text": 1},
    }
    plain = Price(**facts)
    own = replace(plain, tools={"web_search": 7})

    [_, *_, added] = with_pieces((plain,))
    [*_, kept] = with_pieces((own,))

    assert (5_000_000, 7) == (added.tools["web_search"], kept.tools["web_search"])
    assert 5_000_000 == kept.tools["x_search"]
    assert () == with_pieces(())


def test_an_override_of_pieces_leaves_the_tokens_as_they_are() -> None:
    """One line prices a tool: under any name of the model, for its processing only, and it comes before what is here."""
    line = {
        "prices": {"google/gemini-3-flash-preview": [{"usd_per_tool_call": {"maps_grounding": "0.014"}}]}
    }
    prices = GenaiPrices(read_prices(line))
    plain = GenaiPrices().price("gemini-3-flash-preview", AT)

    for name in (
        "gemini-3-flash-preview",
        "google/gemini-3-flash-preview",
        "gemini/gemini-3-flash-preview",
    ):
        found = prices.price(name, AT)
        assert (plain.rates, plain.tiers) == (found.rates, found.tiers)
        assert {**plain.tools, "maps_grounding": 14_000_000} == found.tools
        assert prices.price(name, AT) is found
    batch = prices.price("gemini-3-flash-preview", AT, processing=Processing.BATCH)
    assert "maps_grounding" not in batch.tools
    assert prices.everything().prices["google/gemini-3-flash-preview"][-1].tools == found.tools
    own = GenaiPrices(
        read_prices({"prices": {"x-ai/grok-4.5": [{"usd_per_tool_call": {"x_search": "0.001"}}]}})
    )
    assert 1_000_000 == own.price("grok-4.5", AT).tools["x_search"]


def test_an_override_of_pieces_lies_over_ones_own_price_too() -> None:
    """And where nobody lists the model, it is all there is."""
    rates = {"input_uncached": 1, "output_text": 2}
    pieces = {"usd_per_tool_call": {"search_unit": "0.002"}, "effective_from": "2026-02-01"}
    own = {
        "own/m": [{"usd_per_million_tokens": rates}, pieces],
        "rerank-v3.5": [{"provider": "cohere", **pieces}],
    }
    prices = GenaiPrices(read_prices({"prices": own}))

    both = prices.prices("own/m")

    assert [({}, ALWAYS), ({"search_unit": 2_000_000}, datetime(2026, 2, 1, tzinfo=UTC))] == [
        (price.tools, price.effective_from) for price in both
    ]
    assert both[0].rates == both[1].rates
    alone = prices.price("rerank-v3.5", AT)
    assert Money.usd("0.006") == alone.cost(Usage(tool_calls={"search_unit": 3}))
    with pytest.raises(UnknownModelError):
        prices.price("rerank-v3.5", datetime(2026, 1, 1, tzinfo=UTC))


def test_characters_are_listed_by_the_million(listed: GenaiPrices) -> None:
    """A text that is spoken aloud is billed by its characters: US$15 a million at tts-1."""
    assert Money.usd("0.015") == listed.price("tts-1", AT).cost(Usage(tool_calls={"character": 1_000}))
    assert Money.usd("0.03") == listed.price("tts-1-hd", AT).cost(Usage(tool_calls={"character": 1_000}))
