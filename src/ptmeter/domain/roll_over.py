"""Roll-over: what of a cycle's PT is left unused when it ends, to give a share of it in the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .ledger import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .ledger import Lot, Transfer


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
            Kind.HOLD | Kind.DEBIT | Kind.LAPSE | Kind.REPAY | Kind.ADJUST_DOWN | Kind.FREEZE | Kind.REVERSE
        ):
            return -part
        case _:
            return 0
