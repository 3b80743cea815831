"""
What has to hold whatever goes wrong, checked as each transaction takes effect and as each answer comes in.

It knows what was asked (`Intent`), what was told (`Attempt.answer`) and what was committed, each from its own
source, and replays the last on the naive ledger.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field, fields, replace
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from tests.naive import NO_ID, NOBODY, TICK, NaiveLedger
from tests.simulator.intents import AT_THE_DOOR, UNDONE, Attempt, is_definite, is_foreseen, said

from ptmeter.domain.commands import Adjust, Expire, Grant, Lapse
from ptmeter.domain.ledger import SIDES, Kind, Posted, Refusal, Refused, Side, Transfer
from ptmeter.domain.receipts import Granted, Receipt
from ptmeter.domain.receipts import Hold as Held
from ptmeter.errors import (
    AccountNotFoundError,
    HoldNotFoundError,
    HoldNotPendingError,
    IdempotencyConflictError,
    InsufficientFundsError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from tests.simulator.database import Posting
    from tests.simulator.intents import Intent

    from ptmeter.domain.commands import Linked
    from ptmeter.domain.ledger import Outcome, WalletId

MEANS = {
    Refusal.INSUFFICIENT_FUNDS: (InsufficientFundsError,),
    Refusal.OVER_HOLD: (InsufficientFundsError,),
    Refusal.NO_WALLET: (AccountNotFoundError, InsufficientFundsError),
    Refusal.HOLD_NOT_FOUND: (HoldNotFoundError,),
    Refusal.HOLD_NOT_PENDING: (HoldNotPendingError,),
    Refusal.NOT_DUE: (HoldNotPendingError,),
    Refusal.KEY_REUSED: (IdempotencyConflictError,),
}
"""What the caller is told about each refusal that these runs can bring about."""

TOLD = {Held: "amounts", Receipt: "charged", Granted: "amounts"}
"""Where an answer says how much was moved."""

UNSEALED: dict[str, Any] = {f.name: b"" for f in fields(Transfer) if f.name in {"hash", "link"}}
"""What seals a row is the audit's business."""


class Violation(AssertionError):
    """Something that must hold does not."""


class Place(NamedTuple):
    """Where in the order of all commits a group was decided, and how."""

    commit: int
    outcomes: tuple[Outcome, ...]


