"""Usage that is billed afterwards: events of a billing meter."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from .requests import StripeRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..errors import StripeRefusedError

REMEMBERED: Final = timedelta(hours=24)
"""How long Stripe knows an event by its identifier, at least (docs.stripe.com/api/billing/meter-event/create)."""

_TAKEN: Final = "already exists with identifier"


def event(identifier: str, customer: str, facts: Mapping[str, Any]) -> StripeRequest:
    """An event: so many micro-PT were charged to that customer."""
    params = {
        "event_name": facts["event"],
        "identifier": identifier,
        "timestamp": facts["timestamp"],
        "payload": {"stripe_customer_id": customer, "value": str(facts["amount"])},
    }
    return StripeRequest("billing/meter_events", params)


def is_taken(error: StripeRefusedError) -> bool:
    """Whether it was refused because Stripe has that event already: then it is delivered."""
    return error.reason == "duplicate_meter_event" or _TAKEN in str(error)
