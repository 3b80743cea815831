"""Subscriptions through the meter: begun, changed, cancelled and renewed, with the PT that each gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ptmeter import (
    PT,
    ConfigurationError,
    Discount,
    IdempotencyConflictError,
    InvalidArgumentError,
    Meter,
    Money,
    SubscriptionExistsError,
    SubscriptionNotFoundError,
    TrialUsedError,
    read_plans,
    reference_plans,
)
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter, Balance

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
MARCH = datetime(2026, 3, 1, tzinfo=UTC)

PLANS: dict[str, Any] = {
    "plans": {
        "free": {"price_per_month": 0, "allowance": {"core": 10}, "units": ["core"]},
        "empty": {"price_per_month": 1, "allowance": {}, "units": ["core"]},
        "pro": {
            "price_per_month": 10,
            "price_per_year": 100,
            "allowance": {"core": 100, "advanced": 0},
            "units": ["core"],
            "trial": {"days": 14, "allowance": {"core": 20}},
        },
        "team": {
            "price_per_month": 30,
            "price_per_year": 300,
            "allowance": {"core": 300, "advanced": 30},
            "units": ["core", "advanced"],
            "roll_over": {"shares": {"core": "50%"}, "annual_only": True},
        },
    }
}


def core(balance: Balance) -> str:
    return str(balance.core.available)


def expiring(balance: Balance) -> list[tuple[datetime, str]]:
    return [(at, str(amount)) for at, amount in balance.core.expiring]


async def use(meter: AsyncMeter, amount: int, key: str) -> None:
    await meter.settle(await meter.hold("acme", core=amount, key=key), core=amount, key=key)


@pytest.fixture
def clock() -> Clock:
    return Clock(START)


def to(clock: Clock, moment: datetime) -> None:
    clock.turn(moment - clock())


# --- begin --------------------------------------------------------------------------------------


async def test_a_subscription_gives_its_allowance_in_every_cycle(opened: Opener, clock: Clock) -> None:
    """What is left lapses with the cycle, the next brings its own, and a top-up outlives them all."""
    async with opened(plans=read_plans(PLANS), clock=clock) as meter:
        begun = await meter.plans.subscribe("acme", "pro", key="s1")
        await meter.funds.grant("acme", core=5, source="top-up", key="t1")
        assert ({"core": PT.of(100)}, {"core": PT.of(100)}) == (begun.amounts, begun.available)
        assert ("pro", "active") == (begun.subscription.plan, begun.subscription.status)
        assert [(datetime(2026, 2, 28, 9, 30, tzinfo=UTC), "100 PT")] == expiring(
            await meter.balance("acme")
        )

        await use(meter, 40, "r1")
        to(clock, MARCH)
        assert "5 PT" == core(await meter.balance("acme"))
        assert ("acme",) == (await meter.plans.renew_due()).accounts
        assert "105 PT" == core(await meter.balance("acme"))
        assert (await meter.verify()).clean


async def test_a_request_to_subscribe_is_carried_out_once(opened: Opener, clock: Clock) -> None:
    """The same request under its key gets the first answer, even days later; another one is a conflict."""
    async with opened(plans=read_plans(PLANS), clock=clock) as meter:
        off = Discount(1_000, MARCH)
        first = await meter.plans.subscribe("acme", "pro", key="s1", zone="Europe/Berlin", discount=off)
        to(clock, MARCH)
        again = await meter.plans.subscribe("acme", "pro", key="s1", zone="Europe/Berlin", discount=off)

        assert (False, True) == (first.replayed, again.replayed)
        assert (first.subscription, first.amounts, first.available) == (
            again.subscription,
            again.amounts,
            again.available,
        )
        others: list[dict[str, Any]] = [{}, {"zone": "Europe/Berlin"}, {"zone": "UTC", "interval": "year"}]
        for other in others:
            with pytest.raises(IdempotencyConflictError):
                await meter.plans.subscribe("acme", "pro", key="s1", **other)


async def test_an_account_has_one_subscription(opened: Opener, clock: Clock) -> None:
    """While one goes on another cannot begin; once it has ended it can."""
    async with opened(plans=read_plans(PLANS), clock=clock) as meter:
        await meter.plans.subscribe("acme", "pro", key="s1")
        with pytest.raises(SubscriptionExistsError, match="has a subscription to 'pro' already"):
            await meter.plans.subscribe("acme", "team", key="s2")

        await meter.plans.cancel("acme", key="c1", when="now")
        clock.turn(timedelta(days=1))
        begun = await meter.plans.subscribe("acme", "team", key="s2")
        assert ("team", START + timedelta(days=1)) == (begun.subscription.plan, begun.subscription.anchor)


async def test_a_trial_is_had_once(opened: Opener, clock: Clock) -> None:
    """A trial gives its own PT, which lapse with it; then the cycles begin. There is no second one."""
    async with opened(plans=read_plans(PLANS), clock=clock) as meter:
        begun = await meter.plans.subscribe("acme", "pro", key="s1", trial=True)
        end = START + timedelta(days=14)
        assert ("trialing", end) == (begun.subscription.status, begun.subscription.trial_end)
        assert [(end, "20 PT")] == expiring(await meter.balance("acme"))
        assert Money.usd(0) == meter.plans.price(begun.subscription)

        to(clock, end + timedelta(days=2))
        assert "0 PT" == core(await meter.balance("acme"))
        after = await meter.plans.renew("acme")
        assert ("active", {"core": PT.of(100)}) == (after.subscription.status, after.amounts)
        assert end == after.subscription.cycle.start

        await meter.plans.cancel("acme", key="c1", when="now")
        with pytest.raises(TrialUsedError):
            await meter.plans.subscribe("acme", "pro", key="s2", trial=True)
        assert "active" == (await meter.plans.subscribe("acme", "pro", key="s3")).subscription.status


async def test_a_trial_left_early_is_over(opened: Opener, clock: Clock) -> None:
    """Whoever cancels in the trial and subscribes pays from then on."""
    async with opened(plans=read_plans(PLANS), clock=clock) as meter:
        await meter.plans.subscribe("acme", "pro", key="s1", trial=True)
        await meter.plans.cancel("acme", key="c1", when="now")
        begun = await meter.plans.subscribe("acme", "pro", key="s2")

        assert ("active", Money.usd(10)) == (
            begun.subscription.status,
            meter.plans.price(begun.subscription),
        )
        with pytest.raises(TrialUsedError):
            await meter.plans.cancel("acme", key="c2", when="now")
            await meter.plans.subscribe("acme", "pro", key="s4", trial=True)


async def test_a_plan_without_pt(opened: Opener, clock: Clock) -> None:
    """A plan that gives nothing can be subscribed to, and renewed."""
    async with opened(plans=read_plans(PLANS), clock=clock) as meter:
        begun = await meter.plans.subscribe("acme", "empty", key="s1")
        assert {} == begun.amounts
        to(clock, MARCH)
        renewed = await meter.plans.renew("acme")
        assert ({}, datetime(2026, 3, 31, 9, 30, tzinfo=UTC)) == (
            renewed.amounts,
            renewed.subscription.granted_until,
        )


async def test_what_cannot_be_asked_for(in_memory: Opener, clock: Clock) -> None:
    """An interval or a moment that is none, a plan that is not there, and a meter without plans are refused."""
    async with in_memory(plans=read_plans(PLANS), clock=clock) as meter:
        with pytest.raises(InvalidArgumentError, match="'week' is none of month, year"):
            await meter.plans.subscribe("acme", "pro", key="s1", interval="week")
        with pytest.raises(InvalidArgumentError, match="'soon' is none of now, period_end"):
            await meter.plans.cancel("acme", key="c1", when="soon")
        with pytest.raises(ConfigurationError, match="there is no plan 'gold'"):
            await meter.plans.subscribe("acme", "gold", key="s1")
        with pytest.raises(InvalidArgumentError, match="cannot name an account"):
            await meter.plans.subscribe(" acme", "pro", key="s1")
        with pytest.raises(InvalidArgumentError, match="a key is a text"):
            await meter.plans.subscribe("acme", "pro", key="")
    async with in_memory() as meter:
        with pytest.raises(ConfigurationError, match="this meter has no plans"):
            await meter.plans.renew_due()


# --- change -------------------------------------------------------------------------------------


async def test_up_gives_the_difference_for_what_is_left(opened: Opener, clock: Clock) -> None:
    """Half through the cycle half of the difference comes, once, and lapses with the cycle."""
    async with opened(plans=read_plans(PLANS), clock=clock) as meter:
        await meter.plans.subscribe("acme", "pro", key="s1")
        end = datetime(2026, 2, 28, 9, 30, tzinfo=UTC)
        clock.turn((end - START) / 2)
        for replayed in (False, True):
            up = await meter.plans.change("acme", "team", key="c1")
            assert (replayed, {"core": PT.of(100), "advanced": PT.of(15)}) == (up.replayed, up.amounts)

        assert [(end, "100 PT"), (end, "100 PT")] == expiring(await meter.balance("acme"))
        assert (await meter.may("acme", model="gpt-4o")).allowed
        with pytest.raises(IdempotencyConflictError):
            await meter.plans.change("acme", "free", key="c1")


async def test_down_comes_with_the_next_cycle(opened: Opener, clock: Clock) -> None:
    """Down, the plan holds to the cycle's end; a renewal then brings the lesser allowance and its models."""
    async with opened(plans=read_plans(PLANS), clock=clock) as meter:
        await meter.plans.subscribe("acme", "team", key="s1")
        down = await meter.plans.change("acme", "pro", key="c1")
        assert ("team", "pro", {}) == (
            down.subscription.plan,
            down.subscription.pending and down.subscription.pending.plan,
            down.amounts,
        )
        assert (await meter.may("acme", model="gpt-4o")).allowed

        to(clock, MARCH)
        assert {"core": PT.of(100)} == (await meter.plans.renew("acme")).amounts
        assert not (await meter.may("acme", model="gpt-4o")).allowed


