"""
What closing a period records of a wallet: where it stood at the end, and what happened to each of its lots.

A closing follows from the one before and the rows between, and from nothing else: the same rows give the same
closing for ever, whatever is booked later. It needs no lock, because rows before the boundary do not change.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import InvariantError
from . import chain
from .instants import microseconds
from .ledger import SETS_ASIDE, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from .ledger import Allocation, Transfer, WalletId

VERSION: Final = 1
"""The encoding's version: the first byte of a closing's bytes."""

_BRINGS_IN: Final = frozenset({Kind.GRANT, Kind.ADVANCE, Kind.ADJUST_UP})

_OUT: Final = {
    Kind.SETTLE: "charged",
    Kind.DEBIT: "charged",
    Kind.LAPSE: "lapsed",
    Kind.REPAY: "repaid",
    Kind.ADJUST_DOWN: "taken",
    Kind.REVERSE: "reversed",
}
"""Which figure of a lot a transfer that takes from it adds to."""


class LotMoves(NamedTuple):
    """
    A lot in one period: what came in and went out, and what is left at its end.

    ``kind`` is that of the transfer that brought it, ``since`` when that took effect.
    """

    number: int
    since: datetime
    kind: Kind
    came_in: int = 0
    charged: int = 0
    lapsed: int = 0
    repaid: int = 0
    taken: int = 0
    reversed: int = 0
    available: int = 0
    held: int = 0
    frozen: int = 0

    @property
    def went_out(self) -> int:
        """All that left it in the period."""
        return self.charged + self.lapsed + self.repaid + self.taken + self.reversed

    @property
    def left(self) -> int:
        """What is in it at the period's end."""
        return self.available + self.held + self.frozen

    @property
    def opening(self) -> int:
        """What was in it before the period."""
        return self.left + self.went_out - self.came_in


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """
    A wallet at the end of a period.

    ``seq``, ``booked_at`` and ``head`` are those of its last row before the boundary. The figures are sums
    over all rows up to there: ``issued`` is what was granted, ``reversed`` what of it was taken back, ``adjusted``
    the corrections up less those down.
    ``lots`` has each lot that was there before the period or came in during it.
    """

    wallet: WalletId
    period: str
    revision: int
    seq: int = 0
    booked_at: datetime | None = None
    head: bytes
    available: int = 0
    held: int = 0
    spent: int = 0
    owed: int = 0
    issued: int = 0
    lapsed: int = 0
    adjusted: int = 0
    frozen: int = 0
    reversed: int = 0
    lots: tuple[LotMoves, ...] = ()

    def canonical(self) -> bytes:
        """Its bytes, the same on every database and for ever, for this version; the revision has no part."""
        booked = -1 if self.booked_at is None else microseconds(self.booked_at)
        figures = (
            self.available,
            self.held,
            self.spent,
            self.owed,
            self.issued,
            self.lapsed,
            self.adjusted,
            self.frozen,
            self.reversed,
        )
        lots = [
            figure
            for lot in self.lots
            for figure in (lot[0], microseconds(lot.since), int(lot.kind), *lot[3:])
        ]
        names = (self.wallet.account, self.wallet.unit, self.period)
        return b"".join(
            (
                bytes([VERSION]),
                *(len(text.encode()).to_bytes(4, "big") + text.encode() for text in names),
                len(self.head).to_bytes(4, "big") + self.head,
                *(n.to_bytes(8, "big", signed=True) for n in (self.seq, booked, *figures, *lots)),
            )
        )

    def problem(self) -> str | None:
        """What of its figures does not tie, if anything."""
        came_in = self.issued + self.owed + self.adjusted
        if came_in != self.available + self.held + self.frozen + self.spent + self.lapsed + self.reversed:
            return "what came in is not what is left and what went out"
        figures = [(lot.available, lot.held, lot.frozen) for lot in self.lots]
        available, held, frozen = map(sum, zip(*figures, strict=True)) if figures else (0, 0, 0)
        if (available, held, frozen) != (self.available, self.held, self.frozen):
            return f"its lots have {available} available, {held} held and {frozen} frozen"
        if any(min(lot[3:]) < 0 or lot.opening < 0 for lot in self.lots):
            return "a lot is below zero"
        return None


def opened(
    wallet: WalletId, period: str, revision: int, previous: Closing | None, chain_key: bytes
) -> Closing:
    """A wallet's closing before any row of the period is read: where the one before left it."""
    if previous is None:
        head = chain.genesis(wallet, chain_key)
        return Closing(wallet=wallet, period=period, revision=revision, head=head)
    lots = tuple(
        LotMoves(
            *(lot.number, lot.since, lot.kind), available=lot.available, held=lot.held, frozen=lot.frozen
        )
        for lot in previous.lots
        if lot.left
    )
    return replace(previous, period=period, revision=revision, lots=lots)


