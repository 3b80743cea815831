"""What is charged beside tokens: prices of pieces laid over others, and bands with what they are added to."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.domain.test_rates import BUFFER, CORE, bandeds, steps, workloads

from ptmeter import read_prices
from ptmeter.domain.prices import ALWAYS, Price, Processing, laid_over, override_for, price_at
from ptmeter.domain.pt import MICRO, Money
from ptmeter.domain.rates import Banded, CostPlus, Tariff, UnitRate, Workload
from ptmeter.domain.usage import Usage
from ptmeter.errors import InvalidArgumentError, UnknownModelError

PIECES = ("web_search", "ocr_page", "audio_second", "maps_grounding")
RATES = {"input_uncached": 2_000_000, "output_text": 10_000_000}

counts = st.dictionaries(st.sampled_from(PIECES), st.integers(0, 500))
costs = st.fixed_dictionaries({name: st.integers(0, 10**9) for name in PIECES})
usages = st.builds(
    Usage, input_uncached=st.integers(1, 10**6), output_text=st.integers(0, 10**5), tool_calls=counts
)


def price(**facts: Any) -> Price:
    return Price(**{"provider": "acme", "model": "m", "source": "list", "rates": RATES, **facts})


def tariff(method: Banded | CostPlus, tools: dict[str, int], request: int = 0) -> Tariff:
    rate = UnitRate(pays_for=Money.usd("0.001"), sells_at=Money.usd("0.01"), method=method)
    listed = price(tools=tools, request=request)
    return Tariff(
        model="m", unit="core", rate=rate, method=method, price=listed, card_version="v", definition="d"
    )


# --- bands --------------------------------------------------------------------------------------


@given(bandeds(), steps, costs, st.integers(0, 10**7), usages, workloads)
def test_a_call_costs_its_band_and_what_is_beside_it(
    banded: Banded, step: int, tools: dict[str, int], request: int, usage: Usage, workload: Workload
) -> None:
    """Never less than its tokens alone; exactly the pieces and the fee at cost-plus more, or nothing if included."""
    beside = CostPlus(BUFFER, step)
    added = tariff(replace(banded, beside=beside), tools, request)

    charged, band = added.charge(usage, workload).amount.micro, banded.amount(usage.total)
    alone = added.price.cost_beside_tokens(usage)

    assert band <= charged == band + beside.amount(alone, Money.usd("0.001"), workload)
    assert band == tariff(banded, tools, request).charge(usage, workload).amount.micro
    assert added.charge(usage, workload).cost == tariff(banded, tools, request).charge(usage, workload).cost


@given(bandeds(), steps, costs, usages, st.sampled_from(PIECES), st.integers(0, 500))
def test_one_more_piece_never_costs_less(
    banded: Banded, step: int, tools: dict[str, int], usage: Usage, piece: str, more: int
) -> None:
    """However many of the others there are: a call is charged monotonically in the number of each piece."""
    rated = tariff(replace(banded, beside=CostPlus(BUFFER, step)), tools)
    grown = replace(usage, tool_calls={**usage.tool_calls, piece: usage.tool_calls.get(piece, 0) + more})

    assert rated.charge(usage).amount.micro <= rated.charge(grown).amount.micro


def test_what_a_search_adds_to_the_bands() -> None:
    """A search at US$0.01 adds 14 core PT to a call of 1: US$0.01 and a third, by the PT, rounded up."""
    rated = tariff(replace(CORE, beside=CostPlus(BUFFER)), {"web_search": 10_000_000})
    plain = Usage(input_uncached=1_000)

    amounts = [
        rated.charge(replace(plain, tool_calls={"web_search": n})).amount.micro // MICRO for n in range(4)
    ]

    assert [1, 15, 28, 41] == amounts


def test_pieces_alone_are_in_no_band() -> None:
    """They cost what they cost at cost-plus; where bands include them there is nothing they could cost."""
    pages = Usage(tool_calls={"ocr_page": 10})
    added = tariff(replace(CORE, beside=CostPlus(BUFFER)), {"ocr_page": 2_000_000})

    assert 27 * MICRO == added.charge(pages).amount.micro
    with pytest.raises(UnknownModelError, match="no cost-plus rate for ocr_page"):
        tariff(CORE, {"ocr_page": 2_000_000}).charge(pages)


@given(costs, usages, st.integers(0, 10**7))
def test_tokens_and_what_is_beside_them_are_the_whole(
    tools: dict[str, int], usage: Usage, request: int
) -> None:
    """The cost of a call is that of its tokens and that of the rest, but for the rounding of each."""
    listed = price(tools=tools, request=request)
    tokens = listed.cost(replace(usage, tool_calls={}, requests=0))

    assert abs(listed.cost(usage).nano - tokens.nano - listed.cost_beside_tokens(usage).nano) <= 1


# --- prices of pieces alone -----------------------------------------------------------------------

days = st.integers(0, 5).map(lambda day: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day))
dated = st.one_of(st.just(ALWAYS), days)


@given(
    st.lists(st.tuples(dated, costs), min_size=1, max_size=4, unique_by=lambda each: each[0]),
    st.lists(st.tuples(dated, counts.filter(bool)), max_size=4, unique_by=lambda each: each[0]),
    days,
)
def test_pieces_are_laid_over_a_history_day_by_day(
    listed: list[tuple[datetime, dict[str, int]]], own: list[tuple[datetime, dict[str, int]]], at: datetime
) -> None:
    """On each day tokens cost what is listed, and pieces what their own price says where that names them."""
    history = [
        price(effective_from=since, tools=tools) for since, tools in sorted(listed, key=lambda d: d[0])
    ]
    pieces = [price(rates={}, effective_from=since, tools=tools, source="own") for since, tools in own]

    found = price_at(laid_over(history, pieces), at)

    base, over = price_at(history, at), price_at(pieces, at)
    if base is None:
        assert found is None
        return
    assert found is not None
    assert base.rates == found.rates
    assert {**base.tools, **(over.tools if over else {})} == found.tools
    assert found.effective_from <= at


def test_pieces_without_anything_to_lie_over_are_the_price() -> None:
    """So a model that is billed by the piece alone can be priced; its tokens stay without one."""
    pieces = price(rates={}, tools={"search_unit": 2_000_000})

    assert (pieces,) == laid_over((), (pieces,))
    with pytest.raises(UnknownModelError, match="no price for input_uncached"):
        pieces.cost(Usage(input_uncached=1))


def test_what_names_nothing_is_not_made_a_price() -> None:
    """A listing that is empty stays so, for it is not known that its tokens cost nothing."""
    empty = price(rates={})

    assert (empty,) == laid_over((empty,), (price(rates={}, tools={"web_search": 1}),))


@pytest.mark.parametrize(
    ("model", "facts", "name"),
    [
        ("m", {"provider": "acme"}, "acme/m"),
        ("m", {"provider": "acme", "processing": Processing.BATCH}, "acme/m"),
        ("m", {"provider": "unpriced"}, "m"),
        ("cohere/m", {}, "cohere/m"),
        ("m", {}, "m"),
    ],
)
def test_the_override_that_is_shown_is_one(model: str, facts: dict[str, Any], name: str) -> None:
    """With amounts in it, and who charges them where that is not known, the price file takes what an error shows."""
    remedy = override_for(model, ["x_search", "web_search"], **facts)

    shown = json.loads(remedy.removeprefix("price it by an override, "))
    [own] = shown["prices"][name]
    assert ["web_search", "x_search"] == list(own["usd_per_tool_call"])
    assert set(own["usd_per_tool_call"].values()) == {"US_DOLLARS_FOR_ONE"}
    own["usd_per_tool_call"] = {"x_search": "0.005"}
    [read] = read_prices(shown)[name]
    assert ({"x_search": 5_000_000}, facts.get("processing", "standard")) == (read.tools, read.processing)


def test_a_count_of_pieces_is_whole() -> None:
    """Half a page, or fewer than none, is refused."""
    for wrong in (-1, 1.5, True):
        with pytest.raises(InvalidArgumentError, match="whole number"):
            Usage(tool_calls={"ocr_page": wrong})  # type: ignore[dict-item]
