"""Invoices: drafted, finalized, paid, voided, given up; and the payments that were made on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..listing import page
from ..nouns import Noun, Route, make, resource
from ..refusals import RefusedError, missing
from ..values import copied, merge
from . import discounts, invoice_lines, invoice_payments, payment_intents, standing
from .credit import adjust
from .totals import balance, total

if TYPE_CHECKING:
    from ..nouns import Call
    from ..values import Obj
    from ..world import World

_TAKES: Final = (
    *("auto_advance", "automatic_tax", "collection_method", "custom_fields", "days_until_due"),
    *("default_payment_method", "description", "due_date", "footer", "metadata", "payment_settings"),
    *("rendering", "statement_descriptor"),
)

INVOICE: Final = Noun(
    kind="invoice",
    prefix="in",
    path="/v1/invoices",
    blank={
        "account_country": "US",
        "account_name": None,
        "account_tax_ids": None,
        "amount_due": 0,
        "amount_overpaid": 0,
        "amount_paid": 0,
        "amount_remaining": 0,
        "amount_shipping": 0,
        "application": None,
        "attempt_count": 0,
        "attempted": False,
        "auto_advance": False,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "automatically_finalizes_at": None,
        "billing_reason": "manual",
        "collection_method": "charge_automatically",
        "currency": None,
        "custom_fields": None,
        "customer": None,
        "customer_account": None,
        "customer_address": None,
        "customer_email": None,
        "customer_name": None,
        "customer_phone": None,
        "customer_shipping": None,
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "due_date": None,
        "effective_at": None,
        "ending_balance": None,
        "footer": None,
        "from_invoice": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "issuer": {"type": "self"},
        "last_finalization_error": None,
        "latest_revision": None,
        "lines": {"object": "list", "data": [], "has_more": False, "url": ""},
        "metadata": {},
        "next_payment_attempt": None,
        "number": None,
        "on_behalf_of": None,
        "parent": None,
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": 0,
        "period_start": 0,
        "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0,
        "receipt_number": None,
        "rendering": None,
        "shipping_cost": None,
        "shipping_details": None,
        "starting_balance": 0,
        "statement_descriptor": None,
        "status": "draft",
        "status_transitions": dict.fromkeys(
            ("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")
        ),
        "subtotal": 0,
        "subtotal_excluding_tax": 0,
        "test_clock": None,
        "total": 0,
        "total_discount_amounts": [],
        "total_excluding_tax": 0,
        "total_pretax_credit_amounts": [],
        "total_taxes": [],
        "webhooks_delivered_at": None,
    },
    takes=(*_TAKES, "currency"),
    changes=_TAKES,
    filters=("collection_method", "customer", "status"),
)

DAY: Final = 86_400
SHOWN: Final = 10
"""How many of its lines an invoice shows."""
HOUR: Final = 3_600


def create(world: World, call: Call) -> Obj:
    """Draft one, of the items that wait for it if ``pending_invoice_items_behavior`` says so."""
    params = call.params
    if not params.get("customer"):
        raise missing("customer")
    customer = world.get("customer", params["customer"], "customer")
    invoice = draft(world, customer, params.get("currency") or customer["currency"], params=params)
    if params.get("pending_invoice_items_behavior") == "include":
        take_items(world, invoice)
    total(world, invoice)
    world.emit("invoice.created", invoice)
    return invoice


def draft(
    world: World, customer: Obj, currency: str | None, *, params: Obj | None = None, **fixed: Any
) -> Obj:
    """Make a draft without lines; `total` and ``invoice.created`` are for who puts lines on it."""
    given = params or {}
    now = world.now(customer["test_clock"])
    invoice = make(world, INVOICE, given, created=now, **fixed)
    days: int | None = invoice.pop("days_until_due", None)
    if invoice["collection_method"] == "send_invoice" and invoice["due_date"] is None:
        if days is None:
            raise missing("days_until_due")
        invoice["due_date"] = now + days * DAY
    invoice |= {
        "account_country": world.settings.country,
        "currency": currency or world.settings.currency,
        "customer": customer["id"],
        "customer_address": copied(customer["address"]),
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "default_tax_rates": [
            world.get("tax_rate", each, "default_tax_rates")
            for each in given.get("default_tax_rates") or ()
        ],
        "test_clock": customer["test_clock"],
    }
    invoice["period_start"] = invoice["period_start"] or now
    invoice["period_end"] = invoice["period_end"] or now
    invoice["lines"]["url"] = f"/v1/invoices/{invoice['id']}/lines"
    invoice.setdefault("_discounts", [customer["discount"]] if customer["discount"] else [])
    for wanted in given.get("discounts") or ():
        invoice["_discounts"].append(discounts.redeemed(world, wanted, invoice=invoice["id"]))
    invoice["discounts"] = [each["id"] for each in invoice["_discounts"]]
    return invoice


def take_items(world: World, invoice: Obj, subscription: str | None = None) -> None:
    """Put the customer's items that wait on a draft: those of no subscription, and those of this one."""
    for item in world.every("invoiceitem", customer=invoice["customer"], invoice=None):
        of = item["parent"] and item["parent"]["subscription_details"]["subscription"]
        if item["currency"] == invoice["currency"] and of in {None, subscription}:
            item["invoice"] = invoice["id"]
            invoice["lines"]["data"].append(invoice_lines.line_of_item(world, invoice["id"], item))


