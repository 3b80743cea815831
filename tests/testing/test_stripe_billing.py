"""What the fake Stripe bills: subscriptions, prorations, trials, retries, invoices, credit notes, meters, tax."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from ptmeter.testing import Clock
from ptmeter.testing.stripe import FakeStripe, Settings

stripe = pytest.importorskip("stripe")

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = 86_400


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fake(clock: Clock) -> Iterator[FakeStripe]:
    with FakeStripe(clock=clock) as running:
        yield running


@pytest.fixture
def v1(fake: FakeStripe) -> Any:
    return fake.client().v1


def customer(v1: Any, card: str | None = "pm_card_visa", **more: Any) -> str:
    """A customer who pays with this card."""
    if card:
        more |= {"payment_method": card, "invoice_settings": {"default_payment_method": card}}
    return v1.customers.create(more).id


def price(v1: Any, amount: int, interval: str = "month", **more: Any) -> str:
    product = v1.products.create({"name": f"plan at {amount}"}).id
    recurring = {"interval": interval, **more.pop("recurring", {})}
    wanted = {"product": product, "currency": "usd", "unit_amount": amount, "recurring": recurring, **more}
    return v1.prices.create(wanted).id


def subscribe(v1: Any, who: str, what: str, **more: Any) -> Any:
    return v1.subscriptions.create({"customer": who, "items": [{"price": what}], **more})


def kinds(fake: FakeStripe, start: str) -> list[str]:
    return [event["type"] for event in fake.events() if event["type"].startswith(start)]


# --- subscriptions ---


def test_a_subscription_is_paid_and_active(fake: FakeStripe, v1: Any) -> None:
    """The first invoice is paid at once; the period is on the items, as since basil."""
    subscription = subscribe(v1, customer(v1), price(v1, 4900), expand=["latest_invoice.payments"])
    [item] = subscription["items"].data

    assert "active" == subscription.status
    assert ("paid", 4900, "subscription_create") == (
        subscription.latest_invoice.status,
        subscription.latest_invoice.amount_paid,
        subscription.latest_invoice.billing_reason,
    )
    assert not hasattr(subscription, "current_period_end")
    assert datetime(2026, 2, 1, 12, tzinfo=UTC) == datetime.fromtimestamp(item.current_period_end, UTC)
    [payment] = subscription.latest_invoice.payments.data
    assert ("paid", 4900, "payment_intent") == (payment.status, payment.amount_paid, payment.payment.type)
    assert subscription.id == subscription.latest_invoice.parent.subscription_details.subscription
    assert [
        "invoice.created",
        "invoice.finalized",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
    ] == (kinds(fake, "invoice."))


@pytest.mark.parametrize(
    ("behavior", "status"), [("allow_incomplete", "incomplete"), ("default_incomplete", "incomplete")]
)
def test_a_first_payment_may_fail(fake: FakeStripe, v1: Any, behavior: str, status: str) -> None:
    """Without the first payment a subscription is incomplete; once its intent is confirmed it is active."""
    who = customer(v1, "pm_card_chargeCustomerFail")
    made = subscribe(
        v1, who, price(v1, 4900), payment_behavior=behavior, expand=["latest_invoice.payments"]
    )

    assert (status, "open") == (made.status, made.latest_invoice.status)

    intent = made.latest_invoice.payments.data[0].payment.payment_intent
    v1.payment_intents.confirm(intent, {"payment_method": "pm_card_visa"})

    assert "active" == v1.subscriptions.retrieve(made.id).status
    assert "paid" == v1.invoices.retrieve(made.latest_invoice.id).status
    assert 1 == len(fake.events("invoice.paid"))


def test_an_incomplete_subscription_can_be_refused(fake: FakeStripe, v1: Any) -> None:
    """With ``error_if_incomplete`` a decline is a 402 and nothing is left to pay."""
    with pytest.raises(stripe.CardError):
        subscribe(
            v1,
            customer(v1, "pm_card_chargeCustomerFail"),
            price(v1, 4900),
            payment_behavior="error_if_incomplete",
        )

    assert [] == fake.objects("subscription")


def test_an_incomplete_subscription_expires(fake: FakeStripe, clock: Clock, v1: Any) -> None:
    """After 23 hours without its first payment a subscription is incomplete_expired, its invoice void."""
    made = subscribe(v1, customer(v1, "pm_card_chargeCustomerFail"), price(v1, 4900))
    clock.turn(timedelta(hours=23))
    fake.catch_up()

    assert "incomplete_expired" == v1.subscriptions.retrieve(made.id).status
    assert "void" == v1.invoices.retrieve(made.latest_invoice).status


def test_nothing_to_pay_with_is_refused(v1: Any) -> None:
    """A customer without a payment method cannot be charged automatically."""
    with pytest.raises(stripe.InvalidRequestError, match="no attached payment source"):
        subscribe(v1, customer(v1, None), price(v1, 4900))


def test_an_upgrade_is_prorated_to_the_second(fake: FakeStripe, clock: Clock, v1: Any) -> None:
    """In the middle of a period the old is given back and the new charged by half, on the next invoice."""
    made = subscribe(v1, customer(v1), price(v1, 3100))
    item = made["items"].data[0].id
    clock.turn(timedelta(days=15, hours=12))
    v1.subscriptions.update(made.id, {"items": [{"id": item, "price": price(v1, 6200)}]})
    pending = v1.invoice_items.list({"pending": True}).data

    assert [3100, -1550] == [each.amount for each in pending]
    assert {True} == {each.proration for each in pending}

    clock.turn(timedelta(days=15, hours=13))
    fake.catch_up()
    [_, renewal] = sorted(v1.invoices.list().data, key=lambda invoice: invoice.created)

    assert (6200 + 3100 - 1550, "paid") == (renewal.total, renewal.status)
    assert [] == v1.invoice_items.list({"pending": True}).data


@pytest.mark.parametrize(
    ("behavior", "invoices", "pending"), [("always_invoice", [1550, 3100], 0), ("none", [3100], 0)]
)
def test_a_proration_is_invoiced_at_once_or_not_at_all(
    clock: Clock, v1: Any, behavior: str, invoices: list[int], pending: int
) -> None:
    """``always_invoice`` bills the difference now; ``none`` changes the price only."""
    made = subscribe(v1, customer(v1), price(v1, 3100))
    clock.turn(timedelta(days=15, hours=12))
    change = {
        "items": [{"id": made["items"].data[0].id, "price": price(v1, 6200)}],
        "proration_behavior": behavior,
    }
    v1.subscriptions.update(made.id, change)

    assert invoices == [each.amount_paid for each in v1.invoices.list().data]
    assert pending == len(v1.invoice_items.list({"pending": True}).data)


def test_items_are_changed_one_by_one(v1: Any) -> None:
    """Items can be added, changed in number and taken away; the last one stays."""
    made = subscribe(v1, customer(v1), price(v1, 3100))
    added = v1.subscription_items.create({"subscription": made.id, "price": price(v1, 500), "quantity": 2})
    v1.subscription_items.update(added.id, {"quantity": 5})

    assert [1, 5] == [item.quantity for item in v1.subscriptions.retrieve(made.id)["items"].data]
    assert 2 == len(v1.subscription_items.list({"subscription": made.id}).data)
    assert [2500, -1000, 1000] == [each.amount for each in v1.invoice_items.list({"pending": True}).data]

    v1.subscription_items.delete(added.id)
    with pytest.raises(stripe.InvalidRequestError):
        v1.subscription_items.delete(made["items"].data[0].id)


@pytest.mark.parametrize(
    ("mode", "total"), [("graduated", 10 * 100 + 5 * 80 + 500), ("volume", 15 * 80 + 500)]
)
def test_tiers_charge_by_the_part_or_as_a_whole(v1: Any, mode: str, total: int) -> None:
    """Graduated tiers charge each part at its own price, volume tiers all of it at the one that is reached."""
    tiers = [{"up_to": 10, "unit_amount": 100}, {"up_to": "inf", "unit_amount": 80, "flat_amount": 500}]
    product = v1.products.create({"name": "seats"}).id
    wanted = {
        "product": product,
        "currency": "usd",
        "recurring": {"interval": "month"},
        "expand": ["tiers"],
    }
    tiered = v1.prices.create({**wanted, "billing_scheme": "tiered", "tiers_mode": mode, "tiers": tiers})
    items = [{"price": tiered.id, "quantity": 15}]
    made = v1.subscriptions.create({"customer": customer(v1), "items": items, "expand": ["latest_invoice"]})

    assert 2 == len(tiered.tiers)
    assert total == made.latest_invoice.amount_paid


def test_another_interval_begins_anew(clock: Clock, v1: Any) -> None:
    """From a month to a year: the rest of the month comes back, the year begins and is paid now."""
    made = subscribe(v1, customer(v1), price(v1, 3100))
    clock.turn(timedelta(days=15, hours=12))
    v1.subscriptions.update(
        made.id, {"items": [{"id": made["items"].data[0].id, "price": price(v1, 30_000, "year")}]}
    )
    [latest, _] = v1.invoices.list().data
    [item] = v1.subscriptions.retrieve(made.id)["items"].data

    assert (30_000 - 1550, "paid") == (latest.total, latest.status)
    assert clock().replace(year=2027) == datetime.fromtimestamp(item.current_period_end, UTC)


def test_a_downgrade_is_credit_for_later(clock: Clock, v1: Any) -> None:
    """An invoice below nothing pays nobody: the rest is the customer's credit, used by the next."""
    who = customer(v1)
    made = subscribe(v1, who, price(v1, 6200))
    clock.turn(timedelta(days=15, hours=12))
    change = {"items": [{"id": made["items"].data[0].id, "price": price(v1, 3100)}]}
    v1.subscriptions.update(made.id, {**change, "proration_behavior": "always_invoice"})
    latest = v1.invoices.list({"limit": 1}).data[0]

    assert (-1550, 0, "paid") == (latest.total, latest.amount_due, latest.status)
    assert -1550 == v1.customers.retrieve(who).balance

    v1.invoice_items.create({"customer": who, "amount": 2000, "currency": "usd"})
    drawn = v1.invoices.create({"customer": who, "pending_invoice_items_behavior": "include"})
    paid = v1.invoices.pay(drawn.id)

    assert (2000, 450, -1550, 0) == (
        paid.total,
        paid.amount_paid,
        paid.starting_balance,
        paid.ending_balance,
    )
    assert [1550, -1550] == [row.amount for row in v1.customers.balance_transactions.list(who).data]


