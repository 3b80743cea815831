"""The price catalogue: exact integers that cost what genai-prices says, and nothing where it says nothing."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from importlib.metadata import version
from math import floor
from random import Random
from time import sleep
from typing import TYPE_CHECKING, Any

import genai_prices
import pytest
from genai_prices.data import providers
from genai_prices.data_units import unit_data
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)
from genai_prices.types import Tier as Step
from hypothesis import given
from hypothesis import strategies as st

from ptmeter.domain.prices import ALWAYS, Price, Processing, Tier
from ptmeter.domain.pt import Money
from ptmeter.domain.usage import TOKEN_CLASSES, Usage
from ptmeter.errors import ConfigurationError, InvalidArgumentError, UnknownModelError
from ptmeter.providers import prices as catalogue
from ptmeter.providers.listed_prices import CONTEXTS, FALLBACKS, listed_history
from ptmeter.providers.prices import GenaiPrices

if TYPE_CHECKING:
    from collections.abc import Iterator

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
SOURCE = f"genai-prices {version('genai-prices')}"

SHAPES = {
    "plain": Usage(input_uncached=1_203, output_text=457),
    "cached": Usage(input_uncached=86, input_cache_read=1_921, output_text=107, output_reasoning=193),
    "written": Usage(
        input_uncached=51,
        input_cache_read=18_003,
        input_cache_write_5m=1_301,
        input_cache_write_1h=2_003,
        output_text=503,
    ),
    "long": Usage(input_uncached=200_001, input_cache_read=80_003, output_text=1_009, output_reasoning=13),
}

# What each shape costs in nano-dollars, in the order above.
COSTS = {
    "gpt-4o-mini": (454_650, 336_975, 2_155_275, 36_613_575),
    "gpt-4.1": (6_062_000, 3_532_500, 19_735_500, 448_179_500),
    "gpt-5": (6_073_750, 3_347_625, 11_474_125, 270_221_625),
    "o3": (6_062_000, 3_532_500, 19_735_500, 448_179_500),
    "gpt-5.6-luna": (789_000, 415_620, 1_799_860, 85_040_120),
    "gpt-6.1-sol": (6_976_000, 3_364_100, 15_192_300, 831_334_600),
    "gpt-6.1-terra": (3_488_000, 1_682_050, 7_596_150, 415_667_300),
    "claude-sonnet-4-5": (10_464_000, 5_334_300, 29_995_650, 1_271_002_800),
    "claude-opus-5-5": (13_952_000, 6_728_200, 36_393_600, 836_444_600),
    "claude-haiku-5-5": (348_800, 177_810, 999_855, 106_555_650),
    "claude-opus-4-8": (17_440_000, 8_890_500, 49_992_750, 1_065_556_500),
    "gemini-2.5-pro": (6_073_750, 3_347_625, 11_474_125, 535_333_250),
    "gemini-2.5-flash": (1_503_400, 833_430, 2_804_090, 64_955_390),
    "grok-4.5": (5_148_000, 2_548_300, 15_128_900, 860_269_800),
    "mistral-large-4": (1_801_800, 824_670, 4_665_010, 147_747_110),
    "kimi-k3": (10_464_000, 5_334_300, 29_019_900, 639_333_900),
}


LEAST_COMPARED = {
    Processing.STANDARD: 2_000,
    Processing.BATCH: 200,
    Processing.FLEX: 40,
    Processing.PRIORITY: 40,
    Processing.FAST: 50,
    Processing.ULTRAFAST: 0,
}
"""How many costs there are to compare at least, by how calls are processed."""


@pytest.fixture(scope="module")
def listed() -> GenaiPrices:
    return GenaiPrices()


def theirs(usage: Usage) -> genai_prices.Usage:
    """The same usage in genai-prices' words: totals that include everything, and what is inside them."""
    return genai_prices.Usage(
        input_tokens=usage.input_total,
        cache_read_tokens=usage.input_cache_read
        + usage.input_cache_read_audio
        + usage.input_cache_read_image,
        cache_write_tokens=usage.input_cache_write_5m + usage.input_cache_write_1h,
        cache_write_5m_tokens=usage.input_cache_write_5m,
        cache_write_1h_tokens=usage.input_cache_write_1h,
        input_audio_tokens=usage.input_audio + usage.input_cache_read_audio,
        cache_audio_read_tokens=usage.input_cache_read_audio,
        input_image_tokens=usage.input_image + usage.input_cache_read_image,
        cache_image_read_tokens=usage.input_cache_read_image,
        output_tokens=usage.output_total,
        output_reasoning_tokens=usage.output_reasoning,
        output_audio_tokens=usage.output_audio,
        output_image_tokens=usage.output_image,
        web_searches=usage.tool_calls.get("web_search", 0),
        storage_searches=usage.tool_calls.get("file_search", 0),
        input_document_pages=usage.tool_calls.get("ocr_page", 0)
        + usage.tool_calls.get("ocr_annotated_page", 0),
        input_annotated_document_pages=usage.tool_calls.get("ocr_annotated_page", 0),
        audio_seconds=usage.tool_calls.get("audio_second", 0),
        input_audio_seconds=usage.tool_calls.get("audio_second", 0),
    )


