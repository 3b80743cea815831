"""Credit notes: an invoice corrected, before it is paid or after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..listing import page
from ..nouns import Noun, Route, make, resource
from ..refusals import RefusedError, missing
from ..values import merge
from . import refunds
from .credit import adjust
from .invoice_payments import settled

if TYPE_CHECKING:
    from ..nouns import Call
    from ..values import Obj
    from ..world import World

CREDIT_NOTE: Final = Noun(
    kind="credit_note",
    prefix="cn",
    path="/v1/credit_notes",
    blank={
        "amount": 0,
        "amount_shipping": 0,
        "currency": None,
        "customer": None,
        "customer_account": None,
        "customer_balance_transaction": None,
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": None,
        "invoice": None,
        "lines": {"object": "list", "data": [], "has_more": False, "url": ""},
        "memo": None,
        "metadata": {},
        "number": None,
        "out_of_band_amount": None,
        "pdf": None,
        "post_payment_amount": 0,
        "pre_payment_amount": 0,
        "pretax_credit_amounts": [],
        "reason": None,
        "refunds": [],
        "shipping_cost": None,
        "status": "issued",
        "subtotal": 0,
        "subtotal_excluding_tax": 0,
        "total": 0,
        "total_excluding_tax": 0,
        "total_taxes": [],
        "type": "pre_payment",
        "voided_at": None,
    },
    takes=("effective_at", "memo", "metadata", "out_of_band_amount", "reason"),
    changes=("memo", "metadata"),
    filters=("customer", "invoice"),
)
_LINE: Final[Obj] = {
    "object": "credit_note_line_item",
    "discount_amount": 0,
    "discount_amounts": [],
    "invoice_line_item": None,
    "livemode": False,
    "metadata": {},
    "pretax_credit_amounts": [],
    "tax_rates": [],
    "taxes": [],
    "unit_amount": None,
    "unit_amount_decimal": None,
}


def create(world: World, call: Call) -> Obj:
    """
    Issue one for an amount or for lines.

    Before payment it lessens what is due. After payment the amount has to be given back: as a refund, as credit to
    the customer's balance, or outside Stripe.
    """
    note, invoice, paid = _note(world, call.params)
    world.emit("credit_note.created", note)
    (_give_back if paid else _lessen)(world, note, invoice, call.params)
    return note


def preview(world: World, call: Call) -> Obj:
    """Say what one would be, and keep nothing of it."""
    with world.supposing():
        note, _, _ = _note(world, call.params)
    world.drop(note)
    return note


def _note(world: World, params: Obj) -> tuple[Obj, Obj, bool]:
    """Return a credit note that has done nothing yet, its invoice, and whether that is paid."""
    if not params.get("invoice"):
        raise missing("invoice")
    invoice = world.get("invoice", params["invoice"], "invoice")
    lines = [_line(world, invoice, wanted) for wanted in params.get("lines") or ()]
    amount = sum(line["amount"] for line in lines) if lines else params.get("amount")
    if amount is None:
        raise missing("amount")
    paid = _check(invoice, amount, params)
    lines = lines or [_whole(world, amount)]
    note = make(
        world,
        CREDIT_NOTE,
        params,
        amount=amount,
        currency=invoice["currency"],
        customer=invoice["customer"],
        invoice=invoice["id"],
        number=f"{invoice['number']}-CN-{len(world.every('credit_note', invoice=invoice['id'])) + 1:02d}",
        pdf=f"https://pay.stripe.com/credit_notes/acct_fake/{invoice['id']}/pdf",
        subtotal=amount,
        subtotal_excluding_tax=amount,
        total=amount,
        total_excluding_tax=amount,
        type="post_payment" if paid else "pre_payment",
        **{"post_payment_amount" if paid else "pre_payment_amount": amount},
    )
    note["effective_at"] = note["effective_at"] or note["created"]
    note["lines"] |= {"data": lines, "url": f"/v1/credit_notes/{note['id']}/lines"}
    return note, invoice, paid


def _check(invoice: Obj, amount: int, params: Obj) -> bool:
    """Whether the invoice is paid; if so, all has to be given back in some way."""
    if invoice["status"] not in {"open", "paid", "uncollectible"}:
        raise RefusedError(
            f"The invoice has a status of {invoice['status']}: it cannot be credited.", param="invoice"
        )
    paid = invoice["status"] == "paid"
    credited = invoice["post_payment_credit_notes_amount"] + invoice["pre_payment_credit_notes_amount"]
    left = (
        invoice["amount_paid"] - invoice["post_payment_credit_notes_amount"]
        if paid
        else invoice["amount_remaining"]
    )
    if not 0 < amount <= min(left, invoice["total"] - credited):
        raise RefusedError(
            "The credit note amount is more than what is left of the invoice.", param="amount"
        )
    ways = ("refund_amount", "credit_amount", "out_of_band_amount")
    given = sum(params.get(name) or 0 for name in ways) + sum(
        each.get("amount_refunded") or 0 for each in params.get("refunds") or ()
    )
    if paid and not params.get("refund") and given != amount:
        raise RefusedError(
            f"The sum of credit amount, refund amount and out of band amount ({given}) must equal the post payment "
            f"credit note amount ({amount}).",
        )
    return paid


def _line(world: World, invoice: Obj, wanted: Obj) -> Obj:
    quantity = wanted.get("quantity") or 1
    if wanted.get("type") == "invoice_line_item":
        rows: list[Obj] = invoice["lines"]["data"]
        row = next((each for each in rows if each["id"] == wanted.get("invoice_line_item")), None)
        if row is None:
            raise RefusedError("No such invoice line item.", code="resource_missing", param="lines[0]")
        amount = wanted.get("amount") or row["amount"] * quantity // (row["quantity"] or 1)
        more: Obj = {"invoice_line_item": row["id"], "description": row["description"]}
    else:
        amount = wanted.get("amount") or (wanted.get("unit_amount") or 0) * quantity
        unit = wanted.get("unit_amount")
        more = {
            "description": wanted.get("description"),
            "unit_amount": unit,
            "unit_amount_decimal": unit and str(unit),
        }
    return {
        **_LINE,
        "id": world.identity("cnli"),
        "amount": amount,
        "quantity": quantity,
        "type": wanted.get("type") or "custom_line_item",
        **more,
    }


def _whole(world: World, amount: int) -> Obj:
    return _line(world, {}, {"type": "custom_line_item", "amount": amount, "description": "Credit"})


def _lessen(world: World, note: Obj, invoice: Obj, _params: Obj) -> None:
    with world.changing(invoice, "invoice.updated"):
        invoice["pre_payment_credit_notes_amount"] += note["amount"]
        invoice["amount_due"] -= note["amount"]
        invoice["amount_remaining"] -= note["amount"]
    if intent := world.find(invoice.get("_intent") or ""):
        intent["amount"] = invoice["amount_due"]
    if invoice["amount_remaining"] == 0:
        settled(world, invoice)


def _give_back(world: World, note: Obj, invoice: Obj, params: Obj) -> None:
    with world.changing(invoice, "invoice.updated"):
        invoice["post_payment_credit_notes_amount"] += note["amount"]
    if params.get("credit_amount"):
        customer = world.get("customer", invoice["customer"], deleted=True)
        row = adjust(
            world,
            customer,
            -params["credit_amount"],
            invoice["currency"],
            type="credit_note",
            credit_note=note["id"],
        )
        note["customer_balance_transaction"] = row["id"]
    named: list[Any] = [params["refund"]] if params.get("refund") else []
    named += [each["refund"] for each in params.get("refunds") or () if each.get("refund")]
    if params.get("refund_amount"):
        charge = world.get("payment_intent", invoice["_intent"])["latest_charge"]
        named.append(refunds.refund(world, world.get("charge", charge), params["refund_amount"])["id"])
    for identity in named:
        made = world.get("refund", identity, "refund")
        note["refunds"].append(
            {
                "amount_refunded": made["amount"],
                "payment_record_refund": None,
                "refund": made["id"],
                "type": "refund",
            }
        )


def update(world: World, call: Call) -> Obj:
    """Update one's memo or metadata."""
    note = world.get("credit_note", call.id)
    with world.changing(note, "credit_note.updated"):
        merge(note, call.params, CREDIT_NOTE.changes)
    return note


