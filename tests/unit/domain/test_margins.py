"""Margins: where lights change, to the last nano-dollar, and what a line of a report says."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest

from ptmeter import PT, ConfigurationError, Grouping, InvalidArgumentError, Light, MarginGoals, Money
from ptmeter.domain.margins import Sum, day_name, day_number, margins
from ptmeter.domain.rollups import Figures

if TYPE_CHECKING:
    from ptmeter import Margin

GOALS = MarginGoals()
PT_IN = 1_000_000


@pytest.mark.parametrize(
    ("revenue", "cost", "light"),
    [
        (10**12, 35 * 10**10, Light.GREEN),
        (10**12, 35 * 10**10 + 1, Light.YELLOW),
        (10**12, 5 * 10**11, Light.YELLOW),
        (10**12, 5 * 10**11 + 1, Light.RED),
        (0, 1, Light.RED),
        (-1, 0, Light.RED),
        (0, 0, None),
        (1, 0, Light.GREEN),
    ],
)
def test_a_margin_is_green_from_65_percent_on_and_red_below_50(
    revenue: int, cost: int, light: Light | None
) -> None:
    """Exactly: a billionth of a dollar more cost changes the light."""
    assert light is GOALS.margin_light(revenue, cost)


@pytest.mark.parametrize(
    ("part", "whole", "light"),
    [
        (224_999_999, 10**9, Light.GREEN),
        (225_000_000, 10**9, Light.YELLOW),
        (275_000_000, 10**9, Light.YELLOW),
        (275_000_001, 10**9, Light.RED),
        (0, 1, Light.GREEN),
        (0, 0, None),
    ],
)
def test_burn_is_green_below_nine_tenths_of_its_target_and_red_above_eleven(
    part: int, whole: int, light: Light | None
) -> None:
    """A target share of 25 %: green below 22.5 %, yellow to 27.5 %."""
    assert light is GOALS.burn_light(part, whole)


@pytest.mark.parametrize(
    "wrong",
    [{"yellow": 7_000}, {"green": 10_001}, {"yellow": -1}, {"burn_target": 0}, {"burn_green": 12_000}],
)
def test_goals_must_make_sense(wrong: dict[str, Any]) -> None:
    """Yellow above green, shares of more than all, or no target at all."""
    with pytest.raises(ConfigurationError):
        MarginGoals(**wrong)


def line_of(*figures: tuple[str, Figures]) -> Margin:
    sums = [Sum("x", unit, "USD", each) for unit, each in figures]
    (line,) = margins(sums, Grouping.ACCOUNT, since=None, until=None, goals=GOALS).lines
    return line


def test_a_line_says_what_is_left_and_of_what() -> None:
    """Units are added up; shares are in ten-thousandths, rounded down."""
    line = line_of(
        ("core", Figures(2, 6 * PT_IN, PT_IN, 100, 700)), ("advanced", Figures(1, 2 * PT_IN, 0, 200, 300))
    )

    assert (3, Money(1_000), Money(300), Money(700)) == (line.calls, line.revenue, line.cost, line.gross)
    assert (7_000, Light.GREEN, 2_500, Light.YELLOW) == (
        line.share,
        line.light,
        line.burn,
        line.burn_light,
    )
    assert {"core": PT(6 * PT_IN), "advanced": PT(2 * PT_IN)} == line.charged
    assert {"core": PT(PT_IN)} == line.unvalued


def test_without_revenue_there_is_no_share() -> None:
    """A share of nothing is none, and the light is red if it cost something."""
    line = line_of(("core", Figures(1, 0, 0, 5, 0)))

    assert (None, Light.RED, None, None) == (line.share, line.light, line.burn, line.burn_light)


def test_days_come_in_order_and_others_by_revenue() -> None:
    """The largest revenue first, then by name; each currency for itself, and a total for each."""
    sums = [
        Sum(name, "core", currency, Figures(1, PT_IN, 0, 0, revenue))
        for name, currency, revenue in (
            ("2026-02-01", "USD", 1),
            ("2026-01-01", "USD", 1),
            ("2026-03-01", "EUR", 9),
        )
    ]

    by_day, by_model = (
        margins(sums, by, since=None, until=None, goals=GOALS) for by in (Grouping.DAY, Grouping.MODEL)
    )
    assert ["2026-01-01", "2026-02-01", "2026-03-01"] == [line.name for line in by_day.lines]
    assert ["2026-03-01", "2026-01-01", "2026-02-01"] == [line.name for line in by_model.lines]
    assert [Money(9, "EUR"), Money(2)] == [total.revenue for total in by_day.totals]


def test_a_day_is_a_date() -> None:
    """A moment lies on two days, by whose clock it is, so it is refused."""
    assert (1, "1970-01-02") == (day_number(date(1970, 1, 2)), day_name(1))
    with pytest.raises(InvalidArgumentError, match="give a date"):
        day_number(datetime(2026, 8, 1, tzinfo=UTC))
