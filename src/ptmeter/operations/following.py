"""
Following a subscription at Stripe: ours is on the plan that is paid for there, and ends when that does.

It goes by how the subscription stands, not by what has just happened to it, so it comes to the same however often
and in whatever order one looks.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ..domain.followed import aligned, is_overtaken
from ..domain.instants import microseconds
from ..domain.subscriptions import Status, When
from ..domain.windows import Every, window
from ..errors import ClockBehindError, OvertakenError, PtmeterError
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

    A change that Stripe has made is made once it is paid, with the PT that this gives, and a cycle is granted then: by
    the plan that it began with there. One that is over ends ours only if ours followed one: an account may be on a plan
    by now that is not paid through Stripe.

    Raises:
        OvertakenError: What was looked up later is in the books already.
        ClockBehindError: It begins in a moment, by the clock of the database.
        ConfigurationError: It goes on, and the plans do not have its plan, or no price for a year of it.
        SubscriptionExistsError: The account is on another subscription, which Stripe knows nothing of.
    """
    books.subscriptions.open(theirs.account)
    ours = _standing(books, theirs.account)
    if ours is not None and is_overtaken(ours, theirs):
        raise OvertakenError(theirs.id)
    if not theirs.goes_on and (ours is None or ours.seen_at is None):
        return
    yield from _bring_in_line(books, ours, theirs, rules)
    if brought := books.subscriptions.lock(theirs.account):
        books.subscriptions.save(replace(brought, seen_at=theirs.seen_at))


def _bring_in_line(
    books: Books, ours: Subscription | None, theirs: Followed, rules: Rules
) -> Posting[None]:
    if theirs.goes_on:
        rules.plans.find(theirs.plan)
    at = books.ledger.now()
    key = f"{theirs.id}:{microseconds(at)}"
    if ours is None or ours.status is Status.ENDED:
        if theirs.goes_on and not (theirs.ends_at and theirs.ends_at <= at):
            begun = yield from _begin(books, theirs, rules, ours)
            books.subscriptions.save(aligned(begun.subscription, theirs))
    elif theirs.goes_on:
        yield from _go_on(books, ours, theirs, rules, key)
    else:
        over = yield from subscribing.cancel(books, theirs.account, rules, when=When.NOW, key=f"{key}:over")
        _raised(over)


def _go_on(books: Books, ours: Subscription, theirs: Followed, rules: Rules, key: str) -> Posting[None]:
    """Grant what has begun and is paid, and then make the change that came in the middle of it, if one did."""
    books.subscriptions.save(aligned(ours, theirs))
    stands = _raised((yield from subscribing.renew(books, theirs.account, rules))).subscription
    if theirs.is_paid and not theirs.is_of(stands) and stands.status is not Status.ENDED:
        changed = yield from subscribing.change(
            books,
            theirs.account,
            rules,
            rules.plans.find(theirs.plan),
            interval=theirs.interval,
            when=When.NOW,
            key=f"{key}:changed",
        )
        stands = _raised(changed).subscription
    books.subscriptions.save(aligned(stands, theirs))


def _begin(books: Books, theirs: Followed, rules: Rules, ended: Subscription | None) -> Posting[Subscribed]:
    """Begin ours; anew if it had ended, such as by a cancellation of which was not heard that it was taken back."""
    again = f":{microseconds(ended.ends_at)}" if ended and ended.ends_at else ""
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
        key=f"{theirs.id}:begun{again}",
        paid_until=theirs.paid_until,
        trial_end=theirs.paid_until if trial else None,
    )
    return _raised(begun)


def _anchor(theirs: Followed, at: datetime) -> datetime:
    """When the cycle begins that holds now, of those that begin with theirs."""
    if theirs.anchor <= at:
        return theirs.anchor
    if theirs.anchor - at < _SKEW:
        raise ClockBehindError(theirs.id, theirs.anchor - at)
    return window(at, every=Every.MONTH, anchor=theirs.anchor).start


def _standing(books: Books, account: str) -> Subscription | None:
    found = books.subscriptions.lock(account)
    return None if found is None else replace(found, at=books.ledger.now())


def _raised(value: Subscribed | PtmeterError) -> Subscribed:
    """What came of a verb; what was refused is raised, so that nothing of the transaction stays."""
    if isinstance(value, PtmeterError):
        raise value
    return value
