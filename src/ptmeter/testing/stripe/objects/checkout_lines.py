"""What a Checkout session is about: its lines, the discounts on them, and what they add up to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..refusals import RefusedError
from . import catalogue, discounts, tax

if TYPE_CHECKING:
    from ..values import Obj
    from ..world import World


def discount(world: World, wanted: Obj) -> Obj:
    """Return the discount that a coupon or a promotion code gives a session."""
    identity = wanted.get("coupon")
    if wanted.get("promotion_code"):
        code = world.get("promotion_code", wanted["promotion_code"], "discounts[0][promotion_code]")
        identity = code["promotion"]["coupon"]
    coupon = world.get("coupon", str(identity), "discounts[0][coupon]")
    return {"promotion_code": wanted.get("promotion_code"), "coupon": coupon["id"]}


def named(discount: Obj) -> Obj:
    """Return how a session names a discount."""
    return {"coupon": discount["coupon"], "promotion_code": discount["promotion_code"]}


def line(world: World, wanted: Obj, mode: str, *, trial: bool = False) -> Obj:
    """Return a line for a price that there is, or for one that comes along; in a trial, what recurs is free."""
    data: Obj = wanted.get("price_data") or {}
    price = (
        catalogue.priced(world, data)
        if data
        else world.get("price", str(wanted.get("price")), "line_items[0][price]")
    )
    if mode == "payment" and price["recurring"]:
        raise RefusedError("You specified `payment` mode but passed a recurring price.", param="line_items")
    quantity = wanted.get("quantity") or 1
    product = world.get("product", price["product"], deleted=True)
    return {
        "id": world.identity("li"),
        "object": "item",
        "adjustable_quantity": wanted.get("adjustable_quantity"),
        "amount_discount": 0,
        "amount_subtotal": 0 if trial and price["recurring"] else (price["unit_amount"] or 0) * quantity,
        "amount_tax": 0,
        "amount_total": 0,
        "currency": price["currency"],
        "description": product["name"],
        "metadata": wanted.get("metadata") or {},
        "price": price,
        "quantity": quantity,
    }


def total(world: World, session: Obj, address: Obj | None) -> None:
    """Add a session up for who lives at *address*: discounts first, then tax."""
    automatic = session["automatic_tax"]
    if automatic["enabled"]:
        automatic |= {"status": tax.status(address), "liability": {"type": "self"}, "provider": "stripe"}
    discount, owed, included = 0, 0, 0
    for line in session["_lines"]:
        taken = sum(_off(world, each, line["amount_subtotal"]) for each in session["_discounts"])
        line["amount_discount"] = min(taken, line["amount_subtotal"])
        net = line["amount_subtotal"] - line["amount_discount"]
        taxes = []
        if automatic["status"] == "complete":
            taxes = [tax.computed(world, net, line["price"]["tax_behavior"])]
        line["amount_tax"] = tax.total(taxes)
        line["amount_total"] = net + tax.on_top(taxes)
        discount += line["amount_discount"]
        owed += line["amount_tax"]
        included += line["amount_tax"] - tax.on_top(taxes)
    session["amount_subtotal"] = sum(line["amount_subtotal"] for line in session["_lines"])
    session["amount_total"] = sum(line["amount_total"] for line in session["_lines"])
    session["total_details"] = {"amount_discount": discount, "amount_shipping": 0, "amount_tax": owed}


def _off(world: World, discount: Obj, amount: int) -> int:
    return discounts.off(world, {"source": {"coupon": discount["coupon"]}}, amount)
