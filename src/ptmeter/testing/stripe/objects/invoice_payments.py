"""How invoices are paid: by an intent of their own, at once, at a later try, or by the customer elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..listing import page
from ..nouns import Noun, make, resource
from ..refusals import RefusedError, declined
from ..values import part, rows_of
from . import payment_intents, payment_methods, standing

if TYPE_CHECKING:
    from ..nouns import Call
    from ..values import Obj
    from ..world import World

PAYMENT: Final = Noun(
    kind="invoice_payment",
    prefix="inpay",
    path="/v1/invoice_payments",
    blank={
        "amount_paid": None,
        "amount_requested": 0,
        "currency": None,
        "invoice": None,
        "is_default": True,
        "payment": None,
        "status": "open",
        "status_transitions": {"canceled_at": None, "paid_at": None},
    },
)
ACTIONS: Final = frozenset({"authentication_required", "invoice_payment_intent_requires_action"})


def ask_for(world: World, invoice: Obj) -> None:
    """Make the intent that pays an invoice, and say so by an invoice payment."""
    wanted: Obj = {
        "amount": invoice["amount_due"],
        "currency": invoice["currency"],
        "customer": invoice["customer"],
        "description": f"Payment for Invoice {invoice['number']}",
    }
    intent = payment_intents.begin(world, wanted, _invoice=invoice["id"])
    invoice["_intent"] = intent["id"]
    payment = make(
        world,
        PAYMENT,
        amount_requested=invoice["amount_due"],
        currency=invoice["currency"],
        invoice=invoice["id"],
        payment={"type": "payment_intent", "payment_intent": intent["id"]},
    )
    invoice["_payment"] = payment["id"]


def means_of(world: World, invoice: Obj) -> str | None:
    """Return the payment method an invoice is paid with if nothing is said."""
    customer = world.get("customer", invoice["customer"], deleted=True)
    subscription = standing.subscription_of(world, invoice)
    own: str | None = subscription["default_payment_method"] if subscription else None
    return (
        invoice["default_payment_method"]
        or own
        or customer["invoice_settings"]["default_payment_method"]
        or customer["default_source"]
    )


def collect(world: World, invoice: Obj, method: str | None = None, *, off_session: bool = True) -> Obj:
    """
    Try to take what is due; if that fails, the subscription has to bear it.

    Raises:
        RefusedError: There is nothing to pay with, the payment was declined, or the customer has to act.
    """
    chosen = method or means_of(world, invoice)
    invoice |= {"attempted": True, "attempt_count": invoice["attempt_count"] + 1}
    try:
        intent = _confirmed(world, invoice, chosen, off_session=off_session)
    except RefusedError as refused:
        if refused.error.get("code") in ACTIONS:
            world.emit("invoice.payment_action_required", invoice)
        standing.unpaid(world, invoice)
        world.emit("invoice.payment_failed", invoice)
        world.emit("invoice.updated", invoice, {"attempt_count": invoice["attempt_count"] - 1})
        raise
    return settled(world, invoice) if intent["status"] == "succeeded" else invoice


def _confirmed(world: World, invoice: Obj, method: str | None, *, off_session: bool) -> Obj:
    if method is None:
        raise RefusedError(
            "There is no default_payment_method set on this Customer or Invoice.", code="missing"
        )
    intent = world.get("payment_intent", invoice["_intent"])
    intent["payment_method"] = payment_methods.named(world, method)["id"]
    payment_intents.confirmed(world, intent, off_session=off_session)
    if intent["status"] == "requires_action":
        raise declined("invoice_payment_intent_requires_action", None)
    return intent


def attached(world: World, invoice: Obj, intent: Obj) -> Obj:
    """Have a payment that succeeded pay a part of an invoice, or all that is left of it."""
    part: int = min(intent["amount_received"], invoice["amount_remaining"])
    paid = make(
        world,
        PAYMENT,
        amount_paid=part,
        amount_requested=part,
        currency=invoice["currency"],
        invoice=invoice["id"],
        is_default=False,
        payment={"type": "payment_intent", "payment_intent": intent["id"]},
        status="paid",
    )
    paid["status_transitions"]["paid_at"] = world.now(invoice["test_clock"])
    world.emit("invoice_payment.paid", paid)
    left = invoice["amount_remaining"] - part
    invoice |= {"amount_paid": invoice["amount_paid"] + part, "amount_remaining": left}
    asked = world.get("payment_intent", invoice["_intent"])
    if left:
        asked["amount"] = left
        return invoice
    payment_intents.give_up(world, asked)
    return settled(world, invoice, elsewhere=True)


def settled(world: World, invoice: Obj, *, elsewhere: bool = False) -> Obj:
    """Mark one as paid: by what was asked for, unless it was paid *elsewhere*."""
    now = world.now(invoice["test_clock"])
    left = 0 if elsewhere else invoice["amount_remaining"]
    invoice |= {
        "amount_paid": invoice["amount_paid"] + left,
        "amount_remaining": 0,
        "attempted": True,
        "next_payment_attempt": None,
        "status": "paid",
    }
    invoice["status_transitions"]["paid_at"] = now
    if payment := world.find(invoice.get("_payment") or ""):
        payment |= {"status": "canceled" if elsewhere else "paid"}
        payment["amount_paid"] = None if elsewhere else left
        payment["status_transitions"]["canceled_at" if elsewhere else "paid_at"] = now
        if not elsewhere:
            world.emit("invoice_payment.paid", payment)
    world.emit("invoice.updated", invoice, {"status": "open"})
    world.emit("invoice.paid", invoice)
    world.emit("invoice.payment_succeeded", invoice)
    standing.paid(world, invoice)
    return invoice


def told(world: World, intent: Obj) -> None:
    """Tell an invoice what became of its payment intent, when that was confirmed elsewhere."""
    invoice = world.find(intent.get("_invoice") or "")
    if invoice is None or invoice["status"] not in {"open", "uncollectible"}:
        return
    if intent["status"] == "succeeded":
        settled(world, invoice)
    elif intent["status"] == "requires_payment_method" and intent["last_payment_error"]:
        standing.unpaid(world, invoice)
        world.emit("invoice.payment_failed", invoice)


def payments(world: World, invoice: Obj) -> Obj:
    """Return what was paid on an invoice, for ``expand[]=payments``."""
    rows = world.every("invoice_payment", invoice=invoice["id"])
    return rows_of(
        [world.shown(row) for row in reversed(rows)], f"/v1/invoice_payments?invoice={invoice['id']}"
    )


def secret(world: World, invoice: Obj) -> Obj | None:
    """Return what a browser confirms the payment with, for ``expand[]=confirmation_secret``."""
    intent = world.find(world.get("invoice", invoice["id"]).get("_intent") or "")
    return intent and {"client_secret": intent["client_secret"], "type": "payment_intent"}


def _list_payments(world: World, call: Call) -> Obj:
    params = call.params
    where = {name: params[name] for name in ("invoice", "status") if params.get(name)}
    rows = world.every("invoice_payment", **where)
    if wanted := part(params, "payment").get("payment_intent"):
        rows = [row for row in rows if row["payment"]["payment_intent"] == wanted]
    return page(rows, params, call.path)


EXPANSIONS: Final = {("invoice", "payments"): payments, ("invoice", "confirmation_secret"): secret}
ROUTES: Final = resource(PAYMENT, create=None, update=None, all=_list_payments)