def nano(dollars: Decimal) -> int:
    return int((dollars * 10**9).to_integral_value(ROUND_HALF_UP))


def their_cost(model: str, usage: Usage) -> int:
    return nano(genai_prices.calc_price(theirs(usage), model, genai_request_timestamp=AT).total_price)


def free(model: str) -> Price:
    return Price(provider="own", model=model, source="ours", rates=dict.fromkeys(TOKEN_CLASSES, 0))


def flat(**rates: str) -> ModelPrice:
    return ModelPrice(**{f"{name}_mtok": Decimal(rate) for name, rate in rates.items()})


def in_catalogue(monkeypatch: pytest.MonkeyPatch, prices: Any) -> GenaiPrices:
    model = ModelInfo(id="m", match=ClauseEquals("m"), prices=prices)
    made_up = Provider(id="p", name="P", api_pattern="", model_match=ClauseEquals("m"), models=[model])
    monkeypatch.setattr("genai_prices.data.providers", [made_up])
    return GenaiPrices()


# --- the same cost as genai-prices, to the nano-dollar ---


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("model", COSTS)
def test_a_call_costs_what_genai_prices_says(model: str, shape: str, listed: GenaiPrices) -> None:
    """Sixteen models and four shapes: the integer cost is the expected figure, and theirs rounded to it."""
    expected = COSTS[model][list(SHAPES).index(shape)]

    assert expected == listed.price(model, AT).cost(SHAPES[shape]).nano
    assert expected == their_cost(model, SHAPES[shape])


@pytest.mark.parametrize(
    ("model", "last_below", "expected"),
    [
        ("gemini-2.5-pro", 200_000, (250_010_000, 500_017_500)),
        ("claude-sonnet-4-5", 200_000, (600_015_000, 1_200_028_500)),
        ("grok-4.5", 199_999, (399_998_000 + 6_000, 800_012_000)),
        ("gpt-6.1-sol", 272_000, (544_010_000, 1_088_019_000)),
        ("claude-haiku-5-5", 100_000, (10_000_500, 50_003_000)),
    ],
)
def test_one_token_over_the_cliff_reprices_the_whole_request(
    model: str, last_below: int, expected: tuple[int, int], listed: GenaiPrices
) -> None:
    """Tiers change the price of every token, at the very token at which genai-prices changes it (xAI's is ≥ 200k)."""
    usages = [Usage(input_uncached=last_below + more, output_text=1) for more in (0, 1)]
    price = listed.price(model, AT)

    assert [their_cost(model, usage) for usage in usages] == [price.cost(usage).nano for usage in usages]
    assert expected == tuple(price.cost(usage).nano for usage in usages)


def test_the_cliff_goes_by_all_input_cached_or_not(listed: GenaiPrices) -> None:
    """Cached, written and plain input count together towards the cliff; output does not."""
    price = listed.price("claude-sonnet-4-5", AT)
    parts = Usage(input_uncached=1, input_cache_read=150_000, input_cache_write_5m=50_000)

    assert their_cost("claude-sonnet-4-5", parts) == price.cost(parts).nano
    assert 2 * 3_000 < price.cost(parts).nano - price.cost(replace(parts, input_uncached=0)).nano
    assert 15_000 * 900_000 == price.cost(Usage(output_text=900_000)).nano


