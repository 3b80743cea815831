"""
What a closed period comes to, summed over its wallets: the trial balance and the roll-forward.

Both are sums over closings, in integers, so they tie to the wallets to the last micro-PT: the sides of a unit
sum to zero, and what was there before, and came in, less what went out, is what is there now.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from .ledger import Kind, Side
from .pt import PT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from .closings import Closing, LotMoves
    from .periods import Period

AGES: Final = ((30, "0-30"), (90, "31-90"), (365, "91-365"))
"""Lots up to so many days old, and what they are called; older ones are `OLDEST`."""

OLDEST: Final = "over 365"


# --- trial balance ----------------------------------------------------------------------------


class SideBalance(NamedTuple):
    """What is on one side in one unit, at the beginning of a period and at its end; outside, it is negative."""

    unit: str
    side: str
    opening: PT
    closing: PT


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """
    Every side of every unit at the end of a period.

    PT only move from one side to another, so the sides of a unit sum to zero.
    """

    period: str
    lines: tuple[SideBalance, ...]

    @property
    def balanced(self) -> bool:
        """The sides of each unit sum to zero, before the period and after it."""
        sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
        for line in self.lines:
            sums[line.unit][0] += line.opening.micro
            sums[line.unit][1] += line.closing.micro
        return not any(map(any, sums.values()))


def trial_balance(period: Period, openings: Iterable[Closing], closings: Iterable[Closing]) -> TrialBalance:
    """Sum what the wallets had when the period before ended, and when this one did."""
    before, after = _by_side(openings), _by_side(closings)
    return TrialBalance(
        period.name,
        tuple(
            SideBalance(unit, side.name.lower(), PT(before[unit, side]), PT(after[unit, side]))
            for unit in sorted({unit for unit, _ in after})
            for side in Side
        ),
    )


def _by_side(closings: Iterable[Closing]) -> defaultdict[tuple[str, Side], int]:
    sums: defaultdict[tuple[str, Side], int] = defaultdict(int)
    for closing in closings:
        unit = closing.wallet.unit
        sums[unit, Side.AVAILABLE] += closing.available
        sums[unit, Side.HELD] += closing.held
        sums[unit, Side.SPENT] += closing.spent
        sums[unit, Side.FROZEN] += closing.frozen
        sums[unit, Side.ISSUANCE] -= closing.issued - closing.reversed
        sums[unit, Side.BREAKAGE] += closing.lapsed
        sums[unit, Side.RECEIVABLE] -= closing.owed
        sums[unit, Side.ADJUSTMENT] -= closing.adjusted
    return sums


# --- roll-forward -----------------------------------------------------------------------------


class Movement(NamedTuple):
    """
    What a period did to the PT of one unit in lots of one age (in days, at the period's end).

    ``opening`` and ``closing`` are available, held and frozen together. ``adjusted`` and ``lent`` may be negative:
    the first is corrections up less those down, the second what was lent less what was repaid. ``reversed`` is
    what was taken back because a payment was.
    """

    unit: str
    age: str
    opening: PT
    granted: PT
    adjusted: PT
    lent: PT
    charged: PT
    lapsed: PT
    reversed: PT
    available: PT
    held: PT
    frozen: PT

    @property
    def closing(self) -> PT:
        """What is there at the end."""
        return self.available + self.held + self.frozen

    @property
    def ties(self) -> bool:
        """Opening, and what came in, less what went out, is what is there at the end."""
        came_in = self.opening + self.granted + self.adjusted + self.lent
        return came_in - self.charged - self.lapsed - self.reversed == self.closing


@dataclass(frozen=True, slots=True)
class RollForward:
    """From what there was before a period to what there is at its end, by unit and by the age of the lots."""

    period: str
    lines: tuple[Movement, ...]

    @property
    def totals(self) -> tuple[Movement, ...]:
        """The same by unit, for lots of every age."""
        units = sorted({line.unit for line in self.lines})
        return tuple(
            Movement(unit, "all", *(sum(column, PT(0)) for column in zip(*figures, strict=True)))
            for unit in units
            if (figures := [line[2:] for line in self.lines if line.unit == unit])
        )

    @property
    def ties(self) -> bool:
        """Every line adds up."""
        return all(line.ties for line in self.lines)


def roll_forward(period: Period, closings: Iterable[Closing]) -> RollForward:
    """Sum what happened to each lot, by its unit and its age when the period ended."""
    sums: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * len(Movement._fields[2:]))
    for closing in closings:
        for lot in closing.lots:
            line = sums[closing.wallet.unit, age(lot.since, period.end)]
            for column, amount in enumerate(_figures(lot)):
                line[column] += amount
    order = [name for _, name in AGES] + [OLDEST]
    return RollForward(
        period.name,
        tuple(
            Movement(unit, age_, *map(PT, sums[unit, age_]))
            for unit, age_ in sorted(sums, key=lambda key: (key[0], order.index(key[1])))
        ),
    )


def age(since: datetime, at: datetime) -> str:
    """How old a lot that came in at *since* is at *at*; what is not begun is new."""
    days = (at - since).days
    return next((name for most, name in AGES if days <= most), OLDEST)


def _figures(lot: LotMoves) -> tuple[int, ...]:
    """A lot's figures in the order of `Movement`."""
    came_in = {lot.kind: lot.came_in}
    return (
        lot.opening,
        came_in.get(Kind.GRANT, 0),
        came_in.get(Kind.ADJUST_UP, 0) - lot.taken,
        came_in.get(Kind.ADVANCE, 0) - lot.repaid,
        lot.charged,
        lot.lapsed,
        lot.reversed,
        lot.available,
        lot.held,
        lot.frozen,
    )
