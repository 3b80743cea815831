"""
PT whose payment is disputed or given back: freeze what is left of them, give them back, or take them back.

A lot holds what came in together, so it has the number of one payment's grant in each unit. Opened, a dispute freezes
what is unspent of those lots; won, the same amounts are given back; lost, they are taken back with what was spent of
them, the frozen ones first, so that nothing lapses in between. A refund takes back without having frozen anything. What
was spent already is owed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..domain.keys import fingerprint, transfer_ids
from ..domain.ledger import Refused, wallet_id
from ..domain.payments import NONE
from ..domain.pt import PT
from ..domain.receipts import Moved
from .refusing import refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..domain.commands import Freeze, Reverse, Unfreeze
    from ..domain.ledger import Outcome
    from ..domain.payments import Amounts
    from ..errors import PtmeterError
    from ..ports import Books, Posting


def move(
    books: Books,
    kind: type[Freeze | Unfreeze | Reverse],
    account: str,
    lots: Mapping[str, int],
    amounts: Amounts,
    *,
    reason: str,
    key: str,
    frozen: Amounts = NONE,
) -> Posting[dict[str, Moved | PtmeterError]]:
    """
    Freeze, unfreeze or reverse so many micro-PT of one lot in each unit, and say for each what came of it.

    *frozen* says how many of those to be reversed are frozen, and taken first. It comes to a `LotNotFoundError` where
    there is no such lot, to a `NotFrozenError` where less of it is frozen, and of a freeze to an
    `InsufficientFundsError` where nothing is free: less than was asked for may be frozen, but not nothing.
    """
    verb, units = kind.__name__.lower(), sorted(amounts)
    facts = [(unit, lots[unit], amounts[unit], frozen.get(unit, 0)) for unit in units]
    asked = fingerprint(account, verb, key, reason, *(fact for each in facts for fact in each))
    ids = transfer_ids(account, verb, key, units)
    commands = [
        kind(
            wallet=wallet_id(account, unit),
            id=ids[unit],
            fingerprint=asked,
            lot=lots[unit],
            amount=amounts[unit],
            note=reason,
            **({"frozen": frozen[unit]} if unit in frozen else {}),
        )
        for unit in units
    ]
    outcomes = yield [(command,) for command in commands]
    return {
        command.wallet.unit: _came_to(books, command, outcome, key)
        for command, (outcome,) in zip(commands, outcomes, strict=True)
    }


def _came_to(
    books: Books, command: Freeze | Unfreeze | Reverse, outcome: Outcome, key: str
) -> Moved | PtmeterError:
    if isinstance(outcome, Refused):
        return refusal(books, command, outcome, key, key)
    transfer = outcome.transfer
    return Moved(
        account=transfer.wallet.account,
        key=key,
        unit=transfer.wallet.unit,
        lot=command.lot,
        amount=PT(transfer.amount),
        of_lot=PT(dict(transfer.allocations).get(command.lot, 0)),
        available=PT(outcome.available),
        replayed=outcome.replayed,
    )