def test_a_preview_changes_nothing(fake: FakeStripe, clock: Clock, v1: Any) -> None:
    """What an upgrade would cost is what it then costs; the preview leaves no trace."""
    made = subscribe(v1, customer(v1), price(v1, 3100))
    item, better = made["items"].data[0].id, price(v1, 6200)
    clock.turn(timedelta(days=15, hours=12))
    before = len(fake.events())
    details = {"items": [{"id": item, "price": better}], "proration_behavior": "always_invoice"}
    shown = v1.invoices.create_preview({"subscription": made.id, "subscription_details": details})

    assert 1550 == shown.total
    assert before == len(fake.events())
    assert 1 == len(fake.objects("invoice"))

    v1.subscriptions.update(
        made.id, {"items": [{"id": item, "price": better}], "proration_behavior": "always_invoice"}
    )

    assert 1550 == v1.invoices.list({"limit": 1}).data[0].total


def test_the_end_of_a_month_comes_back(fake: FakeStripe) -> None:
    """A subscription of the 31st is renewed on the last of February and on the 31st of March."""
    clock = Clock(datetime(2026, 1, 31, tzinfo=UTC))
    with FakeStripe(clock=clock) as running:
        v1: Any = running.client().v1
        made = subscribe(v1, customer(v1), price(v1, 100))
        ends = []
        for _ in range(3):
            end = v1.subscriptions.retrieve(made.id)["items"].data[0].current_period_end
            ends.append(datetime.fromtimestamp(end, UTC).strftime("%d.%m."))
            clock.turn(datetime.fromtimestamp(end, UTC) - clock())
            running.catch_up()

    assert ["28.02.", "31.03.", "30.04."] == ends


