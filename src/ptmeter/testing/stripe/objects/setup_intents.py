"""Setup intents: a payment method is saved for later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..nouns import Noun, make, resource
from ..refusals import RefusedError, declined
from . import payment_methods

if TYPE_CHECKING:
    from ..nouns import Call
    from ..values import Obj
    from ..world import World
    from .cards import Means

SETUP_INTENT: Final = Noun(
    kind="setup_intent",
    prefix="seti",
    path="/v1/setup_intents",
    blank={
        "application": None,
        "automatic_payment_methods": None,
        "cancellation_reason": None,
        "client_secret": None,
        "customer": None,
        "description": None,
        "excluded_payment_method_types": None,
        "flow_directions": None,
        "last_setup_error": None,
        "latest_attempt": None,
        "mandate": None,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "single_use_mandate": None,
        "status": "requires_payment_method",
        "usage": "off_session",
    },
    takes=(
        "customer",
        "description",
        "metadata",
        "payment_method_options",
        "payment_method_types",
        "usage",
    ),
    changes=("customer", "description", "metadata", "payment_method_types"),
    filters=("customer", "payment_method"),
)


def create(world: World, call: Call) -> Obj:
    """Make one, and confirm it at once if that is asked for."""
    return begin(world, call.params)


def begin(world: World, params: Obj) -> Obj:
    """Make one, and confirm it if ``confirm`` says so."""
    method = (
        payment_methods.named(world, params["payment_method"]) if params.get("payment_method") else None
    )
    intent = make(world, SETUP_INTENT, params)
    intent["client_secret"] = f"{intent['id']}_secret_fake"
    if method is not None:
        intent |= {"payment_method": method["id"], "status": "requires_confirmation"}
    world.emit("setup_intent.created", intent)
    return confirmed(world, intent) if params.get("confirm") else intent


def confirm(world: World, call: Call) -> Obj:
    """Confirm one."""
    intent = world.get("setup_intent", call.id)
    if call.params.get("payment_method"):
        intent["payment_method"] = payment_methods.named(world, call.params["payment_method"])["id"]
    return confirmed(world, intent)


def confirmed(world: World, intent: Obj) -> Obj:
    """Save the payment method; a card that asks for authentication waits for it."""
    if intent["status"] in {"succeeded", "canceled"} or intent["payment_method"] is None:
        raise RefusedError(
            f"You cannot confirm this SetupIntent because it has a status of {intent['status']}.",
            code="setup_intent_unexpected_state",
        )
    method = world.get("payment_method", intent["payment_method"])
    found: Means = method["_means"]
    if found.outcome == "declined" and not found.attaches:
        refused = declined(found.code or "card_declined", found.decline_code)
        intent |= {"status": "requires_payment_method", "payment_method": None}
        intent["last_setup_error"] = dict(refused.error)
        world.emit("setup_intent.setup_failed", intent)
        refused.error["setup_intent"] = world.shown(intent)
        raise refused
    if found.outcome == "action":
        intent |= {
            "status": "requires_action",
            "next_action": {"type": "use_stripe_sdk", "use_stripe_sdk": {}},
        }
        world.emit("setup_intent.requires_action", intent)
        return intent
    return succeed(world, intent)


def succeed(world: World, intent: Obj) -> Obj:
    """Save the payment method for the customer."""
    intent |= {"status": "succeeded", "next_action": None}
    if intent["customer"]:
        payment_methods.attached(
            world, world.get("payment_method", intent["payment_method"]), intent["customer"]
        )
    world.emit("setup_intent.succeeded", intent)
    return intent


def cancel(world: World, call: Call) -> Obj:
    """Give one up."""
    intent = world.get("setup_intent", call.id)
    intent |= {"status": "canceled", "cancellation_reason": call.params.get("cancellation_reason")}
    world.emit("setup_intent.canceled", intent)
    return intent


ROUTES: Final = resource(SETUP_INTENT, create=create, confirm=confirm, cancel=cancel)
