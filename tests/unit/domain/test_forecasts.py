"""What is told ahead of time: the nearest line only, once for each lot or cycle, and never of what is long over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptmeter import Ahead, Alert, ConfigurationError
from ptmeter.domain.forecasts import exhausted, expiring, runs_out_at
from ptmeter.domain.ledger import Lot, Wallet, WalletId
from ptmeter.domain.windows import Window

AT = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
AHEAD = Ahead(expiring=(7, 1), exhaustion=(3, 1))
CYCLE = Window(AT - 10 * DAY, AT + 20 * DAY)


def wallet(*lots: Lot, **more: Any) -> Wallet:
    facts = {"number": 1, "booked_at": AT, "lots": lots, **more}
    return Wallet(id=WalletId("acme", "core"), **facts)


def lot(number: int, left: timedelta | None, remaining: int = 5) -> Lot:
    return Lot(number, 10, remaining, expires_at=None if left is None else AT + left)


@pytest.mark.parametrize(
    ("left", "days"),
    [
        (None, []),
        (8 * DAY, []),
        (7 * DAY + timedelta(seconds=1), []),
        (7 * DAY, [7]),
        (DAY, [1]),
        (timedelta(seconds=1), [1]),
        (timedelta(0), []),
        (-DAY, []),
    ],
)
def test_a_lot_is_told_of_when_it_lapses_soon(left: timedelta | None, days: list[int]) -> None:
    """Within seven days, then within one; not before, and not once it has lapsed."""
    assert days == [notice.days for notice in expiring(wallet(lot(1, left)), AHEAD, AT)]


def test_each_lot_is_told_of_once_for_each_line() -> None:
    """The same lot a little later is the same notice, though less is left of it; another lot is another."""
    first, other = expiring(wallet(lot(1, 6 * DAY), lot(2, 6 * DAY), lot(3, DAY, 0)), AHEAD, AT)
    (later,) = expiring(wallet(lot(1, 6 * DAY, 2)), AHEAD, AT + DAY)
    (last,) = expiring(wallet(lot(1, 6 * DAY)), AHEAD, AT + 5 * DAY)

    assert first.id == later.id
    assert 3 == len({first.id, other.id, last.id})
    assert "acme: 0.000005 PT of core lapse on 2026-03-07 00:00 UTC" == str(first)


@given(st.integers(1, 10**12), st.integers(1, 10**12))
def test_use_goes_on_as_it_went(left: int, burnt: int) -> None:
    """What is left lasts for as many times 72 hours as it holds what was used in them, to the hour."""
    until = runs_out_at(wallet(available=left), burnt, AT)
    hours = left * 72 // burnt

    assert (AT + timedelta(hours=hours) if hours < 365 * 24 else None) == until


def test_nobody_runs_out_who_uses_nothing_or_has_nothing() -> None:
    """Without use there is no end in sight; what is empty, or owes as much as it has, has reached it."""
    assert None is runs_out_at(wallet(available=5), 0, AT)
    assert None is runs_out_at(wallet(available=0), 5, AT)
    assert None is runs_out_at(wallet(held=4, owed=4), 5, AT)


def test_a_wallet_is_told_of_once_a_cycle_for_each_line() -> None:
    """At three days and at one; again in the next cycle."""

    def told(left: int, cycle: Window = CYCLE) -> Any:
        return exhausted(wallet(available=left), 72, AHEAD, cycle, AT, renewed=False)

    next_cycle = Window(CYCLE.end, CYCLE.end + 30 * DAY)

    assert None is told(73)
    assert (3, 3, 1) == (told(72).days, told(25).days, told(24).days)
    assert told(72).id == told(60).id
    assert 3 == len({told(72).id, told(24).id, told(72, next_cycle).id})
    assert Alert.EXHAUSTION is told(72).alert


def test_who_lasts_until_the_next_allowance_does_not_run_out() -> None:
    """One that is renewed in two days is told of if it lasts for one, and not if it lasts for two."""
    cycle = Window(CYCLE.start, AT + 2 * DAY)

    assert None is exhausted(wallet(available=48), 72, AHEAD, cycle, AT, renewed=True)
    assert exhausted(wallet(available=47), 72, AHEAD, cycle, AT, renewed=True)
    assert exhausted(wallet(available=48), 72, AHEAD, cycle, AT, renewed=False)


@pytest.mark.parametrize("wrong", [{"expiring": (0,)}, {"exhaustion": (-1,)}, {"expiring": (1.5,)}])
def test_days_ahead_are_whole_and_ahead(wrong: dict[str, Any]) -> None:
    """No day, one back, or half a day is refused."""
    with pytest.raises(ConfigurationError, match="whole day"):
        Ahead(**wrong)