def test_a_trial_is_told_of_and_ends(fake: FakeStripe, clock: Clock, v1: Any) -> None:
    """A trial costs nothing, is announced three days before its end, and is paid from then on."""
    made = subscribe(v1, customer(v1), price(v1, 4900), trial_period_days=14)

    assert ("trialing", 0) == (made.status, v1.invoices.retrieve(made.latest_invoice).total)

    clock.turn(timedelta(days=11))
    fake.catch_up()

    assert 1 == len(fake.events("customer.subscription.trial_will_end"))

    clock.turn(timedelta(days=3))
    fake.catch_up()

    assert "active" == v1.subscriptions.retrieve(made.id).status
    assert [4900, 0] == [each.amount_paid for each in v1.invoices.list().data]


@pytest.mark.parametrize(("missing", "status"), [("pause", "paused"), ("cancel", "canceled")])
def test_a_trial_without_a_card_ends_as_it_was_set(
    fake: FakeStripe, clock: Clock, v1: Any, missing: str, status: str
) -> None:
    """What becomes of a trial that nobody can be charged for was said when it began."""
    settings = {"end_behavior": {"missing_payment_method": missing}}
    made = subscribe(v1, customer(v1, None), price(v1, 4900), trial_period_days=7, trial_settings=settings)
    clock.turn(timedelta(days=7))
    fake.catch_up()

    assert status == v1.subscriptions.retrieve(made.id).status


