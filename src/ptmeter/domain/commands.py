"""
The commands that the door to the ledger takes: what is asked of a wallet, under which id.

A command is checked when it is made, so that what reaches the planner can be carried out or refused, and is
never nonsense. Amounts are integer micro-PT, times are aware UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from ..errors import InvalidArgumentError
from .checks import check_adjustment, check_amount, check_lot, check_note, check_taking
from .ledger import Overage

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from .admission import Admission, Rules
    from .ledger import UsageEvent, WalletId


@dataclass(frozen=True, slots=True, kw_only=True)
class _Command:
    """What every command carries: its wallet, its id, and the fingerprint of what was asked."""

    wallet: WalletId
    id: bytes
    fingerprint: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant(_Command):
    """Give PT, which *paid* nano-dollars were paid for: a new lot. Opens the wallet, repays what is owed."""

    amount: int
    note: str = ""
    priority: int = 50
    expires_at: datetime | None = None
    effective_at: datetime | None = None
    paid: int | None = None

    def __post_init__(self) -> None:
        check_amount(self.amount, "a grant", least=1, unit=self.wallet.unit)
        check_amount(self.paid or 0, "what was paid", least=0)
        check_lot(self.priority, self.expires_at, self.note)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(_Command):
    """
    Set PT aside for *ttl*; refused if less is available, or if a limit that *admission* falls under says no.

    One that *extends* a call which is under way says at how many times the rate that call was admitted.
    """

    amount: int
    ttl: timedelta
    admission: Admission | None = None
    extends: int | None = None

    def __post_init__(self) -> None:
        check_amount(self.amount, "a hold", least=1, unit=self.wallet.unit)
        if self.ttl.total_seconds() <= 0:
            msg = "a hold needs time: ttl must be positive"
            raise InvalidArgumentError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settle(_Command):
    """Charge a hold's real cost, *multiple* times the rate; the rest becomes available again. Zero voids it."""

    hold_id: bytes
    amount: int
    usage: UsageEvent | None = None
    overage: Overage = Overage.ALLOW
    effective_at: datetime | None = None
    multiple: int = 1
    rules: Rules | None = None

    def __post_init__(self) -> None:
        check_amount(self.amount, "a settle", least=0, unit=self.wallet.unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Void(_Command):
    """Give a whole hold back: the call failed."""

    hold_id: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Expire(_Command):
    """Give a hold back because its time is over; refused before that."""

    hold_id: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Debit(_Command):
    """Charge at once, without a hold; refused if less is available, unless *overage* allows it."""

    amount: int
    overage: Overage = Overage.REJECT
    usage: UsageEvent | None = None
    note: str = ""
    effective_at: datetime | None = None
    admission: Admission | None = None

    def __post_init__(self) -> None:
        check_amount(self.amount, "a debit", least=1, unit=self.wallet.unit)
        check_note(self.note)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjust(_Command):
    """Correct a wallet by a signed amount; *usage* has no tokens: by what the call that it corrects is rated."""

    amount: int
    note: str
    priority: int = 50
    expires_at: datetime | None = None
    effective_at: datetime | None = None
    usage: UsageEvent | None = None
    plan: str = ""
    lot: int | None = None
    """To take from that lot alone, as far as it goes; refused if nothing is free in it."""

    def __post_init__(self) -> None:
        check_adjustment(self.amount, self.note, self.lot)
        check_lot(self.priority, self.expires_at, self.note)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lapse(_Command):
    """Move what the wallet's expired lots have left to breakage; refused while there is nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LotCommand(_Command):
    """What every command on one lot, named by its number, carries besides: how much, and why."""

    lot: int
    amount: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze(LotCommand):
    """Set up to *amount* of what is free in a lot aside, while its payment is disputed; refused if nothing is free."""

    def __post_init__(self) -> None:
        check_taking(self.amount, self.note, "a freeze")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfreeze(LotCommand):
    """Give back *amount* of what is frozen of a lot; refused if less is."""

    def __post_init__(self) -> None:
        check_taking(self.amount, self.note, "an unfreeze")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverse(LotCommand):
    """
    Take *amount* of a lot back: its payment was refunded. What is not free in it any more will be owed.

    *frozen* of it are frozen, and taken from there first; refused if fewer are, and never for want of funds.
    """

    frozen: int = 0

    def __post_init__(self) -> None:
        check_taking(self.amount, self.note, "a reversal")
        if type(self.frozen) is not int or not 0 <= self.frozen <= self.amount:
            msg = f"of a reversal of {self.amount} micro-PT {self.frozen!r} cannot be frozen"
            raise InvalidArgumentError(msg)


Command: TypeAlias = (
    Grant | Hold | Settle | Void | Expire | Debit | Adjust | Lapse | Freeze | Unfreeze | Reverse
)

Linked: TypeAlias = tuple[Command, ...]
"""Commands that succeed or fail together. A single command is a group of one."""