def test_the_cross_check_sees_a_cliff_that_is_one_token_off(listed: GenaiPrices) -> None:
    """Positive control: with ≥ in place of >, the comparison at the boundary fails."""
    price = listed.price("gemini-2.5-pro", AT)
    off = replace(price, tiers=tuple(Tier(tier.above - 1, tier.rates) for tier in price.tiers))
    at_the_edge = Usage(input_uncached=200_000)

    assert their_cost("gemini-2.5-pro", at_the_edge) == price.cost(at_the_edge).nano
    assert their_cost("gemini-2.5-pro", at_the_edge) != off.cost(at_the_edge).nano


@pytest.mark.parametrize("processing", [Processing.STANDARD, *CONTEXTS])
def test_the_whole_catalogue_costs_the_same(processing: Processing) -> None:
    """
    Every model at every date, however it is processed: our cost is theirs rounded, or refused.

    The exceptions are prices by time of day, of which ours is the dearest, and so never below theirs.
    """
    random = Random(20261122)
    compared, dearer, disagreements = 0, 0, list[str]()
    for provider, model, history in _catalogue(processing):
        for price, until in zip(
            history, [*(later.effective_from for later in history[1:]), AT], strict=True
        ):
            at = _between(price.effective_from, until, random)
            for usage in _usages(price, random):
                ours = price.cost(usage).nano
                found = model.calc_price(
                    theirs(usage),
                    provider,
                    genai_request_timestamp=at,
                    price_context=dict(CONTEXTS.get(processing, {})),
                )
                cost = nano(found.total_price)
                compared += 1
                if "dearest time of day" in price.source and ours > cost:
                    dearer += 1
                elif ours != cost:
                    disagreements.append(f"{provider.id}/{model.id} at {at}: {ours} != {cost}")

    assert [] == disagreements
    assert LEAST_COMPARED[processing] <= compared
    assert (0 < dearer < compared / 100) == (processing is Processing.STANDARD)


def _catalogue(processing: Processing) -> Iterator[tuple[Provider, ModelInfo, list[Price]]]:
    for provider in providers:
        for model in provider.models:
            try:
                history = list(listed_history(provider, model, processing))
            except ConfigurationError:
                continue
            if history and all({"input_uncached", "output_text"} <= set(price.rates) for price in history):
                yield provider, model, history


def _between(since: datetime, until: datetime, random: Random) -> datetime:
    return max(since, until - timedelta(days=30)) + timedelta(hours=random.randrange(24)) * (until > since)


