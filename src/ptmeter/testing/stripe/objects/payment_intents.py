"""Payment intents: created, confirmed, authenticated, captured, canceled, or declined."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..nouns import Noun, Route, make, resource
from ..refusals import DECLINES, RefusedError, declined, missing
from ..values import merge, part
from . import charges, disputes, payment_methods

if TYPE_CHECKING:
    from ..nouns import Call
    from ..values import Obj
    from ..world import World
    from .cards import Means

_TAKES: Final = (
    *("amount", "application_fee_amount", "currency", "customer", "description", "metadata"),
    *("payment_method_options", "payment_method_types", "receipt_email", "setup_future_usage", "shipping"),
    *("statement_descriptor", "statement_descriptor_suffix", "transfer_group"),
)

PAYMENT_INTENT: Final = Noun(
    kind="payment_intent",
    prefix="pi",
    path="/v1/payment_intents",
    blank={
        "amount": 0,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic",
        "client_secret": None,
        "confirmation_method": "automatic",
        "currency": None,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "managed_payments": {"enabled": False},
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
    },
    takes=(*_TAKES, "capture_method", "confirmation_method"),
    changes=_TAKES,
    needs=("amount", "currency"),
    filters=("customer",),
)

CANCELABLE: Final = frozenset(
    {
        "requires_payment_method",
        "requires_confirmation",
        "requires_action",
        "requires_capture",
        "processing",
    }
)
LEAST: Final = {"usd": 50, "eur": 50, "gbp": 30, "jpy": 50}
"""The smallest amount that is charged, in minor units, where it is known."""
LARGEST: Final = 99_999_999


def create(world: World, call: Call) -> Obj:
    """Make one, and confirm it at once if that is asked for."""
    return begin(world, call.params)


def begin(world: World, params: Obj, **fixed: Any) -> Obj:
    """
    Make one, and confirm it if ``confirm`` says so.

    Raises:
        RefusedError: A parameter is wrong, or the payment was declined; then the intent is there all the same.
    """
    _chargeable(params.get("amount"), params.get("currency"))
    if params.get("customer"):
        world.get("customer", params["customer"], "customer")
    method = (
        payment_methods.named(world, params["payment_method"]) if params.get("payment_method") else None
    )
    if method is None and params.get("payment_method_data"):
        method = payment_methods.created(world, params["payment_method_data"])
    intent = make(world, PAYMENT_INTENT, params, **fixed)
    intent["client_secret"] = f"{intent['id']}_secret_fake"
    if part(params, "automatic_payment_methods").get("enabled"):
        intent["automatic_payment_methods"] = {"enabled": True, "allow_redirects": "always"}
    if method is not None:
        intent |= {"payment_method": method["id"], "status": "requires_confirmation"}
    world.emit("payment_intent.created", intent)
    if params.get("confirm"):
        confirmed(world, intent, off_session=bool(params.get("off_session")))
    return intent


def least(currency: str | None) -> int:
    """Return the smallest amount that is charged, in minor units."""
    return LEAST.get(currency or "", 1)


def _chargeable(amount: int | None, currency: str | None) -> None:
    if amount is None:
        return
    if amount < 1:
        raise RefusedError(
            "This value must be greater than or equal to 1.",
            code="parameter_invalid_integer",
            param="amount",
        )
    if amount < least(currency):
        raise RefusedError(
            "Amount must be no less than what Stripe charges at least.",
            code="amount_too_small",
            param="amount",
        )
    if amount > LARGEST:
        raise RefusedError(
            "Amount must be no more than $999,999.99", code="amount_too_large", param="amount"
        )


def confirm(world: World, call: Call) -> Obj:
    """Confirm one, with the payment method that is named or the one it has."""
    intent = world.get("payment_intent", call.id)
    _fit(intent, "requires_payment_method", "requires_confirmation", "requires_action", verb="confirm")
    _take_method(world, intent, call.params)
    merge(intent, call.params, ("receipt_email", "shipping", "setup_future_usage"))
    world.watched.append(intent)
    return confirmed(world, intent, off_session=bool(call.params.get("off_session")))


def _take_method(world: World, intent: Obj, params: Obj) -> None:
    if params.get("payment_method"):
        intent["payment_method"] = payment_methods.named(world, params["payment_method"])["id"]
    elif params.get("payment_method_data"):
        intent["payment_method"] = payment_methods.created(world, params["payment_method_data"])["id"]


def confirmed(world: World, intent: Obj, *, off_session: bool = False) -> Obj:
    """
    Try to pay: afterwards it has succeeded, or waits for the customer, the bank or a capture.

    Raises:
        RefusedError: The payment was declined, or there is nothing to pay with.
    """
    if intent["payment_method"] is None:
        raise RefusedError(
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            code="payment_intent_unexpected_state",
            param="payment_method",
        )
    method = world.get("payment_method", intent["payment_method"], "payment_method")
    if method["customer"] is not None and method["customer"] != intent["customer"]:
        raise RefusedError(
            "The provided PaymentMethod belongs to another customer than this PaymentIntent.",
            param="payment_method",
        )
    intent["last_payment_error"] = None
    found: Means = method["_means"]
    match found.outcome:
        case "declined":
            raise _declined(world, intent, method, found.code or "card_declined", found.decline_code)
        case "action" if off_session:
            raise _declined(world, intent, method, "authentication_required", "authentication_required")
        case "action":
            _ask(world, intent)
        case "processing":
            _process(world, intent, method)
        case "succeeds":
            succeed(world, intent, method)
    return intent


def _ask(world: World, intent: Obj) -> None:
    action = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
    intent |= {"status": "requires_action", "next_action": action}
    world.emit("payment_intent.requires_action", intent)


def _process(world: World, intent: Obj, method: Obj) -> None:
    """Wait for the bank: what answers at once is settled as soon as this request is done."""
    found: Means = method["_means"]
    row = charges.charge(world, intent, method, "pending")
    intent |= {"status": "processing", "latest_charge": row["id"], "next_action": None}
    intent["_settles_at"] = None if found.after is None else world.now() + found.after
    world.watched.append(intent)
    world.emit("payment_intent.processing", intent)
    world.emit("charge.pending", row)


def succeed(world: World, intent: Obj, method: Obj) -> None:
    """Take the money, or set it aside if it is to be captured by hand."""
    found: Means = method["_means"]
    _save(world, intent, method)
    if intent["capture_method"] == "manual":
        row = charges.charge(world, intent, method, "succeeded", captured=False)
        intent |= {
            "status": "requires_capture",
            "amount_capturable": intent["amount"],
            "latest_charge": row["id"],
        }
        world.emit("charge.succeeded", row)
        world.emit("payment_intent.amount_capturable_updated", intent)
        return
    pending = world.find(intent["latest_charge"]) if intent["status"] == "processing" else None
    row = charges.collect(world, pending or charges.charge(world, intent, method, "succeeded"))
    _received(world, intent, row)
    if found.dispute:
        disputes.dispute(world, row, reason=found.dispute, inquiry=found.inquiry)


def _received(world: World, intent: Obj, row: Obj) -> None:
    intent |= {
        "status": "succeeded",
        "amount_received": row["amount_captured"],
        "amount_capturable": 0,
        "latest_charge": row["id"],
        "next_action": None,
        "_settles_at": None,
    }
    world.emit("charge.succeeded", row)
    world.emit("payment_intent.succeeded", intent)
    world.watched.append(intent)


def _save(world: World, intent: Obj, method: Obj) -> None:
    if intent["setup_future_usage"] and intent["customer"] and method["customer"] is None:
        payment_methods.attached(world, method, intent["customer"])


def _declined(world: World, intent: Obj, method: Obj, code: str, decline_code: str | None) -> RefusedError:
    refused = declined(code, decline_code, payment_method=world.shown(method))
    pending = world.find(intent["latest_charge"]) if intent["status"] == "processing" else None
    row = pending or charges.charge(world, intent, method, "failed")
    charges.fail(row, code, decline_code, DECLINES.get(decline_code or code, "Your card was declined."))
    refused.error["charge"] = row["id"]
    intent |= {
        "status": "requires_payment_method",
        "payment_method": None,
        "latest_charge": row["id"],
        "next_action": None,
        "_settles_at": None,
        "last_payment_error": dict(refused.error),
    }
    world.emit("charge.failed", row)
    world.emit("payment_intent.payment_failed", intent)
    refused.error["payment_intent"] = world.shown(intent)
    return refused


def settle(world: World, intent: Obj, *, paid: bool) -> None:
    """Say what the bank, or the customer's authentication, came to."""
    identity = intent["payment_method"]
    method = world.get("payment_method", identity)
    if paid:
        succeed(world, intent, method)
    elif intent["status"] == "requires_action":
        failed = "payment_intent_authentication_failure"
        _declined(world, intent, method, failed, None)
    else:
        _declined(world, intent, method, "payment_method_provider_decline", "generic_decline")


