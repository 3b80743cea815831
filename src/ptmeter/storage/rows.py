"""Between rows and the domain's values: one function each way, nothing decided."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from ..domain.chain import microseconds, moment
from ..domain.ledger import (
    Allocation,
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
from ..domain.rates import PLAIN, Complexity, Content, Workload
from ..domain.summaries import Turnover
from ..domain.usage import TOKEN_CLASSES, Quality, Usage
from ..errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Row

    from ..domain.planner import Plan, Rejection
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
        booked_at=moment(row.booked_at),
        head=bytes(row.head),
        state=WalletState(row.state),
        closed_until=moment(row.closed_until) if row.closed_until else None,
        lots=lots,
    )


def of_plan(plan: Plan, before: Mapping[WalletId, Wallet]) -> dict[str, list[dict[str, Any]]]:
    """All rows of a plan, by what is to be done with them."""
    numbers = {name: wallet.number for name, wallet in before.items()}
    changes = [(before[after.id], after) for after in plan.wallets]
    return {
        "wallets": [_wallet_row(wallet) for wallet in plan.wallets],
        "transfers": [_transfer_row(numbers[t.wallet], t) for t in plan.transfers],
        "new_lots": [row for old, new in changes for row in _new_lots(old, new)],
        "lots": [row for old, new in changes for row in _changed_lots(old, new)],
        "closed": [_closed_row(numbers[hold.wallet], hold) for hold in plan.closed],
        "opened": [_hold_row(numbers[hold.wallet], hold) for hold in plan.opened],
        "forgotten": [{"wallet": numbers[r.wallet], "id": id_row(r.id)} for r in plan.rejections],
        "rejections": [_refused_row(numbers[r.wallet], r) for r in plan.rejections],
    }


def _wallet_row(wallet: Wallet) -> dict[str, Any]:
    return {
        "wallet": wallet.number,
        "available": wallet.available,
        "held": wallet.held,
        "spent": wallet.spent,
        "owed": wallet.owed,
        "seq": wallet.seq,
        "booked_at": microseconds(wallet.booked_at),
        "head": wallet.head,
    }


def _new_lots(before: Wallet, after: Wallet) -> list[dict[str, Any]]:
    old = {lot.number for lot in before.lots}
    return [_lot_row(after.number, lot) for lot in after.lots if lot.number not in old]


def _changed_lots(before: Wallet, after: Wallet) -> list[dict[str, Any]]:
    old = {lot.number: lot for lot in before.lots}
    return [
        {"wallet": after.number, "lot": lot.number, "free": lot.remaining, "kept": lot.held}
        for lot in after.lots
        if old.get(lot.number, lot) is not lot
    ]


def lot_from(row: Row[Any]) -> Lot:
    """A lot as stored."""
    return Lot(row.number, row.granted, row.remaining, row.held, row.priority, _maybe(row.expires_at))


def live_lot_from(row: Row[Any]) -> Lot:
    """A lot from `Statements.read`, where what was granted stands in the column for amounts."""
    return Lot(row.number, row.amount, row.remaining, row.held, row.priority, _maybe(row.expires_at))


def _lot_row(wallet_id: int, lot: Lot) -> dict[str, Any]:
    """A new lot."""
    return {
        "wallet_id": wallet_id,
        "number": lot.number,
        "granted": lot.granted,
        "remaining": lot.remaining,
        "held": lot.held,
        "priority": lot.priority,
        "expires_at": lot.expires_at and microseconds(lot.expires_at),
    }


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
        usage=None if prices is None else _usage_from(row, prices),
        link=id_from(row.link),
    )


def _transfer_row(wallet_id: int, transfer: Transfer) -> dict[str, Any]:
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
        "allocations": _allocations_row(transfer.allocations, transfer.amount),
        "note": transfer.note or None,
        **(_NO_USAGE if transfer.usage is None else _usage_row(transfer.usage)),
    }


def turnover_from(row: Row[Any], prices: Mapping[str, Price]) -> Turnover:
    """Transfers added up by the database, which may say so in decimals."""
    price = None if row.price_version is None else prices[version_from(row.price_version)]
    return Turnover(Kind(row.kind), price, int(row.calls), int(row.amount), int(row.cost))


_NO_USAGE: Final[Mapping[str, None]] = dict.fromkeys(
    (
        "price_version",
        "card_version",
        "cost",
        *TOKEN_CLASSES,
        "requests",
        "quality",
        "tool_calls",
        "workload",
    )
)


def _usage_from(row: Row[Any], prices: Mapping[str, Price]) -> UsageEvent | None:
    """What a transfer was charged for."""
    if row.price_version is None:
        if any(getattr(row, name) is not None for name in _NO_USAGE):
            msg = f"transfer {row.seq} has usage that was rated by no price"
            raise InvariantError(msg)
        return None
    price = prices.get(version_from(row.price_version))
    if price is None:
        msg = f"transfer {row.seq} was rated by price {version_from(row.price_version)}, which is missing"
        raise InvariantError(msg)
    counts = {name: getattr(row, name) or 0 for name in TOKEN_CLASSES}
    tools: dict[str, int] = json.loads(row.tool_calls) if row.tool_calls else {}
    return UsageEvent(
        usage=Usage(
            **counts,
            requests=1 if row.requests is None else row.requests,
            tool_calls=tools,
            quality=Quality(row.quality) if row.quality else Quality.EXACT,
        ),
        price=price,
        card_version=version_from(row.card_version),
        cost=Money(row.cost, price.currency),
        workload=_workload_from(row.workload),
    )


def _usage_row(event: UsageEvent) -> dict[str, Any]:
    """A usage event, as part of its transfer."""
    usage = event.usage
    return {
        "price_version": version_row(event.price.version),
        "card_version": version_row(event.card_version),
        "cost": event.cost.nano,
        **{name: getattr(usage, name) or None for name in TOKEN_CLASSES},
        "requests": None if usage.requests == 1 else usage.requests,
        "quality": None if usage.quality is Quality.EXACT else str(usage.quality),
        "tool_calls": json.dumps(dict(usage.tool_calls), sort_keys=True) if usage.tool_calls else None,
        "workload": _workload_row(event.workload),
    }


def _workload_from(value: str | None) -> Workload:
    if not value:
        return PLAIN
    facts = json.loads(value)
    return Workload(
        complexity=Complexity(facts.get("complexity", PLAIN.complexity)),
        content=Content(facts.get("content", PLAIN.content)),
        retry_rate=facts.get("retry_rate", PLAIN.retry_rate),
        tool_calls=facts.get("tool_calls", PLAIN.tool_calls),
    )


def _workload_row(workload: Workload) -> str | None:
    """A workload as JSON, without what is ordinary; nothing if all of it is."""
    told = {
        each.name: value
        for each in fields(workload)
        if (value := getattr(workload, each.name)) != getattr(PLAIN, each.name)
    }
    return json.dumps(told, sort_keys=True) if told else None


def hold_from(row: Row[Any], wallet: WalletId) -> OpenHold:
    """An open hold as stored."""
    return OpenHold(
        id=id_from(row.id),
        wallet=wallet,
        number=row.number,
        amount=row.amount,
        allocations=_allocations_from(row.allocations, row.amount),
        expires_at=moment(row.expires_at),
    )


def _closed_row(wallet_id: int, hold: OpenHold) -> dict[str, Any]:
    """The name of a hold that is open no more."""
    return {"wallet": wallet_id, "hold": id_row(hold.id)}


def _hold_row(wallet_id: int, hold: OpenHold) -> dict[str, Any]:
    """A new open hold."""
    return {
        "wallet_id": wallet_id,
        "hold_id": id_row(hold.id),
        "number": hold.number,
        "amount": hold.amount,
        "allocations": _allocations_row(hold.allocations, hold.amount),
        "expires_at": microseconds(hold.expires_at),
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


def _refused_row(wallet_id: int, rejection: Rejection) -> dict[str, Any]:
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


def version_from(value: int) -> str:
    """A version as its sixteen hex digits."""
    return value.to_bytes(8, "big", signed=True).hex()


def version_row(version: str) -> int:
    """A version as the signed integer that its hex digits spell."""
    return int.from_bytes(bytes.fromhex(version), "big", signed=True)


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
