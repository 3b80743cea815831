"""What the fake Stripe does with money: payments, Checkout, refunds, disputes, payouts; it always adds up."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ptmeter.testing import Clock
from ptmeter.testing.stripe import FakeStripe, RefusedError, Settings

stripe = pytest.importorskip("stripe")

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE = {
    "price_data": {"currency": "usd", "unit_amount": 1500, "product_data": {"name": "PT"}},
    "quantity": 2,
}
SEPA = {"type": "sepa_debit", "sepa_debit": {"iban": "AT321904300235473204"}}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fake(clock: Clock) -> Iterator[FakeStripe]:
    with FakeStripe(clock=clock) as running:
        yield running
        assert_adds_up(running)


def assert_adds_up(fake: FakeStripe) -> None:
    """Each movement's net is its amount less its fee, and the balance is the sum of the nets."""
    rows = fake.objects("balance_transaction")
    assert [row["amount"] - row["fee"] for row in rows] == [row["net"] for row in rows]
    shown = fake.client().v1.balance.retrieve()
    both = [*shown.available, *shown.pending]
    assert sum(row["net"] for row in rows) == sum(each.amount for each in both)


def pay(fake: FakeStripe, card: str = "pm_card_visa", amount: int = 1000, **more: Any) -> Any:
    wanted = {"amount": amount, "currency": "usd", "payment_method": card, "confirm": True, **more}
    return fake.client().v1.payment_intents.create(wanted)  # pyright: ignore[reportArgumentType]


def kinds(fake: FakeStripe, start: int = 0) -> list[str]:
    return [event["type"] for event in fake.events()][start:]


# --- payments ---


def test_a_payment_is_captured_by_hand(fake: FakeStripe) -> None:
    """What is set aside moves no money until it is captured, and then only what was captured."""
    intent = pay(fake, capture_method="manual")

    assert ("requires_capture", 1000) == (intent.status, intent.amount_capturable)
    assert [] == fake.objects("balance_transaction")

    client = fake.client()
    captured = client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 600})

    assert ("succeeded", 600) == (captured.status, captured.amount_received)
    assert [600] == [row["amount"] for row in fake.objects("balance_transaction")]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payment_intents.capture(intent.id)
    assert "payment_intent_unexpected_state" == refused.value.code


@pytest.mark.parametrize(("passed", "status"), [(True, "succeeded"), (False, "requires_payment_method")])
def test_a_payment_waits_for_authentication(fake: FakeStripe, passed: bool, status: str) -> None:
    """3-D Secure is asked for; what the customer answers decides."""
    intent = pay(fake, "pm_card_authenticationRequired")

    assert "requires_action" == intent.status

    fake.authenticate(intent.id, passed=passed)

    assert status == fake.client().v1.payment_intents.retrieve(intent.id).status


def test_nobody_can_be_asked_off_session(fake: FakeStripe) -> None:
    """Off session, a card that wants authentication is declined with that code."""
    with pytest.raises(stripe.CardError) as declined:
        pay(fake, "pm_card_authenticationRequired", off_session=True)

    assert "authentication_required" == declined.value.code


def test_a_canceled_payment_cannot_be_confirmed(fake: FakeStripe) -> None:
    """Canceling is for what is not paid, and for good."""
    client = fake.client()
    intent = client.v1.payment_intents.create({"amount": 100, "currency": "usd"})
    client.v1.payment_intents.cancel(intent.id)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})

    assert ["payment_intent.created", "payment_intent.canceled"] == kinds(fake)


def test_a_saved_card_is_charged_off_session(fake: FakeStripe) -> None:
    """A card is saved by a setup intent, is its customer's, and can be charged without them; no other's can."""
    client = fake.client()
    customer, other = client.v1.customers.create({}), client.v1.customers.create({})
    saved = client.v1.setup_intents.create(
        {"customer": customer.id, "payment_method": "pm_card_visa", "confirm": True}
    )
    method = str(saved.payment_method)

    assert "succeeded" == saved.status
    assert [method] == [each.id for each in client.v1.customers.payment_methods.list(customer.id).data]
    assert "succeeded" == pay(fake, method, customer=customer.id, off_session=True).status
    with pytest.raises(stripe.InvalidRequestError):
        pay(fake, method, customer=other.id)

    client.v1.payment_methods.detach(method)

    assert [] == client.v1.customers.payment_methods.list(customer.id).data


def test_the_balance_transaction_may_come_later() -> None:
    """If it is set up so, a charge that succeeded has no fee yet; ``charge.updated`` brings it."""
    with FakeStripe(settings=Settings(balance_later=True)) as fake:
        pay(fake)
        [first], [second] = fake.events("charge.succeeded"), fake.events("charge.updated")

        assert first["data"]["object"]["balance_transaction"] is None
        assert {"balance_transaction": None} == second["data"]["previous_attributes"]
        assert (
            second["data"]["object"]["balance_transaction"] == fake.objects("balance_transaction")[0]["id"]
        )


