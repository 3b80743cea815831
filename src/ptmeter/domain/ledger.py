"""
The vocabulary of the one door through which PT move: `commands` go in, transfers and outcomes come out.

Amounts are integer micro-PT throughout, times are aware UTC. A wallet is one account's balance in one
unit; every PT in it belongs to a lot. A transfer is one immutable row: a positive amount from a debit
side to a credit side, with the balance after it, so the journal is balanced by construction.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from .checks import check_name
from .rates import PLAIN

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from .admission import Limited
    from .prices import Price
    from .pt import Money
    from .rates import Workload
    from .usage import Usage


class Side(IntEnum):
    """Where PT can be; a transfer moves them from one side to another."""

    AVAILABLE = 1
    HELD = 2
    SPENT = 3
    ISSUANCE = 4
    BREAKAGE = 5
    RECEIVABLE = 6
    ADJUSTMENT = 7
    FROZEN = 8


class Kind(IntEnum):
    """What a transfer records."""

    GRANT = 1
    HOLD = 2
    SETTLE = 3
    VOID = 4
    EXPIRE = 5
    DEBIT = 6
    LAPSE = 7
    ADVANCE = 8
    REPAY = 9
    ADJUST_UP = 10
    ADJUST_DOWN = 11
    FREEZE = 12
    UNFREEZE = 13
    REVERSE = 14
    EXTEND = 15


SIDES: Final[Mapping[Kind, tuple[Side, Side]]] = {
    Kind.GRANT: (Side.ISSUANCE, Side.AVAILABLE),
    Kind.HOLD: (Side.AVAILABLE, Side.HELD),
    Kind.SETTLE: (Side.HELD, Side.SPENT),
    Kind.VOID: (Side.HELD, Side.AVAILABLE),
    Kind.EXPIRE: (Side.HELD, Side.AVAILABLE),
    Kind.DEBIT: (Side.AVAILABLE, Side.SPENT),
    Kind.LAPSE: (Side.AVAILABLE, Side.BREAKAGE),
    Kind.ADVANCE: (Side.RECEIVABLE, Side.AVAILABLE),
    Kind.REPAY: (Side.AVAILABLE, Side.RECEIVABLE),
    Kind.ADJUST_UP: (Side.ADJUSTMENT, Side.AVAILABLE),
    Kind.ADJUST_DOWN: (Side.AVAILABLE, Side.ADJUSTMENT),
    Kind.FREEZE: (Side.AVAILABLE, Side.FROZEN),
    Kind.UNFREEZE: (Side.FROZEN, Side.AVAILABLE),
    Kind.REVERSE: (Side.AVAILABLE, Side.ISSUANCE),
    Kind.EXTEND: (Side.AVAILABLE, Side.HELD),
}
"""Each kind's debit side and credit side. A settle also returns what its hold had left over."""

SETS_ASIDE: Final = frozenset({Kind.HOLD, Kind.EXTEND})
"""A hold for a call that begins, and one that extends a call under way: both are settled, voided or expire."""


class WalletState(IntEnum):
    """Whether a wallet takes new holds and debits; settling what is held always works."""

    OPEN = 0
    FROZEN = 1
    CLOSED = 2


class Overage(StrEnum):
    """What to do when a call cost more than was held for it."""

    ALLOW = "allow"
    """Charge it: from what is available, then on credit, then as a receivable. Usage happened."""
    WITHIN_CREDIT_LIMIT = "within_credit_limit"
    """Charge it unless the account would owe more than its credit limit."""
    REJECT = "reject"
    """Refuse the settle; the hold stays open for a smaller one."""


class WalletId(NamedTuple):
    """An account's wallet in one unit."""

    account: str
    unit: str


class Allocation(NamedTuple):
    """So many micro-PT of one lot, named by its number."""

    lot: int
    amount: int


