"""Changes of plan at the end of what is paid for: asked for here, made by Stripe, granted with the period."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.stripe.conftest import receive
from tests.stripe.test_payments import agree, core

from ptmeter import (
    PT,
    Discount,
    Interval,
    Money,
    Status,
    StripeRefusedError,
    StripeUnavailableError,
    read_plans,
)
from ptmeter.testing.stripe import DROP, FakeStripe

if TYPE_CHECKING:
    from ptmeter import AsyncMeter, Plans, StripeSubscription, Subscription
    from ptmeter.testing import Clock

pytestmark = pytest.mark.anyio

PLANS = read_plans(
    {
        "plans": {
            "lite": {"price_per_month": 5, "allowance": {"core": 10}, "units": ["core"]},
            "pro": {
                "price_per_month": 20,
                "price_per_year": 200,
                "allowance": {"core": 100},
                "units": ["core"],
                "trial": {"days": 14, "allowance": {"core": 5}},
            },
            "max": {
                "price_per_month": 50,
                "price_per_year": 500,
                "allowance": {"core": 300},
                "units": ["core"],
                "roll_over": {"shares": {"core": "50%"}, "annual_only": False},
            },
        }
    }
)
PAGES: Any = {"success_url": "https://example.com/paid", "cancel_url": "https://example.com/"}


def pt(amount: int) -> tuple[PT, PT]:
    """So many PT available, and none owed."""
    return PT.of(amount), PT(0)


class Shop:
    """An account on a plan, a Stripe that goes by the same clock, and events that come in when they are heard."""

    def __init__(self, fake: FakeStripe, meter: AsyncMeter, clock: Clock) -> None:
        self.fake, self.meter, self.clock = fake, meter, clock
        self.api = fake.client().v1
        self._heard: set[str] = set()

    async def begin(self, plan: str = "max", interval: str = "month", **more: Any) -> str:
        """Have it subscribe by Checkout; returns the subscription."""
        await self.meter.payments.sync_plans()
        page = await self.meter.payments.subscribe("acme", plan, interval, key="begin", **more, **PAGES)
        name = self.fake.complete_checkout(page.id)["subscription"]
        await self.hear()
        return name

    def pay_with(self, card: str) -> str:
        who = self.fake.objects("customer")[0]["id"]
        method = self.api.payment_methods.attach(card, {"customer": who}).id
        self.api.customers.update(who, {"invoice_settings": {"default_payment_method": method}})
        for each in self.fake.objects("subscription"):
            self.api.subscriptions.update(each["id"], {"default_payment_method": method})
        return method

    def turn(self, days: float) -> None:
        """Have time pass, of which nobody hears."""
        self.clock.turn(timedelta(days=days))
        self.fake.catch_up()

    def miss(self) -> None:
        """Have what has happened go unheard for ever."""
        self._heard |= {event["id"] for event in self.fake.events()}

    async def hear(self, *kinds: str) -> None:
        """Have what is new come in, only of these kinds if they are named, and work it off."""
        for event in self.fake.events():
            if event["id"] not in self._heard and (not kinds or event["type"].startswith(kinds)):
                self._heard.add(event["id"])
                await receive(self.meter, event, at=self.clock())
        self.clock.turn(timedelta(milliseconds=5))
        await self.meter.webhooks.work()
        await self.meter.plans.renew_due()

    async def ours(self) -> Subscription:
        return await self.meter.plans.find("acme")

    async def theirs(self) -> StripeSubscription:
        return await self.meter.payments.subscription("acme")

    def posts(self, start: str) -> list[tuple[str, Any]]:
        """What was asked of Stripe below that path."""
        return [
            (path, params)
            for method, path, params in self.fake.requests
            if method == "POST" and path.startswith(f"/v1/{start}")
        ]


@pytest.fixture
def plans() -> Plans:
    return PLANS


@pytest.fixture
def shop(fake: FakeStripe, meter: AsyncMeter, clock: Clock) -> Shop:
    return Shop(fake, meter, clock)


# --- asking for one -----------------------------------------------------------------------------


async def test_down_is_at_the_end_of_what_is_paid_for_unless_one_says_otherwise(
    shop: Shop, meter: AsyncMeter
) -> None:
    """Nothing changes before; Stripe then says what is to come, and so do the books once they hear of it."""
    await shop.begin()
    end = (await shop.theirs()).paid_until
    changed = await meter.payments.change("acme", "pro", key="down")

    assert ("max", "month", ("pro", Interval.MONTH, end)) == (
        changed.plan,
        changed.interval,
        changed.pending,
    )
    assert changed == await shop.theirs()
    assert (await shop.ours()).pending is None
    await shop.hear("subscription_schedule")
    ours = await shop.ours()
    assert ("max", ("pro", Interval.MONTH, end)) == (ours.plan, ours.pending)
    assert pt(300) == await core(meter)

    at_once = await meter.payments.change("acme", "pro", key="now", when="now")
    assert ("pro", None) == (at_once.plan, at_once.pending)


async def test_up_is_at_once_unless_one_says_otherwise(shop: Shop, meter: AsyncMeter) -> None:
    """By the same rule as in the books: what costs more a month is had now."""
    await shop.begin("pro")
    later = await meter.payments.change("acme", "max", key="later", when="period_end")
    assert ("pro", "max") == (later.plan, later.pending and later.pending.plan)
    now = await meter.payments.change("acme", "max", key="now")
    yearly = await meter.payments.change("acme", "max", "year", key="yearly")

    assert ("max", None) == (now.plan, now.pending)
    assert ("month", Interval.YEAR) == (yearly.interval, yearly.pending and yearly.pending.interval)


async def test_the_next_phase_says_what_ours_are_told_by(shop: Shop, meter: AsyncMeter) -> None:
    """The plan and interval are in its metadata, the schedule lets go at its end, and nothing is prorated."""
    await shop.begin()
    await meter.payments.change("acme", "pro", key="down")
    [_, (_, asked)] = shop.posts("subscription_schedules")

    assert ("release", "none") == (asked["end_behavior"], asked["proration_behavior"])
    current, following = asked["phases"]
    assert {"ptmeter_plan": "pro", "ptmeter_interval": "month"} == following["metadata"]
    assert "none" == following["proration_behavior"]
    assert current["end_date"] == following["start_date"]
    assert "acme" == current["metadata"]["ptmeter_account"]


async def test_a_second_change_takes_the_place_of_the_first(shop: Shop, meter: AsyncMeter) -> None:
    """In the same schedule; asking for the plan that it is on takes it back."""
    name = await shop.begin()
    await meter.payments.change("acme", "pro", key="one")
    second = await meter.payments.change("acme", "lite", key="two")
    assert "lite" == (second.pending and second.pending.plan)
    assert 1 == len(shop.fake.objects("subscription_schedule"))
    await shop.hear()
    assert "lite" == ((await shop.ours()).pending or ("",))[0]

    back = await meter.payments.change("acme", "max", key="back")
    assert ("max", None) == (back.plan, back.pending)
    assert shop.api.subscriptions.retrieve(name).schedule is None
    asked = len(shop.posts(""))
    assert back == await meter.payments.change("acme", "max", key="again")
    assert asked == len(shop.posts(""))  # there was nothing to be done
    await shop.hear("subscription_schedule")
    assert (await shop.ours()).pending is None


@pytest.mark.parametrize("verb", ["cancel", "end", "resume", "now"])
async def test_what_is_to_come_is_taken_back_by_what_is_asked_for_later(
    shop: Shop, meter: AsyncMeter, verb: str
) -> None:
    """Stripe refuses to end what a schedule manages, so that is released first."""
    await shop.begin()
    await meter.payments.change("acme", "pro", key="down")
    await shop.hear()
    payments = meter.payments
    match verb:
        case "cancel":
            done = await payments.cancel("acme", key="c")
        case "end":
            done = await payments.cancel("acme", key="c", when="now")
        case "resume":
            done = await payments.resume("acme", key="r")
        case _:
            done = await payments.change("acme", "pro", key="n", when="now")

    assert done.pending is None
    assert ["released"] == [each["status"] for each in shop.fake.objects("subscription_schedule")]
    await shop.hear()
    ours = await shop.ours()
    assert ours.pending is None
    wanted = {"cancel": Status.CANCELLING, "end": Status.ENDED}
    assert wanted.get(verb, Status.ACTIVE) == ours.status


async def test_a_change_that_is_to_come_takes_a_cancellation_back(shop: Shop, meter: AsyncMeter) -> None:
    """Of one that was to end itself, and of one whose schedule was to end it; so does asking for what it is on."""
    await shop.begin()
    await meter.payments.cancel("acme", key="c1")
    changed = await meter.payments.change("acme", "pro", key="down")
    assert (False, "pro") == (changed.ends_at_period_end, changed.pending and changed.pending.plan)

    [schedule] = shop.fake.objects("subscription_schedule")
    shop.api.subscription_schedules.release(schedule["id"])
    await meter.payments.cancel("acme", key="c2")
    stays = await meter.payments.change("acme", "max", key="stay")
    assert (False, None) == (stays.ends_at_period_end, stays.pending)
    await shop.hear()
    assert Status.ACTIVE is (await shop.ours()).status


async def test_a_schedule_that_ends_a_subscription_is_heard_of_as_a_cancellation(
    shop: Shop, meter: AsyncMeter
) -> None:
    """Whoever made it; the end of its phase is the end of ours. Released, it goes on."""
    name = await shop.begin()
    schedule = shop.api.subscription_schedules.create({"from_subscription": name})
    shop.api.subscription_schedules.update(schedule.id, {"end_behavior": "cancel"})
    await shop.hear()
    theirs, ours = await shop.theirs(), await shop.ours()

    assert theirs.ends_at_period_end
    assert (Status.CANCELLING, theirs.paid_until) == (ours.status, ours.ends_at)
    changed = await meter.payments.change("acme", "pro", key="down")
    assert (False, "pro") == (changed.ends_at_period_end, changed.pending and changed.pending.plan)
    await shop.hear()
    assert Status.ACTIVE is (await shop.ours()).status


async def test_a_discount_goes_on_by_the_next_plan(shop: Shop, meter: AsyncMeter, clock: Clock) -> None:
    """With the end that it has: a phase that did not name it would be without it."""
    discount = Discount(2_000, clock() + timedelta(days=50))
    await shop.begin(discount=discount)
    await meter.payments.change("acme", "pro", key="down")
    shop.turn(31.1)

    assert [4000, 1600] == [each["amount_paid"] for each in shop.fake.objects("invoice")]


async def test_a_trial_goes_on_before_the_change(shop: Shop, meter: AsyncMeter) -> None:
    """The first month that is paid for is by the new plan."""
    await shop.begin("pro", trial=True)
    assert pt(5) == await core(meter)
    changed = await meter.payments.change("acme", "lite", key="down")
    assert ("trialing", "lite") == (changed.status, changed.pending and changed.pending.plan)
    await shop.hear()
    assert Status.TRIALING is (await shop.ours()).status
    shop.turn(14.1)
    await shop.hear()

    assert ("lite", Status.ACTIVE) == ((await shop.ours()).plan, (await shop.ours()).status)
    assert pt(10) == await core(meter)


@pytest.mark.parametrize("plan", ["pro", "max"])
async def test_a_preview_of_what_is_to_come_is_the_next_invoice(
    shop: Shop, meter: AsyncMeter, plan: str
) -> None:
    """A month by the new price, and no difference."""
    await shop.begin()
    seen = await meter.payments.preview_change("acme", plan, when="period_end")
    await meter.payments.change("acme", plan, key="c", when="period_end")
    shop.turn(31.1)

    due = Money.usd(20 if plan == "pro" else 50)
    assert due == seen.due
    assert not [line for line in seen.lines if line.is_proration]
    assert due.nano == shop.fake.objects("invoice")[-1]["amount_paid"] * 10**7


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("path", ["/v1/subscription_schedules", "/v1/subscription_schedules/sub_sched_"])
async def test_a_change_that_broke_off_is_made_by_asking_again(
    shop: Shop, meter: AsyncMeter, path: str, before: bool
) -> None:
    """Between the two requests, or with an answer that was lost: the same key comes to the same end."""
    await shop.begin()
    shop.fake.fail(status=DROP, before=before, prefix=path)
    with pytest.raises(StripeUnavailableError):
        await meter.payments.change("acme", "pro", key="down")
    again = await meter.payments.change("acme", "pro", key="down")

    assert again == await meter.payments.change("acme", "pro", key="down") == await shop.theirs()
    assert "pro" == (again.pending and again.pending.plan)
    assert 1 == len(shop.fake.objects("subscription_schedule"))


async def test_a_plan_that_stripe_will_not_have_is_refused(shop: Shop, meter: AsyncMeter) -> None:
    """And what is to come stays what it was."""
    name = await shop.begin()
    shop.api.subscriptions.update(name, {"pause_collection": {"behavior": "void"}})
    shop.fake.fail(status=400, prefix="/v1/subscription_schedules")
    with pytest.raises(StripeRefusedError):
        await meter.payments.change("acme", "pro", key="down")

    assert (await shop.theirs()).pending is None


# --- when it has come ---------------------------------------------------------------------------


@pytest.mark.parametrize("seen", [True, False], ids=["seen before", "not seen before"])
async def test_a_downgrade_that_came_with_the_period_is_granted_by_the_new_plan(
    shop: Shop, meter: AsyncMeter, seen: bool
) -> None:
    """Whether one had heard that it was to come or not, and whoever asked for it."""
    await shop.begin()
    await meter.payments.change("acme", "lite", key="down")
    if seen:
        await shop.hear()
    else:
        shop.miss()
    await meter.funds.grant("acme", core=1, source="gift", key="gift")
    await meter.settle(await meter.hold("acme", core=300, key="u"), core=300, key="u")
    shop.turn(31.1)
    await shop.hear()

    assert ("lite", None) == ((await shop.ours()).plan, (await shop.ours()).pending)
    assert pt(11) == await core(meter)
    page = await meter.statement("acme", limit=100)
    granted = [entry.amount for entry in page.entries if entry.kind == "grant"]
    assert [PT.of(300), PT.of(1), PT.of(10)] == granted
    await agree(meter, shop.fake)


async def test_an_upgrade_that_came_with_the_period_is_granted_whole(shop: Shop, meter: AsyncMeter) -> None:
    """Such as by a schedule that somebody made in the dashboard, of which only the payment is heard."""
    await shop.begin("pro")
    await meter.payments.change("acme", "max", key="up", when="period_end")
    shop.miss()
    shop.turn(31.5)
    await shop.hear("invoice.paid")

    assert ("max", pt(300)) == ((await shop.ours()).plan, await core(meter))
    await agree(meter, shop.fake)


async def test_a_change_in_the_middle_of_a_period_stays_pro_rata(shop: Shop, meter: AsyncMeter) -> None:
    """Though nothing was heard of the period's beginning either: then the cycle was the old plan's."""
    await shop.begin("pro")
    shop.turn(31.1)
    shop.turn(14)
    await meter.payments.change("acme", "max", key="up", proration="always_invoice")
    shop.miss()
    await meter.webhooks.catch_up(undelivered=False, since=timedelta(20))
    await meter.webhooks.work()

    available, _ = await core(meter)
    assert PT.of(190) < available < PT.of(210)
    assert "max" == (await shop.ours()).plan
    await agree(meter, shop.fake)


@pytest.mark.parametrize("seen", [True, False], ids=["seen before", "not seen before"])
async def test_what_is_not_paid_by_the_new_price_is_not_granted(
    shop: Shop, meter: AsyncMeter, seen: bool
) -> None:
    """Until it is; then by the new plan."""
    name = await shop.begin()
    await meter.payments.change("acme", "pro", key="down")
    if seen:
        await shop.hear()
    else:
        shop.miss()
    shop.pay_with("pm_card_chargeCustomerFail")
    shop.turn(31.5)
    await shop.hear()
    assert Status.PAST_DUE is (await shop.ours()).status
    assert pt(0) == await core(meter)

    paid_by: Any = {"payment_method": shop.pay_with("pm_card_visa")}
    shop.api.invoices.pay(str(shop.api.subscriptions.retrieve(name).latest_invoice), paid_by)
    await shop.hear()
    ours = await shop.ours()
    assert ("pro", Status.ACTIVE, None) == (ours.plan, ours.status, ours.pending)
    assert pt(100 + 150) == await core(meter)  # half of what was left by the old plan rolls over
    await agree(meter, shop.fake)


async def test_what_rolls_over_does_so_by_the_plan_it_was_given_under(
    shop: Shop, meter: AsyncMeter
) -> None:
    """Down from a plan that rolls over half of it, a cycle of the new plan and that half."""
    await shop.begin()
    await meter.payments.change("acme", "pro", key="down")
    shop.miss()
    shop.turn(31.1)
    await shop.hear()
    assert pt(100 + 150) == await core(meter)
    shop.turn(28)
    await shop.hear()

    assert pt(100) == await core(meter)
    await agree(meter, shop.fake)


async def test_a_year_that_is_to_follow_is_paid_and_granted_by_the_month(
    shop: Shop, meter: AsyncMeter
) -> None:
    """The change of interval comes with the period as well; twelve cycles are granted of it."""
    await shop.begin("pro")
    await meter.payments.change("acme", "pro", "year", key="year")
    await shop.hear()
    assert ("pro", Interval.YEAR) == ((await shop.ours()).pending or ("",))[:2]
    shop.turn(31.1)
    await shop.hear()
    ours = await shop.ours()
    assert (Interval.YEAR, None, timedelta(365)) == (
        ours.interval,
        ours.pending,
        ours.term.end - ours.term.start,
    )
    shop.turn(31)
    await shop.hear()

    assert pt(100) == await core(meter)
    assert [2000, 20_000] == [each["amount_paid"] for each in shop.fake.objects("invoice")]
    await agree(meter, shop.fake)


async def test_a_cancellation_taken_back_of_which_nothing_was_heard_does_not_end_ours(
    shop: Shop, meter: AsyncMeter
) -> None:
    """Ours had ended by the books; Stripe says that it goes on, and so it does."""
    await shop.begin()
    for turn in range(2):
        await meter.payments.cancel("acme", key=f"c{turn}")
        await shop.hear()
        await meter.payments.resume("acme", key=f"r{turn}")
        shop.miss()
        shop.turn(31.1)
        await meter.plans.renew_due()
        assert Status.ENDED is (await shop.ours()).status
        shop.miss()
        await meter.webhooks.catch_up(undelivered=False)
        await shop.hear()
        assert ("max", Status.ACTIVE) == ((await shop.ours()).plan, (await shop.ours()).status)
        assert pt(300) == await core(meter)
    await agree(meter, shop.fake)


async def test_the_portals_change_at_the_end_is_followed(shop: Shop, meter: AsyncMeter) -> None:
    """Its phases have no metadata of ours: the plan is that of the price."""
    name = await shop.begin()
    prices = (await meter.payments.sync_plans()).prices
    schedule = shop.api.subscription_schedules.create({"from_subscription": name})
    [phase] = schedule.phases
    now = {"start_date": phase.start_date, "end_date": phase.end_date}
    phases: list[Any] = [
        {**now, "items": [{"price": prices["max/month"], "quantity": 1}]},
        {"items": [{"price": prices["max/month"], "quantity": 1}], "iterations": 1},
        {"items": [{"price": prices["pro/month"], "quantity": 1}], "iterations": 1},
    ]
    shop.api.subscription_schedules.update(schedule.id, {"phases": phases})
    await shop.hear()
    coming = (await shop.ours()).pending
    assert coming
    assert ("pro", timedelta(31 + 28)) == (coming.plan, coming.at - (await shop.ours()).anchor)
    shop.turn(31.1)
    await shop.hear()
    assert coming == (await shop.ours()).pending
    shop.turn(28)
    await shop.hear()

    assert ("pro", None) == ((await shop.ours()).plan, (await shop.ours()).pending)
    await agree(meter, shop.fake)


@pytest.mark.parametrize("when", ["now", "period_end"])
async def test_a_change_leaves_what_else_is_in_a_subscription_alone(
    shop: Shop, meter: AsyncMeter, when: str
) -> None:
    """Such as a seat that is paid for beside the plan, whichever of the two Stripe lists first."""
    name = await shop.begin("pro")
    product = shop.api.products.create({"name": "seat"}).id
    asked: Any = {
        "product": product,
        "unit_amount": 700,
        "currency": "usd",
        "recurring": {"interval": "month"},
    }
    seat = shop.api.prices.create(asked).id
    shop.api.subscriptions.update(name, {"items": [{"price": seat, "quantity": 2}]})
    shop.fake._world.get("subscription", name)["items"]["data"].reverse()
    assert ("pro", "month") == ((await shop.theirs()).plan, (await shop.theirs()).interval)

    changed = await meter.payments.change("acme", "max", key="up", when=when)
    shop.turn(31.1)
    await shop.hear()

    assert "max" == (changed.pending or changed).plan
    items = shop.api.subscriptions.retrieve(name)["items"].data
    prices = (await meter.payments.sync_plans()).prices
    assert {(seat, 2), (prices["max/month"], 1)} == {(each.price.id, each.quantity) for each in items}
    assert ("max", Status.ACTIVE) == ((await shop.ours()).plan, (await shop.ours()).status)
