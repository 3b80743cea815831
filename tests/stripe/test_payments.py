"""
Payments, from Stripe to the lots: what they bring, and what refunds and disputes take back.

Each ends with what must hold of any: the ledger verifies, and the money in the books is the money at Stripe.
"""

from __future__ import annotations

import asyncio
from itertools import permutations
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from tests.stripe.conftest import read, receive

from ptmeter import (
    PT,
    AccountNotFoundError,
    EventState,
    ForeignPaymentError,
    InsufficientFundsError,
    Intake,
)
from ptmeter.domain.money import Side, balances

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ptmeter import AsyncMeter
    from ptmeter.domain.money import MoneyEntry
    from ptmeter.testing.stripe import FakeStripe

pytestmark = pytest.mark.anyio


def buy(fake: FakeStripe, *, core: str = "100", cents: int = 5_000, card: str = "pm_card_visa") -> str:
    """A top-up by Checkout, paid for; returns its charge."""
    product = {"currency": "usd", "unit_amount": cents, "product_data": {"name": "PT"}}
    params: Any = {
        "mode": "payment",
        "success_url": "https://example.com/paid",
        "line_items": [{"price_data": product, "quantity": 1}],
        "payment_intent_data": {"metadata": {"ptmeter_account": "acme", "ptmeter_core": core}},
    }
    session = fake.client().v1.checkout.sessions.create(params)
    fake.complete_checkout(session.id, card)
    return fake.objects("charge")[-1]["id"] if fake.objects("charge") else ""


async def hear(meter: AsyncMeter, fake: FakeStripe, events: Iterable[Any] | None = None) -> None:
    """Have all events come in that there are, or these, and work them off."""
    for event in fake.events() if events is None else events:
        await receive(meter, event)
    await meter.webhooks.work()


async def spend(meter: AsyncMeter, core: int, key: str) -> None:
    hold = await meter.hold("acme", core=core, key=key)
    await meter.settle(hold, core=core, key=key)


async def agree(meter: AsyncMeter, fake: FakeStripe) -> None:
    """What holds at the end of everything."""
    report = await meter.verify()
    assert not report.findings, report.findings
    sides = balances(await entries(meter))
    ours = sum(each.net for (_, side), each in sides.items() if side is Side.CLEARING)
    assert ours == sum(each["net"] for each in fake.objects("balance_transaction"))
    assert not (await meter.webhooks.backlog()).counts.get(EventState.DEAD)


async def entries(meter: AsyncMeter) -> list[MoneyEntry]:
    """The money in the books."""
    return await read(meter, lambda books: books.payments.entries())


async def has_nothing(meter: AsyncMeter) -> bool:
    """Whether nothing was ever given to the account."""
    with pytest.raises(AccountNotFoundError):
        await meter.balance("acme")
    return True


async def core(meter: AsyncMeter) -> tuple[PT, PT]:
    """What is available and owed."""
    balance = (await meter.balance("acme")).core
    return balance.available, balance.owed


# --- what comes in ------------------------------------------------------------------------------


async def test_a_top_up_is_granted_once_however_many_events_tell_of_it(
    meter: AsyncMeter, fake: FakeStripe
) -> None:
    """A top up is granted once however many events tell of it."""
    buy(fake)

    for _ in range(3):
        await hear(meter, fake)

    assert await core(meter) == (PT(100_000_000), PT(0))
    kinds = {each.event.type for each in await meter.webhooks.list(state=EventState.APPLIED)}
    assert {"checkout.session.completed", "payment_intent.succeeded", "charge.succeeded"} <= kinds
    await agree(meter, fake)


async def test_a_payment_that_is_under_way_brings_nothing_until_it_is_paid(
    meter: AsyncMeter, fake: FakeStripe
) -> None:
    """A payment that is under way brings nothing until it is paid."""
    buy(fake, card="pm_usBankAccount_processing")
    await hear(meter, fake)
    assert await has_nothing(meter)

    (intent,) = fake.objects("payment_intent")
    fake.settle(intent["id"])
    await hear(meter, fake)

    assert await core(meter) == (PT(100_000_000), PT(0))
    await agree(meter, fake)


async def test_a_payment_that_fails_after_all_brings_nothing(meter: AsyncMeter, fake: FakeStripe) -> None:
    """A payment that fails after all brings nothing."""
    buy(fake, card="pm_usBankAccount_processing")
    (intent,) = fake.objects("payment_intent")
    fake.settle(intent["id"], paid=False)

    await hear(meter, fake)

    assert await has_nothing(meter)
    await agree(meter, fake)