def capture(world: World, call: Call) -> Obj:
    """Take what was set aside, or a part of it; the rest is let go."""
    intent = world.get("payment_intent", call.id)
    _fit(intent, "requires_capture", verb="capture")
    amount = call.params.get("amount_to_capture") or intent["amount_capturable"]
    if amount > intent["amount_capturable"]:
        raise RefusedError(
            "The amount to capture is larger than what can be captured.", param="amount_to_capture"
        )
    row = world.get("charge", intent["latest_charge"])
    charges.collect(world, row, amount)
    row["amount_refunded"] = row["amount"] - amount
    intent |= {"status": "succeeded", "amount_received": amount, "amount_capturable": 0}
    world.emit("charge.captured", row)
    world.emit("payment_intent.succeeded", intent)
    return intent


def cancel(world: World, call: Call) -> Obj:
    """Give one up."""
    intent = world.get("payment_intent", call.id)
    _fit(intent, *CANCELABLE, verb="cancel")
    return give_up(world, intent, call.params.get("cancellation_reason"))


def give_up(world: World, intent: Obj, reason: str | None = None) -> Obj:
    """Cancel an intent that is not paid."""
    intent |= {
        "status": "canceled",
        "canceled_at": world.now(),
        "cancellation_reason": reason,
        "amount_capturable": 0,
        "next_action": None,
        "_settles_at": None,
    }
    world.emit("payment_intent.canceled", intent)
    return intent


