"""
Clocks that step, fall behind, and change to and from summer time: the journal's order and the holds' time stand.

The ledger goes by one clock, the database's. Where that clock itself jumps ahead, what falls due by it falls
due; the call is charged late then. What no clock may do is to reorder the journal, or to end a hold before
the time it was given has passed on the clock the ledger goes by.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from tests.history import journals
from tests.integration.wiring import servers

from ptmeter import Meter
from ptmeter.domain.ledger import Kind
from ptmeter.domain.receipts import Receipt
from ptmeter.operations import sweeping
from ptmeter.testing import Clock
from ptmeter.testing.steps import MINUTE, assert_clean, give, held, settle

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.backends import Backend

    from ptmeter.domain.ledger import Transfer
    from ptmeter.ports import Store

HOUR = timedelta(hours=1)
STEPS = (HOUR, -HOUR, -HOUR, timedelta(0), HOUR, timedelta(microseconds=-1), MINUTE, -24 * HOUR, 25 * HOUR)


def rows_of(store: Store) -> list[Transfer]:
    [rows] = store.read(journals).values()
    return rows


def sweep(store: Store) -> int:
    return store.run(partial(sweeping.sweep, limit=1_000)).holds


def early(rows: list[Transfer], now: datetime) -> list[Transfer]:
    """Holds that expired though, by *now*, their time was not over."""
    return [
        rows[row.completes - 1]
        for row in rows
        if row.kind is Kind.EXPIRE and row.completes and (rows[row.completes - 1].expires_at or now) > now
    ]


def check_times(rows: list[Transfer]) -> None:
    """Booked times only grow, and every hold was given its minute and kept it."""
    assert all(one.booked_at < next_one.booked_at for one, next_one in pairwise(rows))
    for row in rows:
        if row.kind is Kind.HOLD:
            assert row.booked_at + MINUTE == row.expires_at
        if row.kind is Kind.EXPIRE:
            hold = rows[(row.completes or 0) - 1]
            assert hold.expires_at is not None
            assert hold.expires_at <= row.booked_at


def test_steps_of_an_hour_do_not_reorder_the_journal(store: Store, clock: Clock) -> None:
    """Whatever the clock does between them, transfers are booked in order, and no hold ends before its time."""
    give(store, 1_000)
    for number, step in enumerate(STEPS):
        placed = held(store, 10, key=f"h{number}")
        clock.turn(step)
        sweep(store)
        if number % 2:
            settle(store, placed, 5, key=f"s{number}")

    rows = rows_of(store)
    check_times(rows)
    assert {Kind.HOLD, Kind.EXPIRE, Kind.SETTLE} <= {row.kind for row in rows}
    assert_clean(store)


def test_a_hold_outlives_a_clock_that_stepped_back(store: Store, clock: Clock) -> None:
    """Placed, and the clock an hour slower: the hold waits the hour more, and is charged as if nothing was."""
    give(store, 1_000)
    placed = held(store, 10)
    clock.turn(-HOUR)

    before_its_time = [sweep(store) for _ in range(3) if clock.turn(20 * MINUTE - timedelta(seconds=1))]

    assert [0, 0, 0] == before_its_time
    receipt = settle(store, placed, 5)
    assert isinstance(receipt, Receipt)
    assert () == receipt.warnings
    check_times(rows_of(store))


@pytest.mark.parametrize("name", ["sqlite", *servers("postgres", "mysql")])
def test_a_slower_clock_after_a_failover_ends_no_hold_early(
    name: str, backend_of: Callable[[str], Backend]
) -> None:
    """The new primary's clock is an hour behind: what was booked before stays before, and holds keep their time."""
    before, after = Clock(), Clock()
    after.turn(-HOUR)
    url = backend_of(name).empty()
    with Meter.open(url, clock=before) as old:
        old.funds.grant("acme", source="test", key="g", core=100)
        old.hold("acme", key="old", core=10, ttl=MINUTE)
    with Meter.open(url, clock=after) as new:
        new.hold("acme", key="new", core=10, ttl=MINUTE)
        swept = [new.sweep().holds]
        after.turn(HOUR + MINUTE - timedelta(microseconds=1))
        swept.append(new.sweep().holds)
        after.turn(timedelta(seconds=1))
        swept.append(new.sweep().holds)
        [rows] = new._platform.store.read(journals).values()
        report = new.verify()

    assert [0, 0, 2] == swept
    check_times(rows)
    assert report.clean, report