@dataclass(frozen=True, slots=True)
class Lot:
    """
    PT that came in together: what of it is free, what is held, and what is frozen while its payment is disputed.

    ``number`` is the sequence number of the transfer that brought it. Lots burn by priority (lower
    first), then by expiry (sooner first, never last), then by age. ``paid`` is what all of it sold for, in
    nano-dollars, ``None`` where rate cards say that.
    """

    number: int
    granted: int
    remaining: int
    held: int = 0
    priority: int = 50
    expires_at: datetime | None = None
    paid: int | None = None
    frozen: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """
    One account's balance in one unit, with the lots that still have something in them.

    ``owed`` is what was spent, or taken back, without PT to cover it; while something is owed nothing is available.
    ``number`` is its short name (`keys.wallet_number`); ``head`` the whole hash of the last transfer. Up to
    ``closed_until`` it is closed: it books nothing earlier.
    """

    id: WalletId
    number: int
    available: int = 0
    held: int = 0
    spent: int = 0
    owed: int = 0
    credit_limit: int = 0
    seq: int = 0
    booked_at: datetime
    head: bytes = b""
    state: WalletState = WalletState.OPEN
    closed_until: datetime | None = None
    lots: tuple[Lot, ...] = ()

    @property
    def frozen(self) -> int:
        """What is frozen, which its lots alone count."""
        return sum([lot.frozen for lot in self.lots])


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenHold:
    """
    A hold nobody has resolved yet, the lots its PT came from, and in whose tally it counts.

    One that *extends* a call which is under way counts there with its amount, and not as another call.
    """

    id: bytes
    wallet: WalletId
    number: int
    amount: int
    allocations: tuple[Allocation, ...]
    expires_at: datetime
    member: str = ""
    extends: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageEvent:
    """What a call consumed and what it cost, frozen with all it was rated by, to be rated again one day."""

    usage: Usage
    price: Price
    card_version: str
    cost: Money
    workload: Workload = PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """
    One row of the journal.

    ``seq`` counts the wallet's transfers from 1 without a gap. ``completes`` is the number of the
    transfer this one completes, each at most once: a settle, void or expire completes its hold, an
    overage its settle, a late settle the expiry, a lapse or repay nothing. ``member`` is the account in whose
    tally a hold, settle or debit counts, empty for none, ``plan`` the one it was on when it was charged, and
    ``multiple`` how many times the rate it was charged. ``paid`` is what was paid for the lot it brings, and
    ``link`` what the row keeps of its hash (`chain.link`).
    """

    id: bytes
    wallet: WalletId
    seq: int
    kind: Kind
    amount: int
    available_after: int
    held_after: int
    fingerprint: bytes
    effective_at: datetime
    booked_at: datetime
    allocations: tuple[Allocation, ...] = ()
    completes: int | None = None
    expires_at: datetime | None = None
    priority: int | None = None
    note: str = ""
    usage: UsageEvent | None = None
    member: str = ""
    multiple: int = 1
    plan: str = ""
    paid: int | None = None
    frozen_after: int = 0
    link: bytes = b""


# --- outcomes ---------------------------------------------------------------------------------


class Refusal(IntEnum):
    """Why a command was refused. A refusal changes nothing."""

    INSUFFICIENT_FUNDS = 1
    NOT_OPEN = 2
    OVER_HOLD = 3
    LINKED = 4
    """Another command of its group was refused."""
    NO_WALLET = 5
    HOLD_NOT_FOUND = 6
    HOLD_NOT_PENDING = 7
    NOT_DUE = 8
    KEY_REUSED = 9
    """The same key came before with other arguments."""
    TOO_LARGE = 10
    """The wallet would hold more than it can count."""
    LIMITED = 11
    """A limit of the account that asked, or of one above it; see ``Refused.limited``."""
    NOT_PAYER = 12
    """The account that asked uses another account's PT now."""
    NOT_FROZEN = 13
    """Less of the lot is frozen than was to be given back."""
    LOT_NOT_FOUND = 14


REMEMBERED: Final = frozenset(
    {Refusal.INSUFFICIENT_FUNDS, Refusal.NOT_OPEN, Refusal.OVER_HOLD, Refusal.LINKED}
)
"""Refusals that are decisions: replayed for a day. The others are facts, looked up anew each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """
    The command was carried out: its transfer, what it charged in all, and the balance after it.

    Replayed, the balance is the one right after the transfer itself, before anything it brought about.
    """

    transfer: Transfer
    charged: int
    available: int
    held: int
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The command was refused: why, for want of PT how much there was and was needed, or by which limit."""

    reason: Refusal
    available: int = 0
    required: int = 0
    limited: Limited | None = None
    replayed: bool = False


Outcome: TypeAlias = Posted | Refused


def wallet_id(account: str, unit: str) -> WalletId:
    """
    The wallet of *account* in *unit*.

    Raises:
        InvalidArgumentError: See `check_name`.
    """
    check_name(account)
    return WalletId(account, unit)