def update(world: World, call: Call) -> Obj:
    """Update one that is not under way; Stripe has no event for it."""
    intent = world.get("payment_intent", call.id)
    if set(call.params) - {"metadata", "description", "receipt_email"}:
        _fit(intent, "requires_payment_method", "requires_confirmation", "requires_action", verb="update")
    merge(intent, call.params, PAYMENT_INTENT.changes)
    _take_method(world, intent, call.params)
    if intent["status"] == "requires_payment_method" and intent["payment_method"]:
        intent["status"] = "requires_confirmation"
    return intent


def _fit(intent: Obj, *statuses: str, verb: str) -> None:
    if intent["status"] not in statuses:
        raise RefusedError(
            f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}.",
            code="payment_intent_unexpected_state",
        )


def create_charge(world: World, call: Call) -> Obj:
    """Charge a source in the way of old, which is through an intent as well."""
    params: Obj = call.params
    for name in ("amount", "currency"):
        if params.get(name) is None:
            raise missing(name)
    source = params.get("source") or (
        world.get("customer", params["customer"], "customer")["default_source"]
        if params.get("customer")
        else None
    )
    if source is None:
        raise RefusedError("Must provide source or customer.", code="parameter_missing", param="source")
    wanted: Any = {name: value for name, value in params.items() if name != "source"}
    wanted |= {"payment_method": source, "confirm": True}
    intent = begin(world, wanted)
    return world.get("charge", intent["latest_charge"])


ROUTES: Final = (
    *resource(
        PAYMENT_INTENT, create=create, update=update, confirm=confirm, capture=capture, cancel=cancel
    ),
    Route("POST", "/v1/charges", create_charge),
)
