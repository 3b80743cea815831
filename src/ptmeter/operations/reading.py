"""Reading back: balances, statements and summaries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..domain.checks import check_moments, check_span
from ..domain.receipts import Balance, OpenHolds, Page, entry, unit_balance
from ..domain.summaries import Summary, model_uses, movement
from ..errors import AccountNotFoundError, InvalidArgumentError

if TYPE_CHECKING:
    from datetime import datetime

    from ..domain.accounting import Movement
    from ..domain.ledger import Transfer, Wallet
    from ..domain.prices import PriceUse
    from ..domain.summaries import ModelUse
    from ..ports import Books


def balance(books: Books, account: str) -> Balance:
    """
    An account's balance in every unit, as of now.

    Raises:
        AccountNotFoundError: There is no such account.
    """
    wallets = _wallets(books, account)
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
        InvalidArgumentError: *after* did not come from a page of this statement, a time has no zone, *until* is not
            after *since*, or *limit* is not positive.
    """
    if limit < 1:
        msg = f"a page has at least one line, not {limit}"
        raise InvalidArgumentError(msg)
    check_moments(since, until)
    if since and until:
        check_span(since, until)
    wallets = _wallets(books, account)
    place = _read_place(after)
    rows: list[Transfer] = []
    for wallet in wallets:
        seen = place.get(wallet.id.unit, 0)
        rows += books.ledger.journal(wallet, after=seen, limit=limit + 1, since=since, until=until)
    rows.sort(key=lambda row: (row.booked_at, row.wallet.unit, row.seq))
    shown, more = rows[:limit], len(rows) > limit
    place |= {row.wallet.unit: row.seq for row in shown}
    return Page(tuple(map(entry, shown)), _write_place(place) if more else None)


def summary(books: Books, account: str, *, since: datetime, until: datetime) -> Summary:
    """
    What an account was given and charged in [since, until).

    Raises:
        AccountNotFoundError: There is no such account.
        InvalidArgumentError: A time has no zone, or *until* is not after *since*.
    """
    check_span(since, until)
    units: dict[str, Movement] = {}
    models: list[ModelUse] = []
    for wallet in _wallets(books, account):
        unit = wallet.id.unit
        span = books.ledger.span(wallet, since, until)
        units[unit] = movement(unit, span)
        models += model_uses(unit, span.turnovers)
    return Summary(account=account, since=since, until=until, units=units, models=tuple(models))


def open_holds(books: Books) -> OpenHolds:
    """How many holds are open, and when the first of them is due; all open ones are counted, by an index."""
    return OpenHolds(*books.ledger.hold_queue(), books.ledger.now())


def price_uses(books: Books) -> tuple[datetime, list[PriceUse]]:
    """Every price that calls were rated by, and the time now; it reads the whole journal."""
    return books.ledger.now(), books.prices.uses()


def _wallets(books: Books, account: str) -> list[Wallet]:
    """The account's wallets, by unit."""
    wallets = books.ledger.wallets(account, live=True)
    if not wallets and not books.accounts.exists(account):
        raise AccountNotFoundError(account)
    return sorted(wallets, key=lambda wallet: wallet.id.unit)


def _read_place(after: str | None) -> dict[str, int]:
    try:
        pairs = (part.split(":") for part in after.split(",")) if after else ()
        return {unit: int(number) for unit, number in pairs}
    except ValueError:
        msg = f"{after!r} is not a place in a statement: pass on the `after` of the page before"
        raise InvalidArgumentError(msg) from None


def _write_place(place: dict[str, int]) -> str:
    return ",".join(f"{unit}:{number}" for unit, number in sorted(place.items()))
