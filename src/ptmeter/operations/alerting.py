"""Looking ahead: what lapses soon, and who will soon have nothing left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..domain import accounts
from ..domain.alerts import Notice
from ..domain.forecasts import exhausted, expiring, runs_out_at
from ..domain.messages import message

if TYPE_CHECKING:
    from datetime import datetime

    from ..domain.accounts import Path
    from ..domain.admission import Rules
    from ..domain.forecasts import Ahead
    from ..domain.ledger import Wallet
    from ..domain.tallies import Tally
    from ..ports import Books


@dataclass(frozen=True, slots=True)
class Scanned:
    """How many wallets were looked at, and how many notices were written that had not been before."""

    wallets: int = 0
    notices: int = 0
    after: int | None = None
    """The number of the last wallet, if there may be more."""


def scan(
    books: Books, *, ahead: Ahead, rules: Rules | None, after: int | None = None, limit: int = 500
) -> Scanned:
    """Look at up to *limit* wallets, by number, beginning after *after*, and write what is to be told of them."""
    at = books.ledger.now()
    wallets = books.ledger.wallets(after=after, limit=limit, live=True)
    known = books.accounts.find({wallet.id.account for wallet in wallets}) if wallets else {}
    notices: list[Notice] = []
    for wallet in wallets:
        notices += expiring(wallet, ahead, at)
        account = known.get(wallet.id.account)
        if account and (found := _exhausted(books, wallet, account.tally, ahead, rules, at)):
            notices.append(found)
    new = books.outbox.add([message(notice) for notice in notices])
    more = wallets[-1].number if len(wallets) == limit else None
    return Scanned(len(wallets), new, more)


def listed(books: Books, account: str, *, limit: int) -> tuple[Notice, ...]:
    """What an account was told, or is to be, the latest first."""
    found = books.outbox.listed(account=account, topic="alert.", limit=limit)
    return tuple(each.facts for each in found if isinstance(each.facts, Notice))


def _exhausted(
    books: Books, wallet: Wallet, tally: Tally, ahead: Ahead, rules: Rules | None, at: datetime
) -> Notice | None:
    """Look at what was used of the wallet; whom that counts for is asked only if it might be too much."""
    unit = wallet.id.unit
    burnt = tally.amount_burnt(at, unit)
    if runs_out_at(wallet, burnt, at) is None:
        return None
    path = books.accounts.path(wallet.id.account)
    own = burnt - _of_others(books, wallet, at)
    return exhausted(
        wallet, own, ahead, accounts.month(path, at), at, renewed=_is_renewed(path, unit, rules)
    )


def _of_others(books: Books, wallet: Wallet, at: datetime) -> int:
    """What those below used that have PT of their own: it counts above them too, and is not of this wallet."""
    theirs = 0
    waiting = [wallet.id.account]
    while waiting:
        for account in books.accounts.below(waiting.pop()):
            if account.pooled:
                waiting.append(account.name)
            else:
                theirs += account.tally.amount_burnt(at, wallet.id.unit)
    return theirs


def _is_renewed(path: Path, unit: str, rules: Rules | None) -> bool:
    """Whether the account's own plan gives of the unit in each cycle."""
    plan = rules.plans.find(path[0].plan) if rules and path[0].plan else None
    return bool(plan and plan.allowance.get(unit))
