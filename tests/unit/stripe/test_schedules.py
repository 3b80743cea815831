"""What a subscription schedule says, and what is asked of one, without a Stripe."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ptmeter import Interval
from ptmeter.domain.inbox import Subject, SubjectKind
from ptmeter.stripe import billing, requests, schedules
from ptmeter.stripe.subjects import subject_of
from ptmeter.stripe.subscriptions import followed

JANUARY, FEBRUARY, MARCH = (int(datetime(2026, month, 1, tzinfo=UTC).timestamp()) for month in (1, 2, 3))

SEEN = datetime(2026, 1, 2, tzinfo=UTC)


def price(name: str, interval: str = "month", **metadata: str) -> dict[str, Any]:
    return {"id": f"price_{name}", "metadata": metadata, "recurring": {"interval": interval}}


def phase(start: int, end: int, *prices: Any, **more: Any) -> dict[str, Any]:
    items = [{"price": each, "quantity": 1, "metadata": {}, "tax_rates": []} for each in prices]
    said = {"metadata": {}, "trial_end": None, "proration_behavior": "create_prorations", **more}
    return {"start_date": start, "end_date": end, "items": items, **said}


PRO, MAX = price("pro", ptmeter_plan="pro"), price("max", ptmeter_plan="max")
NOW, LATER = phase(JANUARY, FEBRUARY, MAX), phase(FEBRUARY, MARCH, PRO)


def schedule(*phases: Any, **more: Any) -> dict[str, Any]:
    current = {"start_date": JANUARY, "end_date": FEBRUARY}
    return {
        "id": "sub_sched_1",
        "current_phase": current,
        "phases": list(phases),
        "end_behavior": "release",
        **more,
    }


def subscription(**more: Any) -> dict[str, Any]:
    item = {
        "id": "si_1",
        "price": MAX,
        "current_period_start": JANUARY,
        "current_period_end": FEBRUARY,
    }
    return {
        "id": "sub_1",
        "status": "active",
        "billing_cycle_anchor": JANUARY,
        "metadata": {"ptmeter_account": "acme", "ptmeter_plan": "max"},
        "items": {"data": [item]},
        "cancel_at": None,
        "cancel_at_period_end": False,
        **more,
    }


# --- what is to come ----------------------------------------------------------------------------


def test_what_is_to_come_is_the_first_phase_of_another_plan_or_interval() -> None:
    """By its price, else by its own metadata; phases of the same, of nobody's and of what is over say nothing."""
    year = price("year", "year", ptmeter_plan="max")
    told = phase(FEBRUARY, MARCH, price("x"), metadata={"ptmeter_plan": "lite"})
    foreign = phase(FEBRUARY, MARCH, price("x"))
    weekly = phase(FEBRUARY, MARCH, price("w", "week", ptmeter_plan="pro"))
    before = phase(0, JANUARY, PRO)
    later = phase(MARCH, MARCH + 1, PRO)
    at = datetime(2026, 2, 1, tzinfo=UTC)
    for phases, wanted in (
        ([NOW, LATER], ("pro", Interval.MONTH, at)),
        ([NOW, phase(FEBRUARY, MARCH, year)], ("max", Interval.YEAR, at)),
        ([NOW, told], ("lite", Interval.MONTH, at)),
        (
            [NOW, phase(FEBRUARY, MARCH, MAX), later],
            ("pro", Interval.MONTH, datetime(2026, 3, 1, tzinfo=UTC)),
        ),
        ([NOW, foreign], None),
        ([NOW, weekly], None),
        ([before, NOW], None),
    ):
        assert wanted == schedules.coming(subscription(schedule=schedule(*phases)), "max", "month")


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"schedule": None},
        {"schedule": "sub_sched_1"},
        {"schedule": schedule(NOW, LATER, current_phase=None)},
    ],
)
def test_where_no_schedule_is_at_hand_nothing_is_to_come(more: dict[str, Any]) -> None:
    """None, one that was not fetched, or one that is over by now."""
    assert schedules.managing(subscription(**more)) is None
    assert billing.subscription(subscription(**more)).pending is None


def test_the_schedule_says_when_a_subscription_ends_that_it_manages() -> None:
    """Stripe may note the end of a phase as ``cancel_at``, which ends nothing if the schedule lets go then."""
    stays = subscription(cancel_at=FEBRUARY, schedule=schedule(NOW, LATER))
    goes = subscription(schedule=schedule(NOW, LATER, end_behavior="cancel"))

    assert schedules.ends(stays) is None
    assert MARCH == schedules.ends(goes)
    assert [None, datetime(2026, 3, 1, tzinfo=UTC)] == [
        followed(each, SEEN).ends_at for each in (stays, goes)
    ]
    assert FEBRUARY == schedules.ends(subscription(cancel_at_period_end=True))
    assert 7 == schedules.ends(subscription(cancel_at=7))
    assert billing.subscription(subscription(cancel_at_period_end=True)).ends_at_period_end


