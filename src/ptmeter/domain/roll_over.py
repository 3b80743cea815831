"""Roll-over: what of a cycle's PT is left unused when it ends, and the share of it that is given in the next."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .ledger import Kind
from .rates import WHOLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .ledger import Lot, Transfer


class Rest(NamedTuple):
    """What goes on of a unit, in micro-PT, and what was paid for it, in nano-dollars; ``None`` if nobody knows."""

    amount: int
    paid: int | None


def shared(left: Sequence[tuple[Lot, int]], share: int) -> Rest:
    """
    So many ten-thousandths of what is *left* of lots, with its part of what was paid for them, both rounded down.

    What does not go on of either is breakage, so nothing that was paid is ever earned twice.
    """
    amount = sum(free for _, free in left) * share // WHOLE
    parts = [
        None if lot.paid is None else lot.paid * free * share // (lot.granted * WHOLE) for lot, free in left
    ]
    known = [part for part in parts if part is not None]
    return Rest(amount, sum(known) if len(known) == len(parts) else None)


def unused(lot: Lot, since: Iterable[Transfer], holds: Mapping[int, Transfer]) -> int:
    """
    What was free in *lot* at its end, in micro-PT, whatever happened since.

    *since* are its wallet's transfers from the end on, and *holds* by number the holds that they settle. What
    was held or frozen at the end counts as used, whatever became of it: otherwise a renewal that comes later
    would find another number.
    """
    return lot.remaining - sum(_moved(row, lot.number, holds) for row in since)


def _moved(row: Transfer, lot: int, holds: Mapping[int, Transfer]) -> int:
    """By how much a transfer changed what is free in a lot."""
    part = sum(amount for number, amount in row.allocations if number == lot)
    match row.kind:
        case Kind.VOID | Kind.EXPIRE | Kind.UNFREEZE:
            return part
        case Kind.SETTLE if row.completes and row.completes in holds:
            held = holds[row.completes].allocations
            return sum(amount for number, amount in held if number == lot) - part
        case (
            Kind.HOLD
            | Kind.EXTEND
            | Kind.DEBIT
            | Kind.LAPSE
            | Kind.REPAY
            | Kind.ADJUST_DOWN
            | Kind.FREEZE
            | Kind.REVERSE
        ):
            return -part
        case _:
            return 0
