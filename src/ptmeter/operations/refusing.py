"""What a refusal of the ledger means to the caller: the error that says why, and what to do."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from ..domain.admission import Limit
from ..domain.ledger import Refusal
from ..domain.pt import NANO, PT
from ..errors import (
    AccountFrozenError,
    AccountNotFoundError,
    ContentionError,
    HoldNotFoundError,
    HoldNotPendingError,
    IdempotencyConflictError,
    InsufficientFundsError,
    InvalidArgumentError,
    InvariantError,
    LimitError,
    LotNotFoundError,
    ModelLockedError,
    NotFrozenError,
    PtmeterError,
)

if TYPE_CHECKING:
    from ..domain.admission import Limited
    from ..domain.commands import Command
    from ..domain.ledger import Refused
    from ..ports import Books


def refusal(
    books: Books, command: Command, refused: Refused, key: str, hold_key: str, *, asker: str | None = None
) -> PtmeterError:
    """
    The error that tells the caller why *command* was refused.

    *key* and *hold_key* are those of *asker*, if it is not the account whose wallet it is.
    """
    account, unit = command.wallet
    asker = asker or account
    match refused.reason:
        case Refusal.NO_WALLET if not books.accounts.exists(account):
            return AccountNotFoundError(account)
        case Refusal.INSUFFICIENT_FUNDS | Refusal.OVER_HOLD | Refusal.NO_WALLET:
            return _short(command, refused)
        case Refusal.NOT_OPEN:
            return AccountFrozenError(account, unit)
        case Refusal.LOT_NOT_FOUND | Refusal.NOT_FROZEN:
            return _of_lot(command, refused)
        case Refusal.NOT_PAYER:
            return ContentionError(f"the account that pays is not {account!r} any more")
        case Refusal.HOLD_NOT_FOUND | Refusal.HOLD_NOT_PENDING | Refusal.NOT_DUE:
            unknown = refused.reason is Refusal.HOLD_NOT_FOUND
            return (HoldNotFoundError if unknown else HoldNotPendingError)(asker, hold_key)
        case Refusal.KEY_REUSED:
            return IdempotencyConflictError(asker, key)
        case Refusal.TOO_LARGE:
            return InvalidArgumentError(f"the {unit} wallet of {account!r} cannot count that much")
        case Refusal.LIMITED if refused.limited:
            return limit_reached(command, refused.limited)
        case Refusal.LIMITED | Refusal.LINKED:
            msg = "a group was refused without any of its commands being so"
            return InvariantError(msg)


def _of_lot(command: Command, refused: Refused) -> PtmeterError:
    """There is no such lot, or less of it is frozen."""
    (account, unit), lot = command.wallet, getattr(command, "lot", None) or 0
    if refused.reason is Refusal.LOT_NOT_FOUND:
        return LotNotFoundError(account, unit, lot)
    frozen, required = PT(refused.available).whole, PT(refused.required).whole
    return NotFrozenError(account, unit, lot, frozen=frozen, required=required)


def _short(command: Command, refused: Refused) -> InsufficientFundsError:
    """What is available and required; where there is no wallet, there is nothing."""
    available, required = refused.available, refused.required
    if refused.reason is Refusal.NO_WALLET:
        available, required = 0, getattr(command, "amount", 0)
    account, unit = command.wallet
    return InsufficientFundsError(account, unit, available=PT(available).whole, required=PT(required).whole)


def limit_reached(command: Command, limited: Limited) -> PtmeterError:
    """The error that tells the caller which limit refused, in whole PT, calls, requests or money."""
    admission = getattr(command, "admission", None)
    account = admission.account if admission else command.wallet.account
    counts = (limited.allowed, limited.used, limited.asked)
    match limited.limit:
        case Limit.MODEL:
            model = (admission and admission.model) or ""
            return ModelLockedError(model, limited.what, limited.opens_with)
        case Limit.CAP | Limit.SHARE:
            allowed, used, asked = (PT(each).whole for each in counts)
        case Limit.SPEND:
            allowed, used, asked = (Decimal(each) / NANO for each in counts)
        case Limit.WAIT | Limit.PACE | Limit.CONCURRENT:
            allowed, used, asked = counts
    return LimitError(
        account,
        str(limited.limit),
        scope=limited.account,
        what=limited.what,
        allowed=allowed,
        used=used,
        asked=asked,
        retry_at=limited.retry_at,
    )