async def test_a_change_is_of_a_subscription(opened: Opener, clock: Clock) -> None:
    """Without one, or once it has ended, there is nothing to change or to cancel."""
    async with opened(plans=read_plans(PLANS), clock=clock) as meter:
        for verb in (
            lambda: meter.plans.change("acme", "team", key="c1"),
            lambda: meter.plans.cancel("acme", key="c2"),
            lambda: meter.plans.renew("acme"),
            lambda: meter.plans.find("acme"),
        ):
            with pytest.raises(SubscriptionNotFoundError):
                await verb()
        await meter.plans.subscribe("acme", "pro", key="s1")
        await meter.plans.cancel("acme", key="c3", when="now")
        with pytest.raises(SubscriptionNotFoundError):
            await meter.plans.change("acme", "team", key="c4")
        assert "ended" == (await meter.plans.find("acme")).status


async def test_a_change_comes_after_what_is_due(opened: Opener, clock: Clock) -> None:
    """A change in a cycle that nobody has renewed yet brings its allowance first, then the difference."""
    async with opened(plans=read_plans(PLANS), clock=clock) as meter:
        await meter.plans.subscribe("acme", "pro", key="s1")
        to(clock, datetime(2026, 2, 28, 9, 30, tzinfo=UTC))
        up = await meter.plans.change("acme", "team", key="c1")

        assert {"core": PT.of(300), "advanced": PT.of(30)} == up.amounts
        assert () == (await meter.plans.renew_due()).accounts