# --- Checkout ---


def open_session(fake: FakeStripe, **more: Any) -> Any:
    wanted = {"mode": "payment", "line_items": [LINE], "success_url": "https://example.com", **more}
    return fake.client().v1.checkout.sessions.create(wanted)  # pyright: ignore[reportArgumentType]


def test_checkout_is_paid(fake: FakeStripe) -> None:
    """A completed session is paid, has its intent, and what it was created with."""
    session = open_session(
        fake, client_reference_id="acme", metadata={"pack": "300"}, customer_email="a@example.com"
    )

    assert ("open", "unpaid", 3000, None) == (
        session.status,
        session.payment_status,
        session.amount_total,
        session.payment_intent,
    )

    fake.complete_checkout(session.id)
    [event] = fake.events("checkout.session.completed")
    shown = event["data"]["object"]

    assert ("complete", "paid", "acme", {"pack": "300"}) == (
        shown["status"],
        shown["payment_status"],
        shown["client_reference_id"],
        shown["metadata"],
    )
    assert "a@example.com" == shown["customer_details"]["email"]
    assert shown["payment_intent"] == fake.objects("payment_intent")[0]["id"]
    assert "checkout.session.completed" == kinds(fake)[-1]


def test_a_declined_checkout_stays_open(fake: FakeStripe) -> None:
    """A card that is declined leaves the session open, to be tried with another."""
    session = open_session(fake)
    for _ in range(2):
        with pytest.raises(RefusedError, match="declined"):
            fake.complete_checkout(session.id, "pm_card_chargeDeclined")
    fake.complete_checkout(session.id)

    assert 1 == len(fake.events("checkout.session.completed"))
    assert 1 == len(fake.objects("balance_transaction"))


@pytest.mark.parametrize(
    ("paid", "event", "status"),
    [
        (True, "checkout.session.async_payment_succeeded", "paid"),
        (False, "checkout.session.async_payment_failed", "unpaid"),
    ],
)
def test_a_bank_answers_days_later(fake: FakeStripe, paid: bool, event: str, status: str) -> None:
    """A delayed method completes the session unpaid; what the bank says comes as an event of its own."""
    method = fake.client().v1.payment_methods.create(SEPA)  # pyright: ignore[reportArgumentType]
    session = open_session(fake, payment_method_types=["sepa_debit"])
    done = fake.complete_checkout(session.id, method.id)

    assert ("complete", "unpaid") == (done["status"], done["payment_status"])
    assert [] == fake.objects("balance_transaction")

    fake.settle(done["payment_intent"], paid=paid)
    [told] = fake.events(event)

    assert status == told["data"]["object"]["payment_status"]
    assert int(paid) == len(fake.objects("balance_transaction"))


def test_a_bank_answers_by_itself_in_time(fake: FakeStripe, clock: Clock) -> None:
    """The test account that takes three minutes is settled by the clock."""
    method = fake.client().v1.payment_methods.create(SEPA)  # pyright: ignore[reportArgumentType]
    session = open_session(fake, payment_method_types=["sepa_debit"])
    fake.complete_checkout(session.id, method.id)
    clock.turn(timedelta(minutes=2))
    fake.catch_up()

    assert [] == fake.events("checkout.session.async_payment_succeeded")

    clock.turn(timedelta(minutes=1))
    fake.catch_up()

    assert 1 == len(fake.events("checkout.session.async_payment_succeeded"))


@pytest.mark.parametrize(
    ("trial", "status", "paid", "total"),
    [({}, "active", "paid", 5900), ({"trial_period_days": 7}, "trialing", "paid", 1000)],
)
def test_checkout_subscribes(
    fake: FakeStripe, trial: dict[str, int], status: str, paid: str, total: int
) -> None:
    """In subscription mode there is a customer, a subscription and a paid invoice, one-time prices included."""
    v1: Any = fake.client().v1
    product = v1.products.create({"name": "pro"}).id
    monthly = {
        "product": product,
        "currency": "usd",
        "unit_amount": 4900,
        "recurring": {"interval": "month"},
    }
    once = {"product": product, "currency": "usd", "unit_amount": 1000}
    session = v1.checkout.sessions.create(
        {
            "mode": "subscription",
            "line_items": [{"price": v1.prices.create(each).id, "quantity": 1} for each in (monthly, once)],
            "subscription_data": {"metadata": {"account": "acme"}, **trial},
            "success_url": "https://example.com",
        }
    )
    done = fake.complete_checkout(session.id, email="a@example.com")
    subscription = v1.subscriptions.retrieve(done["subscription"])

    assert (total, paid) == (done["amount_total"], done["payment_status"])
    assert total == v1.invoices.retrieve(done["invoice"]).amount_paid
    assert (status, "acme") == (subscription.status, subscription.metadata["account"])
    assert "a@example.com" == v1.customers.retrieve(done["customer"]).email


