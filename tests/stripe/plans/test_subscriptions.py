"""Subscriptions that are paid through Stripe: ours is on what is paid for there, cycle after cycle."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

import pytest
from tests.stripe.conftest import receive, set_up
from tests.stripe.plans.customers import Customer
from tests.stripe.test_payments import agree, core

from ptmeter import PT, EventState, OvertakenError, PaidThroughStripeError, Status
from ptmeter.domain.inbox import Subject, SubjectKind
from ptmeter.domain.money import Side
from ptmeter.operations.posting import alone

if TYPE_CHECKING:
    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter
    from ptmeter.testing import Clock
    from ptmeter.testing.stripe import FakeStripe

pytestmark = pytest.mark.anyio


async def test_a_plan_that_is_paid_for_is_granted_cycle_after_cycle(
    customer: Customer, meter: AsyncMeter, fake: FakeStripe
) -> None:
    """A plan that is paid for is granted cycle after cycle."""
    customer.subscribe("pro")
    await customer.hear()
    standing = await meter.plans.find("acme")
    assert (standing.plan, standing.status) == ("pro", Status.ACTIVE)
    assert await core(meter) == (PT(100_000_000), PT(0))

    for _ in range(3):
        await customer.pass_time(31)

    assert await core(meter) == (PT(100_000_000), PT(0))  # what was not used has lapsed
    page = await meter.statement("acme", limit=100)
    assert sum(entry.kind == "grant" for entry in page.entries) == 4
    await agree(meter, fake)


async def test_a_cycle_that_is_not_paid_is_not_granted_until_it_is(
    customer: Customer, meter: AsyncMeter, fake: FakeStripe
) -> None:
    """A cycle that is not paid is not granted until it is."""
    subscription = customer.subscribe("pro")
    await customer.hear()
    customer.pay_with("pm_card_chargeCustomerFail")
    await customer.pass_time(31.5)
    assert (await meter.plans.find("acme")).status is Status.PAST_DUE
    assert await core(meter) == (PT(0), PT(0))

    customer.pay_with("pm_card_visa")
    invoice = customer.api.subscriptions.retrieve(subscription).latest_invoice
    customer.api.invoices.pay(str(invoice))
    await customer.hear()

    assert (await meter.plans.find("acme")).status is Status.ACTIVE
    assert await core(meter) == (PT(100_000_000), PT(0))
    await agree(meter, fake)


async def test_an_upgrade_in_the_middle_gives_what_is_left_of_the_difference(
    customer: Customer, meter: AsyncMeter, fake: FakeStripe
) -> None:
    """An upgrade in the middle gives what is left of the difference."""
    subscription = customer.subscribe("pro")
    await customer.hear()
    await customer.pass_time(15)
    customer.change(subscription, "max", proration_behavior="always_invoice")
    await customer.hear()

    standing = await meter.plans.find("acme")
    assert standing.plan == "max"
    available, _ = await core(meter)
    assert PT(190_000_000) < available < PT(210_000_000)
    await agree(meter, fake)


async def test_a_cancellation_holds_from_the_end_of_the_period_and_can_be_taken_back(
    customer: Customer, meter: AsyncMeter, fake: FakeStripe
) -> None:
    """A cancellation holds from the end of the period and can be taken back."""
    subscription = customer.subscribe("pro")
    await customer.hear()
    for cancelled in (True, False, True):
        customer.api.subscriptions.update(subscription, {"cancel_at_period_end": cancelled})
        await customer.hear()
        status = (await meter.plans.find("acme")).status
        assert status is (Status.CANCELLING if cancelled else Status.ACTIVE)

    await customer.pass_time(32)

    assert (await meter.plans.find("acme")).status is Status.ENDED
    assert await core(meter) == (PT(0), PT(0))
    await agree(meter, fake)


async def test_a_subscription_that_is_ended_at_once_ends_at_once(
    customer: Customer, meter: AsyncMeter
) -> None:
    """A subscription that is ended at once ends at once."""
    subscription = customer.subscribe("pro")
    await customer.hear()
    customer.api.subscriptions.cancel(subscription)
    await customer.hear()

    assert (await meter.plans.find("acme")).status is Status.ENDED
    customer.subscribe("max")
    await customer.hear()
    assert (await meter.plans.find("acme")).plan == "max"


async def test_a_first_payment_that_fails_gives_nothing(customer: Customer, meter: AsyncMeter) -> None:
    """A first payment that fails gives nothing."""
    customer.pay_with("pm_card_chargeCustomerFail")
    customer.subscribe("pro", payment_behavior="default_incomplete")
    await customer.hear()

    with pytest.raises(LookupError):
        await meter.plans.find("acme")


async def test_a_refund_of_an_invoice_takes_its_share_of_what_the_cycle_gave(
    customer: Customer, meter: AsyncMeter, fake: FakeStripe
) -> None:
    """A refund of an invoice takes its share of what the cycle gave."""
    customer.subscribe("pro")
    await customer.hear()
    (charge,) = fake.objects("charge")
    fake.refund(charge["id"], 500)
    await customer.hear()

    assert await core(meter) == (PT(75_000_000), PT(0))
    await agree(meter, fake)


async def test_what_is_heard_of_the_payment_first_comes_to_the_same(
    customer: Customer, meter: AsyncMeter, fake: FakeStripe, clock: Clock
) -> None:
    """What is heard of the payment first comes to the same."""
    customer.subscribe("pro")
    for event in reversed(fake.events()):
        await receive(meter, event, at=clock())
        await meter.webhooks.work()

    assert await core(meter) == (PT(100_000_000), PT(0))
    fake.refund(fake.objects("charge")[0]["id"])
    await customer.hear()
    assert await core(meter) == (PT(0), PT(0))
    await agree(meter, fake)


async def test_the_payments_of_one_invoice_share_what_its_cycle_gave(
    customer: Customer, meter: AsyncMeter, fake: FakeStripe
) -> None:
    """Nothing is given before all is paid; then a refund of one payment takes back its part, and of both all of it."""
    subscription = customer.subscribe("pro")
    await customer.hear()
    customer.pay_with("pm_card_chargeCustomerFail")
    await customer.pass_time(31.5)
    invoice = customer.api.subscriptions.retrieve(subscription).latest_invoice
    payments: list[str] = []
    for amount in (500, 1_500):
        assert await core(meter) == (PT(0), PT(0))
        payments.append(customer.pay(amount))
        customer.api.invoices.attach_payment(str(invoice), {"payment_intent": payments[-1]})
        await customer.hear()

    assert await core(meter) == (PT(100_000_000), PT(0))
    first, second = [(await meter.payments.find(each)).granted for each in payments]
    assert (first, second) == ({"core": PT(25_000_000)}, {"core": PT(75_000_000)})
    for payment, left in zip(reversed(payments), (25, 0), strict=True):
        fake.refund(str(customer.api.payment_intents.retrieve(payment).latest_charge))
        await customer.hear()
        assert await core(meter) == (PT(left * 1_000_000), PT(0))
    await agree(meter, fake)


async def test_what_was_looked_up_before_something_newer_was_booked_is_looked_up_again(
    customer: Customer, meter: AsyncMeter
) -> None:
    """Two who look at once may book in either order: the older look changes nothing, and is tried again."""
    subscription = customer.subscribe("pro")
    await customer.hear()
    seen = await looked_up(meter, subscription)
    customer.change(subscription, "max", proration_behavior="always_invoice")
    await customer.hear()

    with pytest.raises(OvertakenError, match=subscription):
        await book(meter, seen)

    assert (await meter.plans.find("acme")).plan == "max"
    await book(meter, await looked_up(meter, subscription))
    assert (await meter.plans.find("acme")).plan == "max"


async def test_who_subscribes_again_is_not_ended_by_the_end_of_what_was_before(
    customer: Customer, meter: AsyncMeter
) -> None:
    """The end of one subscription, looked up before the next began and booked after it, does not end that."""
    before = customer.subscribe("pro")
    await customer.hear()
    customer.api.subscriptions.cancel(before)
    seen = await looked_up(meter, before)
    customer.clock.turn(timedelta(minutes=1))
    customer.subscribe("max")
    await customer.hear()

    with pytest.raises(OvertakenError):
        await book(meter, seen)

    standing = await meter.plans.find("acme")
    assert (standing.plan, standing.status) == ("max", Status.ACTIVE)


async def test_what_lapsed_unused_is_not_owed_by_who_gets_its_money_back(
    customer: Customer, meter: AsyncMeter, fake: FakeStripe
) -> None:
    """Last month's invoice is refunded, in two parts: of its 100 PT only the 30 that were used are owed, once."""
    customer.subscribe("pro")
    await customer.hear()
    hold = await meter.hold("acme", core=30, key="used")
    await meter.settle(hold, core=30, key="used")
    (charge,) = fake.objects("charge")
    await customer.pass_time(32)
    assert await core(meter) == (PT(100_000_000), PT(0))

    fake.refund(charge["id"], 500)
    await customer.hear()
    assert await core(meter) == (PT(100_000_000), PT(0))  # a quarter, which had all lapsed

    fake.refund(charge["id"], 1_500)
    await customer.hear()
    assert await core(meter) == (PT(70_000_000), PT(0))
    (report,) = [each for each in await meter.payments.list() if each.id == charge["payment_intent"]]
    assert [sum(lapsed.values(), PT(0)) for lapsed in (each.lapsed for each in report.claims)] == [
        PT(25_000_000),
        PT(45_000_000),
    ]
    assert (report.owed, report.taken) == (PT(30_000_000), {"core": PT(30_000_000)})
    await agree(meter, fake)