# --- end ----------------------------------------------------------------------------------------


async def test_cancelled_it_goes_on_to_its_end(opened: Opener, clock: Clock) -> None:
    """What is paid for goes on; once it has ended the account is on no plan and gets nothing."""
    async with opened(plans=read_plans(PLANS), clock=clock) as meter:
        await meter.plans.subscribe("acme", "pro", key="s1")
        for replayed in (False, True):
            left = await meter.plans.cancel("acme", key="c1")
            assert ("cancelling", replayed) == (left.subscription.status, left.replayed)
        assert "pro" == (await meter.may("acme", model="gpt-4o")).plan

        to(clock, MARCH)
        assert "ended" == (await meter.plans.find("acme")).status
        assert ("acme",) == (await meter.plans.renew_due()).accounts
        assert () == (await meter.plans.renew_due()).accounts
        assert ("no_plan", "0 PT") == (
            (await meter.may("acme", model="gpt-4o")).reason,
            core(await meter.balance("acme")),
        )


async def test_cancelled_now_it_keeps_what_was_given(opened: Opener, clock: Clock) -> None:
    """At an end at once the PT of the cycle stay until they lapse."""
    async with opened(plans=read_plans(PLANS), clock=clock) as meter:
        await meter.plans.subscribe("acme", "pro", key="s1")
        await meter.plans.cancel("acme", key="c1", when="now")

        assert "100 PT" == core(await meter.balance("acme"))
        assert "no_plan" == (await meter.may("acme", feature="teams")).reason
        assert () == (await meter.plans.renew_due()).accounts


