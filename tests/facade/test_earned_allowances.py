"""What an allowance earns: the lots of a subscription carry what its plan costs, and earn it as they are used."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptmeter import Discount, Meter, Money, Usage, read_plans, reference_card
from ptmeter.domain.ledger import Kind
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter, RateCard
    from ptmeter.domain.ledger import Transfer
    from ptmeter.domain.subscriptions import Subscription
    from ptmeter.ports import Books

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)

PLANS: dict[str, Any] = {
    "plans": {
        "free": {"price_per_month": 0, "allowance": {"core": 10}, "units": ["core"]},
        "pro": {
            "price_per_month": 49,
            "price_per_year": 499,
            "allowance": {"core": 1_000, "advanced": 50},
            "units": ["core", "advanced"],
            "trial": {"days": 14, "allowance": {"core": 20}},
        },
        "team": {
            "price_per_month": "159.99",
            "price_per_year": 1_619,
            "allowance": {"core": 3_500, "advanced": 200},
            "units": ["core", "advanced"],
            "roll_over": {"shares": {"core": "50%", "advanced": "100%"}},
        },
    }
}
MONTHLY = {"free": 0, "pro": 49_000_000_000, "team": 159_990_000_000}
YEARLY = {"pro": 499_000_000_000, "team": 1_619_000_000_000}


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


def dearer() -> RateCard:
    """A later version of the card, by which advanced PT sell at ten times as much."""
    card = reference_card()
    rate = card.units["advanced"]
    dear = replace(rate, sells_at=Money(10 * rate.sells_at.nano))
    return replace(card, name="dear", units={**card.units, "advanced": dear})


async def use(meter: AsyncMeter, unit: str, amount: int) -> None:
    """Use so many PT of a unit at once."""
    amounts: dict[str, Any] = {unit: amount}
    await meter.settle(await meter.hold("acme", key=unit, **amounts), key=unit, **amounts)


async def revenue(meter: AsyncMeter) -> Money:
    (line,) = (await meter.margins.report()).lines
    return line.revenue


def grants(meter: Meter) -> list[Transfer]:
    """All that an account was ever given, in the order of its wallets' journals."""

    def granted(books: Books) -> list[Transfer]:
        journal = [row for wallet in books.ledger.wallets("acme") for row in books.ledger.journal(wallet)]
        return [row for row in journal if row.kind is Kind.GRANT]

    return meter._platform.store.read(granted)


async def test_a_cycle_that_is_used_up_earns_what_it_costs(opened: Opener, clock: Clock) -> None:
    """A plan of US$49 with PT that list at US$11.75 earns US$49, to the nano, once all of them are used."""
    async with opened(plans=read_plans(PLANS), clock=clock) as meter:
        await meter.plans.subscribe("acme", "pro", key="s1")
        await use(meter, "core", 1_000)
        assert Money(41_702_127_660) == await revenue(meter)
        await use(meter, "advanced", 50)

        assert Money.usd(49) == await revenue(meter)
        assert (await meter.verify()).clean


async def test_what_costs_nothing_earns_nothing(opened: Opener, clock: Clock) -> None:
    """A free plan's allowance and a trial's are PT that were given away; what they cost has no revenue beside it."""
    async with opened(plans=read_plans(PLANS), clock=clock) as meter:
        await meter.plans.subscribe("acme", "free", key="s1")
        await meter.plans.subscribe("zeta", "pro", key="s2", trial=True)
        for account in ("acme", "zeta"):
            usage = Usage(input_uncached=1_000, output_text=100)
            await meter.record(account, model="gpt-4o-mini", response=usage, key="r1")
        (line,) = (await meter.margins.report()).lines

        assert (2, Money(0)) == (line.calls, line.revenue)


async def test_an_allowance_given_by_hand_is_paid_by_the_month(opened: Opener, clock: Clock) -> None:
    """Assigned, a plan's allowance carries its price for a month, and is the same request under another card."""
    async with opened(plans=read_plans(PLANS), clock=clock) as meter:
        await meter.plans.assign("acme", "pro", key="i1", until=MARCH)
        await use(meter, "core", 1_000)
        await use(meter, "advanced", 50)

        assert Money.usd(49) == await revenue(meter)


