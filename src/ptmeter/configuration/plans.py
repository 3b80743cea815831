"""Plans: a form becomes the domain's plans."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..domain.plans import Plan, Plans
from .forms import PlansForm, filled

if TYPE_CHECKING:
    from .documents import Document


def plans(document: Document) -> Plans:
    """
    Build the plans a document describes.

    Raises:
        ConfigurationError: It does not hold together.
    """
    form = filled(PlansForm, document)
    return Plans(
        {
            name: Plan(
                name=name,
                price_per_month=plan.price_per_month,
                price_per_year=plan.price_per_year,
                allowance=plan.allowance,
                units=frozenset(plan.units),
                models=tuple(plan.models),
            )
            for name, plan in form.plans.items()
        }
    )
