"""Rate recorded calls again: read a page of them on an unchanging view, then post its corrections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from ..domain.keys import wallet_number
from ..domain.ledger import Kind, Posted, UsageEvent
from ..domain.rates import Charge
from ..domain.rerating import MOST_WALLETS, Rated, call_of, charged_by, correction_id
from ..errors import UnknownModelError
from .posting import post

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..domain.ledger import Transfer, Wallet
    from ..domain.rates import RateCard
    from ..domain.rerating import Authority, Span
    from ..ports import Books

ROWS: Final = 1_000
"""Rows of the journal that a page reads, about; and at most so many corrections in one transaction."""

WALLETS: Final = 100
"""Wallets that are looked up at a time."""

FindCard: TypeAlias = Callable[[str], str | None]
"""Finds the rate card of a version, as JSON."""

Rate: TypeAlias = Callable[[UsageEvent, datetime, FindCard], Charge]
"""Rates a call that happened at that time again; raises `UnknownModelError` where there is no price."""


class Place(NamedTuple):
    """Where a page begins: after the wallet of that number, or within it after that transfer."""

    wallet: int | None = None
    within: bool = False
    seq: int = 0


START: Final = Place()


@dataclass(frozen=True, slots=True)
class Draft:
    """
    A page of calls rated again, those that could not be, and where the next page begins if there is one.

    What could not be rated again has no charge: there is no price or no rate for its model.
    """

    rated: Sequence[Rated]
    unrated: Sequence[Rated]
    next: Place | None

    @property
    def corrections(self) -> list[Rated]:
        """Those of its calls that come to something else than what was charged."""
        return [each for each in self.rated if each.more]


def draft(books: Books, *, span: Span, rate: Rate | None, place: Place, rows: int = ROWS) -> Draft:
    """
    Rate the next calls of *span* again; without *rate*, take them for what they were charged at first.

    Calls that were charged at a ceiling are found without reading any others.

    Raises:
        ConfigurationError: A card or a price does not hold together.
    """
    if span.unpriced:
        return _draft_unpriced(books, span, rate, place, rows)
    rated: list[Rated] = []
    unrated: list[Rated] = []
    left = rows
    wallets = _wallets(books, span, place)
    for wallet in wallets:
        seq = place.seq if place.within and wallet.number == place.wallet else 0
        found = books.ledger.journal(wallet, after=seq, limit=left, since=span.since, until=span.until)
        _rate(books, span, rate, found, rated, unrated)
        if len(found) >= left:
            return Draft(rated, unrated, Place(wallet.number, within=True, seq=found[-1].seq))
        left -= len(found)
    more = len(wallets) >= WALLETS
    return Draft(rated, unrated, Place(wallets[-1].number) if more else None)


def _draft_unpriced(books: Books, span: Span, rate: Rate | None, place: Place, rows: int) -> Draft:
    rated: list[Rated] = []
    unrated: list[Rated] = []
    after = None if place.wallet is None else (place.wallet, place.seq)
    found = books.ledger.unpriced(after=after, limit=rows)
    wanted = [
        row
        for row in found
        if span.since <= row.booked_at < span.until and span.account in (None, row.wallet.account)
    ]
    for _, theirs in groupby(wanted, key=lambda row: row.wallet):
        _rate(books, span, rate, list(theirs), rated, unrated)
    last = found[-1] if len(found) >= rows else None
    return Draft(rated, unrated, last and Place(wallet_number(*last.wallet), within=True, seq=last.seq))


def correct(
    books: Books, *, corrections: Sequence[Rated], who: Authority, card: RateCard | None
) -> list[Rated]:
    """
    Post corrections, each for itself; returns those that were refused.

    One that somebody else made meanwhile is found and not made again. *card* is what the calls were rated by
    if it is not the one they had.
    """
    if card:
        books.cards.keep(card)
    books.prices.keep(each.price for each in corrections)
    outcomes = post(books, [each.commands(who) for each in corrections])
    return [
        each
        for each, outcome in zip(corrections, outcomes, strict=True)
        if not all(isinstance(one, Posted) for one in outcome)
    ]


def _wallets(books: Books, span: Span, place: Place) -> list[Wallet]:
    """The next wallets, by number: beginning with the one that *place* is within, if it is."""
    after = place.wallet
    if place.within and after is not None:
        after -= 1
    return books.ledger.wallets(span.account, after=after, limit=WALLETS, live=True)


def _rate(
    books: Books,
    span: Span,
    rate: Rate | None,
    rows: Sequence[Transfer],
    rated: list[Rated],
    unrated: list[Rated],
) -> None:
    """Rate the calls among *rows*, which are of one wallet, again."""
    calls = [(row, event) for row in rows if (event := call_of(row)) and span.has(event)]
    if not calls:
        return
    first = _charged(books, [row for row, _ in calls])
    before = _corrections(books, [row for row, _ in calls])
    for row, event in calls:
        so_far = Counter({row.wallet.unit: first[row.seq]})
        for correction in before[row.seq]:
            so_far.update({each.transfer.wallet.unit: charged_by(each) for each in correction})
        charged = {unit: amount for unit, amount in so_far.items() if amount}
        found = Rated(row, event, first[row.seq], charged, len(before[row.seq]), None)
        try:
            charge = rate(event, row.effective_at, books.cards.find) if rate else None
        except UnknownModelError:
            unrated.append(found)
            continue
        rated.append(replace(found, charge=charge))


def _charged(books: Books, rows: Sequence[Transfer]) -> dict[int, int]:
    """What each call was charged at first, by number of its row: with what went beyond its hold."""
    account = rows[0].wallet.account
    settles = [row.id for row in rows if row.kind is Kind.SETTLE]
    whole = {each.transfer.seq: each.charged for each in books.ledger.posted(account, settles)}
    debited = {row.seq: row.amount for row in rows if row.kind is Kind.DEBIT}
    return {row.seq: 0 for row in rows} | debited | whole


def _corrections(books: Books, rows: Sequence[Transfer]) -> dict[int, list[list[Posted]]]:
    """The corrections of each call so far, by number of its row."""
    account = rows[0].wallet.account
    made: dict[int, list[list[Posted]]] = {row.seq: [] for row in rows}
    asked, number = rows, 0
    while asked:
        ids = {correction_id(row, number, place): row for row in asked for place in range(MOST_WALLETS)}
        found: dict[int, list[Posted]] = {}
        for each in books.ledger.posted(account, list(ids)):
            found.setdefault(ids[each.transfer.id].seq, []).append(each)
        for seq, correction in found.items():
            made[seq].append(correction)
        asked, number = [row for row in asked if row.seq in found], number + 1
    return made
