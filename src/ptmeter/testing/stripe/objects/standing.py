"""What the payment of its invoices, or the want of it, makes of a subscription."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..values import Obj
    from ..world import World

DAY = 86_400


def subscription_of(world: World, invoice: Obj) -> Obj | None:
    """Return the subscription that an invoice is of."""
    parent: Any = invoice["parent"]
    details = parent and parent.get("subscription_details")
    return world.find(details["subscription"]) if details else None


def paid(world: World, invoice: Obj) -> None:
    """Let a subscription be active again, or for the first time."""
    subscription = subscription_of(world, invoice)
    if subscription is None or subscription["status"] not in {"incomplete", "past_due", "unpaid"}:
        return
    with world.changing(subscription, "customer.subscription.updated"):
        subscription["status"] = "active"


def unpaid(world: World, invoice: Obj) -> None:
    """Let a subscription be past due, and its invoice be tried again, until the last try has failed."""
    subscription = subscription_of(world, invoice)
    if subscription is None or invoice["billing_reason"] == "subscription_create":
        return
    days = world.settings.retry_days
    tried: int = invoice["attempt_count"]
    if invoice["collection_method"] == "charge_automatically" and tried <= len(days):
        invoice["next_payment_attempt"] = world.now(subscription["test_clock"]) + days[tried - 1] * DAY
        status = "past_due"
    else:
        invoice["next_payment_attempt"] = None
        status = world.settings.after_retries
    if subscription["status"] in {"canceled", status}:
        return
    if status == "canceled":
        end(world, subscription, "payment_failed")
        return
    with world.changing(subscription, "customer.subscription.updated"):
        subscription["status"] = status


def end(world: World, subscription: Obj, reason: str = "cancellation_requested") -> Obj:
    """End a subscription now, for good."""
    now = world.now(subscription["test_clock"])
    subscription |= {
        "status": "canceled",
        "canceled_at": subscription["canceled_at"] or now,
        "ended_at": now,
    }
    subscription["cancellation_details"]["reason"] = reason
    for schedule in world.every("subscription_schedule", subscription=subscription["id"]):
        schedule |= {"status": "canceled", "canceled_at": now, "current_phase": None, "subscription": None}
        subscription["schedule"] = None
        how = "aborted" if reason == "payment_failed" else "canceled"
        world.emit(f"subscription_schedule.{how}", schedule)
    world.emit("customer.subscription.deleted", subscription)
    return subscription
