"""
Following a subscription at Stripe: ours is on the plan that is paid for there, and ends when that does.

It goes by how the subscription stands, not by what has just happened to it, so it comes to the same however often
and in whatever order one looks.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ..domain.instants import microseconds
from ..domain.subscriptions import Status, When
from ..domain.windows import Every, window
from ..errors import ClockBehindError, PtmeterError
from . import subscribing

if TYPE_CHECKING:
    from datetime import datetime

    from ..domain.admission import Rules
    from ..domain.followed import Followed
    from ..domain.subscriptions import Subscribed, Subscription
    from ..ports import Books, Posting


_SKEW: Final = timedelta(minutes=5)
"""How far the clock of the database may be behind Stripe's."""


def follow(books: Books, theirs: Followed, rules: Rules) -> Posting[None]:
    """
    Bring our subscription in line with Stripe's; run alone, for it decides by a row of its own.

    A change that Stripe has made is made once it is paid, with the PT that this gives, and a cycle is granted then.

    Raises:
        ClockBehindError: It begins in a moment, by the clock of the database.
        ConfigurationError: The plans do not have its plan, or no price for a year of it.
        SubscriptionExistsError: The account is on another subscription, which Stripe knows nothing of.
    """
    plan = rules.plans.find(theirs.plan)
    books.subscriptions.open(theirs.account)
    ours = _standing(books, theirs.account)
    at = books.ledger.now()
    key = f"{theirs.id}:{microseconds(at)}"
    if ours is None or ours.status is Status.ENDED:
        if theirs.goes_on:
            yield from _begin(books, theirs, rules)
            yield from _end(books, theirs, rules, key)
        return
    if not theirs.goes_on:
        _raised(
            (yield from subscribing.cancel(books, theirs.account, rules, when=When.NOW, key=f"{key}:over"))
        )
        return
    books.subscriptions.save(replace(ours, paid_until=_latest(ours, theirs)))
    resumed = ours.ends_at is not None and theirs.ends_at is None
    moved = theirs.is_paid and (ours.plan, ours.interval) != (theirs.plan, theirs.interval)
    if resumed or moved:
        changed = yield from subscribing.change(
            books,
            theirs.account,
            rules,
            plan,
            interval=theirs.interval,
            when=When.NOW,
            key=f"{key}:changed",
        )
        _raised(changed)
    yield from _end(books, theirs, rules, key)
    _raised((yield from subscribing.renew(books, theirs.account, rules)))


def _begin(books: Books, theirs: Followed, rules: Rules) -> Posting[None]:
    plan = rules.plans.find(theirs.plan)
    trial = theirs.is_trial and plan.trial is not None
    begun = yield from subscribing.subscribe(
        books,
        theirs.account,
        rules,
        plan,
        interval=theirs.interval,
        anchor=None if trial else _anchor(theirs, books.ledger.now()),
        zone="UTC",
        trial=trial,
        discount=None,
        key=f"{theirs.id}:begun",
        paid_until=theirs.paid_until,
        trial_end=theirs.paid_until if trial else None,
    )
    _raised(begun)


def _anchor(theirs: Followed, at: datetime) -> datetime:
    """When the cycle begins that holds now, of those that begin with theirs."""
    if theirs.anchor <= at:
        return theirs.anchor
    if theirs.anchor - at < _SKEW:
        raise ClockBehindError(theirs.id, theirs.anchor - at)
    return window(at, every=Every.MONTH, anchor=theirs.anchor).start


def _end(books: Books, theirs: Followed, rules: Rules, key: str) -> Posting[None]:
    """Have it end with what is paid for, if it will at Stripe."""
    ours = _standing(books, theirs.account)
    if theirs.ends_at is None or ours is None or ours.ends_at is not None:
        return
    cancelled = yield from subscribing.cancel(
        books, theirs.account, rules, when=When.PERIOD_END, key=f"{key}:ends"
    )
    _raised(cancelled)


def _standing(books: Books, account: str) -> Subscription | None:
    found = books.subscriptions.lock(account)
    return None if found is None else replace(found, at=books.ledger.now())


def _latest(ours: Subscription, theirs: Followed) -> datetime:
    return max(ours.paid_until, theirs.paid_until) if ours.paid_until else theirs.paid_until


def _raised(value: Subscribed | PtmeterError) -> Subscribed:
    """What came of a verb; what was refused is raised, so that nothing of the transaction stays."""
    if isinstance(value, PtmeterError):
        raise value
    return value
