"""Calls that were made without a hold: charged when somebody tells of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ..domain.keys import transfer_ids
from ..errors import PtmeterError
from . import holding, metering

if TYPE_CHECKING:
    from ..domain.admission import Rules
    from ..domain.ledger import Overage
    from ..domain.rates import Charge, RateCard
    from ..domain.receipts import Receipt
    from ..domain.usage import Usage
    from ..ports import Books, Posting

_A_MOMENT: Final = timedelta(minutes=1)


def record(
    books: Books,
    account: str,
    *,
    key: str,
    overage: Overage,
    charge: Charge,
    usage: Usage,
    card: RateCard,
    rules: Rules | None,
) -> Posting[Receipt | PtmeterError]:
    """
    Charge a call that has no hold; one that costs 0 PT is on the journal all the same, with its usage and its cost.

    No row of the journal moves nothing, so such a call sets a micro-PT aside and gives it back, as one with a
    hold does. It is counted as a call, and limits count what it used: nothing.
    """
    if charge.amount:
        return (
            yield from metering.debit(
                books,
                account,
                {charge.unit: charge.amount.micro},
                key=key,
                overage=overage,
                charge=charge,
                usage=usage,
                card=card,
                rules=rules,
            )
        )
    free = f"#free:{account}:{key}"
    payer = _payer(books, account, charge.unit, free) if rules else account
    placed = yield from holding.hold(books, payer, {charge.unit: 1}, key=free, ttl=_A_MOMENT)
    if isinstance(placed, PtmeterError):
        return placed
    kept = yield from metering.settle(
        books,
        placed,
        {charge.unit: 0},
        key=free,
        overage=overage,
        charge=charge,
        usage=usage,
        card=card,
        rules=rules,
    )
    return kept if isinstance(kept, PtmeterError) else replace(kept, account=account, key=key, held={})


def _payer(books: Books, account: str, unit: str, free: str) -> str:
    """Who pays for the account now, or who paid when the same call was recorded."""
    for former in books.accounts.former_payers(account):
        if books.ledger.posted(former, list(transfer_ids(former, "hold", free, [unit]).values())):
            return former
    return books.accounts.payer(account)
