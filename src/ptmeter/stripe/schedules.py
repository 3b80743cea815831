"""
Changes that are to come at Stripe: a subscription schedule, whose next phase begins when what is paid for ends.

A subscription has one at most. While it has one, Stripe refuses to end it or to let it go on after all: the schedule is
released first, which leaves the subscription as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from ..domain.subscriptions import Change, Interval
from .checkout import INTERVAL, PLAN
from .reading import metadata_of, moment
from .requests import StripeRequest, given
from .subjects import identifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Json: TypeAlias = "Mapping[str, Any]"

_EXPAND: Final = ["phases.items.price"]
_SAME: Final = (
    *("application_fee_percent", "billing_thresholds", "collection_method", "default_payment_method"),
    *("description", "on_behalf_of"),
)
"""What a phase that follows has of the one before it, as it stands there."""


def planned(items: Sequence[Json]) -> Json:
    """Which of several items of a subscription, or of a phase, is for a plan: the first whose price says so, else the first."""
    return next((item for item in items if PLAN in metadata_of(item["price"])), items[0])


def find(name: str) -> StripeRequest:
    """A schedule with the prices of its phases."""
    return StripeRequest(f"subscription_schedules/{name}", {"expand": _EXPAND})


def create(subscription: Json) -> StripeRequest:
    """Have a schedule manage a subscription; its one phase is the period that is paid for now."""
    return StripeRequest(
        "subscription_schedules", {"from_subscription": subscription["id"], "expand": _EXPAND}
    )


def then(schedule: Json, price: str, *, plan: str, interval: Interval, at: int) -> StripeRequest:
    """
    Go on as now until *at*, in seconds, and by another price from then on, without any difference to pay.

    Whatever else was to come is taken back, an end too. After one month or year the schedule lets the subscription go.
    """
    now = _current(schedule)
    plan_now = planned(now["items"])
    current = {
        **_settings(now),
        **given(metadata=now["metadata"], trial_end=now["trial_end"]),
        "items": [_item(each) for each in now["items"]],
        "start_date": now["start_date"],
        "end_date": at,
        "proration_behavior": now["proration_behavior"],
    }
    following = {
        **_settings(now),
        "items": [
            {**_item(each), "price": price, "quantity": 1} if each is plan_now else _item(each)
            for each in now["items"]
        ],
        "metadata": {PLAN: plan, INTERVAL: str(interval)},
        "start_date": at,
        "duration": {"interval": str(interval), "interval_count": 1},
        "proration_behavior": "none",
    }
    params = {
        "phases": [current, following],
        "end_behavior": "release",
        "proration_behavior": "none",
        "expand": _EXPAND,
    }
    return StripeRequest(f"subscription_schedules/{schedule['id']}", params)


def release(schedule: Json) -> StripeRequest:
    """Leave the subscription as it is, without what was to come."""
    return StripeRequest(f"subscription_schedules/{schedule['id']}/release")


def managing(subscription: Json) -> Json | None:
    """The schedule that manages a subscription, where that is there whole; ``None`` if it manages it no longer."""
    schedule = subscription.get("schedule")
    if not isinstance(schedule, dict):
        return None
    found = cast("Json", schedule)
    return found if found["current_phase"] else None


def coming(subscription: Json, plan: str, interval: str) -> Change | None:
    """The next change of plan or interval that a subscription's schedule has, from those that hold now."""
    schedule = managing(subscription)
    if schedule is None:
        return None
    end: int = schedule["current_phase"]["end_date"]
    for phase in schedule["phases"]:
        found = _named(phase)
        if phase["start_date"] >= end and found and found != (plan, interval):
            return Change(found[0], Interval(found[1]), moment(phase["start_date"]))
    return None


def ends(subscription: Json) -> int | None:
    """
    When a subscription will end, in seconds, if it will.

    Of one that a schedule manages, that says it: Stripe may note the end of a phase as ``cancel_at``.
    """
    if schedule := managing(subscription):
        return schedule["phases"][-1]["end_date"] if schedule["end_behavior"] == "cancel" else None
    at_period_end = subscription.get("cancel_at_period_end")
    period = planned(subscription["items"]["data"])
    return subscription.get("cancel_at") or (period["current_period_end"] if at_period_end else None)


def _current(schedule: Json) -> Json:
    start = schedule["current_phase"]["start_date"]
    return next(phase for phase in schedule["phases"] if phase["start_date"] == start)


def _named(phase: Json) -> tuple[str, str] | None:
    """The plan and interval of a phase; none if they are not ours."""
    said = metadata_of(phase)
    for item in phase["items"]:
        price: Json = item["price"]
        plan, interval = metadata_of(price).get(PLAN), price["recurring"]["interval"]
        plan = plan or said.get(PLAN)
        if plan and interval in tuple(Interval):
            return plan, interval
    return None


def _settings(phase: Json) -> dict[str, Any]:
    """What holds in a phase besides its items, as parameters; a discount goes on as the one it is."""
    tax: Json = phase.get("automatic_tax") or {}
    invoices: Json = phase.get("invoice_settings") or {}
    return given(
        **{name: phase.get(name) for name in _SAME},
        automatic_tax={"enabled": True} if tax.get("enabled") else None,
        invoice_settings={name: value for name, value in invoices.items() if value is not None},
        default_tax_rates=_names(phase.get("default_tax_rates")),
        discounts=_discounts(phase),
    )


def _item(item: Json) -> dict[str, Any]:
    return given(
        price=identifier(item["price"]),
        quantity=item.get("quantity"),
        metadata=item.get("metadata"),
        tax_rates=_names(item.get("tax_rates")),
        discounts=_discounts(item),
    )


def _discounts(holder: Json) -> list[dict[str, str]]:
    """Those there are: named by themselves, so that they end when they would have ended."""
    kinds = ("discount", "promotion_code", "coupon")
    found: Iterable[Json] = holder.get("discounts") or ()
    named = [[(kind, name) for kind in kinds if (name := identifier(each.get(kind)))] for each in found]
    return [dict(each[:1]) for each in named if each]


def _names(rates: Iterable[Any] | None) -> list[str]:
    return [identifier(each) for each in rates or ()]