def _usages(price: Price, random: Random) -> Iterator[Usage]:
    tools = {name: random.randrange(3) for name in price.tools if name not in ("web_fetch", "audio_hour")}
    tools |= {"audio_second": random.randrange(36_000)} if "audio_hour" in price.tools else {}
    for _ in range(2):
        used: dict[str, Any] = {
            name: random.choice([0, 0, random.randrange(300_000)]) for name in price.rates
        }
        yield Usage(**used, tool_calls=tools)
    for tier in price.tiers[:1]:
        for more in (0, 1):
            cached = -(-tier.above // 2) + more
            yield Usage(input_uncached=tier.above // 2, input_cache_read=cached, output_text=7)


def test_classes_fall_back_as_genai_prices_takes_them_apart() -> None:
    """The listed price of a class is that of the most particular unit it belongs to, by genai-prices' own dimensions."""
    traits: dict[str, dict[str, str]] = {
        "input_uncached": {"direction": "input", "modality": "text"},
        "input_cache_read": {"direction": "input", "token_type": "cache_read"},
        "input_cache_read_audio": {"direction": "input", "token_type": "cache_read", "modality": "audio"},
        "input_cache_read_image": {"direction": "input", "token_type": "cache_read", "modality": "image"},
        "input_cache_write_5m": {"direction": "input", "token_type": "cache_write", "cache_ttl": "5m"},
        "input_cache_write_1h": {"direction": "input", "token_type": "cache_write", "cache_ttl": "1h"},
        "input_audio": {"direction": "input", "modality": "audio"},
        "input_image": {"direction": "input", "modality": "image"},
        "output_text": {"direction": "output", "modality": "text"},
        "output_reasoning": {"direction": "output", "token_type": "reasoning"},
        "output_audio": {"direction": "output", "modality": "audio"},
        "output_image": {"direction": "output", "modality": "image"},
    }
    units = sorted(unit_data.values(), key=lambda unit: -len(unit["dimensions"]))
    derived = {
        name: tuple(
            unit["price_key"]
            for unit in units
            if unit["dimensions"].items() <= {"family": "tokens", **own}.items()
        )
        for name, own in traits.items()
    }

    assert set(TOKEN_CLASSES) == set(traits)
    assert derived == FALLBACKS


# --- names ---


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gpt-4o-mini", ("openai", "gpt-4o-mini")),
        ("GPT-4o-mini", ("openai", "gpt-4o-mini")),
        ("gpt-4o-mini-2024-07-18", ("openai", "gpt-4o-mini")),
        ("openai/gpt-4o-mini", ("openai", "gpt-4o-mini")),
        ("openai/gpt-4o-mini-2024-07-18", ("openai", "gpt-4o-mini")),
        ("gpt-5.2-20251211", ("openai", "gpt-5.2")),
        ("claude-sonnet-4-5-20250929", ("anthropic", "claude-sonnet-4-5")),
        ("anthropic/claude-sonnet-4-5", ("anthropic", "claude-sonnet-4-5")),
        ("gemini/gemini-2.5-pro", ("google", "gemini-2.5-pro")),
        ("x-ai/grok-4.5", ("x-ai", "grok-4.5")),
        ("azure/gpt-4o", ("azure", "gpt-4o")),
        ("openrouter/openai/gpt-4o-mini", ("openrouter", "openai/gpt-4o-mini")),
    ],
)
def test_the_ways_a_name_is_written(name: str, expected: tuple[str, str], listed: GenaiPrices) -> None:
    """A name with a date, with a provider before it or in capitals is the model one means."""
    price = listed.price(name, AT)

    assert expected == (price.provider, price.model)


def test_a_provider_may_be_said(listed: GenaiPrices) -> None:
    """Who serves a model can be said where the name does not say it, and need not be said twice."""
    [embedding] = listed.prices("text-embedding-3-small", provider="openai")
    [repeated] = listed.prices("openai/gpt-4o-mini", provider="openai")
    [routed] = listed.prices("openai/gpt-4o-mini", provider="openrouter")

    assert ("openai", 20_000) == (embedding.provider, embedding.rates["input_uncached"])
    assert ("openai", "gpt-4o-mini") == (repeated.provider, repeated.model)
    assert ("openrouter", "openai/gpt-4o-mini") == (routed.provider, routed.model)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "/",
            "gpt-9",
            "gpt-4o-mnii",
            "gpt-4o-mini:free",
            "openai/claude-sonnet-4-5",
            "text-embedding-3-small",
        ),
        *("openrouter/openai/gpt-oss-20b:free", "gemini/gemma-3"),
    ],
)
def test_an_unknown_model_has_no_price(name: str, listed: GenaiPrices) -> None:
    """A typo, an unknown name, a model listed as free: refused, never US$0 (P6)."""
    for ask in (lambda: listed.prices(name), lambda: listed.price(name, AT)):
        with pytest.raises(UnknownModelError) as caught:
            ask()
        assert (name, "price") == (caught.value.model, caught.value.missing)


def test_an_unknown_provider_has_no_price(listed: GenaiPrices) -> None:
    """A provider the catalogue does not know does not serve a model at another's price."""
    with pytest.raises(UnknownModelError):
        listed.prices("openai/gpt-4o-mini", provider="acme")


def test_what_has_no_price_is_refused_when_it_is_used(listed: GenaiPrices) -> None:
    """An embedding model has no output price, and a tool no price unless listed: using one is not free."""
    [embedding] = listed.prices("openai/text-embedding-3-small")

    with pytest.raises(UnknownModelError, match="output_text"):
        embedding.cost(Usage(input_uncached=1, output_text=1))
    with pytest.raises(UnknownModelError, match="code_execution"):
        listed.price("claude-opus-5-5", AT).cost(Usage(tool_calls={"code_execution": 1}))


