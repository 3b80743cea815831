"""`Meter.margins`: what was earned, by whatever it is told apart by, on every database and in both colours."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ptmeter import (
    PT,
    ConfigurationError,
    Grouping,
    IdempotencyConflictError,
    InvalidArgumentError,
    Light,
    MarginGoals,
    Money,
    Plan,
    Plans,
    Usage,
)

if TYPE_CHECKING:
    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter, MarginReport
    from ptmeter.testing import Clock

pytestmark = pytest.mark.anyio

MINI = "gpt-4o-mini"
FULL = "gpt-4o"
SMALL = Usage(input_uncached=1_000, output_text=100)
PLANS = Plans(
    {
        "pro": Plan(
            name="pro",
            price_per_month=Money(0),
            price_per_year=None,
            allowance={},
            units=frozenset({"core", "advanced"}),
        )
    }
)


def lines(report: MarginReport) -> dict[str, tuple[int, Money, Money]]:
    return {line.name: (line.calls, line.revenue, line.cost) for line in report.lines}


async def record(meter: AsyncMeter, account: str, model: str, key: str) -> Money:
    receipt = await meter.record(account, model=model, response=SMALL, key=key)
    assert receipt.charge
    return receipt.charge.cost


async def test_margins_by_account_model_and_day(opened: Opener, clock: Clock) -> None:
    """A PT earns what was paid for it, else what the card says, on the day it is used."""
    async with opened(clock=clock) as meter:
        await meter.funds.grant("beta", core=10, source="top-up", key="a", paid="0.05")
        await meter.funds.grant("zeta", core=10, advanced=10, source="top-up", key="z")
        first = clock().date()
        mini = await record(meter, "beta", MINI, "1")
        await record(meter, "zeta", MINI, "2")
        clock.turn(timedelta(days=1))
        full = await record(meter, "zeta", FULL, "3")
        cents = Money.usd("0.005"), Money.usd("0.010"), Money.usd("0.105")

        by_account = await meter.margins.report(by="account")
        assert {
            "zeta": (2, cents[1] + cents[2], mini + full),
            "beta": (1, cents[0], mini),
        } == lines(by_account)
        assert {MINI: (2, cents[0] + cents[1], mini + mini), FULL: (1, cents[2], full)} == lines(
            await meter.margins.report(by=Grouping.MODEL)
        )
        assert {first.isoformat(): (2, cents[0] + cents[1], mini + mini)} == lines(
            await meter.margins.report(by="day", until=first + timedelta(days=1))
        )
        (whole,) = (await meter.margins.report()).lines
        assert ((whole,), 3, Light.GREEN) == (by_account.totals, whole.calls, whole.light)
        assert {"core": PT.of(2), "advanced": PT.of(3)} == whole.charged
        assert Light.RED is whole.burn_light
        assert (await meter.verify()).clean


async def test_what_is_given_away_earns_nothing(meter: AsyncMeter) -> None:
    """Used all the same, it costs: the light is red."""
    await meter.funds.grant("beta", core=10, source="trial", key="t", paid=0)
    cost = await record(meter, "beta", MINI, "1")
    (line,) = (await meter.margins.report()).lines

    assert (Money(0), cost, Light.RED, None) == (line.revenue, line.cost, line.light, line.share)


async def test_what_goes_beyond_a_hold_belongs_to_its_call(meter: AsyncMeter) -> None:
    """A call that cost more than was held is one call, of one model, and earns all of its charge."""
    await meter.funds.grant("beta", core=50, source="top-up", key="a")
    asked = meter.call("beta", model=MINI, messages="hi", max_tokens=1, key="c")
    async with asked as call:
        call.record(Usage(input_uncached=7_000, output_text=100))
    (line,) = (await meter.margins.report(by="model")).lines

    assert (1, PT.of(6), Money.usd("0.06")) == (line.calls, line.charged["core"], line.revenue)


async def test_plans_are_those_of_the_day_of_the_charge(in_memory: Opener) -> None:
    """Put on another plan, an account leaves what it was charged before where it was."""
    async with in_memory(plans=PLANS) as meter:
        await meter.funds.grant("beta", core=10, source="top-up", key="a")
        await record(meter, "beta", MINI, "1")
        await meter.plans.assign("beta", "pro", key="p")
        await record(meter, "beta", MINI, "2")
        await record(meter, "beta", MINI, "3")
        found = await meter.margins.report(by="plan")

        assert {"pro": 2, "": 1} == {line.name: line.calls for line in found.lines}
        assert (await meter.verify()).clean


async def test_several_units_share_what_was_paid(meter: AsyncMeter) -> None:
    """In proportion to what they sell at: 100 core PT are worth 1.00, 10 advanced 0.35."""
    await meter.funds.grant("beta", core=100, advanced=10, source="pack", key="a", paid=Money.usd("2.70"))
    await record(meter, "beta", MINI, "1")
    await record(meter, "beta", FULL, "2")

    assert {FULL: Money.usd("0.21"), MINI: Money.usd("0.02")} == {
        line.name: line.revenue for line in (await meter.margins.report(by="model")).lines
    }


async def test_what_was_paid_is_part_of_the_request(meter: AsyncMeter) -> None:
    """The same key with another sum is a conflict; a sum that cannot be one is refused."""
    await meter.funds.grant("beta", core=10, source="top-up", key="a", paid=1)
    assert (await meter.funds.grant("beta", core=10, source="top-up", key="a", paid="1.00")).replayed
    with pytest.raises(IdempotencyConflictError):
        await meter.funds.grant("beta", core=10, source="top-up", key="a", paid=2)
    for wrong in (-1, Money(1, "EUR")):
        with pytest.raises(InvalidArgumentError, match="what was paid"):
            await meter.funds.grant("beta", core=10, source="top-up", key="b", paid=wrong)
    with pytest.raises(TypeError):
        await meter.funds.grant("beta", core=10, source="top-up", key="b", paid=1.5)  # type: ignore[arg-type]


async def test_lights_go_by_the_policy_or_the_goals_given(meter: AsyncMeter) -> None:
    """98.5 % are yellow for who wants 99 %."""
    await meter.funds.grant("beta", core=10, source="top-up", key="a")
    await record(meter, "beta", MINI, "1")
    strict = await meter.margins.report(goals=MarginGoals(green=9_900))

    assert [Light.YELLOW] == [line.light for line in strict.lines]


@pytest.mark.parametrize(
    "asked",
    [
        {"by": "week"},
        {"since": date(2026, 8, 2), "until": date(2026, 8, 2)},
        {"since": "2026-08-02"},
    ],
)
async def test_what_cannot_be_asked_for_is_refused(meter: AsyncMeter, asked: dict[str, Any]) -> None:
    """A grouping that there is not, no day at all, and what is no date."""
    with pytest.raises(InvalidArgumentError):
        await meter.margins.report(**asked)


async def test_nothing_charged_is_no_line(meter: AsyncMeter) -> None:
    """Of nothing there is nothing to tell."""
    assert () == (await meter.margins.report()).lines
    with pytest.raises(ConfigurationError):
        MarginGoals(green=1, yellow=2)
