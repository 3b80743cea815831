"""Subscriptions changed in mid-period, and what that costs or gives back: prorations, by the second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..nouns import Call, Route, listing
from ..periods import share
from ..refusals import RefusedError, missing, unknown
from ..values import Obj, copied, merge
from . import (
    catalogue,
    discounts,
    invoice_lines,
    invoice_payments,
    invoices,
    subscription_items,
    subscriptions,
)
from .standing import end

if TYPE_CHECKING:
    from ..world import World

Change = tuple[Obj | None, Obj | None, int | None]
"""An item as it is, its price to be, and its quantity to be: without an item it is new, without a price it goes."""


def update(world: World, call: Call) -> Obj:
    """Change a subscription: its items, trial, payment, pause, or end."""
    subscription, params = world.get("subscription", call.id), call.params
    if subscription["status"] in {"canceled", "incomplete_expired"}:
        raise RefusedError("A canceled subscription can only update its cancellation_details and metadata.")
    _check_managed(subscription, params)
    changes = wanted_changes(world, subscription, params.get("items") or ())
    if params.get("default_payment_method"):
        world.get("payment_method", params["default_payment_method"], "default_payment_method")
    with world.changing(subscription, "customer.subscription.updated"):
        merge(subscription, params, subscriptions.SUBSCRIPTION.changes)
        _end_later(world, subscription, params)
        _discount(world, subscription, params)
        if params.get("trial_end") and params["trial_end"] != "now":
            subscription |= {"trial_end": params["trial_end"], "status": "trialing"}
        invoice = apply(world, subscription, changes, params)
    if params.get("trial_end") == "now" and subscription["status"] == "trialing":
        end_trial(world, subscription)
    elif invoice is not None:
        collect(world, subscription, invoice, params)
    return subscription


def _check_managed(subscription: Obj, params: Obj) -> None:
    """Refuse to end one, or to let it go on, that a schedule manages: the schedule says when it ends."""
    if subscription["schedule"] and params.keys() & {"cancel_at", "cancel_at_period_end"}:
        raise RefusedError(
            f"The subscription is managed by the subscription schedule `{subscription['schedule']}`, and updating "
            "any cancelation behavior directly is not allowed. Please update the schedule instead."
        )


def wanted_changes(world: World, subscription: Obj, wanted: Any) -> list[Change]:
    """Return what *wanted* items change, checked, with nothing changed yet."""
    changes: list[Change] = []
    for each in wanted:
        item = None
        if each.get("id"):
            item = next((row for row in subscription["items"]["data"] if row["id"] == each["id"]), None)
            if item is None:
                raise unknown("subscription_item", each["id"], "items[0][id]", status=400)
        if each.get("deleted"):
            changes.append((item, None, None))
            continue
        named = each.get("price") or each.get("plan") or each.get("price_data")
        price = subscription_items.price_of(world, each) if named or item is None else item["price"]
        quantity = each.get("quantity")
        changes.append((item, price, quantity if quantity is not None else item["quantity"] if item else 1))
    return changes


def apply(world: World, subscription: Obj, changes: list[Change], params: Obj) -> Obj | None:
    """Make *changes*, with what they cost as invoice items; returns the invoice that is due at once, if any."""
    now = world.now(subscription["test_clock"])
    behavior = params.get("proration_behavior") or "create_prorations"
    at = params.get("proration_date") or now
    free = subscription["status"] == "trialing" or behavior == "none"
    again = params.get("billing_cycle_anchor") == "now" or any(
        _other_interval(*change) for change in changes
    )
    if not free:
        for amount, more in prorations(world, subscription, changes, at, ended=again):
            customer = world.get("customer", subscription["customer"])
            invoice_lines.item(world, customer, amount, subscription["currency"], **more)
    for item, price, quantity in changes:
        _change(world, subscription, item, price, quantity)
    if not again:
        due = bool(changes) and behavior == "always_invoice" and not free
        return subscriptions.bill(world, subscription, "subscription_update", lines=False) if due else None
    if subscription["status"] == "trialing":
        return None
    subscription_items.begin_period(subscription, now)
    return subscriptions.bill(world, subscription, "subscription_update")


def begin_with(world: World, subscription: Obj, changes: list[Change]) -> None:
    """Make *changes* with which the next period begins: it is billed by them, and nothing is prorated."""
    if any(_other_interval(*change) for change in changes):
        subscription["billing_cycle_anchor"] = world.now(subscription["test_clock"])
    for item, price, quantity in changes:
        _change(world, subscription, item, price, quantity)


def prorations(
    world: World, subscription: Obj, changes: list[Change], at: int, *, ended: bool = False
) -> list[tuple[int, Obj]]:
    """
    Return what *changes* at a time give back for the old and cost for the new, for the rest of the period.

    Args:
        world: Where the products are.
        subscription: What is changed.
        changes: What changes.
        at: When, in Unix seconds.
        ended: Whether the period ends with that: then the new is billed in full, elsewhere.
    """
    found: list[tuple[int, Obj]] = []
    for item, price, quantity in changes:
        if item is not None and item["price"]["recurring"]["usage_type"] != "metered":
            whole = invoice_lines.cost(item["price"], item["quantity"])
            found.append(_proration(world, subscription, item["price"], item["quantity"], -whole, at))
        if price is not None and not ended and price["recurring"]["usage_type"] != "metered":
            whole = invoice_lines.cost(price, quantity or 0)
            found.append(_proration(world, subscription, price, quantity or 0, whole, at))
    return [(amount, more) for amount, more in found if amount]


def _proration(
    world: World, subscription: Obj, price: Obj, quantity: int, whole: int, at: int
) -> tuple[int, Obj]:
    first = subscription["items"]["data"][0]
    start, until = first["current_period_start"], first["current_period_end"]
    amount = share(abs(whole), start=start, end=until, at=at) * (-1 if whole < 0 else 1)
    product = world.get("product", price["product"], deleted=True)["name"]
    return amount, {
        "description": f"{'Unused' if whole < 0 else 'Remaining'} time on {quantity} × {product}",
        "discountable": False,
        "metadata": {},
        "parent": {
            "type": "subscription_details",
            "subscription_details": {"subscription": subscription["id"], "subscription_item": None},
        },
        "period": {"start": at, "end": until},
        "proration": True,
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "_price": price,
    }


def _other_interval(item: Obj | None, price: Obj | None, _quantity: int | None) -> bool:
    if item is None or price is None:
        return False
    old, new = item["price"]["recurring"], price["recurring"]
    return (old["interval"], old["interval_count"]) != (new["interval"], new["interval_count"])


def _change(
    world: World, subscription: Obj, item: Obj | None, price: Obj | None, quantity: int | None
) -> None:
    if price is None and item is not None:
        subscription["items"]["data"].remove(item)
        item["_deleted"] = True
    elif item is not None and price is not None:
        item |= {"price": price, "plan": catalogue.plan_of(price), "quantity": quantity}
    elif price is not None:
        now = world.now(subscription["test_clock"])
        added = subscription_items.add_item(world, subscription, price, {"quantity": quantity}, now)
        first = subscription["items"]["data"][0]
        added["current_period_start"] = first["current_period_start"]
        added["current_period_end"] = first["current_period_end"]


def collect(world: World, subscription: Obj, invoice: Obj, params: Obj) -> None:
    """Finalize the invoice of a change, and have it paid."""
    invoices.finalize(world, invoice)
    if invoice["status"] != "open" or subscription["collection_method"] == "send_invoice":
        return
    try:
        invoice_payments.collect(world, invoice, off_session=bool(params.get("off_session")))
    except RefusedError:
        if params.get("payment_behavior") == "error_if_incomplete":
            raise


def _end_later(world: World, subscription: Obj, params: Obj) -> None:
    if "cancel_at_period_end" in params:
        later = params["cancel_at_period_end"]
        ends = max(item["current_period_end"] for item in subscription["items"]["data"])
        subscription |= {
            "cancel_at": ends if later else None,
            "canceled_at": world.now(subscription["test_clock"]) if later else None,
        }
        subscription["cancellation_details"]["reason"] = "cancellation_requested" if later else None


def _discount(world: World, subscription: Obj, params: Obj) -> None:
    if "discounts" not in params and "coupon" not in params:
        return
    wanted = [{"coupon": params["coupon"]}] if params.get("coupon") else params.get("discounts") or ()
    subscription["_discounts"] = [
        discounts.redeemed(world, each, subscription=subscription["id"], customer=subscription["customer"])
        for each in wanted
    ]
    subscription["discounts"] = [each["id"] for each in subscription["_discounts"]]


def end_trial(world: World, subscription: Obj) -> None:
    """Let a trial be over: the first period that is paid begins, unless there is nothing to pay it with."""
    now = world.now(subscription["test_clock"])
    customer = world.get("customer", subscription["customer"], deleted=True)
    known = (
        subscription["default_payment_method"]
        or customer["invoice_settings"]["default_payment_method"]
        or customer["default_source"]
    )
    missing_one = subscription["trial_settings"]["end_behavior"]["missing_payment_method"]
    if not known and missing_one == "cancel":
        end(world, subscription)
        return
    if not known and missing_one == "pause":
        with world.changing(subscription, "customer.subscription.updated"):
            subscription |= {"status": "paused", "trial_end": now}
        world.emit("customer.subscription.paused", subscription)
        return
    with world.changing(subscription, "customer.subscription.updated"):
        subscription |= {"status": "active", "trial_end": now}
        subscription_items.begin_period(subscription, now)
        invoice = subscriptions.bill(world, subscription, "subscription_cycle")
    collect(world, subscription, invoice, {"off_session": True})


# --- items on their own ---


def create_item(world: World, call: Call) -> Obj:
    """Add an item."""
    params = call.params
    if not params.get("subscription"):
        raise missing("subscription")
    subscription = world.get("subscription", params["subscription"], "subscription")
    wanted = {
        name: params[name] for name in ("price", "plan", "quantity", "price_data") if params.get(name)
    }
    _through(world, subscription, wanted, params)
    return subscription["items"]["data"][-1]


def update_item(world: World, call: Call) -> Obj:
    """Change an item."""
    item = world.get("subscription_item", call.id)
    merge(item, call.params, ("metadata",))
    wanted = {name: call.params[name] for name in ("price", "plan", "quantity") if name in call.params}
    if wanted:
        subscription = world.get("subscription", item["subscription"])
        _through(world, subscription, {"id": item["id"], **wanted}, call.params)
    return item


def delete_item(world: World, call: Call) -> Obj:
    """Take an item away; the last one stays."""
    item = world.get("subscription_item", call.id)
    subscription = world.get("subscription", item["subscription"])
    if len(subscription["items"]["data"]) == 1:
        raise RefusedError("A subscription must have at least one active plan.")
    _through(world, subscription, {"id": item["id"], "deleted": True}, call.params)
    return item


def _through(world: World, subscription: Obj, wanted: Obj, params: Obj) -> None:
    known = ("proration_behavior", "proration_date", "payment_behavior", "off_session")
    passed = {name: copied(params[name]) for name in known if name in params}
    path = f"/v1/subscriptions/{subscription['id']}"
    update(world, Call(path, {**passed, "items": [wanted]}, {"id": subscription["id"]}))


def list_items(world: World, call: Call) -> Obj:
    """List the items of a subscription."""
    if not call.params.get("subscription"):
        raise missing("subscription")
    return listing(subscription_items.ITEM)(world, call)


_ITEM: Final = "/v1/subscription_items"
ROUTES: Final = (
    Route("POST", "/v1/subscriptions/{id}", update),
    Route("POST", _ITEM, create_item),
    Route("GET", _ITEM, list_items),
    Route("GET", f"{_ITEM}/{{id}}", lambda world, call: world.get("subscription_item", call.id)),
    Route("POST", f"{_ITEM}/{{id}}", update_item),
    Route("DELETE", f"{_ITEM}/{{id}}", delete_item),
)
