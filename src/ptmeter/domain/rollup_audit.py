"""
Add up again, from the journal, what a wallet's roll-ups say, and name the first that says otherwise.

This is written apart from `rollups`, on purpose: it knows what a roll-up *means*, not how a batch adds to one.
A rate card that is missing is a finding of its own; what was rated by it earned nobody knows what, so then
nothing is said of money and of value in the same bucket.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from .audit import Finding
from .instants import microseconds
from .ledger import Kind
from .margins import day_name
from .pt import MICRO, Money
from .rollups import SOLD_IN, Bucket, Figures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from .ledger import Transfer, UsageEvent, WalletId

_GIVES_BACK: Final = -1
_BRINGS_IN: Final = frozenset({Kind.GRANT, Kind.ADVANCE, Kind.ADJUST_UP})


class _Lot(NamedTuple):
    granted: int
    paid: int | None


@dataclass(slots=True)
class RollupAudit:
    """The fold of one wallet's journal for its roll-ups: `read` its rows in order, then ask for `findings`."""

    wallet: WalletId
    selling: Callable[[str], Mapping[str, Money]]
    lots: dict[int, _Lot] = field(default_factory=dict[int, _Lot])
    sums: defaultdict[Bucket, list[int]] = field(default_factory=lambda: defaultdict(_zeros))
    unsure: set[Bucket] = field(default_factory=set[Bucket])
    settled: tuple[int, UsageEvent | None] = (0, None)

    def read(self, rows: Iterable[Transfer]) -> None:
        """Add up what the wallet booked next."""
        for row in rows:
            if row.kind in _BRINGS_IN:
                self.lots[row.seq] = _Lot(row.amount, row.paid)
            if row.kind is Kind.SETTLE:
                self.settled = (row.seq, row.usage)
            if row.kind in (Kind.SETTLE, Kind.DEBIT) or row.usage:
                self._add(row)

    def findings(self, kept: Mapping[Bucket, Figures]) -> list[Finding]:
        """The roll-ups that say otherwise, by day, with the first difference of each."""
        return [
            Finding(*self.wallet, f"roll-up {name_of(bucket)}", problem)
            for bucket in sorted(kept.keys() | self.sums.keys())
            for problem in [next(self._differences(bucket, kept.get(bucket)), None)]
            if problem
        ]

    def _add(self, row: Transfer) -> None:
        event = row.usage
        if row.completes and row.completes == self.settled[0] and row.kind is Kind.DEBIT:
            event = self.settled[1]  # it went beyond the hold of that call
        money = event.cost.currency if event else SOLD_IN
        day = microseconds(row.booked_at) // 86_400_000_000
        bucket = Bucket(self.wallet, day, event.price.model if event else "", row.plan, money)
        sums = self.sums[bucket]
        if row.usage and row.kind not in (Kind.ADJUST_UP, Kind.ADJUST_DOWN):
            sums[0] += 1
        if row.usage:
            sums[3] += row.usage.cost.nano
        if row.kind is Kind.VOID:
            return
        sign = _GIVES_BACK if row.kind is Kind.ADJUST_UP else 1
        sums[1] += sign * row.amount
        self._value(row, event, bucket, sign)

    def _value(self, row: Transfer, event: UsageEvent | None, bucket: Bucket, sign: int) -> None:
        """Add what the row earned."""
        listed = row.amount
        for number, part in row.allocations:  # what is given back has none
            lot = self.lots[number]
            if lot.paid is not None:
                listed -= part
                if worth := _half_up(lot.paid * part, lot.granted):
                    self.sums[bucket._replace(currency=SOLD_IN)][4] += worth
        prices = dict(self.selling(event.card_version)) if event else dict[str, Money]()
        if event and not prices:
            self.unsure.add(bucket)
        if not listed:
            return
        if price := prices.get(self.wallet.unit):
            worth = sign * _half_up(price.nano * listed, MICRO)
            self.sums[bucket._replace(currency=price.currency)][4] += worth
        else:
            self.sums[bucket][2] += sign * listed

    def _differences(self, bucket: Bucket, kept: Figures | None) -> Iterator[str]:
        derived = self.sums.get(bucket)
        if kept is None:
            yield "it is missing, and the journal has it"
            return
        if derived is None:
            yield "it is there, and the journal has nothing of it"
            return
        for name, here, there in zip(Figures._fields, kept, derived, strict=True):
            unknown = bucket in self.unsure and name in ("unvalued", "revenue")
            if here != there and not unknown:
                yield f"its {name} is {here}, and the journal gives {there}"


def name_of(bucket: Bucket) -> str:
    """A roll-up as findings name it."""
    told = (day_name(bucket.day), bucket.model, bucket.plan, bucket.currency)
    return " ".join(part for part in told if part)


def _half_up(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


def _zeros() -> list[int]:
    return [0] * len(Figures._fields)
