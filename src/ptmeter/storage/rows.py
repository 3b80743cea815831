"""Between rows and the domain's values: one function each way, nothing decided."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..domain.ledger import (
    SIDES,
    Kind,
    Lot,
    OpenHold,
    Posted,
    Refusal,
    Refused,
    Transfer,
    UsageEvent,
    Wallet,
    WalletId,
    WalletState,
)
from ..domain.planner import Decided
from ..domain.pt import Money
from ..domain.usage import TOKEN_CLASSES, Quality, Usage
from ..errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Row

    from ..domain.planner import Rejection
    from ..domain.prices import Price


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
        booked_at=row.booked_at,
        head=bytes(row.head),
        state=WalletState(row.state),
        lots=lots,
    )


def wallet_row(wallet: Wallet) -> dict[str, Any]:
    """What changes in a wallet."""
    return {
        "number": wallet.number,
        "available": wallet.available,
        "held": wallet.held,
        "spent": wallet.spent,
        "owed": wallet.owed,
        "seq": wallet.seq,
        "booked_at": wallet.booked_at,
        "head": wallet.head,
    }


def lot_from(row: Row[Any]) -> Lot:
    """A lot as stored."""
    return Lot(row.number, row.granted, row.remaining, row.held, row.priority, row.expires_at)


def lot_row(wallet_id: int, lot: Lot) -> dict[str, Any]:
    """A new lot."""
    return {
        "wallet_id": wallet_id,
        "number": lot.number,
        "granted": lot.granted,
        "remaining": lot.remaining,
        "held": lot.held,
        "priority": lot.priority,
        "expires_at": lot.expires_at,
    }


def transfer_from(row: Row[Any], wallet: WalletId, usage: UsageEvent | None) -> Transfer:
    """A row of the journal as the domain knows it."""
    return Transfer(
        id=bytes(row.transfer_id),
        wallet=wallet,
        seq=row.seq,
        kind=Kind(row.kind),
        amount=row.amount,
        available_after=row.available_after,
        held_after=row.held_after,
        fingerprint=bytes(row.fingerprint),
        effective_at=row.effective_at,
        booked_at=row.booked_at,
        allocations=row.allocations,
        completes=row.completes,
        expires_at=row.expires_at,
        priority=row.priority,
        note=row.note or "",
        usage=usage,
        hash=bytes(row.hash),
    )


def transfer_row(wallet_id: int, transfer: Transfer) -> dict[str, Any]:
    """A new row of the journal."""
    debit, credit = SIDES[transfer.kind]
    return {
        "wallet_id": wallet_id,
        "transfer_id": transfer.id,
        "seq": transfer.seq,
        "kind": int(transfer.kind),
        "debit": int(debit),
        "credit": int(credit),
        "amount": transfer.amount,
        "available_after": transfer.available_after,
        "held_after": transfer.held_after,
        "fingerprint": transfer.fingerprint,
        "effective_at": transfer.effective_at,
        "booked_at": transfer.booked_at,
        "allocations": transfer.allocations,
        "completes": transfer.completes,
        "expires_at": transfer.expires_at,
        "priority": transfer.priority,
        "note": transfer.note or None,
        "hash": transfer.hash,
    }


def usage_from(row: Row[Any], prices: Mapping[str, Price]) -> UsageEvent:
    """What a transfer was charged for."""
    price = prices.get(row.price_version)
    if price is None:
        msg = f"transfer {row.seq} was rated by price {row.price_version}, which is missing"
        raise InvariantError(msg)
    counts = {name: getattr(row, name) or 0 for name in TOKEN_CLASSES}
    tools: dict[str, int] = json.loads(row.tool_calls) if row.tool_calls else {}
    quality = Quality(row.quality) if row.quality else Quality.EXACT
    return UsageEvent(
        usage=Usage(**counts, requests=row.requests, tool_calls=tools, quality=quality),
        price=price,
        card_version=row.card_version,
        cost=Money(row.cost, price.currency),
    )


def usage_row(wallet_id: int, seq: int, event: UsageEvent) -> dict[str, Any]:
    """A usage event beside its transfer; what is zero or ordinary is left out."""
    usage = event.usage
    tools = json.dumps(dict(usage.tool_calls), sort_keys=True) if usage.tool_calls else None
    return {
        "wallet_id": wallet_id,
        "seq": seq,
        "price_version": event.price.version,
        "card_version": event.card_version,
        "cost": event.cost.nano,
        "requests": usage.requests,
        "quality": None if usage.quality is Quality.EXACT else str(usage.quality),
        "tool_calls": tools,
        **{name: getattr(usage, name) or None for name in TOKEN_CLASSES},
    }


def hold_from(row: Row[Any], wallet: WalletId) -> OpenHold:
    """An open hold as stored."""
    return OpenHold(
        id=bytes(row.hold_id),
        wallet=wallet,
        number=row.number,
        amount=row.amount,
        allocations=row.allocations,
        expires_at=row.expires_at,
    )


def hold_row(wallet_id: int, hold: OpenHold) -> dict[str, Any]:
    """A new open hold."""
    return {
        "hold_id": hold.id,
        "wallet_id": wallet_id,
        "number": hold.number,
        "amount": hold.amount,
        "allocations": hold.allocations,
        "expires_at": hold.expires_at,
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
    return Decided(bytes(row.fingerprint), outcome, row.refused_at)


def refused_row(wallet_id: int, rejection: Rejection) -> dict[str, Any]:
    """A refusal to remember."""
    fingerprint, outcome, at = rejection.decided
    assert isinstance(outcome, Refused)
    return {
        "transfer_id": rejection.id,
        "wallet_id": wallet_id,
        "reason": int(outcome.reason),
        "available": outcome.available,
        "required": outcome.required,
        "refused_at": at,
        "fingerprint": fingerprint,
    }


def with_lots(wallet: Wallet, lots: tuple[Lot, ...]) -> Wallet:
    """The same wallet with its lots read beside it."""
    return replace(wallet, lots=lots)