async def test_a_payment_that_says_nothing_of_us_is_parked_until_it_does(
    meter: AsyncMeter, fake: FakeStripe
) -> None:
    """Who sells other things at the same Stripe account is not told of each of them; what was meant for PT is given."""
    client = fake.client()
    intent = client.v1.payment_intents.create(
        {
            "amount": 500,
            "currency": "usd",
            "payment_method": "pm_card_visa",
            "confirm": True,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        }
    )
    await hear(meter, fake)
    assert not await meter.webhooks.list(state=EventState.DEAD)
    parked = await meter.webhooks.list(state=EventState.PARKED, kind="payment_intent.succeeded")
    assert ["ptmeter_account" in each.problem for each in parked] == [True]
    with pytest.raises(ForeignPaymentError, match="ptmeter_account"):
        await meter.payments.refresh(intent.id)

    client.v1.payment_intents.update(
        intent.id, {"metadata": {"ptmeter_account": "acme", "ptmeter_core": "7"}}
    )
    await meter.webhooks.retry(parked[0].event.id)
    await meter.webhooks.work()

    assert await core(meter) == (PT(7_000_000), PT(0))
    assert (await meter.webhooks.find(parked[0].event.id)).state is EventState.APPLIED


async def test_what_cost_nothing_is_granted_too(meter: AsyncMeter, fake: FakeStripe) -> None:
    """A purchase by Checkout with all of it off is complete without any payment."""
    api = fake.client().v1
    coupon = api.coupons.create({"percent_off": 100, "duration": "once"}).id
    product: Any = {"currency": "usd", "unit_amount": 500, "product_data": {"name": "PT"}}
    asked: Any = {
        "mode": "payment",
        "success_url": "https://example.com/paid",
        "line_items": [{"price_data": product, "quantity": 1}],
        "discounts": [{"coupon": coupon}],
        "metadata": {"ptmeter_account": "acme", "ptmeter_core": "10"},
    }
    fake.complete_checkout(api.checkout.sessions.create(asked).id)

    for _ in range(2):
        await hear(meter, fake)

    assert not fake.objects("payment_intent")
    assert await core(meter) == (PT(10_000_000), PT(0))
    await agree(meter, fake)


# --- refunds ------------------------------------------------------------------------------------


async def test_two_refunds_in_part_take_what_they_stand_for_once_each(
    meter: AsyncMeter, fake: FakeStripe
) -> None:
    """Two refunds in part take what they stand for once each."""
    charge = buy(fake)
    await hear(meter, fake)
    fake.refund(charge, 2_000)
    await hear(meter, fake)
    fake.refund(charge, 1_000)

    for _ in range(2):
        await hear(meter, fake)

    assert await core(meter) == (PT(40_000_000), PT(0))
    await agree(meter, fake)


async def test_refunds_of_odd_parts_take_all_in_the_end(meter: AsyncMeter, fake: FakeStripe) -> None:
    """Refunds of odd parts take all in the end."""
    charge = buy(fake, core="1", cents=700)
    for cents in (233, 233, 234):
        fake.refund(charge, cents)
        await hear(meter, fake)

    assert await core(meter) == (PT(0), PT(0))
    await agree(meter, fake)


async def test_a_refund_of_what_was_used_is_owed_and_stops_new_spending(
    meter: AsyncMeter, fake: FakeStripe
) -> None:
    """A refund of what was used is owed and stops new spending."""
    charge = buy(fake)
    await hear(meter, fake)
    await spend(meter, 80, "s")
    fake.refund(charge)
    await hear(meter, fake)

    assert await core(meter) == (PT(0), PT(80_000_000))
    with pytest.raises(InsufficientFundsError):
        await meter.hold("acme", core=1, key="h")
    await meter.funds.grant("acme", core=90, source="top-up", key="g")
    assert await core(meter) == (PT(10_000_000), PT(0))
    await agree(meter, fake)


async def test_a_refund_that_fails_gives_back_what_it_took(meter: AsyncMeter, fake: FakeStripe) -> None:
    """A refund that fails gives back what it took."""
    charge = buy(fake)
    await hear(meter, fake)
    refund = fake.refund(charge, 2_000)
    await hear(meter, fake)
    assert await core(meter) == (PT(60_000_000), PT(0))

    fake.finish_refund(refund["id"], succeeded=False)
    await hear(meter, fake)

    assert await core(meter) == (PT(100_000_000), PT(0))
    await agree(meter, fake)


# --- disputes -----------------------------------------------------------------------------------


async def test_an_inquiry_moves_nothing(meter: AsyncMeter, fake: FakeStripe) -> None:
    """An inquiry moves nothing."""
    charge = buy(fake)
    dispute = fake.dispute(charge, inquiry=True)
    await hear(meter, fake)
    assert await core(meter) == (PT(100_000_000), PT(0))

    fake.close_dispute(dispute["id"], "warning_closed")
    await hear(meter, fake)

    assert await core(meter) == (PT(100_000_000), PT(0))
    await agree(meter, fake)


async def test_a_dispute_freezes_what_is_left_of_its_own_lot_and_a_won_one_gives_it_back(
    meter: AsyncMeter, fake: FakeStripe
) -> None:
    """A dispute freezes what is left of its own lot and a won one gives it back."""
    charge = buy(fake)
    await hear(meter, fake)
    await spend(meter, 30, "s")
    await meter.funds.grant("acme", core=5, source="promotion", key="g")
    dispute = fake.dispute(charge)
    await hear(meter, fake)
    assert await core(meter) == (PT(5_000_000), PT(0))

    fake.close_dispute(dispute["id"], "won")
    await hear(meter, fake)

    assert await core(meter) == (PT(75_000_000), PT(0))
    await agree(meter, fake)


