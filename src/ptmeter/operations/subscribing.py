"""Putting an account on a plan, with the PT the plan gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..domain.receipts import Granted
from .funding import grant

if TYPE_CHECKING:
    from datetime import datetime

    from ..domain.plans import Plan
    from ..errors import PtmeterError
    from ..ports import Books, Posting

ALLOWANCE_PRIORITY = 20
"""An allowance burns before top-ups, which outlive it."""


def subscribe(
    books: Books, account: str, plan: Plan, *, until: datetime | None, key: str
) -> Posting[Granted | PtmeterError]:
    """Put *account* on *plan* and grant its allowance, which lapses at *until*."""
    amounts = {unit: amount.micro for unit, amount in plan.allowance.items() if amount}
    if not amounts:
        books.accounts.set_plan(account, plan.name)
        return Granted(account=account, key=key, amounts={}, available={})
    granted = yield from grant(
        books,
        account,
        amounts,
        source=f"plan {plan.name}",
        key=key,
        priority=ALLOWANCE_PRIORITY,
        expires_at=until,
    )
    if isinstance(granted, Granted) and not granted.replayed:
        books.accounts.set_plan(account, plan.name)
    return granted
