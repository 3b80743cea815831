"""What differs between price lists, figure by figure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ptmeter import Price, PriceChange, PriceUse, Tier
from ptmeter.domain.price_changes import changes, differences, last_uses
from ptmeter.domain.usage import TOKEN_CLASSES

OLD = Price(
    provider="acme",
    model="large",
    source="list 1",
    rates={"input_uncached": 1_000_000, "output_text": 4_000_000},
    tiers=(Tier(200_000, {"input_uncached": 2_000_000, "output_text": 6_000_000}),),
    tools={"web_search": 10_000_000},
)

CLASSES = list[str](TOKEN_CLASSES)
rates = st.dictionaries(st.sampled_from(CLASSES), st.integers(0, 3), max_size=4)
prices = st.builds(
    Price,
    provider=st.just("acme"),
    model=st.just("m"),
    source=st.text(max_size=3),
    rates=rates,
    tiers=st.dictionaries(st.integers(1, 3), rates, max_size=2).map(
        lambda tiers: tuple(Tier(above, tiers[above]) for above in sorted(tiers))
    ),
    tools=st.dictionaries(st.sampled_from(["web_search", "code"]), st.integers(0, 3)),
    request=st.integers(0, 3),
    currency=st.sampled_from(["USD", "EUR"]),
)


def test_each_figure_that_differs_is_named() -> None:
    """Dearer, cheaper, new and gone; in a tier, for a tool and for a request."""
    new = replace(
        OLD,
        source="list 2",
        rates={"input_uncached": 1_250_000, "input_cache_read": 100_000},
        tiers=(Tier(200_000, {"input_uncached": 1_000_000, "output_text": 6_000_000}),),
        tools={"web_search": 0},
        request=5,
    )

    found = changes(OLD, new)

    assert [
        PriceChange("input_uncached", 0, 1_000_000, 1_250_000),
        PriceChange("input_cache_read", 0, None, 100_000),
        PriceChange("output_text", 0, 4_000_000, None),
        PriceChange("request", 0, None, 5),
        PriceChange("tool web_search", 0, 10_000_000, 0),
        PriceChange("input_uncached", 200_000, 2_000_000, 1_000_000),
    ] == [*found]
    percents = [change.percent for change in found]
    assert [Decimal("25.0"), None, None, None, Decimal("-100.0"), Decimal("-50.0")] == percents


def test_where_a_price_comes_from_makes_no_difference() -> None:
    """Another source or date with the same figures is no change; another currency changes every figure."""
    moved = replace(OLD, source="list 2", effective_from=datetime(2026, 1, 1, tzinfo=UTC))

    assert () == changes(OLD, moved)
    assert 5 == len(changes(OLD, replace(OLD, currency="EUR")))


@given(prices, prices)
def test_no_changes_means_the_same_figures(one: Price, other: Price) -> None:
    """Two prices without a change between them have the same figures; with one they have not."""

    def figures(price: Price) -> Any:
        plain = replace(price, source="", tiers=tuple(tier for tier in price.tiers if tier.rates))
        return plain if plain.rates or plain.tiers or plain.tools or plain.request else None

    assert (figures(one) == figures(other)) is (not changes(one, other))
    assert [change[:2] for change in changes(one, other)] == [change[:2] for change in changes(other, one)]


def test_models_come_and_go() -> None:
    """A model in one list only is added or removed; one with the same figures in both is not mentioned."""
    dearer = replace(OLD, request=1)

    found = differences(
        {"gone": OLD, "same": OLD, "dearer": OLD}, {"same": OLD, "dearer": dearer, "new": OLD}
    )

    assert [("dearer", OLD, dearer), ("gone", OLD, None), ("new", None, OLD)] == [
        each[:3] for each in found
    ]


def test_the_last_price_of_a_model_counts_for_all_its_calls() -> None:
    """By provider and name, the price of the call that was booked last, whatever order they come in."""
    first, second = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    dearer, elsewhere = replace(OLD, request=1), replace(OLD, provider="other")
    uses = [PriceUse(dearer, 2, second), PriceUse(OLD, 3, first), PriceUse(elsewhere, 1, first)]

    assert {
        "acme/large": PriceUse(dearer, 5, second),
        "other/large": PriceUse(elsewhere, 1, first),
    } == last_uses(uses)
