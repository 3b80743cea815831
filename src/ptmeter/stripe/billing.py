"""Subscriptions as Stripe has them: which one is an account's, what a change would cost, and changing it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..domain.minor_units import of_minor
from . import schedules
from .checkout import INTERVAL, PLAN
from .reading import ACCOUNT, metadata_of, moment
from .requests import StripeRequest, given
from .subscriptions import is_proration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from ..domain.pt import Money
    from ..domain.subscriptions import Change, Interval

Json: TypeAlias = "Mapping[str, Any]"

OVER: Final = frozenset({"canceled", "incomplete_expired"})
"""Statuses that a subscription does not come back from."""


class Proration(StrEnum):
    """What becomes of what is paid for already when a plan is changed within a month or year."""

    NEXT_INVOICE = "create_prorations"
    """The difference, pro rata, stands on the next invoice; Stripe's own default."""
    AT_ONCE = "always_invoice"
    """The difference is invoiced and charged now."""
    NONE = "none"
    """There is no difference: the new price is paid from the next month or year on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeSubscription:
    """
    A subscription at Stripe; ``status`` is Stripe's own word, ``paid_until`` the end of what is paid for.

    ``pending`` is the change that is to come: its ``plan``, ``interval`` and when, ``at``.
    """

    id: str
    account: str
    plan: str
    interval: str
    status: str
    paid_until: datetime
    ends_at_period_end: bool
    pending: Change | None = None


@dataclass(frozen=True, slots=True)
class PreviewLine:
    """A line of an invoice that is to come; a credit is negative."""

    description: str
    amount: Money
    is_proration: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePreview:
    """
    What the next invoice would be after a change: the sum of its lines, tax included, and what is then to pay.

    Pass ``at`` on to the change, and it is computed for the same second.
    """

    total: Money
    due: Money
    tax: Money
    lines: tuple[PreviewLine, ...]
    at: datetime


def find(customer: str) -> StripeRequest:
    """All subscriptions of a customer, those that are over too."""
    return StripeRequest("subscriptions", {"customer": customer, "status": "all"})


def current(subscriptions: Iterable[Json], account: str) -> Json | None:
    """The one that ptmeter began for the account and that goes on; of several the latest."""
    mine = [
        each
        for each in subscriptions
        if metadata_of(each).get(ACCOUNT) == account and each["status"] not in OVER
    ]
    return max(mine, key=lambda each: (each["created"], each["id"]), default=None)


def preview(subscription: Json, price: str, proration: Proration, at: int) -> StripeRequest:
    """What the next invoice would be with another price from *at* on, in seconds."""
    details = {
        "items": [_item(subscription, price)],
        "proration_behavior": str(proration),
        "proration_date": at,
    }
    params = {
        "customer": subscription["customer"],
        "subscription": subscription["id"],
        "subscription_details": details,
    }
    return StripeRequest("invoices/create_preview", params)


def change(
    subscription: Json, price: str, *, plan: str, interval: Interval, proration: Proration, at: int | None
) -> StripeRequest:
    """
    Go on with another price; a change that has to be paid at once and is not leaves everything as it was.

    It takes back a cancellation.
    """
    params = given(
        items=[_item(subscription, price)],
        metadata={PLAN: plan, INTERVAL: str(interval)},
        proration_behavior=str(proration),
        proration_date=at if proration is not Proration.NONE else None,
        payment_behavior="error_if_incomplete",
        expand=["latest_invoice"],
    )
    return StripeRequest(f"subscriptions/{subscription['id']}", {**params, "cancel_at_period_end": False})


def later(
    subscription: Json, schedule: Json, price: str, *, plan: str, interval: Interval
) -> StripeRequest:
    """Go on with another price when what is paid for ends."""
    at: int = _planned(subscription)["current_period_end"]
    return schedules.then(schedule, price, plan=plan, interval=interval, at=at)


def end_with_period(subscription: Json, *, ends: bool) -> StripeRequest:
    """Let a subscription end with what is paid for, or go on after all."""
    return StripeRequest(f"subscriptions/{subscription['id']}", {"cancel_at_period_end": ends})


def subscription(document: Json) -> StripeSubscription:
    """
    What Stripe says of a subscription; its period is that of its item (API versions from basil on).

    Which plan it is for says its price, where ptmeter made that: in the portal it is changed without us.
    """
    item = _planned(document)
    said = {**metadata_of(document), **metadata_of(item["price"])}
    plan, interval = said.get(PLAN, ""), said.get(INTERVAL) or item["price"]["recurring"]["interval"]
    return StripeSubscription(
        id=document["id"],
        account=said.get(ACCOUNT, ""),
        plan=plan,
        interval=interval,
        status=document["status"],
        paid_until=moment(item["current_period_end"]),
        ends_at_period_end=schedules.ends(document) == item["current_period_end"],
        pending=schedules.coming(document, plan, interval),
    )


def previewed(invoice: Json, at: int) -> ChangePreview:
    """What a previewed invoice says."""
    currency: str = invoice["currency"]
    taxes: Iterable[Json] = invoice.get("total_taxes") or ()
    return ChangePreview(
        total=of_minor(invoice["total"], currency),
        due=of_minor(invoice["amount_due"], currency),
        tax=of_minor(sum(each["amount"] for each in taxes), currency),
        lines=tuple(
            PreviewLine(
                line.get("description") or "", of_minor(line["amount"], currency), is_proration(line)
            )
            for line in invoice["lines"]["data"]
        ),
        at=moment(at),
    )


def price_of(subscription: Json) -> str:
    """By which price it is paid now."""
    return _planned(subscription)["price"]["id"]


def _planned(subscription: Json) -> Json:
    """The item that is for the plan; there may be others."""
    return schedules.planned(subscription["items"]["data"])


def _item(subscription: Json, price: str) -> dict[str, Any]:
    return {"id": _planned(subscription)["id"], "price": price, "quantity": 1}
