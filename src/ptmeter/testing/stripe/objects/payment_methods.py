"""Payment methods: made of test tokens, numbers and IBANs, attached to customers and detached."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..listing import page
from ..nouns import Noun, Route, listing, make, resource
from ..refusals import RefusedError, declined, missing, unknown
from ..values import ADDRESS, merge, part
from .cards import IBANS, MEANS, NUMBERS, Means, means

if TYPE_CHECKING:
    from ..nouns import Call
    from ..values import Obj
    from ..world import World

BILLING: Final = {"address": ADDRESS, "email": None, "name": None, "phone": None, "tax_id": None}

PAYMENT_METHOD: Final = Noun(
    kind="payment_method",
    prefix="pm",
    path="/v1/payment_methods",
    blank={
        "allow_redisplay": "unspecified",
        "billing_details": BILLING,
        "customer": None,
        "customer_account": None,
        "metadata": {},
        "type": "card",
    },
    takes=("allow_redisplay", "billing_details", "metadata"),
    changes=("allow_redisplay", "billing_details", "metadata"),
    filters=("customer", "type"),
)


def create(world: World, call: Call) -> Obj:
    """Make a payment method that belongs to nobody yet."""
    return created(world, call.params)


def created(world: World, params: Obj) -> Obj:
    """Make a payment method of what a form says of a card or an account."""
    kind = params.get("type") or "card"
    shown = part(params, kind)
    if kind == "card":
        token = shown.get("token") or f"tok_{NUMBERS.get(str(shown.get('number', '')), 'visa')}"
        found = means(token)
        if found is None:
            raise unknown("token", token, "card[token]", status=400)
    elif kind == "sepa_debit":
        found = IBANS.get(str(shown.get("iban", "")).replace(" ", ""), IBANS["AT611904300234573201"])
    else:
        found = Means("", "", kind, outcome="processing")
    return made(world, found, params)


def made(world: World, found: Means, params: Obj | None = None, *, customer: str | None = None) -> Obj:
    """Make a payment method with this fate."""
    method = make(world, PAYMENT_METHOD, params, type=found.kind, customer=customer)
    method["_means"] = found
    method[found.kind] = details(found)
    return method


def details(found: Means) -> Obj:
    """Return what a payment method, and the charges made with it, show of the card or account."""
    if found.kind != "card":
        return {"last4": found.last4, "fingerprint": f"Fake{found.last4}"}
    return {
        "brand": found.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "US",
        "display_brand": found.brand,
        "exp_month": 12,
        "exp_year": 2034,
        "fingerprint": f"Fake{found.last4}",
        "funding": "debit" if found is MEANS["visa_debit"] else "credit",
        "generated_from": None,
        "last4": found.last4,
        "networks": {"available": [found.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def named(world: World, identity: str, param: str = "payment_method") -> Obj:
    """Return the payment method of this id; the id of a test card makes a new one, as it does at Stripe."""
    if identity.startswith(("pm_card_", "pm_usBank", "tok_")):
        found = means(identity)
        if found is None:
            raise unknown("PaymentMethod", identity, param, status=400)
        return made(world, found)
    return world.get("payment_method", identity, param)


def attached(world: World, method: Obj, customer: str) -> Obj:
    """Save *method* for a customer; a card that is declined on sight is refused."""
    world.get("customer", customer, "customer")
    if method["customer"] == customer:
        return method
    if method["customer"] is not None:
        raise RefusedError(
            "The payment method you provided has already been attached to a customer.",
            code="payment_method_unexpected_state",
        )
    card: Means = method["_means"]
    if not card.attaches:
        raise declined(card.code or "card_declined", card.decline_code)
    method["customer"] = customer
    world.emit("payment_method.attached", method)
    return method


def attach(world: World, call: Call) -> Obj:
    """Save one for the customer that is named."""
    if not call.params.get("customer"):
        raise missing("customer")
    return attached(world, named(world, call.id, "id"), call.params["customer"])


def detach(world: World, call: Call) -> Obj:
    """Take one away from its customer: it cannot be used again."""
    method = world.get("payment_method", call.id)
    if method["customer"] is None:
        raise RefusedError("The payment method you provided is not attached to a customer.")
    with world.changing(method, "payment_method.detached"):
        owner: str = method["customer"]
        method["customer"] = None
    settings = world.get("customer", owner)["invoice_settings"]
    if settings["default_payment_method"] == method["id"]:
        settings["default_payment_method"] = None
    return method


def update(world: World, call: Call) -> Obj:
    """Update one that is attached."""
    method = world.get("payment_method", call.id)
    with world.changing(method, "payment_method.updated"):
        merge(method, call.params, PAYMENT_METHOD.changes)
    return method


def of_customer(world: World, call: Call) -> Obj:
    """List a customer's."""
    kinds = {"type": call.params["type"]} if call.params.get("type") else {}
    world.get("customer", call.id)
    return page(world.every("payment_method", customer=call.id, **kinds), call.params, call.path)


def one_of_customer(world: World, call: Call) -> Obj:
    """Show one of a customer's."""
    method = world.get("payment_method", call.ids["method"])
    if method["customer"] != call.id:
        raise unknown("PaymentMethod", method["id"])
    return method


ROUTES: Final = (
    *resource(
        PAYMENT_METHOD,
        create=create,
        all=listing(PAYMENT_METHOD),
        update=update,
        attach=attach,
        detach=detach,
    ),
    Route("GET", "/v1/customers/{id}/payment_methods", of_customer),
    Route("GET", "/v1/customers/{id}/payment_methods/{method}", one_of_customer),
)