@dataclass
class Oracle:
    """Everything that was asked, told and committed so far."""

    attempts: list[Attempt] = field(default_factory=list)
    commits: int = 0
    closed: datetime | None = None
    """Up to when somebody was told that nothing will be booked any more."""
    rows: dict[WalletId, list[Transfer]] = field(default_factory=lambda: defaultdict(list))
    models: dict[str, NaiveLedger] = field(default_factory=lambda: defaultdict(NaiveLedger))
    _asked: dict[int, Attempt] = field(default_factory=dict)
    _places: dict[int, Place] = field(default_factory=dict)
    _kept: list[Any] = field(default_factory=list)
    _done: dict[int, list[Linked]] = field(default_factory=dict)
    _ids: set[bytes] = field(default_factory=set)
    _completed: set[tuple[WalletId, int]] = field(default_factory=set)
    _effects: dict[int, int] = field(default_factory=dict)
    _sides: dict[WalletId, Counter[Side]] = field(default_factory=lambda: defaultdict(Counter))

    # --- what is asked ---

    def asks(self, attempt: Attempt, groups: Sequence[Linked]) -> None:
        """Know groups again by their commands, which are kept, so that no two have the same identity."""
        self._kept.append(groups)
        self._asked |= {id(command): attempt for group in groups for command in group}

    # --- what takes effect ---

    def committed(self, postings: Sequence[Posting], tables: Any) -> None:
        """A transaction has taken effect: every group of it was asked for, and decided as the model does."""
        self.commits += 1
        for posting in postings:
            self._open(posting, tables)
            for group, outcomes in zip(posting.batch, posting.outcomes, strict=True):
                self._decide(group, outcomes, posting.at)
            for row in posting.rows:
                self._write(row, posting.at)
            for wallet in sorted({row.wallet for row in posting.rows}):
                self._compare(wallet)
        for wallet in sorted({row.wallet for posting in postings for row in posting.rows}):
            self._check_balance(wallet, tables)

    def _open(self, posting: Posting, tables: Any) -> None:
        for command in chain.from_iterable(posting.batch):
            name, model = command.wallet, self.models[command.wallet.account]
            if isinstance(command, Grant | Adjust):
                model.open(name, posting.at)
            wallet = tables.wallets.get(name)
            if closed := getattr(wallet, "closed_until", None):  # it books nothing earlier
                earliest = max(model.terms[name].opened_at, closed - TICK)
                model.terms[name] = replace(model.terms[name], opened_at=earliest)

    def _decide(self, group: Linked, outcomes: tuple[Outcome, ...], at: datetime) -> None:
        if not all(isinstance(command, Expire | Lapse) for command in group):
            self._trace_back(group, outcomes)
        [account] = {command.wallet.account for command in group}
        expected = plainly(self.models[account].post(group, at))
        if expected != plainly(outcomes):
            msg = f"{named(group)} came to {shown(outcomes)}, and on the naive ledger to {shown(expected)}"
            raise Violation(msg)

    def _trace_back(self, group: Linked, outcomes: tuple[Outcome, ...]) -> None:
        """Find out for whom it is: somebody asked for this, and it has not happened before."""
        attempt = self._asked.get(id(group[0]))
        if attempt is None:
            msg = f"nobody asked for {named(group)}"
            raise Violation(msg)
        if not attempt.intent.allows(group):
            msg = f"{attempt} asked for something else than {named(group)}"
            raise Violation(msg)
        self._places[id(group[0])] = Place(self.commits, outcomes)
        mine = self._done.setdefault(attempt.number, [])
        mine.append(group)
        if len({self._places[id(other[0])].commit for other in mine}) > 1:
            msg = f"{attempt} was carried out twice, in two transactions"
            raise Violation(msg)
        fresh = all(isinstance(outcome, Posted) and not outcome.replayed for outcome in outcomes)
        if fresh and self.commits != self._effects.setdefault(attempt.intent.number, self.commits):
            msg = f"{attempt} has taken effect twice"
            raise Violation(msg)

    def _write(self, row: Transfer, at: datetime) -> None:
        rows = self.rows[row.wallet]
        if row.seq != len(rows) + 1 or (rows and row.booked_at <= rows[-1].booked_at):
            msg = f"{named_row(row)} does not follow the one before"
            raise Violation(msg)
        if self.closed and row.booked_at < self.closed:
            msg = f"{named_row(row)} is booked at {row.booked_at}, in a month that is closed"
            raise Violation(msg)
        if row.id in self._ids or (row.wallet, row.completes) in self._completed:
            msg = f"{named_row(row)} is there twice, or completes what was complete"
            raise Violation(msg)
        if row.kind is Kind.EXPIRE:
            due = rows[(row.completes or 0) - 1].expires_at
            if due is None or due > at:
                msg = f"{named_row(row)} gives back at {at} what is held until {due}"
                raise Violation(msg)
        rows.append(row)
        self._ids.add(row.id)
        if row.completes:
            self._completed.add((row.wallet, row.completes))
        debit, credit = SIDES[row.kind]
        self._sides[row.wallet][debit] -= row.amount
        self._sides[row.wallet][credit] += row.amount
        if row.kind is Kind.SETTLE:  # it returns what its hold had left over
            over = rows[(row.completes or 0) - 1].amount - row.amount
            self._sides[row.wallet][Side.HELD] -= over
            self._sides[row.wallet][Side.AVAILABLE] += over

    def _compare(self, wallet: WalletId) -> None:
        model, rows = self.models[wallet.account].of(wallet), self.rows[wallet]
        if len(model) != len(rows) or stripped(model[-1]) != stripped(rows[-1]):
            msg = f"the naive ledger has other rows for {wallet}: {model[-1]} and not {rows[-1]}"
            raise Violation(msg)

    def _check_balance(self, name: WalletId, tables: Any) -> None:
        """Nothing is negative, nothing came from nowhere, and what is derived says so too."""
        wallet = tables.wallets[name]
        sides = self._sides[name]
        lots = [lot for (theirs, _), lot in tables.lots.items() if theirs == name]
        holds = [hold for hold in tables.holds.values() if hold.wallet == name]
        derived = {
            "available": {wallet.available, sides[Side.AVAILABLE], sum(lot.remaining for lot in lots)},
            "held": {
                wallet.held,
                sides[Side.HELD],
                sum(lot.held for lot in lots),
                sum(hold.amount for hold in holds),
            },
            "frozen": {sides[Side.FROZEN], sum(lot.frozen for lot in lots)},
            "spent": {wallet.spent, sides[Side.SPENT]},
            "owed": {wallet.owed, -sides[Side.RECEIVABLE]},
        }
        for what, figures in derived.items():
            if len(figures) > 1 or min(figures) < 0:
                msg = f"{name} has {figures} {what}"
                raise Violation(msg)
        if (wallet.owed and wallet.available) or sum(sides.values()):
            msg = f"{name} owes while it has something, or its sides do not add up: {wallet}"
            raise Violation(msg)

    # --- what is told ---

    def answered(self, attempt: Attempt) -> None:
        """A caller has been told something: it is what was decided for it, and is committed by now."""
        answer, intent = attempt.answer, attempt.intent
        if not is_foreseen(answer):
            msg = f"{attempt} got {answer!r}, which nobody has been told what to do about"
            raise Violation(msg)
        if is_definite(answer):
            self._justify(attempt)
            intent.answer = answer
        elif isinstance(answer, UNDONE) and self._done.get(attempt.number):
            msg = f"{attempt} was told {said(answer)}, so nothing was done, and it was"
            raise Violation(msg)

    def _justify(self, attempt: Attempt) -> None:
        done = self._done.get(attempt.number, [])
        if not done:
            msg = f"{attempt} was told {said(attempt.answer)}, and nothing of it is committed"
            raise Violation(msg)
        first, *others = (self._places[id(group[0])].outcomes for group in done)
        if not matches(attempt, first, others):
            msg = f"{attempt} was told {said(attempt.answer)}, and what was decided is {shown(first)}"
            raise Violation(msg)

    # --- in the end ---

    def finish(self, intents: Iterable[Intent], tables: Any) -> None:
        """All is quiet: every request is resolved, nothing is held, and the books are the model's."""
        for attempt in self.attempts:
            if isinstance(attempt.answer, UNDONE) and self._done.get(attempt.number):
                msg = f"{attempt} was done after all, though its caller was told {said(attempt.answer)}"
                raise Violation(msg)
        for intent in intents:
            if intent.answer is None:
                msg = f"{intent} was never resolved"
                raise Violation(msg)
        if tables.holds:
            msg = f"{len(tables.holds)} holds are open after a sweep behind their time"
            raise Violation(msg)
        for name, wallet in tables.wallets.items():
            model = self.models[name.account]
            expected = (model.available(name), 0, model.spent(name), model.owed(name))
            if expected != (wallet.available, wallet.held, wallet.spent, wallet.owed):
                msg = f"{name} is {wallet}, and on the naive ledger {expected}"
                raise Violation(msg)
            if [*map(stripped, model.of(name))] != [*map(stripped, tables.journal[name])]:
                msg = f"the journal of {name} is not what was committed"
                raise Violation(msg)


