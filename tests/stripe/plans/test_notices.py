"""What an account is told of its payments: through the outbox, and once each."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.stripe.conftest import receive
from tests.stripe.test_payments import buy

from ptmeter import EventState, UsageRefusedError
from ptmeter.stripe.metering import refused

if TYPE_CHECKING:
    from tests.stripe.plans.customers import Customer

    from ptmeter import AsyncMeter
    from ptmeter.testing import Clock
    from ptmeter.testing.stripe import FakeStripe

pytestmark = pytest.mark.anyio


async def told(meter: AsyncMeter, topic: str = "payment.") -> list[tuple[str, Any]]:
    """What is there to tell, the first first."""
    messages = await meter.outbox.list(account="acme", topic=topic)
    return [(each.topic, each.facts) for each in reversed(messages)]


async def test_each_attempt_that_fails_is_told_of_once(customer: Customer, meter: AsyncMeter) -> None:
    """With what is owed, where it can be paid and when it is tried again; a first payment that works is not."""
    customer.subscribe("pro")
    await customer.hear()
    customer.pay_with("pm_card_chargeCustomerFail")
    await customer.pass_time(31.5)
    ((topic, first),) = await told(meter)
    await customer.hear()
    assert len(await told(meter)) == 1
    await customer.pass_time(5)

    assert topic == "payment.failed"
    assert (first["attempt"], first["amount"], first["currency"]) == (1, 2_000, "usd")
    assert first["reason"] == "Your card was declined."
    assert first["url"].startswith("https://")
    assert datetime.fromisoformat(first["next_attempt"]) > customer.clock() - timedelta(days=5)
    assert [facts["attempt"] for _, facts in await told(meter)] == [1, 2]


async def test_who_has_to_confirm_a_renewal_is_told_so(customer: Customer, meter: AsyncMeter) -> None:
    """A bank that asks for its customer is no decline: the customer can do something about it."""
    customer.subscribe("pro")
    await customer.hear()
    customer.pay_with("pm_card_authenticationRequired")
    await customer.pass_time(31.5)

    ((topic, facts),) = await told(meter)
    assert topic == "payment.action_required"
    assert facts["url"].startswith("https://")


async def test_who_is_at_checkout_is_told_there(customer: Customer, meter: AsyncMeter) -> None:
    """The first payment of a subscription fails in front of its customer, so nothing more is said of it."""
    customer.pay_with("pm_card_chargeCustomerFail")
    customer.subscribe("pro", payment_behavior="default_incomplete")
    await customer.hear()

    assert await told(meter) == []


async def test_an_invoice_that_cannot_be_finalized_is_told_of(
    customer: Customer, meter: AsyncMeter, fake: FakeStripe
) -> None:
    """Nobody will be asked to pay it before somebody has seen to it."""
    subscription = customer.subscribe("pro")
    await customer.hear()
    customer.api.subscriptions.update(subscription, {"automatic_tax": {"enabled": True}})
    await customer.pass_time(32)

    assert [(topic, "tax location" in facts["reason"]) for topic, facts in await told(meter)] == [
        ("payment.not_invoiced", True)
    ]


async def test_each_stage_of_a_dispute_is_told_of_once(
    customer: Customer, meter: AsyncMeter, fake: FakeStripe
) -> None:
    """With until when it can be answered, as long as that is so."""
    buy(fake)
    await customer.hear()
    (charge,) = fake.objects("charge")
    dispute = fake.dispute(charge["id"], inquiry=True)["id"]
    for step in (
        lambda: None,
        lambda: fake.escalate_dispute(dispute),
        lambda: fake.close_dispute(dispute, "lost"),
    ):
        step()
        for _ in range(2):
            await customer.hear()

    said = await told(meter)
    assert {topic for topic, _ in said} == {"payment.disputed"}
    assert [(facts["stage"], facts["respond_by"] is None) for _, facts in said] == [
        ("inquiry", False),
        ("open", False),
        ("lost", True),
    ]
    assert {facts["dispute"] for _, facts in said} == {dispute}


async def test_a_refund_that_fails_is_told_of(
    customer: Customer, meter: AsyncMeter, fake: FakeStripe
) -> None:
    """Money that came back is owed to somebody who will ask for it."""
    buy(fake)
    await customer.hear()
    (charge,) = fake.objects("charge")
    refund = fake.refund(charge["id"])["id"]
    await customer.hear()
    assert await told(meter) == []
    fake.finish_refund(refund, succeeded=False)
    for _ in range(2):
        await customer.hear()

    ((topic, facts),) = await told(meter)
    assert (topic, facts["refund"]) == ("payment.refund_failed", refund)
    assert facts["reason"]


# --- what a billing meter cannot count ------------------------------------------------------------


async def test_usage_that_a_meter_refuses_is_a_dead_letter(
    meter: AsyncMeter, fake: FakeStripe, clock: Clock
) -> None:
    """It says why, and which messages to send again once that is mended."""
    api = fake.client().v1
    asked: Any = {"display_name": "PT", "event_name": "pt", "default_aggregation": {"formula": "sum"}}
    api.billing.meters.create(asked)
    usage: Any = {"stripe_customer_id": "cus_none", "value": "1"}
    api.billing.meter_events.create({"event_name": "pt", "payload": usage, "identifier": "8f3a"})
    (event,) = fake.events("v1.billing.meter.error_report_triggered")
    await receive(meter, fake.thin(event["id"]).body, at=clock())

    await meter.webhooks.work()

    (dead,) = await meter.webhooks.list(state=EventState.DEAD)
    assert dead.problem.startswith(
        "UsageRefusedError: a billing meter refused usage: There is 1 invalid event"
    )
    assert "8f3a" in dead.problem
    assert UsageRefusedError("x", ()).messages == ()


@pytest.mark.parametrize("report", [{}, {"data": None}, {"data": {"reason": {"error_types": []}}}])
def test_a_report_that_says_little_is_a_report(report: Any) -> None:
    """What Stripe leaves out is said to be left out."""
    problem, messages = refused(report)
    assert problem == "it does not say what: it does not say why"
    assert messages == ()