def test_a_declined_subscription_leaves_the_session_open(fake: FakeStripe) -> None:
    """A first payment that fails on the payment page subscribes to nothing."""
    recurring = {**LINE["price_data"], "recurring": {"interval": "month"}}
    session = open_session(fake, mode="subscription", line_items=[{"price_data": recurring, "quantity": 1}])
    with pytest.raises(RefusedError, match="declined"):
        fake.complete_checkout(session.id, "pm_card_chargeCustomerFail")

    assert [] == fake.objects("subscription")
    assert "open" == fake.client().v1.checkout.sessions.retrieve(session.id).status

    fake.complete_checkout(session.id)

    assert ["active"] == [each["status"] for each in fake.objects("subscription")]


def test_an_open_session_expires(fake: FakeStripe, clock: Clock) -> None:
    """After 24 hours a session is expired, and cannot be paid."""
    session = open_session(fake)
    clock.turn(timedelta(hours=24))
    fake.catch_up()

    assert "expired" == fake.client().v1.checkout.sessions.retrieve(session.id).status
    with pytest.raises(RefusedError, match="expired"):
        fake.complete_checkout(session.id)


def test_a_session_saves_a_card(fake: FakeStripe) -> None:
    """In setup mode nothing is paid; the card is the customer's afterwards."""
    client = fake.client()
    customer = client.v1.customers.create({})
    session = client.v1.checkout.sessions.create(
        {"mode": "setup", "customer": customer.id, "currency": "usd", "success_url": "https://example.com"}
    )
    done = fake.complete_checkout(session.id)

    assert "no_payment_required" == done["payment_status"]
    assert 1 == len(client.v1.customers.payment_methods.list(customer.id).data)


def test_a_coupon_and_tax_change_what_is_paid() -> None:
    """Discounts come off first, tax goes on what is left; where no address is known, tax waits for one."""
    from decimal import Decimal

    with FakeStripe(settings=Settings(tax_percent=Decimal(19))) as fake:
        coupon = fake.client().v1.coupons.create({"percent_off": 25})
        more = {"automatic_tax": {"enabled": True}, "discounts": [{"coupon": coupon.id}]}
        session = open_session(fake, **more)

        assert "requires_location_inputs" == session.automatic_tax.status
        assert 2250 == session.amount_total

        done = fake.complete_checkout(session.id, address={"country": "DE"})

        assert "complete" == done["automatic_tax"]["status"]
        assert {"amount_discount": 750, "amount_shipping": 0, "amount_tax": 428} == done["total_details"]
        assert 2250 + 428 == done["amount_total"]
        assert [2678] == [row["amount"] for row in fake.objects("charge")]


# --- refunds ---


def test_what_was_not_captured_cannot_be_refunded(fake: FakeStripe) -> None:
    """Of a charge that was captured in part, that part can be given back, and no more."""
    client = fake.client()
    intent = pay(fake, capture_method="manual")
    client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 600})
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.refunds.create({"payment_intent": intent.id, "amount": 601})

    assert 600 == client.v1.refunds.create({"payment_intent": intent.id}).amount
    assert client.v1.charges.retrieve(intent.latest_charge).refunded


def test_refunds_in_parts_end_at_what_was_paid(fake: FakeStripe) -> None:
    """Each refund is its own; the charge counts up, and what is beyond is refused."""
    client = fake.client()
    charge = str(pay(fake).latest_charge)
    client.v1.refunds.create({"charge": charge, "amount": 300})
    client.v1.refunds.create({"charge": charge, "amount": 300})

    shown = client.v1.charges.retrieve(charge, {"expand": ["refunds"]})
    assert (600, False) == (shown.amount_refunded, shown.refunded)
    assert shown.refunds is not None
    assert 2 == len(shown.refunds.data)
    with pytest.raises(stripe.InvalidRequestError) as beyond:
        client.v1.refunds.create({"charge": charge, "amount": 401})
    assert "amount" == beyond.value.param

    client.v1.refunds.create({"charge": charge})

    assert client.v1.charges.retrieve(charge).refunded
    with pytest.raises(stripe.InvalidRequestError) as again:
        client.v1.refunds.create({"charge": charge})
    assert "charge_already_refunded" == again.value.code
    assert [0, 300, 600] == [
        event["data"]["previous_attributes"]["amount_refunded"] for event in fake.events("charge.refunded")
    ]
    assert [-300, -300, -400] == [row["net"] for row in fake.objects("balance_transaction", type="refund")]