@pytest.mark.parametrize("used", [0, 30])
async def test_a_dispute_of_what_has_lapsed_is_decided_one_way_and_the_other(
    customer: Customer, meter: AsyncMeter, fake: FakeStripe, used: int
) -> None:
    """Lost, what was used is owed; won after all, that is given back, and what had lapsed is not."""
    customer.subscribe("pro")
    await customer.hear()
    if used:
        hold = await meter.hold("acme", core=used, key="used")
        await meter.settle(hold, core=used, key="used")
    (charge,) = fake.objects("charge")
    await customer.pass_time(32)
    dispute = fake.dispute(charge["id"])["id"]
    await customer.hear()
    for outcome, left in (("lost", 100 - used), ("won", 100)):
        fake._world.get("dispute", dispute)["status"] = "under_review"  # a bank may change its mind
        fake.close_dispute(dispute, outcome)
        await customer.hear()
        assert await core(meter) == (PT(left * 1_000_000), PT(0))
        await agree(meter, fake)


async def test_what_stripe_charges_for_is_not_changed_behind_its_back(
    customer: Customer, meter: AsyncMeter
) -> None:
    """It would go on charging for what the books have ended; once it has ended there, the books are free."""
    subscription = customer.subscribe("pro")
    await customer.hear()
    for refused in (
        partial(meter.plans.change, "acme", "max", key="c"),
        partial(meter.plans.cancel, "acme", key="e", when="now"),
    ):
        with pytest.raises(PaidThroughStripeError, match=r"meter\.payments"):
            await refused()
    assert (await meter.plans.find("acme")).plan == "pro"

    customer.api.subscriptions.cancel(subscription)
    await customer.hear()
    await meter.plans.subscribe("acme", "max", key="s")
    assert (await meter.plans.change("acme", "pro", key="c", when="now")).subscription.plan == "pro"


