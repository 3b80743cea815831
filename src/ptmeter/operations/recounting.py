"""Counting what was used into other windows: after an account's days and months have come to begin elsewhere."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ..domain.accounts import path, payer
from ..domain.ledger import Kind
from ..domain.recounts import recounted, windows_from

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from ..domain.accounts import Account
    from ..domain.ledger import Transfer
    from ..ports import Books

PAGE: Final = 2_000


def lock_path(books: Books, *names: str | None) -> dict[str, Account]:
    """Lock accounts and all above them: as they are now, however often that takes."""
    asked: set[str] = set()
    found: dict[str, Account] = {}
    missing: set[str] = {name for name in names if name is not None}
    while missing:
        asked |= missing
        found = books.accounts.lock(asked)
        missing = {account.parent for account in found.values() if account.parent} - asked
    return found


def recount(books: Books, name: str, accounts: Mapping[str, Account]) -> None:
    """
    Count what was used by an account, and by those below it that go by its calendar, from the journal anew.

    *accounts* are those above it, locked. It reads what the wallets they use booked since the first of the new
    windows began, which may be a year.
    """
    below = _below(books, name)
    there = {**accounts, **books.accounts.lock(below)}
    now = books.ledger.now()
    following = [each for each in (name, *below) if each == name or _follows(there[each])]
    paths = {each: path(each, there) for each in (name, *below)}
    since = min(windows_from(paths[each], now) for each in following)
    uses = list(_uses(books, {payer(theirs) for theirs in paths.values()}, since))
    for each in following:
        mine = [row for row in uses if row.member in paths and there[each] in paths[row.member]]
        tally = recounted(paths[each], [(r.wallet.unit, r.amount, r.booked_at) for r in mine], now)
        books.accounts.save(replace(there[each], tally=tally))


def _below(books: Books, name: str) -> list[str]:
    """The names of all accounts below one."""
    found: list[str] = []
    asked = [name]
    while asked:
        after = ""
        while page := books.accounts.below(asked[0], after=after, limit=PAGE):
            found += [account.name for account in page]
            asked += [account.name for account in page]
            after = page[-1].name
        del asked[0]
    return found


def _follows(account: Account) -> bool:
    """Whether its windows begin where those of the account above do, in part at least."""
    return account.anchor is None or account.zone is None


def _uses(books: Books, payers: set[str], since: datetime) -> Iterator[Transfer]:
    """What was charged to wallets since then, as far as it says who asked."""
    for wallet in (wallet for each in sorted(payers) for wallet in books.ledger.wallets(each)):
        seq = 0
        while rows := books.ledger.journal(wallet, after=seq, limit=PAGE, since=since):
            yield from (row for row in rows if row.member and row.kind in (Kind.SETTLE, Kind.DEBIT))
            seq = rows[-1].seq