def void(world: World, call: Call) -> Obj:
    """Void one that was issued before payment: the amount is due again."""
    note = world.get("credit_note", call.id)
    if note["status"] == "void" or note["type"] != "pre_payment":
        raise RefusedError("Only credit notes for open invoices can be voided.")
    invoice = world.get("invoice", note["invoice"])
    if invoice["status"] != "open":
        raise RefusedError("Only credit notes for open invoices can be voided.")
    note |= {"status": "void", "voided_at": world.now()}
    with world.changing(invoice, "invoice.updated"):
        invoice["pre_payment_credit_notes_amount"] -= note["amount"]
        invoice["amount_due"] += note["amount"]
        invoice["amount_remaining"] += note["amount"]
    if intent := world.find(invoice.get("_intent") or ""):
        intent["amount"] = invoice["amount_due"]
    world.emit("credit_note.voided", note)
    return note


def lines(world: World, call: Call) -> Obj:
    """List the lines of one."""
    note = world.get("credit_note", call.id)
    return page(list(reversed(note["lines"]["data"])), call.params, call.path)


ROUTES: Final = (
    Route("GET", f"{CREDIT_NOTE.path}/preview", preview),  # before the one that takes it for an id
    *resource(CREDIT_NOTE, create=create, update=update, void=void),
    Route("GET", f"{CREDIT_NOTE.path}/{{id}}/lines", lines),
)
