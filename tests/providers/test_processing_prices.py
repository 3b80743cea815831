"""Prices by how calls are processed: listed or refused, the same as genai-prices', and overridden one by one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal

import genai_prices
import pytest
from genai_prices.data import providers
from genai_prices.types import (
    ClauseEquals,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
    TimeOfDateConstraint,
)
from tests.providers.test_prices import AT, nano, theirs

from ptmeter import ConfigurationError, GenaiPrices, InvalidArgumentError, Price, UnknownModelError, Usage
from ptmeter.domain.prices import Processing
from ptmeter.providers.listed_prices import CONTEXTS

BATCH, FLEX, PRIORITY, FAST = (
    Processing.BATCH,
    Processing.FLEX,
    Processing.PRIORITY,
    Processing.FAST,
)

USAGE = Usage(input_uncached=1_203, input_cache_read=1_921, output_text=457, output_reasoning=193)

# Nano-dollars, by hand from the price pages: 1,203 in, 1,921 from the cache, 650 out.
GOLDEN = {
    ("o3", "openai", Processing.STANDARD): 2_406_000 + 960_500 + 5_200_000,
    ("o3", "openai", FLEX): 1_203_000 + 480_250 + 2_600_000,
    ("o3", "openai", PRIORITY): 4_210_500 + 1_680_875 + 9_100_000,
    ("o3", "openai", FAST): 4_210_500 + 1_680_875 + 9_100_000,
    ("o3", "openai", BATCH): 1_203_000 + 960_500 + 2_600_000,
    ("claude-opus-5-5", "anthropic", Processing.STANDARD): 4_812_000 + 384_200 + 13_000_000,
    ("claude-opus-5-5", "anthropic", FAST): 9_624_000 + 768_400 + 26_000_000,
    ("claude-opus-5-5", "anthropic", BATCH): 2_406_000 + 192_100 + 6_500_000,
    ("gemini-2.5-pro", "google", BATCH): 751_875 + 240_125 + 3_250_000,
    ("grok-4.3", "x-ai", BATCH): 1_203_000 + 307_360 + 1_300_000,
    ("mistral-large-4", "mistral", BATCH): 421_050 + 67_235 + 682_500,
}


@pytest.fixture(scope="module")
def listed() -> GenaiPrices:
    return GenaiPrices()


def of_own(processing: Processing, rate: int = 1, *, model: str = "o3", provider: str = "openai") -> Price:
    rates = {"input_uncached": rate, "output_text": rate}
    return Price(provider=provider, model=model, source="ours", rates=rates, processing=processing)


def in_catalogue(monkeypatch: pytest.MonkeyPatch, *variants: PriceVariant) -> GenaiPrices:
    """A catalogue of one model at 2 and 4 dollars, with these variants."""
    standard = ModelPrice(input_mtok=Decimal(2), output_mtok=Decimal(4))
    model = ModelInfo(id="m", match=ClauseEquals("m"), prices=standard, price_variants=list(variants))
    made_up = Provider(id="p", name="P", api_pattern="", model_match=ClauseEquals("m"), models=[model])
    monkeypatch.setattr("genai_prices.data.providers", [made_up])
    return GenaiPrices()


@pytest.mark.parametrize(("model", "provider", "processing"), GOLDEN)
def test_a_call_costs_what_its_processing_is_listed_at(
    model: str, provider: str, processing: Processing, listed: GenaiPrices
) -> None:
    """Golden to the nano-dollar, and what genai-prices makes of it in this very test."""
    found = genai_prices.calc_price(
        theirs(USAGE),
        model,
        provider_id=provider,
        genai_request_timestamp=AT,
        price_context=dict(CONTEXTS.get(processing, {})),
    )
    price = listed.price(model, AT, processing=processing)

    assert GOLDEN[model, provider, processing] == price.cost(USAGE).nano
    assert nano(found.total_price) == price.cost(USAGE).nano
    assert processing is price.processing


@pytest.mark.parametrize(
    ("model", "processing"),
    [
        ("gemini-2.5-pro", PRIORITY),
        ("claude-opus-5-5", PRIORITY),
        ("claude-haiku-5-5", FAST),
        ("gpt-4o", FLEX),
        ("grok-4.5", BATCH),
        ("o3", Processing.ULTRAFAST),
    ],
)
def test_no_other_price_stands_in(model: str, processing: Processing, listed: GenaiPrices) -> None:
    """Where genai-prices would take the standard price, there is none; the error says which is missing."""
    with pytest.raises(UnknownModelError, match=f"no {processing} price is known for model '{model}'"):
        listed.price(model, AT, processing=processing)
    with pytest.raises(UnknownModelError, match=f"no {processing} price"):
        listed.prices(model, processing=processing)
    assert listed.price(model, AT).rates


def test_there_is_no_price_before_the_first(listed: GenaiPrices) -> None:
    """Flexible processing is listed from 12 October 2026 on: before, nobody verified it."""
    first = datetime(2026, 10, 12, tzinfo=UTC)

    assert first == listed.price("o3", first, processing=FLEX).effective_from
    with pytest.raises(UnknownModelError, match="no flex price"):
        listed.price("o3", datetime(2026, 10, 11, 23, 59, tzinfo=UTC), processing=FLEX)


def test_another_hosts_tiers_are_not_taken(listed: GenaiPrices) -> None:
    """A model that Azure is only listed with by way of OpenAI has Azure's standard price, and no other."""
    azure = next(one for one in providers if one.id == "azure")
    names = [
        info.id for one in providers if one.id == "openai" for info in one.models if info.price_variants
    ]
    borrowed = [name for name in names if not any(info.id == name for info in azure.models)]
    assert borrowed

    assert "azure" == listed.price(borrowed[0], AT, provider="azure").provider
    with pytest.raises(UnknownModelError, match="no batch price"):
        listed.price(borrowed[0], AT, provider="azure", processing=BATCH)


