"""What tries to lose money, or to keep what waits from its turn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from tests.stripe.conftest import set_up
from tests.stripe.plans.customers import PLANS, Customer
from tests.stripe.test_payments import agree, buy, core, hear

from ptmeter import PT, EventState, Money, Status, read_plans
from ptmeter.domain.minor_units import minor, of_minor
from ptmeter.domain.top_up_sales import TopUpSales, VolumeDiscount, quote
from ptmeter.stripe.reading import last_of
from ptmeter.testing.stripe import FakeStripe

if TYPE_CHECKING:
    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter
    from ptmeter.testing import Clock

pytestmark = pytest.mark.anyio


async def test_an_event_in_stripes_list_that_cannot_be_read_keeps_none_of_the_others_away(
    meter: AsyncMeter, fake: FakeStripe
) -> None:
    """An event in Stripe's list that cannot be read keeps none of the others away."""
    buy(fake)
    newest = fake._world.every("event")[-1]
    newest["type"] = "What is This?"
    newest["data"] = {"object": None}

    await meter.webhooks.catch_up(undelivered=False)
    await meter.webhooks.work()

    assert await core(meter) == (PT(100_000_000), PT(0))


@pytest.mark.parametrize(
    ("page", "last"),
    [
        ({"data": [{"id": "a"}, {"id": "b"}], "has_more": True}, "b"),
        ({"data": [{"id": "a"}], "has_more": False}, None),
        ({"data": [], "has_more": True}, None),
        ({"data": [], "has_more": False}, None),
    ],
)
def test_a_list_ends_with_an_empty_page_whatever_that_promises(page: Any, last: str | None) -> None:
    """A list ends with an empty page whatever that promises: asked for more, the same would come for ever."""
    assert last_of(page) == last


async def test_a_subscription_to_a_plan_that_there_is_not_is_a_dead_letter_and_stops_nobody(
    opened: Opener, fake: FakeStripe
) -> None:
    """A subscription to a plan that there is not is a dead letter and stops nobody."""
    now = datetime.now(UTC)
    async with opened(stripe=set_up(fake), plans=PLANS) as meter:
        customer = Customer(fake, meter, lambda: now)  # type: ignore[arg-type]
        item = {"price": customer._prices["pro"]}
        fake.client().v1.prices.update(item["price"], {"metadata": {"ptmeter_plan": "gone"}})
        customer.subscribe("pro")
        buy(fake)
        await hear(meter, fake)

        assert await core(meter) == (PT(100_000_000), PT(0))
        dead = await meter.webhooks.list(state=EventState.DEAD)
        assert dead
        assert all("no plan 'gone'" in each.problem for each in dead)


@pytest.mark.parametrize(
    ("whole", "currency", "charged"),
    [
        ("5", "UGX", 500),  # counted in hundredths, though it has none
        ("4.2", "UGX", 500),
        ("99.01", "ISK", 10_000),
        ("1.234", "KWD", 1_240),  # counted in thousandths, and charged by the ten
        ("1.23", "KWD", 1_230),
        ("0.015", "USD", 2),
        ("0.015", "JPY", 1),
    ],
)
def test_what_is_charged_is_an_amount_that_stripe_takes(whole: str, currency: str, charged: int) -> None:
    """An amount is rounded up to what can be charged in its currency, and never down."""
    asked = Money(int(Decimal(whole) * 10**9), currency)
    assert minor(asked) == charged
    assert of_minor(charged, currency.lower()) >= asked


def test_the_parts_of_a_top_up_are_amounts_that_stripe_takes() -> None:
    """Of several units each is a line of its own, so each part is rounded, and together they are the price."""
    prices = {"core": Money(3_333_333, "KWD"), "advanced": Money(7_777_777, "KWD")}
    sales = TopUpSales(discounts=(VolumeDiscount(Money(0, "KWD"), 1_234),))
    asked = quote({"core": 101_000_000, "advanced": 7_000_000}, prices, sales)
    parts = [minor(part) for part in asked.parts.values()]
    assert all(part % 10 == 0 for part in [*parts, minor(asked.listed), minor(asked.discount)])
    assert sum(parts) == minor(asked.amount)


