"""Subscriptions as time goes on: trials end, periods follow one another, invoices are finalized and tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .objects import changing, invoice_payments, invoices, schedules, subscriptions
from .objects.standing import end, subscription_of
from .periods import end as period_end
from .refusals import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .values import Obj
    from .world import World

HOUR: Final = 3_600
FIRST_PAYMENT: Final = 23 * HOUR
"""How long a first payment is waited for."""

Due = tuple[int, "Callable[[], object]"]


def run(world: World, test_clock: str | None, until: int) -> None:
    """Let happen what is due on a clock up to and at *until*, one after the other, each at its time."""
    while (due := min(_all_due(world, test_clock), key=lambda each: each[0], default=None)) and due[
        0
    ] <= until:
        at, act = due
        with world.at(at):
            act()


def _all_due(world: World, test_clock: str | None) -> Iterator[Due]:
    for schedule in world.every(
        "subscription_schedule", test_clock=test_clock
    ):  # before what is due just then
        if schedule["status"] == "not_started":
            yield (
                schedule["phases"][0]["start_date"],
                lambda schedule=schedule: schedules.begin(world, schedule),
            )
        elif schedule["status"] == "active":
            yield (
                schedule["current_phase"]["end_date"],
                lambda schedule=schedule: schedules.move_on(world, schedule),
            )
    for subscription in world.every("subscription", test_clock=test_clock):
        if subscription["status"] not in {"canceled", "incomplete_expired", "paused"}:
            yield from _due(world, subscription)
    for invoice in world.every("invoice", test_clock=test_clock):
        if invoice["status"] == "draft" and invoice.get("_finalizes_at") is not None:
            yield invoice["_finalizes_at"], lambda invoice=invoice: _finalize(world, invoice)
        elif invoice["status"] == "open" and invoice["next_payment_attempt"] is not None:
            yield invoice["next_payment_attempt"], lambda invoice=invoice: _try_again(world, invoice)


def _due(world: World, subscription: Obj) -> Iterator[Due]:
    if subscription["status"] == "incomplete":
        yield (
            subscription["created"] + FIRST_PAYMENT,
            lambda: subscriptions.expire_incomplete(world, subscription),
        )
        return
    ends = min(item["current_period_end"] for item in subscription["items"]["data"])
    cancel_at: int | None = subscription["cancel_at"]
    if cancel_at is not None and cancel_at <= ends:
        yield cancel_at, lambda: end(world, subscription)
    elif subscription["status"] == "trialing":
        if not subscription.get("_told_of_trial"):
            yield (
                subscription["trial_end"] - subscriptions.SOON,
                lambda: subscriptions.tell_of_trial(world, subscription),
            )
        yield subscription["trial_end"], lambda: changing.end_trial(world, subscription)
    else:
        yield ends, lambda: renew(world, subscription)


def renew(world: World, subscription: Obj) -> None:
    """Begin the next period: its invoice is a draft for an hour."""
    anchor: int = subscription["billing_cycle_anchor"]
    with world.changing(subscription, "customer.subscription.updated"):
        for item in subscription["items"]["data"]:
            over: int = item["current_period_end"]
            if over > world.now(subscription["test_clock"]):
                continue
            item["_over"] = (item["current_period_start"], over)
            recurring = item["price"]["recurring"]
            item["current_period_start"] = over
            item["current_period_end"] = period_end(
                anchor, over, recurring["interval"], recurring["interval_count"]
            )
        invoice = subscriptions.bill(world, subscription, "subscription_cycle", announced=False)
        _expire_discounts(subscription, invoice["created"])
    for item in subscription["items"]["data"]:
        item.pop("_over", None)
    paused = subscription["pause_collection"]
    if not paused or paused["behavior"] != "keep_as_draft":
        invoice["automatically_finalizes_at"] = invoice["_finalizes_at"] = invoice["created"] + HOUR
    world.emit("invoice.created", invoice)


def _expire_discounts(subscription: Obj, now: int) -> None:
    """Let go of discounts that were for one invoice, or for months that are over."""
    kept = [
        each for each in subscription.get("_discounts") or () if each["end"] is None or each["end"] > now
    ]
    subscription["_discounts"] = kept
    subscription["discounts"] = [each["id"] for each in kept]


def _finalize(world: World, invoice: Obj) -> None:
    invoice["_finalizes_at"] = None
    subscription = subscription_of(world, invoice) or {}
    try:
        invoices.finalize(world, invoice)
    except RefusedError:
        return
    paused = subscription.get("pause_collection")
    if invoice["status"] != "open":
        return
    if paused:
        {"void": invoices.void, "mark_uncollectible": invoices.give_up}[paused["behavior"]](world, invoice)
    elif invoice["collection_method"] == "charge_automatically":
        _try_again(world, invoice)


def _try_again(world: World, invoice: Obj) -> None:
    try:
        invoice_payments.collect(world, invoice, off_session=True)
    except RefusedError:
        return
