"""The items of a subscription: a price, a quantity and, since basil, the period they are in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..nouns import Noun, make
from ..periods import end as period_end
from ..refusals import RefusedError, missing
from ..values import part
from . import catalogue

if TYPE_CHECKING:
    from ..values import Obj
    from ..world import World

ITEM: Final = Noun(
    kind="subscription_item",
    prefix="si",
    path="/v1/subscription_items",
    lacks=("livemode",),
    blank={
        "billing_thresholds": None,
        "current_period_end": 0,
        "current_period_start": 0,
        "discounts": [],
        "metadata": {},
        "plan": None,
        "price": None,
        "quantity": 1,
        "subscription": None,
        "tax_rates": [],
    },
    takes=("metadata",),
)


def price_of(world: World, wanted: Obj) -> Obj:
    """Return the price that an item is to have, which old versions call its plan."""
    data = part(wanted, "price_data")
    if data:
        return catalogue.priced(world, data)
    identity = wanted.get("price") or wanted.get("plan")
    if not identity:
        raise missing("items[0][price]")
    price = world.get("price", identity, "items[0][price]")
    if not price["recurring"]:
        raise RefusedError(
            "The price specified is set to `type=one_time` but this field only accepts prices with `type=recurring`.",
            param="items[0][price]",
        )
    return price


def add_item(world: World, subscription: Obj, price: Obj, wanted: Obj, now: int, trial_end: int = 0) -> Obj:
    """Add an item, whose period begins now."""
    anchor, recurring = subscription["billing_cycle_anchor"], price["recurring"]
    end = trial_end or period_end(anchor, now, recurring["interval"], recurring["interval_count"])
    quantity = wanted.get("quantity") if wanted.get("quantity") is not None else 1
    metered = recurring["usage_type"] == "metered"
    item = make(
        world,
        ITEM,
        wanted,
        created=now,
        current_period_end=end,
        current_period_start=now,
        plan=catalogue.plan_of(price),
        price=price,
        subscription=subscription["id"],
    )
    item["quantity"] = None if metered else quantity
    subscription["items"]["data"].append(item)
    return item


def begin_period(subscription: Obj, now: int) -> None:
    """Let a period begin now, and the anchor with it."""
    subscription["billing_cycle_anchor"] = now
    for item in subscription["items"]["data"]:
        recurring = item["price"]["recurring"]
        item["current_period_start"] = now
        item["current_period_end"] = period_end(
            now, now, recurring["interval"], recurring["interval_count"]
        )
