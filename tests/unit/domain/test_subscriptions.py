"""Subscriptions: which cycles are granted, what a change gives, what it costs, whatever the calendar does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptmeter.domain.plans import Plan, Plans, RollOver, Trial
from ptmeter.domain.pt import PT, Money
from ptmeter.domain.renewals import begin, cancel, change, pro_rata, renewal
from ptmeter.domain.subscriptions import (
    Discount,
    Interval,
    Status,
    When,
    cycle,
    price,
    price_of_cycle,
    term,
)
from ptmeter.domain.windows import Window
from ptmeter.errors import ConfigurationError, InvalidArgumentError

if TYPE_CHECKING:
    from ptmeter.domain.renewals import Due
    from ptmeter.domain.subscriptions import Subscription

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe")
JANUARY = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
NAIVE = JANUARY.replace(tzinfo=None)


def plan(name: str, dollars: int, **more: Any) -> Plan:
    return Plan(
        name=name,
        price_per_month=Money.usd(dollars),
        price_per_year=more.pop("year", Money.usd(10 * dollars)),
        allowance=more.pop("allowance", {"core": PT.of(100 * (dollars or 1))}),
        units=frozenset({"core"}),
        **more,
    )


FREE = plan("free", 0, year=None)
PRO = plan("pro", 10, trial=Trial(14, {"core": PT.of(20)}))
TEAM = plan("team", 30, roll_over=RollOver({"core": 5_000}, annual_only=True))
ODD = plan("odd", 20, allowance={"core": PT.of(5_000), "advanced": PT.of(7)})
PLANS = Plans({each.name: each for each in (FREE, PRO, TEAM, ODD)})

anchors = st.timedeltas(timedelta(0), timedelta(days=2_000)).map(datetime(2023, 1, 1, tzinfo=UTC).__add__)
zones = st.sampled_from(ZONES)
spans = st.timedeltas(timedelta(0), timedelta(days=500))


def renewed(subscription: Subscription, at: datetime) -> tuple[Subscription, list[Due]]:
    """The subscription at a moment, brought up to date, and what was granted for that."""
    standing, granted = replace(subscription, at=at), []
    while due := renewal(standing, PLANS):
        standing = due.subscription
        granted.append(due)
    return standing, granted


def begun(of: Plan = PRO, at: datetime = JANUARY, **more: Any) -> Subscription:
    return renewed(begin("acme", of, at=at, **more), at)[0]


# --- cycles -------------------------------------------------------------------------------------


def test_the_31st_of_january() -> None:
    """Anchored on the 31st, cycles begin on the last day of February and on the 31st of March."""
    _, granted = renewed(begun(), datetime(2026, 6, 1, tzinfo=UTC))

    assert [(2, 28), (3, 31), (4, 30), (5, 31)] == [
        (due.cycle.start.month, due.cycle.start.day) for due in granted
    ]
    leap, _ = renewed(begun(at=JANUARY.replace(year=2028)), datetime(2028, 2, 29, 10, tzinfo=UTC))
    assert datetime(2028, 2, 29, 9, 30, tzinfo=UTC) == leap.cycle.start


def test_the_wall_clock_says_when_a_cycle_begins() -> None:
    """Summer and winter cycles begin at the same time by the clock in the zone, both ways."""
    berlin = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 2, 15, 8, tzinfo=berlin)
    _, granted = renewed(
        begun(at=start, anchor=start, zone="Europe/Berlin"), datetime(2026, 12, 1, tzinfo=UTC)
    )

    assert {8} == {due.cycle.start.astimezone(berlin).hour for due in granted}
    assert {6, 7} == {due.cycle.start.hour for due in granted}


@given(anchors, zones, st.lists(spans, min_size=1, max_size=6), st.booleans())
def test_every_cycle_is_granted_once_however_late(
    anchor: datetime, zone: str, waits: list[timedelta], annual: bool
) -> None:
    """Renewed at any moments or once at the last of them, the same cycles are granted, one after the other."""
    interval = Interval.YEAR if annual else Interval.MONTH
    first = begin("acme", PRO, zone=zone, interval=interval, at=anchor)
    moments = sorted(anchor + wait for wait in waits)

    bit_by_bit, standing = list[Any](), first
    for moment in moments:
        standing, granted = renewed(standing, moment)
        bit_by_bit += granted
    at_once, all_of_them = renewed(first, moments[-1])

    assert at_once == standing
    facts = [(due.key, due.cycle, due.amounts) for due in bit_by_bit]
    assert facts == [(due.key, due.cycle, due.amounts) for due in all_of_them]
    assert len({key for key, _, _ in facts}) == len(facts)
    cycles = [window for _, window, _ in facts]
    assert anchor - timedelta(hours=1) <= cycles[0].start <= anchor  # earlier in the hour that comes twice
    assert all(before.end == after.start for before, after in pairwise(cycles))
    assert cycles[-1].start <= moments[-1] < cycles[-1].end == standing.granted_until


@pytest.mark.parametrize("hour", [0, 1, 2])
def test_an_anchor_in_the_hour_that_comes_twice(hour: int) -> None:
    """Begun before, in or after the hour that the clocks go back by, cycles are granted once and meet."""
    at = datetime(2026, 10, 25, hour, 30, tzinfo=UTC)
    first = begin("acme", PRO, zone="Europe/Berlin", at=at)
    _, granted = renewed(first, at + timedelta(days=150))

    assert 5 == len(granted)
    assert granted[0].cycle.start <= at < granted[0].cycle.end
    assert all(a.cycle.end == b.cycle.start for a, b in pairwise(granted))


@given(anchors, zones, spans)
def test_an_anchor_in_the_past_goes_on_with_the_cycle_that_holds(
    anchor: datetime, zone: str, wait: timedelta
) -> None:
    """A subscription that was begun elsewhere gets the cycle that holds now, and none before it."""
    at = anchor + wait
    first = begin("acme", PRO, anchor=anchor, zone=zone, at=at)
    standing, granted = renewed(first, at)

    assert 1 == len(granted)
    assert cycle(standing, at) == granted[0].cycle
    assert granted[0].cycle.start <= at < granted[0].cycle.end


@given(anchors, zones, st.timedeltas(timedelta(0), timedelta(days=1500)))
def test_a_year_is_twelve_cycles(anchor: datetime, zone: str, wait: timedelta) -> None:
    """What is paid by the year begins and ends with a cycle, so no cycle belongs to two years."""
    standing, granted = renewed(
        begin("acme", PRO, interval=Interval.YEAR, zone=zone, at=anchor), anchor + wait
    )
    paid = standing.term
    within = [due for due in granted if paid.start <= due.cycle.start]

    assert paid.start <= standing.at < paid.end
    assert (len(granted) - len(within)) % 12 == 0
    assert 1 <= len(within) <= 12
    assert timedelta(days=364) <= paid.end - paid.start <= timedelta(days=367)


# --- beginning ----------------------------------------------------------------------------------


def test_a_trial_comes_before_the_cycles() -> None:
    """Nothing of the allowance is granted before the trial is over; then cycles begin, at that time of day."""
    at = datetime(2026, 3, 20, 18, tzinfo=UTC)  # the clocks change on the 29th
    trial = begin("acme", PRO, trial=True, zone="Europe/Berlin", at=at)
    end = datetime(2026, 4, 3, 17, tzinfo=UTC)

    assert (Status.TRIALING, end, Window(at, end)) == (trial.status, trial.trial_end, trial.cycle)
    assert [] == renewed(trial, end - timedelta(seconds=1))[1]
    standing, granted = renewed(trial, end)
    assert (Status.ACTIVE, [end]) == (standing.status, [due.cycle.start for due in granted])


@pytest.mark.parametrize(
    ("of", "more", "problem"),
    [
        (
            PRO,
            {"anchor": JANUARY + timedelta(seconds=1)},
            "an anchor is a time with its offset, not after now",
        ),
        (PRO, {"anchor": NAIVE}, "an anchor is a time with its offset"),
        (PRO, {"anchor": JANUARY, "trial": True}, "a trial has none"),
        (PRO, {"zone": "Mars/Olympus"}, "there is no time zone 'Mars/Olympus'"),
        (PRO, {"zone": "../etc/passwd"}, "there is no time zone"),
        (TEAM, {"trial": True}, "plan 'team' has no trial"),
    ],
)
def test_what_cannot_begin(of: Plan, more: dict[str, Any], problem: str) -> None:
    """An anchor to come, a zone that is none and a trial that the plan has not are refused."""
    with pytest.raises(InvalidArgumentError, match=problem):
        begin("acme", of, at=JANUARY, **more)


def test_a_plan_without_a_price_for_a_year_is_paid_by_the_month() -> None:
    """By the year one can only be on a plan that has a price for it, at the beginning or later."""
    with pytest.raises(ConfigurationError, match="plan 'free' has no price for a year"):
        begin("acme", FREE, interval=Interval.YEAR, at=JANUARY)
    with pytest.raises(ConfigurationError, match="plan 'free' has no price for a year"):
        change(begun(interval=Interval.YEAR), PLANS, FREE)


# --- changing -----------------------------------------------------------------------------------


def test_up_is_at_once_and_pro_rata() -> None:
    """Half a cycle before its end the difference of the allowances is given by half; the next cycle is whole."""
    standing = begun(at=datetime(2026, 4, 1, tzinfo=UTC))
    middle = replace(standing, at=datetime(2026, 4, 16, tzinfo=UTC))

    changed, given_, _ = change(middle, PLANS, TEAM)

    assert ("team", None, {"core": 1_000_000_000}) == (changed.plan, changed.pending, given_)
    _, granted = renewed(changed, datetime(2026, 5, 1, tzinfo=UTC))
    assert [{"core": 3_000_000_000}] == [due.amounts for due in granted]


def test_down_waits_for_the_end_of_what_is_paid_for() -> None:
    """Down, the plan goes on to the end of the month or year that is paid for, and gives nothing before."""
    changed, given_, _ = change(begun(TEAM, interval=Interval.YEAR), PLANS, PRO)

    assert {} == given_
    assert ("team", ("pro", "year", datetime(2027, 1, 31, 9, 30, tzinfo=UTC))) == (
        changed.plan,
        changed.pending,
    )
    last, granted = renewed(changed, datetime(2027, 2, 1, tzinfo=UTC))
    assert [3_000_000_000] * 11 + [1_000_000_000] == [due.amounts["core"] for due in granted]
    assert ("pro", None, granted[-1].cycle.start) == (last.plan, last.pending, last.term.start)


def test_either_can_be_asked_for_otherwise() -> None:
    """Up may wait, and down may be at once: then nothing is given and nothing taken away."""
    assert "pro" == change(begun(), PLANS, TEAM, when=When.PERIOD_END).subscription.plan
    changed, given_, _ = change(begun(TEAM), PLANS, PRO, when=When.NOW)
    assert ("pro", {}) == (changed.plan, given_)


def test_changing_back_takes_back_what_was_to_come() -> None:
    """A change to the plan one is on leaves nothing pending, and takes back a cancellation."""
    leaving = change(begun(TEAM), PLANS, PRO).subscription
    assert change(leaving, PLANS, TEAM).subscription == begun(TEAM)
    assert Status.CANCELLING is (cancelled := cancel(begun(TEAM), When.PERIOD_END)).status
    assert change(cancelled, PLANS, TEAM).subscription == begun(TEAM)


def test_an_interval_changes_with_the_cycle() -> None:
    """Now, a year begins with the cycle that holds; later, with the first one after what is paid for."""
    at = datetime(2026, 3, 10, tzinfo=UTC)
    standing, _ = renewed(begun(), at)
    now, _, _ = change(standing, PLANS, PRO, interval=Interval.YEAR, when=When.NOW)
    later, _, _ = change(standing, PLANS, PRO, interval=Interval.YEAR)

    assert (2026, 2, 28) == now.term.start.timetuple()[:3]
    assert Interval.MONTH is later.interval
    assert (2026, 3, 31) == renewed(later, datetime(2026, 4, 1, tzinfo=UTC))[0].term.start.timetuple()[:3]


def test_a_change_in_a_trial_gives_nothing() -> None:
    """The trial goes on as it is, and the new plan begins after it."""
    trial = begin("acme", PRO, trial=True, at=JANUARY)
    changed, given_, _ = change(trial, PLANS, TEAM)

    assert (Status.TRIALING, {}) == (changed.status, given_)
    _, granted = renewed(changed, JANUARY + timedelta(days=14))
    assert [{"core": 3_000_000_000}] == [due.amounts for due in granted]


def test_a_plan_that_is_no_more_can_be_left() -> None:
    """Who is on a plan that the file has no longer changes to one that it has, at once."""
    changed, _, _ = change(replace(begun(), plan="gone"), PLANS, TEAM)

    assert "team" == changed.plan
    with pytest.raises(ConfigurationError, match="there is no plan 'gone'"):
        renewed(replace(begun(), plan="gone"), datetime(2026, 3, 1, tzinfo=UTC))


@given(
    st.lists(st.tuples(st.sampled_from([FREE, PRO, TEAM, ODD]), st.integers(0, 2_000_000)), max_size=8),
    st.sampled_from([FREE, PRO, TEAM, ODD]),
)
def test_no_change_back_and_forth_makes_pt(moves: list[tuple[Plan, int]], first: Plan) -> None:
    """However often the plan is changed in a cycle, it gives no more than the dearest would have from the start."""
    standing, given_ = begun(first), dict[str, int]()
    for seconds, to in sorted((seconds, to.name) for to, seconds in moves):
        moment = replace(standing, at=JANUARY + timedelta(seconds=seconds))
        standing, more, _ = change(moment, PLANS, PLANS.find(to), when=When.NOW)
        given_ = {unit: given_.get(unit, 0) + more.get(unit, 0) for unit in {*given_, *more}}

    for unit, amount in given_.items():
        start = first.allowance.get(unit, PT(0)).micro
        most = max(to.allowance.get(unit, PT(0)).micro for to, _ in moves)
        assert 0 <= amount <= most - start


@given(st.integers(0, 10**12), st.integers(1, 10**14), st.data())
def test_pro_rata_is_exact_and_rounded_down(amount: int, length: int, data: st.DataObject) -> None:
    """The part is what is left of the window, less than a micro-PT below; whole at its start, none at its end."""
    passed = data.draw(st.integers(0, length))
    whole = Window(JANUARY, JANUARY + timedelta(microseconds=length))
    part = pro_rata(amount, whole, JANUARY + timedelta(microseconds=passed))

    assert 0 <= amount * (length - passed) - part * length < length
    assert (amount, 0) == (pro_rata(amount, whole, whole.start), pro_rata(amount, whole, whole.end))


# --- ending -------------------------------------------------------------------------------------


def test_a_cancelled_year_is_granted_to_its_end() -> None:
    """Cancelled by the year, the months that are paid for are granted, and none after them."""
    leaving = cancel(begun(interval=Interval.YEAR), When.PERIOD_END)
    standing, granted = renewed(leaving, datetime(2028, 1, 1, tzinfo=UTC))

    assert 11 == len(granted)
    assert (Status.ENDED, granted[-1].cycle.end) == (standing.status, standing.ends_at)


def test_cancelled_now_it_is_over() -> None:
    """Cancelled at once, nothing is granted any more; there is one thing left to do, to carry the end out."""
    ended = cancel(begun(), When.NOW)

    assert (Status.ENDED, ended.at) == (ended.status, ended.due_at)
    assert [] == renewed(ended, JANUARY + timedelta(days=99))[1]
    assert replace(ended, closed=True).due_at is None


# --- money --------------------------------------------------------------------------------------


def test_a_founding_member_pays_less_until_the_discount_ends() -> None:
    """A discount is off every month that begins before its end, and off no PT."""
    until = datetime(2026, 3, 31, tzinfo=UTC)
    member = begun(discount=Discount(2_500, until))

    assert begun().allowance == member.allowance
    assert ["7.5", "7.5", "7.5", "10"] == [
        str(price(member, PLANS, datetime(2026, month, day, 12, tzinfo=UTC))).removeprefix("US$")
        for month, day in ((1, 31), (2, 28), (3, 31 - 1), (3, 31))
    ]


def test_a_price_by_the_year_is_that_of_the_year() -> None:
    """A year that begins before the discount's end is paid with it to its own end."""
    member = begun(interval=Interval.YEAR, discount=Discount(3_333, JANUARY + timedelta(days=1)))

    assert Money.usd("66.67") == price(member, PLANS, JANUARY + timedelta(days=360))
    assert Money.usd(100) == price(member, PLANS, JANUARY + timedelta(days=366))


