"""Plans as Stripe has them: a product for each, a price for each interval, and coupons for what is off."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..domain.keys import digest
from ..domain.minor_units import minor
from ..domain.subscriptions import Interval
from .checkout import INTERVAL, PLAN
from .requests import StripeRequest, given

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..domain.plans import Plan, Plans
    from ..domain.pt import Money
    from .endpoints import Stripe

Json: TypeAlias = "Mapping[str, Any]"

AT_ONCE: Final = 10
"""So many lookup keys a list of prices takes (docs.stripe.com/api/prices/list)."""

_SAFE: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class PlanPrice:
    """What a plan costs at an interval."""

    plan: str
    interval: Interval
    amount: Money

    @property
    def name(self) -> str:
        """How settings name it: ``pro/month``."""
        return f"{self.plan}/{self.interval}"

    @property
    def lookup_key(self) -> str:
        """By which it is found at Stripe; it moves to a new price when the amount changes."""
        return f"ptmeter:{self.plan}:{self.interval}"


@dataclass(frozen=True, slots=True)
class SyncedPlans:
    """The prices of plans at Stripe by ``plan/interval``, and which of them were made just now."""

    prices: Mapping[str, str]
    created: tuple[str, ...] = ()


def price_of(plan: Plan, interval: Interval) -> PlanPrice | None:
    """What a plan costs, if it costs anything and can be had at that interval."""
    amount = plan.price_per_month if interval is Interval.MONTH else plan.price_per_year
    return PlanPrice(plan.name, interval, amount) if amount and amount.nano else None


def prices_of(plans: Plans) -> Iterator[PlanPrice]:
    """What all plans cost that cost anything."""
    for plan in plans.by_name.values():
        for interval in Interval:
            if found := price_of(plan, interval):
                yield found


def find(prices: Sequence[PlanPrice]) -> StripeRequest:
    """The prices of up to `AT_ONCE` of them."""
    keys = [each.lookup_key for each in prices]
    return StripeRequest("prices", {"lookup_keys": keys, "active": True, "limit": 100})


def is_same(price: PlanPrice, found: Json, stripe: Stripe) -> bool:
    """Whether a price at Stripe is what the plans say; how it is taxed counts, once that was said."""
    recurring: Json = found.get("recurring") or {}
    behavior = found.get("tax_behavior")
    return (
        found["unit_amount"] == minor(price.amount)
        and found["currency"] == price.amount.currency.lower()
        and (recurring.get("interval"), recurring.get("interval_count")) == (str(price.interval), 1)
        and (not stripe.automatic_tax or behavior == stripe.tax.behavior)
    )


def product_id(plan: str) -> str:
    """The id that a plan's product is given, which is how it is found again."""
    return f"ptmeter_plan_{plan if _SAFE.fullmatch(plan) else digest(('product', plan)).hex()}"


def product(plan: str, stripe: Stripe) -> StripeRequest:
    """The product of a plan."""
    tax_code = stripe.tax.code if stripe.automatic_tax else None
    return StripeRequest(
        "products", given(id=product_id(plan), name=plan, metadata={PLAN: plan}, tax_code=tax_code)
    )


def price(wanted: PlanPrice, stripe: Stripe) -> StripeRequest:
    """A price of a plan, which takes the lookup key over from the one that there was."""
    params = given(
        product=product_id(wanted.plan),
        currency=wanted.amount.currency.lower(),
        unit_amount=minor(wanted.amount),
        recurring={"interval": str(wanted.interval)},
        lookup_key=wanted.lookup_key,
        transfer_lookup_key=True,
        tax_behavior=stripe.tax.behavior if stripe.automatic_tax else None,
        metadata={PLAN: wanted.plan, INTERVAL: str(wanted.interval)},
    )
    return StripeRequest("prices", params)


def coupon_id(share: int, months: int) -> str:
    """The id of the coupon for so much off, in ten-thousandths, in the first so many months."""
    return f"ptmeter_{share}_off_{months}_months"


def coupon(share: int, months: int) -> StripeRequest:
    """A coupon for so much off in the first so many months."""
    params = {
        "id": coupon_id(share, months),
        "name": f"{share / 100:g} % off",
        "percent_off": f"{share / 100:g}",
        "duration": "repeating",
        "duration_in_months": months,
    }
    return StripeRequest("coupons", params)
