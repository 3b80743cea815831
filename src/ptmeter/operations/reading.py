"""Reading back: balances and statements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..domain.receipts import Balance, Page, entry, unit_balance
from ..errors import AccountNotFoundError, InvalidArgumentError

if TYPE_CHECKING:
    from datetime import datetime

    from ..domain.ledger import Transfer
    from ..ports import Books


def balance(books: Books, account: str) -> Balance:
    """
    An account's balance in every unit, as of now.

    Raises:
        AccountNotFoundError: There is no such account.
    """
    wallets = books.ledger.wallets(account, live=True)
    if not wallets and not books.accounts.exists(account):
        raise AccountNotFoundError(account)
    now = books.ledger.now()
    return Balance(account, {wallet.id.unit: unit_balance(wallet, now) for wallet in wallets})


def statement(
    books: Books,
    account: str,
    *,
    since: datetime | None,
    until: datetime | None,
    after: str | None,
    limit: int,
) -> Page:
    """
    An account's transfers booked in [since, until), all units merged in the order of booking.

    Raises:
        AccountNotFoundError: There is no such account.
        InvalidArgumentError: *after* did not come from a page of this statement, a time has no zone, or *limit* is not positive.
    """
    if limit < 1:
        msg = f"a page has at least one line, not {limit}"
        raise InvalidArgumentError(msg)
    for moment in (since, until):
        if moment is not None and moment.tzinfo is None:
            msg = f"{moment} has no time zone: use datetime.now(UTC) and the like"
            raise InvalidArgumentError(msg)
    wallets = books.ledger.wallets(account, live=True)
    if not wallets and not books.accounts.exists(account):
        raise AccountNotFoundError(account)
    place = _read_place(after)
    rows: list[Transfer] = []
    for wallet in wallets:
        seen = place.get(wallet.id.unit, 0)
        rows += books.ledger.journal(wallet, after=seen, limit=limit + 1, since=since, until=until)
    rows.sort(key=lambda row: (row.booked_at, row.wallet.unit, row.seq))
    shown, more = rows[:limit], len(rows) > limit
    place |= {row.wallet.unit: row.seq for row in shown}
    return Page(tuple(map(entry, shown)), _write_place(place) if more else None)


def _read_place(after: str | None) -> dict[str, int]:
    try:
        pairs = (part.split(":") for part in after.split(",")) if after else ()
        return {unit: int(number) for unit, number in pairs}
    except ValueError:
        msg = f"{after!r} is not a place in a statement: pass on the `after` of the page before"
        raise InvalidArgumentError(msg) from None


def _write_place(place: dict[str, int]) -> str:
    return ",".join(f"{unit}:{number}" for unit, number in sorted(place.items()))
