"""Plans that are sold through Stripe, and somebody who is on one."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.stripe.conftest import receive

from ptmeter import read_plans

if TYPE_CHECKING:
    from ptmeter import AsyncMeter
    from ptmeter.testing import Clock
    from ptmeter.testing.stripe import FakeStripe

PLANS = read_plans(
    {
        "plans": {
            "pro": {
                "price_per_month": 20,
                "price_per_year": 200,
                "allowance": {"core": 100},
                "units": ["core"],
            },
            "max": {"price_per_month": 50, "allowance": {"core": 300}, "units": ["core"]},
        }
    }
)
CENTS = {"pro": 2_000, "max": 5_000}


class Customer:
    """Somebody at the fake Stripe who is on a plan, and whose events are heard once each."""

    def __init__(self, fake: FakeStripe, meter: AsyncMeter, clock: Clock) -> None:
        self.fake, self.meter, self.clock = fake, meter, clock
        self.api = fake.client().v1
        self._heard: set[str] = set()
        product = self.api.products.create({"name": "plans"})
        self._prices = {plan: self._price(product.id, plan) for plan in CENTS}
        card: Any = {"payment_method": "pm_card_visa"}
        card["invoice_settings"] = {"default_payment_method": "pm_card_visa"}
        self.id = self.api.customers.create(card).id

    def _price(self, product: str, plan: str) -> str:
        asked: Any = {
            "product": product,
            "unit_amount": CENTS[plan],
            "currency": "usd",
            "recurring": {"interval": "month"},
            "metadata": {"ptmeter_plan": plan},
        }
        return self.api.prices.create(asked).id

    def subscribe(self, plan: str, **more: Any) -> str:
        asked: Any = {"customer": self.id, "items": [{"price": self._prices[plan]}], **more}
        asked["metadata"] = {"ptmeter_account": "acme"}
        return self.api.subscriptions.create(asked).id

    def change(self, subscription: str, plan: str, **more: Any) -> None:
        item = self.api.subscriptions.retrieve(subscription)["items"].data[0].id
        asked: Any = {"items": [{"id": item, "price": self._prices[plan]}], **more}
        self.api.subscriptions.update(subscription, asked)

    def pay(self, cents: int) -> str:
        asked: Any = {"amount": cents, "currency": "usd", "customer": self.id, "confirm": True}
        asked["payment_method"] = "pm_card_visa"
        asked["automatic_payment_methods"] = {"enabled": True, "allow_redirects": "never"}
        return self.api.payment_intents.create(asked).id

    def pay_with(self, card: str) -> None:
        method = self.api.payment_methods.attach(card, {"customer": self.id}).id
        asked: Any = {"invoice_settings": {"default_payment_method": method}}
        self.api.customers.update(self.id, asked)

    async def pass_time(self, days: float) -> None:
        self.clock.turn(timedelta(days=days))
        self.fake.catch_up()
        await self.hear()

    async def hear(self) -> None:
        """Have what is new come in, and work it off."""
        for event in self.fake.events():
            if event["id"] not in self._heard:
                self._heard.add(event["id"])
                await receive(self.meter, event, at=self.clock())
        self.clock.turn(timedelta(milliseconds=5))
        await self.meter.webhooks.work()
        await self.meter.plans.renew_due()