def test_a_subscription_ends_with_its_period(fake: FakeStripe, clock: Clock, v1: Any) -> None:
    """Canceled at the end of the period it goes on until then; canceled now, it is over."""
    later, now = (subscribe(v1, customer(v1), price(v1, 4900)) for _ in range(2))
    v1.subscriptions.update(later.id, {"cancel_at_period_end": True})
    v1.subscriptions.cancel(now.id)

    assert ("active", "canceled") == (
        v1.subscriptions.retrieve(later.id).status,
        v1.subscriptions.retrieve(now.id).status,
    )
    with pytest.raises(stripe.InvalidRequestError):
        v1.subscriptions.cancel(now.id)

    clock.turn(timedelta(days=31))
    fake.catch_up()

    assert "canceled" == v1.subscriptions.retrieve(later.id).status
    assert 2 == len(fake.events("customer.subscription.deleted"))
    assert 2 == len(fake.objects("invoice"))


def test_a_renewal_is_a_draft_for_an_hour(fake: FakeStripe, clock: Clock, v1: Any) -> None:
    """The invoice of the next period can be changed for an hour; then it is finalized and paid."""
    made = subscribe(v1, customer(v1), price(v1, 4900))
    clock.turn(timedelta(days=31))
    fake.catch_up()
    renewal = v1.invoices.retrieve(v1.subscriptions.retrieve(made.id).latest_invoice)

    assert ("draft", "subscription_cycle") == (renewal.status, renewal.billing_reason)

    clock.turn(timedelta(hours=1))
    fake.catch_up()

    assert "paid" == v1.invoices.retrieve(renewal.id).status


