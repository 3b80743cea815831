"""Subscriptions: started, tried out, changed, paused, ended; their periods are those of their items."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..listing import page
from ..nouns import Noun, Route, make, resource
from ..refusals import RefusedError, missing
from ..values import merge
from . import discounts, invoice_lines, invoice_payments, invoices, standing
from .meters import used
from .subscription_items import ITEM, add_item, begin_period, price_of
from .totals import total

if TYPE_CHECKING:
    from ..nouns import Call
    from ..values import Obj
    from ..world import World

_TAKES: Final = (
    *("automatic_tax", "collection_method", "days_until_due", "default_payment_method", "description"),
    *("metadata", "payment_settings", "trial_settings", "cancel_at"),
)

SUBSCRIPTION: Final = Noun(
    kind="subscription",
    prefix="sub",
    path="/v1/subscriptions",
    blank={
        "application": None,
        "application_fee_percent": None,
        "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
        "billing_cycle_anchor": 0,
        "billing_cycle_anchor_config": None,
        "billing_mode": {"type": "flexible"},
        "billing_schedules": [],
        "billing_thresholds": None,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "currency": None,
        "customer": None,
        "customer_account": None,
        "days_until_due": None,
        "default_payment_method": None,
        "default_source": None,
        "default_tax_rates": [],
        "description": None,
        "discounts": [],
        "ended_at": None,
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": {"object": "list", "data": [], "has_more": False, "url": ""},
        "latest_invoice": None,
        "managed_payments": None,
        "metadata": {},
        "next_pending_invoice_item_invoice": None,
        "on_behalf_of": None,
        "pause_collection": None,
        "payment_settings": {
            "payment_method_options": None,
            "payment_method_types": None,
            "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": None,
        "pending_setup_intent": None,
        "pending_update": None,
        "schedule": None,
        "start_date": 0,
        "status": "incomplete",
        "test_clock": None,
        "transfer_data": None,
        "trial_end": None,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
        "trial_start": None,
    },
    takes=_TAKES,
    changes=(*_TAKES, "cancel_at_period_end", "cancellation_details", "pause_collection"),
    filters=("collection_method", "customer"),
    event="customer.subscription",
)
DAY: Final = 86_400
SOON: Final = 3 * DAY
"""How long before the end of a trial ``trial_will_end`` is sent."""


def create(world: World, call: Call) -> Obj:
    """Start one."""
    return start(world, call.params)


def start(world: World, params: Obj) -> Obj:
    """
    Start a subscription and bill its first period, or the trial.

    Raises:
        RefusedError: A parameter is missing, there is nothing to pay with, or ``error_if_incomplete`` was asked for.
    """
    for name in ("customer", "items"):
        if not params.get(name):
            raise missing(name)
    customer = world.get("customer", params["customer"], "customer")
    prices = [price_of(world, wanted) for wanted in params["items"]]
    now = world.now(customer["test_clock"])
    trial_end = _trial_end(params, now)
    subscription = make(
        world,
        SUBSCRIPTION,
        params,
        created=now,
        currency=prices[0]["currency"],
        customer=customer["id"],
        start_date=now,
        test_clock=customer["test_clock"],
    )
    subscription["items"]["url"] = f"{ITEM.path}?subscription={subscription['id']}"
    anchor = trial_end or params.get("billing_cycle_anchor") or now
    subscription["billing_cycle_anchor"] = anchor
    if trial_end:
        subscription |= {"trial_start": now, "trial_end": trial_end}
    subscription["_discounts"] = [
        discounts.redeemed(world, wanted, subscription=subscription["id"], customer=customer["id"])
        for wanted in _wanted_discounts(params)
    ]
    subscription["discounts"] = [each["id"] for each in subscription["_discounts"]]
    for wanted, price in zip(params["items"], prices, strict=True):
        add_item(world, subscription, price, wanted, now, trial_end or 0)
    _billable(subscription, customer, free=bool(trial_end))
    _first_invoice(world, subscription, params)
    return subscription


def _wanted_discounts(params: Obj) -> list[Obj]:
    old = [{"coupon": params["coupon"]}] if params.get("coupon") else []
    return [*old, *(params.get("discounts") or ())]


def _trial_end(params: Obj, now: int) -> int | None:
    if params.get("trial_period_days"):
        return now + params["trial_period_days"] * DAY
    end = params.get("trial_end")
    return None if end in {None, "now"} else end


def _billable(subscription: Obj, customer: Obj, *, free: bool) -> None:
    """Refuse one that has to be paid at once, with nothing to pay it with."""
    if free or subscription["collection_method"] == "send_invoice":
        return
    known = (
        subscription["default_payment_method"]
        or customer["invoice_settings"]["default_payment_method"]
        or customer["default_source"]
    )
    costs = any(
        invoice_lines.cost(item["price"], item["quantity"] or 0) for item in subscription["items"]["data"]
    )
    subscription["_unbillable"] = costs and not known


def _first_invoice(world: World, subscription: Obj, params: Obj) -> None:
    behavior = params.get("payment_behavior") or "allow_incomplete"
    if subscription.pop("_unbillable", False) and behavior != "default_incomplete":
        _undo(world, subscription)
        raise RefusedError(
            "This customer has no attached payment source or default payment method.",
            code="resource_missing",
        )
    invoice = bill(world, subscription, "subscription_create", announced=False)
    sends = subscription["collection_method"] == "send_invoice"
    subscription["status"] = (
        "trialing" if subscription["trial_end"] else "active" if sends else "incomplete"
    )
    world.emit("customer.subscription.created", subscription)
    if subscription["trial_end"] and subscription["trial_end"] - subscription["trial_start"] <= SOON:
        _trial_will_end(world, subscription)
    world.emit("invoice.created", invoice)
    if sends:
        return
    try:
        invoices.finalize(world, invoice)
        if invoice["status"] == "open" and behavior != "default_incomplete":
            invoice_payments.collect(world, invoice, off_session=bool(params.get("off_session")))
    except RefusedError:
        if behavior != "error_if_incomplete":
            return
        _undo(world, subscription)
        invoices.void(world, invoice)
        raise


def _undo(world: World, subscription: Obj) -> None:
    for item in subscription["items"]["data"]:
        world.drop(item)
    world.drop(subscription)


def _trial_will_end(world: World, subscription: Obj) -> None:
    subscription["_told_of_trial"] = True
    world.emit("customer.subscription.trial_will_end", subscription)


def tell_of_trial(world: World, subscription: Obj) -> None:
    """Say that a trial ends soon, once."""
    if not subscription.get("_told_of_trial"):
        _trial_will_end(world, subscription)


def bill(
    world: World, subscription: Obj, reason: str, *, announced: bool = True, lines: bool = True
) -> Obj:
    """Draft the invoice for the period that begins, and for what waits for it."""
    customer = world.get("customer", subscription["customer"], deleted=True)
    same = ("collection_method", "days_until_due", "default_payment_method")
    params: Obj = {name: subscription[name] for name in same if subscription[name] is not None}
    params["automatic_tax"] = {"enabled": subscription["automatic_tax"]["enabled"]}
    params["default_tax_rates"] = [rate["id"] for rate in subscription["default_tax_rates"]]
    own = list(subscription.get("_discounts") or ())
    invoice = invoices.draft(
        world,
        customer,
        subscription["currency"],
        params=params,
        auto_advance=True,
        billing_reason=reason,
        parent={
            "type": "subscription_details",
            "quote_details": None,
            "subscription_details": {
                "metadata": dict(subscription["metadata"]),
                "subscription": subscription["id"],
            },
        },
        _discounts=own or ([customer["discount"]] if customer["discount"] else []),
    )
    if lines:
        invoice["lines"]["data"] += period_lines(world, invoice["id"], subscription)
    invoices.take_items(world, invoice, subscription["id"])
    total(world, invoice)
    subscription["latest_invoice"] = invoice["id"]
    if announced:
        world.emit("invoice.created", invoice)
    return invoice


def period_lines(world: World, invoice: str, subscription: Obj) -> list[Obj]:
    """Return the lines for the period in which a subscription is: in a trial, of nothing."""
    lines: list[Obj] = []
    trial = subscription["trial_end"] is not None and subscription["trial_end"] > world.now(
        subscription["test_clock"]
    )
    for item in subscription["items"]["data"]:
        if item["price"]["recurring"]["usage_type"] == "metered":
            lines += _metered(world, invoice, item)
            continue
        amount = 0 if trial else invoice_lines.cost(item["price"], item["quantity"])
        line = invoice_lines.line_of_subscription(world, invoice, item, amount)
        if trial:
            line["description"] = (
                "Trial period for " + str(line["description"]).split(" × ")[-1].split(" (at")[0]
            )
        lines.append(line)
    return lines


def _metered(world: World, invoice: str, item: Obj) -> list[Obj]:
    """Return the line for what was used in the period that is over, if there is one."""
    period: Any = item.get("_over")
    if period is None:
        return []
    subscription = world.get("subscription", item["subscription"])
    quantity = used(world, item["price"]["recurring"]["meter"], subscription["customer"], *period)
    amount = invoice_lines.cost(item["price"], quantity)
    span = {"start": period[0], "end": period[1]}
    return [
        invoice_lines.line_of_subscription(world, invoice, item, amount, quantity=quantity, period=span)
    ]


def cancel(world: World, call: Call) -> Obj:
    """End one now."""
    subscription = world.get("subscription", call.id)
    if subscription["status"] == "canceled":
        raise RefusedError(
            f"No such subscription: {call.id}", status=404, code="resource_missing", param="id"
        )
    merge(subscription, call.params, ("cancellation_details",))
    for invoice in world.every("invoice", status="open"):
        if standing.subscription_of(world, invoice) is subscription:
            invoice |= {"auto_advance": False, "next_payment_attempt": None}
    return standing.end(world, subscription)


def resume(world: World, call: Call) -> Obj:
    """Go on with one that is paused, from a period that begins now."""
    subscription = world.get("subscription", call.id)
    if subscription["status"] != "paused":
        raise RefusedError("Only subscriptions with a status of paused can be resumed.")
    with world.changing(subscription, "customer.subscription.updated"):
        subscription["status"] = "active"
        begin_period(subscription, world.now(subscription["test_clock"]))
    world.emit("customer.subscription.resumed", subscription)
    invoice = bill(world, subscription, "subscription_cycle")
    invoices.finalize(world, invoice)
    if invoice["status"] == "open":
        invoice_payments.collect(world, invoice)
    return subscription


def list_all(world: World, call: Call) -> Obj:
    """List them: those that are not canceled, unless ``status`` says otherwise."""
    params = call.params
    where = {name: params[name] for name in SUBSCRIPTION.filters if params.get(name)}
    rows, status = world.every("subscription", **where), params.get("status")
    if status != "all":
        rows = [row for row in rows if (row["status"] == status if status else row["status"] != "canceled")]
    if price := params.get("price"):
        rows = [row for row in rows if any(item["price"]["id"] == price for item in row["items"]["data"])]
    if clock := params.get("test_clock"):
        rows = [row for row in rows if row["test_clock"] == clock]
    return page(rows, params, call.path)


def expire_incomplete(world: World, subscription: Obj) -> None:
    """Give up one whose first payment never came."""
    with world.changing(subscription, "customer.subscription.updated"):
        subscription |= {"status": "incomplete_expired", "ended_at": world.now(subscription["test_clock"])}
    invoice = world.get("invoice", subscription["latest_invoice"])
    if invoice["status"] == "open":
        invoices.void(world, invoice)


ROUTES: Final = (
    *resource(SUBSCRIPTION, create=create, update=None, all=list_all, resume=resume),
    Route("DELETE", f"{SUBSCRIPTION.path}/{{id}}", cancel),
)
