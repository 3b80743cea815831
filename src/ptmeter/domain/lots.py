"""
Lots: which PT are used first, and how they come back.

Burn order is priority (lower first), then expiry (sooner first, never last), then age, the order of
Stripe's credit grants and OpenMeter's burn-down. Whatever is taken is recorded as allocations, and
whatever comes back goes to the lots it came from, never to those that today's order would pick.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ..errors import InvariantError
from .ledger import Allocation, Lot

if TYPE_CHECKING:
    from collections.abc import Iterable

NEVER = datetime.max.replace(tzinfo=UTC)


def burn_order(lot: Lot) -> tuple[int, datetime, int]:
    """Sort key: lower priority first, then earlier expiry, then the older lot."""
    return lot.priority, lot.expires_at or NEVER, lot.number


def has_lapsed(lot: Lot, at: datetime) -> bool:
    """Whether the lot's time is over at *at*."""
    return lot.expires_at is not None and lot.expires_at <= at


def pick(lots: Iterable[Lot], amount: int) -> tuple[Allocation, ...]:
    """
    Choose *amount* micro-PT from what *lots* have free, in burn order.

    Raises:
        InvariantError: The lots have less than *amount* free; the caller checks the balance first.
    """
    picked: list[Allocation] = []
    for lot in sorted(lots, key=burn_order):
        if amount == 0:
            break
        if part := min(lot.remaining, amount):
            picked.append(Allocation(lot.number, part))
            amount -= part
    if amount:
        msg = f"the lots are {amount} micro-PT short of the balance"
        raise InvariantError(msg)
    return tuple(picked)


def split(allocations: tuple[Allocation, ...], amount: int) -> tuple[tuple[Allocation, ...], ...]:
    """Divide *allocations* in two: the first *amount* of them, in their order, and the rest."""
    used: list[Allocation] = []
    rest: list[Allocation] = []
    for lot, part in allocations:
        take = min(part, amount)
        amount -= take
        if take:
            used.append(Allocation(lot, take))
        if part - take:
            rest.append(Allocation(lot, part - take))
    return tuple(used), tuple(rest)


def shift(
    lots: tuple[Lot, ...],
    allocations: tuple[Allocation, ...],
    *,
    remaining: int = 0,
    held: int = 0,
    frozen: int = 0,
) -> tuple[Lot, ...]:
    """
    Change the lots named by *allocations*: each of the three figures by -1, 0 or 1 times the amount.

    Raises:
        InvariantError: A lot is missing or would go below zero.
    """
    amounts = dict(allocations)
    if len(amounts) < len(allocations):
        msg = "a lot is allocated from twice"
        raise InvariantError(msg)
    shifted: list[Lot] = []
    for lot in lots:
        amount = amounts.pop(lot.number, 0)
        if not amount:
            shifted.append(lot)
            continue
        free, kept = lot.remaining + remaining * amount, lot.held + held * amount
        cold = lot.frozen + frozen * amount
        if free < 0 or kept < 0 or cold < 0:
            msg = f"lot {lot.number} would go below zero"
            raise InvariantError(msg)
        shifted.append(
            Lot(lot.number, lot.granted, free, kept, lot.priority, lot.expires_at, lot.paid, cold)
        )
    if amounts:
        msg = f"lots {sorted(amounts)} are allocated from but not in the wallet"
        raise InvariantError(msg)
    return tuple(shifted)