# --- what a price holds ---


def test_pages_and_hours_are_priced_and_tokens_of_their_models_are_not(listed: GenaiPrices) -> None:
    """A page, plain or annotated, and a second of sound have a price; a token of such a model is refused."""
    pages, sound = listed.price("mistral-ocr-2512", AT), listed.price("groq/whisper-large-v3", AT)

    assert Money.usd("0.011") == pages.cost(Usage(tool_calls={"ocr_page": 1, "ocr_annotated_page": 3}))
    assert Money.usd("0.000925") == sound.cost(Usage(tool_calls={"audio_second": 30}))
    for price in (pages, sound):
        with pytest.raises(UnknownModelError, match="no price for input_uncached is known"):
            price.cost(Usage(input_uncached=1))


@pytest.mark.parametrize(
    "piece", ["classification", "image", "maps_grounding", "search_unit", "audio_second"]
)
def test_pieces_without_a_price_are_refused(piece: str, listed: GenaiPrices) -> None:
    """What is billed by the piece and not listed is named as what is missing; none of it is as good as nothing."""
    price = listed.price("grok-4.3", AT)

    with pytest.raises(UnknownModelError) as caught:
        price.cost(Usage(input_uncached=1, tool_calls={piece: 1}))
    assert f"price for {piece}" == caught.value.missing
    assert price.cost(Usage(input_uncached=1)) == price.cost(Usage(input_uncached=1, tool_calls={piece: 0}))


@given(
    tokens=st.integers(0, 10**6),
    rate=st.integers(0, 10**8),
    seconds=st.integers(0, 10**6),
    hour=st.integers(0, 10**10),
)
def test_seconds_cost_their_part_of_an_hour_to_the_nano_dollar(
    tokens: int, rate: int, seconds: int, hour: int
) -> None:
    """Tokens and seconds are added exactly and rounded once, half up, as fractions would be."""
    price = Price(
        provider="own", model="m", source="ours", rates={"input_uncached": rate}, tools={"audio_hour": hour}
    )
    exact = Fraction(tokens * rate, 1_000) + Fraction(seconds * hour, 3_600)

    cost = price.cost(Usage(input_uncached=tokens, tool_calls={"audio_second": seconds}))

    assert floor(exact + Fraction(1, 2)) == cost.nano


def test_a_second_may_have_a_price_of_its_own() -> None:
    """An override by the second comes before one by the hour."""
    tools = {"audio_hour": 3_600_000, "audio_second": 7}
    price = Price(provider="own", model="m", source="ours", rates={}, tools=tools)

    assert 70 == price.cost(Usage(tool_calls={"audio_second": 10})).nano


def test_a_price_is_in_whole_pico_dollars(listed: GenaiPrices) -> None:
    """US$0.15 per million tokens is 150,000 pico-dollars a token, and the source says which version lists it."""
    price = listed.price("gpt-4o-mini", AT)

    assert SOURCE == price.source
    assert {
        "input_uncached": 150_000,
        "input_cache_read": 75_000,
        "input_cache_read_audio": 75_000,
        "input_cache_read_image": 75_000,
        "input_cache_write_5m": 150_000,
        "input_cache_write_1h": 150_000,
        "input_audio": 150_000,
        "input_image": 150_000,
        "output_text": 600_000,
        "output_reasoning": 600_000,
        "output_audio": 600_000,
        "output_image": 600_000,
    } == price.rates
    assert {"web_search": 10_000_000, "file_search": 2_500_000} == price.tools
    assert price == Price.from_json(price.as_json())


def test_tools_and_requests_are_priced_per_call(listed: GenaiPrices) -> None:
    """A thousand searches for US$10 is ten million nano-dollars each; Anthropic's web fetch costs its tokens only."""
    claude = listed.price("claude-opus-5-5", AT).cost(Usage(tool_calls={"web_search": 3, "web_fetch": 9}))
    sonar = listed.price("sonar", AT, provider="perplexity")

    assert 30_000_000 == claude.nano
    assert 12_000_000 == sonar.request == sonar.cost(Usage()).nano