def test_a_refund_fails_after_all(fake: FakeStripe) -> None:
    """A failed refund brings the money back, in a row of its own, and the charge is less refunded."""
    charge = str(pay(fake).latest_charge)
    made = fake.client().v1.refunds.create({"charge": charge, "amount": 400})

    assert "succeeded" == made.status

    failed = fake.finish_refund(made.id, succeeded=False)

    assert "failed" == failed["status"]
    assert failed["failure_balance_transaction"]
    assert 0 == fake.client().v1.charges.retrieve(charge).amount_refunded
    assert {"refund.failed", "refund.updated", "charge.refund.updated"} <= set(kinds(fake))


# --- disputes ---


def test_an_inquiry_takes_nothing(fake: FakeStripe) -> None:
    """An inquiry moves no money; escalated it does, with the fee."""
    charge = str(pay(fake).latest_charge)
    inquiry = fake.dispute(charge, inquiry=True)

    assert ("warning_needs_response", []) == (inquiry["status"], inquiry["balance_transactions"])
    assert not fake.client().v1.charges.retrieve(charge).disputed

    fake.escalate_dispute(inquiry["id"])
    [withdrawn] = fake.events("charge.dispute.funds_withdrawn")
    [row] = withdrawn["data"]["object"]["balance_transactions"]

    assert (-1000, 1500, -2500) == (row["amount"], row["fee"], row["net"])
    with pytest.raises(stripe.InvalidRequestError) as refused:
        fake.client().v1.refunds.create({"charge": charge})
    assert "charge_disputed" == refused.value.code


@pytest.mark.parametrize(
    ("evidence", "status", "back"), [("winning_evidence", "won", [1000]), ("losing_evidence", "lost", [])]
)
def test_evidence_decides_a_dispute(fake: FakeStripe, evidence: str, status: str, back: list[int]) -> None:
    """Stripe's magic words win or lose; money comes back only if it is won."""
    pay(fake, "pm_card_createDispute")
    client = fake.client()
    [dispute] = client.v1.disputes.list().data
    closed = client.v1.disputes.update(dispute.id, {"evidence": {"uncategorized_text": evidence}})

    assert status == closed.status
    reinstated = fake.events("charge.dispute.funds_reinstated")
    assert back == [event["data"]["object"]["balance_transactions"][1]["net"] for event in reinstated]
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.disputes.close(dispute.id)


def test_a_lost_dispute_may_be_won_in_part(fake: FakeStripe) -> None:
    """What comes back can be said, even of a dispute that was lost."""
    dispute = fake.dispute(str(pay(fake).latest_charge), amount=700)
    fake.close_dispute(dispute["id"], "lost", reinstated=250)

    [row] = fake.objects("balance_transaction", reporting_category="dispute_reversal")
    assert 250 == row["net"]


# --- payouts ---


def test_an_automatic_payout_is_the_sum_of_its_rows(fake: FakeStripe, clock: Clock) -> None:
    """What is available is paid out, and the rows that are listed by the payout add up to it."""
    pay(fake)
    client = fake.client()
    client.v1.refunds.create({"charge": str(pay(fake, amount=5000).latest_charge), "amount": 200})
    with pytest.raises(RefusedError, match="nothing available"):
        fake.pay_out()

    clock.turn(timedelta(days=2))
    pay(fake, amount=9999)
    payout = fake.pay_out()
    fake.finish_payout(payout["id"])
    rows = client.v1.balance_transactions.list({"payout": payout["id"]}).data

    assert 4 == len(rows)
    assert payout["amount"] == sum(row.net for row in rows if row.type != "payout") == 941 + 4825 - 200
    assert ["payout.created", "payout.paid", "payout.reconciliation_completed"] == [
        kind for kind in kinds(fake) if kind.startswith("payout.")
    ]


def test_a_payout_fails_after_it_was_paid(fake: FakeStripe) -> None:
    """A payout that fails late brings the money back."""
    pay(fake, "pm_card_bypassPending", amount=5000)
    client = fake.client()
    payout = client.v1.payouts.create({"amount": 1000, "currency": "usd"})
    fake.finish_payout(payout.id)
    fake.finish_payout(payout.id, paid=False)

    assert "failed" == client.v1.payouts.retrieve(payout.id).status
    assert 4825 == client.v1.balance.retrieve().available[0].amount
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.payouts.create({"amount": 5000, "currency": "usd"})
    assert "balance_insufficient" == refused.value.code
