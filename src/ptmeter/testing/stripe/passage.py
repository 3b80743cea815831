"""What happens by itself as time goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .objects import charges, checkout, invoice_payments, payment_intents, test_clocks
from .refusals import RefusedError
from .renewals import run

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
    invoice_payments.told(world, intent)


def settle_at_once(world: World) -> None:
    """Let happen what a request set going: banks answer that are not waited for, test clocks arrive."""
    watched, world.watched = world.watched, []
    for obj in watched:
        if obj["object"] == "test_helpers.test_clock":
            _arrive(world, obj)
        elif obj["object"] == "charge":
            charges.book(world, obj)
        elif obj["status"] == "processing":
            _answer(world, obj)
        else:
            checkout.settled(world, obj)
            invoice_payments.told(world, obj)


def _arrive(world: World, clock: Obj) -> None:
    run(world, clock["id"], clock["_target"])
    test_clocks.ready(world, clock)


def _answer(world: World, intent: Obj) -> None:
    """Let a bank answer whose time has come; else the payment is watched on."""
    if intent["_settles_at"] is None or intent["_settles_at"] > world.now():
        world.watched.append(intent)
        return
    found: Means = world.get("payment_method", intent["payment_method"])["_means"]
    settle(world, intent, paid=found.later == "succeeds")


def catch_up(world: World) -> None:
    """Let happen what is due by now on no test clock."""
    settle_at_once(world)
    for session in world.every("checkout.session", status="open"):
        if session["expires_at"] <= world.now():
            checkout.expired(world, session)
    run(world, None, world.now())
    settle_at_once(world)
