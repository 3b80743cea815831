"""
The ledger's decisions, as one pure function: what each command does to the wallets it names.

`plan` takes the locked state and a batch of linked groups, and returns an outcome for every command
and the rows to write. It has no clock, no randomness and no I/O, so one call, a webhook, a nightly job,
a thousand concurrent requests and the tests are all decided the same way.

What holds for every wallet, before and after each group:
    available = Σ free in its lots           held = Σ its open holds = Σ held in its lots
    owed = Σ advances - Σ repayments         owed > 0 only while available = 0
    seq counts its transfers without a gap   booked_at grows with seq
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final, assert_never

from .accounts import payer
from .admission import Limited, admit, locked
from .batches import Decided, Plan, Rejection
from .commands import Adjust, Debit, Expire, Grant, Hold, Lapse, Settle, Void
from .keys import transfer_id
from .ledger import REMEMBERED, Kind, Overage, Posted, Refusal, Refused, WalletState
from .moves import NO_REQUEST, Details, Moves, Request
from .pt import LARGEST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .batches import State
    from .commands import Command, Linked
    from .ledger import OpenHold, Outcome, Transfer, Wallet, WalletId

REMEMBER_REFUSALS_FOR: Final = timedelta(days=1)
"""A refusal is replayed this long; afterwards the same key is decided anew."""


def plan(state: State, batch: Sequence[Linked], *, chain_key: bytes) -> Plan:
    """Decide every group of *batch* in order, each on what the ones before it left."""
    moves = Moves(
        state.wallets,
        state.holds,
        state.resolved,
        at=state.at,
        chain_key=chain_key,
        accounts=state.accounts,
        top_ups=state.top_ups,
    )
    planner = _Planner(moves, state.decided)
    outcomes = [planner.decide(group) for group in batch]
    return Plan(
        outcomes,
        wallets=[new for name, new in moves.wallets.items() if new is not state.wallets[name]],
        transfers=moves.transfers,
        opened=[hold for name, hold in moves.holds.items() if hold and name not in state.holds],
        closed=[hold for name, hold in state.holds.items() if moves.holds[name] is None],
        rejections=planner.rejections,
        decided=planner.decided,
        accounts=[
            new for name, new in moves.tallies.accounts.items() if new is not state.accounts.get(name)
        ],
        notices=list(moves.tallies.notices.values()),
        top_ups=list(moves.tallies.top_ups.values()),
    )


class _Refusal(Exception):  # noqa: N818 - how a command leaves its group; it never leaves this module
    def __init__(
        self, reason: Refusal, *, available: int = 0, required: int = 0, limited: Limited | None = None
    ) -> None:
        self.refused = Refused(reason=reason, available=available, required=required, limited=limited)


class _Planner:
    """Decides group after group; what came before is recalled, what is refused is undone."""

    def __init__(self, moves: Moves, decided: Mapping[bytes, Decided]) -> None:
        self._moves = moves
        self.decided = dict(decided)
        self.rejections: list[Rejection] = []

    def decide(self, group: Linked) -> tuple[Outcome, ...]:
        """Carry out a linked group, or none of it."""
        if earlier := self._earlier(group):
            return earlier
        outcomes: list[Posted] = []
        try:
            for command in group:
                outcomes.append(self._carry_out(command))  # noqa: PERF401 - counts how far it came
        except _Refusal as refusal:
            self._moves.roll_back()
            return self._refuse(group, refusal.refused, failed=len(outcomes))
        for row in self._moves.commit():
            if row.kind is Kind.EXPIRE:  # on demand too: a sweep that comes later finds it done
                expired = Posted(
                    transfer=row, charged=0, available=row.available_after, held=row.held_after
                )
                self.decided[row.id] = Decided(row.fingerprint, expired, self._moves.at)
        for command, posted in zip(group, outcomes, strict=True):
            if posted.transfer.id == command.id:  # a lapse is recorded under its place, not its command
                self.decided[command.id] = Decided(command.fingerprint, posted, self._moves.at)
        return tuple(outcomes)

    def _refuse(self, group: Linked, refused: Refused, *, failed: int) -> tuple[Outcome, ...]:
        """Refuse a group for the sake of one command; remember it if that was a decision."""
        linked = Refused(reason=Refusal.LINKED)
        outcomes = tuple(refused if i == failed else linked for i in range(len(group)))
        known = all(command.wallet in self._moves.wallets for command in group)
        if known and refused.reason in REMEMBERED:
            for command, outcome in zip(group, outcomes, strict=True):
                decided = Decided(command.fingerprint, outcome, self._moves.at)
                self.decided[command.id] = decided
                self.rejections.append(Rejection(command.wallet, command.id, decided))
        return outcomes

    def _earlier(self, group: Linked) -> tuple[Outcome, ...] | None:
        if len({command.id for command in group}) < len(group):
            return tuple(Refused(reason=Refusal.KEY_REUSED) for _ in group)
        found = [self._recall(command) for command in group]
        if not any(found):
            return None
        for command, earlier in zip(group, found, strict=True):
            if earlier is None or earlier.fingerprint != command.fingerprint:
                return tuple(Refused(reason=Refusal.KEY_REUSED) for _ in group)
        return tuple(replace(earlier.outcome, replayed=True) for earlier in found if earlier)

    def _recall(self, command: Command) -> Decided | None:
        earlier = self.decided.get(command.id)
        if earlier is None or isinstance(earlier.outcome, Posted):
            return earlier
        return earlier if self._moves.at < earlier.at + REMEMBER_REFUSALS_FOR else None

    def _carry_out(self, command: Command) -> Posted:
        if command.wallet not in self._moves.wallets:
            self._check_model(command)
            raise _Refusal(Refusal.NO_WALLET)
        lapsed = self._moves.lapse_due(command.wallet)
        match command:
            case Grant():
                return self._grant(command, Kind.GRANT, command.amount)
            case Hold():
                return self._hold(command)
            case Settle():
                return self._settle(command)
            case Void():
                return self._void(command)
            case Expire():
                return self._expire(command)
            case Debit():
                return self._debit(command)
            case Adjust() if command.amount > 0:
                return self._grant(command, Kind.ADJUST_UP, command.amount)
            case Adjust():
                return self._adjust_down(command)
            case Lapse():
                if lapsed is None:
                    raise _Refusal(Refusal.NOT_DUE)
                return self._posted(lapsed)
            case _:
                assert_never(command)

    # --- PT in ---

    def _grant(self, command: Grant | Adjust, kind: Kind, amount: int) -> Posted:
        wallet = self._moves.wallets[command.wallet]
        if wallet.state is WalletState.CLOSED:
            raise _Refusal(Refusal.NOT_OPEN)
        _check_room(wallet, amount)
        details = Details(
            expires_at=command.expires_at, effective_at=command.effective_at, note=command.note
        )
        if isinstance(command, Grant):
            details["paid"] = command.paid
        else:  # what corrects a call sells once more; what is goodwill was not paid for
            details["usage"], details["plan"] = command.usage, command.plan
            details["paid"] = None if command.usage else 0
        transfer = self._moves.bring_in(
            wallet, kind, amount, _request(command), priority=command.priority, **details
        )
        self._moves.lapse_due(command.wallet)
        self._moves.repay(command.wallet)
        return self._posted(transfer)

    # --- holds ---

    def _hold(self, command: Hold) -> Posted:
        limit = self._credit_limit(command.wallet)
        multiple = self._admit(command)
        amount = command.amount * multiple
        wallet = self._cover(command.wallet, amount, limit)
        placed = self._moves.open_hold(
            wallet,
            amount,
            _request(command),
            command.ttl,
            admission=command.admission,
            multiple=multiple,
        )
        return self._posted(placed)

    def _admit(self, command: Hold) -> int:
        """How many times the rate the hold is charged; refuses it if a limit says so."""
        asked = command.admission
        if asked is None:
            return 1
        path = self._moves.tallies.path(self._member(command))
        decided = admit(path, asked, command.wallet.unit, command.amount, self._moves.at)
        if isinstance(decided, Limited):
            raise _Refusal(Refusal.LIMITED, limited=decided)
        return decided.multiple

    def _check_model(self, command: Command) -> None:
        """Refuse a model that the plan does not open, before anybody is told to buy PT for it."""
        asked = command.admission if isinstance(command, Hold) else None
        if asked is None:
            return
        if refused := locked(self._moves.tallies.path(asked.account), asked, command.wallet.unit):
            raise _Refusal(Refusal.LIMITED, limited=refused)

    def _member(self, command: Hold | Debit) -> str:
        """In whose tally it counts; refuses what would use the PT of somebody who does not pay for it."""
        asked = command.admission
        if asked is None:
            return ""
        if payer(self._moves.tallies.path(asked.account)) != command.wallet.account:
            raise _Refusal(Refusal.NOT_PAYER)
        return asked.account

    def _settle(self, command: Settle) -> Posted:
        hold = self._moves.holds.get(command.hold_id)
        if hold is None or hold.wallet != command.wallet:
            return self._settle_late(command)
        within = min(command.amount, hold.amount)
        beyond = command.amount - within
        if beyond and command.overage is Overage.REJECT:
            raise _Refusal(Refusal.OVER_HOLD, available=hold.amount, required=command.amount)
        transfer = self._moves.close_hold(
            hold,
            Kind.SETTLE if within else Kind.VOID,
            within,
            _request(command),
            usage=command.usage,
            effective_at=command.effective_at,
            multiple=command.multiple,
            rules=command.rules,
        )
        if beyond:
            self._charge_overage(command, beyond, settle=transfer, member=hold.member)
        return self._posted(transfer, charged=command.amount)

    def _charge_overage(self, command: Settle, amount: int, *, settle: Transfer, member: str) -> None:
        wallet = self._cover(command.wallet, amount, self._overage_limit(command))
        beyond = transfer_id(command.wallet.account, "#overage", command.id.hex())
        self._moves.take_out(
            wallet,
            Kind.DEBIT,
            amount,
            Request(beyond, NO_REQUEST),
            completes=settle.seq,
            effective_at=command.effective_at,
            member=member,
            rules=command.rules,
        )

    def _settle_late(self, command: Settle) -> Posted:
        """Charge a call whose hold expired meanwhile: it was answered, so it is paid for."""
        resolved = self._moves.resolved.get(command.hold_id)
        if resolved is None or resolved.wallet != command.wallet:
            raise _Refusal(Refusal.HOLD_NOT_FOUND)
        if resolved.kind is not Kind.EXPIRE or resolved.completed or command.amount == 0:
            raise _Refusal(Refusal.HOLD_NOT_PENDING)
        self._moves.complete(command.hold_id, resolved)
        transfer = self._moves.take_out(
            self._cover(command.wallet, command.amount, self._overage_limit(command)),
            Kind.DEBIT,
            command.amount,
            _request(command),
            completes=resolved.seq,
            usage=command.usage,
            effective_at=command.effective_at,
            member=resolved.member,
            multiple=command.multiple,
            rules=command.rules,
        )
        return self._posted(transfer, charged=command.amount)

    def _void(self, command: Void) -> Posted:
        hold = self._open_hold(command)
        return self._posted(self._moves.close_hold(hold, Kind.VOID, 0, _request(command)))

    def _expire(self, command: Expire) -> Posted:
        hold = self._open_hold(command)
        if self._moves.at < hold.expires_at:
            raise _Refusal(Refusal.NOT_DUE)
        return self._posted(self._moves.close_hold(hold, Kind.EXPIRE, 0, _request(command)))

    def _open_hold(self, command: Void | Expire) -> OpenHold:
        hold = self._moves.holds.get(command.hold_id)
        if hold is not None and hold.wallet == command.wallet:
            return hold
        resolved = self._moves.resolved.get(command.hold_id)
        known = resolved is not None and resolved.wallet == command.wallet
        raise _Refusal(Refusal.HOLD_NOT_PENDING if known else Refusal.HOLD_NOT_FOUND)

    # --- PT out ---

    def _debit(self, command: Debit) -> Posted:
        limit = self._credit_limit(command.wallet)
        member = self._member(command)
        transfer = self._moves.take_out(
            self._cover(
                command.wallet, command.amount, None if command.overage is Overage.ALLOW else limit
            ),
            Kind.DEBIT,
            command.amount,
            _request(command),
            usage=command.usage,
            note=command.note,
            effective_at=command.effective_at,
            member=member,
            rules=command.admission and command.admission.rules,
        )
        return self._posted(transfer, charged=command.amount)

    def _adjust_down(self, command: Adjust) -> Posted:
        lots, amount = self._moves.free_lots(command.wallet, command.lot, -command.amount)
        if not amount:
            raise _Refusal(Refusal.INSUFFICIENT_FUNDS, required=-command.amount)
        wallet = self._cover(command.wallet, amount, limit=0)
        return self._posted(
            self._moves.take_out(
                wallet,
                Kind.ADJUST_DOWN,
                amount,
                _request(command),
                lots=lots,
                note=command.note,
                effective_at=command.effective_at,
                usage=command.usage,
                plan=command.plan,
            )
        )

    # --- funds ---

    def _cover(self, name: WalletId, amount: int, limit: int | None) -> Wallet:
        """Make *amount* available: release holds that are due, then lend up to *limit* (``None``: any)."""
        if self._moves.wallets[name].available < amount:
            self._moves.expire_due(name)
        wallet = self._moves.wallets[name]
        short = amount - wallet.available
        if short <= 0:
            return wallet
        if limit is not None and wallet.owed + short > limit:
            funds = wallet.available + max(0, limit - wallet.owed)
            raise _Refusal(Refusal.INSUFFICIENT_FUNDS, available=funds, required=amount)
        _check_room(wallet, short)
        return self._moves.advance(wallet, short)

    def _credit_limit(self, name: WalletId) -> int:
        """How much the wallet may owe for something new; refuses if it is not open."""
        wallet = self._moves.wallets[name]
        if wallet.state is not WalletState.OPEN:
            raise _Refusal(Refusal.NOT_OPEN)
        return wallet.credit_limit

    def _overage_limit(self, command: Settle) -> int | None:
        if command.overage is Overage.ALLOW:
            return None
        return self._moves.wallets[command.wallet].credit_limit

    def _posted(self, transfer: Transfer, charged: int = 0) -> Posted:
        wallet = self._moves.wallets[transfer.wallet]
        return Posted(transfer=transfer, charged=charged, available=wallet.available, held=wallet.held)


def _check_room(wallet: Wallet, amount: int) -> None:
    if wallet.available + wallet.held + wallet.spent + amount >= LARGEST:
        raise _Refusal(Refusal.TOO_LARGE)


def _request(command: Command) -> Request:
    return Request(command.id, command.fingerprint)
