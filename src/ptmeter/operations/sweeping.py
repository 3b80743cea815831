"""
What falls due by itself: holds nobody came back for, lots past their expiry, refusals past their day.

Nothing depends on a sweep being on time: a due hold is released when its PT are needed, and an expired
lot is not available. Sweeping books it for accounts that nobody touches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..domain.commands import Expire, Lapse
from ..domain.keys import transfer_id
from ..domain.ledger import Posted
from ..domain.moves import NO_REQUEST, expiry
from ..domain.planner import REMEMBER_REFUSALS_FOR
from .posting import post

if TYPE_CHECKING:
    from ..ports import Books


@dataclass(frozen=True, slots=True)
class Swept:
    """How many holds expired and wallets had lots lapse, and whether there may be more to do."""

    holds: int
    wallets: int
    more: bool


def sweep(books: Books, *, limit: int) -> Swept:
    """Book what is due, up to *limit* holds and wallets at a time."""
    holds = books.ledger.due_holds(limit)
    expired = post(
        books,
        [(Expire(wallet=h.wallet, id=expiry(h).id, fingerprint=NO_REQUEST, hold_id=h.id),) for h in holds],
    )
    wallets = books.ledger.lapsing(limit)
    lapsed = post(
        books,
        [
            (Lapse(wallet=w, id=transfer_id(w.account, "lapse", w.unit), fingerprint=NO_REQUEST),)
            for w in wallets
        ],
    )
    books.ledger.forget_rejections(books.ledger.now() - REMEMBER_REFUSALS_FOR)
    return Swept(
        sum(isinstance(outcome, Posted) for (outcome,) in expired),
        sum(isinstance(outcome, Posted) for (outcome,) in lapsed),
        more=limit in (len(holds), len(wallets)),
    )
