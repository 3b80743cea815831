"""What the meter's verbs return: frozen values, amounts as `PT` by unit, times in UTC."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from .ledger import Kind
from .lots import has_lapsed
from .pt import PT
from .rerating import call_of
from .usage import Quality

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from .estimates import Estimate
    from .ledger import Transfer, Wallet
    from .prices import Processing
    from .pt import Money
    from .rates import Charge
    from .usage import Usage

NO_PT = PT(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitBalance:
    """
    One account's balance in one unit.

    ``owed`` is what was spent, or taken back, beyond the PT there were; while it is not zero, nothing is available.
    ``frozen`` is what is set aside because the payment for it is disputed. ``expiring`` are lots that lapse,
    soonest first.
    """

    available: PT = NO_PT
    held: PT = NO_PT
    spent: PT = NO_PT
    owed: PT = NO_PT
    frozen: PT = NO_PT
    expiring: tuple[tuple[datetime, PT], ...] = ()


@dataclass(frozen=True, slots=True)
class Balance:
    """An account's balances by unit: ``balance["core"].available`` or ``balance.core.available``."""

    account: str
    units: Mapping[str, UnitBalance]

    def __getitem__(self, unit: str) -> UnitBalance:
        return self.units.get(unit, _NOTHING)

    def __getattr__(self, unit: str) -> UnitBalance:
        if unit.startswith("_"):
            raise AttributeError(unit)
        return self[unit]

    def __str__(self) -> str:
        parts = [f"{b.available} {u} available, {b.held} held" for u, b in sorted(self.units.items())]
        return f"{self.account}: {'; '.join(parts) or 'nothing yet'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """
    PT set aside under a key. The account and the key are all that is needed to find it again.

    ``available`` is what the wallets have left after it. They are those of ``payer``: the account itself, or
    the one whose PT it uses. ``multiples`` say how many times the rate the call is charged, by unit.
    """

    account: str
    key: str
    amounts: Mapping[str, PT]
    expires_at: datetime
    available: Mapping[str, PT] = field(default_factory=dict[str, PT])
    payer: str = ""
    multiples: Mapping[str, int] = field(default_factory=dict[str, int])
    replayed: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "payer", self.payer or self.account)


class OpenHolds(NamedTuple):
    """How many holds nobody has resolved, of all accounts, and when the first of them is due, as of ``at``."""

    open: int
    first_due_at: datetime | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """
    What a settled call took: held, charged, and what is available after it, by unit.

    ``charge`` says by which price and rate card, ``usage`` what was consumed; both are absent when a hold
    was settled by an amount of one's own. ``warnings`` are for people to read.
    """

    account: str
    key: str
    charged: Mapping[str, PT]
    held: Mapping[str, PT]
    available: Mapping[str, PT]
    booked_at: datetime
    charge: Charge | None = None
    usage: Usage | None = None
    estimate: Estimate | None = None
    warnings: tuple[str, ...] = ()
    replayed: bool = False

    def __str__(self) -> str:
        charged = ", ".join(f"{amount} {unit}" for unit, amount in self.charged.items())
        left = ", ".join(f"{amount} {unit}" for unit, amount in self.available.items())
        notes = "".join(f"; {warning}" for warning in self.warnings)
        return f"charged {charged}; {left} available{notes}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """PT given: how much by unit, and what is available after it."""

    account: str
    key: str
    amounts: Mapping[str, PT]
    available: Mapping[str, PT]
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """
    PT of one lot frozen, given back or taken back: how much, and what is available after it.

    ``of_lot`` is what of it was in the lot: less than ``amount`` only where more was taken back than was left,
    which is owed, or was repaid from other lots.
    """

    account: str
    key: str
    unit: str
    lot: int
    amount: PT
    of_lot: PT
    available: PT
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    One line of an account's statement: a transfer, in PT, with the balance after it.

    ``processing`` is how a call was processed, at whose price it was charged. ``member`` is who made it, if that is
    not the account itself but one below that uses its PT.
    """

    unit: str
    number: int
    kind: str
    amount: PT
    available_after: PT
    held_after: PT
    frozen_after: PT
    booked_at: datetime
    effective_at: datetime
    completes: int | None
    lots: Mapping[int, PT]
    note: str
    model: str | None
    usage: Usage | None
    cost: Money | None
    processing: Processing | None
    member: str
    id: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines of a statement, and where to go on: ``after`` is ``None`` on the last page."""

    entries: tuple[Entry, ...]
    after: str | None


_NOTHING = UnitBalance()


def unit_balance(wallet: Wallet, at: datetime) -> UnitBalance:
    """The wallet's balance at *at*: what expired since its last transfer is not available."""
    lapsed = sum(lot.remaining for lot in wallet.lots if has_lapsed(lot, at))
    expiring = sorted(
        (lot.expires_at, PT(lot.remaining))
        for lot in wallet.lots
        if lot.expires_at and lot.remaining and not has_lapsed(lot, at)
    )
    return UnitBalance(
        available=PT(wallet.available - lapsed),
        held=PT(wallet.held),
        spent=PT(wallet.spent),
        owed=PT(wallet.owed),
        frozen=PT(wallet.frozen),
        expiring=tuple(expiring),
    )


def entry(transfer: Transfer) -> Entry:
    """A transfer as a line of a statement."""
    event = call_of(transfer)
    return Entry(
        unit=transfer.wallet.unit,
        number=transfer.seq,
        kind=transfer.kind.name.lower(),
        amount=PT(transfer.amount),
        available_after=PT(transfer.available_after),
        held_after=PT(transfer.held_after),
        frozen_after=PT(transfer.frozen_after),
        booked_at=transfer.booked_at,
        effective_at=transfer.effective_at,
        completes=transfer.completes,
        lots={lot: PT(amount) for lot, amount in transfer.allocations},
        note=transfer.note,
        model=event.price.model if event else None,
        usage=event.usage if event else None,
        cost=event.cost if event else None,
        processing=event.workload.processing if event else None,
        member="" if transfer.member == transfer.wallet.account else transfer.member,
        id=transfer.id.hex(),
    )


def warnings(transfers: tuple[Transfer, ...], usage: Usage | None) -> tuple[str, ...]:
    """What a reader of the receipt should know about how the charge came about."""
    found: list[str] = []
    if any(t.kind is Kind.DEBIT and t.completes for t in transfers):
        found.append("the hold had expired: the call was charged late, from what was available")
    if multiples := sorted({t.multiple for t in transfers if t.multiple > 1}):
        found.append(f"beyond the hard cap: charged at {multiples[-1]} times the rate")
    if usage is not None and usage.quality is Quality.PARTIAL_ESTIMATED:
        found.append(
            "the provider reported no usable usage: tokens were counted here and may be corrected later"
        )
    return tuple(found)
