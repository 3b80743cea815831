"""
Subscriptions: an account on a plan, cycle after cycle, until it is changed or cancelled.

A cycle is a month from the anchor by the clock in a zone; whoever pays by the year is granted PT by the month
all the same. Which cycle holds now follows from the anchor, the zone and the time. Nothing is reset: a renewal
grants each cycle that has begun and was not granted yet, and how late it comes changes no number.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..errors import ConfigurationError, InvalidArgumentError
from .pt import PT, Money, ceil_div
from .rates import WHOLE
from .windows import Every, Window, window

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

    from ..errors import PtmeterError
    from .plans import Plan, Plans


class Interval(StrEnum):
    """How often a subscription is paid."""

    MONTH = "month"
    YEAR = "year"


class When(StrEnum):
    """When a change or a cancellation takes effect."""

    NOW = "now"
    PERIOD_END = "period_end"
    """When what is paid for ends: the month, or the year."""


class Status(StrEnum):
    """How a subscription stands at a moment."""

    TRIALING = "trialing"
    ACTIVE = "active"
    CANCELLING = "cancelling"
    """It goes on until it ends, and is not renewed then."""
    PAST_DUE = "past_due"
    """The cycle that holds now is not paid for, so it is not granted."""
    ENDED = "ended"


class Change(NamedTuple):
    """The plan and interval that a subscription goes on with from a moment on."""

    plan: str
    interval: Interval
    at: datetime


@dataclass(frozen=True, slots=True)
class Discount:
    """So much off the price, in ten-thousandths, of every month or year that begins before *until*."""

    share: int
    until: datetime

    def __post_init__(self) -> None:
        if not 0 < self.share <= WHOLE:
            msg = f"a discount is more than 0 and up to 100 %, not {self.share / 100:g} %"
            raise InvalidArgumentError(msg)
        if self.until.tzinfo is None:
            msg = "a discount ends at a time with its offset: datetime(..., tzinfo=UTC)"
            raise InvalidArgumentError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """
    An account's subscription, as it stands ``at`` a moment.

    ``granted_until`` is when the first cycle begins whose PT are not granted yet. ``allowance`` is the most,
    in micro-PT by unit, that the cycle granted last was entitled to, and ``grants`` the keys under which it was
    given. ``paid_from`` is when the first month or year begins that is paid at ``interval``.
    """

    account: str
    plan: str
    interval: Interval
    anchor: datetime
    zone: str
    at: datetime
    started_at: datetime
    paid_from: datetime
    granted_until: datetime
    allowance: Mapping[str, int] = field(default_factory=dict[str, int])
    grants: tuple[str, ...] = ()
    trial_end: datetime | None = None
    pending: Change | None = None
    ends_at: datetime | None = None
    closed: bool = False
    """Whether the end has been carried out: the account was taken off the plan."""
    discount: Discount | None = None
    paid_until: datetime | None = None
    """Until when it is paid for: no cycle that begins later is granted; ``None`` if nobody waits for payments."""
    seen_at: datetime | None = None
    """When the looking up at Stripe began that it was brought in line with last; ``None`` if it follows none."""

    @property
    def status(self) -> Status:
        """How it stands."""
        if self.ends_at is not None:
            return Status.ENDED if self.ends_at <= self.at else Status.CANCELLING
        if self.is_trial:
            return Status.TRIALING
        return Status.PAST_DUE if self.paid_until and self.paid_until <= self.at else Status.ACTIVE

    @property
    def is_trial(self) -> bool:
        """Whether the trial is still on."""
        return self.trial_end is not None and self.at < self.trial_end

    @property
    def cycle(self) -> Window:
        """The cycle that holds now: what is granted in it lapses at its end."""
        return cycle(self, self.at)

    @property
    def term(self) -> Window:
        """The month or year that is paid for now."""
        return term(self, self.at)

    @property
    def due_at(self) -> datetime | None:
        """When there is something to do for it next: a cycle to grant, or the end to carry out."""
        if self.closed:
            return None
        if self.paid_until and self.paid_until <= self.granted_until:
            return self.ends_at
        return self.granted_until if self.ends_at is None else min(self.granted_until, self.ends_at)


class Due(NamedTuple):
    """A cycle to be granted: the subscription once it is, its PT, and what may go on from the one before."""

    subscription: Subscription
    cycle: Window
    key: str
    amounts: Mapping[str, int]
    rolls_over: Mapping[str, int]


# --- times ------------------------------------------------------------------------------------


def zone_of(name: str) -> tzinfo:
    """
    The zone of that IANA name, such as ``Europe/Berlin``.

    Raises:
        InvalidArgumentError: There is none.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        msg = f"there is no time zone {name!r}: name one as in Europe/Berlin, or UTC"
        raise InvalidArgumentError(msg) from None


def cycle(subscription: Subscription, at: datetime) -> Window:
    """The cycle that holds *at*; during a trial that is the trial."""
    if at < subscription.anchor:
        return Window(subscription.started_at, subscription.anchor)
    zone = zone_of(subscription.zone)
    return window(at, every=Every.MONTH, anchor=subscription.anchor, zone=zone)


def term(subscription: Subscription, at: datetime) -> Window:
    """The month or year that is paid for at *at*: so many cycles; during a trial that is the trial."""
    found = cycle(subscription, at)
    if at < subscription.paid_from or subscription.interval is Interval.MONTH:
        return found
    start = subscription.paid_from
    while True:  # a year is twelve cycles, so that it ends with the last of them on whatever day that is
        end = start
        for _ in range(12):
            end = cycle(subscription, end).end
        if at < end:
            return Window(start, end)
        start = end