def test_a_failed_renewal_is_tried_again(fake: FakeStripe, clock: Clock, v1: Any) -> None:
    """Past due, tried three more times, canceled; a card in time makes it active again."""
    saved, lost = (subscribe(v1, customer(v1), price(v1, 4900)) for _ in range(2))
    for made in (saved, lost):
        bad = v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": made.customer})
        v1.customers.update(made.customer, {"invoice_settings": {"default_payment_method": bad.id}})
    clock.turn(timedelta(days=31, hours=1))
    fake.catch_up()
    renewal = v1.invoices.retrieve(v1.subscriptions.retrieve(saved.id).latest_invoice)

    assert "past_due" == v1.subscriptions.retrieve(saved.id).status
    assert (1, int(clock().timestamp()) + 3 * DAY) == (renewal.attempt_count, renewal.next_payment_attempt)

    v1.invoices.pay(renewal.id, {"payment_method": "pm_card_visa"})
    clock.turn(timedelta(days=15))
    fake.catch_up()

    assert "active" == v1.subscriptions.retrieve(saved.id).status
    assert "canceled" == v1.subscriptions.retrieve(lost.id).status
    assert 4 == v1.invoices.retrieve(v1.subscriptions.retrieve(lost.id).latest_invoice).attempt_count


def test_collection_can_be_paused(fake: FakeStripe, clock: Clock, v1: Any) -> None:
    """While collection is paused, invoices are voided as said, and nobody is charged."""
    made = subscribe(v1, customer(v1), price(v1, 4900))
    v1.subscriptions.update(made.id, {"pause_collection": {"behavior": "void"}})
    clock.turn(timedelta(days=31, hours=1))
    fake.catch_up()

    assert ["void", "paid"] == [each.status for each in v1.invoices.list().data]
    assert 1 == len(fake.objects("charge"))

    resumed = v1.subscriptions.update(made.id, {"pause_collection": ""})

    assert resumed.pause_collection is None


def test_a_test_clock_renews(fake: FakeStripe, v1: Any) -> None:
    """Advancing a test clock renews what is on it at simulated times, and nothing else."""
    start = int(datetime(2026, 1, 15, tzinfo=UTC).timestamp())
    clock = v1.test_helpers.test_clocks.create({"frozen_time": start})
    made = subscribe(v1, customer(v1, test_clock=clock.id), price(v1, 4900))
    other = subscribe(v1, customer(v1), price(v1, 4900))
    advancing = v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": start + 32 * DAY})

    assert "advancing" == advancing.status
    assert "ready" == v1.test_helpers.test_clocks.retrieve(clock.id).status

    renewal = v1.invoices.retrieve(v1.subscriptions.retrieve(made.id).latest_invoice)

    assert (start + 31 * DAY, "paid", clock.id) == (renewal.created, renewal.status, renewal.test_clock)
    assert other.latest_invoice == v1.subscriptions.retrieve(other.id).latest_invoice
    with pytest.raises(stripe.InvalidRequestError, match="two intervals"):
        v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": start + 200 * DAY})
    with pytest.raises(stripe.InvalidRequestError):
        v1.test_helpers.test_clocks.advance(clock.id, {"frozen_time": start})


# --- invoices ---


def invoice(v1: Any, who: str, amount: int = 2000, **more: Any) -> Any:
    v1.invoice_items.create({"customer": who, "amount": amount, "currency": "usd"})
    return v1.invoices.create({"customer": who, "pending_invoice_items_behavior": "include", **more})


def test_an_invoice_is_closed_in_one_way_only(v1: Any) -> None:
    """A finalized invoice has a number and cannot be edited or deleted; void, it cannot be paid."""
    made = invoice(v1, customer(v1))

    assert ("draft", None) == (made.status, made.number)

    done = v1.invoices.finalize_invoice(made.id)

    assert ("open", 2000) == (done.status, done.amount_remaining)
    assert done.number
    for refused in (v1.invoices.finalize_invoice, v1.invoices.delete):
        with pytest.raises(stripe.InvalidRequestError):
            refused(made.id)
    v1.invoices.void_invoice(made.id)
    with pytest.raises(stripe.InvalidRequestError):
        v1.invoices.pay(made.id)