async def test_another_card_makes_no_other_request(on_file: Opener, clock: Clock) -> None:
    """What was granted under one card is found again under the next: cycle, change, allowance and purchase."""

    async def asked(meter: AsyncMeter) -> list[bool]:
        begun = await meter.plans.subscribe("acme", "pro", key="s1")
        up = await meter.plans.change("acme", "team", key="c1")
        once = await meter.plans.assign("zeta", "pro", key="i1", until=MARCH)
        pack = await meter.funds.grant("hooli", core=10, advanced=5, source="pack", key="p1", paid=7)
        return [begun.replayed, up.replayed, once.replayed, pack.replayed]

    async with on_file(plans=read_plans(PLANS), clock=clock) as meter:
        assert [False] * 4 == await asked(meter)
    async with on_file(plans=read_plans(PLANS), clock=clock, card=dearer()) as meter:
        assert [True] * 4 == await asked(meter)
        clock.turn(MARCH - START)
        await meter.plans.renew_due()
        assert (await meter.verify()).clean


def test_what_rolls_over_takes_its_part_along(clock: Clock) -> None:
    """Half of the core PT that were left, and all advanced ones, earn in the next cycle what was paid for them."""
    with Meter.open("memory://", plans=read_plans(PLANS), clock=clock) as meter:
        meter.plans.subscribe("acme", "team", key="s1")
        meter.settle(meter.hold("acme", core=1_500, key="u1"), core=1_500, key="u1")
        clock.turn(MARCH - START)
        meter.plans.renew("acme")
        first, *_, rolled = [row for row in grants(meter) if row.wallet.unit == "core"]
        whole, *_, again = [row for row in grants(meter) if row.wallet.unit == "advanced"]

        assert (3_500_000_000, 1_000_000_000) == (first.amount, rolled.amount)
        assert (first.paid or 0) * 1_000 // 3_500 == rolled.paid
        assert (whole.amount, whole.paid) == (again.amount, again.paid)


# --- any life of a subscription -------------------------------------------------------------------

steps = st.lists(
    st.tuples(
        st.integers(0, 27 * 24),
        st.sampled_from(["renew", "use", "free", "pro", "team"]),
        st.sampled_from([None, "now", "period_end"]),
        st.sampled_from([None, "month", "year"]),
    ),
    max_size=14,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(steps, st.sampled_from(["pro", "team"]), st.sampled_from(["month", "year"]), st.integers(0, 4_000))
def test_lots_carry_what_was_paid_through_any_life(
    life: list[tuple[int, str, Any, Any]], plan: str, interval: str, share: int
) -> None:
    """
    Up and down, by month and by year, with a discount: what lots were paid with is what cycles and changes cost.

    And no more is ever earned than that, roll-overs included, but for half a nano for each charge.
    """
    clock = Clock(START)
    off = Discount(share, START + 70 * DAY) if share else None
    with Meter.open("memory://", plans=read_plans(PLANS), clock=clock) as meter:
        begun = meter.plans.subscribe("acme", plan, key="s", interval=interval, discount=off)
        standing, most = begun.subscription, cost(begun.subscription)
        expected = most
        for number, (hours, what, when, pays) in enumerate(life):
            clock.turn(timedelta(hours=hours))
            before, standing = standing, meter.plans.renew("acme").subscription
            if standing.granted_until > before.granted_until:
                most = cost(standing)
                expected += most
            if what == "use":
                available = meter.balance("acme").core.available.micro // 3_000_000
                if available:
                    hold = meter.hold("acme", core=available, key=f"u{number}")
                    meter.settle(hold, core=available, key=f"u{number}")
            elif what != "renew" and not (what == "free" and (pays or standing.interval) == "year"):
                changed = meter.plans.change("acme", what, key=f"c{number}", interval=pays, when=when)
                standing = changed.subscription
                more = max(0, cost(standing) - most) if not standing.pending else 0
                left = standing.cycle.end - clock()
                whole = standing.cycle.end - standing.cycle.start
                if changed.amounts:
                    expected += more * (left // MICROSECOND) // (whole // MICROSECOND)
                most += more
        rows = grants(meter)
        report = meter.margins.report().lines

        assert expected == sum(row.paid or 0 for row in rows if not row.note.startswith("unused"))
        assert all(row.paid is not None for row in rows)
        assert sum(line.revenue.nano for line in report) <= expected + len(life)
        assert meter.verify().clean


MICROSECOND = timedelta(microseconds=1)


def cost(standing: Subscription) -> int:
    """What the cycle that holds costs, as one would reckon it by hand."""
    year = standing.interval == "year"
    full = (YEARLY if year else MONTHLY)[standing.plan]
    off = standing.discount
    if off and standing.term.start < off.until:
        full = -(-full * (10_000 - off.share) // 10_000)
    if not year:
        return full
    number = round((standing.cycle.start - standing.term.start) / timedelta(days=30.44))
    return full * (number + 1) // 12 - full * number // 12
