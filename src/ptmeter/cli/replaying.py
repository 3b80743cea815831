"""
Metering a trace: fund its accounts, then hold and settle its calls, batch after batch.

Every id follows from the run's key and the line, and the ledger replays what it has posted, so a run that
was stopped at any point is finished by running it again: what was charged is recognised, not charged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

from ..domain.commands import Grant, Hold, Settle
from ..domain.keys import digest, fingerprint, transfer_id
from ..domain.ledger import Posted, Refused, UsageEvent, wallet_id
from ..domain.usage import TOKEN_CLASSES
from .rating import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from .._sync import Meter
    from ..domain.audit import Report
    from ..domain.commands import Command, Linked
    from ..domain.ledger import Outcome, Overage, WalletId
    from .rating import Rated, Rating
    from .traces import Malformed

T = TypeVar("T")

TTL: Final = timedelta(hours=1)
"""How long a hold waits: longer than a batch takes, and late settles are charged all the same."""


TOLD_EVERY: Final = 1_000
"""After how many calls a survey says how far it has got."""


@dataclass(slots=True)
class Survey:
    """What the first pass over a trace found: how many calls, and what each wallet needs for them."""

    calls: int = 0
    malformed: int = 0
    needs: dict[WalletId, int] = field(default_factory=dict["WalletId", int])


@dataclass(slots=True)
class UnitTotals:
    """What was held and charged in one unit, in micro-PT."""

    held: int = 0
    charged: int = 0


@dataclass(slots=True)
class Totals:
    """What a run has come to so far: what the ledger charged, and what was held for it."""

    calls: int = 0
    before: int = 0
    over_hold: int = 0
    refused: dict[str, int] = field(default_factory=dict[str, int])
    tokens: dict[str, int] = field(default_factory=lambda: dict.fromkeys(TOKEN_CLASSES, 0))
    units: dict[str, UnitTotals] = field(default_factory=dict[str, UnitTotals])
    cost: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def seen(self) -> int:
        """How many calls were charged or refused."""
        return self.calls + sum(self.refused.values())

    def add(self, call: Call, settled: Posted) -> None:
        """Count a call that was charged, now or before."""
        self.calls += 1
        self.before += settled.replayed
        self.over_hold += settled.charged > call.hold
        for name, count in call.usage.tokens().items():
            self.tokens[name] += count
        unit = self.units.setdefault(call.wallet.unit, UnitTotals())
        unit.held += call.hold
        unit.charged += settled.charged
        cost = call.charge.cost
        self.cost[cost.currency] = self.cost.get(cost.currency, 0) + cost.nano

    def refuse(self, outcome: Refused) -> None:
        """Count a call that was refused."""
        reason = outcome.reason.name.lower()
        self.refused[reason] = self.refused.get(reason, 0) + 1


@dataclass(slots=True)
class Run:
    """How a run went: what was surveyed and metered, in how many seconds, and what verify said."""

    rating: Rating
    surveyed: Survey
    totals: Totals
    seconds: float = 0.0
    stopped: bool = False
    report: Report | None = None


def survey(
    rated: Iterable[Rated], report: Callable[[Malformed], None], advance: Callable[[int], None]
) -> Survey:
    """
    Pass over a trace once: find what each wallet needs, and report what is no call.

    A wallet needs what its calls hold or cost, whichever is more, so that the size of batches does not
    matter, and a run that goes on with another size finds the same grants.
    """
    found = Survey()
    for call in rated:
        if not isinstance(call, Call):
            found.malformed += 1
            report(call)
            continue
        found.calls += 1
        if not found.calls % TOLD_EVERY:
            advance(TOLD_EVERY)
        most = max(call.hold, call.charge.amount.micro)
        found.needs[call.wallet] = found.needs.get(call.wallet, 0) + most
    return found


def fund(meter: Meter, rating: Rating, surveyed: Survey, *, size: int) -> None:
    """Grant every wallet what it needs, once per run; all of an account's units or none."""
    accounts: dict[str, dict[str, int]] = {}
    for (account, unit), amount in surveyed.needs.items():
        accounts.setdefault(account, {})[unit] = amount
    groups = (_grants(rating, account, units) for account, units in sorted(accounts.items()))
    for batch in batches(groups, size):
        meter.post(batch)


class Metering:
    """
    Meters the calls of a run, batch after batch.

    While what comes is metered already, settling comes first: one question to the ledger then recognises
    a whole batch, and a hold that was placed before the run was killed is settled by it.
    """

    def __init__(self, meter: Meter, totals: Totals, overage: Overage) -> None:
        self._meter = meter
        self._totals = totals
        self._overage = overage
        self._catching_up = True

    def carry_out(self, batch: Sequence[Call]) -> None:
        """Hold every call of *batch*, then settle those that could be held."""
        if self._catching_up:
            settled = self._settle(batch)
            self._catching_up = any(outcome.replayed for outcome in settled)
            if all(isinstance(outcome, Posted) for outcome in settled):
                self._count(batch, settled)
                return
        holds = self._post([_hold(call) for call in batch])
        placed = [call for call, held in zip(batch, holds, strict=True) if isinstance(held, Posted)]
        refused = [held for held in holds if isinstance(held, Refused)]
        self._count(placed, self._settle(placed))
        for outcome in refused:
            self._totals.refuse(outcome)

    def _settle(self, calls: Sequence[Call]) -> list[Outcome]:
        return self._post([_settle(call, self._overage) for call in calls])

    def _post(self, commands: Sequence[Command]) -> list[Outcome]:
        """Post commands that stand alone, in one transaction."""
        return [outcome for (outcome,) in self._meter.post([(command,) for command in commands])]

    def _count(self, calls: Sequence[Call], settled: Sequence[Outcome]) -> None:
        for call, outcome in zip(calls, settled, strict=True):
            if isinstance(outcome, Posted):
                self._totals.add(call, outcome)
            else:
                self._totals.refuse(outcome)


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Take *items* by so many at a time."""
    left = iter(items)
    while batch := list(islice(left, size)):
        yield batch


def _grants(rating: Rating, account: str, units: dict[str, int]) -> Linked:
    key = f"{rating.key}:{digest(tuple(sorted(units.items())), size=8).hex()}"
    return tuple(
        Grant(
            wallet=wallet_id(account, unit),
            id=transfer_id(account, "grant", key, unit),
            fingerprint=fingerprint(account, "grant", key, unit, amount),
            amount=amount,
            note=f"replay of {rating.trace.name}",
        )
        for unit, amount in sorted(units.items())
    )


def _hold(call: Call) -> Hold:
    return Hold(
        wallet=call.wallet,
        id=transfer_id(call.wallet.account, "hold", call.key),
        fingerprint=_fingerprint("hold", call),
        amount=call.hold,
        ttl=TTL,
    )


def _settle(call: Call, overage: Overage) -> Settle:
    charge = call.charge
    return Settle(
        wallet=call.wallet,
        id=transfer_id(call.wallet.account, "settle", call.key),
        fingerprint=_fingerprint("settle", call),
        hold_id=transfer_id(call.wallet.account, "hold", call.key),
        amount=charge.amount.micro,
        usage=UsageEvent(
            usage=call.usage, price=charge.price, card_version=charge.card_version, cost=charge.cost
        ),
        overage=overage,
        effective_at=call.at,
    )


def _fingerprint(verb: str, call: Call) -> bytes:
    """What was asked: the call itself, not what it is rated at, which a new rate card may change."""
    return fingerprint(call.wallet.account, verb, call.key, call.charge.model, repr(call.usage))
