"""What an invoice says that its account should be told: that it could not be paid, or not even be finalized."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..domain.payment_notices import PaymentNotice, PaymentTopic
from .reading import moment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Json: TypeAlias = "Mapping[str, Any]"

_FIRST: Final = "subscription_create"
"""Why there is an invoice whose customer is at Checkout, and sees there what is wrong."""


def was_tried(invoice: Json) -> bool:
    """Whether somebody who is not there was to pay an invoice, and it is not paid."""
    tried = invoice["status"] in {"open", "uncollectible"} and invoice["attempt_count"] > 0
    return tried and invoice.get("billing_reason") != _FIRST


def not_paid(invoice: Json, intents: Sequence[Json], account: str) -> PaymentNotice:
    """That an invoice was not paid by the latest attempt of its *intents*, why, and when it is tried again."""
    errors: list[Json] = [error for each in intents if (error := each.get("last_payment_error"))]
    asks = any(each["status"] == "requires_action" for each in intents)
    asks = asks or any(each.get("code") == "authentication_required" for each in errors)
    again = invoice.get("next_payment_attempt")
    return PaymentNotice(
        topic=PaymentTopic.ACTION_REQUIRED if asks else PaymentTopic.FAILED,
        account=account,
        about=invoice["id"],
        turn=str(invoice["attempt_count"]),
        facts={
            "invoice": invoice["id"],
            "attempt": invoice["attempt_count"],
            "amount": invoice["amount_remaining"],
            "currency": invoice["currency"],
            "reason": " ".join(each["message"] for each in errors),
            "next_attempt": moment(again).isoformat() if again else None,
            "url": invoice.get("hosted_invoice_url") or "",
        },
    )


def subscribed_twice(going_on: Sequence[Json], account: str) -> PaymentNotice | None:
    """That more than one subscription goes on for an account, of which the last is the one it is on."""
    *others, latest = [each["id"] for each in going_on] or [""]
    if not others:
        return None
    return PaymentNotice(
        topic=PaymentTopic.SUBSCRIBED_TWICE,
        account=account,
        about=latest,
        turn=" ".join(others),
        facts={"subscription": latest, "others": others},
    )


def not_finalized(invoice: Json, account: str) -> PaymentNotice | None:
    """That an invoice cannot be finalized, if that was tried; such as without an address that tax goes by."""
    error: Json = invoice.get("last_finalization_error") or {}
    if not error or invoice["status"] != "draft":
        return None
    reason = error.get("message") or error.get("code") or "Stripe does not say why"
    return PaymentNotice(
        topic=PaymentTopic.NOT_INVOICED,
        account=account,
        about=invoice["id"],
        turn=reason,
        facts={"invoice": invoice["id"], "reason": reason},
    )
