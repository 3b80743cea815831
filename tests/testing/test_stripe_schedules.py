"""Subscription schedules of the fake Stripe: phases that follow one another, released, cancelled, refused."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.testing.test_stripe_billing import DAY, clock, customer, fake, kinds, price, subscribe, v1

stripe = pytest.importorskip("stripe")

if TYPE_CHECKING:
    from ptmeter.testing import Clock
    from ptmeter.testing.stripe import FakeStripe

__all__ = ["clock", "fake", "v1"]


def phase_now(schedule: Any) -> dict[str, Any]:
    """The current phase of a schedule, as one sends it back."""
    [phase] = [each for each in schedule.phases if each.start_date == schedule.current_phase.start_date]
    items = [{"price": each.price, "quantity": each.quantity} for each in phase["items"]]
    return {"items": items, "start_date": phase.start_date, "end_date": phase.end_date}


def scheduled(v1: Any, subscription: str, then: str, **more: Any) -> Any:
    """Have a subscription go on with another price when its period ends."""
    schedule = v1.subscription_schedules.create({"from_subscription": subscription})
    following = {
        "items": [{"price": then, "quantity": 1}],
        "duration": {"interval": "month", "interval_count": 1},
        **more,
    }
    return v1.subscription_schedules.update(schedule.id, {"phases": [phase_now(schedule), following]})


def priced(v1: Any, subscription: str) -> list[str]:
    return [item.price.id for item in v1.subscriptions.retrieve(subscription)["items"].data]


def turn(fake: FakeStripe, clock: Clock, days: float) -> None:
    clock.turn(timedelta(days=days))
    fake.catch_up()


def test_a_schedule_is_made_of_a_subscription_as_it_is(fake: FakeStripe, v1: Any) -> None:
    """Its one phase is the period that is paid for; a second schedule is refused."""
    dear = price(v1, 5000)
    made = subscribe(v1, customer(v1), dear, metadata={"a": "b"})
    schedule = v1.subscription_schedules.create({"from_subscription": made.id})
    [item], [phase] = made["items"].data, schedule.phases

    assert ("active", "release", made.id) == (
        schedule.status,
        schedule.end_behavior,
        schedule.subscription,
    )
    assert (item.current_period_start, item.current_period_end) == (phase.start_date, phase.end_date)
    assert (dear, {"a": "b"}) == (phase["items"][0].price, phase.metadata.to_dict())
    assert schedule.id == v1.subscriptions.retrieve(made.id).schedule
    assert [schedule.id] == [each.id for each in v1.subscription_schedules.list().data]
    assert ["subscription_schedule.created"] == kinds(fake, "subscription_schedule")
    with pytest.raises(stripe.InvalidRequestError, match="already attached to a schedule"):
        v1.subscription_schedules.create({"from_subscription": made.id})
    with pytest.raises(stripe.InvalidRequestError, match="You cannot set `end_behavior`"):
        v1.subscription_schedules.create({"from_subscription": made.id, "end_behavior": "cancel"})


def test_the_next_phase_begins_with_the_period(fake: FakeStripe, clock: Clock, v1: Any) -> None:
    """It is billed by the new price, without a difference; a month later the subscription is let go."""
    dear, cheap = price(v1, 5000), price(v1, 2000)
    made = subscribe(v1, customer(v1), dear, metadata={"a": "b"})
    schedule = scheduled(v1, made.id, cheap, metadata={"c": "d"})
    assert [dear] == priced(v1, made.id)
    turn(fake, clock, 31.1)

    assert [cheap] == priced(v1, made.id)
    assert {"a": "b", "c": "d"} == v1.subscriptions.retrieve(made.id).metadata.to_dict()
    latest = v1.subscriptions.retrieve(made.id, {"expand": ["latest_invoice"]}).latest_invoice
    assert ("subscription_cycle", 2000, "paid") == (latest.billing_reason, latest.total, latest.status)
    assert [cheap] == [line.pricing.price_details.price for line in latest.lines.data]

    turn(fake, clock, 28)
    over = v1.subscription_schedules.retrieve(schedule.id)
    assert ("released", made.id, None) == (over.status, over.released_subscription, over.subscription)
    assert v1.subscriptions.retrieve(made.id).schedule is None
    assert [5000, 2000, 2000] == sorted((each["total"] for each in fake.objects("invoice")), reverse=True)
    assert {"customer.subscription.updated", "subscription_schedule.released"} <= {
        event["type"] for event in fake.events()
    }


def test_a_year_may_follow_a_month(fake: FakeStripe, clock: Clock, v1: Any) -> None:
    """The year begins when the month ends."""
    made = subscribe(v1, customer(v1), price(v1, 5000))
    [before] = made["items"].data
    scheduled(v1, made.id, price(v1, 48_000, "year"), duration={"interval": "year", "interval_count": 1})
    turn(fake, clock, 31.1)

    [item] = v1.subscriptions.retrieve(made.id)["items"].data
    assert before.current_period_end == item.current_period_start
    assert 365 * DAY == item.current_period_end - item.current_period_start
    assert [5000, 48_000] == sorted(each["amount_paid"] for each in fake.objects("invoice"))


def test_a_change_in_the_middle_of_a_period_is_prorated_as_the_phase_says(
    fake: FakeStripe, clock: Clock, v1: Any
) -> None:
    """A phase may begin at any time."""
    made = subscribe(v1, customer(v1), price(v1, 3100))
    schedule = v1.subscription_schedules.create({"from_subscription": made.id})
    now = phase_now(schedule)
    middle = now["start_date"] + 15 * DAY + DAY // 2
    following = {
        "items": [{"price": price(v1, 6200)}],
        "iterations": 1,
        "proration_behavior": "always_invoice",
    }
    v1.subscription_schedules.update(schedule.id, {"phases": [{**now, "end_date": middle}, following]})
    turn(fake, clock, 16)

    assert [1550, 3100] == sorted(each["amount_paid"] for each in fake.objects("invoice"))


def test_a_phase_that_names_no_discount_has_none(fake: FakeStripe, clock: Clock, v1: Any) -> None:
    """One that names that of the subscription goes on with it."""
    coupon = v1.coupons.create({"percent_off": 50, "duration": "forever"}).id
    paid: list[int] = []
    for keeps in (False, True):
        made = subscribe(v1, customer(v1), price(v1, 5000), discounts=[{"coupon": coupon}])
        discounts = [{"discount": made.discounts[0]}] if keeps else None
        schedule = v1.subscription_schedules.create({"from_subscription": made.id})
        more = {"discounts": discounts} if discounts else {}
        now = {**phase_now(schedule), "discounts": [{"discount": made.discounts[0]}]}
        following = {"items": [{"price": price(v1, 2000)}], "iterations": 1, **more}
        v1.subscription_schedules.update(schedule.id, {"phases": [now, following]})
        turn(fake, clock, 31.1)
        latest = v1.subscriptions.retrieve(made.id, {"expand": ["latest_invoice"]}).latest_invoice
        paid.append(latest.amount_paid)

    assert [2000, 1000] == paid


def test_what_the_current_phase_says_is_so_at_once(fake: FakeStripe, v1: Any) -> None:
    """A trial that it does not name is over, and another price holds from now on."""
    cheap = price(v1, 2000)
    made = subscribe(v1, customer(v1), price(v1, 5000), trial_period_days=14)
    schedule = v1.subscription_schedules.create({"from_subscription": made.id})
    assert made.trial_end == schedule.phases[0].trial_end
    kept = {**phase_now(schedule), "trial_end": made.trial_end}
    v1.subscription_schedules.update(schedule.id, {"phases": [kept]})
    assert "trialing" == v1.subscriptions.retrieve(made.id).status
    now = {**phase_now(schedule), "items": [{"price": cheap}]}
    v1.subscription_schedules.update(schedule.id, {"phases": [now]})

    assert ("active", [cheap]) == (v1.subscriptions.retrieve(made.id).status, priced(v1, made.id))


def test_a_subscription_that_is_managed_ends_by_its_schedule(
    fake: FakeStripe, clock: Clock, v1: Any
) -> None:
    """It cannot be ended with its period itself; released it can, and the end the schedule said is taken back."""
    made = subscribe(v1, customer(v1), price(v1, 5000))
    schedule = v1.subscription_schedules.create({"from_subscription": made.id})
    for ends in (True, False):
        with pytest.raises(stripe.InvalidRequestError, match="managed by the subscription schedule"):
            v1.subscriptions.update(made.id, {"cancel_at_period_end": ends})
    v1.subscription_schedules.update(schedule.id, {"end_behavior": "cancel"})
    end = made["items"].data[0].current_period_end
    assert end == v1.subscriptions.retrieve(made.id).cancel_at

    v1.subscription_schedules.release(schedule.id)
    assert v1.subscriptions.retrieve(made.id).cancel_at is None
    v1.subscriptions.update(made.id, {"cancel_at_period_end": True})
    again = v1.subscription_schedules.create({"from_subscription": made.id})
    assert "cancel" == again.end_behavior
    turn(fake, clock, 31.1)
    assert "canceled" == v1.subscriptions.retrieve(made.id).status
    assert "completed" == v1.subscription_schedules.retrieve(again.id).status


def test_an_end_that_a_schedule_said_may_stay(fake: FakeStripe, v1: Any) -> None:
    """``preserve_cancel_date`` keeps it when the schedule is released."""
    made = subscribe(v1, customer(v1), price(v1, 5000))
    schedule = v1.subscription_schedules.create({"from_subscription": made.id})
    v1.subscription_schedules.update(schedule.id, {"end_behavior": "cancel"})
    v1.subscription_schedules.release(schedule.id, {"preserve_cancel_date": True})

    assert made["items"].data[0].current_period_end == v1.subscriptions.retrieve(made.id).cancel_at


@pytest.mark.parametrize("how", ["schedule", "subscription"])
def test_a_schedule_and_its_subscription_end_together(fake: FakeStripe, v1: Any, how: str) -> None:
    """Whichever of the two is cancelled; what is over cannot be changed any more."""
    made = subscribe(v1, customer(v1), price(v1, 5000))
    schedule = v1.subscription_schedules.create({"from_subscription": made.id})
    if how == "schedule":
        v1.subscription_schedules.cancel(schedule.id)
    else:
        v1.subscriptions.cancel(made.id)

    assert "canceled" == v1.subscriptions.retrieve(made.id).status
    assert "canceled" == v1.subscription_schedules.retrieve(schedule.id).status
    assert 1 == len(fake.events("subscription_schedule.canceled"))
    for verb in (v1.subscription_schedules.release, v1.subscription_schedules.cancel):
        with pytest.raises(stripe.InvalidRequestError, match="in the `canceled` status"):
            verb(schedule.id)


def test_a_schedule_begins_a_subscription_now_or_later(fake: FakeStripe, clock: Clock, v1: Any) -> None:
    """Without a subscription it says who it is for; before it begins it can be cancelled or released."""
    who, cheap = customer(v1), price(v1, 2000)
    phases = [
        {"items": [{"price": cheap}], "iterations": 1},
        {"items": [{"price": cheap, "quantity": 2}], "iterations": 1},
    ]
    asked: dict[str, Any] = {"customer": who, "phases": phases}
    begun = v1.subscription_schedules.create({**asked, "start_date": "now"})
    assert [cheap] == priced(v1, begun.subscription)
    later = int(clock().timestamp()) + DAY
    waits = [v1.subscription_schedules.create({**asked, "start_date": later}) for _ in range(3)]
    assert {("not_started", None)} == {(each.status, each.subscription) for each in waits}
    v1.subscription_schedules.cancel(waits[0].id)
    v1.subscription_schedules.release(waits[1].id)
    poor = v1.subscription_schedules.create({**asked, "customer": customer(v1, None), "start_date": later})
    turn(fake, clock, 1.1)

    statuses = [v1.subscription_schedules.retrieve(each.id).status for each in (*waits, poor)]
    assert ["canceled", "released", "active", "canceled"] == statuses
    turn(fake, clock, 31)
    assert (
        4000
        == v1.subscriptions.retrieve(
            begun.subscription, {"expand": ["latest_invoice"]}
        ).latest_invoice.total
    )


@pytest.mark.parametrize(
    ("phases", "problem"),
    [
        ([{"items": [{"price": "P"}]}], "start_date"),
        ([{"start_date": 1, "end_date": 0, "items": [{"price": "P"}]}], "ends after it starts"),
        ([{"start_date": 1, "end_date": 9, "items": [{"price": "P"}]}], "the current one"),
        ([{"start_date": "now", "iterations": 1, "items": [{"price": "P"}]}], "start date of the current"),
        (
            [{"start_date": 1, "iterations": 1, "end_date": 9, "items": [{"price": "P"}]}],
            "either an end date",
        ),
        ([{"start_date": 1, "end_date": 9}], "items"),
        (
            [
                {"start_date": 1, "end_date": 9, "items": [{"price": "P"}]},
                {"start_date": 10, "items": [{"price": "P"}]},
            ],
            "end date of the one before",
        ),
    ],
)
def test_phases_that_do_not_follow_one_another_are_refused(
    clock: Clock, v1: Any, phases: list[dict[str, Any]], problem: str
) -> None:
    """And nothing is changed."""
    cheap = price(v1, 2000)
    made = subscribe(v1, customer(v1), cheap)
    schedule = v1.subscription_schedules.create({"from_subscription": made.id})
    clock.turn(timedelta(hours=1))
    wanted = [
        {**each, "items": [{"price": cheap} for _ in each["items"]]} if "items" in each else each
        for each in phases
    ]

    with pytest.raises(stripe.InvalidRequestError, match=problem):
        v1.subscription_schedules.update(schedule.id, {"phases": wanted})

    assert schedule.phases == v1.subscription_schedules.retrieve(schedule.id).phases


def test_a_credit_note_is_previewed(fake: FakeStripe, v1: Any) -> None:
    """It says what a credit note would be, keeps nothing, and is refused where that would be."""
    subscribe(v1, customer(v1), price(v1, 5000))
    [invoice] = fake.objects("invoice")
    asked = {"invoice": invoice["id"], "amount": 900, "refund_amount": 900}
    seen = v1.credit_notes.preview(asked)
    with pytest.raises(stripe.InvalidRequestError, match="more than what is left"):
        v1.credit_notes.preview({**asked, "amount": 6000, "refund_amount": 6000})

    assert ([], [], []) == (
        fake.objects("credit_note"),
        fake.objects("refund"),
        fake.events("credit_note.created"),
    )
    made = v1.credit_notes.create(asked)
    assert (900, "post_payment", seen.id, seen.number) == (seen.total, seen.type, made.id, made.number)