@pytest.fixture
def clocked(clock: Clock) -> Any:
    with FakeStripe(clock=clock, background=False) as fake:
        yield fake


async def test_what_happens_to_an_old_subscription_leaves_the_new_one_alone(
    opened: Opener, clocked: FakeStripe, clock: Clock
) -> None:
    """What happens to an old subscription leaves the new one alone."""
    fake = clocked
    async with opened(stripe=set_up(fake), plans=PLANS, clock=clock) as meter:
        customer = Customer(fake, meter, clock)
        old = customer.subscribe("pro")
        await customer.hear()
        (charge,) = fake.objects("charge")
        customer.api.subscriptions.cancel(old)
        await customer.hear()
        clock.turn(timedelta(hours=1))
        customer.subscribe("max")
        await customer.hear()
        before, _ = await core(meter)

        fake.refund(charge["id"], 500)
        await customer.hear()

        standing = await meter.plans.find("acme")
        assert (standing.plan, standing.status) == ("max", Status.ACTIVE)
        assert (await core(meter))[0] == before - PT(25_000_000)


async def test_what_happens_to_a_subscription_that_is_over_leaves_one_that_stripe_knows_nothing_of_alone(
    opened: Opener, clocked: FakeStripe, clock: Clock
) -> None:
    """An account went back to a plan that costs nothing; a refund of what it had paid before does not end that."""
    plans = read_plans(
        {
            "plans": {
                "free": {"price_per_month": 0, "allowance": {"core": 10}, "units": ["core"]},
                "pro": {"price_per_month": 20, "allowance": {"core": 100}, "units": ["core"]},
            }
        }
    )
    async with opened(stripe=set_up(clocked), plans=plans, clock=clock) as meter:
        customer = Customer(clocked, meter, clock)
        paid = customer.subscribe("pro")
        await customer.hear()
        customer.api.subscriptions.cancel(paid)
        await customer.hear()
        await meter.plans.subscribe("acme", "free", key="free")

        for cents in (500, 500):
            clocked.refund(clocked.objects("charge")[0]["id"], cents)
            await customer.hear()

        standing = await meter.plans.find("acme")
        assert (standing.plan, standing.status) == ("free", Status.ACTIVE)
        assert await core(meter) == (PT(60_000_000), PT(0))
        await agree(meter, clocked)


async def test_a_refund_for_a_plan_that_is_no_more_takes_its_pt_back(
    on_file: Opener, clocked: FakeStripe, clock: Clock
) -> None:
    """The subscription is over, and the plan was taken out of the file since: what it gave is known all the same."""
    async with on_file(stripe=set_up(clocked), plans=PLANS, clock=clock) as meter:
        customer = Customer(clocked, meter, clock)
        subscription = customer.subscribe("pro")
        await customer.hear()
        customer.api.subscriptions.cancel(subscription)
        await customer.hear()
    maximum: Any = {"price_per_month": 50, "allowance": {"core": 300}, "units": ["core"]}
    others = read_plans({"plans": {"max": maximum}})
    async with on_file(stripe=set_up(clocked), plans=others, clock=clock) as meter:
        customer.meter = meter
        clocked.refund(clocked.objects("charge")[0]["id"], 500)
        await customer.hear()

        assert await core(meter) == (PT(75_000_000), PT(0))
        await agree(meter, clocked)


