"""What happens by itself as time goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .objects import checkout, payment_intents
from .refusals import RefusedError

if TYPE_CHECKING:
    from .objects.cards import Means
    from .values import Obj
    from .world import World


def settle(world: World, intent: Obj, *, paid: bool) -> None:
    """
    Let the bank, or the customer, answer for a payment; its session is told.

    Raises:
        RefusedError: Nobody is asked.
    """
    if intent["status"] not in {"processing", "requires_action"}:
        raise RefusedError(f"This PaymentIntent has a status of {intent['status']}: nobody is asked.")
    payment_intents.settle(world, intent, paid=paid)
    checkout.settled(world, intent)


def settle_at_once(world: World) -> None:
    """Let the banks answer that are not waited for: what is left open is what takes minutes, or a test."""
    for intent in world.every("payment_intent", status="processing"):
        if intent.get("_settles_at") is not None and intent["_settles_at"] <= world.now():
            method = world.get("payment_method", intent["payment_method"])
            found: Means = method["_means"]
            settle(world, intent, paid=found.later == "succeeds")


def catch_up(world: World) -> None:
    """Let happen what is due by now on no test clock."""
    settle_at_once(world)
    for session in world.every("checkout.session", status="open"):
        if session["expires_at"] <= world.now():
            checkout.expired(world, session)
