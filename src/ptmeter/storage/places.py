"""
Where a moment is in a wallet's journal, found without an index by time.

Booking times grow with a wallet's numbers, so the last transfer before a moment is found by bisection: some
twenty steps of the primary key in a million rows, in one query. An index by time would cost every call thirty
bytes and save a reader a fraction of a millisecond.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import case, func, literal, literal_column, select

from ..domain import chain
from ..domain.ledger import Kind
from .columns import Int64
from .tables import transfer

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import ColumnElement, Executable

    from ..domain.ledger import Wallet

_NONE: Final = 0
"""The number before a wallet's first transfer."""


def place_before(wallet: Wallet, moment: datetime, name: str) -> Any:
    """A scalar query for the number of the last transfer that *wallet* booked before *moment*, 0 if none."""
    below, above = literal(_NONE, Int64), literal(wallet.seq + 1, Int64)
    step = select(below.label("below"), above.label("above")).cte(name, recursive=True)
    middle = transfer.alias(f"{name}_middle")
    before = middle.c.booked_at < chain.microseconds(moment)
    halved = (
        select(
            case((before, middle.c.seq), else_=step.c.below),
            case((before, step.c.above), else_=middle.c.seq),
        )
        .join_from(
            step, middle, middle.c.seq == (step.c.below + step.c.above).bitwise_rshift(literal_column("1"))
        )
        .where(middle.c.wallet_id == wallet.number, step.c.above - step.c.below > 1)
    )
    return select(func.max(step.union_all(halved).c.below)).scalar_subquery()


def standing(wallet: Wallet, moment: datetime) -> Executable:
    """What *wallet* had after the last transfer before *moment*; no row if there is none."""
    last = transfer.c.seq == place_before(wallet, moment, "last")
    return select(transfer.c.available_after, transfer.c.held_after).where(
        transfer.c.wallet_id == wallet.number, last
    )


def turnover(wallet: Wallet, since: datetime, until: datetime) -> Executable:
    """
    What *wallet* booked in [since, until), added up by kind and by price.

    What a settle charged beyond its hold has no usage of its own: it belongs to the price of its settle.
    """
    settle = transfer.alias("settle")
    completed: ColumnElement[bool] = (
        (settle.c.wallet_id == transfer.c.wallet_id)
        & (settle.c.seq == transfer.c.completes)
        & (transfer.c.kind == int(Kind.DEBIT))
    )
    price = func.coalesce(transfer.c.price_version, settle.c.price_version).label("price_version")
    return (
        select(
            transfer.c.kind,
            price,
            func.count(transfer.c.price_version).label("calls"),
            func.sum(transfer.c.amount).label("amount"),
            func.coalesce(func.sum(transfer.c.cost), 0).label("cost"),
        )
        .join_from(transfer, settle, completed, isouter=True)
        .where(
            transfer.c.wallet_id == wallet.number,
            transfer.c.seq > place_before(wallet, since, "before"),
            transfer.c.seq <= place_before(wallet, until, "through"),
        )
        .group_by(transfer.c.kind, price)
    )
