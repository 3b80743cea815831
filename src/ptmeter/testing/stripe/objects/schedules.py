"""Subscription schedules: a subscription in phases, each of which begins when the one before it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..nouns import Noun, make, resource
from ..refusals import RefusedError, missing
from ..values import merge
from . import changing, discounts, standing, subscriptions
from .phases import arranged, first_of, holding, next_after, phase_of

if TYPE_CHECKING:
    from ..nouns import Call
    from ..values import Obj
    from ..world import World

SCHEDULE: Final = Noun(
    kind="subscription_schedule",
    prefix="sub_sched",
    path="/v1/subscription_schedules",
    blank={
        "application": None,
        "billing_mode": {"type": "flexible"},
        "canceled_at": None,
        "completed_at": None,
        "current_phase": None,
        "customer": None,
        "customer_account": None,
        "default_settings": {
            "application_fee_percent": None,
            "automatic_tax": {"disabled_reason": None, "enabled": False, "liability": None},
            "billing_cycle_anchor": "automatic",
            "billing_thresholds": None,
            "collection_method": "charge_automatically",
            "default_payment_method": None,
            "description": None,
            "invoice_settings": {
                "account_tax_ids": None,
                "days_until_due": None,
                "issuer": {"type": "self"},
            },
            "on_behalf_of": None,
            "transfer_data": None,
        },
        "end_behavior": "release",
        "metadata": {},
        "phases": [],
        "released_at": None,
        "released_subscription": None,
        "status": "not_started",
        "subscription": None,
        "test_clock": None,
    },
    takes=("default_settings", "end_behavior", "metadata"),
    changes=("default_settings", "end_behavior", "metadata"),
    filters=("customer",),
)
_OPEN: Final = frozenset({"not_started", "active"})
_GIVEN: Final = ("collection_method", "default_payment_method", "description")
"""What a phase sets of its subscription if it says so."""


def create(world: World, call: Call) -> Obj:
    """Make one, of a subscription that there is or of phases; the first phase begins now or later."""
    params = call.params
    if params.get("from_subscription"):
        return _of_subscription(world, params)
    for name in ("customer", "phases"):
        if not params.get(name):
            raise missing(name)
    customer = world.get("customer", params["customer"], "customer")
    now = world.now(customer["test_clock"])
    begins = params.get("start_date") or now
    first, *others = params["phases"]
    schedule = make(
        world,
        SCHEDULE,
        params,
        created=now,
        customer=customer["id"],
        phases=arranged(world, [{"start_date": begins, **first}, *others], now),
        test_clock=customer["test_clock"],
    )
    if schedule["phases"][0]["start_date"] <= now:
        _begin(world, schedule)
    world.emit("subscription_schedule.created", schedule)
    return schedule


def _of_subscription(world: World, params: Obj) -> Obj:
    for name in params.keys() - {"from_subscription", "billing_mode"}:
        raise RefusedError(f"You cannot set `{name}` if `from_subscription` is set.", param=name)
    subscription = world.get("subscription", params["from_subscription"], "from_subscription")
    if subscription["schedule"]:
        raise RefusedError(
            "You cannot migrate a subscription that is already attached to a schedule: "
            f"`{subscription['schedule']}`.",
            param="from_subscription",
        )
    if subscription["status"] in {"canceled", "incomplete", "incomplete_expired"}:
        raise RefusedError(
            f"You cannot migrate a subscription that is {subscription['status']}.",
            param="from_subscription",
        )
    phase = phase_of(subscription)
    schedule = make(
        world,
        SCHEDULE,
        created=world.now(subscription["test_clock"]),
        customer=subscription["customer"],
        end_behavior="cancel" if subscription["cancel_at"] else "release",
        phases=[phase],
        test_clock=subscription["test_clock"],
    )
    merge(schedule["default_settings"], subscription, _GIVEN)
    _attach(world, schedule, subscription)
    world.emit("subscription_schedule.created", schedule)
    return schedule


def begin(world: World, schedule: Obj) -> None:
    """Let the first phase begin, and the subscription with it, if it can be paid for."""
    with world.changing(schedule, "subscription_schedule.updated"):
        try:
            _begin(world, schedule)
        except RefusedError:
            schedule |= {"status": "canceled", "canceled_at": world.now(schedule["test_clock"])}


def _begin(world: World, schedule: Obj) -> None:
    phase = schedule["phases"][0]
    wanted: Any = {
        "customer": schedule["customer"],
        "items": [{"price": item["price"], "quantity": item["quantity"]} for item in phase["items"]],
        "metadata": phase["metadata"],
        "off_session": True,
        "trial_end": phase["trial_end"],
        "discounts": [each for each in phase["discounts"] if each.get("coupon")],
    }
    _attach(world, schedule, subscriptions.start(world, wanted))


def _attach(world: World, schedule: Obj, subscription: Obj) -> None:
    schedule |= {"status": "active", "subscription": subscription["id"]}
    _stand_in(schedule, schedule["phases"][0])
    with world.changing(subscription, "customer.subscription.updated"):
        subscription["schedule"] = schedule["id"]
        _say_end(schedule, subscription)


def update(world: World, call: Call) -> Obj:
    """Set what is to come, and how it ends; what the current phase says by then is so at once."""
    schedule, params = world.get("subscription_schedule", call.id), call.params
    _check_open(schedule, "update")
    with world.changing(schedule, "subscription_schedule.updated"):
        merge(schedule, params, SCHEDULE.changes)
        phase = _rearrange(world, schedule, params["phases"]) if params.get("phases") else None
    if schedule["status"] == "active" and "end_behavior" in params:
        subscription = world.get("subscription", schedule["subscription"])
        with world.changing(subscription, "customer.subscription.updated"):
            _say_end(schedule, subscription)
    if phase is not None:
        _enter(world, schedule, phase, params.get("proration_behavior") or "create_prorations")
    return schedule


def _rearrange(world: World, schedule: Obj, wanted: list[Obj]) -> Obj | None:
    """Put other phases in the place of those that are not over; returns the one that holds now, if one does."""
    now = world.now(schedule["test_clock"])
    phases = arranged(world, wanted, now)
    phase = holding(phases, now) if schedule["status"] == "active" else None
    if phase is not None and phase["start_date"] != schedule["current_phase"]["start_date"]:
        raise RefusedError("You can not modify the start date of the current phase.", param="phases")
    past = [each for each in schedule["phases"] if each["end_date"] <= phases[0]["start_date"]]
    schedule["phases"] = [*past, *phases]
    if phase is not None:
        _stand_in(schedule, phase)
    return phase


def move_on(world: World, schedule: Obj) -> None:
    """Let the current phase be over: the next one begins, or the schedule is done."""
    phase = next_after(schedule["phases"], schedule["current_phase"]["end_date"])
    if phase is not None:
        with world.changing(schedule, "subscription_schedule.updated"):
            _stand_in(schedule, phase)
        _enter(world, schedule, phase, phase["proration_behavior"])
    elif schedule["end_behavior"] == "cancel":
        subscription = _let_go(
            world, schedule, status="completed", completed_at=world.now(schedule["test_clock"])
        )
        world.emit("subscription_schedule.completed", schedule)
        standing.end(world, subscription)
    else:
        _release(world, schedule, preserved=False)


def release(world: World, call: Call) -> Obj:
    """Leave the subscription as it is, without what was to come."""
    schedule = world.get("subscription_schedule", call.id)
    _check_open(schedule, "release")
    _release(world, schedule, preserved=bool(call.params.get("preserve_cancel_date")))
    return schedule


def _release(world: World, schedule: Obj, *, preserved: bool) -> None:
    name, ends = schedule["subscription"], schedule["end_behavior"] == "cancel"
    now = world.now(schedule["test_clock"])
    if name is None:
        schedule |= {"status": "released", "released_at": now}
    else:
        subscription = world.get("subscription", name)
        with world.changing(subscription, "customer.subscription.updated"):
            _let_go(world, schedule, status="released", released_at=now, released_subscription=name)
            if ends and not preserved:
                subscription |= {"cancel_at": None, "canceled_at": None}
    world.emit("subscription_schedule.released", schedule)


def cancel(world: World, call: Call) -> Obj:
    """End it and its subscription at once."""
    schedule = world.get("subscription_schedule", call.id)
    _check_open(schedule, "cancel")
    if schedule["subscription"] is None:
        schedule |= {"status": "canceled", "canceled_at": world.now(schedule["test_clock"])}
        world.emit("subscription_schedule.canceled", schedule)
    else:
        standing.end(world, world.get("subscription", schedule["subscription"]))
    return schedule


# --- the subscription ---


def _let_go(world: World, schedule: Obj, **how: Any) -> Obj:
    subscription = world.get("subscription", schedule["subscription"])
    schedule |= {**how, "current_phase": None, "subscription": None}
    subscription["schedule"] = None
    return subscription


def _stand_in(schedule: Obj, phase: Obj) -> None:
    schedule["current_phase"] = {"start_date": phase["start_date"], "end_date": phase["end_date"]}


def _enter(world: World, schedule: Obj, phase: Obj, behavior: str) -> None:
    """Have the subscription be what a phase says; with a period that begins just now nothing is prorated."""
    subscription = world.get("subscription", schedule["subscription"])
    now, invoice = world.now(schedule["test_clock"]), None
    trial_is_over = subscription["status"] == "trialing" and not phase["trial_end"]
    with world.changing(subscription, "customer.subscription.updated"):
        _say_end(schedule, subscription)
        subscription |= {name: phase[name] for name in _GIVEN if phase[name] is not None}
        if phase["metadata"]:
            merge(subscription, phase, ("metadata",))
        _discount(world, subscription, phase)
        changes = _changes(world, subscription, phase)
        if now < first_of(subscription)["current_period_end"]:
            invoice = changing.apply(world, subscription, changes, {"proration_behavior": behavior})
        else:
            changing.begin_with(world, subscription, changes)
    if trial_is_over and now < first_of(subscription)["current_period_end"]:
        changing.end_trial(world, subscription)
    elif invoice is not None:
        changing.collect(world, subscription, invoice, {"off_session": True})


def _changes(world: World, subscription: Obj, phase: Obj) -> list[changing.Change]:
    """What is to be changed of the items, which a phase names in their order."""
    items: list[Obj] = subscription["items"]["data"]
    wanted: list[Obj] = phase["items"]
    found: list[changing.Change] = []
    for place in range(max(len(items), len(wanted))):
        item = items[place] if place < len(items) else None
        if place >= len(wanted):
            found.append((item, None, None))
            continue
        price, quantity = world.get("price", wanted[place]["price"]), wanted[place]["quantity"]
        if item is None or (item["price"]["id"], item["quantity"]) != (price["id"], quantity):
            found.append((item, price, quantity))
    return found


def _discount(world: World, subscription: Obj, phase: Obj) -> None:
    """Keep the discounts that a phase names and redeem its coupons; what it does not name is over."""
    kept = {each["id"]: each for each in subscription.get("_discounts") or ()}
    owner = {"subscription": subscription["id"], "customer": subscription["customer"]}
    subscription["_discounts"] = [
        kept[each["discount"]] if each.get("discount") in kept else discounts.redeemed(world, each, **owner)
        for each in phase["discounts"]
    ]
    subscription["discounts"] = [each["id"] for each in subscription["_discounts"]]


def _say_end(schedule: Obj, subscription: Obj) -> None:
    ends = schedule["phases"][-1]["end_date"] if schedule["end_behavior"] == "cancel" else None
    since = subscription["canceled_at"] or schedule["created"]
    subscription |= {
        "cancel_at": ends,
        "cancel_at_period_end": False,
        "canceled_at": since if ends else None,
    }


def _check_open(schedule: Obj, verb: str) -> None:
    if schedule["status"] not in _OPEN:
        raise RefusedError(
            f"You cannot {verb} a subscription schedule that is currently in the `{schedule['status']}` "
            "status. It must be in `not_started` or `active`."
        )


ROUTES: Final = resource(SCHEDULE, create=create, update=update, release=release, cancel=cancel)