async def test_a_lost_dispute_takes_what_is_frozen_and_what_was_used_is_owed(
    meter: AsyncMeter, fake: FakeStripe
) -> None:
    """A lost dispute takes what is frozen and what was used is owed."""
    charge = buy(fake)
    await hear(meter, fake)
    await spend(meter, 30, "s")
    dispute = fake.dispute(charge)
    await hear(meter, fake)
    fake.close_dispute(dispute["id"], "lost")
    await hear(meter, fake)

    assert await core(meter) == (PT(0), PT(30_000_000))
    sides = balances(await entries(meter))
    assert sides["usd", Side.DISPUTE_HOLD].net == 0
    assert sides["usd", Side.DISPUTE_LOSS].net == 1_500
    assert sides["usd", Side.CREDITS].net == -1_500  # what was used was sold, and is revenue by now
    await agree(meter, fake)


async def test_what_a_bank_gives_back_of_a_lost_dispute_is_given_back(
    meter: AsyncMeter, fake: FakeStripe
) -> None:
    """What a bank gives back of a lost dispute is given back."""
    charge = buy(fake)
    dispute = fake.dispute(charge)
    fake.close_dispute(dispute["id"], "lost", reinstated=2_000)
    await hear(meter, fake)

    assert await core(meter) == (PT(40_000_000), PT(0))
    await agree(meter, fake)


async def test_a_refund_before_a_dispute_leaves_the_rest_to_it(meter: AsyncMeter, fake: FakeStripe) -> None:
    """A refund before a dispute leaves the rest to it."""
    charge = buy(fake)
    fake.refund(charge, 2_000)
    await hear(meter, fake)
    dispute = fake.dispute(charge, amount=3_000)
    await hear(meter, fake)
    assert await core(meter) == (PT(0), PT(0))

    fake.close_dispute(dispute["id"], "lost")
    await hear(meter, fake)

    assert await core(meter) == (PT(0), PT(0))
    await agree(meter, fake)


# --- any order, any number of times ---------------------------------------------------------------


async def test_any_order_and_any_number_of_times_come_to_the_same(
    meter: AsyncMeter, fake: FakeStripe
) -> None:
    """The events of a life are heard in random order, each up to five times, worked off now and then."""
    charge = buy(fake)
    fake.refund(charge, 1_000)
    dispute = fake.dispute(charge, amount=4_000)
    fake.close_dispute(dispute["id"], "lost")
    random = Random(3)
    deliveries = [event for event in fake.events() for _ in range(random.randrange(1, 6))]
    random.shuffle(deliveries)

    async def hear_some(events: list[Any]) -> None:
        for event in events:
            await receive(meter, event)
            if random.random() < 0.3:
                await meter.webhooks.work(limit=1)

    await asyncio.gather(*(hear_some(deliveries[n::8]) for n in range(8)))
    await meter.webhooks.work()

    assert await core(meter) == (PT(0), PT(0))
    await agree(meter, fake)


@pytest.mark.parametrize("order", list(permutations(range(4))), ids=str)
async def test_every_order_of_what_happened_to_a_refund_comes_to_the_same(
    order: tuple[int, ...], meter: AsyncMeter, fake: FakeStripe
) -> None:
    """Every order of what happened to a refund comes to the same."""
    charge = buy(fake)
    refund = fake.refund(charge, 2_500)
    fake.finish_refund(refund["id"], succeeded=False)
    kinds = ("charge.succeeded", "refund.created", "charge.refunded", "refund.failed")
    told = [event for kind in kinds for event in fake.events(kind)[:1]]

    for place in order:
        await hear(meter, fake, told[place : place + 1])

    assert await core(meter) == (PT(100_000_000), PT(0))
    await agree(meter, fake)


# --- the inbox ------------------------------------------------------------------------------------


async def test_a_stripe_that_does_not_answer_is_asked_again(meter: AsyncMeter, fake: FakeStripe) -> None:
    """A Stripe that does not answer is asked again."""
    buy(fake)
    fake.outage()
    await hear(meter, fake)
    assert (await meter.webhooks.backlog()).counts[EventState.WAITING]
    waiting = (await meter.webhooks.list(state=EventState.WAITING))[0]
    assert "503" in waiting.problem

    fake.recover()
    await meter.webhooks.retry(waiting.event.id)
    await meter.webhooks.work()

    assert await core(meter) == (PT(100_000_000), PT(0))


async def test_events_that_never_came_are_asked_for(meter: AsyncMeter, fake: FakeStripe) -> None:
    """Events that never came are asked for."""
    buy(fake)

    outcomes = await meter.webhooks.catch_up(undelivered=False)
    await meter.webhooks.work()

    assert outcomes[Intake.STORED] >= 3
    assert await core(meter) == (PT(100_000_000), PT(0))
    assert {each.source for each in await meter.webhooks.list()} == {"sweep"}
    await agree(meter, fake)
