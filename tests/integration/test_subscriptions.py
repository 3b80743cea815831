"""Subscriptions on every database: renewed, begun and changed by several at once, it happens once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.wiring import engine_on, meter_on, query, servers

from ptmeter import PT, Discount, PtmeterError, SubscriptionExistsError, read_plans
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.backends import Backend

    from ptmeter import Meter

START = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)
AT_ONCE = 4
ACCOUNTS = [f"a{number}" for number in range(6)]

PLANS: dict[str, Any] = {
    "plans": {
        "pro": {
            "price_per_month": 10,
            "price_per_year": 100,
            "allowance": {"core": 100, "advanced": 10},
            "units": ["core"],
            "roll_over": {"shares": {"core": "50%"}},
            "trial": {"days": 14, "allowance": {"core": 20}},
        },
        "team": {"price_per_month": 30, "allowance": {"core": 300}, "units": ["core"]},
    }
}


@pytest.fixture(params=servers("sqlite", "postgres", "mysql"))
def url(request: pytest.FixtureRequest, backend_of: Callable[[str], Backend]) -> str:
    return backend_of(request.param).empty()


def at_once(url: str, clock: Clock, *works: Callable[[Meter], Any]) -> list[Any]:
    """Each work by a meter and a thread of its own, all at the same moment; what it returned or raised."""
    barrier = Barrier(len(works))

    def carry_out(meter: Meter, work: Callable[[Meter], Any]) -> Any:
        barrier.wait()
        try:
            return work(meter)
        except PtmeterError as refused:
            return refused

    with ExitStack() as stack, ThreadPoolExecutor(len(works)) as threads:
        meters = [stack.enter_context(meter_on(url, plans=read_plans(PLANS), clock=clock)) for _ in works]
        pairs = zip(meters, works, strict=True)
        futures = [threads.submit(carry_out, meter, work) for meter, work in pairs]
        return [future.result() for future in futures]


def test_renewed_by_several_at_once_each_cycle_is_granted_once(url: str) -> None:
    """Four jobs that renew the same subscriptions at the same moment give what one would have given."""
    clock = Clock(START)
    with meter_on(url, plans=read_plans(PLANS), clock=clock) as meter:
        for account in ACCOUNTS:
            meter.plans.subscribe(account, "pro", key="s1", interval="year", zone="Europe/Berlin")
        clock.turn(MAY - START)
        done = at_once(url, clock, *[lambda meter: meter.plans.renew_due(limit=2)] * AT_ONCE)

        assert all(renewed.failures == {} for renewed in done)
        assert set(ACCOUNTS) == {name for renewed in done for name in renewed.accounts}
        for account in ACCOUNTS:
            core = meter.balance(account).core.expiring
            assert [PT.of(50), PT.of(100)] == sorted(amount for _, amount in core)
            granted = meter.summary(account, since=START, until=MAY.replace(day=2)).units
            assert (PT.of(4 * 100 + 3 * 50), PT.of(4 * 10)) == tuple(
                granted[unit].granted for unit in ("core", "advanced")
            )
        assert meter.verify().clean


def test_begun_by_several_at_once_it_begins_once(url: str) -> None:
    """Of requests with keys of their own one begins the subscription; those under one key share its answer."""
    clock = Clock(START)
    for account, keys in (("acme", ["s1", "s2", "s3", "s4"]), ("zeta", ["s1"] * AT_ONCE)):
        works = [
            lambda meter, account=account, key=key: meter.plans.subscribe(account, "pro", key=key)
            for key in keys
        ]
        done = at_once(url, clock, *works)
        refused = [each for each in done if isinstance(each, SubscriptionExistsError)]
        begun = [each for each in done if each not in refused]

        assert len(set(keys)) - 1 == len(refused)
        assert [False] + [True] * (len(begun) - 1) == sorted(each.replayed for each in begun)
        with meter_on(url, clock=clock) as meter:
            assert PT.of(100) == meter.balance(account).core.available


def test_changed_by_several_at_once_pt_are_given_once(url: str) -> None:
    """Changes to the dearer plan at the same moment give its difference once, under however many keys."""
    clock = Clock(START)
    with meter_on(url, plans=read_plans(PLANS), clock=clock) as meter:
        meter.plans.subscribe("acme", "pro", key="s1")
        works = [
            lambda meter, key=f"c{n}": meter.plans.change("acme", "team", key=key) for n in range(AT_ONCE)
        ]
        done = at_once(url, clock, *works)

        assert [PT.of(200)] == [each.amounts["core"] for each in done if each.amounts]
        assert PT.of(300) == meter.balance("acme").core.available


def test_all_that_a_subscription_has_is_kept(url: str) -> None:
    """What is written is what is read, to the microsecond, in the subscription and in a replayed answer."""
    clock = Clock(START.replace(microsecond=123_457))
    off = Discount(2_500, MAY)
    with meter_on(url, plans=read_plans(PLANS), clock=clock) as meter:
        begun = meter.plans.subscribe(
            "Ácme", "pro", key="s1", trial=True, zone="Asia/Kathmandu", discount=off, interval="year"
        )
        assert begun.subscription == meter.plans.find("Ácme")
        changed = meter.plans.change("Ácme", "team", key="c1", when="period_end", interval="month")
        assert changed.subscription == meter.plans.find("Ácme")
        assert changed.subscription.pending is not None
        cancelled = meter.plans.cancel("Ácme", key="c2")
        again = meter.plans.cancel("Ácme", key="c2")

        assert (cancelled.subscription, cancelled.amounts, cancelled.available) == (
            again.subscription,
            again.amounts,
            again.available,
        )
        assert again.replayed
    assert [("Ácme",)] == query(url, "SELECT account FROM ptm_subscription WHERE due_at IS NOT NULL")


def test_in_your_own_transaction_it_stands_or_falls_with_it(url: str) -> None:
    """A subscription begun in an application's transaction that is rolled back was never begun."""
    clock, isolation = (
        Clock(START),
        {} if url.startswith("sqlite") else {"isolation_level": "READ COMMITTED"},
    )
    with (
        meter_on(url, plans=read_plans(PLANS), clock=clock) as meter,
        engine_on(url, **isolation) as engine,
    ):
        with engine.connect() as connection:
            connection.begin()
            meter.joined(connection).plans.subscribe("acme", "pro", key="s1")
            connection.rollback()
        begun = meter.plans.subscribe("acme", "team", key="s1")

        assert (False, "team") == (begun.replayed, begun.subscription.plan)
