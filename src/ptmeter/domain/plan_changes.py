"""Changing the plan or interval of a subscription: when that holds from, and what PT it gives at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from .subscriptions import Change, When, cycle, full_price, term

if TYPE_CHECKING:
    from datetime import datetime

    from .plans import Plan, Plans
    from .subscriptions import Interval, Subscription
    from .windows import Window

_TICK: Final = timedelta(microseconds=1)


def change(
    subscription: Subscription,
    plans: Plans,
    plan: Plan,
    *,
    interval: Interval | None = None,
    when: When | None = None,
) -> tuple[Subscription, dict[str, int]]:
    """
    Go on with another plan or interval: how it stands then, and the PT that this gives at once.

    Left out, *when* is what `takes_effect` says. At once, the difference of the allowances is given pro rata to what
    is left of the cycle, rounded down to the micro-PT; nothing is taken away, and what was ever given in a cycle is
    not given in it again. A change takes back a cancellation and an earlier change that was to come.

    Raises:
        ConfigurationError: The plan has no price for a year.
    """
    at = subscription.at
    interval = interval or subscription.interval
    full_price(plan, interval)
    staying = replace(subscription, ends_at=None, pending=None)
    if (when or takes_effect(plans, subscription.plan, plan)) is When.PERIOD_END:
        coming = Change(plan.name, interval, term(subscription, at).end)
        same = coming[:2] == (subscription.plan, subscription.interval)
        return (staying if same else replace(staying, pending=coming)), {}
    now = cycle(subscription, at)
    paid_from = (
        subscription.paid_from if interval is subscription.interval else max(now.start, subscription.anchor)
    )
    changed = replace(staying, plan=plan.name, interval=interval, paid_from=paid_from)
    if subscription.is_trial:
        return changed, {}
    allowance = {unit: amount.micro for unit, amount in plan.allowance.items()}
    more = {
        unit: pro_rata(amount - subscription.allowance.get(unit, 0), now, at)
        for unit, amount in allowance.items()
        if amount > subscription.allowance.get(unit, 0)
    }
    highest = {
        unit: max(allowance.get(unit, 0), subscription.allowance.get(unit, 0))
        for unit in {*allowance, *subscription.allowance}
    }
    return replace(changed, allowance=highest), {unit: amount for unit, amount in more.items() if amount}


def takes_effect(plans: Plans, before: str, after: Plan) -> When:
    """
    When a change of plan holds from if nobody says: now if it costs more a month, else when what is paid for ends.

    From a plan that is no more it holds from now on.
    """
    old = plans.by_name.get(before)
    up = old is None or after.price_per_month.nano > old.price_per_month.nano
    return When.NOW if up else When.PERIOD_END


def pro_rata(amount: int, whole: Window, at: datetime) -> int:
    """The part of *amount* for what is left of a window, rounded down to the micro-PT."""
    left, length = (whole.end - at), (whole.end - whole.start)
    return max(0, amount * (left // _TICK) // (length // _TICK))
