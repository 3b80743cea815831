"""What the planner is given and what it gives: the locked state of a batch, and the rows to write for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from .accounts import Account
    from .alerts import Notice
    from .ledger import OpenHold, Outcome, Transfer, Wallet, WalletId
    from .moves import Resolved
    from .rollups import Bucket, Figures
    from .top_ups import TopUp


class Decided(NamedTuple):
    """What an earlier command under the same id was, and how it ended."""

    fingerprint: bytes
    outcome: Outcome
    at: datetime


class Rejection(NamedTuple):
    """A refusal to remember."""

    wallet: WalletId
    id: bytes
    decided: Decided


@dataclass(frozen=True, slots=True)
class State:
    """
    All that a batch may look at, read under the wallets' locks.

    A wallet has its lots with something in them, and those that the batch names; one that is missing does not
    exist. ``holds`` are the open ones that the batch names and those of its wallets that are due; ``resolved``
    are those it names that are open no more. ``accounts`` are those in whose tallies it counts; ``top_ups``
    are recent ones of those that top themselves up.
    """

    at: datetime
    wallets: Mapping[WalletId, Wallet]
    decided: Mapping[bytes, Decided]
    holds: Mapping[bytes, OpenHold]
    resolved: Mapping[bytes, Resolved]
    accounts: Mapping[str, Account] = field(default_factory=dict[str, "Account"])
    top_ups: Mapping[str, Sequence[TopUp]] = field(default_factory=dict[str, "Sequence[TopUp]"])


@dataclass(frozen=True, slots=True)
class Plan:
    """Outcomes in the order of the batch, and what to write."""

    outcomes: list[tuple[Outcome, ...]]
    wallets: Sequence[Wallet]
    transfers: Sequence[Transfer]
    opened: Sequence[OpenHold]
    closed: Sequence[OpenHold]
    rejections: Sequence[Rejection]
    decided: Mapping[bytes, Decided]
    """How every command of the batch ended, now or before, by id."""
    accounts: Sequence[Account]
    notices: Sequence[Notice]
    top_ups: Sequence[TopUp] = ()
    """Those that are asked for now."""
    rollups: Mapping[Bucket, Figures] = field(default_factory=dict["Bucket", "Figures"])
    """What it adds to roll-ups; see `rollups.additions`."""
