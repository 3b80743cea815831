"""
PT whose payment is disputed or given back: freeze what is left of them, give them back, or take them back.

A lot holds what came in together, so it has the number of one payment's grant. Opened, a dispute freezes what is
unspent of that lot; won, the same amount is given back; lost, it is taken back with what was spent of it, in one
group. A refund takes back without having frozen anything. What was spent already is owed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..domain.commands import Freeze, Reverse, Unfreeze
from ..domain.keys import fingerprint, transfer_id
from ..domain.ledger import wallet_id
from ..domain.pt import PT
from ..domain.receipts import Moved
from ..errors import PtmeterError
from .posting import post_one

if TYPE_CHECKING:
    from typing import Any

    from ..domain.ledger import WalletId
    from ..ports import Books, Posting


def freeze(
    books: Books, account: str, unit: str, lot: int, amount_micro: int, *, reason: str, key: str
) -> Posting[Moved | PtmeterError]:
    """
    Set up to *amount_micro* of what is free in a lot aside; what is held or spent of it stays where it is.

    Comes to an `InsufficientFundsError` if nothing is free, and a `LotNotFoundError` if there is no such lot.
    """
    facts = _facts("freeze", wallet_id(account, unit), lot=lot, amount=amount_micro, reason=reason, key=key)
    return (yield from _moved(books, Freeze(**facts), key))


def unfreeze(
    books: Books, account: str, unit: str, lot: int, amount_micro: int, *, reason: str, key: str
) -> Posting[Moved | PtmeterError]:
    """
    Give back *amount_micro* of what is frozen of a lot, of which what is over lapses, and what is owed is repaid.

    Comes to a `NotFrozenError` if less is frozen, and a `LotNotFoundError` if there is no such lot.
    """
    facts = _facts(
        "unfreeze", wallet_id(account, unit), lot=lot, amount=amount_micro, reason=reason, key=key
    )
    return (yield from _moved(books, Unfreeze(**facts), key))


def reverse(
    books: Books,
    account: str,
    unit: str,
    lot: int,
    amount_micro: int,
    *,
    reason: str,
    key: str,
    frozen_micro: int = 0,
) -> Posting[Moved | PtmeterError]:
    """
    Take *amount_micro* of a lot back: from what is free in it, and what is not will be owed, whatever the credit limit.

    *frozen_micro* of it are frozen, and taken first: so a dispute that was lost ends in one group, and nothing of it
    lapses in between. Comes to a `NotFrozenError` if less is frozen, and a `LotNotFoundError` if there is no such
    lot; never to an `InsufficientFundsError`.
    """
    facts = _facts(
        "reverse",
        wallet_id(account, unit),
        frozen_micro,
        lot=lot,
        amount=amount_micro,
        reason=reason,
        key=key,
    )
    return (yield from _moved(books, Reverse(**facts, frozen=frozen_micro), key))


def _facts(
    verb: str, wallet: WalletId, *more: int, lot: int, amount: int, reason: str, key: str
) -> dict[str, Any]:
    return {
        "wallet": wallet,
        "id": transfer_id(wallet.account, verb, key),
        "fingerprint": fingerprint(wallet.account, verb, key, reason, wallet.unit, lot, amount, *more),
        "lot": lot,
        "amount": amount,
        "note": reason,
    }


def _moved(books: Books, command: Freeze | Unfreeze | Reverse, key: str) -> Posting[Moved | PtmeterError]:
    posted = yield from post_one(books, (command,), key)
    if isinstance(posted, PtmeterError):
        return posted
    (done,) = posted
    transfer = done.transfer
    return Moved(
        account=transfer.wallet.account,
        key=key,
        unit=transfer.wallet.unit,
        lot=command.lot,
        amount=PT(transfer.amount),
        of_lot=PT(dict(transfer.allocations).get(command.lot, 0)),
        available=PT(done.available),
        replayed=done.replayed,
    )
