"""
Settle, void, expire, lapse and debit, all at one hold at the same time: it ends once, whoever comes first.

The check is shown to find a hold that ended twice, and a caller who was told that he ended what another did.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests import races
from tests.history import journals
from tests.integration.wiring import SQL_DRIVERS, in_a_thread, params, through

from ptmeter import Meter
from ptmeter.domain.ledger import Kind, Posted

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.backends import Backend, Driver
    from tests.races import Round

    from ptmeter.domain.ledger import Transfer
    from ptmeter.testing import Clock

ROUNDS = 100
ONE_OF_EACH = tuple(driver for driver in SQL_DRIVERS if driver.scheme != "postgresql+asyncpg")


@pytest.mark.parametrize("driver", params(ONE_OF_EACH))
def test_a_hold_ends_once(driver: Driver, backend_of: Callable[[str], Backend], clock: Clock) -> None:
    """However five callers race for a hold, one ends it and the others are told so."""
    url = through(driver, backend_of(driver.backend).empty())
    rounds = ROUNDS // 2  # the other half is the other colour's

    raced = in_a_thread(lambda: races.run(url, clock, rounds=rounds, asynchronous=driver.asynchronous))

    won = races.check(url, raced)
    assert rounds == won.total()
    assert {Kind.SETTLE, Kind.VOID, Kind.EXPIRE} == {*won}


@pytest.fixture
def race(sqlite_url: str, clock: Clock) -> tuple[Round, list[Transfer]]:
    """One race that a settle won, and the journal."""
    raced = races.run(sqlite_url, clock, rounds=8, asynchronous=False)
    with Meter.open(sqlite_url) as meter:
        journal = meter._platform.store.read(journals)
    return next(
        (each, journal[each.wallet])
        for each in raced
        if Kind.EXPIRE is not races.check_round(each, journal[each.wallet])
    )


def test_a_second_end_is_noticed(race: tuple[Round, list[Transfer]]) -> None:
    """The control: a journal in which the hold ended once more."""
    each, rows = race
    end = next(row for row in rows if row.kind in races.ENDS)
    twice = [*rows, replace(end, seq=len(rows) + 1)]

    with pytest.raises(ValueError, match="too many values"):
        races.check_round(each, twice)


def test_a_second_winner_is_noticed(race: tuple[Round, list[Transfer]]) -> None:
    """The control: another caller was told that the hold ended by his doing."""
    each, rows = race
    winner = next(told for told in each.told.values() if isinstance(told, Posted))
    other = replace(winner, transfer=replace(winner.transfer, kind=Kind.VOID, id=bytes(16)))

    with pytest.raises(AssertionError):
        races.check_round(replace(each, told={**each.told, "void": other, "settle": other}), rows)