# --- renew --------------------------------------------------------------------------------------


async def test_renewals_are_paged_and_one_failure_stops_no_other(on_file: Opener, clock: Clock) -> None:
    """Every subscription that is due is renewed; one to a plan that is no more is named, and stays due."""
    names = [f"a{number}" for number in range(7)]
    async with on_file(plans=read_plans(PLANS), clock=clock) as meter:
        for name in names:
            await meter.plans.subscribe(name, "team" if name == "a3" else "pro", key="s1")
    to(clock, MARCH)
    fewer = {"plans": {"pro": PLANS["plans"]["pro"]}}
    async with on_file(plans=read_plans(fewer), clock=clock) as meter:
        renewed = await meter.plans.renew_due(limit=2)
        assert tuple(name for name in names if name != "a3") == renewed.accounts
        assert ["a3"] == list(renewed.failures)
        assert "there is no plan 'team'" in str(renewed.failures["a3"])
    async with on_file(plans=read_plans(PLANS), clock=clock) as meter:
        assert ("a3",) == (await meter.plans.renew_due()).accounts


async def test_a_plan_file_that_changes_touches_nothing_given(on_file: Opener, clock: Clock) -> None:
    """An allowance that is changed in the file holds from the next cycle on, and for what a change adds."""
    async with on_file(plans=read_plans(PLANS), clock=clock) as meter:
        await meter.plans.subscribe("acme", "pro", key="s1")
    edited = {"plans": {**PLANS["plans"], "pro": {**PLANS["plans"]["pro"], "allowance": {"core": 7}}}}
    async with on_file(plans=read_plans(edited), clock=clock) as meter:
        assert {} == (await meter.plans.renew("acme")).amounts
        assert "100 PT" == core(await meter.balance("acme"))
        up = await meter.plans.change("acme", "team", key="c1")
        assert PT.of(200) == up.amounts["core"]  # to what was given, not to what the file says now

        to(clock, MARCH)
        await meter.plans.change("acme", "pro", key="c2", when="now")
        assert {"core": PT.of(300), "advanced": PT.of(30)} == {
            unit: PT(micro) for unit, micro in (await meter.plans.find("acme")).allowance.items()
        }


async def test_months_that_nobody_renewed_lapse_as_they_would_have(opened: Opener, clock: Clock) -> None:
    """Renewed after three months, each cycle is granted and lapses, and the one that holds is there."""
    async with opened(plans=read_plans(PLANS), clock=clock) as meter:
        await meter.plans.subscribe("acme", "pro", key="s1")
        to(clock, datetime(2026, 5, 2, tzinfo=UTC))
        late = await meter.plans.renew("acme")

        assert ({"core": PT.of(300)}, {"core": PT.of(100)}) == (late.amounts, late.available)
        summary = await meter.summary("acme", since=START, until=clock() + timedelta(days=1))
        assert (PT.of(400), PT.of(300)) == (summary.units["core"].granted, summary.units["core"].lapsed)
        assert (await meter.verify()).clean


# --- roll-over ----------------------------------------------------------------------------------


async def test_half_of_what_is_unused_goes_on(opened: Opener, clock: Clock) -> None:
    """Of 300 PT 80 are used and 20 held at the end: half of the 200 that were free goes on, for one cycle."""
    async with opened(plans=read_plans(PLANS), clock=clock) as meter:
        await meter.plans.subscribe("acme", "team", key="s1", interval="year")
        await use(meter, 80, "r1")
        end = datetime(2026, 2, 28, 9, 30, tzinfo=UTC)
        to(clock, end - timedelta(minutes=1))
        held = await meter.hold("acme", core=20, key="r2")
        to(clock, end + timedelta(minutes=1))
        await meter.void(held, key="v2")
        to(clock, MARCH)
        await meter.plans.renew("acme")

        following = datetime(2026, 3, 31, 9, 30, tzinfo=UTC)
        assert [(following, "100 PT"), (following, "300 PT")] == sorted(
            expiring(await meter.balance("acme")), key=str
        )
        await use(meter, 150, "r3")  # what came over goes first
        to(clock, datetime(2026, 4, 1, tzinfo=UTC))
        await meter.plans.renew("acme")
        assert "425 PT" == core(await meter.balance("acme"))  # 300, and half of 250
        assert (await meter.verify()).clean


