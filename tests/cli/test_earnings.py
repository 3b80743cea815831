"""What PT sell at, and what their cost leaves of it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from ptmeter import Money, RateCard, reference_card
from ptmeter.cli.earnings import margin, sales_value
from ptmeter.cli.writing import margin_light


@pytest.fixture(scope="module")
def card() -> RateCard:
    return reference_card()


def test_units_sell_at_their_own_prices(card: RateCard) -> None:
    """Each unit sells at its price; the sum is rounded once, half up, to a nano-dollar."""
    assert Money.usd("0.045") == sales_value({"core": 1_000_000, "advanced": 1_000_000}, card)
    odd = replace(card, units={"core": replace(card.unit("core"), sells_at=Money(1))}, models=())

    assert [Money(0), Money(1), Money(1), Money(2)] == [
        sales_value({"core": micro}, odd) for micro in (499_999, 500_000, 1_499_999, 1_500_000)
    ]


def test_what_has_no_one_value_has_none(card: RateCard) -> None:
    """Nothing charged, a unit that is not on the card, or two currencies: there is no one figure."""
    euros = replace(
        card,
        units=dict(card.units) | {"core": replace(card.unit("core"), sells_at=Money(1, "EUR"))},
    )

    assert [None, None, None] == [
        sales_value({}, card),
        sales_value({"core": 1, "gold": 1}, card),
        sales_value({"core": 1, "advanced": 1}, euros),
    ]


@pytest.mark.parametrize(
    ("sales", "cost", "share"),
    [
        (Money.usd(1), {"USD": 350_000_000}, "0.6500"),
        (Money.usd(1), {"USD": 1_200_000_000}, "-0.2000"),
        (Money.usd(1), {}, "1.0000"),
        (Money.usd(3), {"USD": 1_000_000_000}, "0.6667"),
        (Money.usd(1), {"EUR": 1}, None),
        (Money.usd(0), {"USD": 1}, None),
        (None, {"USD": 1}, None),
    ],
)
def test_a_margin_is_what_the_cost_leaves(
    sales: Money | None, cost: dict[str, int], share: str | None
) -> None:
    """The share of the sales that is left, to four decimals; none where it cannot be said."""
    found = margin(sales, cost)

    assert share == (None if found is None else str(found))


@pytest.mark.parametrize(
    ("share", "light"),
    [("0.6500", "green"), ("0.6499", "yellow"), ("0.5000", "yellow"), ("0.4999", "red"), (None, "dim")],
)
def test_the_margin_lights(share: str | None, light: str) -> None:
    """Green from 65 %, yellow from 50 %, red below; no light where there is no margin."""
    assert light == margin_light(None if share is None else Decimal(share)).style
