"""Between rows and the domain's values: one function each way, nothing decided."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from ..domain.batches import Decided
from ..domain.instants import microseconds, moment
from ..domain.ledger import (
    Allocation,
    Kind,
    Lot,
    OpenHold,
    Posted,
    Refusal,
    Refused,
    Transfer,
    Wallet,
    WalletId,
    WalletState,
)
from ..domain.summaries import Span, Standing, Turnover
from ..errors import InvariantError, UnreadableRowError
from .columns import version_from
from .places import BEFORE, THROUGH, TURNOVER
from .usage_rows import NO_USAGE, usage_from, usage_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from sqlalchemy import Row

    from ..domain.batches import Rejection
    from ..domain.prices import Price
    from .places import Spanned

P = ParamSpec("P")
T = TypeVar("T")


def names_its_row(
    table: str, *key: str
) -> Callable[[Callable[Concatenate[Any, P], T]], Callable[Concatenate[Any, P], T]]:
    """
    Have what makes a value of a row of *table* say which row it was, if it cannot: by the columns in *key*.

    ptmeter writes no such row, so whoever meets one wants to know where it is rather than what Python makes of it.
    """

    def named(read: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], T]:
        @wraps(read)
        def reading(row: Any, *rest: P.args, **more: P.kwargs) -> T:
            try:
                return read(row, *rest, **more)
            except (
                ArithmeticError,
                AttributeError,
                LookupError,
                TypeError,
                ValueError,
                InvariantError,
            ) as error:
                name = {column: getattr(row, column) for column in key}
                raise UnreadableRowError(table, name, str(error)) from error

        return reading

    return named


@names_its_row("ptm_wallet", "wallet_id", "account", "unit")
def wallet_from(row: Row[Any], lots: tuple[Lot, ...] = ()) -> Wallet:
    """A wallet as stored, with the lots read beside it."""
    return Wallet(
        id=WalletId(row.account, row.unit),
        number=row.wallet_id,
        available=row.available,
        held=row.held,
        spent=row.spent,
        owed=row.owed,
        credit_limit=row.credit_limit,
        seq=row.seq,
        booked_at=moment(row.booked_at),
        head=bytes(row.head),
        state=WalletState(row.state),
        closed_until=moment(row.closed_until) if row.closed_until else None,
        lots=lots,
    )


@names_its_row("ptm_lot", "wallet_id", "number")
def lot_from(row: Row[Any]) -> Lot:
    """A lot as stored."""
    return Lot(
        *(row.number, row.granted, row.remaining, row.held),
        *(row.priority, _maybe(row.expires_at), row.paid, row.frozen),
    )


def live_lot_from(row: Row[Any]) -> Lot:
    """A lot from `Statements.read`: what was granted stands under amount there, and what was paid under id."""
    ends = _maybe(row.expires_at)
    place = row.priority, ends
    return Lot(row.number, row.amount, row.remaining, row.held, *place, row.id, row.frozen)


def lot_row(wallet_id: int, lot: Lot) -> dict[str, Any]:
    """A new lot."""
    return {
        "wallet_id": wallet_id,
        "number": lot.number,
        "granted": lot.granted,
        "remaining": lot.remaining,
        "held": lot.held,
        "frozen": lot.frozen,
        "priority": lot.priority,
        "expires_at": lot.expires_at and microseconds(lot.expires_at),
        "paid": lot.paid,
    }


@names_its_row("ptm_transfer", "wallet_id", "seq")
def transfer_from(row: Row[Any], wallet: WalletId, prices: Mapping[str, Price] | None = None) -> Transfer:
    """A row of the journal as the domain knows it; without *prices* its usage is left out."""
    return Transfer(
        id=id_from(row.transfer_id),
        wallet=wallet,
        seq=row.seq,
        kind=Kind(row.kind),
        amount=row.amount,
        available_after=row.available_after,
        held_after=row.held_after,
        fingerprint=id_from(row.fingerprint),
        effective_at=moment(row.booked_at if row.effective_at is None else row.effective_at),
        booked_at=moment(row.booked_at),
        allocations=_allocations_from(row.allocations, row.amount),
        completes=row.completes,
        expires_at=_maybe(row.expires_at),
        priority=row.priority,
        note=row.note or "",
        usage=None if prices is None else usage_from(row, prices),
        member=row.member or "",
        multiple=row.multiple or 1,
        plan=row.plan or "",
        paid=row.paid,
        frozen_after=row.frozen_after or 0,
        link=id_from(row.link),
    )


def transfer_row(wallet_id: int, transfer: Transfer) -> dict[str, Any]:
    """A new row of the journal; what is zero or ordinary is left out."""
    booked_at, effective_at = microseconds(transfer.booked_at), microseconds(transfer.effective_at)
    return {
        "wallet_id": wallet_id,
        "seq": transfer.seq,
        "transfer_id": id_row(transfer.id),
        "fingerprint": id_row(transfer.fingerprint),
        "link": id_row(transfer.link),
        "amount": transfer.amount,
        "available_after": transfer.available_after,
        "held_after": transfer.held_after,
        "booked_at": booked_at,
        "effective_at": None if effective_at == booked_at else effective_at,
        "expires_at": transfer.expires_at and microseconds(transfer.expires_at),
        "completes": transfer.completes,
        "kind": int(transfer.kind),
        "priority": transfer.priority,
        "member": transfer.member or None,
        "multiple": transfer.multiple if transfer.multiple > 1 else None,
        "plan": transfer.plan or None,
        "paid": transfer.paid,
        "frozen_after": transfer.frozen_after or None,
        "allocations": _allocations_row(transfer.allocations, transfer.amount),
        "note": transfer.note or None,
        **(NO_USAGE if transfer.usage is None else usage_row(transfer.usage)),
    }


def span_from(found: Iterable[Spanned], prices: Mapping[str, Price]) -> Span:
    """Transfers added up by the database, which may say so in decimals, and the two at the ends."""
    ends = {
        row.what: Standing(int(row.amount), int(row.cost), int(row.calls))
        for row in found
        if row.what != TURNOVER
    }
    turnovers = [_turnover_from(row, prices) for row in found if row.what == TURNOVER]
    return Span(ends.get(BEFORE, Standing()), turnovers, ends.get(THROUGH, Standing()))


def _turnover_from(row: Spanned, prices: Mapping[str, Price]) -> Turnover:
    price = None if row.price_version is None else prices[version_from(row.price_version)]
    return Turnover(Kind(row.kind), price, int(row.calls), int(row.amount), int(row.cost))


@names_its_row("ptm_open_hold", "wallet_id", "number")
def hold_from(row: Row[Any], wallet: WalletId) -> OpenHold:
    """An open hold as stored."""
    if row.extends not in (None, 1):
        msg = f"extends is {row.extends}, and would be 1 or nothing"
        raise ValueError(msg)
    return OpenHold(
        id=id_from(row.id),
        wallet=wallet,
        number=row.number,
        amount=row.amount,
        allocations=_allocations_from(row.allocations, row.amount),
        expires_at=moment(row.expires_at),
        member=row.member or "",
        extends=row.extends == 1,
    )


def hold_row(wallet_id: int, hold: OpenHold) -> dict[str, Any]:
    """A new open hold."""
    return {
        "wallet_id": wallet_id,
        "hold_id": id_row(hold.id),
        "number": hold.number,
        "amount": hold.amount,
        "allocations": _allocations_row(hold.allocations, hold.amount),
        "expires_at": microseconds(hold.expires_at),
        "extends": 1 if hold.extends else None,
        "member": hold.member or None,
    }


def posted_from(transfer: Transfer, overage: tuple[int | None, int | None, int | None]) -> Decided:
    """How an earlier command ended: its transfer, and the overage that completed it if any."""
    beyond, available, held = overage
    spent = transfer.amount if transfer.kind in (Kind.SETTLE, Kind.DEBIT) else 0
    outcome = Posted(
        transfer=transfer,
        charged=spent + (beyond or 0),
        available=transfer.available_after if available is None else available,
        held=transfer.held_after if held is None else held,
    )
    return Decided(transfer.fingerprint, outcome, transfer.booked_at)


def refused_from(row: Row[Any]) -> Decided:
    """A refusal that is still remembered."""
    reason = Refusal(row.reason)
    outcome = Refused(reason=reason, available=row.available, required=row.required)
    return Decided(id_from(row.fingerprint), outcome, moment(row.refused_at))


def refused_row(wallet_id: int, rejection: Rejection) -> dict[str, Any]:
    """A refusal to remember."""
    fingerprint, outcome, at = rejection.decided
    assert isinstance(outcome, Refused)
    return {
        "wallet_id": wallet_id,
        "transfer_id": id_row(rejection.id),
        "reason": int(outcome.reason),
        "available": outcome.available,
        "required": outcome.required,
        "refused_at": microseconds(at),
        "fingerprint": id_row(fingerprint),
    }


def id_from(value: int) -> bytes:
    """An id, a fingerprint or a link as its eight bytes."""
    return value.to_bytes(8, "big", signed=True)


def id_row(value: bytes) -> int:
    """An id, a fingerprint or a link as the signed integer that its bytes are."""
    return int.from_bytes(value, "big", signed=True)


def _allocations_from(value: str | None, amount: int) -> tuple[Allocation, ...]:
    if not value:
        return ()
    if value.isdecimal():
        return (Allocation(int(value), amount),)
    pairs = (part.split(":") for part in value.split(";"))
    return tuple(Allocation(int(lot), int(amount)) for lot, amount in pairs)


def _allocations_row(allocations: tuple[Allocation, ...], amount: int) -> str | None:
    if len(allocations) == 1 and allocations[0].amount == amount:
        return str(allocations[0].lot)
    return ";".join(f"{lot}:{amount}" for lot, amount in allocations) or None


def _maybe(value: int | None) -> datetime | None:
    return None if value is None else moment(value)