def unknown_holds(rows: Sequence[Transfer]) -> list[int]:
    """The holds that *rows* settle and that are not among them: `fold` has to be told their lots."""
    here = {row.seq for row in rows}
    return [row.completes or 0 for row in rows if row.kind is Kind.SETTLE and row.completes not in here]


def fold(
    closing: Closing,
    rows: Sequence[Transfer],
    holds: Mapping[int, tuple[Allocation, ...]],
    chain_key: bytes,
) -> Closing:
    """
    A closing with the next *rows* read into it; *holds* has the lots of `unknown_holds`.

    Raises:
        InvariantError: The rows do not follow from what came before: `ptmeter verify` says where.
    """
    if not rows:
        return closing
    lots = {lot.number: _Lot(*lot) for lot in closing.lots}
    held = {**holds, **{row.seq: row.allocations for row in rows if row.kind in SETS_ASIDE}}
    sums = dict.fromkeys(Kind, 0)
    head = closing.head
    try:
        for seq, row in enumerate(rows, closing.seq + 1):
            if row.seq != seq:
                _refuse(closing, f"transfer {seq} is missing")
            _apply(row, lots, held)
            sums[row.kind] += row.amount
            head = chain.successor(row, head, chain_key)
    except KeyError as missing:
        _refuse(closing, f"a transfer names {missing}, which is no lot or hold of it")
    folded = replace(
        closing,
        seq=rows[-1].seq,
        booked_at=rows[-1].booked_at,
        head=head,
        available=rows[-1].available_after,
        held=rows[-1].held_after,
        spent=closing.spent + sums[Kind.SETTLE] + sums[Kind.DEBIT],
        owed=closing.owed + sums[Kind.ADVANCE] - sums[Kind.REPAY],
        issued=closing.issued + sums[Kind.GRANT],
        lapsed=closing.lapsed + sums[Kind.LAPSE],
        adjusted=closing.adjusted + sums[Kind.ADJUST_UP] - sums[Kind.ADJUST_DOWN],
        frozen=rows[-1].frozen_after,
        reversed=closing.reversed + sums[Kind.REVERSE],
        lots=tuple(lots[number].moves() for number in sorted(lots)),
    )
    if problem := folded.problem():
        _refuse(closing, problem)
    return folded


@dataclass(slots=True)
class _Lot:
    """`LotMoves` while rows are read."""

    number: int
    since: datetime
    kind: Kind
    came_in: int = 0
    charged: int = 0
    lapsed: int = 0
    repaid: int = 0
    taken: int = 0
    reversed: int = 0
    available: int = 0
    held: int = 0
    frozen: int = 0

    def moves(self) -> LotMoves:
        return LotMoves(*(getattr(self, name) for name in self.__slots__))


def _apply(row: Transfer, lots: dict[int, _Lot], held: Mapping[int, tuple[Allocation, ...]]) -> None:
    if row.kind in _BRINGS_IN:
        lots[row.seq] = _Lot(row.seq, row.effective_at, row.kind, came_in=row.amount, available=row.amount)
    elif row.kind in SETS_ASIDE:
        _shift(lots, row.allocations, -1)
    elif row.kind in {Kind.VOID, Kind.EXPIRE}:
        _shift(lots, row.allocations, 1)
    elif row.kind in {Kind.FREEZE, Kind.UNFREEZE}:
        for number, amount in row.allocations:
            thawed = amount if row.kind is Kind.UNFREEZE else -amount
            lots[number].available += thawed
            lots[number].frozen -= thawed
    else:
        if row.kind is Kind.SETTLE:
            _shift(lots, held[row.completes or 0], 1)
        figure = _OUT[row.kind]
        for number, amount in row.allocations:
            lot = lots[number]
            lot.available -= amount
            setattr(lot, figure, getattr(lot, figure) + amount)


def _shift(lots: Mapping[int, _Lot], allocations: Iterable[Allocation], sign: int) -> None:
    """Move what was taken from the lots from held to available, or with -1 the other way."""
    for number, amount in allocations:
        lots[number].available += sign * amount
        lots[number].held -= sign * amount


def _refuse(closing: Closing, problem: str) -> None:
    account, unit = closing.wallet
    msg = f"the {unit} wallet of {account!r} cannot be closed, {problem}: run `ptmeter verify`"
    raise InvariantError(msg)
