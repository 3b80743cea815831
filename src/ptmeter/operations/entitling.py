"""Whether an account may use a model or a feature, by the plan that holds for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..domain import entitlements, routing
from ..domain.accounts import plan_of
from ..domain.mitigations import scopes_over
from ..domain.plans import Plans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..domain.admission import Rules
    from ..domain.entitlements import Entitlement
    from ..domain.mitigations import Mitigation
    from ..domain.routing import Candidate, Route
    from ..ports import Books

NO_PLANS: Final = Plans({})


def plan_for(books: Books, account: str) -> str | None:
    """The plan that holds for *account*: its own, or that of the nearest account above it that has one."""
    return plan_of(books.accounts.path(account))


def may_use_model(books: Books, account: str, *, plans: Plans | None, model: str, unit: str) -> Entitlement:
    """Whether *account* may use *model*, which is charged in *unit*; without plans it is on none."""
    plan = plan_for(books, account) if plans else None
    return entitlements.may_use_model(plans or NO_PLANS, plan, model=model, unit=unit)


def may_use_feature(books: Books, account: str, *, plans: Plans | None, feature: str) -> Entitlement:
    """Whether *account* may use *feature*; without plans it is on none."""
    plan = plan_for(books, account) if plans else None
    return entitlements.may_use_feature(plans or NO_PLANS, plan, feature=feature, account=account)


def route(
    books: Books,
    account: str,
    *,
    candidates: Sequence[Candidate],
    mitigations: Sequence[Mitigation],
    rules: Rules,
) -> Route:
    """
    Which of *candidates* a request of the account goes to: the first is what it asks for.

    *mitigations* hold besides those that are kept.
    """
    path, at = books.accounts.path(account), books.ledger.now()
    kept = books.mitigations.holding(scopes_over(path, plan_of(path)), at)
    return routing.route(path, candidates, (*kept, *mitigations), rules, at)
