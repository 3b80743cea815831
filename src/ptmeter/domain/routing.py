"""
Which model a request is sent to: the one it asks for, a cheaper one in its place, or none.

The plan decides first, then what mitigations leave. In place of a model come those that the plans file names
for it, in order; whichever is open is taken, and why it came to that is kept with the call.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from .accounts import plan_of
from .admission import taken
from .mitigations import strictest
from .rates import PLAIN, WHOLE, Workload
from .windows import Every

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from .accounts import Path
    from .admission import Rules
    from .mitigations import Mitigation


class Outcome(StrEnum):
    """What became of the model that was asked for."""

    REQUESTED = "requested"
    DOWNGRADED = "downgraded"
    REFUSED = "refused"


class Candidate(NamedTuple):
    """A model, and the unit its calls are charged in."""

    model: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """
    Where a request goes: ``model`` is what to send it to, or ``None``; as a condition it is true if there is one.

    ``reason`` says why it is not the one that was asked for, and ``until`` when that may be over.
    """

    outcome: Outcome
    requested: str
    model: str | None
    reason: str = ""
    until: datetime | None = None

    def __bool__(self) -> bool:
        return self.model is not None

    def workload(self, workload: Workload = PLAIN) -> Workload:
        """What to hand to the call, so that its row on the journal says how it was routed."""
        if self.outcome is Outcome.REQUESTED:
            return workload
        return replace(workload, routed=f"{self.requested}: {self.reason}")


class _Closed(NamedTuple):
    reason: str
    until: datetime | None = None


def route(
    path: Path,
    candidates: Sequence[Candidate],
    mitigations: Sequence[Mitigation],
    rules: Rules,
    at: datetime,
) -> Route:
    """
    Route a request of the first account on *path*: the first candidate is what it asks for.

    Raises:
        ConfigurationError: The account is on a plan that there is not.
    """
    requested = candidates[0].model
    first: _Closed | None = None
    for candidate in candidates:
        closed = _closed(path, candidate, mitigations, rules, at)
        if closed is None and first is None:
            return Route(outcome=Outcome.REQUESTED, requested=requested, model=requested)
        first = first or closed
        if closed is None and first is not None:
            return Route(
                outcome=Outcome.DOWNGRADED,
                requested=requested,
                model=candidate.model,
                reason=first.reason,
                until=first.until,
            )
    assert first is not None
    return Route(
        outcome=Outcome.REFUSED,
        requested=requested,
        model=None,
        reason=first.reason,
        until=first.until,
    )


def _closed(
    path: Path, candidate: Candidate, mitigations: Sequence[Mitigation], rules: Rules, at: datetime
) -> _Closed | None:
    """Why a model is not open to the first account on *path*, if it is not."""
    plan = plan_of(path)
    if plan is not None and not rules.plans.find(plan).opens(candidate.model, candidate.unit):
        return _Closed(f"not in plan {plan}")
    found = strictest(mitigations, path, plan, candidate.unit, at)
    if found is None or _is_within(path, found, rules, at):
        return None
    left = f"{found.share / 100:g} % of {found.unit}" if found.share else f"no {found.unit}"
    return _Closed(f"{left} models for now ({found.reason})", found.ends_at)


def _is_within(path: Path, mitigation: Mitigation, rules: Rules, at: datetime) -> bool:
    """Whether the account that is on the plan has used less of the unit than the share that is left of its cycle."""
    if mitigation.share == 0:
        return False
    on = next((account for account in path if account.plan), None)
    if on is None:
        return True
    most = rules.allowance(on) * mitigation.share // WHOLE
    return taken(on, mitigation.unit, Every.MONTH, at) < most