def finalize(world: World, invoice: Obj) -> Obj:
    """
    Close a draft: it has a number, the customer's balance is drawn on, and there is an intent to pay it.

    Raises:
        RefusedError: It is no draft, or tax cannot be computed for want of an address.
    """
    _fit(invoice, "draft", verb="finalized")
    total(world, invoice)
    if invoice["automatic_tax"]["enabled"] and invoice["automatic_tax"]["status"] != "complete":
        raise _untaxed(world, invoice)
    customer, now = (
        world.get("customer", invoice["customer"], deleted=True),
        world.now(invoice["test_clock"]),
    )
    before = customer["balance"]
    after = balance(invoice, before)
    if 0 < invoice["amount_due"] < payment_intents.least(invoice["currency"]):
        after += invoice["amount_due"]
        invoice |= {"amount_due": 0, "amount_remaining": 0}
    if after != before:
        adjust(
            world,
            customer,
            after - before,
            invoice["currency"],
            type="applied_to_invoice",
            invoice=invoice["id"],
        )
    customer["currency"] = customer["currency"] or invoice["currency"]
    invoice |= {
        "automatically_finalizes_at": None,
        "effective_at": now,
        "ending_balance": after,
        "hosted_invoice_url": f"https://invoice.stripe.com/i/acct_fake/{invoice['id']}",
        "invoice_pdf": f"https://pay.stripe.com/invoice/acct_fake/{invoice['id']}/pdf",
        "number": f"{customer['invoice_prefix']}-{customer['next_invoice_sequence']:04d}",
        "status": "open",
        "_finalizes_at": None,
    }
    invoice["status_transitions"]["finalized_at"] = now
    customer["next_invoice_sequence"] += 1
    world.emit("invoice.finalized", invoice)
    if invoice["amount_due"] == 0:
        return invoice_payments.settled(world, invoice)
    invoice_payments.ask_for(world, invoice)
    return invoice


def _untaxed(world: World, invoice: Obj) -> RefusedError:
    refused = RefusedError(
        "We could not determine the customer's tax location.", code="customer_tax_location_invalid"
    )
    invoice["last_finalization_error"] = dict(refused.error)
    world.emit("invoice.finalization_failed", invoice)
    return refused


def _pay(world: World, call: Call) -> Obj:
    invoice, params = world.get("invoice", call.id), call.params
    if invoice["status"] == "paid":
        raise RefusedError("Invoice is already paid", code="invoice_already_paid")
    if invoice["status"] == "draft":
        done = finalize(world, invoice)
        if done["status"] == "paid":
            return done
    _fit(invoice, "open", "uncollectible", verb="paid")
    if params.get("paid_out_of_band"):
        payment_intents.give_up(world, world.get("payment_intent", invoice["_intent"]))
        return invoice_payments.settled(world, invoice, elsewhere=True)
    method = params.get("payment_method") or params.get("source")
    return invoice_payments.collect(world, invoice, method, off_session=params.get("off_session", False))


