"""Subscriptions that are paid through Stripe: what it says of one now, which ours follows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from .subscriptions import Change

if TYPE_CHECKING:
    from datetime import datetime

    from .subscriptions import Interval, Subscription

LONGEST_LOOK: Final = timedelta(minutes=15)
"""Longer than a look at Stripe takes: three times as long as one worker has what it looks up to itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """
    A subscription, as Stripe says it is now.

    ``anchor`` is when its cycles begin, ``paid_until`` the end of the period that was paid last, or of the trial.
    """

    id: str
    account: str
    plan: str
    interval: Interval
    anchor: datetime
    paid_until: datetime
    since: datetime | None = None
    """When the period began that holds now, if it was invoiced by this plan and not changed to it later."""
    seen_at: datetime
    """When the looking up began, by the ledger's clock."""
    goes_on: bool
    """Whether there is something to be had for it: it was paid for once, or is on trial, and has not ended."""
    is_paid: bool = True
    """Whether nothing is open: a change of plan is made once it is paid for."""
    is_trial: bool = False
    ends_at: datetime | None = None
    """When it will end, if somebody has cancelled it."""
    pending: Change | None = None
    """What is to come, if a change is."""

    def is_of(self, ours: Subscription) -> bool:
        """Whether ours is on its plan and interval already."""
        return (ours.plan, ours.interval) == (self.plan, self.interval)


def is_overtaken(ours: Subscription, theirs: Followed) -> bool:
    """
    Whether ours was brought in line with a later look than this one.

    A look that is older by more than any can take is none: then the database's clock was set back.
    """
    return ours.seen_at is not None and timedelta(0) < ours.seen_at - theirs.seen_at <= LONGEST_LOOK


def aligned(ours: Subscription, theirs: Followed) -> Subscription:
    """
    Our subscription, paid for and ending as Stripe says, with the change that is to come.

    A change that came with a period whose cycle is not granted yet is to come too, from the beginning of that period
    on: so that cycle is granted by the new plan, once it is paid. While a change within a period is not paid, what was
    paid for before stays paid for; with a period of its own, of a month after a year too, nothing else is.
    """
    was = ours.paid_until or theirs.paid_until
    exact = theirs.is_paid or theirs.since is not None
    return replace(
        ours,
        paid_until=theirs.paid_until if exact else max(was, theirs.paid_until),
        ends_at=theirs.ends_at,
        pending=_came(ours, theirs) or theirs.pending,
    )


def _came(ours: Subscription, theirs: Followed) -> Change | None:
    """The change that came with the period, or earlier if it was known to be coming; none if ours has it."""
    if theirs.is_of(ours) or theirs.since is None or theirs.since < ours.granted_until:
        return None
    known = ours.pending
    if known and known[:2] == (theirs.plan, theirs.interval) and known.at < theirs.since:
        return known
    return Change(theirs.plan, theirs.interval, theirs.since)
