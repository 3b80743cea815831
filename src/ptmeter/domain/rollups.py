"""
Roll-ups: what each wallet was charged, what that cost and what it earned, by day, model, plan and currency.

They are kept in the transaction that moves the PT, so a margin needs no night's run and reads no journal. All
that they say follows from the journal and the rate cards kept beside it:

* PT earn when they are used, on the day of booking (UTC): what was paid for their lot, in proportion, or if
  that is not known what the card that rated the call says that one sells at. Each row rounds once, half up.
* What was given away earns nothing: a lot that 0 was paid for.
* A correction of a call is booked on the day it was made, and is no call; what it gives back it takes from
  what was earned, at the price of the call's card.
* What no card rated, in a lot of which nothing is known, is *unvalued*: counted, and worth nothing.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from .instants import microseconds
from .ledger import Kind
from .pt import MICRO, Money

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from .ledger import Allocation, Lot, Transfer, UsageEvent, Wallet, WalletId

SOLD_IN: Final = Money(0).currency
"""The currency in which lots are paid for."""


class Bucket(NamedTuple):
    """What a roll-up is of: a wallet on a day since 1970 (UTC), a model and a plan, empty for none."""

    wallet: WalletId
    day: int
    model: str
    plan: str
    currency: str


class Figures(NamedTuple):
    """What a roll-up counts: calls, micro-PT charged, those of them of no known value, nano-units of money."""

    calls: int = 0
    amount: int = 0
    unvalued: int = 0
    cost: int = 0
    revenue: int = 0

    def plus(self, other: Figures) -> Figures:
        """Both together."""
        return Figures(*map(sum, zip(self, other, strict=True)))


NOTHING: Final = Figures()


def additions(
    transfers: Iterable[Transfer], wallets: Iterable[Wallet], selling: Callable[[str], Mapping[str, Money]]
) -> Mapping[Bucket, Figures]:
    """
    What the transfers of a batch, which left their *wallets* so, add to the roll-ups.

    *selling* finds what one PT of each unit sells at by the rate card of a version; nothing, if it is unknown.
    """
    charges = [row for row in transfers if row.kind in _CHARGED or row.usage]
    if not charges:
        return {}
    lots = {wallet.id: {lot.number: lot for lot in wallet.lots} for wallet in wallets}
    settled = {(row.wallet, row.seq): row.usage for row in charges if row.kind is Kind.SETTLE}
    sums: defaultdict[Bucket, list[int]] = defaultdict(_zeros)
    for row in charges:
        event = row.usage
        if event is None and row.completes and row.kind is Kind.DEBIT:  # what went beyond a hold
            event = settled.get((row.wallet, row.completes))
        price = selling(event.card_version).get(row.wallet.unit) if event else None
        _add(sums, row, event, price, lots[row.wallet])
    return {bucket: Figures(*figures) for bucket, figures in sums.items()}


def day_of(at: datetime) -> int:
    """The day of a moment, in UTC, since 1970."""
    return microseconds(at) // _DAY


def share_of(money: int, part: int, whole: int) -> int:
    """So much of *money* as *part* is of *whole*, rounded half up."""
    return (2 * money * part + whole) // (2 * whole)


def sells_at(card: str) -> Mapping[str, Money]:
    """What one PT of each unit sells at by a rate card as JSON, as far as it says."""
    try:
        units = json.loads(card, parse_float=str)["units"]
        return {unit: Money.usd(rate["sells_at"]) for unit, rate in units.items()}
    except (LookupError, TypeError, ValueError, AttributeError):
        return {}


_CHARGED: Final = frozenset({Kind.SETTLE, Kind.DEBIT})
_CORRECTIONS: Final = frozenset({Kind.ADJUST_UP, Kind.ADJUST_DOWN})
_DAY: Final = 86_400_000_000


def _add(
    sums: Mapping[Bucket, list[int]],
    row: Transfer,
    event: UsageEvent | None,
    price: Money | None,
    lots: Mapping[int, Lot],
) -> None:
    """Add what one row did; the money it earned goes apart if it is in another currency than what it cost."""
    currency = event.cost.currency if event else SOLD_IN
    model = event.price.model if event else ""
    bucket = Bucket(row.wallet, day_of(row.booked_at), model, row.plan, currency)
    amount, earned, unvalued = _worth(row, price, lots)
    into = sums[bucket]
    into[1] += amount
    into[2] += unvalued
    if row.usage:
        into[0] += row.kind not in _CORRECTIONS
        into[3] += row.usage.cost.nano
    for name, nano in earned.items():
        (into if name == currency else sums[bucket._replace(currency=name)])[4] += nano


def _worth(row: Transfer, price: Money | None, lots: Mapping[int, Lot]) -> tuple[int, dict[str, int], int]:
    """What a row charged, what that earned by currency, and how much of it has no known value."""
    if row.kind is Kind.ADJUST_UP:  # given back
        listed = row.amount
        earned, unvalued = _at_list(listed, price)
        return -row.amount, {name: -nano for name, nano in earned.items()}, -unvalued
    if row.kind is Kind.VOID:  # a call that cost us and not the account
        return 0, {}, 0
    paid, listed = _of_lots(row.allocations, lots)
    earned, unvalued = _at_list(listed, price)
    if paid:
        earned[SOLD_IN] = earned.get(SOLD_IN, 0) + paid
    return row.amount, earned, unvalued


def _of_lots(allocations: Iterable[Allocation], lots: Mapping[int, Lot]) -> tuple[int, int]:
    """What was paid for PT of these lots, in nano-dollars, and how many are of lots that say nothing."""
    paid, listed = 0, 0
    for number, part in allocations:
        lot = lots[number]
        if lot.paid is None:
            listed += part
        else:
            paid += share_of(lot.paid, part, lot.granted)
    return paid, listed


def _at_list(amount: int, price: Money | None) -> tuple[dict[str, int], int]:
    if price is None:
        return {}, amount
    return {price.currency: share_of(price.nano, amount, MICRO)} if amount else {}, 0


def _zeros() -> list[int]:
    return [0] * len(Figures._fields)
