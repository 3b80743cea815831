"""What of a cycle's PT goes on to the next: what was free when it ended, whatever happened since."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.unit.domain.lot_steps import WALLET, asked, do, of_lot, shelf_with
from tests.unit.domain.strategies import START

from ptmeter.domain.commands import Debit, Freeze, Grant, Hold, Lapse, Reverse, Settle, Unfreeze
from ptmeter.domain.keys import digest
from ptmeter.domain.roll_over import unused

DAY = timedelta(days=1)
END = START + DAY


def at_the_end(*commands: Any, later: tuple[Any, ...] = ()) -> int:
    """What is said to be unused of 100 PT, asked after *later*."""
    shelf = shelf_with(100, expires_at=END)
    for command in commands:
        do(shelf, command)
    for command in later:
        do(shelf, command, at=END)
    rows = shelf.journal[WALLET]
    holds = {row.seq: row for row in rows}
    since = [row for row in rows if row.booked_at >= END]
    return unused(shelf.lots[WALLET][1], since, holds)


LAPSE = Lapse(**asked("lapse"))


def test_what_was_used_or_set_aside_does_not_go_on() -> None:
    """Spent, held, frozen or taken back: only what was free at the end is unused."""
    held = Hold(**asked("held"), amount=10, ttl=2 * DAY)

    assert 100 == at_the_end()
    assert 70 == at_the_end(Debit(**asked("spent"), amount=30))
    assert 90 == at_the_end(held)
    assert 60 == at_the_end(of_lot(Freeze, "dispute", 40))
    assert 80 == at_the_end(of_lot(Reverse, "refund", 20))


def test_it_is_the_same_whenever_it_is_asked_for() -> None:
    """What lapsed, came back or was given back since is no more of it, and what was taken back no less."""
    held = Hold(**asked("held"), amount=10, ttl=2 * DAY)
    frozen = of_lot(Freeze, "dispute", 40)
    settled = Settle(**asked("settled"), hold_id=digest(("held",)), amount=3)

    assert 100 == at_the_end(later=(LAPSE,))
    assert 90 == at_the_end(held, later=(LAPSE, settled))
    assert 60 == at_the_end(frozen, later=(LAPSE, of_lot(Unfreeze, "won", 40)))
    assert 60 == at_the_end(frozen, later=(of_lot(Reverse, "lost", 40, frozen=40), LAPSE))
    assert 60 == at_the_end(
        frozen, later=(Grant(**asked("more"), amount=5), of_lot(Reverse, "lost", 60, frozen=40))
    )
