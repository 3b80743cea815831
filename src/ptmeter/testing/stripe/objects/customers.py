"""Customers, with their balance, tax ids, discount and the sources of old."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..listing import page
from ..nouns import Noun, Route, make, remove, resource
from ..refusals import RefusedError, missing
from ..values import merge, rows_of
from . import discounts, payment_methods
from .credit import adjust
from .standing import end

if TYPE_CHECKING:
    from ..nouns import Call
    from ..values import Obj
    from ..world import World

SETTINGS: Final = {
    "custom_fields": None,
    "default_payment_method": None,
    "footer": None,
    "rendering_options": None,
}
_TAKES: Final = (
    *("address", "description", "email", "invoice_prefix", "invoice_settings", "metadata", "name", "phone"),
    *("next_invoice_sequence", "preferred_locales", "shipping", "tax_exempt"),
)

CUSTOMER: Final = Noun(
    kind="customer",
    prefix="cus",
    path="/v1/customers",
    blank={
        "address": None,
        "balance": 0,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": None,
        "invoice_settings": SETTINGS,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
    },
    takes=(*_TAKES, "test_clock"),
    changes=_TAKES,
    filters=("email", "test_clock"),
)

TAX_ID: Final = Noun(
    kind="tax_id",
    prefix="txi",
    path="/v1/customers/{id}/tax_ids",
    blank={
        "country": None,
        "customer": None,
        "customer_account": None,
        "owner": None,
        "type": None,
        "value": None,
        "verification": {"status": "pending", "verified_address": None, "verified_name": None},
    },
    takes=("type", "value"),
    needs=("type", "value"),
    event="customer.tax_id",
)


def create(world: World, call: Call) -> Obj:
    """Make one; a payment method or source that comes with it is attached."""
    params = dict(call.params)
    clock = params.get("test_clock")
    customer = make(world, CUSTOMER, params, created=world.now(clock))
    customer["invoice_prefix"] = customer["invoice_prefix"] or customer["id"][-8:].upper()
    try:
        _wired(world, customer, params, announced=False)
    except RefusedError:
        world.drop(customer)
        raise
    customer["balance"] = params.get("balance") or 0
    world.emit("customer.created", customer)
    if params.get("coupon"):
        discounts.give(world, customer, params["coupon"])
    return customer


def update(world: World, call: Call) -> Obj:
    """Update one."""
    customer, params = world.get("customer", call.id), dict(call.params)
    with world.changing(customer, "customer.updated"):
        merge(customer, params, CUSTOMER.changes)
        _wired(world, customer, params, announced=True)
        if params.get("balance") is not None:
            adjust(world, customer, params["balance"] - customer["balance"], customer["currency"] or "usd")
    if "coupon" in params:
        discounts.give(world, customer, params["coupon"])
    return customer


def _wired(world: World, customer: Obj, params: Obj, *, announced: bool) -> None:
    """Attach what is to be paid with, and let the customer point to it."""
    made: dict[str, str] = {}
    for name in ("payment_method", "source"):
        if params.get(name):
            method = payment_methods.named(world, params[name], name)
            payment_methods.attached(world, method, customer["id"])
            made[params[name]] = method["id"]
            if name == "source":
                customer["default_source"] = method["id"]
    default = customer["invoice_settings"]["default_payment_method"]
    if default and announced | (default in made):
        identity: str = made.get(default) or default
        world.get("payment_method", identity, "invoice_settings[default_payment_method]")
        customer["invoice_settings"]["default_payment_method"] = identity


def create_balance_transaction(world: World, call: Call) -> Obj:
    """Give or take credit."""
    customer, params = world.get("customer", call.id), call.params
    for name in ("amount", "currency"):
        if params.get(name) is None:
            raise missing(name)
    with world.changing(customer, "customer.updated"):
        row = adjust(world, customer, params["amount"], params["currency"])
        merge(row, params, ("description", "metadata"))
    return row


def below(kind: str) -> Any:
    """Return the verb that lists what of this kind is a customer's."""

    def list_all(world: World, call: Call) -> Obj:
        world.get("customer", call.id)
        return page(world.every(kind, customer=call.id), call.params, call.path)

    return list_all


def create_tax_id(world: World, call: Call) -> Obj:
    """Note a customer's tax id; it stays unverified."""
    customer = world.get("customer", call.id)
    owner = {"type": "customer", "customer": customer["id"], "customer_account": None}
    row = make(world, TAX_ID, call.params, customer=customer["id"], owner=owner)
    row["country"] = (
        str(row["value"])[:2] if str(row["type"]).startswith("eu") else str(row["type"])[:2].upper()
    )
    world.emit("customer.tax_id.created", row)
    return row


def create_source(world: World, call: Call) -> Obj:
    """Attach a card by its token, in the way of old."""
    world.get("customer", call.id)
    method = payment_methods.named(world, call.params.get("source") or "tok_visa", "source")
    payment_methods.attached(world, method, call.id)
    world.emit("customer.source.created", method)
    return method


def update_source(world: World, call: Call) -> Obj:
    """Update such a card."""
    method = world.get("payment_method", call.ids["source"])
    with world.changing(method, "customer.source.updated"):
        merge(method, call.params, ("metadata",))
    return method


def subscriptions(world: World, customer: Obj) -> Obj:
    """Return a customer's subscriptions that are not canceled, for ``expand[]=subscriptions``."""
    rows = [
        row for row in world.every("subscription", customer=customer["id"]) if row["status"] != "canceled"
    ]
    return rows_of(
        [world.shown(row) for row in reversed(rows)], f"/v1/customers/{customer['id']}/subscriptions"
    )


def tax_ids(world: World, customer: Obj) -> Obj:
    """Return a customer's tax ids, for ``expand[]=tax_ids``."""
    rows = world.every("tax_id", customer=customer["id"])
    return rows_of([world.shown(row) for row in rows], f"/v1/customers/{customer['id']}/tax_ids")


def delete(world: World, call: Call) -> Obj:
    """Delete one; its subscriptions are canceled first."""
    customer = world.get("customer", call.id)
    for row in world.every("subscription", customer=customer["id"]):
        if row["status"] not in {"canceled", "incomplete_expired"}:
            end(world, row, "cancellation_requested")
    return remove(world, CUSTOMER, customer)


EXPANSIONS: Final = {("customer", "subscriptions"): subscriptions, ("customer", "tax_ids"): tax_ids}
_ONE = "/v1/customers/{id}"

ROUTES: Final = (
    *resource(CUSTOMER, create=create, update=update, delete=delete),
    Route("POST", f"{_ONE}/balance_transactions", create_balance_transaction),
    Route("GET", f"{_ONE}/balance_transactions", below("customer_balance_transaction")),
    Route(
        "GET",
        f"{_ONE}/balance_transactions/{{row}}",
        lambda world, call: world.get("customer_balance_transaction", call.ids["row"]),
    ),
    Route("POST", f"{_ONE}/tax_ids", create_tax_id),
    Route("GET", f"{_ONE}/tax_ids", below("tax_id")),
    Route("GET", f"{_ONE}/tax_ids/{{row}}", lambda world, call: world.get("tax_id", call.ids["row"])),
    Route(
        "DELETE",
        f"{_ONE}/tax_ids/{{row}}",
        lambda world, call: remove(world, TAX_ID, world.get("tax_id", call.ids["row"])),
    ),
    Route("DELETE", f"{_ONE}/discount", discounts.take_from_customer),
    Route("POST", f"{_ONE}/sources", create_source),
    Route("POST", f"{_ONE}/sources/{{source}}", update_source),
)
