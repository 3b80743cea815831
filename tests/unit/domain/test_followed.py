"""A subscription at Stripe and ours: what ours is made to say, and when a change came."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ptmeter import read_plans
from ptmeter.domain.followed import LONGEST_LOOK, Followed, aligned, is_overtaken
from ptmeter.domain.renewals import takes_effect
from ptmeter.domain.subscriptions import Change, Interval, Subscription, When

DAY = timedelta(days=1)
JANUARY, FEBRUARY, MARCH = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 3))
OURS = Subscription(
    account="acme",
    plan="max",
    interval=Interval.MONTH,
    anchor=JANUARY,
    zone="UTC",
    at=FEBRUARY + DAY,
    started_at=JANUARY,
    paid_from=JANUARY,
    granted_until=FEBRUARY,
    paid_until=FEBRUARY,
)
THEIRS = Followed(
    id="sub_1",
    account="acme",
    plan="max",
    interval=Interval.MONTH,
    anchor=JANUARY,
    paid_until=MARCH,
    seen_at=FEBRUARY + DAY,
    goes_on=True,
)
PRO = Change("pro", Interval.MONTH, FEBRUARY)


def test_what_stripe_says_of_the_end_and_of_what_is_to_come_holds() -> None:
    """Taken back there it is taken back here."""
    coming = Change("pro", Interval.MONTH, MARCH)
    said = aligned(OURS, replace(THEIRS, ends_at=MARCH, pending=coming))
    back = aligned(said, THEIRS)

    assert (MARCH, coming, MARCH) == (said.ends_at, said.pending, said.paid_until)
    assert (None, None) == (back.ends_at, back.pending)


@pytest.mark.parametrize(
    ("more", "paid_until"),
    [
        ({}, FEBRUARY),  # it is paid, by the month now
        ({"is_paid": False}, MARCH),  # a difference within the period is not
        ({"is_paid": False, "since": FEBRUARY}, FEBRUARY),  # the period is not
    ],
)
def test_what_was_paid_for_ends_with_a_period_that_nobody_paid(
    more: dict[str, Any], paid_until: datetime
) -> None:
    """A year that became a month is paid for as far as its months are."""
    theirs = replace(THEIRS, paid_until=FEBRUARY, **more)
    assert paid_until == aligned(replace(OURS, paid_until=MARCH), theirs).paid_until


@pytest.mark.parametrize(
    ("more", "granted_until", "pending"),
    [
        ({"plan": "pro", "since": FEBRUARY}, FEBRUARY, PRO),  # with the period
        ({"plan": "pro", "since": FEBRUARY, "is_paid": False}, FEBRUARY, PRO),  # which is not paid yet
        ({"plan": "pro", "since": FEBRUARY}, MARCH, None),  # whose cycle is granted already
        ({"plan": "pro"}, FEBRUARY, None),  # in the middle of it
        ({"since": FEBRUARY}, FEBRUARY, None),  # no change at all
        ({"interval": Interval.YEAR, "since": FEBRUARY}, FEBRUARY, Change("max", Interval.YEAR, FEBRUARY)),
    ],
)
def test_a_change_that_came_with_a_period_is_to_come_with_its_cycle(
    more: dict[str, Any], granted_until: datetime, pending: Change | None
) -> None:
    """As long as that is not granted; one in the middle of a period is made now, with what is paid."""
    assert pending == aligned(replace(OURS, granted_until=granted_until), replace(THEIRS, **more)).pending


@pytest.mark.parametrize(
    ("ahead", "overtaken"),
    [
        (None, False),  # it never followed anything
        (-DAY, False),
        (timedelta(0), False),
        (timedelta(microseconds=1), True),
        (LONGEST_LOOK, True),
        (timedelta(hours=1), False),  # a clock that was set back keeps nobody waiting
    ],
)
def test_a_look_is_overtaken_by_a_later_one_unless_the_clock_was_set_back(
    ahead: timedelta | None, overtaken: bool
) -> None:
    """After a failover to a slower clock all looks seem to be old, and they are not."""
    ours = replace(OURS, seen_at=None if ahead is None else THEIRS.seen_at + ahead)
    assert overtaken is is_overtaken(ours, THEIRS)


def test_a_change_that_was_known_to_come_came_when_it_was_to() -> None:
    """Though it is heard of a period later only."""
    late = replace(THEIRS, plan="pro", since=MARCH)

    assert PRO == aligned(replace(OURS, pending=PRO), late).pending
    assert PRO._replace(at=MARCH) == aligned(OURS, late).pending
    assert PRO._replace(at=MARCH) == aligned(replace(OURS, pending=PRO._replace(plan="x")), late).pending


@pytest.mark.parametrize(
    ("before", "theirs", "paid", "after"),
    [
        (None, FEBRUARY, False, FEBRUARY),
        (FEBRUARY, MARCH, True, MARCH),
        (MARCH, FEBRUARY, True, FEBRUARY),  # a year that became a month
        (MARCH, FEBRUARY, False, MARCH),  # a difference that is open takes back nothing
    ],
)
def test_what_was_paid_for_stays_so_while_something_is_open(
    before: datetime | None, theirs: datetime, paid: bool, after: datetime
) -> None:
    """Once nothing is, Stripe's period is what is paid for."""
    found = aligned(replace(OURS, paid_until=before), replace(THEIRS, paid_until=theirs, is_paid=paid))

    assert after == found.paid_until


@pytest.mark.parametrize(
    ("before", "after", "when"),
    [
        ("pro", "max", When.NOW),
        ("max", "pro", When.PERIOD_END),
        ("pro", "pro", When.PERIOD_END),
        ("gone", "pro", When.NOW),
    ],
)
def test_what_costs_more_a_month_is_had_now(before: str, after: str, when: When) -> None:
    """And whatever one has of a plan that is no more; all else comes when what is paid for ends."""
    plans = read_plans(
        {
            "plans": {
                name: {"price_per_month": cost, "allowance": {}, "units": ["core"]}
                for name, cost in (("pro", 20), ("max", 50))
            }
        }
    )

    assert when is takes_effect(plans, before, plans.find(after))
