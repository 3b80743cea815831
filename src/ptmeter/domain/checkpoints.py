"""
Checkpoints: where every wallet's chain stood at one moment, hashed so that it can be signed and kept elsewhere.

The hash chain shows any change to what it binds, but not that its end was cut off, and nothing to whoever has
its key. A checkpoint outside the database shows both: the wallet must still have the transfer it had then, with
the same hash. Checkpoints follow one another like the rows of a journal: each has the hash of the one before.

The bytes that are hashed are, in this order: a version byte, the opening (number, time, when the ledger began,
the hash of the checkpoint before), one entry for each event of an accounting period, one for each wallet in the
order of their numbers, and how many there were of both. Integers are eight bytes, big-endian and signed; text and
hashes have their length before them in four; each entry begins with a letter that says what it is, and has its
length before it. The hash is the version byte and BLAKE2b-256.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from .instants import microseconds

if TYPE_CHECKING:
    from datetime import datetime

    from .ledger import Wallet, WalletId
    from .periods import PeriodEvent

VERSION: Final = 1
"""The encoding's version: the first byte of what is hashed, and of the hash."""

SIZE: Final = 33
"""Bytes of a checkpoint's hash: the version and BLAKE2b-256."""

PURPOSE: Final = b"ptmeter checkpoint\0"
"""What is signed begins with this, so that no signature for something else can pass as one of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """
    How a checkpoint begins.

    ``number`` counts a ledger's checkpoints from 1 and ``previous`` is the hash of the one before, empty for the
    first. ``began`` is when the ledger's first account was opened: by that it is told from other ledgers.
    """

    number: int
    at: datetime
    began: datetime | None
    previous: bytes

    def canonical(self) -> bytes:
        """Its bytes, the same for ever, for this version."""
        began = -1 if self.began is None else microseconds(self.began)
        return (
            bytes([VERSION])
            + _number(self.number)
            + _number(microseconds(self.at))
            + _number(began)
            + _framed(self.previous)
        )


class PeriodMark(NamedTuple):
    """That something happened to an accounting period, and the hash over all that is on record of it."""

    period: str
    event: int
    digest: bytes

    def canonical(self) -> bytes:
        """Its bytes, the same for ever, for this version."""
        return b"p" + _framed(self.period.encode()) + _number(self.event) + _framed(self.digest)


class WalletMark(NamedTuple):
    """Where a wallet stood: its last transfer with its whole hash, and its balances in micro-PT."""

    wallet: WalletId
    seq: int
    head: bytes
    available: int
    held: int
    spent: int
    owed: int

    def canonical(self) -> bytes:
        """Its bytes, the same for ever, for this version."""
        name = _framed(self.wallet.account.encode()) + _framed(self.wallet.unit.encode())
        figures = (self.seq, self.available, self.held, self.spent, self.owed)
        return b"w" + name + _framed(self.head) + b"".join(map(_number, figures))


Mark: TypeAlias = PeriodMark | WalletMark


class Marked(NamedTuple):
    """A wallet's mark, and the number of the checkpoint it is in."""

    checkpoint: int
    mark: WalletMark


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """
    Where a ledger stood at one moment: the number of the checkpoint, when it was taken, its hash.

    ``hash`` is in hexadecimal. It covers every wallet, all that is on record of the accounting periods, and the
    checkpoint before.
    """

    number: int
    at: datetime
    wallets: int
    hash: str

    def __str__(self) -> str:
        return f"checkpoint {self.number} of {self.at:%Y-%m-%d %H:%M:%S} UTC: {self.wallets:,} wallets, {self.hash}"


class Tally:
    """The hash of a checkpoint while it is written or read, mark by mark: it needs no memory for them."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._hash = blake2b(opening.canonical(), digest_size=SIZE - 1)
        self._periods = 0
        self.wallets = 0

    def add(self, mark: Mark) -> None:
        """Take the next mark in."""
        self._hash.update(_framed(mark.canonical()))
        if isinstance(mark, WalletMark):
            self.wallets += 1
        else:
            self._periods += 1

    def finish(self) -> Checkpoint:
        """The checkpoint, once all marks are in."""
        self._hash.update(_number(self._periods) + _number(self.wallets))
        return Checkpoint(
            number=self._opening.number,
            at=self._opening.at,
            wallets=self.wallets,
            hash=(bytes([VERSION]) + self._hash.digest()).hex(),
        )


def message(checkpoint: Checkpoint) -> bytes:
    """What is signed."""
    return PURPOSE + bytes.fromhex(checkpoint.hash)


def mark_wallet(wallet: Wallet) -> WalletMark:
    """Where *wallet* stands."""
    return WalletMark(
        wallet.id, wallet.seq, wallet.head, wallet.available, wallet.held, wallet.spent, wallet.owed
    )


def mark_event(event: PeriodEvent) -> PeriodMark:
    """What is on record of *event*."""
    period = event.period
    facts = (
        *map(_number, (microseconds(period.start), microseconds(period.end), microseconds(event.at))),
        *map(_number, (event.state, event.wallets)),
        *(_framed(text.encode()) for text in (event.by, event.approved_by, event.reason)),
        _framed(event.hash),
    )
    digest = blake2b(bytes([VERSION]) + b"".join(facts), digest_size=SIZE - 1).digest()
    return PeriodMark(period.name, event.number, bytes([VERSION]) + digest)


def _number(value: int) -> bytes:
    return value.to_bytes(8, "big", signed=True)


def _framed(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part