def test_an_uncollectible_invoice_can_still_be_paid(v1: Any) -> None:
    """What was given up is paid after all."""
    made = invoice(v1, customer(v1))
    v1.invoices.finalize_invoice(made.id)
    v1.invoices.mark_uncollectible(made.id)

    assert "paid" == v1.invoices.pay(made.id).status


def test_an_invoice_is_paid_outside(fake: FakeStripe, v1: Any) -> None:
    """Paid out of band, it is paid, and no money moved here."""
    made = invoice(v1, customer(v1, None), collection_method="send_invoice", days_until_due=7)
    paid = v1.invoices.pay(made.id, {"paid_out_of_band": True})

    assert ("paid", 0) == (paid.status, paid.amount_paid)
    assert [] == fake.objects("balance_transaction")
    assert 1 == len(fake.events("invoice.paid"))


def test_a_coupon_of_the_customer_is_taken_off(v1: Any) -> None:
    """A customer's discount is on the invoice, line by line."""
    coupon = v1.coupons.create({"amount_off": 500, "currency": "usd", "duration": "forever"})
    who = customer(v1)
    v1.customers.update(who, {})
    made = invoice(v1, who, discounts=[{"coupon": coupon.id}])

    assert (2000, 1500) == (made.subtotal, made.total)
    assert 500 == made.lines.data[0].discount_amounts[0].amount


@pytest.mark.parametrize(
    ("behavior", "total", "before_tax"), [("exclusive", 2380, 2000), ("inclusive", 2000, 1681)]
)
def test_tax_is_on_top_or_inside(behavior: str, total: int, before_tax: int) -> None:
    """A flat 19 % goes on top of an exclusive price and is a part of an inclusive one."""
    with FakeStripe(settings=Settings(tax_percent=Decimal(19))) as fake:
        v1: Any = fake.client().v1
        who = customer(v1, address={"country": "DE"})
        made = subscribe(
            v1,
            who,
            price(v1, 2000, tax_behavior=behavior),
            automatic_tax={"enabled": True},
            expand=["latest_invoice"],
        )

        assert (total, before_tax) == (made.latest_invoice.total, made.latest_invoice.total_excluding_tax)
        assert total - before_tax == made.latest_invoice.total_taxes[0].amount
        assert total == fake.objects("charge")[0]["amount"]


def test_tax_without_an_address_cannot_be_finalized(fake: FakeStripe, v1: Any) -> None:
    """Automatic tax needs to know where the customer is."""
    made = invoice(v1, customer(v1), automatic_tax={"enabled": True})

    assert "requires_location_inputs" == made.automatic_tax.status
    with pytest.raises(stripe.InvalidRequestError) as refused:
        v1.invoices.finalize_invoice(made.id)
    assert "customer_tax_location_invalid" == refused.value.code
    assert 1 == len(fake.events("invoice.finalization_failed"))


# --- credit notes ---


def test_a_credit_note_before_payment_lessens_what_is_due(v1: Any) -> None:
    """Before payment less is charged; void, it is due again."""
    made = invoice(v1, customer(v1))
    v1.invoices.finalize_invoice(made.id)
    note = v1.credit_notes.create({"invoice": made.id, "amount": 500})

    assert ("pre_payment", 1500) == (note.type, v1.invoices.retrieve(made.id).amount_remaining)

    v1.credit_notes.void_credit_note(note.id)
    second = v1.credit_notes.create({"invoice": made.id, "amount": 200})

    assert 1800 == v1.invoices.pay(made.id).amount_paid
    assert second.number.endswith("-CN-02")


