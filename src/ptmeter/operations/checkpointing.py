"""
Take a checkpoint: write down where every wallet's chain stands, if it continues what was signed before.

What is signed is vouched for, so a ledger that departs from the last checkpoint is refused: its history would
otherwise be replaced by one signature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from ..domain import chain
from ..domain.audit import Finding
from ..domain.checkpoint_audit import beside, events_changed, vanished
from ..domain.checkpoints import Mark, Opening, Tally, mark_event, mark_wallet
from ..errors import CheckpointMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..domain.checkpoints import Checkpoint, Marked
    from ..domain.ledger import Wallet
    from ..ports import Books, Checkpoints

PAGE: Final = 1_000

Line: TypeAlias = Opening | Mark


def take(books: Books, before: Checkpoints | None, write: Callable[[Line], None]) -> Checkpoint:
    """
    *write* the opening and the marks of a checkpoint, page by page, so that it needs little memory.

    *before*: the checkpoints it follows. What is returned is not signed yet.

    Raises:
        CheckpointMismatchError: The ledger is not as the last of them has it.
    """
    opening = Opening(
        number=before.last.number + 1 if before else 1,
        at=books.ledger.now(),
        began=books.periods.begun(),
        previous=bytes.fromhex(before.last.hash) if before else b"",
    )
    tally = Tally(opening)
    write(opening)
    for mark in _marks(books, before):
        tally.add(mark)
        write(mark)
    return tally.finish()


def _marks(books: Books, before: Checkpoints | None) -> Iterator[Mark]:
    events = books.periods.events()
    signed = before.wallets(latest=True) if before else iter(())
    if before and (changed := events_changed(before.periods, events)):
        raise CheckpointMismatchError(before.last.number, str(changed[0]))
    yield from map(mark_event, events)
    for wallet, marks in beside(_wallets(books), signed):
        for marked in marks:
            if finding := _departure(books, wallet, marked):
                raise CheckpointMismatchError(marked.checkpoint, str(finding))
        if wallet:
            yield mark_wallet(wallet)


def _departure(books: Books, wallet: Wallet | None, marked: Marked) -> Finding | None:
    """Where *wallet* is not as it was signed: its last row must still be there, with the same hash."""
    mark = marked.mark
    if wallet is None:
        return vanished([marked])
    if wallet.seq == mark.seq:
        same = wallet.head == mark.head
    else:
        rows = books.ledger.journal(wallet, after=mark.seq - 1, limit=1) if mark.seq else []
        links = [row.link for row in rows if row.seq == mark.seq]
        same = not mark.seq or links == [chain.link(mark.head)]
    return (
        None if same else Finding(*wallet.id, f"transfer {mark.seq}", "it is not the one that was signed")
    )


def _wallets(books: Books) -> Iterator[Wallet]:
    last: int | None = None
    while page := books.ledger.wallets(after=last, limit=PAGE, live=True):
        yield from page
        last = page[-1].number
