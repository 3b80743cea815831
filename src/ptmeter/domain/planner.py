"""
The ledger's decisions, as one pure function: what each command does to the wallets it names.

`plan` takes the locked state and a batch of linked groups, and returns an outcome for every command
and the rows to write. It has no clock, no randomness and no I/O, so one call, a webhook, a nightly job,
a thousand concurrent requests and the tests are all decided the same way.

What holds for every wallet, before and after each group:
    available = Σ free in its lots           held = Σ its open holds = Σ held in its lots
    owed = Σ advances - Σ repayments         owed > 0 only while available = 0
    frozen is in its lots alone: neither available nor held
    seq counts its transfers without a gap   booked_at grows with seq
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from .batches import Decided, Plan, Rejection
from .execution import Execution, Refusing
from .ledger import REMEMBERED, Kind, Posted, Refusal, Refused
from .moves import Moves

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .batches import State
    from .commands import Command, Linked
    from .ledger import Outcome

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


class _Planner:
    """Decides group after group; what came before is recalled, what is refused is undone."""

    def __init__(self, moves: Moves, decided: Mapping[bytes, Decided]) -> None:
        self._moves = moves
        self._execution = Execution(moves)
        self.decided = dict(decided)
        self.rejections: list[Rejection] = []

    def decide(self, group: Linked) -> tuple[Outcome, ...]:
        """Carry out a linked group, or none of it."""
        if earlier := self._earlier(group):
            return earlier
        outcomes: list[Posted] = []
        try:
            for command in group:
                outcomes.append(self._execution.carry_out(command))  # noqa: PERF401 - counts how far it came
        except Refusing as refusal:
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