def test_prices_change_at_midnight_utc(listed: GenaiPrices) -> None:
    """The history has a price for each effective date, and the one in force is the latest that has begun."""
    history = listed.prices("mistral-large-4")
    dates = [ALWAYS, datetime(2026, 10, 20, tzinfo=UTC), datetime(2026, 10, 29, tzinfo=UTC)]
    before = datetime(2026, 10, 29, 0, 59, 59, tzinfo=timezone(timedelta(hours=1)))

    assert dates == [price.effective_from for price in history]
    assert [680_000, 1_360_000, 700_000] == [price.rates["input_uncached"] for price in history]
    assert history[1] == listed.price("mistral-large-4", before)
    assert history[2] == listed.price("mistral-large-4", before + timedelta(seconds=1))
    assert history[0] == listed.price("mistral-large-4", datetime(2020, 1, 1, tzinfo=UTC))


def test_a_time_without_a_zone_is_refused(listed: GenaiPrices) -> None:
    """Prices change at an instant, which a naive time does not name."""
    with pytest.raises(InvalidArgumentError, match="no time zone"):
        listed.price("gpt-4o-mini", AT.replace(tzinfo=None))


def test_by_time_of_day_the_dearest_holds_all_day(listed: GenaiPrices) -> None:
    """Where the price depends on the hour, the dearest is charged, and the source says so."""
    price = listed.price("deepseek-v4-pro", AT)
    hours = [AT.replace(hour=hour) for hour in range(24)]
    usage = SHAPES["cached"]
    costs = {
        nano(
            genai_prices.calc_price(
                theirs(usage), "deepseek-v4-pro", genai_request_timestamp=at
            ).total_price
        )
        for at in hours
    }

    assert f"{SOURCE}, dearest time of day" == price.source
    assert 2 == len(costs)
    assert max(costs) == price.cost(usage).nano


# --- made-up catalogues: what is not in this version, and may be in the next ---


def test_a_price_finer_than_a_pico_dollar_is_refused(listed: GenaiPrices) -> None:
    """US$0.0833333333333333 per million is no whole number of pico-dollars: nothing is rounded, it is overridden."""
    name = "openrouter/google/gemini-2.5-flash"
    own = Price(
        provider="openrouter",
        model="google/gemini-2.5-flash",
        source="ours",
        rates={"input_uncached": 83_334},
    )

    with pytest.raises(
        ConfigurationError, match=r"cache_write_mtok is listed as .* finer than a pico-dollar"
    ):
        listed.prices(name)
    assert (own,) == GenaiPrices({name: [own]}).prices(name)
    dated = replace(own, effective_from=AT)
    assert (dated,) == GenaiPrices({name: [dated]}).prices(name)


def test_a_tool_price_finer_than_a_nano_dollar_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tools are charged in whole nano-dollars a call."""
    listed = in_catalogue(
        monkeypatch, ModelPrice(input_mtok=Decimal(1), web_searches_kcount=Decimal("0.0000001"))
    )

    with pytest.raises(
        ConfigurationError, match=r"web_searches_kcount .* finer than a nano-dollar per piece"
    ):
        listed.prices("m")


def test_a_tool_price_by_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tool whose price depends on the request's size cannot be told, so it is not guessed."""
    tiered = TieredPrices(Decimal(1), [Step(10, Decimal(2))])
    listed = in_catalogue(monkeypatch, ModelPrice(input_mtok=Decimal(1), web_searches_kcount=tiered))

    with pytest.raises(ConfigurationError, match="web_searches_kcount depends on the size"):
        listed.prices("m")


