"""Usage that is billed afterwards: events of a billing meter."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from .requests import StripeRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..errors import StripeRefusedError

Json: TypeAlias = "Mapping[str, Any]"

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


def refused(report: Json) -> tuple[str, tuple[str, ...]]:
    """What a billing meter could not count and why, and the ids of some of the messages that reported it."""
    data: Json = report.get("data") or {}
    reason: Json = data.get("reason") or {}
    kinds: list[Json] = reason.get("error_types") or []
    samples: list[Json] = [each for kind in kinds for each in kind["sample_errors"]]
    why = "; ".join(sorted({each["error_message"] for each in samples}))
    problem = (
        f"{data.get('developer_message_summary') or 'it does not say what'}: {why or 'it does not say why'}"
    )
    return problem, tuple(each["request"]["identifier"] for each in samples)


def is_taken(error: StripeRefusedError) -> bool:
    """Whether it was refused because Stripe has that event already: then it is delivered."""
    return error.reason == "duplicate_meter_event" or _TAKEN in str(error)
