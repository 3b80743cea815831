"""
The hash chain of a wallet's journal: every column of a row bound to all the rows before it.

A row's bytes are a version byte and then each field in a fixed order, integers as eight bytes, text
length-prefixed, absent told apart from empty. The hash is BLAKE2b-256 over those bytes and the hash
before; the first row's predecessor is the wallet's own name, so rows cannot move between wallets. With
a key (kept outside the database) nobody who can write to the database can recompute it.

A wallet keeps the whole hash of its last row, which binds all of them. A row keeps the first bytes of its
own, its link, by which the first row that does not fit is named.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from .instants import microseconds
from .rates import PLAIN
from .usage import TOKEN_CLASSES

if TYPE_CHECKING:
    from datetime import datetime

    from .ledger import Transfer, UsageEvent, WalletId
    from .rates import Workload

VERSION: Final = 1
"""The encoding's version: the first byte of what is hashed, and of the hash, so that rows say which it is."""

SIZE: Final = 33
"""Bytes of a hash: the version and BLAKE2b-256."""

LINK: Final = 8
"""Bytes of a hash that its row keeps: the version and seven of BLAKE2b-256."""

_DIGEST: Final = SIZE - 1


def genesis(wallet: WalletId, key: bytes = b"") -> bytes:
    """What the first row of *wallet* follows."""
    name = bytes([VERSION]) + _text(wallet.account) + _text(wallet.unit)
    return bytes([VERSION]) + blake2b(name, digest_size=_DIGEST, key=key).digest()


def successor(transfer: Transfer, previous: bytes, key: bytes = b"") -> bytes:
    """The hash of *transfer* as the successor of the row whose hash is *previous*."""
    bound = canonical(transfer) + previous
    return bytes([VERSION]) + blake2b(bound, digest_size=_DIGEST, key=key).digest()


def link(whole: bytes) -> bytes:
    """What a row keeps of its hash."""
    return whole[:LINK]


def canonical(transfer: Transfer) -> bytes:
    """The row's bytes: the same on every database and for ever, for this version."""
    row = transfer
    return b"".join(
        (
            bytes([VERSION, row.kind]),
            row.id,
            _number(row.seq),
            _number(row.amount),
            _number(row.available_after),
            _number(row.held_after),
            row.fingerprint,
            _time(row.effective_at),
            _time(row.booked_at),
            _number(row.completes),
            _time(row.expires_at),
            _number(row.priority),
            _text(row.note),
            _number(len(row.allocations)),
            *(_number(part) for allocation in row.allocations for part in allocation),
            _usage(row.usage),
            _text(row.member),
            _number(row.multiple),
            _text(row.plan),
            _number(row.paid),
            _number(row.frozen_after),
        )
    )


def _usage(event: UsageEvent | None) -> bytes:
    if event is None:
        return b"\0"
    usage = event.usage
    tools = sorted(usage.tool_calls.items())
    return b"".join(
        (
            _workload(event.workload),
            _text(event.price.version),
            _text(event.card_version),
            _number(event.cost.nano),
            _text(event.cost.currency),
            *(_number(getattr(usage, name)) for name in TOKEN_CLASSES),
            _number(usage.requests),
            _text(usage.quality),
            _number(len(tools)),
            *(_text(name) + _number(count) for name, count in tools),
        )
    )


def _workload(workload: Workload) -> bytes:
    """Its first byte says what follows: nothing, what the buffer went by, also the processing, also the route."""
    if workload == PLAIN:
        return b"\1"
    standard = workload.processing is PLAIN.processing and not workload.routed
    return b"".join(
        (
            b"\4" if workload.routed else b"\2" if standard else b"\3",
            _text(workload.complexity),
            _text(workload.content),
            _number(workload.retry_rate),
            _number(workload.tool_calls),
            b"" if standard else _text(workload.processing),
            _text(workload.routed) if workload.routed else b"",
        )
    )


def _number(value: int | None) -> bytes:
    return b"\0" if value is None else b"\1" + value.to_bytes(8, "big", signed=True)


def _time(value: datetime | None) -> bytes:
    return b"\0" if value is None else b"\1" + microseconds(value).to_bytes(8, "big", signed=True)


def _text(value: str) -> bytes:
    encoded = value.encode()
    return len(encoded).to_bytes(4, "big") + encoded