def test_there_is_nothing_to_pay_in_a_trial_and_after_the_end() -> None:
    """A trial costs nothing, what has ended neither, and a plan that is to come its own price from then on."""
    trial = begin("acme", PRO, trial=True, at=JANUARY)
    assert Money.usd(0) == price(trial, PLANS, JANUARY)
    assert Money.usd(10) == price(trial, PLANS, JANUARY + timedelta(days=14))
    leaving = cancel(begun(), When.PERIOD_END)
    assert leaving.ends_at is not None
    assert Money.usd(10) == price(leaving, PLANS, JANUARY)
    assert Money.usd(0) == price(leaving, PLANS, leaving.ends_at)
    down = change(begun(TEAM), PLANS, PRO).subscription
    assert [Money.usd(30), Money.usd(10)] == [
        price(down, PLANS, at) for at in (JANUARY, term(down, JANUARY).end)
    ]


@pytest.mark.parametrize("share", [0, -1, 10_001])
def test_a_discount_is_a_share(share: int) -> None:
    """Nothing off, or more than all of it, is no discount; and its end has an offset."""
    with pytest.raises(InvalidArgumentError, match="a discount is more than 0 and up to 100 %"):
        Discount(share, JANUARY)
    with pytest.raises(InvalidArgumentError, match="a discount ends at a time with its offset"):
        Discount(1, NAIVE)


