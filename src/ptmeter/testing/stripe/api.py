"""All there is in the fake: the routes of every noun, what they show, and what can be expanded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .nouns import Route
from .objects import (
    account,
    balance,
    catalogue,
    charges,
    checkout,
    customers,
    discounts,
    disputes,
    listening,
    payment_intents,
    payment_methods,
    refunds,
    setup_intents,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .values import Obj
    from .world import View

VIEWS: Final[Mapping[str, View]] = {"balance_transaction": balance.view}

EXPANSIONS: Final[Mapping[tuple[str, str], View]] = {
    **charges.EXPANSIONS,
    **checkout.EXPANSIONS,
    **customers.EXPANSIONS,
    **refunds.EXPANSIONS,
}


def routes(taken: Callable[[Obj], bool]) -> tuple[Route, ...]:
    """Return every route; *taken* says whether all endpoints have taken an event."""
    return (
        Route("GET", "/v1/events", listening.list_events(taken)),
        *account.ROUTES,
        *balance.ROUTES,
        *catalogue.ROUTES,
        *charges.ROUTES,
        *checkout.ROUTES,
        *customers.ROUTES,
        *discounts.ROUTES,
        *disputes.ROUTES,
        *listening.ROUTES,
        *payment_intents.ROUTES,
        *payment_methods.ROUTES,
        *refunds.ROUTES,
        *setup_intents.ROUTES,
    )