def test_each_class_has_the_tiers_of_its_own_price(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices with different tiers, and without, make one list of tiers; a class without a price has its parent's."""
    listed = in_catalogue(
        monkeypatch,
        ModelPrice(
            input_mtok=TieredPrices(Decimal(1), [Step(100, Decimal(2)), Step(300, Decimal(3))]),
            cache_read_mtok=TieredPrices(Decimal("0.5"), [Step(200, Decimal("0.75"))]),
            input_audio_mtok=Decimal(9),
            output_mtok=Decimal(4),
            output_text_mtok=Decimal(5),
        ),
    )
    [price] = listed.prices("m")
    wanted = (
        "input_uncached",
        "input_cache_write_1h",
        "input_cache_read",
        "input_audio",
        "output_text",
        "output_audio",
    )

    assert [100, 200, 300] == [tier.above for tier in price.tiers]
    assert [
        [1_000_000, 1_000_000, 500_000, 9_000_000, 5_000_000, 4_000_000],
        [2_000_000, 2_000_000, 500_000, 9_000_000, 5_000_000, 4_000_000],
        [2_000_000, 2_000_000, 750_000, 9_000_000, 5_000_000, 4_000_000],
        [3_000_000, 3_000_000, 750_000, 9_000_000, 5_000_000, 4_000_000],
    ] == [
        [rates[name] for name in wanted] for rates in (price.rates, *(tier.rates for tier in price.tiers))
    ]


def test_the_dearest_is_taken_class_by_class_and_tier_by_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    """If no hour is the dearest in everything, the price is an upper bound in each class at each size."""
    night = TimeOfDateConstraint(time(22, tzinfo=UTC), time(6, tzinfo=UTC))
    tiered = ModelPrice(
        input_mtok=TieredPrices(Decimal(1), [Step(100, Decimal(5))]), output_mtok=Decimal(9)
    )
    listed = in_catalogue(
        monkeypatch,
        [ConditionalPrice(prices=flat(input="2", output="4")), ConditionalPrice(night, prices=tiered)],
    )
    [price] = listed.prices("m")

    assert (2_000_000, 9_000_000) == (price.rates["input_uncached"], price.rates["output_text"])
    assert [(100, 5_000_000)] == [(tier.above, tier.rates["input_uncached"]) for tier in price.tiers]


def test_the_first_price_is_the_last_resort(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first effective date genai-prices takes the first entry, and so do we."""
    since = StartDateConstraint(date(2026, 5, 1))
    listed = in_catalogue(monkeypatch, [ConditionalPrice(since, prices=flat(input="2", output="4"))])

    assert [ALWAYS, datetime(2026, 5, 1, tzinfo=UTC)] == [
        price.effective_from for price in listed.prices("m")
    ]
    assert {2_000_000} == {price.rates["input_uncached"] for price in listed.prices("m")}


def test_a_model_that_becomes_free_is_refused_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty price in the history is no price: the one before it has ended, and nothing is free unsaid."""
    since = StartDateConstraint(date(2026, 5, 1))
    history = [
        ConditionalPrice(prices=flat(input="2", output="4")),
        ConditionalPrice(since, prices=ModelPrice()),
    ]
    listed = in_catalogue(monkeypatch, history)

    assert 2_000_000 == listed.price("m", datetime(2026, 4, 30, tzinfo=UTC)).rates["input_uncached"]
    with pytest.raises(UnknownModelError):
        listed.price("m", AT)


# --- overrides ---


def test_a_free_model_is_an_override_that_says_so() -> None:
    """Rates of zero make a model free, and only that does."""
    listed = GenaiPrices({"our-own-llama": [free("our-own-llama")]})

    assert 0 == listed.price("our-own-llama", AT).cost(SHAPES["long"]).nano


@pytest.mark.parametrize("override", ["gpt-4o-mini", "openai/gpt-4o-mini"])
@pytest.mark.parametrize(
    "name", ["gpt-4o-mini", "openai/gpt-4o-mini", "gpt-4o-mini-2024-07-18", "GPT-4o-Mini"]
)
def test_an_override_holds_for_every_way_to_write_the_name(override: str, name: str) -> None:
    """The provider reports a dated name: an override under the plain one must not be lost for it."""
    own = free("gpt-4o-mini")

    assert own == GenaiPrices({override: [own]}).price(name, AT)


def test_an_override_holds_for_nothing_else() -> None:
    """An override of one model, one provider or one dated name leaves all others as they are listed."""
    listed = GenaiPrices(
        {"gpt-4o-mini": [free("m")], "gpt-5-2025-08-07": [free("m")], "openai/o3": [free("m")]}
    )

    assert "azure" == listed.price("azure/gpt-4o-mini", AT).provider
    assert "gpt-5" == listed.price("gpt-5", AT).model
    assert "own" == listed.price("o3", AT, provider="openai").provider
    assert "azure" == listed.price("o3", AT, provider="azure").provider


def test_overrides_are_put_in_order() -> None:
    """A history may be written in any order; before its first date there is no price."""
    first = replace(free("m"), effective_from=datetime(2026, 1, 1, tzinfo=UTC))
    later = replace(free("m"), effective_from=datetime(2026, 6, 1, tzinfo=UTC))
    listed = GenaiPrices({"m": [later, first]})

    assert (first, later) == listed.prices("m")
    assert first == listed.price("m", datetime(2026, 5, 31, tzinfo=UTC))
    with pytest.raises(UnknownModelError):
        listed.price("m", datetime(2025, 12, 31, tzinfo=UTC))


@pytest.mark.parametrize("override", ["gpt-4o-mini", "openai/gpt-4o-mini"])
@pytest.mark.parametrize("name", ["gpt-4o-mini", "openai/gpt-4o-mini", "gpt-4o-mini-2024-07-18"])
def test_a_price_that_is_announced_leaves_what_is_listed_until_then(override: str, name: str) -> None:
    """A model is not without a price because its next one is known."""
    ahead = replace(free("gpt-4o-mini"), provider="openai", effective_from=AT + timedelta(days=30))
    listed = GenaiPrices({override: [ahead]})

    assert GenaiPrices().price(name, AT) == listed.price(name, AT)
    assert ahead == listed.price(name, ahead.effective_from)
    assert (*GenaiPrices().everything().prices["openai/gpt-4o-mini"], ahead) == (
        listed.everything().prices["openai/gpt-4o-mini"]
    )


def test_a_price_without_a_date_replaces_all_that_is_listed() -> None:
    """It has always held, so nothing of the catalogue is left."""
    always = replace(free("gpt-4o-mini"), provider="openai")

    assert (always,) == GenaiPrices({"gpt-4o-mini": [always]}).prices("gpt-4o-mini")


def test_an_empty_override_is_refused() -> None:
    """No price at all is not a way to say free."""
    with pytest.raises(ConfigurationError, match="'m' has no price"):
        GenaiPrices({"m": []})


# --- lazy, once, from many threads ---


def test_nothing_is_imported_until_a_price_is_asked_for() -> None:
    """Importing the module, making the catalogue and asking for an override load no genai-prices; a listed price does."""
    script = """
import sys
from datetime import datetime, UTC
from ptmeter.domain.prices import Price
from ptmeter.providers.prices import GenaiPrices
listed = GenaiPrices({"m": [Price(provider="p", model="m", source="s", rates={"input_uncached": 1})]})
listed.price("m", datetime.now(UTC))
before = [name for name in ("genai_prices", "pydantic") if name in sys.modules]
listed.prices("gpt-4o-mini")
print(before, "genai_prices" in sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert "[] True" == ran.stdout.strip()


def test_a_model_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many threads ask, and however often, there is one search for a name and one answer."""
    searches: list[str] = []
    find = catalogue._find

    def slow_find(model: str, provider: str | None) -> object:
        searches.append(model)
        sleep(0.02)
        return find(model, provider)

    monkeypatch.setattr(catalogue, "_find", slow_find)
    listed = GenaiPrices()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: listed.prices("gpt-5"), range(200)))

    assert ["gpt-5"] == searches
    assert {id(answers[0])} == set(map(id, answers))


def test_instances_share_nothing() -> None:
    """One catalogue's override is not another's: there is no state in the module."""
    assert free("m") == GenaiPrices({"gpt-5": [free("m")]}).price("gpt-5", AT)
    assert "openai" == GenaiPrices().price("gpt-5", AT).provider


def test_names_from_users_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any suffix may fit a model, so the names remembered are bounded, and names that fit none are not remembered."""
    monkeypatch.setattr(catalogue, "MOST_NAMES", 3)
    listed = GenaiPrices()
    for number in range(8):
        assert "claude-sonnet-4-5" == listed.price(f"claude-sonnet-4-5-{number}", AT).model
        with pytest.raises(UnknownModelError):
            listed.price(f"nobody-{number}", AT)
        assert len(listed._found) <= 3