# --- summer time ------------------------------------------------------------------------------------


class WallClock(Clock):
    """A clock on a wall in Berlin: it repeats an hour in autumn, and leaves one out in spring."""

    def __call__(self) -> datetime:
        return super().__call__().astimezone(ZoneInfo("Europe/Berlin"))


class TestSummerTime:
    """Stores that go by a clock in local time."""

    @pytest.fixture(
        params=[
            datetime(2026, 10, 25, 0, 59, 30, tzinfo=UTC),
            datetime(2026, 3, 29, 0, 59, 30, tzinfo=UTC),
        ],
        ids=["ends", "begins"],
    )
    def clock(self, request: pytest.FixtureRequest) -> Clock:
        """Half a minute before the clocks are turned."""
        return WallClock(request.param)

    def test_a_hold_across_the_change_lasts_its_minute(self, store: Store, clock: Clock) -> None:
        """Neither the hour that comes twice nor the one that is left out makes a hold longer or shorter."""
        give(store, 100)
        clock.turn(timedelta(seconds=1))
        placed = held(store, 10)
        clock.turn(MINUTE - timedelta(microseconds=1))
        early = sweep(store)
        clock.turn(timedelta(seconds=1))

        due = sweep(store)

        rows = rows_of(store)
        assert (0, 1) == (early, due)
        assert placed.expires_at.astimezone(UTC) < clock()
        assert all(
            one.booked_at.astimezone(UTC) < two.booked_at.astimezone(UTC) for one, two in pairwise(rows)
        )
        assert_clean(store)


# --- whose clock it is --------------------------------------------------------------------------------


class FastClock(datetime):
    """The clock of a caller's machine that is an hour ahead."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:
        return datetime.now(tz) + HOUR


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every clock that the store could read in this process is an hour ahead."""
    monkeypatch.setattr("ptmeter.storage.books.datetime", FastClock)
    monkeypatch.setattr("ptmeter.storage.memory.datetime", FastClock)


@pytest.mark.parametrize("name", servers("postgres", "mysql"))
def test_the_callers_clock_ends_no_hold(
    name: str, backend_of: Callable[[str], Backend], fast: None
) -> None:
    """An hour ahead of the server, a caller places, sweeps and settles by the server's clock all the same."""
    with Meter.open(backend_of(name).empty()) as meter:
        give_and_hold(meter)
        swept = meter.sweep().holds
        [rows] = meter._platform.store.read(journals).values()

    assert 0 == swept
    assert abs(rows[-1].booked_at - datetime.now(UTC)) < HOUR / 2


@pytest.mark.parametrize("name", servers("postgres", "mysql"))
def test_a_hold_that_ended_by_the_callers_clock_is_noticed(
    name: str, backend_of: Callable[[str], Backend]
) -> None:
    """The control: a store that goes by its caller's clock ends a hold that has most of its time before it."""
    url = backend_of(name).empty()
    with Meter.open(url) as meter:
        give_and_hold(meter)
    with Meter.open(url, clock=lambda: FastClock.now(UTC)) as hasty:
        hasty.sweep()
    with Meter.open(url) as meter:
        [rows] = meter._platform.store.read(journals).values()
        now = meter._platform.store.read(lambda books: books.ledger.now())

    assert 1 == len(early(rows, now))


def give_and_hold(meter: Meter) -> None:
    meter.funds.grant("acme", source="test", key="g", core=100)
    meter.hold("acme", key="h", core=10)
