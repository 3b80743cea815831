"""Charging a saved card while nobody is there: the payment of a top-up that was asked for by itself."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..domain.minor_units import minor
from .reading import ACCOUNT, TOP_UP, metadata_of
from .requests import StripeRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..domain.top_ups import TopUp

Json: TypeAlias = "Mapping[str, Any]"

_SKEW: Final = timedelta(hours=1)
"""How far the database's clock may be ahead of Stripe's; a payment that is not found is made a second time."""

CARD_ERROR = 402
"""The status of a refusal that is the card's, and not ours (docs.stripe.com/api/errors)."""


def since(customer: str, top_up: TopUp) -> StripeRequest:
    """The payments of a customer since a top-up was asked for: one may be for it."""
    begun = int((top_up.requested_at - _SKEW).timestamp())
    return StripeRequest("payment_intents", {"customer": customer, "created": {"gte": begun}})


def begun_before(intents: Iterable[Json], top_up: TopUp) -> Json | None:
    """The payment that was begun for a top-up, however long ago."""
    return next((each for each in intents if metadata_of(each).get(TOP_UP) == top_up.id), None)


def create(top_up: TopUp, customer: str, payment_method: str) -> StripeRequest:
    """A payment that is confirmed at once; the bank may still ask for its customer, which is a refusal here."""
    params = {
        "amount": minor(top_up.price),
        "currency": top_up.price.currency.lower(),
        "customer": customer,
        "payment_method": payment_method,
        "off_session": True,
        "confirm": True,
        "description": f"{top_up.amount} {top_up.unit}, topped up",
        "metadata": {ACCOUNT: top_up.account, TOP_UP: top_up.id},
    }
    return StripeRequest("payment_intents", params)


def failure(intent: Json) -> str | None:
    """Why a payment that was begun will not be made; ``None`` if it was, or may yet be."""
    if intent["status"] not in {"canceled", "requires_payment_method", "requires_action"}:
        return None
    error: Json = intent.get("last_payment_error") or {}
    return error.get("message") or intent.get("cancellation_reason") or intent["status"]
