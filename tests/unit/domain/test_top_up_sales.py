"""What top-ups cost: the list price, less the share of the step that it reaches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptmeter import PT, ConfigurationError, InvalidArgumentError, Money, read_plans
from ptmeter.domain.minor_units import minor, of_minor
from ptmeter.domain.top_up_sales import ANY, TopUpSales, VolumeDiscount, quote

PRICES = {"core": Money.usd("0.01"), "advanced": Money.usd("0.035")}
STEPS = tuple(
    VolumeDiscount(Money.usd(money), share) for money, share in ((50, 500), (200, 1_200), (500, 2_000))
)
SALES = TopUpSales(discounts=STEPS)


@pytest.mark.parametrize(
    ("pt", "listed", "discount"),
    [
        (100, "1", "0"),
        (4_999, "49.99", "0"),
        (5_000, "50", "2.5"),
        (19_999, "199.99", "9.99"),
        (20_000, "200", "24"),
        (50_000, "500", "100"),
    ],
)
def test_the_step_that_the_list_price_reaches(pt: int, listed: str, discount: str) -> None:
    """The whole top-up, not only what is above the step; what is off is rounded down to the cent."""
    found = quote({"core": PT.of(pt).micro}, PRICES, SALES)

    assert (Money.usd(listed), Money.usd(discount)) == (found.listed, found.discount)
    assert found.listed - found.discount == found.amount


@given(
    st.dictionaries(st.sampled_from(sorted(PRICES)), st.integers(1, 10**12), min_size=1),
    st.sampled_from([ANY, SALES]),
)
def test_the_parts_are_the_amount(amounts: dict[str, int], sales: TopUpSales) -> None:
    """Nothing is lost in rounding, and nobody pays more than the list price, rounded up once."""
    found = quote(amounts, PRICES, sales)

    assert found.amount.nano == sum(part.nano for part in found.parts.values())
    exact = sum(micro * PRICES[unit].nano for unit, micro in amounts.items())
    assert 0 <= found.listed.nano * 10**6 - exact < (10**7 + len(amounts)) * 10**6
    assert all(minor(part) * 10**7 == part.nano for part in found.parts.values())


@pytest.mark.parametrize(
    ("sales", "pt", "problem"),
    [
        (TopUpSales(minimum=PT.of(100)), 99, "at least 100 PT"),
        (TopUpSales(maximum=PT.of(100)), 101, "at most 100 PT"),
        (TopUpSales(least=Money.usd(5)), 100, r"at least US\$5, not US\$1"),
        (TopUpSales(most=Money.usd(5)), 501, r"at most US\$5, not US\$5.01"),
    ],
)
def test_what_is_not_sold_at_once(sales: TopUpSales, pt: int, problem: str) -> None:
    """The error says the bound, and what was asked for."""
    with pytest.raises(InvalidArgumentError, match=problem):
        quote({"core": PT.of(pt).micro}, PRICES, sales)


def test_what_costs_nothing_is_not_sold() -> None:
    """Nor what sells in two currencies at once."""
    with pytest.raises(InvalidArgumentError, match="nothing to pay"):
        quote({"core": 1}, {"core": Money(0)}, ANY)
    with pytest.raises(InvalidArgumentError, match="one by one"):
        quote({"core": 1, "advanced": 1}, {"core": Money(1, "EUR"), "advanced": Money(1)}, ANY)


@pytest.mark.parametrize(
    ("currency", "units", "written"), [("usd", 150, "1.5"), ("jpy", 150, "150"), ("kwd", 150, "0.15")]
)
def test_minor_units_are_the_currencys_own(currency: str, units: int, written: str) -> None:
    """Cents, yen, and thousandths of a dinar."""
    money = Money(Money.usd(written).nano, currency.upper())

    assert (units, money) == (minor(money), of_minor(units, currency))


@pytest.mark.parametrize(
    ("top_ups", "place"),
    [
        ({"minimum": 5, "maximum": 4}, "maximum"),
        ({"least": 5, "most": 4}, "most"),
        ({"discounts": [{"at_least": 5, "share": "100%"}]}, "share"),
        ({"discounts": [{"at_least": 5, "share": "5%"}, {"at_least": 5, "share": "6%"}]}, "at_least"),
        ({"discounts": [{"at_least": 5, "share": "5%"}, {"at_least": 6, "share": "5%"}]}, "share"),
        ({"discount": []}, "discount"),
    ],
)
def test_a_plan_file_that_does_not_hold_together(top_ups: dict[str, object], place: str) -> None:
    """The error names the place."""
    plan = {"price_per_month": 0, "allowance": {"core": 1}, "units": ["core"]}

    with pytest.raises(ConfigurationError, match=place):
        read_plans({"plans": {"free": plan}, "top_ups": top_ups})
