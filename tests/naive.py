"""
The ledger once more, as naively as can be: a list of rows, and everything else counted anew from it.

Written from the rules of the door, not from the planner, by somebody who did not write the planner. It
shares the vocabulary with it (commands, transfers, outcomes) and no decision. There is no balance to keep
right, no undo and no cache: what is available is summed from the first row on, whenever it is asked for,
and a group that is refused was carried out on a copy that is thrown away.

Rows that nobody asked for (lapses, advances, repayments, the charge of an overage) have no id here, and no
row has a hash: the first are the planner's own business, the second the audit's.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ptmeter.domain.commands import (
    Adjust,
    Debit,
    Expire,
    Freeze,
    Grant,
    Hold,
    Lapse,
    Reverse,
    Settle,
    Unfreeze,
    Void,
)
from ptmeter.domain.keys import transfer_id
from ptmeter.domain.ledger import Allocation, Kind, Overage, Posted, Refusal, Refused, Transfer, WalletState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ptmeter.domain.commands import Command, Linked
    from ptmeter.domain.ledger import Outcome, WalletId

NOBODY = bytes(8)
NO_ID = b""
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
FAR = datetime.max.replace(tzinfo=UTC)

COMES_IN = (Kind.GRANT, Kind.ADVANCE, Kind.ADJUST_UP)
SETS_ASIDE = (Kind.HOLD, Kind.EXTEND)
MOVES_WITHIN = (*COMES_IN, *SETS_ASIDE, Kind.VOID, Kind.EXPIRE, Kind.FREEZE, Kind.UNFREEZE)
ENDS_A_HOLD = (Kind.SETTLE, Kind.VOID, Kind.EXPIRE)
DECISIONS = (Refusal.INSUFFICIENT_FUNDS, Refusal.NOT_OPEN, Refusal.OVER_HOLD, Refusal.LINKED)

Charge: TypeAlias = "Hold | Debit | Adjust | Settle"


@dataclass
class Pile:
    """A lot: what is free in it, what is held or frozen, and its place in the burn order."""

    number: int
    priority: int
    expires_at: datetime | None
    free: int
    held: int = 0
    frozen: int = 0

    def place(self) -> tuple[int, datetime, int]:
        return self.priority, self.expires_at or FAR, self.number

    def is_over(self, at: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= at


@dataclass(frozen=True)
class Terms:
    """What a wallet has beside its rows."""

    opened_at: datetime
    credit_limit: int = 0
    state: WalletState = WalletState.OPEN


class Answer(NamedTuple):
    """What was asked under an id, what was answered first, and when."""

    fingerprint: bytes
    outcome: Outcome
    at: datetime


class _NoError(Exception):
    def __init__(self, reason: Refusal, available: int = 0, required: int = 0) -> None:
        self.refused = Refused(reason=reason, available=available, required=required)


@dataclass
class NaiveLedger:
    """Rows in the order they were written, the wallets' terms, and what was answered to whom."""

    rows: list[Transfer] = field(default_factory=list[Transfer])
    terms: dict[WalletId, Terms] = field(default_factory=dict["WalletId", Terms])
    answers: dict[bytes, Answer] = field(default_factory=dict[bytes, Answer])
    at: datetime = FAR

    def open(self, wallet: WalletId, at: datetime) -> None:
        self.terms.setdefault(wallet, Terms(at))

    def post(self, group: Linked, at: datetime) -> tuple[Outcome, ...]:
        """One linked group: all of it, or none of it."""
        before = [self._answered(command, at) for command in group]
        twice = len({command.id for command in group}) < len(group)
        if any(before) or twice:
            same = not twice and all(
                a and a.fingerprint == c.fingerprint for a, c in zip(before, group, strict=True)
            )
            if not same:
                return tuple(Refused(reason=Refusal.KEY_REUSED) for _ in group)
            return tuple(replace(a.outcome, replayed=True) for a in before if a)
        attempt = NaiveLedger(list(self.rows), self.terms, dict(self.answers), at)
        outcomes: list[Outcome] = []
        try:
            for command in group:
                outcomes += [attempt._carry_out(command)]
        except _NoError as no:
            failed = len(outcomes)
            linked = Refused(reason=Refusal.LINKED)
            outcomes = [no.refused if i == failed else linked for i in range(len(group))]
            if no.refused.reason not in DECISIONS or any(c.wallet not in self.terms for c in group):
                return tuple(outcomes)
        else:
            self.rows, self.answers = attempt.rows, attempt.answers
        for command, outcome in zip(group, outcomes, strict=True):
            if not isinstance(command, Lapse):  # whoever sweeps again asks again
                self.answers[command.id] = Answer(command.fingerprint, outcome, at)
        return tuple(outcomes)

    def _answered(self, command: Command, at: datetime) -> Answer | None:
        answer = self.answers.get(command.id)
        if answer and isinstance(answer.outcome, Refused) and at >= answer.at + DAY:
            return None
        return answer

    # --- what can be counted ---

    def of(self, wallet: WalletId) -> list[Transfer]:
        return [row for row in self.rows if row.wallet == wallet]

    def lots(self, wallet: WalletId) -> list[Pile]:
        """What every lot still has, in burn order, by going through all rows."""
        lots: dict[int, Pile] = {}
        rows = self.of(wallet)
        for row in rows:
            if row.kind in COMES_IN:
                lots[row.seq] = Pile(row.seq, row.priority or 0, row.expires_at, row.amount)
            elif row.kind in SETS_ASIDE:
                for number, part in row.allocations:
                    lots[number].free -= part
                    lots[number].held += part
            elif row.kind in ENDS_A_HOLD:
                for number, part in rows[(row.completes or 0) - 1].allocations:
                    lots[number].held -= part
                    lots[number].free += part
            elif row.kind in (Kind.FREEZE, Kind.UNFREEZE):
                [(number, part)] = row.allocations
                thawed = part if row.kind is Kind.UNFREEZE else -part
                lots[number].free += thawed
                lots[number].frozen -= thawed
            if row.kind not in MOVES_WITHIN:
                for number, part in row.allocations:
                    lots[number].free -= part
        return sorted(lots.values(), key=Pile.place)

    def available(self, wallet: WalletId) -> int:
        return sum(lot.free for lot in self.lots(wallet))

    def held(self, wallet: WalletId) -> int:
        return sum(lot.held for lot in self.lots(wallet))

    def frozen(self, wallet: WalletId) -> int:
        return sum(lot.frozen for lot in self.lots(wallet))

    def spent(self, wallet: WalletId) -> int:
        return self._sum(wallet, Kind.SETTLE, Kind.DEBIT)

    def owed(self, wallet: WalletId) -> int:
        return self._sum(wallet, Kind.ADVANCE) - self._sum(wallet, Kind.REPAY)

    def holds(self, wallet: WalletId) -> list[Transfer]:
        return [row for row in self.of(wallet) if row.kind in SETS_ASIDE]

    def open_holds(self, wallet: WalletId) -> list[Transfer]:
        return [row for row in self.holds(wallet) if self.end_of(row) is None]

    def end_of(self, hold: Transfer) -> Transfer | None:
        ends = (row for row in self.of(hold.wallet) if row.kind in ENDS_A_HOLD)
        return next((row for row in ends if row.completes == hold.seq), None)

    def _sum(self, wallet: WalletId, *kinds: Kind) -> int:
        return sum(row.amount for row in self.of(wallet) if row.kind in kinds)

    # --- the commands ---

    def _carry_out(self, command: Command) -> Posted:
        if command.wallet not in self.terms:
            raise _NoError(Refusal.NO_WALLET)
        lapsed = self._lapse(command.wallet)
        charged = 0
        if isinstance(command, Grant):
            row = self._give(command, Kind.GRANT, command.amount, effective_at=command.effective_at)
        elif isinstance(command, Adjust) and command.amount > 0:
            row = self._give(command, Kind.ADJUST_UP, command.amount, paid=0)
        elif isinstance(command, Adjust) and command.lot is not None:
            row = self._take_of_lot(command)
        elif isinstance(command, Adjust):
            self._cover(command, -command.amount, limit=0)
            row = self._take(command, Kind.ADJUST_DOWN, -command.amount, note=command.note)
        elif isinstance(command, Hold):
            row = self._hold(command)
        elif isinstance(command, Debit):
            row, charged = self._debit(command), command.amount
        elif isinstance(command, Settle):
            row, charged = self._settle(command), command.amount
        elif isinstance(command, Void | Expire):
            row = self._give_back(command)
        elif isinstance(command, Freeze | Unfreeze | Reverse):
            row = self._of_lot(command)
        else:
            row = lapsed or self._refuse(Refusal.NOT_DUE)
        available, held = self.available(row.wallet), self.held(row.wallet)
        return Posted(transfer=row, charged=charged, available=available, held=held)

    def _give(self, command: Grant | Adjust, kind: Kind, amount: int, **more: Any) -> Transfer:
        if self.terms[command.wallet].state is WalletState.CLOSED:
            raise _NoError(Refusal.NOT_OPEN)
        self._must_fit(command.wallet, amount)
        more |= {"priority": command.priority, "expires_at": command.expires_at, "note": command.note}
        row = self._book(command.wallet, kind, amount, command, **more)
        self._afterwards(command.wallet)
        return row

    def _hold(self, command: Hold) -> Transfer:
        self._must_be_open(command.wallet)
        self._cover(command, command.amount, self.terms[command.wallet].credit_limit)
        expires_at = self._booking_time(command.wallet) + command.ttl
        kind = Kind.EXTEND if command.extends else Kind.HOLD
        return self._take(command, kind, command.amount, expires_at=expires_at)

    def _debit(self, command: Debit) -> Transfer:
        self._must_be_open(command.wallet)
        self._cover(command, command.amount, self._limit(command))
        more = {"note": command.note, "usage": command.usage, "effective_at": command.effective_at}
        return self._take(command, Kind.DEBIT, command.amount, **more)

    def _settle(self, command: Settle) -> Transfer:
        hold = self._find(command)
        end = self.end_of(hold)
        if end is not None:
            return self._settle_late(command, end)
        over = command.amount - hold.amount
        if over > 0 and command.overage is Overage.REJECT:
            raise _NoError(Refusal.OVER_HOLD, available=hold.amount, required=command.amount)
        row = self._end(hold, Kind.SETTLE, min(command.amount, hold.amount), command)
        if over > 0:
            self._cover(command, over, self._limit(command))
            parts = self._pick(command.wallet, over)
            more: dict[str, Any] = {"completes": row.seq, "effective_at": command.effective_at}
            self._book(command.wallet, Kind.DEBIT, over, None, allocations=parts, **more)
        return row

    def _settle_late(self, command: Settle, end: Transfer) -> Transfer:
        completed = any(row.completes == end.seq for row in self.of(command.wallet))
        if end.kind is not Kind.EXPIRE or completed or not command.amount:
            raise _NoError(Refusal.HOLD_NOT_PENDING)
        self._cover(command, command.amount, self._limit(command))
        more = {"completes": end.seq, "usage": command.usage, "effective_at": command.effective_at}
        return self._take(command, Kind.DEBIT, command.amount, **more)

    def _give_back(self, command: Void | Expire) -> Transfer:
        hold = self._find(command)
        if self.end_of(hold):
            raise _NoError(Refusal.HOLD_NOT_PENDING)
        if isinstance(command, Void):
            return self._end(hold, Kind.VOID, 0, command)
        if hold.expires_at and self.at < hold.expires_at:
            raise _NoError(Refusal.NOT_DUE)
        return self._end(hold, Kind.EXPIRE, 0, command)

    def _find(self, command: Settle | Void | Expire) -> Transfer:
        theirs = (hold for hold in self.holds(command.wallet) if hold.id == command.hold_id)
        return next(theirs, None) or self._refuse(Refusal.HOLD_NOT_FOUND)

    def _must_be_open(self, wallet: WalletId) -> None:
        if self.terms[wallet].state is not WalletState.OPEN:
            raise _NoError(Refusal.NOT_OPEN)

    def _must_fit(self, wallet: WalletId, amount: int) -> None:
        """What comes in must not make the wallet count beyond 2**62."""
        there = self.available(wallet) + self.held(wallet) + self.frozen(wallet)
        if there + self.spent(wallet) + amount >= 2**62:
            raise _NoError(Refusal.TOO_LARGE)

    def _lend(self, wallet: WalletId, amount: int) -> Transfer:
        """What is lent must not make the wallet owe beyond 2**62 either."""
        self._must_fit(wallet, amount)
        if self.owed(wallet) + amount >= 2**62:
            raise _NoError(Refusal.TOO_LARGE)
        return self._book(wallet, Kind.ADVANCE, amount, None, priority=1_000)

    def _limit(self, command: Settle | Debit) -> int | None:
        return None if command.overage is Overage.ALLOW else self.terms[command.wallet].credit_limit

    def _refuse(self, reason: Refusal) -> Transfer:
        raise _NoError(reason)

    # --- what is done to one lot ---

    def _of_lot(self, command: Freeze | Unfreeze | Reverse) -> Transfer:
        if all(lot.number != command.lot for lot in self.lots(command.wallet)):
            raise _NoError(Refusal.LOT_NOT_FOUND)
        if isinstance(command, Freeze):
            parts = self._free_of(command, command.amount)
            if not parts:
                raise _NoError(Refusal.INSUFFICIENT_FUNDS, required=command.amount)
            return self._book_of(command, Kind.FREEZE, parts)
        if isinstance(command, Unfreeze):
            row = self._unfreeze(command, command.amount, command)
            self._afterwards(command.wallet)
            return row
        return self._reverse(command)

    def _reverse(self, command: Reverse) -> Transfer:
        """What is frozen of it, then what is free in the lot, then what is lent: all of it, whatever there is."""
        self._free_of(command, command.amount - command.frozen)  # holds that are over come back first
        if command.frozen:
            self._unfreeze(command, command.frozen, None)
        [lot] = [lot for lot in self.lots(command.wallet) if lot.number == command.lot]
        own = min(lot.free, command.amount)
        parts = [Allocation(lot.number, own)] if own else []
        if command.amount > own:
            lent = self._lend(command.wallet, command.amount - own)
            parts.append(Allocation(lent.seq, lent.amount))
        row = self._book_of(command, Kind.REVERSE, tuple(parts))
        self._afterwards(command.wallet)
        return row

    def _unfreeze(self, command: Unfreeze | Reverse, amount: int, asked: Command | None) -> Transfer:
        [frozen] = [lot.frozen for lot in self.lots(command.wallet) if lot.number == command.lot]
        if amount > frozen:
            raise _NoError(Refusal.NOT_FROZEN, frozen, amount)
        parts = (Allocation(command.lot, amount),)
        more = {"note": command.note, "allocations": parts}
        return self._book(command.wallet, Kind.UNFREEZE, amount, asked, **more)

    def _book_of(self, command: Freeze | Reverse, kind: Kind, parts: tuple[Allocation, ...]) -> Transfer:
        amount = sum(part.amount for part in parts)
        return self._book(command.wallet, kind, amount, command, note=command.note, allocations=parts)

    def _free_of(self, command: Adjust | Freeze | Reverse, amount: int) -> tuple[Allocation, ...]:
        """What is free in the lot, up to *amount*; holds that are over give back what they have of it."""

        def free() -> int:
            return sum(pile.free for pile in self.lots(command.wallet) if pile.number == command.lot)

        if free() < amount:
            self._release_due(command.wallet)
        taken = min(free(), amount)
        return (Allocation(command.lot or 0, taken),) if taken else ()

    # --- what happens by itself ---

    def _cover(self, command: Charge, amount: int, limit: int | None) -> None:
        """Have *amount* available: first from holds that are due, then on credit."""
        wallet = command.wallet
        if self.available(wallet) < amount:
            self._release_due(wallet)
        short = amount - self.available(wallet)
        room = short if limit is None else max(0, limit - self.owed(wallet))
        if short > room:
            raise _NoError(Refusal.INSUFFICIENT_FUNDS, self.available(wallet) + room, amount)
        if short > 0:
            self._lend(wallet, short)

    def _release_due(self, wallet: WalletId) -> None:
        for hold in self.open_holds(wallet):
            if hold.expires_at and hold.expires_at <= self.at:
                self._expire_by_itself(hold)

    def _expire_by_itself(self, hold: Transfer) -> None:
        name = transfer_id(hold.wallet.account, "expire", hold.id.hex())  # as if a sweep had come by
        row = self._end(hold, Kind.EXPIRE, 0, None, id=name)
        outcome = Posted(transfer=row, charged=0, available=row.available_after, held=row.held_after)
        self.answers[name] = Answer(NOBODY, outcome, self.at)

    def _afterwards(self, wallet: WalletId) -> None:
        """PT have become available: what is over lapses, what is owed is repaid."""
        self._lapse(wallet)
        if amount := min(self.owed(wallet), self.available(wallet)):
            self._book(wallet, Kind.REPAY, amount, None, allocations=self._pick(wallet, amount))

    def _lapse(self, wallet: WalletId) -> Transfer | None:
        row = None
        for lot in sorted(self.lots(wallet), key=lambda lot: lot.number):
            if lot.free and lot.is_over(self.at):
                parts = (Allocation(lot.number, lot.free),)
                row = self._book(wallet, Kind.LAPSE, lot.free, None, allocations=parts)
        return row

    # --- rows ---

    def _take(self, command: Command, kind: Kind, amount: int, **more: Any) -> Transfer:
        parts = self._pick(command.wallet, amount)
        return self._book(command.wallet, kind, amount, command, allocations=parts, **more)

    def _take_of_lot(self, command: Adjust) -> Transfer:
        """What there is in one lot, up to what is asked for."""
        parts = self._free_of(command, -command.amount)
        if not parts:
            raise _NoError(Refusal.INSUFFICIENT_FUNDS, required=-command.amount)
        more = {"note": command.note, "allocations": parts}
        return self._book(command.wallet, Kind.ADJUST_DOWN, parts[0].amount, command, **more)

    def _pick(self, wallet: WalletId, amount: int) -> tuple[Allocation, ...]:
        return first(amount, [(lot.number, lot.free) for lot in self.lots(wallet)])

    def _end(
        self, hold: Transfer, kind: Kind, spent: int, command: Command | None, **more: Any
    ) -> Transfer:
        """Resolve a hold, of which *spent* is used up and the rest goes back where it came from."""
        more["completes"] = hold.seq
        more["allocations"] = first(spent, hold.allocations) if spent else hold.allocations
        if isinstance(command, Settle):
            more |= {"usage": command.usage, "effective_at": command.effective_at}
            kind = kind if spent else Kind.VOID
        row = self._book(hold.wallet, kind, spent or hold.amount, command, **more)
        self._afterwards(hold.wallet)
        return row

    def _book(
        self, wallet: WalletId, kind: Kind, amount: int, command: Command | None, **more: Any
    ) -> Transfer:
        booked_at = self._booking_time(wallet)
        row = Transfer(
            id=command.id if command else more.pop("id", NO_ID),
            wallet=wallet,
            seq=len(self.of(wallet)) + 1,
            kind=kind,
            amount=amount,
            available_after=0,
            held_after=0,
            fingerprint=command.fingerprint if command else NOBODY,
            effective_at=more.pop("effective_at", None) or booked_at,
            booked_at=booked_at,
            **more,
        )
        self.rows.append(row)
        after = {"available_after": self.available(wallet), "held_after": self.held(wallet)}
        row = replace(row, **after, frozen_after=self.frozen(wallet))
        self.rows[-1] = row
        return row

    def _booking_time(self, wallet: WalletId) -> datetime:
        """Now; but one tick after the wallet's last row if the clock says that was later."""
        last = max([self.terms[wallet].opened_at, *(row.booked_at for row in self.of(wallet))])
        return self.at if self.at > last else last + TICK


def first(amount: int, parts: Iterable[tuple[int, int]]) -> tuple[Allocation, ...]:
    """The first *amount* of *parts*, one after the other."""
    taken: list[Allocation] = []
    for number, part in parts:
        if take := min(part, amount):
            taken.append(Allocation(number, take))
            amount -= take
    if amount:
        msg = f"{amount} short"
        raise AssertionError(msg)
    return tuple(taken)
