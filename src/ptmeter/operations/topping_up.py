"""
Topping up: on what terms, and what becomes of what was asked for.

The debit that leaves too little asks by itself; here it is asked where no debit comes: when terms are set, and by
a job, for those whose last attempt failed and who can use nothing any more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..domain import accounts
from ..domain.keys import is_id
from ..domain.messages import message
from ..domain.payment_notices import top_up_failed
from ..domain.receipts import Granted
from ..domain.top_ups import TopUp, TopUpState, due
from ..errors import AccountNotFoundError, InvalidArgumentError, TopUpNotFoundError, TopUpNotOpenError
from .funding import grant

if TYPE_CHECKING:
    from ..domain.accounts import Account
    from ..domain.admission import Rules
    from ..domain.top_up_terms import TopUpTerms
    from ..errors import PtmeterError
    from ..ports import Books, Posting


@dataclass(frozen=True, slots=True)
class Asked:
    """How many accounts were looked at, and how many top-ups were asked for."""

    accounts: int = 0
    top_ups: int = 0
    after: str | None = None
    """The last account, if there may be more."""


def set_terms(
    books: Books, account: str, unit: str, terms: TopUpTerms | None, *, rules: Rules
) -> TopUp | None:
    """
    Say how an account tops a unit up, or that it does not; returns what that asks for at once.

    Raises:
        AccountNotFoundError: There is no such account.
    """
    found = books.accounts.lock([account]).get(account)
    if found is None:
        raise AccountNotFoundError(account)
    others = {name: each for name, each in found.top_ups.items() if name != unit}
    changed = replace(found, top_ups={**others, unit: terms} if terms else others)
    books.accounts.save(changed)
    return next(iter(_ask(books, changed, rules)), None)


def scan(books: Books, *, rules: Rules, after: str = "", limit: int = 100) -> Asked:
    """Ask for what is due in up to *limit* accounts, by name, beginning after *after*."""
    names = [account.name for account in books.accounts.topping_up(after=after, limit=limit)]
    found = books.accounts.lock(names) if names else {}
    asked = sum(len(_ask(books, account, rules)) for account in found.values())
    return Asked(len(names), asked, names[-1] if len(names) == limit else None)


def find(books: Books, top_up: str) -> TopUp:
    """
    The top-up of that id.

    Raises:
        TopUpNotFoundError: There is none.
    """
    found = books.top_ups.find(top_up) if is_id(top_up) else None
    if found is None:
        raise TopUpNotFoundError(top_up)
    return found


def listed(books: Books, *, account: str | None, state: TopUpState | None, limit: int) -> tuple[TopUp, ...]:
    """
    Top-ups, the latest first.

    Raises:
        InvalidArgumentError: *limit* is not positive.
    """
    if limit < 1:
        msg = f"ask for at least one top-up, not {limit}"
        raise InvalidArgumentError(msg)
    return tuple(books.top_ups.listed(account=account, state=state, limit=limit))


def paid(books: Books, top_up: TopUp, *, key: str) -> Posting[Granted | PtmeterError]:
    """
    Grant what was asked for, by the payment of that key, though it had failed before: the money is there.

    The row is locked before the grant is posted, so of two payments one is granted. That takes a transaction of
    its own: two that share one would both find the row unpaid.
    """
    locked = books.top_ups.lock(top_up.id) or top_up
    if locked.state is TopUpState.PAID and locked.key != key:
        return TopUpNotOpenError(locked.id, locked.key)
    amounts = {locked.unit: locked.amount.micro}
    granted = yield from grant(books, locked.account, amounts, source=f"top-up {locked.id}", key=key)
    if isinstance(granted, Granted) and locked.state is not TopUpState.PAID:
        books.top_ups.save(locked.paid(key, books.ledger.now()))
    return granted


def failed(books: Books, top_up: str, *, reason: str) -> TopUp | PtmeterError:
    """
    Note that the money did not come in: nothing is asked for until the pause is over.

    Said again it changes nothing.
    """
    find(books, top_up)
    locked = books.top_ups.lock(top_up)
    assert locked is not None
    if locked.state is TopUpState.PAID:
        return TopUpNotOpenError(locked.id, locked.key)
    if locked.state is TopUpState.FAILED:
        return locked
    at = books.ledger.now()
    changed = locked.failed(reason, at)
    books.top_ups.save(changed)
    books.outbox.add([top_up_failed(changed, reason).message(at)])
    return changed


def _ask(books: Books, account: Account, rules: Rules) -> list[TopUp]:
    """Ask for what is due in the wallets of an account just locked."""
    asked: list[TopUp] = []
    at = books.ledger.now()
    for wallet in books.ledger.wallets(account.name, live=True) if account.top_ups else ():
        terms, unit = account.top_ups.get(wallet.id.unit), wallet.id.unit
        if terms is None:
            continue
        cycle = accounts.month(books.accounts.path(account.name), at)
        earlier = books.top_ups.recent(account.name, at)
        found = due(wallet, terms, earlier, rules.sells_at.get(unit, 0), cycle, at)
        if found:
            books.outbox.add([message(found)])
        if isinstance(found, TopUp):
            books.top_ups.add(found)
            asked.append(found)
    return asked
