"""Refunds: whole or in part, refused beyond what was paid, and now and then failed days later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..nouns import Noun, make, resource
from ..refusals import RefusedError
from ..values import merge
from . import balance

if TYPE_CHECKING:
    from ..nouns import Call
    from ..values import Obj
    from ..world import World
    from .cards import Means

REFUND: Final = Noun(
    kind="refund",
    prefix="re",
    path="/v1/refunds",
    lacks=("livemode",),
    blank={
        "amount": 0,
        "balance_transaction": None,
        "charge": None,
        "currency": None,
        "customer": None,
        "customer_account": None,
        "destination_details": None,
        "metadata": {},
        "payment_intent": None,
        "payment_method": None,
        "reason": None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "pending",
        "transfer_reversal": None,
    },
    takes=("metadata", "reason"),
    changes=("metadata",),
    filters=("charge", "payment_intent"),
)


def create(world: World, call: Call) -> Obj:
    """Give back what a charge took, or a part of it."""
    params = call.params
    identity = params.get("charge")
    if not identity:
        if not params.get("payment_intent"):
            raise RefusedError("One of the following params should be provided: payment_intent or charge.")
        intent = world.get("payment_intent", params["payment_intent"], "payment_intent")
        identity = intent["latest_charge"]
        if intent["status"] != "succeeded":
            raise RefusedError(
                f"This PaymentIntent ({intent['id']}) does not have a successful charge to refund.",
                param="payment_intent",
            )
    row = world.get("charge", identity, "charge")
    return refund(world, row, params.get("amount"), params)


def refund(world: World, row: Obj, amount: int | None = None, params: Obj | None = None) -> Obj:
    """
    Give back *amount* of a charge, or what is left of it.

    Raises:
        RefusedError: It is more than is left, or the charge was disputed.
    """
    left = row["amount"] - row["amount_refunded"]  # what was let go at the capture counts as refunded
    given = left if amount is None else amount
    _check(row, given, left)
    made = make(
        world,
        REFUND,
        params,
        amount=given,
        charge=row["id"],
        currency=row["currency"],
        payment_intent=row["payment_intent"],
        destination_details={"type": "card", "card": {"type": "refund"}},
    )
    found: Means = row["_means"]
    made["status"] = "pending" if found.refund == "pending" else "succeeded"
    moved = balance.move(
        world,
        made,
        -given,
        kind="refund" if found.kind == "card" else "payment_refund",
        category="refund",
        at_once=True,
    )
    made["balance_transaction"] = moved["id"]
    world.emit("refund.created", made)
    with world.changing(row, "charge.refunded"):
        row["amount_refunded"] += given
        row["refunded"] = row["amount_refunded"] >= row["amount"]
    if found.refund == "fails":
        fail(world, made)
    return made


def _check(row: Obj, given: int, left: int) -> None:
    if row["disputed"]:
        raise RefusedError(
            f"Charge {row['id']} has been charged back; cannot issue a refund.", code="charge_disputed"
        )
    if not row["paid"] or not row["captured"]:
        raise RefusedError(f"Charge {row['id']} has no money to give back.", code="charge_not_refundable")
    if left <= 0:
        raise RefusedError(f"Charge {row['id']} has already been refunded.", code="charge_already_refunded")
    if given < 1:
        raise RefusedError("Invalid positive integer", code="parameter_invalid_integer", param="amount")
    if given > left:
        raise RefusedError(
            f"Refund amount ({given}) is greater than unrefunded amount on charge ({left})", param="amount"
        )


def fail(world: World, made: Obj, reason: str = "unknown") -> None:
    """Let a refund fail after all: the money comes back to the account, and the charge is less refunded."""
    back = balance.move(world, made, made["amount"], kind="refund_failure", at_once=True)
    row = world.get("charge", made["charge"])
    row["amount_refunded"] -= made["amount"]
    row["refunded"] = False
    made |= {"status": "failed", "failure_reason": reason, "failure_balance_transaction": back["id"]}
    _updated(world, made, "refund.failed")


def succeed(world: World, made: Obj) -> None:
    """Let a pending refund arrive."""
    made["status"] = "succeeded"
    _updated(world, made, "refund.updated")


def _updated(world: World, made: Obj, *kinds: str) -> None:
    for kind in dict.fromkeys((*kinds, "refund.updated", "charge.refund.updated")):
        world.emit(kind, made)


def update(world: World, call: Call) -> Obj:
    """Update one's metadata."""
    made = world.get("refund", call.id)
    merge(made, call.params, REFUND.changes)
    _updated(world, made)
    return made


def cancel(world: World, call: Call) -> Obj:
    """Cancel one that is pending."""
    made = world.get("refund", call.id)
    if made["status"] != "pending":
        raise RefusedError(f"A refund with a status of {made['status']} cannot be canceled.")
    fail(world, made)
    made["status"] = "canceled"
    return made


def failure(world: World, made: Obj) -> Obj | None:
    """What put a failed one back on the balance; a refund that has not failed does not name it."""
    name = made.get("failure_balance_transaction")
    return world.shown(world.get("balance_transaction", name)) if name else None


EXPANSIONS: Final = {("refund", "failure_balance_transaction"): failure}
ROUTES: Final = resource(REFUND, create=create, update=update, cancel=cancel)
