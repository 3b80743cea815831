"""
The moves a ledger command is made of: bring PT in, take them out, open and close holds.

`Moves` is a batch's working state. Every move writes one row and the balance after it, and everything
since the last `commit` can be taken back to the letter.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypedDict

from . import chain
from .keys import transfer_id
from .ledger import Kind, Lot, OpenHold, Transfer
from .lots import has_lapsed, pick, shift, split
from .tallying import Tallying

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from typing_extensions import Unpack

    from .accounts import Account
    from .admission import Admission, Rules
    from .ledger import Allocation, UsageEvent, Wallet, WalletId
    from .top_ups import TopUp

NO_REQUEST: Final = bytes(8)
"""The fingerprint of a transfer that nobody asked for: it follows from another, or from the time."""

ADVANCE_PRIORITY: Final = 1_000
"""Credit burns after everything an account was given."""

_TICK: Final = timedelta(microseconds=1)
_ABSENT: Final = object()


class Request(NamedTuple):
    """The id a transfer is recorded under, and the fingerprint of what was asked."""

    id: bytes
    fingerprint: bytes


class Details(TypedDict, total=False):
    """What a command may say about its transfer."""

    effective_at: datetime | None
    expires_at: datetime | None
    note: str
    usage: UsageEvent | None
    member: str
    multiple: int
    plan: str
    paid: int | None


class Balances(TypedDict, total=False):
    """What a move changes of a wallet."""

    available: int
    held: int
    spent: int
    owed: int
    lots: tuple[Lot, ...]


class Resolved(NamedTuple):
    """A hold no longer open: how it was resolved, by which transfer, and whether that was completed."""

    wallet: WalletId
    kind: Kind
    seq: int
    completed: bool
    member: str


class Moves:
    """The wallets, holds and new rows of a batch, as its commands leave them one after the other."""

    def __init__(
        self,
        wallets: Mapping[WalletId, Wallet],
        holds: Mapping[bytes, OpenHold],
        resolved: Mapping[bytes, Resolved],
        *,
        at: datetime,
        chain_key: bytes,
        accounts: Mapping[str, Account],
        top_ups: Mapping[str, Sequence[TopUp]],
    ) -> None:
        self.at = at
        self.wallets = dict(wallets)
        self.holds: dict[bytes, OpenHold | None] = dict(holds)
        self.resolved = dict(resolved)
        self.transfers: list[Transfer] = []
        self.tallies = Tallying(accounts, top_ups, put=self._put)
        self._chain_key = chain_key
        self._committed = 0
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []

    def commit(self) -> list[Transfer]:
        """Keep what was done so far; returns the rows that are new."""
        self._undo.clear()
        new = self.transfers[self._committed :]
        self._committed = len(self.transfers)
        return new

    def roll_back(self) -> None:
        """Take back everything since the last commit."""
        for table, name, before in reversed(self._undo):
            if before is _ABSENT:
                del table[name]
            else:
                table[name] = before
        self._undo.clear()
        del self.transfers[self._committed :]

    # --- holds ---

    def open_hold(
        self,
        wallet: Wallet,
        amount: int,
        request: Request,
        ttl: timedelta,
        *,
        admission: Admission | None,
        multiple: int,
        extends: bool,
    ) -> Transfer:
        """Set *amount* of what is available aside until *ttl* has passed, and count it where *admission* says."""
        member = admission.account if admission else ""
        allocations = pick(wallet.lots, amount)
        expires_at = self._booking_time(wallet, member) + ttl
        transfer = self._append(
            wallet,
            Balances(
                available=wallet.available - amount,
                held=wallet.held + amount,
                lots=shift(wallet.lots, allocations, remaining=-1, held=1),
            ),
            Kind.EXTEND if extends else Kind.HOLD,
            amount,
            request,
            allocations=allocations,
            expires_at=expires_at,
            member=member,
            multiple=multiple,
        )
        hold = OpenHold(
            id=request.id,
            wallet=wallet.id,
            number=transfer.seq,
            amount=amount,
            allocations=allocations,
            expires_at=expires_at,
            member=member,
            extends=extends,
        )
        self._put(self.holds, request.id, hold)
        if admission:
            self.tallies.hold(transfer, admission)
        return transfer

    def close_hold(
        self,
        hold: OpenHold,
        kind: Kind,
        spent: int,
        request: Request,
        *,
        rules: Rules | None = None,
        **details: Unpack[Details],
    ) -> Transfer:
        """Resolve *hold*: *spent* of it is used up, the rest goes back to the lots it came from."""
        wallet = self.wallets[hold.wallet]
        used, rest = split(hold.allocations, spent)
        details["member"] = hold.member if spent else ""
        if hold.member and (spent or details.get("usage")):
            details["plan"] = self.tallies.plan(hold.member)
        transfer = self._append(
            wallet,
            Balances(
                available=wallet.available + hold.amount - spent,
                held=wallet.held - hold.amount,
                spent=wallet.spent + spent,
                lots=shift(shift(wallet.lots, used, held=-1), rest, remaining=1, held=-1),
            ),
            kind,
            spent or hold.amount,
            request,
            allocations=used or rest,
            completes=hold.number,
            **details,
        )
        self._put(self.holds, hold.id, None)
        resolved = Resolved(hold.wallet, kind, transfer.seq, completed=False, member=hold.member)
        self._put(self.resolved, hold.id, resolved)
        if hold.member:
            self.tallies.release(hold, transfer.booked_at)
            self._count(wallet, transfer, rules)
        self.lapse_due(hold.wallet)
        self.repay(hold.wallet)
        return transfer

    def complete(self, hold_id: bytes, resolved: Resolved) -> None:
        """Note that the resolution of a hold has been completed; it can be so once."""
        self._put(self.resolved, hold_id, resolved._replace(completed=True))

    def expire_due(self, name: WalletId) -> None:
        """Give back the holds of a wallet whose time is over."""
        due = [h for h in self.holds.values() if h and h.wallet == name and h.expires_at <= self.at]
        for hold in sorted(due, key=lambda hold: hold.number):
            self.close_hold(hold, Kind.EXPIRE, 0, expiry(hold))

    # --- lots ---

    def bring_in(
        self,
        wallet: Wallet,
        kind: Kind,
        amount: int,
        request: Request,
        *,
        priority: int,
        **details: Unpack[Details],
    ) -> Transfer:
        """Add a lot."""
        expires_at, paid = details.get("expires_at"), details.get("paid")
        lot = Lot(wallet.seq + 1, amount, amount, priority=priority, expires_at=expires_at, paid=paid)
        grown = Balances(available=wallet.available + amount, lots=(*wallet.lots, lot))
        return self._append(wallet, grown, kind, amount, request, priority=priority, **details)

    def take_out(
        self,
        wallet: Wallet,
        kind: Kind,
        amount: int,
        request: Request,
        *,
        lots: Iterable[Lot] | None = None,
        completes: int | None = None,
        rules: Rules | None = None,
        **details: Unpack[Details],
    ) -> Transfer:
        """Use up *amount* of what is free in *lots* (all of the wallet's, unless said), in burn order."""
        allocations = pick(wallet.lots if lots is None else lots, amount)
        if member := details.get("member"):
            details["plan"] = self.tallies.plan(member)
        left = Balances(
            available=wallet.available - amount,
            spent=wallet.spent + (amount if kind is Kind.DEBIT else 0),
            lots=shift(wallet.lots, allocations, remaining=-1),
        )
        transfer = self._append(
            wallet, left, kind, amount, request, allocations=allocations, completes=completes, **details
        )
        self._count(wallet, transfer, rules)
        return transfer

    def free_lots(
        self, name: WalletId, number: int | None, amount: int
    ) -> tuple[tuple[Lot, ...] | None, int]:
        """Where *amount* is to be taken from, and how much that is: all of it, of any lot, unless one is named."""
        if number is None:
            return None, amount
        lots = tuple(lot for lot in self.wallets[name].lots if lot.number == number)
        if sum(lot.remaining for lot in lots) < amount:
            self.expire_due(name)
            lots = tuple(lot for lot in self.wallets[name].lots if lot.number == number)
        return lots, min(amount, sum(lot.remaining for lot in lots))

    def freeze(
        self, wallet: Wallet, kind: Kind, part: Allocation, request: Request, **details: Unpack[Details]
    ) -> Transfer:
        """Have so much of a lot frozen that was free, or with `Kind.UNFREEZE` free that was frozen."""
        sign = -1 if kind is Kind.FREEZE else 1
        moved = Balances(
            available=wallet.available + sign * part.amount,
            lots=shift(wallet.lots, (part,), remaining=sign, frozen=-sign),
        )
        return self._append(wallet, moved, kind, part.amount, request, allocations=(part,), **details)

    def advance(self, wallet: Wallet, amount: int) -> Wallet:
        """Lend *amount*: a lot like any other, and as much owed."""
        owing = replace(wallet, owed=wallet.owed + amount)
        request = follows(wallet, "#advance")
        self.bring_in(owing, Kind.ADVANCE, amount, request, priority=ADVANCE_PRIORITY)
        return self.wallets[wallet.id]

    def repay(self, name: WalletId) -> None:
        """Pay what is owed from what has become available."""
        wallet = self.wallets[name]
        if amount := min(wallet.owed, wallet.available):
            owing = replace(wallet, owed=wallet.owed - amount)
            self.take_out(owing, Kind.REPAY, amount, follows(wallet, "#repay"))

    def lapse_due(self, name: WalletId) -> Transfer | None:
        """Move what expired lots have left to breakage; what is held of them follows once released."""
        transfer = None
        for lot in self.wallets[name].lots:
            if lot.remaining and has_lapsed(lot, self.at):
                wallet = self.wallets[name]
                request = follows(wallet, "#lapse")
                transfer = self.take_out(wallet, Kind.LAPSE, lot.remaining, request, lots=(lot,))
        return transfer

    # --- rows ---

    def _append(
        self,
        wallet: Wallet,
        after: Balances,
        kind: Kind,
        amount: int,
        request: Request,
        *,
        allocations: tuple[Allocation, ...] = (),
        completes: int | None = None,
        priority: int | None = None,
        **details: Unpack[Details],
    ) -> Transfer:
        """Write the next row of a wallet, after which it is as *after* says."""
        booked_at = self._booking_time(wallet, details.get("member", ""))
        row: dict[str, Any] = {
            "id": request.id,
            "wallet": wallet.id,
            "seq": wallet.seq + 1,
            "kind": kind,
            "amount": amount,
            "available_after": after.get("available", wallet.available),
            "held_after": after.get("held", wallet.held),
            "fingerprint": request.fingerprint,
            "effective_at": details.get("effective_at") or booked_at,
            "booked_at": booked_at,
            "allocations": allocations,
            "completes": completes,
            "expires_at": details.get("expires_at"),
            "priority": priority,
            "note": details.get("note", ""),
            "usage": details.get("usage"),
            "member": details.get("member", ""),
            "multiple": details.get("multiple", 1),
            "plan": details.get("plan", ""),
            "paid": details.get("paid"),
            "frozen_after": sum([lot.frozen for lot in after.get("lots", wallet.lots)]),
        }
        head = chain.successor(Transfer(**row), wallet.head, self._chain_key)
        transfer = Transfer(**row, link=chain.link(head))
        self.transfers.append(transfer)
        booked = replace(wallet, **after, seq=transfer.seq, booked_at=booked_at, head=head)
        self._put(self.wallets, wallet.id, booked)
        return transfer

    def _count(self, before: Wallet, transfer: Transfer, rules: Rules | None) -> None:
        """Count what was charged in the tallies of who asked for it, if it says who did."""
        if transfer.member:
            self.tallies.use(before, self.wallets[before.id], transfer, rules)

    def _booking_time(self, wallet: Wallet, member: str) -> datetime:
        """
        The time, but never before what the wallet has booked, or the tallies of a member have counted.

        Clocks step, journals do not; and who waits for an account above has read the clock before those that went
        first, and is counted after them.
        """
        booked = max(self.at, wallet.booked_at + _TICK)
        return max(booked, self.tallies.latest(member)) if member else booked

    def _put(self, table: dict[Any, Any], name: object, value: object) -> None:
        self._undo.append((table, name, table.get(name, _ABSENT)))
        table[name] = value


def expiry(hold: OpenHold) -> Request:
    """The request under which *hold* expires, whether a sweep or a shortage of funds brings it about."""
    return Request(transfer_id(hold.wallet.account, "expire", hold.id.hex()), NO_REQUEST)


def follows(wallet: Wallet, what: str) -> Request:
    """The request of a row that follows from another: its place in the journal."""
    place = transfer_id(wallet.id.account, what, wallet.id.unit, str(wallet.seq + 1))
    return Request(place, NO_REQUEST)
