"""All there is in the fake: the routes of every noun, what they show, and what can be expanded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .nouns import Route
from .objects import (
    account,
    balance,
    catalogue,
    changing,
    charges,
    checkout,
    credit_notes,
    customers,
    discounts,
    disputes,
    invoice_lines,
    invoice_payments,
    invoices,
    listening,
    meters,
    payment_intents,
    payment_methods,
    payouts,
    portal,
    previews,
    refunds,
    schedules,
    setup_intents,
    subscriptions,
    test_clocks,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .values import Obj
    from .world import View

VIEWS: Final[Mapping[str, View]] = {"balance_transaction": balance.view, "invoice": invoices.view}

EXPANSIONS: Final[Mapping[tuple[str, str], View]] = {
    **catalogue.EXPANSIONS,
    **charges.EXPANSIONS,
    **checkout.EXPANSIONS,
    **customers.EXPANSIONS,
    **refunds.EXPANSIONS,
    **invoice_payments.EXPANSIONS,
}


def routes(taken: Callable[[Obj], bool]) -> tuple[Route, ...]:
    """Return every route; *taken* says whether all endpoints have taken an event."""
    return (
        Route("GET", "/v1/events", listening.list_events(taken)),
        *account.ROUTES,
        *balance.ROUTES,
        *catalogue.ROUTES,
        *changing.ROUTES,
        *charges.ROUTES,
        *checkout.ROUTES,
        *credit_notes.ROUTES,
        *customers.ROUTES,
        *discounts.ROUTES,
        *disputes.ROUTES,
        *previews.ROUTES,
        *invoice_lines.ROUTES,
        *invoice_payments.ROUTES,
        *invoices.ROUTES,
        *listening.ROUTES,
        *meters.ROUTES,
        *payment_intents.ROUTES,
        *payment_methods.ROUTES,
        *payouts.ROUTES,
        *portal.ROUTES,
        *refunds.ROUTES,
        *schedules.ROUTES,
        *setup_intents.ROUTES,
        *subscriptions.ROUTES,
        *test_clocks.ROUTES,
    )