def _attach(world: World, call: Call) -> Obj:
    invoice, intent = (
        world.get("invoice", call.id),
        world.get("payment_intent", call.params["payment_intent"]),
    )
    _fit(invoice, "open", "uncollectible", verb="paid")
    if intent["status"] != "succeeded":
        raise RefusedError("The fake attaches payments that have succeeded.", param="payment_intent")
    return invoice_payments.attached(world, invoice, intent)


def _finalize(world: World, call: Call) -> Obj:
    return finalize(world, world.get("invoice", call.id))


def _send(world: World, call: Call) -> Obj:
    invoice = world.get("invoice", call.id)
    if invoice["status"] == "draft":
        finalize(world, invoice)
    world.emit("invoice.sent", invoice)
    return invoice


def void(world: World, invoice: Obj) -> Obj:
    """Void one that is not paid; the balance it drew on comes back."""
    _fit(invoice, "open", "uncollectible", verb="voided")
    if intent := world.find(invoice.get("_intent") or ""):
        payment_intents.give_up(world, intent)
    drawn = invoice["ending_balance"] - invoice["starting_balance"]
    if drawn:
        customer = world.get("customer", invoice["customer"], deleted=True)
        kind = "unapplied_from_invoice"
        adjust(world, customer, -drawn, invoice["currency"], type=kind, invoice=invoice["id"])
    invoice["status"] = "void"
    invoice["next_payment_attempt"] = None
    invoice["status_transitions"]["voided_at"] = world.now(invoice["test_clock"])
    world.emit("invoice.voided", invoice)
    return invoice


def _void(world: World, call: Call) -> Obj:
    return void(world, world.get("invoice", call.id))


def give_up(world: World, invoice: Obj) -> Obj:
    """Mark one as uncollectible; it can still be paid."""
    _fit(invoice, "open", verb="marked uncollectible")
    invoice |= {"status": "uncollectible", "next_payment_attempt": None}
    invoice["status_transitions"]["marked_uncollectible_at"] = world.now(invoice["test_clock"])
    world.emit("invoice.marked_uncollectible", invoice)
    return invoice


def _give_up(world: World, call: Call) -> Obj:
    return give_up(world, world.get("invoice", call.id))


def _update(world: World, call: Call) -> Obj:
    invoice = world.get("invoice", call.id)
    if set(call.params) - {"metadata", "auto_advance", "default_payment_method", "description"}:
        _fit(invoice, "draft", verb="edited")
    with world.changing(invoice, "invoice.updated"):
        merge(invoice, call.params, INVOICE.changes)
        if invoice["status"] == "draft":
            total(world, invoice)
    return invoice


def _delete(world: World, call: Call) -> Obj:
    invoice = world.get("invoice", call.id)
    _fit(invoice, "draft", verb="deleted")
    for item in world.every("invoiceitem", invoice=invoice["id"]):
        item["_deleted"] = True
    world.emit("invoice.deleted", invoice)
    invoice["_deleted"] = True
    return invoice


def _list(world: World, call: Call) -> Obj:
    params = call.params
    where = {name: params[name] for name in INVOICE.filters if params.get(name)}
    rows = world.every("invoice", **where)
    if wanted := params.get("subscription"):
        rows = [row for row in rows if (standing.subscription_of(world, row) or {}).get("id") == wanted]
    return page(rows, params, call.path)


def view(_world: World, invoice: Obj) -> Obj:
    """Show the first ten lines: the others are listed."""
    lines = invoice["lines"]
    return {"lines": {**lines, "data": lines["data"][:SHOWN], "has_more": len(lines["data"]) > SHOWN}}


def _lines(world: World, call: Call) -> Obj:
    invoice = world.get("invoice", call.id)
    return page(list(reversed(invoice["lines"]["data"])), call.params, call.path)


def _fit(invoice: Obj, *statuses: str, verb: str) -> None:
    if invoice["status"] not in statuses:
        raise RefusedError(
            f"This invoice has a status of {invoice['status']}: it cannot be {verb}.",
            code="invoice_not_editable",
        )


ROUTES: Final = (
    *resource(
        INVOICE,
        create=create,
        update=_update,
        delete=_delete,
        all=_list,
        finalize=_finalize,
        pay=_pay,
        attach_payment=_attach,
        send=_send,
        void=_void,
        mark_uncollectible=_give_up,
    ),
    Route("GET", f"{INVOICE.path}/{{id}}/lines", _lines),
)