# --- comparing ------------------------------------------------------------------------------------


def matches(attempt: Attempt, first: tuple[Outcome, ...], others: list[tuple[Outcome, ...]]) -> bool:
    """Whether the answer says what the outcomes are, no more and no less."""
    answer, intent = attempt.answer, attempt.intent
    if intent.verb in AT_THE_DOOR:
        return answer == first
    refused = [o for o in first if isinstance(o, Refused) and o.reason is not Refusal.LINKED]
    if refused:
        return isinstance(answer, MEANS[refused[0].reason])
    told = TOLD.get(type(answer))
    if told is None:
        return False
    posted = [o for o in chain(first, *others) if isinstance(o, Posted)]
    available = {o.transfer.wallet.unit: o.available for o in posted}
    moved = {o.transfer.wallet.unit: figure(answer, o) for o in posted}
    return (
        answer.account == intent.account
        and answer.key == attempt.key
        and available == {unit: pt.micro for unit, pt in answer.available.items()}
        and moved == {unit: pt.micro for unit, pt in getattr(answer, told).items()}
        and answer.replayed == posted[0].replayed
        and (not isinstance(answer, Held) or answer.expires_at == earliest(posted))
    )


def figure(answer: object, posted: Posted) -> int:
    """The amount that the caller should have been told."""
    if isinstance(answer, Receipt):
        return posted.charged
    down = posted.transfer.kind is Kind.ADJUST_DOWN
    return -posted.transfer.amount if down else posted.transfer.amount


def earliest(posted: Sequence[Posted]) -> datetime | None:
    return min(o.transfer.expires_at for o in posted if o.transfer.expires_at)


def plainly(outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    return tuple(
        replace(outcome, transfer=stripped(outcome.transfer)) if isinstance(outcome, Posted) else outcome
        for outcome in outcomes
    )


def stripped(row: Transfer) -> Transfer:
    """The row without its hash, and without the id of one that nobody asked for."""
    known = row.fingerprint != NOBODY or row.kind is Kind.EXPIRE
    return replace(row, id=row.id if known else NO_ID, **UNSEALED)


def shown(outcomes: tuple[Outcome, ...]) -> str:
    """What tells outcomes apart, most of the time."""
    return " and ".join(
        f"({named_row(o.transfer)} charged {o.charged}, available {o.available}, replayed {o.replayed})"
        if isinstance(o, Posted)
        else f"({o.reason.name}, available {o.available}, replayed {o.replayed})"
        for o in outcomes
    )


def named(group: Linked) -> str:
    return " and ".join(f"{type(c).__name__} {c.wallet.account}/{c.wallet.unit}" for c in group)


def named_row(row: Transfer) -> str:
    return f"row {row.seq} of {row.wallet.account}/{row.wallet.unit}, {row.kind.name} {row.amount},"
