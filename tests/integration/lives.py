"""Payments and what becomes of them at a fake Stripe, told to a meter step by step, or all at once and out of order."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from tests.integration.wiring import meter_on

from ptmeter.domain.money import Side, balances
from ptmeter.stripe import Endpoint, Stripe
from ptmeter.testing import Clock
from ptmeter.testing.stripe import FakeStripe, signature

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ptmeter import Meter

SECRET: Final = "whsec_fake"
AT: Final = datetime(2026, 1, 5, 12, tzinfo=UTC)
USED: Final = (0, 80, 100, 30, 50, 20, 100)
"""How many of its 100 PT each account uses before anything is given back or contested."""


def set_up(url: str) -> Stripe:
    """The platform as it is set up at the fake Stripe there."""
    return Stripe(key="sk_test_1", url=url, attempts=3, endpoints=Endpoint(secrets=SECRET, livemode=False))


def fake_stripe() -> FakeStripe:
    """A Stripe that sends nothing by itself; two of them that are asked the same say the same."""
    return FakeStripe(background=False, clock=Clock(AT))


def receive(meter: Meter, event: Any, at: datetime = AT) -> None:
    """Have an event come in, as Stripe sends it."""
    body = json.dumps(event).encode()
    header = signature(body, SECRET, int(at.timestamp()))
    meter.webhooks.receive(body, {"Stripe-Signature": header})


# --- what happens ---------------------------------------------------------------------------------


def buy(fake: FakeStripe) -> list[str]:
    """Have every account pay for 100 PT; returns the charges."""
    product = {"currency": "usd", "unit_amount": 5_000, "product_data": {"name": "PT"}}
    for number in range(len(USED)):
        params: Any = {
            "mode": "payment",
            "success_url": "https://example.com/paid",
            "line_items": [{"price_data": product, "quantity": 1}],
            "payment_intent_data": {
                "metadata": {"ptmeter_account": f"acme{number}", "ptmeter_core": "100"}
            },
        }
        session = fake.client().v1.checkout.sessions.create(params)
        fake.complete_checkout(session.id)
    return [each["id"] for each in fake.objects("charge")]


def live(fake: FakeStripe, charges: list[str]) -> Iterator[None]:
    """Have refunds and disputes come and go; stops after each thing that happens."""
    fake.refund(charges[0], 2_000)
    yield
    coming_back = fake.refund(charges[1])
    yield
    won, lost = fake.dispute(charges[2]), fake.dispute(charges[3])
    yield
    fake.refund(charges[4], 1_000)
    yield
    in_part = fake.dispute(charges[4], amount=4_000)
    yield
    inquiries = [fake.dispute(charges[number], inquiry=True) for number in (5, 6)]
    yield
    fake.refund(charges[0], 1_000)
    yield
    fake.finish_refund(coming_back["id"], succeeded=False)
    yield
    fake.close_dispute(won["id"], "won")
    fake.close_dispute(lost["id"], "lost")
    yield
    fake.close_dispute(in_part["id"], "lost", reinstated=2_000)
    yield
    fake.escalate_dispute(inquiries[0]["id"])
    yield
    fake.close_dispute(inquiries[1]["id"], "warning_closed")
    yield
    fake.close_dispute(inquiries[0]["id"], "lost")
    yield


def use(meter: Meter) -> None:
    """Have every account use some of its PT."""
    for number, core in enumerate(USED):
        if core:
            hold = meter.hold(f"acme{number}", core=core, key="use")
            meter.settle(hold, core=core, key="use")


def begin(url: str, fake: FakeStripe) -> list[str]:
    """Have every account pay, hear of it in order, and use some of it; returns the charges."""
    charges = buy(fake)
    with meter_on(url, stripe=set_up(fake.url), clock=Clock(AT)) as meter:
        tell(meter, fake.events())
        use(meter)
    return charges


def tell(meter: Meter, events: Iterable[Any]) -> None:
    """Have events come in, in order and once, each worked off before the next comes."""
    for event in events:
        receive(meter, event)
        meter.webhooks.work()


def in_order(url: str) -> dict[str, bytes]:
    """What it comes to if each thing that happens is heard of at once, and once."""
    with fake_stripe() as fake:
        charges = begin(url, fake)
        told = len(fake.events())
        with meter_on(url, stripe=set_up(fake.url), clock=Clock(AT)) as meter:
            for _ in live(fake, charges):
                events = fake.events()
                tell(meter, events[told:])
                told = len(events)
        return outcome(url, fake)


# --- what it comes to -----------------------------------------------------------------------------


def outcome(url: str, fake: FakeStripe) -> dict[str, bytes]:
    """Wallets, the trial balance of the month, and that of the money, which is also the balance at Stripe."""
    with meter_on(url, clock=Clock(AT + timedelta(days=60))) as meter:
        assert meter.verify().clean, meter.verify()
        store: Any = meter._platform.store
        entries = store.read(lambda books: books.payments.entries())
        sides = {place: both.net for place, both in balances(entries).items() if both.net}
        wallets = [meter.balance(f"acme{number}").core for number in range(len(USED))]
        meter.periods.close("2026-01", by="ann")
        trial = meter.periods.trial_balance("2026-01")
    assert trial.balanced
    assert 0 == sum(sides.values())
    assert sides["usd", Side.CLEARING] == sum(each["net"] for each in fake.objects("balance_transaction"))
    shown: dict[str, Any] = {"wallets": wallets, "trial balance": trial, "money": sides}
    return {name: repr(value).encode() for name, value in shown.items()}
