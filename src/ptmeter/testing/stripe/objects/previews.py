"""The next invoice of a subscription, or what it would be after a change; nothing of it is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..nouns import Route
from ..periods import end as period_end
from ..refusals import RefusedError
from ..values import copied, part
from . import changing, invoice_lines, invoices, subscription_items
from .totals import total

if TYPE_CHECKING:
    from ..nouns import Call
    from ..values import Obj
    from ..world import World


def preview(world: World, call: Call) -> Obj:
    """
    Add up the invoice that would come next, with the changes that ``subscription_details`` names.

    Raises:
        RefusedError: There is neither a subscription nor an item, so no invoice would come.
    """
    params, details = call.params, part(call.params, "subscription_details")
    subscription: Obj | None = None
    if params.get("subscription"):
        subscription = world.get("subscription", params["subscription"], "subscription")
    identity: Any = params.get("customer") or (subscription and subscription["customer"])
    if not identity:
        raise RefusedError("You must provide a customer or a subscription.", param="customer")
    customer = world.get("customer", identity, "customer")
    with world.supposing():
        invoice = invoices.draft(
            world, customer, subscription["currency"] if subscription else None, billing_reason="upcoming"
        )
        world.drop(invoice)
        _of_subscription(world, invoice, subscription, details, params)
        if not invoice["lines"]["data"]:
            raise RefusedError(
                "No upcoming invoices for customer.", status=404, code="invoice_upcoming_none"
            )
        total(world, invoice)
    invoice["id"] = f"upcoming_{invoice['id']}"
    return invoice


def _of_subscription(
    world: World, invoice: Obj, subscription: Obj | None, details: Obj, params: Obj
) -> None:
    lines: list[Obj] = invoice["lines"]["data"]
    wanted: Any = details.get("items") or ()
    for item in world.every("invoiceitem", customer=invoice["customer"], invoice=None):
        of = item["parent"] and item["parent"]["subscription_details"]["subscription"]
        if of in {None, subscription["id"] if subscription else None}:
            lines.append(invoice_lines.line_of_item(world, invoice["id"], item))
    if subscription is None:
        lines += [_new(world, invoice, each) for each in wanted]
        return
    invoice["automatic_tax"]["enabled"] = subscription["automatic_tax"]["enabled"]
    invoice["_discounts"] = list(subscription.get("_discounts") or invoice["_discounts"])
    changes = changing.wanted_changes(world, subscription, wanted)
    behavior = details.get("proration_behavior") or "create_prorations"
    at = (
        details.get("proration_date")
        or params.get("subscription_proration_date")
        or world.now(subscription["test_clock"])
    )
    if behavior != "none" and subscription["status"] != "trialing":
        for amount, more in changing.prorations(world, subscription, changes, at):
            lines.append(_proration(world, invoice, amount, more))
    if behavior != "always_invoice" and not subscription["cancel_at_period_end"]:
        lines += _next(world, invoice, subscription, changes)


def _proration(world: World, invoice: Obj, amount: int, more: Obj) -> Obj:
    item: Obj = {
        **copied(invoice_lines.INVOICE_ITEM.blank),
        "id": world.identity("ii"),
        "currency": invoice["currency"],
    }
    item |= {"amount": amount, "pricing": invoice_lines.pricing(more["_price"], amount), **more}
    return invoice_lines.line_of_item(world, invoice["id"], item)


def _next(world: World, invoice: Obj, subscription: Obj, changes: list[changing.Change]) -> list[Obj]:
    """Return the lines of the period that follows, after *changes*."""
    lines: list[Obj] = []
    altered = {item["id"]: (price, quantity) for item, price, quantity in changes if item is not None}
    added = [(price, quantity) for item, price, quantity in changes if item is None]
    for item in subscription["items"]["data"]:
        price, quantity = altered.get(item["id"], (item["price"], item["quantity"]))
        if price is not None:
            lines.append(_period(world, invoice, {**item, "price": price, "quantity": quantity}))
    first = subscription["items"]["data"][0]
    lines += [
        _period(world, invoice, {**first, "price": price, "quantity": quantity})
        for price, quantity in added
        if price
    ]
    return lines


def _period(world: World, invoice: Obj, item: Obj) -> Obj:
    recurring, start = item["price"]["recurring"], item["current_period_end"]
    end = period_end(
        item["current_period_start"], start, recurring["interval"], recurring["interval_count"]
    )
    amount = invoice_lines.cost(item["price"], item["quantity"] or 0)
    ahead = {**item, "current_period_start": start, "current_period_end": end}
    return invoice_lines.line_of_subscription(world, invoice["id"], ahead, amount)


def _new(world: World, invoice: Obj, wanted: Obj) -> Obj:
    """Return the line of an item that a new subscription would have."""
    price, now = subscription_items.price_of(world, wanted), world.now()
    invoice["currency"] = price["currency"]
    recurring = price["recurring"]
    quantity = wanted.get("quantity") or 1
    item: Obj = {
        "id": "si_preview",
        "subscription": None,
        "price": price,
        "quantity": quantity,
        "current_period_start": now,
        "current_period_end": period_end(now, now, recurring["interval"], recurring["interval_count"]),
    }
    return invoice_lines.line_of_subscription(
        world, invoice["id"], item, invoice_lines.cost(price, quantity)
    )


ROUTES: Final = (Route("POST", "/v1/invoices/create_preview", preview),)