# --- decisions --------------------------------------------------------------------------------


def begin(
    account: str,
    plan: Plan,
    *,
    interval: Interval = Interval.MONTH,
    anchor: datetime | None = None,
    zone: str = "UTC",
    trial: bool = False,
    trial_end: datetime | None = None,
    discount: Discount | None = None,
    paid_until: datetime | None = None,
    at: datetime,
) -> Subscription:
    """
    Begin a subscription; nothing of it is granted yet.

    Cycles begin at *anchor*, now if left out. It may be in the past: then it goes on with the cycle that holds
    now. With a *trial* they begin when that is over: by the plan, or at *trial_end*.

    Raises:
        InvalidArgumentError: The anchor is to come or has no offset, or there is no such zone or no trial.
        ConfigurationError: The plan has no price for a year.
    """
    wall = zone_of(zone)
    if anchor is not None and (trial or anchor.tzinfo is None or anchor > at):
        msg = "an anchor is a time with its offset, not after now, and a trial has none: cycles follow it"
        raise InvalidArgumentError(msg)
    full_price(plan, interval)
    first = (anchor or at).astimezone(UTC)
    if trial:
        if plan.trial is None:
            msg = f"plan {plan.name!r} has no trial: give it one in the plan file, or subscribe without"
            raise InvalidArgumentError(msg)
        local = at.astimezone(wall).replace(tzinfo=None) + timedelta(days=plan.trial.days)
        first = trial_end = trial_end or local.replace(tzinfo=wall).astimezone(UTC)
    started = Subscription(
        account=account,
        plan=plan.name,
        interval=interval,
        anchor=first,
        zone=zone,
        at=at,
        started_at=at,
        paid_from=first,
        granted_until=first,
        trial_end=trial_end,
        discount=discount,
        paid_until=paid_until,
    )
    return started if trial else replace(started, granted_until=cycle(started, at).start)


def renewal(subscription: Subscription, plans: Plans) -> Due | None:
    """
    The next cycle that has begun and is not granted yet, if there is one; a change that is due is made.

    Raises:
        ConfigurationError: The plans do not have its plan.
    """
    start = subscription.granted_until
    over = subscription.ends_at is not None and subscription.ends_at <= start
    unpaid = subscription.paid_until is not None and subscription.paid_until <= start
    if start > subscription.at or over or unpaid:
        return None
    current = effective(subscription, start)
    plan, found = plans.find(current.plan), cycle(current, start)
    amounts = {unit: amount.micro for unit, amount in plan.allowance.items() if amount}
    key = f"cycle:{start.isoformat()}"
    granted = replace(current, granted_until=found.end, allowance=amounts, grants=(key,))
    return Due(granted, found, key, amounts, _rolls_over(subscription, plans))


def cancel(subscription: Subscription, when: When) -> Subscription:
    """End it now, or with what is paid for; what was granted stays until it lapses."""
    ends_at = subscription.at if when is When.NOW else term(subscription, subscription.at).end
    return replace(subscription, ends_at=ends_at, pending=None)


def price(subscription: Subscription, plans: Plans, at: datetime) -> Money:
    """
    What the month or year costs that holds *at*, rounded up to a billionth; nothing in a trial or at its end.

    Raises:
        ConfigurationError: The plans do not have its plan, or no price for a year of it.
    """
    current = effective(subscription, at)
    plan = plans.find(current.plan)
    if (current.trial_end and at < current.trial_end) or (current.ends_at and current.ends_at <= at):
        return Money(0, plan.price_per_month.currency)
    full = full_price(plan, current.interval)
    discount = current.discount
    if discount is None or term(current, at).start >= discount.until:
        return full
    return Money(ceil_div(full.nano * (WHOLE - discount.share), WHOLE), full.currency)


def full_price(plan: Plan, interval: Interval) -> Money:
    """
    What a month or year of a plan costs, without any discount.

    Raises:
        ConfigurationError: The plan has no price for a year.
    """
    amount = plan.price_per_month if interval is Interval.MONTH else plan.price_per_year
    if amount is None:
        msg = f"plan {plan.name!r} has no price for a year: give it price_per_year, or pay by the month"
        raise ConfigurationError(msg)
    return amount


def effective(subscription: Subscription, at: datetime) -> Subscription:
    """The subscription with the change that is to come, if it has come at *at*."""
    coming = subscription.pending
    if coming is None or coming.at > at:
        return subscription
    paid_from = subscription.paid_from if coming.interval is subscription.interval else coming.at
    return replace(
        subscription, plan=coming.plan, interval=coming.interval, paid_from=paid_from, pending=None
    )


def _rolls_over(subscription: Subscription, plans: Plans) -> Mapping[str, int]:
    """What shares of an unused allowance go on, by the plan and interval that it was given under."""
    plan = plans.by_name.get(subscription.plan)
    rule = plan.roll_over if plan and subscription.grants else None
    if rule is None or (rule.annual_only and subscription.interval is not Interval.YEAR):
        return {}
    return rule.shares


# --- what the verbs return ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """How a subscription stands after a verb, what PT that gave, by unit, and what is available then."""

    subscription: Subscription
    amounts: Mapping[str, PT] = field(default_factory=dict[str, PT])
    available: Mapping[str, PT] = field(default_factory=dict[str, PT])
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Renewed:
    """Whose subscriptions were renewed, and whose could not be, with the reason."""

    accounts: tuple[str, ...]
    failures: Mapping[str, PtmeterError]
