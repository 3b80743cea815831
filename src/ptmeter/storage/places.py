"""
Where a moment is in a wallet's journal, found without an index by time, and what lies between two moments.

Booking times grow with a wallet's numbers, so the last transfer before a moment is found by bisection: some
twenty steps of the primary key in a million rows, in one query. An index by time would cost every call thirty
bytes and save a reader a fraction of a millisecond.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import BindParameter, bindparam, case, func, literal, literal_column, select, union_all

from ..domain.ledger import Kind
from .columns import Int64
from .tables import transfer

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Executable, Label

BEFORE: Final = "before"
THROUGH: Final = "through"
TURNOVER: Final = "turnover"
"""What a row of `span` is: the transfer before it, its last one, or what some in it add up to."""


class Spanned(NamedTuple):
    """A row of `span`; of a transfer, ``amount``, ``cost`` and ``calls`` are what was available, held and frozen after it."""

    what: str
    kind: int
    price_version: int | None
    calls: int
    amount: int
    cost: int


_WALLET: Final[BindParameter[int]] = bindparam("wallet", type_=Int64)
_BEYOND: Final[BindParameter[int]] = bindparam("beyond", type_=Int64)
"""The number after the wallet's last transfer."""


def place() -> Executable:
    """The number of the last transfer that a wallet booked before *moment*, 0 if there is none."""
    return select(_place("moment"))


def span() -> Executable:
    """
    What a wallet booked from the moment *before* until the moment *through*, added up by kind and by price.

    What a settle charged beyond its hold has no usage of its own: it belongs to the price of its settle.
    """
    before, through = _place(BEFORE), _place(THROUGH)
    settle = transfer.alias("settle")
    beyond_a_hold = case((transfer.c.kind == int(Kind.DEBIT), transfer.c.completes))
    completed: ColumnElement[bool] = (settle.c.wallet_id == _WALLET) & (settle.c.seq == beyond_a_hold)
    price = func.coalesce(transfer.c.price_version, settle.c.price_version)
    added_up = (
        select(
            _what(TURNOVER),
            transfer.c.kind,
            price.label("price_version"),
            func.count(transfer.c.price_version).label("calls"),
            func.sum(transfer.c.amount).label("amount"),
            func.coalesce(func.sum(transfer.c.cost), 0).label("cost"),
        )
        .join_from(transfer, settle, completed, isouter=True)
        .where(transfer.c.wallet_id == _WALLET, transfer.c.seq > before, transfer.c.seq <= through)
        .group_by(transfer.c.kind, price)
    )
    return union_all(added_up, _at(BEFORE, before), _at(THROUGH, through))


def _place(moment: str) -> Any:
    below = literal(0, Int64).label("below")
    step = select(below, _BEYOND.label("above")).cte(f"{moment}_steps", recursive=True)
    middle = transfer.alias(f"{moment}_middle")
    earlier = middle.c.booked_at < bindparam(moment, type_=Int64)
    half = (step.c.below + step.c.above).bitwise_rshift(literal_column("1"))
    halved = (
        select(
            case((earlier, middle.c.seq), else_=step.c.below),
            case((earlier, step.c.above), else_=middle.c.seq),
        )
        .join_from(step, middle, middle.c.seq == half)
        .where(middle.c.wallet_id == _WALLET, step.c.above - step.c.below > literal_column("1"))
    )
    return select(func.max(step.union_all(halved).c.below)).scalar_subquery()


def _at(what: str, number: Any) -> Any:
    none, zero = literal_column("NULL", Int64), literal_column("0", Int64)
    row = transfer.alias(f"{what}_row")
    frozen = func.coalesce(row.c.frozen_after, zero)
    return select(_what(what), row.c.kind, none, frozen, row.c.available_after, row.c.held_after).where(
        row.c.wallet_id == _WALLET, row.c.seq == number
    )


def _what(name: str) -> Label[str]:
    return literal(name, literal_execute=True).label("what")
