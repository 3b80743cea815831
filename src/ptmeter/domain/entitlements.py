"""Entitlements: whether a plan opens a model or a feature and, if it does not, why and which plan would."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .plans import Plans


class Reason(StrEnum):
    """Why something is open or locked."""

    IN_PLAN = "in_plan"
    """Open: the plan includes it."""
    NO_PLAN = "no_plan"
    """The account is on no plan: every model is open to it, and every feature locked."""
    NOT_IN_PLAN = "not_in_plan"
    """Locked: the plan does not include it."""
    NOT_YET = "not_yet"
    """Locked: the plan includes it, and it is not let out to this account yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitlement:
    """
    Whether an account may use a model or a feature, by its plan.

    ``plan`` is the plan that holds for it, if any; ``cheapest`` the cheapest plan that opens what is locked,
    if any does. It says nothing of PT and limits. As a condition it is true if it is open.
    """

    subject: str
    allowed: bool
    reason: Reason
    plan: str | None
    cheapest: str | None = None

    def __bool__(self) -> bool:
        return self.allowed

    def __str__(self) -> str:
        match self.reason:
            case Reason.IN_PLAN:
                return f"{self.subject} is part of plan {self.plan!r}"
            case Reason.NO_PLAN if self.allowed:
                return f"{self.subject} is open to an account on no plan"
            case Reason.NO_PLAN:
                return f"{self.subject} needs a plan: {self._remedy}"
            case Reason.NOT_IN_PLAN:
                return f"{self.subject} is not part of plan {self.plan!r}: {self._remedy}"
            case Reason.NOT_YET:
                return f"{self.subject} is part of plan {self.plan!r} and not let out to this account yet"

    @property
    def _remedy(self) -> str:
        return f"plan {self.cheapest!r} opens it" if self.cheapest else "no plan opens it"


def may_use_model(plans: Plans, plan: str | None, *, model: str, unit: str) -> Entitlement:
    """
    Whether an account on *plan* may use *model*, which is charged in *unit*.

    Raises:
        ConfigurationError: There is no such plan.
    """
    subject = f"model {model!r}"
    if plan is None:
        return Entitlement(subject=subject, allowed=True, reason=Reason.NO_PLAN, plan=None)
    if plans.find(plan).opens(model, unit):
        return Entitlement(subject=subject, allowed=True, reason=Reason.IN_PLAN, plan=plan)
    cheapest = plans.cheapest(model, unit)
    return Entitlement(
        subject=subject, allowed=False, reason=Reason.NOT_IN_PLAN, plan=plan, cheapest=cheapest
    )


def may_use_feature(plans: Plans, plan: str | None, *, feature: str, account: str) -> Entitlement:
    """
    Whether *account*, which is on *plan*, may use *feature*: its plan has it, and a flag of that name is on.

    Raises:
        ConfigurationError: There is no such plan.
    """
    subject = f"feature {feature!r}"
    flag = plans.flags.get(feature)
    if plan is None or feature not in plans.find(plan).features:
        reason = Reason.NO_PLAN if plan is None else Reason.NOT_IN_PLAN
        cheapest = plans.cheapest_with(feature)
        return Entitlement(subject=subject, allowed=False, reason=reason, plan=plan, cheapest=cheapest)
    if flag and not flag.is_on(account):
        return Entitlement(subject=subject, allowed=False, reason=Reason.NOT_YET, plan=plan)
    return Entitlement(subject=subject, allowed=True, reason=Reason.IN_PLAN, plan=plan)
