"""
Whether a call may be made: one decision over all limits that it falls under, for each account above who asks.

The order is fixed, from who asks up to the root, and in each account from what passes soonest to what needs
another plan: what refuses first is what is reported, with when to try again. Only a hold asks; what was
used already is counted, whatever the limits say, for it happened.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from .accounts import calendar, plan_of
from .instants import moment
from .limits import HOUR, MINUTE, NO_LIMITS, Limits
from .rates import WHOLE
from .windows import Every, window

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime, timedelta

    from .accounts import Account, Path
    from .limits import Cap, Share, SpendCap
    from .plans import Plans


class Limit(StrEnum):
    """Which limit refused."""

    MODEL = "model"
    """The plan does not open the model."""
    WAIT = "burn_rate"
    """PT were used too fast, and the wait is not over."""
    PACE = "pace"
    """So many requests in a stretch of time."""
    CONCURRENT = "concurrent"
    """So many calls at once."""
    CAP = "cap"
    """So many PT of a unit in a window."""
    SPEND = "spend_cap"
    """So much money in a window."""
    SHARE = "hard_cap"
    """So much of a cycle's PT may be of this unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limited:
    """
    What refused a call: which limit of which account, and when to try again.

    ``allowed`` and ``used`` count what the limit counts: requests, calls, micro-PT, or nano-units of money;
    ``asked`` is how much the call would have added. Without ``retry_at`` waiting does not help.
    """

    limit: Limit
    account: str
    allowed: int = 0
    used: int = 0
    asked: int = 1
    what: str = ""
    """What exactly: a unit and its window, a stretch of time, a plan."""
    retry_at: datetime | None = None
    opens_with: str | None = None
    """The cheapest plan that opens the model, if that is what refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What decides: the plans, and what one PT of each unit sells at, in nano-units of money."""

    plans: Plans
    sells_at: Mapping[str, int]

    def limits(self, account: Account) -> tuple[Limits, ...]:
        """What one account is limited by: its plan's limits and its own."""
        plan = self.plans.find(account.plan).limits if account.plan else NO_LIMITS
        return tuple(limits for limits in (plan, account.terms) if limits is not NO_LIMITS)

    def paces(self, account: Account) -> set[timedelta]:
        """The stretches of time in which the account's requests are counted."""
        return {pace.per for limits in self.limits(account) for pace in limits.paces}

    def allowance(self, account: Account) -> int:
        """What the account's own plan gives in a cycle, in all units together."""
        plan = self.plans.find(account.plan) if account.plan else None
        return sum(amount.micro for amount in plan.allowance.values()) if plan else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """
    Who asks for a hold, for which model if for one, and by whose rules that is decided.

    ``former`` are those who paid for the account before, with whom the same request was looked for.
    """

    account: str
    rules: Rules
    model: str | None = None
    former: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Admitted:
    """A call may be made, at so many times the rate."""

    multiple: int = 1


def admit(path: Path, asked: Admission, unit: str, amount: int, at: datetime) -> Admitted | Limited:
    """
    Decide whether the first account on *path* may hold *amount* micro-PT of *unit*.

    Beyond a hard cap it may at a multiple of the rate, if who has the cap has agreed to that.
    """
    if refused := locked(path, asked, unit):
        return refused
    multiple = 1
    for place, account in enumerate(path):
        above = path[place:]
        for limits in asked.rules.limits(account):
            if refused := _refused(above, limits, asked.rules, unit, amount * multiple, at):
                return refused
            share = limits.shares.get(unit)
            over = share and _over_share(above, share, asked.rules, amount, at)
            if share and over:
                if not (account.overflow and share.overflow):
                    return over
                multiple = max(multiple, share.overflow)
    return Admitted(multiple)


def extend(
    path: Path, rules: Rules, multiple: int, unit: str, amount: int, at: datetime
) -> Admitted | Limited:
    """
    Decide whether a call that is under way may hold *amount* micro-PT more.

    It is no new request and goes on at the *multiple* that it began at, so it is asked for PT and money only.
    """
    more = amount * multiple
    for place, account in enumerate(path):
        above = path[place:]
        for limits in rules.limits(account):
            share = limits.shares.get(unit)
            agreed = share and share.overflow and account.overflow and multiple >= share.overflow
            found = (
                *_over_amounts(above, limits, rules, unit, more, at),
                _over_share(above, share, rules, more, at) if share and not agreed else None,
            )
            if refused := next(filter(None, found), None):
                return refused
    return Admitted(multiple)


def locked(path: Path, asked: Admission, unit: str) -> Limited | None:
    """What refuses a model, charged in *unit*, that the plan of the first account on *path* does not open."""
    plan = plan_of(path)
    if asked.model is None or plan is None or asked.rules.plans.find(plan).opens(asked.model, unit):
        return None
    opens_with = asked.rules.plans.cheapest(asked.model, unit)
    return Limited(limit=Limit.MODEL, account=path[0].name, what=plan, opens_with=opens_with)


