"""Checkout sessions: opened, paid by the customer or left to expire; the bank may answer days later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..listing import page
from ..nouns import Noun, Route, make, resource
from ..refusals import RefusedError, missing
from ..values import ADDRESS, copied, merge, part, rows_of
from . import (
    checkout_lines,
    customers,
    invoice_lines,
    payment_intents,
    payment_methods,
    setup_intents,
    subscriptions,
)

if TYPE_CHECKING:
    from ..nouns import Call
    from ..values import Obj
    from ..world import World

DAY: Final = 86_400

SESSION: Final = Noun(
    kind="checkout.session",
    prefix="cs_test",
    path="/v1/checkout/sessions",
    blank={
        "adaptive_pricing": {"enabled": False},
        "after_expiration": None,
        "allow_promotion_codes": None,
        "amount_subtotal": None,
        "amount_total": None,
        "automatic_tax": {"enabled": False, "liability": None, "provider": None, "status": None},
        "billing_address_collection": None,
        "cancel_url": None,
        "client_reference_id": None,
        "client_secret": None,
        "collected_information": None,
        "consent": None,
        "consent_collection": None,
        "currency": None,
        "currency_conversion": None,
        "custom_fields": [],
        "custom_text": dict.fromkeys(
            ("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")
        ),
        "customer": None,
        "customer_account": None,
        "customer_creation": None,
        "customer_details": None,
        "customer_email": None,
        "discounts": [],
        "expires_at": None,
        "integration_identifier": None,
        "invoice": None,
        "invoice_creation": None,
        "locale": None,
        "managed_payments": {"enabled": False},
        "metadata": {},
        "mode": "payment",
        "origin_context": None,
        "payment_intent": None,
        "payment_link": None,
        "payment_method_collection": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "payment_status": "unpaid",
        "permissions": None,
        "phone_number_collection": {"enabled": False},
        "recovered_from": None,
        "saved_payment_method_options": None,
        "setup_intent": None,
        "shipping_address_collection": None,
        "shipping_cost": None,
        "shipping_options": [],
        "status": "open",
        "submit_type": None,
        "subscription": None,
        "success_url": None,
        "total_details": None,
        "ui_mode": "hosted",
        "url": None,
        "wallet_options": None,
    },
    takes=(
        *(
            "after_expiration",
            "allow_promotion_codes",
            "automatic_tax",
            "billing_address_collection",
            "cancel_url",
        ),
        *(
            "client_reference_id",
            "consent_collection",
            "currency",
            "custom_fields",
            "custom_text",
            "customer",
        ),
        *(
            "customer_creation",
            "customer_email",
            "expires_at",
            "invoice_creation",
            "locale",
            "metadata",
            "mode",
        ),
        *(
            "payment_method_collection",
            "payment_method_options",
            "payment_method_types",
            "phone_number_collection",
        ),
        *("shipping_address_collection", "submit_type", "success_url", "ui_mode"),
    ),
    changes=("collected_information", "metadata", "shipping_options"),
    filters=("customer", "payment_intent", "status", "subscription"),
)
_DATA: Final = ("payment_intent_data", "subscription_data", "setup_intent_data", "tax_id_collection")


def create(world: World, call: Call) -> Obj:
    """Open a session for what is to be paid, subscribed or saved."""
    params = call.params
    mode = params.get("mode")
    if mode is None:
        raise missing("mode")
    if mode != "setup" and not params.get("line_items"):
        raise missing("line_items")
    if params.get("customer"):
        world.get("customer", params["customer"], "customer")
        if params.get("customer_email"):
            raise RefusedError("You may only specify one of these parameters: customer, customer_email.")
    data = part(params, "subscription_data")
    trial = bool(data.get("trial_period_days") or data.get("trial_end"))
    lines = [checkout_lines.line(world, each, mode, trial=trial) for each in params.get("line_items") or ()]
    session = make(
        world, SESSION, params, _lines=lines, _data={name: params.get(name) or {} for name in _DATA}
    )
    session["expires_at"] = session["expires_at"] or world.now() + DAY
    session["url"] = f"{world.pages}/pay/{session['id']}"
    session["customer_creation"] = session["customer_creation"] or (
        "if_required" if mode == "payment" and not session["customer"] else None
    )
    session["_discounts"] = [checkout_lines.discount(world, each) for each in params.get("discounts") or ()]
    session["discounts"] = [checkout_lines.named(each) for each in session["_discounts"]]
    customer = world.get("customer", session["customer"]) if session["customer"] else None
    if mode != "setup":
        session["currency"] = lines[0]["currency"]
        checkout_lines.total(world, session, customer["address"] if customer else None)
    return session


def complete(world: World, session: Obj, method: Obj, details: Obj | None = None) -> Obj:
    """
    Pay as the customer would, with a payment method and an address.

    A method whose bank answers later leaves the session complete and ``unpaid``; what the bank says comes as
    ``checkout.session.async_payment_succeeded`` or ``…_failed``.

    Raises:
        RefusedError: The session is not open, or the payment was declined: then it stays open.
    """
    if session["status"] != "open":
        raise RefusedError(
            f"This Checkout Session is {session['status']}.", code="checkout_session_not_open"
        )
    details = _details(world, session, method, details or {})
    if session["mode"] != "setup":
        checkout_lines.total(world, session, details["address"])
    customer = _customer(world, session, details)
    _MODES[session["mode"]](world, session, method, customer)
    session |= {"status": "complete", "customer_details": details, "url": None}
    world.emit("checkout.session.completed", session)
    return session


def _details(world: World, session: Obj, method: Obj, given: Obj) -> Obj:
    billing = method["billing_details"]
    known = world.get("customer", session["customer"]) if session["customer"] else {}
    address = given.get("address") or known.get("address") or billing["address"]
    return {
        "address": {**copied(ADDRESS), **(address or {})},
        "business_name": None,
        "email": given.get("email") or known.get("email") or session["customer_email"] or billing["email"],
        "individual_name": None,
        "name": given.get("name") or known.get("name") or billing["name"],
        "phone": billing["phone"],
        "tax_exempt": "none",
        "tax_ids": [],
    }


def _customer(world: World, session: Obj, details: Obj) -> Obj | None:
    if session["customer"]:
        return world.get("customer", session["customer"])
    if session["mode"] == "payment" and session["customer_creation"] != "always":
        return None
    known = {name: details[name] for name in ("address", "email", "name")}
    customer = make(world, customers.CUSTOMER, known)
    world.emit("customer.created", customer)
    session["customer"] = customer["id"]
    return customer


def _pay(world: World, session: Obj, method: Obj, customer: Obj | None) -> None:
    data: Obj = session["_data"]["payment_intent_data"]
    if session["amount_total"] == 0:
        session["payment_status"] = "no_payment_required"
        return
    known = ("description", "metadata", "receipt_email", "setup_future_usage", "shipping", "capture_method")
    wanted: Any = {name: data[name] for name in known if data.get(name) is not None}
    wanted |= {
        "amount": session["amount_total"],
        "currency": session["currency"],
        "customer": customer["id"] if customer else None,
        "payment_method": method["id"],
        "payment_method_types": session["payment_method_types"],
        "confirm": True,
    }
    intent = payment_intents.begin(world, wanted, _session=session["id"])
    session["payment_intent"] = intent["id"]
    session["payment_status"] = "paid" if intent["status"] == "succeeded" else "unpaid"
    session["_waits"] = intent["status"] == "processing"


def _subscribe(world: World, session: Obj, method: Obj, customer: Obj | None) -> None:
    owner = customer or {}
    payment_methods.attached(world, method, owner["id"])
    for line in session["_lines"]:
        if not line["price"]["recurring"]:
            more = {
                "quantity": line["quantity"],
                "description": line["description"],
                "_price": line["price"],
            }
            invoice_lines.item(world, owner, line["amount_subtotal"], line["currency"], **more)
    wanted: Obj = {
        **session["_data"]["subscription_data"],
        "customer": owner["id"],
        "default_payment_method": method["id"],
        "items": [
            {"price": line["price"]["id"], "quantity": line["quantity"]}
            for line in session["_lines"]
            if line["price"]["recurring"]
        ],
        "automatic_tax": {"enabled": session["automatic_tax"]["enabled"]},
        "discounts": [checkout_lines.named(each) for each in session["_discounts"]],
        "payment_behavior": "error_if_incomplete",
    }
    subscription = subscriptions.start(world, wanted)
    session |= {"subscription": subscription["id"], "invoice": subscription["latest_invoice"]}
    session["payment_status"] = "paid" if session["amount_total"] else "no_payment_required"


def _set_up(world: World, session: Obj, method: Obj, customer: Obj | None) -> None:
    wanted = {"customer": customer and customer["id"], "payment_method": method["id"], "confirm": True}
    intent = setup_intents.begin(world, {**session["_data"]["setup_intent_data"], **wanted})
    session |= {"setup_intent": intent["id"], "payment_status": "no_payment_required"}


_MODES: Final = {"payment": _pay, "subscription": _subscribe, "setup": _set_up}


def settled(world: World, intent: Obj) -> None:
    """Tell the session of a payment what its bank said, if it waits for that."""
    session = world.find(intent.get("_session") or "")
    if session is None or not session["_waits"]:
        return
    session["_waits"] = False
    paid = intent["status"] == "succeeded"
    session["payment_status"] = "paid" if paid else "unpaid"
    world.emit(f"checkout.session.async_payment_{'succeeded' if paid else 'failed'}", session)


def expire(world: World, call: Call) -> Obj:
    """Close one that is open."""
    session = world.get("checkout.session", call.id)
    if session["status"] != "open":
        raise RefusedError('Only Checkout Sessions with a status in ["open"] can be expired.')
    return expired(world, session)


def expired(world: World, session: Obj) -> Obj:
    """Close one that nobody paid."""
    session |= {"status": "expired", "url": None}
    world.emit("checkout.session.expired", session)
    return session


def line_items(world: World, call: Call) -> Obj:
    """List what a session is about."""
    session = world.get("checkout.session", call.id)
    return page(list(reversed(session["_lines"])), call.params, call.path)


def lines_of(world: World, session: Obj) -> Obj:
    """Return what a session is about, for ``expand[]=line_items``."""
    lines = world.get("checkout.session", session["id"])["_lines"]
    return rows_of(
        [world.shown(line) for line in lines], f"/v1/checkout/sessions/{session['id']}/line_items"
    )


def payment_page(world: World, call: Call) -> Obj:
    """Show what the payment page of a session shows."""
    session = world.get("checkout.session", call.id)
    same = ("customer_email", "currency", "livemode", "mode", "payment_status", "status", "success_url")
    return {
        "object": "payment_page",
        "id": f"ppage_{session['id']}",
        "session_id": session["id"],
        "amount_total": session["amount_total"],
        **{name: session[name] for name in same},
    }


def confirm_page(world: World, call: Call) -> Obj:
    """Pay on the payment page: not documented, but what Stripe's own command line does."""
    session = world.get("checkout.session", call.id)
    expected = call.params.get("expected_amount")
    if expected is not None and expected != session["amount_total"]:
        raise RefusedError("The amount of this session has changed.", code="checkout_amount_mismatch")
    method = payment_methods.named(world, call.params.get("payment_method") or "pm_card_visa")
    complete(world, session, method)
    return payment_page(world, call)


def update(world: World, call: Call) -> Obj:
    """Update one's metadata; Stripe has no event for it."""
    session = world.get("checkout.session", call.id)
    merge(session, call.params, SESSION.changes)
    return session


EXPANSIONS: Final = {("checkout.session", "line_items"): lines_of}
ROUTES: Final = (
    *resource(SESSION, create=create, update=update, expire=expire),
    Route("GET", "/v1/checkout/sessions/{id}/line_items", line_items),
    Route("GET", "/v1/payment_pages/{id}", payment_page),
    Route("POST", "/v1/payment_pages/{id}/confirm", confirm_page),
)