def test_a_credit_note_after_payment_says_how_it_is_given_back(fake: FakeStripe, v1: Any) -> None:
    """After payment the amount is refunded, credited or paid outside; the parts have to add up."""
    who = customer(v1)
    made = v1.invoices.pay(invoice(v1, who).id)
    with pytest.raises(stripe.InvalidRequestError, match="must equal"):
        v1.credit_notes.create({"invoice": made.id, "amount": 1000, "refund_amount": 400})
    note = v1.credit_notes.create(
        {"invoice": made.id, "amount": 1000, "refund_amount": 600, "credit_amount": 400}
    )

    assert ("post_payment", 1000) == (note.type, note.post_payment_amount)
    assert -400 == v1.customers.retrieve(who).balance
    assert [600] == [row["amount"] for row in fake.objects("refund")]
    with pytest.raises(stripe.InvalidRequestError):
        v1.credit_notes.create({"invoice": made.id, "amount": 1001, "credit_amount": 1001})


# --- meters ---


def test_usage_is_counted_once_and_billed(fake: FakeStripe, clock: Clock, v1: Any) -> None:
    """A second event with the same identifier is refused within a day; what was used is on the next invoice."""
    meter = v1.billing.meters.create(
        {"display_name": "PT", "event_name": "pt", "default_aggregation": {"formula": "sum"}}
    )
    who = customer(v1)
    metered = price(v1, 2, recurring={"usage_type": "metered", "meter": meter.id})
    subscribe(v1, who, metered)
    event = {"event_name": "pt", "payload": {"stripe_customer_id": who, "value": "25"}}
    v1.billing.meter_events.create({**event, "identifier": "one"})
    with pytest.raises(stripe.InvalidRequestError, match="already exists with identifier one"):
        v1.billing.meter_events.create({**event, "identifier": "one"})
    v1.billing.meter_events.create({**event, "identifier": "two"})
    day = int(clock().timestamp()) // DAY * DAY
    summed = v1.billing.meters.event_summaries.list(
        meter.id,
        {"customer": who, "start_time": day, "end_time": day + DAY, "value_grouping_window": "day"},
    )

    assert [50] == [row.aggregated_value for row in summed.data]

    clock.turn(timedelta(days=31, hours=1))
    fake.catch_up()

    assert [100, 0] == [each.amount_paid for each in v1.invoices.list().data]


@pytest.mark.parametrize(
    ("name", "payload", "event"),
    [
        ("none", {"stripe_customer_id": "cus_none", "value": "1"}, "v1.billing.meter.no_meter_found"),
        ("pt", {"stripe_customer_id": "cus_none", "value": "1"}, "v1.billing.meter.error_report_triggered"),
        ("pt", {"value": "1"}, "v1.billing.meter.error_report_triggered"),
    ],
)
def test_usage_that_cannot_be_counted_is_told_of(
    fake: FakeStripe, v1: Any, name: str, payload: dict[str, str], event: str
) -> None:
    """What Stripe finds out late is accepted, and told of by a thin event."""
    v1.billing.meters.create(
        {"display_name": "PT", "event_name": "pt", "default_aggregation": {"formula": "sum"}}
    )
    v1.billing.meter_events.create({"event_name": name, "payload": payload})
    [told] = fake.events(event)
    body, signed = fake.thin(told["id"])
    heard = fake.client().parse_event_notification(body, signed, "whsec_fake", tolerance=10**9)

    assert event == heard.type


@pytest.mark.parametrize("days", [-36, 1])
def test_usage_at_an_impossible_time_is_refused(clock: Clock, v1: Any, days: int) -> None:
    """Usage may be up to 35 days old, and hardly in the future."""
    at = int(clock().timestamp()) + days * DAY
    with pytest.raises(stripe.InvalidRequestError) as refused:
        v1.billing.meter_events.create({"event_name": "pt", "payload": {"value": "1"}, "timestamp": at})

    assert "timestamp" == refused.value.param


# --- the portal ---


def test_the_portal_is_the_customers(fake: FakeStripe, v1: Any) -> None:
    """A portal session belongs to a customer and has the default configuration if none is named."""
    who = customer(v1)
    session = v1.billing_portal.sessions.create({"customer": who, "return_url": "https://example.com"})

    assert who == session.customer
    assert v1.billing_portal.configurations.retrieve(session.configuration).is_default
    assert session.url.startswith("https://billing.stripe.com/")