def test_of_several_variants_the_first_counts_figure_by_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """As genai-prices resolves them; what none of them lists costs what it does otherwise."""
    when = {"service_tier": "flex"}
    newer = PriceVariant(when, ModelPrice(input_mtok=Decimal(1)), StartDateConstraint(date(2026, 6, 1)))
    older = PriceVariant(when, ModelPrice(input_mtok=Decimal(3), output_mtok=Decimal(5)))
    old, new = in_catalogue(monkeypatch, newer, older).prices("m", processing=FLEX)

    assert (3_000_000, 5_000_000) == (old.rates["input_uncached"], old.rates["output_text"])
    assert (1_000_000, 5_000_000) == (new.rates["input_uncached"], new.rates["output_text"])
    assert datetime(2026, 6, 1, tzinfo=UTC) == new.effective_from


def test_a_variant_by_the_hour_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is none today, and one that came would have to be looked at: it is not taken for the whole day's."""
    night = TimeOfDateConstraint(time(22, tzinfo=UTC), time(6, tzinfo=UTC))
    variant = PriceVariant({"processing": "batch"}, ModelPrice(input_mtok=Decimal(1)), night)
    listed = in_catalogue(monkeypatch, variant)

    with pytest.raises(ConfigurationError, match="p/m: the batch price depends on the time of day"):
        listed.price("m", AT, processing=BATCH)
    assert 2_000_000 == listed.price("m", AT).rates["input_uncached"]


def test_other_contexts_are_no_processing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variant for something else, such as where a call is routed, is taken for no processing."""
    routed = PriceVariant({"route": "eu"}, ModelPrice(input_mtok=Decimal(1)))
    both = PriceVariant({"processing": "batch", "route": "eu"}, ModelPrice(input_mtok=Decimal(1)))
    listed = in_catalogue(monkeypatch, routed, both)

    for processing in CONTEXTS:
        with pytest.raises(UnknownModelError):
            listed.price("m", AT, processing=processing)


def test_everything_names_each_processing() -> None:
    """The whole list has a line for each, under the model's name with the processing in brackets."""
    own = [of_own(Processing.STANDARD, 7), of_own(BATCH, 3)]
    found = GenaiPrices({"o3": own}).everything().prices

    assert {
        "openai/o3",
        "openai/o3 (batch)",
        "openai/o3 (flex)",
        "anthropic/claude-opus-5-5 (fast)",
    } <= set(found)
    assert (7, 3) == tuple(
        found[name][0].rates["output_text"] for name in ("openai/o3", "openai/o3 (batch)")
    )
    assert all(name == price.full_name for name, history in found.items() for price in history)


# --- overrides ---


@pytest.mark.parametrize("name", ["o3", "openai/o3", "o3-2025-04-16"])
@pytest.mark.parametrize("override", ["o3", "openai/o3"])
def test_an_override_is_for_its_processing_only(override: str, name: str) -> None:
    """It takes the place of the price for the same processing, however the model is written, and of no other."""
    listed = GenaiPrices({override: [of_own(BATCH)]})

    assert of_own(BATCH) == listed.price(name, AT, processing=BATCH)
    assert 2_000_000 == listed.price(name, AT).rates["input_uncached"]
    assert 1_000_000 == listed.price(name, AT, processing=FLEX).rates["input_uncached"]


def test_a_standard_override_is_not_taken_for_a_batch() -> None:
    """A house model with one price has that one: a batch of it is refused until it is given its own."""
    standard = of_own(Processing.STANDARD, model="own", provider="house")

    with pytest.raises(UnknownModelError, match="no batch price is known for model 'house/own'"):
        GenaiPrices({"house/own": [standard]}).price("house/own", AT, processing=BATCH)


def test_the_histories_of_an_override_are_kept_apart() -> None:
    """Each processing has dates of its own, written in any order."""
    june = datetime(2026, 6, 1, tzinfo=UTC)
    dated = [
        replace(of_own(BATCH, 2), effective_from=june),
        of_own(Processing.STANDARD, 5),
        of_own(BATCH, 3),
    ]
    listed = GenaiPrices({"own": dated})

    assert [3, 2] == [price.rates["output_text"] for price in listed.prices("own", processing=BATCH)]
    assert [5] == [price.rates["output_text"] for price in listed.prices("own")]


# --- the price itself ---


def test_the_version_of_a_standard_price_is_what_it_was() -> None:
    """A price without a processing to name is the same text as ever, so every version written down still holds."""
    price = of_own(Processing.STANDARD)

    assert "processing" not in json.loads(price.as_json())
    assert price == Price.from_json(price.as_json())
    assert "84e490083afdd9a1" == price.version


@pytest.mark.parametrize("processing", [BATCH, FLEX, PRIORITY, FAST, Processing.ULTRAFAST])
def test_a_price_says_what_it_is_for(processing: Processing) -> None:
    """It comes back from JSON as it was, and is not the same as any other with these figures."""
    price = of_own(processing)
    back = Price.from_json(price.as_json())

    assert (price, processing, price.version) == (back, back.processing, back.version)
    assert price != of_own(Processing.STANDARD)
    assert price.version != of_own(Processing.STANDARD).version
    assert f"openai/o3 ({processing})" == price.full_name


def test_nothing_is_priced_as_unknown() -> None:
    """Nobody can say what a tier costs that nobody knows."""
    with pytest.raises(InvalidArgumentError, match="a service tier that is not known has no price"):
        of_own(Processing.UNKNOWN)
