"""What a script has come across: a generator that never reaches a case proves nothing about it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from tests.naive import COMES_IN, DECISIONS, ENDS_A_HOLD

from ptmeter.domain.commands import Debit, Expire, Freeze, Grant, Hold, Reverse, Settle, Unfreeze, Void
from ptmeter.domain.ledger import Kind, Posted, Refusal, Refused, WalletState
from ptmeter.domain.pt import LARGEST

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.naive import NaiveLedger
    from tests.unit.domain.strategies import Director

    from ptmeter.domain.batches import Decided
    from ptmeter.domain.commands import Command, Linked
    from ptmeter.domain.ledger import Outcome, Transfer

MICROSECOND = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)

OF_LIMITS = {Refusal.LIMITED, Refusal.NOT_PAYER}
"""What only holds that say who asks are refused for: see `test_limits.py`."""

FEATURES = frozenset(
    {
        *(f"row {kind.name}" for kind in Kind),
        *(f"refused {reason.name}" for reason in set(Refusal) - OF_LIMITS),
        *(f"replayed {reason.name}" for reason in DECISIONS),
        "replayed a transfer",
        "replayed a group",
        "replayed an expiry on demand to the sweep",
        "decided anew after a day",
        "accepted after a day",
        "an id twice in a group",
        "another wallet's hold",
        "linked in two wallets",
        "linked, and the last one refused",
        "hold from several lots",
        "hold to the last",
        "hold short of one",
        "hold on credit",
        "hold after an expiry on demand",
        "hold refused while frozen",
        "debit on credit",
        "debit over the credit limit",
        "debit refused while closed",
        "grant to a frozen wallet",
        "grant refused",
        "grant that lapses at once",
        "adjustment to the last",
        "settle of nothing",
        "settle of a part of one lot",
        "settle from several lots",
        "settle while frozen",
        "settle while closed",
        "settle refused over the hold",
        "settle refused over the limit",
        "settle late",
        "settle late on credit",
        "settle after a late settle",
        "settle after a settle",
        "settle after a void",
        "overage from what is there",
        "overage on credit",
        "overage over the credit limit",
        "overage within the credit limit",
        "overage after an expiry on demand",
        "void after an expiry",
        "expiry on the dot",
        "expiry a microsecond early",
        "lapse on the dot",
        "lapse after a release",
        "lapse before a command",
        "repay after a grant",
        "repay after a release",
        "repay in part",
        "freeze of a part of a lot",
        "freeze after an expiry on demand",
        "freeze while closed",
        "unfreeze short of one",
        "unfreeze after an expiry",
        "unfreeze that lapses",
        "unfreeze that repays",
        "reverse from the lot",
        "reverse from the lot and on credit",
        "reverse on credit",
        "reverse while closed",
        "reverse over the credit limit",
        "reverse repaid at once",
        "reverse after an expiry on demand",
        "reverse of what is frozen",
        "reverse of what is frozen and over",
        "reverse of what is frozen, and on credit",
        "booked later than the clock says",
        "large",
    }
)


def features(
    director: Director,
    group: Linked,
    outcomes: Sequence[Outcome],
    rows: Sequence[Transfer],
    refusals: Mapping[bytes, Decided],
) -> Iterator[str]:
    """What happened to one group."""
    for command, outcome in zip(group, outcomes, strict=True):
        yield from _answer(director, command, outcome, refusals)
        if isinstance(outcome, Posted) and not outcome.replayed:
            theirs = [row for row in rows if row.wallet == command.wallet]
            yield from _posted(director, command, outcome, theirs if len(group) == 1 else [])
    for row in rows:
        yield from _row(director, row)
    if len(group) > 1:
        yield from _linked(group, outcomes)
    if len(group) == 1:
        yield from _order([row.kind for row in rows])


def _linked(group: Linked, outcomes: Sequence[Outcome]) -> Iterator[str]:
    posted = [outcome for outcome in outcomes if isinstance(outcome, Posted)]
    if posted and posted[0].replayed:
        yield "replayed a group"
    elif posted and len({command.wallet for command in group}) > 1:
        yield "linked in two wallets"
    if len({command.id for command in group}) < len(group):
        yield "an id twice in a group"
    last = outcomes[-1]
    if isinstance(last, Refused) and last.reason not in {Refusal.KEY_REUSED, Refusal.LINKED}:
        yield "linked, and the last one refused"


def _answer(
    director: Director, command: Command, outcome: Outcome, refusals: Mapping[bytes, Decided]
) -> Iterator[str]:
    if outcome.replayed:
        what = outcome.reason.name if isinstance(outcome, Refused) else "a transfer"
        yield f"replayed {what}"
        if isinstance(outcome, Posted) and isinstance(command, Expire):
            yield "replayed an expiry on demand to the sweep"
        return
    if isinstance(outcome, Refused):
        yield f"refused {outcome.reason.name}"
        yield from _refused(director, command, outcome)
    if command.id in refusals and not (
        isinstance(outcome, Refused) and outcome.reason is Refusal.KEY_REUSED
    ):
        yield "decided anew after a day" if isinstance(outcome, Refused) else "accepted after a day"


def _refused(director: Director, command: Command, refused: Refused) -> Iterator[str]:
    ledger = director.ledger
    reason = refused.reason
    verb = type(command).__name__.lower()
    if reason is Refusal.NOT_OPEN:
        state = ledger.terms[command.wallet].state.name.lower()
        yield "grant refused" if isinstance(command, Grant) else f"{verb} refused while {state}"
    if reason is Refusal.INSUFFICIENT_FUNDS:
        if isinstance(command, Settle):
            yield "settle refused over the limit"
        if refused.required == refused.available + 1:
            yield f"{verb} short of one"
    if reason is Refusal.NOT_FROZEN and refused.required == refused.available + 1:
        yield f"{verb} short of one"
    if reason is Refusal.OVER_HOLD:
        yield "settle refused over the hold"
    if isinstance(command, Settle | Void | Expire):
        hold = next((h for h in ledger.holds(command.wallet) if h.id == command.hold_id), None)
        end = ledger.end_of(hold) if hold else None
        if any(row.id == command.hold_id and row is not hold for row in ledger.rows):
            yield "another wallet's hold"
        if end and reason is Refusal.HOLD_NOT_PENDING:
            yield f"{verb} after {_ended(ledger, end)}"
        if hold and hold.expires_at and reason is Refusal.NOT_DUE:
            early = hold.expires_at - director.at
            yield "expiry a microsecond early" if early == MICROSECOND else "expiry early"


def _ended(ledger: NaiveLedger, end: Transfer) -> str:
    if end.kind is not Kind.EXPIRE:
        return f"a {end.kind.name.lower()}"
    late = any(row.completes == end.seq for row in ledger.of(end.wallet))
    return "a late settle" if late else "an expiry"


def _posted(
    director: Director, command: Command, posted: Posted, rows: Sequence[Transfer]
) -> Iterator[str]:
    ledger = director.ledger
    terms = ledger.terms[command.wallet]
    kinds = {row.kind for row in rows}
    verb = type(command).__name__.lower()
    row = posted.transfer
    lent = Kind.ADVANCE in kinds
    over = lent and ledger.owed(command.wallet) > terms.credit_limit
    if isinstance(command, Grant) and terms.state is WalletState.FROZEN:
        yield "grant to a frozen wallet"
    if isinstance(command, Hold | Debit) and lent:
        yield f"{verb} over the credit limit" if over else f"{verb} on credit"
    if isinstance(command, Hold):
        if len(row.allocations) > 1:
            yield "hold from several lots"
        if Kind.EXPIRE in kinds:
            yield "hold after an expiry on demand"
    if row.available_after == 0 and rows and not lent:
        yield f"{'adjustment' if verb == 'adjust' else verb} to the last"
    if isinstance(command, Settle):
        yield from _settled(director, command, posted, rows)
    if isinstance(command, Freeze | Unfreeze | Reverse):
        yield from _of_lot(director, command, posted, rows)
    if isinstance(command, Expire):
        hold = next(h for h in ledger.holds(command.wallet) if h.id == command.hold_id)
        if hold.expires_at == director.at:
            yield "expiry on the dot"


def _settled(
    director: Director, command: Settle, posted: Posted, rows: Sequence[Transfer]
) -> Iterator[str]:
    terms = director.ledger.terms[command.wallet]
    lent = any(row.kind is Kind.ADVANCE for row in rows)
    row = posted.transfer
    if terms.state is not WalletState.OPEN:
        yield f"settle while {terms.state.name.lower()}"
    if row.kind is Kind.VOID:
        yield "settle of nothing"
    elif row.kind is Kind.DEBIT:
        yield "settle late on credit" if lent else "settle late"
    elif posted.charged > row.amount:
        over = lent and director.ledger.owed(command.wallet) > terms.credit_limit
        yield (
            "overage over the credit limit"
            if over
            else "overage on credit"
            if lent
            else "overage from what is there"
        )
        if command.overage.value == "within_credit_limit":
            yield "overage within the credit limit"
        if any(row.kind is Kind.EXPIRE for row in rows):
            yield "overage after an expiry on demand"
    else:
        hold = next(h for h in director.ledger.holds(command.wallet) if h.id == command.hold_id)
        used = row.allocations
        if len(used) > 1:
            yield "settle from several lots"
        if not set(used) <= set(hold.allocations):
            yield "settle of a part of one lot"


def _of_lot(
    director: Director, command: Freeze | Unfreeze | Reverse, posted: Posted, rows: Sequence[Transfer]
) -> Iterator[str]:
    kinds = [row.kind for row in rows]
    terms = director.ledger.terms[command.wallet]
    verb = type(command).__name__.lower()
    lot = next(lot for lot in director.ledger.lots(command.wallet) if lot.number == command.lot)
    if terms.state is WalletState.CLOSED:
        yield f"{verb} while closed"
    if Kind.EXPIRE in kinds:
        yield f"{verb} after an expiry on demand"
    if isinstance(command, Freeze) and lot.free:
        yield "freeze of a part of a lot"
    if isinstance(command, Unfreeze) and rows:
        if Kind.LAPSE in kinds[kinds.index(Kind.UNFREEZE) :]:
            yield "unfreeze that lapses"
        if kinds[-1] is Kind.REPAY:
            yield "unfreeze that repays"
        if lot.is_over(director.at):
            yield "unfreeze after an expiry"
    if isinstance(command, Reverse) and rows:
        yield from _reversed(director, command, posted, rows)


def _reversed(
    director: Director, command: Reverse, posted: Posted, rows: Sequence[Transfer]
) -> Iterator[str]:
    kinds = [row.kind for row in rows]
    lot = next(lot for lot in director.ledger.lots(command.wallet) if lot.number == command.lot)
    own = command.lot in dict(posted.transfer.allocations)
    lent = Kind.ADVANCE in kinds
    if command.frozen:
        yield "reverse of what is frozen, and on credit" if lent else "reverse of what is frozen"
        if lot.is_over(director.at):
            yield "reverse of what is frozen and over"
    elif lent:
        yield "reverse from the lot and on credit" if own else "reverse on credit"
    else:
        yield "reverse from the lot"
    if kinds[-1] is Kind.REPAY:
        yield "reverse repaid at once"
    if director.ledger.owed(command.wallet) > director.ledger.terms[command.wallet].credit_limit:
        yield "reverse over the credit limit"


def _order(kinds: Sequence[Kind]) -> Iterator[str]:
    """What followed what in the rows of one command."""
    if len(kinds) > 1 and kinds[0] is Kind.LAPSE and kinds[-1] is not Kind.LAPSE:
        yield "lapse before a command"
    releases = [n for n, kind in enumerate(kinds) if kind in ENDS_A_HOLD]
    for n, kind in enumerate(kinds):
        released = any(earlier < n for earlier in releases)
        given = any(k in COMES_IN and k is not Kind.ADVANCE for k in kinds[:n])
        if kind is Kind.LAPSE and (released or given):
            yield "lapse after a release" if released else "grant that lapses at once"
        if kind is Kind.REPAY and not {*kinds[:n]} & {Kind.UNFREEZE, Kind.REVERSE}:
            yield "repay after a release" if released else "repay after a grant"


def _row(director: Director, row: Transfer) -> Iterator[str]:
    yield f"row {row.kind.name}"
    ledger = director.ledger
    if row.booked_at - director.at > SECOND:
        yield "booked later than the clock says"
    if row.amount >= LARGEST // 2:
        yield "large"
    if row.kind is Kind.REPAY and ledger.owed(row.wallet):
        yield "repay in part"
    if row.kind is Kind.LAPSE:
        lot = next(lot for lot in ledger.lots(row.wallet) if lot.number == row.allocations[0].lot)
        if lot.expires_at == director.at:
            yield "lapse on the dot"
