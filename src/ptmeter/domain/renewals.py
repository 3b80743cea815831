"""
What becomes of a subscription: how it begins, is renewed, is changed and ends, and what PT each of these gives.

Nothing here has a clock: a subscription stands at a moment, and what holds then follows from that.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import InvalidArgumentError
from .rollups import SOLD_IN
from .subscriptions import (
    Change,
    Interval,
    Subscription,
    When,
    cycle,
    effective,
    price_of,
    price_of_cycle,
    term,
    zone_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .plans import Plan, Plans
    from .pt import Money
    from .subscriptions import Discount
    from .windows import Window


class Due(NamedTuple):
    """
    A cycle to be granted: the subscription once it is, its PT, and what may go on from the one before.

    What is paid for the PT is what it costs: ``subscription.paid``.
    """

    subscription: Subscription
    cycle: Window
    key: str
    amounts: Mapping[str, int]
    rolls_over: Mapping[str, int]


class Changed(NamedTuple):
    """How a subscription goes on, the PT that this gives at once, and what is paid for them, in nano-dollars."""

    subscription: Subscription
    amounts: Mapping[str, int]
    paid: int | None


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
    price_of(plan, interval)
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
    paid = in_dollars(price_of_cycle(current, plans, start))
    granted = replace(current, granted_until=found.end, allowance=amounts, paid=paid, grants=(key,))
    return Due(granted, found, key, amounts, _rolls_over(subscription, plans))


def change(
    subscription: Subscription,
    plans: Plans,
    plan: Plan,
    *,
    interval: Interval | None = None,
    when: When | None = None,
) -> Changed:
    """
    Go on with another plan or interval.

    Left out, *when* is what `takes_effect` says. At once, the difference of the allowances is given pro rata to what is left of the cycle, rounded down to the
    micro-PT, for the difference of what the cycle costs, by the same share; nothing is taken away, and what was
    ever given or paid in a cycle is not given or paid in it again. A change takes back a cancellation and an
    earlier change that was to come.

    Raises:
        ConfigurationError: The plan has no price for a year.
    """
    at = subscription.at
    interval = interval or subscription.interval
    price_of(plan, interval)
    staying = replace(subscription, ends_at=None, pending=None)
    if (when or takes_effect(plans, subscription.plan, plan)) is When.PERIOD_END:
        coming = Change(plan.name, interval, term(subscription, at).end)
        same = coming[:2] == (subscription.plan, subscription.interval)
        return Changed(staying if same else replace(staying, pending=coming), {}, None)
    now = cycle(subscription, at)
    paid_from = (
        subscription.paid_from if interval is subscription.interval else max(now.start, subscription.anchor)
    )
    changed = replace(staying, plan=plan.name, interval=interval, paid_from=paid_from)
    if subscription.is_trial:
        return Changed(changed, {}, None)
    allowance = {unit: amount.micro for unit, amount in plan.allowance.items()}
    given, paid = subscription.allowance, subscription.paid
    highest = {unit: max(allowance.get(unit, 0), given.get(unit, 0)) for unit in {*allowance, *given}}
    more = {unit: pro_rata(most - given.get(unit, 0), now, at) for unit, most in highest.items()}
    costs = in_dollars(price_of_cycle(changed, plans, at))
    dearest = None if costs is None or paid is None else max(costs, paid)
    return Changed(
        replace(changed, allowance=highest, paid=dearest),
        {unit: amount for unit, amount in more.items() if amount},
        None if dearest is None or paid is None else pro_rata(dearest - paid, now, at),
    )


def takes_effect(plans: Plans, before: str, after: Plan) -> When:
    """
    When a change of plan holds from if nobody says: now if it costs more a month, else when what is paid for ends.

    From a plan that is no more it holds from now on.
    """
    old = plans.by_name.get(before)
    up = old is None or after.price_per_month.nano > old.price_per_month.nano
    return When.NOW if up else When.PERIOD_END


def cancel(subscription: Subscription, when: When) -> Subscription:
    """End it now, or with what is paid for; what was granted stays until it lapses."""
    ends_at = subscription.at if when is When.NOW else term(subscription, subscription.at).end
    return replace(subscription, ends_at=ends_at, pending=None)


def pro_rata(amount: int, whole: Window, at: datetime) -> int:
    """The part of *amount* for what is left of a window, rounded down to a whole number."""
    left, length = (whole.end - at), (whole.end - whole.start)
    return max(0, amount * (left // _TICK) // (length // _TICK))


def in_dollars(price: Money) -> int | None:
    """A price in nano-dollars; ``None`` if it is in another currency, for no rate of exchange is good enough."""
    return price.nano if price.currency == SOLD_IN else None


def _rolls_over(subscription: Subscription, plans: Plans) -> Mapping[str, int]:
    """What shares of an unused allowance go on, by the plan and interval that it was given under."""
    plan = plans.by_name.get(subscription.plan)
    rule = plan.roll_over if plan and subscription.grants else None
    if rule is None or (rule.annual_only and subscription.interval is not Interval.YEAR):
        return {}
    return rule.shares


_TICK: Final = timedelta(microseconds=1)