# --- what is asked ------------------------------------------------------------------------------


def test_the_next_phase_has_all_that_the_current_one_has_but_the_price() -> None:
    """Its discounts, its tax, who pays how; a trial only as far as it goes, and what was to come is left out."""
    settings = {
        "automatic_tax": {"enabled": True, "liability": {"type": "self"}, "disabled_reason": None},
        "collection_method": None,
        "default_payment_method": "pm_1",
        "default_tax_rates": [{"id": "txr_1"}],
        "discounts": [
            {"coupon": "c", "discount": "di_1", "promotion_code": None},
            {"coupon": "c", "discount": None, "promotion_code": None},
        ],
        "invoice_settings": {"days_until_due": 7, "issuer": {"type": "self"}, "account_tax_ids": None},
        "metadata": {"ptmeter_account": "acme"},
        "trial_end": FEBRUARY,
    }
    now = phase(JANUARY, MARCH, MAX, price("seats"), **settings)
    asked = schedules.then(
        schedule(now, LATER), "price_pro", plan="pro", interval=Interval.YEAR, at=FEBRUARY
    )
    kept = {
        "automatic_tax": {"enabled": True},
        "default_payment_method": "pm_1",
        "default_tax_rates": ["txr_1"],
        "discounts": [{"discount": "di_1"}, {"coupon": "c"}],
        "invoice_settings": {"days_until_due": 7, "issuer": {"type": "self"}},
    }
    seats = {"price": "price_seats", "quantity": 1}

    assert "subscription_schedules/sub_sched_1" == asked.path
    assert [
        {
            **kept,
            "metadata": {"ptmeter_account": "acme"},
            "trial_end": FEBRUARY,
            "items": [{"price": "price_max", "quantity": 1}, seats],
            "start_date": JANUARY,
            "end_date": FEBRUARY,
            "proration_behavior": "create_prorations",
        },
        {
            **kept,
            "items": [{"price": "price_pro", "quantity": 1}, seats],
            "metadata": {"ptmeter_plan": "pro", "ptmeter_interval": "year"},
            "start_date": FEBRUARY,
            "duration": {"interval": "year", "interval_count": 1},
            "proration_behavior": "none",
        },
    ] == asked.params["phases"]
    assert ("release", "none") == (asked.params["end_behavior"], asked.params["proration_behavior"])


def test_the_same_operation_that_asks_for_something_else_is_another_request() -> None:
    """Stripe refuses other parameters under the key of a request that it knows."""
    plain, other = requests.StripeRequest("a", {"b": 1}), requests.StripeRequest("a", {"b": 2})
    first = requests.repeated_key(plain, "change", "acme", "k")

    assert first == requests.repeated_key(plain, "change", "acme", "k")
    assert first not in {
        requests.repeated_key(other, "change", "acme", "k"),
        requests.repeated_key(plain, "change", "acme", "k2"),
    }


# --- what is heard ------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["subscription", "released_subscription"])
def test_an_event_about_a_schedule_is_about_its_subscription(field: str) -> None:
    """Also once it has let it go; one that has not begun is about nothing."""
    about = {"object": "subscription_schedule", "id": "sub_sched_1", "subscription": None}

    assert Subject(SubjectKind.SUBSCRIPTION, "sub_1") == subject_of({**about, field: "sub_1"})
    assert subject_of(about) is None


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        ([("price_max", JANUARY, False)], True),
        ([("price_pro", JANUARY, True), ("price_max", JANUARY, False)], True),
        ([("price_max", JANUARY, True)], False),
        ([("price_max", JANUARY - 1, False)], False),
        ([("price_pro", JANUARY, False)], False),
        ([], False),
    ],
)
def test_a_period_is_invoiced_by_the_price_that_holds_or_that_was_changed_since(
    lines: list[tuple[str, int, bool]], wanted: bool
) -> None:
    """A line of its own for the period that holds says so; a difference within it does not."""
    data = [
        {
            "period": {"start": start},
            "pricing": {"price_details": {"price": name}},
            "parent": {"subscription_item_details": {"proration": proration}},
        }
        for name, start, proration in lines
    ]
    found = followed(subscription(latest_invoice={"status": "paid", "lines": {"data": data}}), SEEN)

    assert (datetime(2026, 1, 1, tzinfo=UTC) if wanted else None) == found.since