async def test_who_has_subscribed_twice_is_told_so(
    customer: Customer, meter: AsyncMeter, clock: Clock
) -> None:
    """Both are charged for, and the account is on one: somebody has to end the other."""
    first = customer.subscribe("pro")
    clock.turn(timedelta(minutes=1))
    second = customer.subscribe("max")
    for _ in range(2):
        await customer.hear()

    assert (await meter.plans.find("acme")).plan == "max"
    (message,) = await meter.outbox.list(account="acme", topic="payment.")
    facts: Any = message.facts
    assert message.topic == "payment.subscribed_twice"
    assert (facts["subscription"], facts["others"]) == (second, [first])


async def sides(meter: AsyncMeter) -> dict[str, int]:
    """What is invoiced and not paid."""
    found = await meter.payments.balances()
    mine = (Side.RECEIVABLE, Side.INVOICED)
    return {side.value: each.net for (_, side), each in found.items() if side in mine and each.net}


@pytest.mark.parametrize("end", ["paid", "paid in parts", "credited and paid", "void", "given up"])
async def test_an_invoice_is_receivable_until_it_is_paid_or_nobody_will(
    customer: Customer, meter: AsyncMeter, fake: FakeStripe, end: str
) -> None:
    """As much of it as is left to pay, however that came; then it is not, and nothing was lost with it."""
    subscription = customer.subscribe("pro")
    await customer.hear()
    assert await sides(meter) == {}
    customer.pay_with("pm_card_chargeCustomerFail")
    await customer.pass_time(31.5)
    invoices = customer.api.invoices
    invoice = str(customer.api.subscriptions.retrieve(subscription).latest_invoice)
    left = 2_000
    assert await sides(meter) == {"receivable": left, "invoiced": -left}

    if end == "credited and paid":
        left -= 500
        customer.api.credit_notes.create({"invoice": invoice, "amount": 500})
    if end == "paid in parts":
        left -= 300
        invoices.attach_payment(invoice, {"payment_intent": customer.pay(300)})
    await customer.hear()
    assert await sides(meter) == {"receivable": left, "invoiced": -left}

    if end == "void":
        invoices.void_invoice(invoice)
    elif end == "given up":
        invoices.mark_uncollectible(invoice)
    else:
        customer.pay_with("pm_card_visa")
        invoices.pay(invoice)
    await customer.hear()
    assert await sides(meter) == {}
    await agree(meter, fake)


async def looked_up(meter: AsyncMeter, subscription: str) -> Any:
    """What a worker would book of a subscription as it is now."""
    found = meter.webhooks._lookups.look_up_now(Subject(SubjectKind.SUBSCRIPTION, subscription))
    return (await found) if isawaitable(found) else found


async def book(meter: AsyncMeter, work: Any) -> None:
    done = meter._platform.run(partial(alone, work=work))
    if isawaitable(done):
        await done


async def test_a_meter_without_plans_does_not_lose_what_a_subscription_says(
    opened: Opener, fake: FakeStripe, clock: Clock
) -> None:
    """What pays for a plan is a dead letter where nobody has said what plans there are."""
    async with opened(stripe=set_up(fake), clock=clock) as meter:
        customer = Customer(fake, meter, clock)
        customer.subscribe("pro")
        for event in fake.events("customer.subscription.created"):
            await receive(meter, event, at=clock())
        await meter.webhooks.work()
        (dead,) = await meter.webhooks.list(state=EventState.DEAD)
        assert "no plans" in dead.problem