def _refused(
    path: Path, limits: Limits, rules: Rules, unit: str, amount: int, at: datetime
) -> Limited | None:
    """What refuses a call to the first account on *path*, by some of its limits."""
    account = path[0]
    found = (
        *_over_pace(account, limits, at),
        *_over_concurrent(account, limits, at),
        *_over_amounts(path, limits, rules, unit, amount, at),
    )
    return next((each for each in found if each), None)


def _over_amounts(
    path: Path, limits: Limits, rules: Rules, unit: str, amount: int, at: datetime
) -> Iterator[Limited | None]:
    yield from (_over_cap(path, cap, amount, at) for cap in limits.caps if cap.unit == unit)
    yield from (_over_spend(path, cap, rules, unit, amount, at) for cap in limits.spend)


def _over_pace(account: Account, limits: Limits, at: datetime) -> Iterator[Limited | None]:
    tally = account.tally
    if limits.burn and at < tally.waits_until:
        yield Limited(limit=Limit.WAIT, account=account.name, retry_at=tally.waits_until)
    for pace in limits.paces:
        requests = tally.requests(pace.per, at)
        if requests >= pace.requests:
            retry_at = tally.next_request_at(pace.per, at, pace.requests) if pace.requests else None
            yield Limited(
                limit=Limit.PACE,
                account=account.name,
                allowed=pace.requests,
                used=requests,
                what=f"requests per {spoken(pace.per)}",
                retry_at=retry_at,
            )


def _over_concurrent(account: Account, limits: Limits, at: datetime) -> Iterator[Limited]:
    most = limits.concurrent
    if most is not None and (calls := account.tally.calls(at)) >= most:
        retry_at = account.tally.next_call_at(at) if calls else None
        yield Limited(
            limit=Limit.CONCURRENT,
            account=account.name,
            allowed=most,
            used=calls,
            what="calls at once",
            retry_at=retry_at,
        )


def _over_cap(path: Path, cap: Cap, amount: int, at: datetime) -> Limited | None:
    used = taken(path[0], cap.unit, cap.every, at)
    if used + amount <= cap.amount:
        return None
    return Limited(
        limit=Limit.CAP,
        account=path[0].name,
        allowed=cap.amount,
        used=used,
        asked=amount,
        what=f"{cap.unit} PT a {cap.every}",
        retry_at=window_end(path, cap.every, at) if amount <= cap.amount else None,
    )


def _over_spend(
    path: Path, cap: SpendCap, rules: Rules, unit: str, amount: int, at: datetime
) -> Limited | None:
    by_unit = {each: taken(path[0], each, cap.every, at) for each in rules.sells_at}
    used = worth(by_unit, rules)
    asked = worth({unit: amount}, rules)
    if used + asked <= cap.amount.nano:
        return None
    return Limited(
        limit=Limit.SPEND,
        account=path[0].name,
        allowed=cap.amount.nano,
        used=used,
        asked=asked,
        what=f"{cap.amount.currency} a {cap.every}",
        retry_at=window_end(path, cap.every, at) if asked <= cap.amount.nano else None,
    )


def _over_share(path: Path, share: Share, rules: Rules, amount: int, at: datetime) -> Limited | None:
    if share.hard is None:
        return None
    most = rules.allowance(path[0]) * share.hard // WHOLE
    used = taken(path[0], share.unit, Every.MONTH, at)
    if used + amount <= most:
        return None
    return Limited(
        limit=Limit.SHARE,
        account=path[0].name,
        allowed=most,
        used=used,
        asked=amount,
        what=f"{share.unit} PT a cycle",
        retry_at=window_end(path, Every.MONTH, at) if amount <= most else None,
    )


def taken(account: Account, unit: str, every: Every, at: datetime) -> int:
    """What was used in the window, with what is held now and may come to be."""
    return account.tally.amount_used(unit, every, at) + account.tally.amount_held(unit, at)


def worth(amounts: Mapping[str, int], rules: Rules) -> int:
    """What so many micro-PT sell at, in nano-units, rounded down once."""
    return sum(amount * rules.sells_at.get(unit, 0) for unit, amount in amounts.items()) // 1_000_000


def window_end(path: Sequence[Account], every: Every, at: datetime) -> datetime:
    """When the window that holds *at* is over and another begins."""
    ends = [used.end for used in path[0].tally.used if used.every is every]
    if ends and moment(max(ends)) > at:
        return moment(max(ends))
    anchor, zone = calendar(path)
    return window(at, every=every, anchor=anchor, zone=zone).end


def spoken(per: timedelta) -> str:
    """A stretch of time as it is said."""
    named = {MINUTE: "minute", HOUR: "hour", 24 * HOUR: "day"}
    return named.get(per) or f"{per // MINUTE} minutes"
