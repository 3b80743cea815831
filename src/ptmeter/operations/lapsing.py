"""
What of a payment's lots has lapsed unused, so that nothing is owed for it when its money is given back.

It is read off the journal whenever it is asked for, because lots go on lapsing: what was held when they ended, and what
had rolled over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..domain.lots import has_lapsed
from ..domain.payments import ALL
from . import subscribing

if TYPE_CHECKING:
    from ..domain.ledger import Lot, Wallet
    from ..domain.payments import Amounts, PaymentRecord
    from ..ports import Books


def uncounted(books: Books, record: PaymentRecord) -> Amounts:
    """
    How many micro-PT of a payment's lots have lapsed that no claim has counted yet, by unit.

    What is left of a lot whose time is over lapses with whatever comes next, so nothing of it can be taken. What is
    frozen of it is there still.
    """
    wallets = {wallet.id.unit: wallet for wallet in books.ledger.wallets(record.account)}
    counted = record.lapsed
    return {
        unit: max(0, _of_payment(books, record, wallets[unit], number) - counted.get(unit, 0))
        for unit, number in record.lots.items()
    }


def reason(record: PaymentRecord, key: str) -> str:
    """What is noted with what is moved for a payment."""
    return f"payment {record.id}: {key}"


def _of_payment(books: Books, record: PaymentRecord, wallet: Wallet, number: int) -> int:
    """What of a lot has lapsed for that payment, which may have paid a portion of it, counted or not."""
    lot = next((each for each in wallet.lots if each.number == number), None)
    lapsed = _lost(books, wallet, lot) if lot else 0
    if lot is None or not lapsed or record.portion == ALL:
        return lapsed
    kept, own = lot.frozen, sum(each.frozen.get(wallet.id.unit, 0) for each in record.claims.values())
    for row in books.ledger.taken_back(wallet, number):
        there = dict(row.allocations)[number]
        kept += there
        own += there if row.note.startswith(reason(record, "")) else 0
    return record.portion.of_lapsed(lapsed, kept=kept, own=own)


def _lost(books: Books, wallet: Wallet, lot: Lot) -> int:
    """What of a lot has lapsed, less what of that rolled over, unless it has lapsed where it went."""
    lapsed = _over(books, wallet, lot)
    if not lapsed or lot.expires_at is None:
        return lapsed
    rolled = subscribing.granted(books, wallet.id.account, f"roll-over:cycle:{lot.expires_at.isoformat()}")
    numbers = {each.transfer.seq for each in rolled if each.transfer.wallet == wallet.id}
    went_on = sum(
        each.granted - _over(books, wallet, each) for each in wallet.lots if each.number in numbers
    )
    if not went_on:
        return lapsed
    ended = (each for each in wallet.lots if _alike(each) == _alike(lot))
    return lapsed - went_on * lapsed // sum(_over(books, wallet, each) for each in ended)


def _alike(lot: Lot) -> tuple[object, ...]:
    """What the lots of one cycle have in common: what rolls over is a share of all of them."""
    return lot.priority, lot.expires_at


def _over(books: Books, wallet: Wallet, lot: Lot) -> int:
    """What of a lot has lapsed, or will with whatever comes next."""
    left = lot.remaining if has_lapsed(lot, books.ledger.now()) else 0
    return books.ledger.lapsed(wallet, lot.number) + left
