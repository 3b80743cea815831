"""What of a cycle's PT goes on to the next: what was free when it ended, whatever happened since."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from tests.unit.domain.lot_steps import WALLET, asked, do, of_lot, shelf_with
from tests.unit.domain.strategies import START

from ptmeter.domain.commands import Debit, Freeze, Grant, Hold, Lapse, Reverse, Settle, Unfreeze
from ptmeter.domain.keys import digest
from ptmeter.domain.ledger import Lot
from ptmeter.domain.roll_over import Rest, shared, unused

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


def test_what_goes_on_carries_its_part_of_what_was_paid() -> None:
    """Half of what is left goes on with half of what that was paid with, rounded down; all of it with all."""
    bought, given = Lot(1, 100, 40, paid=1_001), Lot(2, 10, 10, paid=0)

    assert Rest(25, 200) == shared([(bought, 40), (given, 10)], 5_000)
    assert Rest(100, 1_001) == shared([(bought, 100)], 10_000)
    assert Rest(0, 0) == shared([], 5_000)


def test_what_nobody_knows_the_price_of_goes_on_without_one() -> None:
    """If of one lot it is not known what was paid, it is not known of the rest."""
    assert Rest(7, None) == shared([(Lot(1, 10, 10, paid=5), 4), (Lot(2, 10, 10), 10)], 5_000)
