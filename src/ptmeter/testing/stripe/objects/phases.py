"""The phases of a subscription schedule: one after the other, without a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..periods import end as period_end
from ..refusals import RefusedError, missing
from ..values import copied, merge, part
from .subscription_items import price_of

if TYPE_CHECKING:
    from ..values import Obj
    from ..world import World

_PHASE: Final[Obj] = {
    "add_invoice_items": [],
    "application_fee_percent": None,
    "automatic_tax": None,
    "billing_cycle_anchor": None,
    "billing_thresholds": None,
    "collection_method": None,
    "currency": None,
    "default_payment_method": None,
    "default_tax_rates": [],
    "description": None,
    "discounts": [],
    "end_date": 0,
    "invoice_settings": None,
    "items": [],
    "metadata": {},
    "on_behalf_of": None,
    "proration_behavior": "create_prorations",
    "start_date": 0,
    "transfer_data": None,
    "trial_end": None,
}
_TAKES: Final = (
    *(
        "automatic_tax",
        "billing_cycle_anchor",
        "collection_method",
        "default_payment_method",
        "description",
    ),
    *("invoice_settings", "metadata", "proration_behavior", "trial_end"),
)


def phase_of(subscription: Obj) -> Obj:
    """Return the phase that a subscription is in by itself: its period, or its trial."""
    first = first_of(subscription)
    items = [_item(each["price"], {"quantity": each["quantity"]}) for each in subscription["items"]["data"]]
    return {
        **copied(_PHASE),
        "currency": subscription["currency"],
        "discounts": [_discount({"discount": name}) for name in subscription["discounts"]],
        "end_date": first["current_period_end"],
        "items": items,
        "metadata": dict(subscription["metadata"]),
        "start_date": first["current_period_start"],
        "trial_end": subscription["trial_end"] if subscription["status"] == "trialing" else None,
    }


def arranged(world: World, wanted: list[Obj], now: int) -> list[Obj]:
    """
    Return the phases that are asked for, each from the end of the one before.

    Raises:
        RefusedError: The first does not say when it starts, there is a gap, or one has no items or no length.
    """
    phases: list[Obj] = []
    at: int | str | None = wanted[0].get("start_date")
    if at is None:
        raise missing("phases[0][start_date]")
    start = now if isinstance(at, str) else at
    for place, each in enumerate(wanted):
        if each.get("start_date") not in {None, "now", start}:
            raise RefusedError(
                "The start date of a phase is the end date of the one before it.",
                param=f"phases[{place}][start_date]",
            )
        phases.append(_phase(world, each, start, now, f"phases[{place}]"))
        start = phases[-1]["end_date"]
    return phases


def _phase(world: World, wanted: Obj, start: int, now: int, name: str) -> Obj:
    if not wanted.get("items"):
        raise missing(f"{name}[items]")
    prices = [price_of(world, each) for each in wanted["items"]]
    phase: Obj = {
        **copied(_PHASE),
        "currency": prices[0]["currency"],
        "discounts": [_discount(each) for each in wanted.get("discounts") or ()],
        "end_date": _end(wanted, prices[0], start, now, name),
        "items": [_item(price, each) for price, each in zip(prices, wanted["items"], strict=True)],
        "start_date": start,
    }
    merge(phase, wanted, _TAKES)
    if phase["end_date"] <= start:
        raise RefusedError("A phase ends after it starts.", param=f"{name}[end_date]")
    return phase


def _end(wanted: Obj, price: Obj, start: int, now: int, name: str) -> int:
    """When a phase ends: when it says, after as long as it says, or after one interval of its price."""
    ends, length = wanted.get("end_date"), part(wanted, "duration")
    if ends is not None:
        if length or wanted.get("iterations"):
            raise RefusedError("You can set either an end date or a duration.", param=f"{name}[end_date]")
        return now if ends == "now" else ends
    recurring = price["recurring"]
    interval = length.get("interval") or recurring["interval"]
    count: int = length.get("interval_count") or (1 if length else recurring["interval_count"])
    return period_end(start, start, interval, count * (wanted.get("iterations") or 1))


def _item(price: Obj, wanted: Obj) -> Obj:
    quantity = wanted.get("quantity")
    return {
        "billing_thresholds": None,
        "discounts": [],
        "metadata": dict(wanted.get("metadata") or {}),
        "plan": price["id"],
        "price": price["id"],
        "quantity": 1 if quantity is None else quantity,
        "tax_rates": [],
    }


def _discount(wanted: Obj) -> Obj:
    return {name: wanted.get(name) for name in ("coupon", "discount", "promotion_code")}


def holding(phases: list[Obj], now: int) -> Obj:
    """
    Return the phase that holds now.

    Raises:
        RefusedError: There is none.
    """
    for phase in phases:
        if phase["start_date"] <= now < phase["end_date"]:
            return phase
    raise RefusedError("One of the phases has to be the current one.", param="phases")


def next_after(phases: list[Obj], end: int) -> Obj | None:
    """Return the phase that begins when another ends."""
    return next((phase for phase in phases if phase["start_date"] == end), None)


def first_of(subscription: Obj) -> Any:
    """Return the first item of a subscription, whose period is that of all."""
    return subscription["items"]["data"][0]
