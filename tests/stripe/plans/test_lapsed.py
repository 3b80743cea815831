"""Money that is given back for PT of which some lapsed unused: owed is what was used of them, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.stripe.test_payments import agree, core, spend

from ptmeter import PT, read_plans

if TYPE_CHECKING:
    from tests.stripe.plans.customers import Customer

    from ptmeter import AsyncMeter
    from ptmeter.testing.stripe import FakeStripe

pytestmark = pytest.mark.anyio

PRO: Any = {"price_per_month": 20, "allowance": {"core": 100}, "units": ["core"]}
ROLLING = read_plans({"plans": {"pro": PRO | {"roll_over": {"shares": {"core": "50%"}}}}})


async def paid_in_parts(customer: Customer, *amounts: int) -> list[str]:
    """The charges that paid the second invoice of a subscription, whose cycle has begun."""
    subscription = customer.subscribe("pro")
    await customer.hear()
    customer.pay_with("pm_card_chargeCustomerFail")
    await customer.pass_time(31.5)
    invoice = customer.api.subscriptions.retrieve(subscription).latest_invoice
    payments = [customer.pay(amount) for amount in amounts]
    for payment in payments:
        customer.api.invoices.attach_payment(str(invoice), {"payment_intent": payment})
    customer.pay_with("pm_card_visa")
    await customer.hear()
    return [str(customer.api.payment_intents.retrieve(each).latest_charge) for each in payments]


async def test_what_lapsed_is_not_owed_though_nothing_has_swept_it(
    customer: Customer, meter: AsyncMeter, fake: FakeStripe
) -> None:
    """A subscription has ended, so nothing was granted since that would have booked what lapsed."""
    subscription = customer.subscribe("pro")
    await customer.hear()
    await spend(meter, 30, "used")
    customer.api.subscriptions.update(subscription, {"cancel_at_period_end": True})
    await customer.hear()
    await customer.pass_time(32)

    fake.refund(fake.objects("charge")[0]["id"])
    await customer.hear()

    assert await core(meter) == (PT(0), PT(30_000_000))
    await agree(meter, fake)


@pytest.mark.parametrize(("used", "left"), [(0, 100), (30, 70)])
async def test_of_an_invoice_paid_in_two_one_is_given_back_before_the_end_and_one_after(
    customer: Customer, meter: AsyncMeter, fake: FakeStripe, used: int, left: int
) -> None:
    """The first took its half from what was there, so what lapsed was all the second's: owed is what was used."""
    first, second = await paid_in_parts(customer, 1_000, 1_000)
    if used:
        await spend(meter, used, "used")
    fake.refund(first)
    await customer.hear()
    assert await core(meter) == (PT.of(50 - used), PT(0))
    await customer.pass_time(31)

    fake.refund(second)
    await customer.hear()

    assert await core(meter) == (PT.of(left), PT(0))
    await agree(meter, fake)


async def test_of_an_invoice_paid_in_two_one_is_contested_when_what_is_left_lapses(
    customer: Customer, meter: AsyncMeter, fake: FakeStripe
) -> None:
    """What is frozen for the one is not what lapsed of the other; lost, it takes what was frozen."""
    first, second = await paid_in_parts(customer, 1_000, 1_000)
    dispute = fake.dispute(first)
    await customer.hear()
    await customer.pass_time(31)

    fake.refund(second)
    await customer.hear()
    assert await core(meter) == (PT.of(100), PT(0))
    fake.close_dispute(dispute["id"], "lost")
    await customer.hear()

    assert await core(meter) == (PT.of(100), PT(0))
    await agree(meter, fake)


@pytest.mark.parametrize("kind", ["refund", "dispute"])
async def test_what_lapsed_counts_for_who_is_left_when_one_of_two_claims_is_undone(
    customer: Customer, meter: AsyncMeter, fake: FakeStripe, kind: str
) -> None:
    """The first was for what had lapsed, and the second for what was used; once the first failed, nothing is owed."""
    customer.subscribe("pro")
    await customer.hear()
    await spend(meter, 40, "used")
    (charge,) = fake.objects("charge")
    await customer.pass_time(32)
    first = fake.refund(charge["id"], 1_000)["id"]
    await customer.hear()
    if kind == "refund":
        fake.refund(charge["id"], 1_000)
    else:
        fake.close_dispute(fake.dispute(charge["id"], amount=1_000)["id"], "lost")
    await customer.hear()
    assert await core(meter) == (PT.of(60), PT(0))

    fake.finish_refund(first, succeeded=False)
    await customer.hear()
    assert await core(meter) == (PT.of(100), PT(0))
    await agree(meter, fake)

    await meter.payments.refresh(charge["payment_intent"])
    assert await core(meter) == (PT.of(100), PT(0))
    (report,) = [each for each in await meter.payments.list() if each.id == charge["payment_intent"]]
    assert [each.lapsed for each in report.claims if each.id != first] == [{"core": PT.of(50)}]


@pytest.mark.parametrize("plans", [ROLLING], ids=["rolling over"])
@pytest.mark.parametrize(
    ("months", "used", "left"),
    [(1, 0, 100), (1, 30, 70), (2, 0, 150)],
    ids=["there", "some used", "lapsed too"],
)
async def test_what_rolled_over_has_not_lapsed(
    customer: Customer, meter: AsyncMeter, fake: FakeStripe, months: int, used: int, left: int
) -> None:
    """Half of what was not used went on, and is taken back with what was used, unless it has lapsed there."""
    customer.subscribe("pro")
    await customer.hear()
    (charge,) = fake.objects("charge")
    if used:
        await spend(meter, used, "used")
    for _ in range(months):
        await customer.pass_time(31.5)
    assert await core(meter) == (PT.of(100 + (100 - used) // 2), PT(0))

    fake.refund(charge["id"])
    await customer.hear()

    assert await core(meter) == (PT.of(left), PT(0))
    await agree(meter, fake)