@pytest.mark.parametrize("which", [0, 1])
async def test_of_two_subscriptions_of_an_account_one_can_be_ended(
    which: int, opened: Opener, clocked: FakeStripe, clock: Clock
) -> None:
    """Of two subscriptions of an account one can be ended, and the account is on the other."""
    fake = clocked
    async with opened(stripe=set_up(fake), plans=PLANS, clock=clock) as meter:
        customer = Customer(fake, meter, clock)
        first = customer.subscribe("pro")
        await customer.hear()
        clock.turn(timedelta(hours=1))
        second = customer.subscribe("max")
        await customer.hear()
        assert (await meter.plans.find("acme")).plan == "max"

        customer.api.subscriptions.cancel((first, second)[which])
        await customer.hear()

        standing = await meter.plans.find("acme")
        assert (standing.plan, standing.status) == (("max", "pro")[which], Status.ACTIVE)


async def test_what_was_captured_in_part_brings_that_part(meter: AsyncMeter, fake: FakeStripe) -> None:
    """What was captured in part brings that part of what it was authorized for."""
    intents = fake.client().v1.payment_intents
    asked: Any = {
        "amount": 5_000,
        "currency": "usd",
        "payment_method": "pm_card_visa",
        "confirm": True,
        "capture_method": "manual",
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        "metadata": {"ptmeter_account": "acme", "ptmeter_core": "100"},
    }
    intents.capture(intents.create(asked).id, {"amount_to_capture": 1_000})
    await hear(meter, fake)

    assert await core(meter) == (PT(20_000_000), PT(0))
    await agree(meter, fake)


async def test_a_refund_of_an_upgrade_takes_what_the_upgrade_gave(
    opened: Opener, clocked: FakeStripe, clock: Clock
) -> None:
    """A refund of an upgrade takes what the upgrade gave, and leaves what the cycle gave."""
    async with opened(stripe=set_up(clocked), plans=PLANS, clock=clock) as meter:
        customer = Customer(clocked, meter, clock)
        subscription = customer.subscribe("pro")
        await customer.hear()
        await customer.pass_time(10)
        customer.change(subscription, "max", proration_behavior="always_invoice")
        await customer.hear()
        assert (await core(meter))[0] > PT(200_000_000)

        clocked.refund(clocked.objects("charge")[-1]["id"])
        await customer.hear()

        assert await core(meter) == (PT(100_000_000), PT(0))
        await agree(meter, clocked)


@pytest.mark.parametrize("with_trial", [False, True])
async def test_after_a_trial_a_refund_takes_what_its_cycle_gave(
    with_trial: bool, opened: Opener, clocked: FakeStripe, clock: Clock
) -> None:
    """After a trial the cycles begin when Stripe's do, so a refund takes what its cycle gave."""
    plan: Any = {"price_per_month": 20, "allowance": {"core": 100}, "units": ["core"]}
    if with_trial:
        plan["trial"] = {"days": 7, "allowance": {"core": 5}}
    async with opened(
        stripe=set_up(clocked), plans=read_plans({"plans": {"pro": plan}}), clock=clock
    ) as meter:
        customer = Customer(clocked, meter, clock)
        customer.subscribe("pro", trial_period_days=7)
        await customer.hear()
        await customer.pass_time(7.5)
        assert await core(meter) == (PT(100_000_000), PT(0))

        clocked.refund(clocked.objects("charge")[-1]["id"])
        await customer.hear()

        assert await core(meter) == (PT(0), PT(0))
        await agree(meter, clocked)


async def test_a_clock_behind_stripes_moves_no_cycle(opened: Opener, clock: Clock) -> None:
    """A clock behind Stripe's moves no cycle: the subscription is begun once it has by ours."""
    ahead: Any = lambda: clock() + timedelta(seconds=3)  # noqa: E731
    with FakeStripe(clock=ahead, background=False) as fake:
        async with opened(stripe=set_up(fake), plans=PLANS, clock=clock) as meter:
            customer = Customer(fake, meter, clock)
            customer.subscribe("pro")
            await customer.hear()
            clock.turn(timedelta(hours=1))
            await customer.hear()
            assert await core(meter) == (PT(100_000_000), PT(0))

            fake.refund(fake.objects("charge")[-1]["id"])
            await customer.hear()

            assert await core(meter) == (PT(0), PT(0))