async def test_what_a_change_gave_goes_on_too(opened: Opener, clock: Clock) -> None:
    """Half of what is left of the allowance and of what a change added to it, in one lot."""
    async with opened(plans=read_plans(PLANS), clock=clock) as meter:
        await meter.plans.subscribe("acme", "pro", key="s1", interval="year")
        await meter.plans.change("acme", "team", key="c1")
        to(clock, MARCH)
        await meter.plans.renew("acme")

        assert ["150 PT", "300 PT"] == sorted(amount for _, amount in expiring(await meter.balance("acme")))


before_the_end = st.one_of(st.integers(0, 29), st.integers(30, 24 * 25))
actions = st.lists(
    st.tuples(
        st.integers(0, 3),
        before_the_end,
        st.integers(1, 60),
        st.sampled_from(["settle", "part", "void", "leave"]),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(st.lists(st.integers(0, 72), min_size=4, max_size=4), actions)
def test_a_late_renewal_finds_the_same_ledger(
    delays: list[int], moves: list[tuple[int, int, int, str]]
) -> None:
    """
    Renewed to the minute or up to three days late, all that is granted, used, left and lapsed is the same.

    Calls are made at any time but in the three days after a cycle began, when only one of the two has its PT;
    some are under way when a cycle ends.
    """
    on_time, late = (_played(delay, moves) for delay in ([0] * 4, delays))

    assert on_time == late


def _played(delays: list[int], moves: list[tuple[int, int, int, str]]) -> Any:
    """A quarter of calls and renewals; returns what the ledger comes to."""
    clock = Clock(START)
    ends = [datetime(2026, 2, 28), datetime(2026, 3, 31), datetime(2026, 4, 30), datetime(2026, 5, 31)]  # noqa: DTZ001
    cycles = [end.replace(hour=9, minute=30, tzinfo=UTC) for end in ends]
    plan: list[tuple[datetime, int, Any]] = [
        (end + timedelta(hours=delay), 0, None) for end, delay in zip(cycles, delays, strict=True)
    ]
    for number, (which, hours, amount, how) in enumerate(moves):
        at = cycles[which] - timedelta(hours=hours, minutes=1)
        plan.append((at, 1, (number, amount, how)))
        plan.append((at + timedelta(hours=30), 2, (number, amount, how)))
    with Meter.open("memory://", plans=read_plans(PLANS), clock=clock) as meter:
        meter.plans.subscribe("acme", "team", key="s1", interval="year")
        held: dict[int, Any] = {}
        for at, step, what in sorted(plan, key=lambda each: each[:2]):
            to(clock, at)
            if what is None:
                meter.plans.renew("acme")
                continue
            number, amount, how = what
            key = f"r{number}"
            if step == 1 and meter.balance("acme").core.available >= PT.of(amount):
                held[number] = meter.hold("acme", core=amount, key=key, ttl=timedelta(days=2))
            elif step == 2 and number in held and how == "void":
                meter.void(held[number], key=key)
            elif step == 2 and number in held and how != "leave":
                meter.settle(held[number], core=amount if how == "settle" else amount // 2, key=key)
        to(clock, datetime(2026, 6, 29, tzinfo=UTC))
        meter.sweep()
        assert meter.verify().clean
        (wallet,) = meter._platform.store.read(
            lambda books: [w for w in books.ledger.wallets("acme") if w.id.unit == "core"]
        )
        total = meter.summary("acme", since=START, until=clock()).units["core"]
        lots = sorted(
            (lot.granted, lot.remaining, lot.priority, lot.expires_at, lot.paid) for lot in wallet.lots
        )
        return wallet.available, wallet.spent, total.granted, total.lapsed, lots


# --- putting an account on a plan by hand ---------------------------------------------------------


async def test_the_reference_plans_can_all_be_subscribed_to(in_memory: Opener, clock: Clock) -> None:
    """Each bundled plan gives its allowance, and by the year those that have a price for it."""
    async with in_memory(plans=reference_plans(), clock=clock) as meter:
        for name, plan in reference_plans().by_name.items():
            interval = "year" if plan.price_per_year else "month"
            begun = await meter.plans.subscribe(name, name, key="s1", interval=interval)
            assert {unit: pt for unit, pt in plan.allowance.items() if pt} == begun.amounts
            assert (plan.price_per_year or plan.price_per_month) == meter.plans.price(begun.subscription)
