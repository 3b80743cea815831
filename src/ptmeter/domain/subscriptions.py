"""
Subscriptions: an account on a plan, cycle after cycle, until it is changed or cancelled.

A cycle is a month from the anchor by the clock in a zone; whoever pays by the year is granted PT by the month
all the same. Which cycle holds now follows from the anchor, the zone and the time. Nothing is reset: a renewal
grants each cycle that has begun and was not granted yet, and how late it comes changes no number.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..errors import ConfigurationError, InvalidArgumentError
from .arguments import check_fields
from .pt import PT, Money, ceil_div
from .rates import WHOLE
from .windows import Every, Window, window

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

    from ..errors import PtmeterError
    from .plans import Plan, Plans


CYCLES: Final = 12
"""How many cycles a year is."""


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
        if type(self.share) is not int:
            msg = f"a discount is in ten-thousandths, so write 2_000 for 20 %, not {self.share!r}"
            raise InvalidArgumentError(msg)
        check_fields(self)
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
    in micro-PT by unit, that the cycle granted last was entitled to, ``paid`` the most, in nano-dollars, that it
    costs, and ``grants`` the keys under which it was given. ``paid_from`` is when the first month or year begins
    that is paid at ``interval``.
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
    paid: int | None = None
    """``None`` if no cycle was granted, or its price is in another currency."""
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
    while True:  # a year is so many cycles, so that it ends with the last of them on whatever day that is
        end = start
        for _ in range(CYCLES):
            end = cycle(subscription, end).end
        if at < end:
            return Window(start, end)
        start = end


# --- prices -----------------------------------------------------------------------------------


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
    full = price_of(plan, current.interval)
    discount = current.discount
    if discount is None or term(current, at).start >= discount.until:
        return full
    return Money(ceil_div(full.nano * (WHOLE - discount.share), WHOLE), full.currency)


def price_of_cycle(subscription: Subscription, plans: Plans, at: datetime) -> Money:
    """
    What the cycle costs that holds *at*: of a year its twelfth, so that the twelve add up to the year's price.

    Raises:
        ConfigurationError: The plans do not have its plan, or no price for a year of it.
    """
    current, whole = effective(subscription, at), price(subscription, plans, at)
    if current.interval is Interval.MONTH:
        return whole
    this, start, number = cycle(current, at).start, term(current, at).start, 0
    while start < this:
        start, number = cycle(current, start).end, number + 1
    upto, before = whole.nano * (number + 1) // CYCLES, whole.nano * number // CYCLES
    return Money(upto - before, whole.currency)


def effective(subscription: Subscription, at: datetime) -> Subscription:
    """The subscription with the change that is to come, if it has come at *at*."""
    coming = subscription.pending
    if coming is None or coming.at > at:
        return subscription
    paid_from = subscription.paid_from if coming.interval is subscription.interval else coming.at
    return replace(
        subscription, plan=coming.plan, interval=coming.interval, paid_from=paid_from, pending=None
    )


def price_of(plan: Plan, interval: Interval) -> Money:
    """
    What a month or a year of a plan costs.

    Raises:
        ConfigurationError: The plan has no price for a year.
    """
    amount = plan.price_per_month if interval is Interval.MONTH else plan.price_per_year
    if amount is None:
        msg = f"plan {plan.name!r} has no price for a year: give it price_per_year, or pay by the month"
        raise ConfigurationError(msg)
    return amount


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