# --- roll-over ----------------------------------------------------------------------------------


def test_what_rolls_over_goes_by_the_plan_that_gave_it() -> None:
    """Only the annual subscription rolls over, out of every cycle but a trial, whatever plan comes next."""
    march = datetime(2026, 3, 1, tzinfo=UTC)

    def shares(of: Subscription) -> list[Any]:
        return [due.rolls_over for due in renewed(of, march)[1]]

    assert [{"core": 5_000}] == shares(begun(TEAM, interval=Interval.YEAR))
    assert [{}] == shares(begun(TEAM))
    assert [{}] == shares(begun(PRO, interval=Interval.YEAR))
    assert [{}, {"core": 5_000}] == [
        due.rolls_over for due in renewed(begin("acme", TEAM, interval=Interval.YEAR, at=JANUARY), march)[1]
    ]


@given(anchors, zones, st.integers(0, 23), st.integers(0, 7_000))
def test_the_twelfths_of_a_year_add_up_to_it(anchor: datetime, zone: str, later: int, share: int) -> None:
    """Whatever the year costs and wherever its cycles begin, its twelve parts sum to its price to the nano."""
    off = Discount(share, anchor + timedelta(days=1)) if share else None
    member = begin("acme", ODD, interval=Interval.YEAR, anchor=anchor, zone=zone, discount=off, at=anchor)
    starts, at = list[datetime](), anchor
    for _ in range(24):
        starts.append(at)
        at = cycle(member, at).end
    year = 12 * (later // 12)
    parts = [price_of_cycle(member, PLANS, start).nano for start in starts[year : year + 12]]

    assert price(member, PLANS, starts[later]).nano == sum(parts)
    assert max(parts) - min(parts) <= 1


def test_a_cycle_is_paid_for_by_what_it_costs() -> None:
    """A month by its price less the discount, a month of a year by a twelfth, nothing by nothing."""
    off = Discount(5_000, JANUARY + timedelta(days=1))
    member = begin("acme", PRO, discount=off, at=JANUARY)
    standing, (first, second) = renewed(member, datetime(2026, 3, 1, tzinfo=UTC))

    assert (5_000_000_000, 10_000_000_000) == (first.subscription.paid, second.subscription.paid)
    assert standing.paid == second.subscription.paid
    assert 0 == renewed(begun(FREE), JANUARY)[0].paid
    assert 8_333_333_333 == renewed(begun(interval=Interval.YEAR), JANUARY)[0].paid
    assert 0 == price_of_cycle(begin("acme", PRO, trial=True, at=JANUARY), PLANS, JANUARY).nano


def test_a_change_at_once_is_paid_for_by_the_difference() -> None:
    """By the same share as its PT; what was paid once in a cycle is not paid in it again, and never given back."""
    standing, _ = renewed(begun(at=datetime(2026, 4, 1, tzinfo=UTC)), datetime(2026, 4, 16, tzinfo=UTC))
    up = change(standing, PLANS, TEAM)
    down = change(up.subscription, PLANS, FREE, when=When.NOW)
    wide = change(down.subscription, PLANS, ODD, when=When.NOW)

    assert (10_000_000_000, 30_000_000_000) == (up.paid, up.subscription.paid)
    assert ({}, 0) == (down.amounts, down.paid)
    assert ({"core": 1_000_000_000, "advanced": 3_500_000}, 0) == (wide.amounts, wide.paid)


def test_what_is_paid_in_another_currency_is_not_known() -> None:
    """A plan that is sold in euros says nothing of dollars, nor does a change to it or from it."""
    euros = replace(TEAM, name="euros", price_per_month=Money(30, "EUR"), price_per_year=None)
    plans = Plans({**PLANS.by_name, "euros": euros})
    due = renewal(begin("acme", euros, at=JANUARY), plans)
    assert due is not None
    away = change(due.subscription, plans, ODD, when=When.NOW)
    into = change(renewed(begun(), JANUARY)[0], plans, euros, when=When.NOW)

    assert [None] * 3 == [due.subscription.paid, away.paid, into.paid]
    assert {"advanced": 7_000_000, "core": 2_000_000_000} == away.amounts
