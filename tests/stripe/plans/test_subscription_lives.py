"""
Any life of a subscription: changed now or later, cancelled, resumed, renewed, paid or not, heard of or not.

A state machine over the gateway, the fake Stripe and the worker. Whatever was lost on the way, after one look at Stripe
the books say what it says.
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.stripe.conftest import SECRET, set_up
from tests.stripe.plans.test_changes_to_come import PAGES, PLANS

from ptmeter import EventState, Meter, Status, StripeSubscription, SubscriptionNotFoundError, Tokenizers
from ptmeter.testing import Clock
from ptmeter.testing.stripe import FakeStripe, signature

OFFERS = [("lite", "month"), ("pro", "month"), ("pro", "year"), ("max", "month"), ("max", "year")]
OPEN = ("draft", "open", "uncollectible")


class Lives(RuleBasedStateMachine):
    """One account, of whose subscription some events come in, some late, and some never."""

    tokens = Tokenizers()

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.fake = FakeStripe(clock=self.clock, background=False).start()
        self.api = self.fake.client().v1
        stripe = set_up(self.fake)
        self.meter = Meter.open(
            "memory://", plans=PLANS, stripe=stripe, clock=self.clock, tokens=self.tokens
        )
        self.meter.payments.sync_plans()
        self.heard: set[str] = set()
        self.number = 0
        self.declines = False
        self.changed_at = 0.0
        self.shifted = False

    def teardown(self) -> None:
        self.look()
        self.meter.close()
        self.fake.stop()

    # --- what customers and time do ---

    @initialize(offer=st.sampled_from(OFFERS))
    def begin(self, offer: tuple[str, str]) -> None:
        page = self.meter.payments.subscribe("acme", *offer, key=self._key(), **PAGES)
        self.fake.complete_checkout(page.id)
        self.shifted = False
        self.hear_all()

    @precondition(lambda self: self.theirs() is None and not self.declines)
    @rule(offer=st.sampled_from(OFFERS))
    def begin_again(self, offer: tuple[str, str]) -> None:
        self.look()
        self.begin(offer)

    @precondition(lambda self: self.theirs() is not None and not self.declines)
    @rule(
        offer=st.sampled_from(OFFERS),
        when=st.sampled_from([None, "now", "period_end"]),
        proration=st.sampled_from(["create_prorations", "always_invoice", "none"]),
    )
    def change(self, offer: tuple[str, str], when: str | None, proration: str) -> None:
        plan, interval = offer
        before = self.theirs()
        more: Any = {"when": when, "proration": proration, "key": self._key()}
        changed = self.meter.payments.change("acme", plan, interval, **more)
        assert offer == (changed.pending or (changed.plan, changed.interval))[:2]
        assert not changed.ends_at_period_end
        assert changed == self.theirs()
        assert before
        if changed.plan != before.plan:
            self.changed_at = self.clock().timestamp()
        if (
            changed.interval != before.interval
        ):  # then Stripe's periods begin at another time than our cycles
            self.shifted = True

    @precondition(lambda self: self.theirs() is not None and self.declines)
    @rule(offer=st.sampled_from(OFFERS))
    def change_later(self, offer: tuple[str, str]) -> None:
        self.meter.payments.change("acme", *offer, when="period_end", key=self._key())

    @precondition(lambda self: self.theirs() is not None)
    @rule(later=st.booleans())
    def cancel(self, later: bool) -> None:
        self.meter.payments.cancel("acme", key=self._key(), when="period_end" if later else "now")

    @precondition(lambda self: self.theirs() is not None)
    @rule()
    def resume(self) -> None:
        self.meter.payments.resume("acme", key=self._key())

    @rule(declines=st.booleans())
    def take_another_card(self, declines: bool) -> None:
        self.declines = declines
        card = "pm_card_chargeCustomerFail" if declines else "pm_card_visa"
        who = self.fake.objects("customer")[0]["id"]
        method = self.api.payment_methods.attach(card, {"customer": who}).id
        for each in self.fake.objects("subscription"):
            if each["status"] not in {"canceled", "incomplete_expired"}:
                self.api.subscriptions.update(each["id"], {"default_payment_method": method})
        for each in self.fake.objects("invoice"):
            if each["status"] == "open" and not declines:
                self.api.invoices.pay(each["id"], {"payment_method": method})

    @rule(days=st.sampled_from([0.1, 3, 14, 28.2, 31, 45, 200]))
    def turn(self, days: float) -> None:
        self.clock.turn(timedelta(days=days))
        self.fake.catch_up()

    # --- what is heard of it ---

    @rule(data=st.data())
    def hear(self, data: st.DataObject) -> None:
        events = self.fake.events()
        new = [each for each in events if each["id"] not in self.heard]
        self.heard |= {each["id"] for each in new}
        wanted = data.draw(st.lists(st.sampled_from(new), max_size=4)) if new else []
        self._receive(wanted)

    @rule()
    def hear_all(self) -> None:
        self._receive([each for each in self.fake.events() if each["id"] not in self.heard])
        self.heard |= {each["id"] for each in self.fake.events()}

    @rule()
    def renew(self) -> None:
        assert not self.meter.plans.renew_due().failures

    @rule()
    def look(self) -> None:
        """Have one event come in that is about the subscription, and compare."""
        world = self.fake._world
        latest = max(
            world.every("subscription"), key=lambda each: (each["created"], each["id"]), default=None
        )
        if latest is None:
            return
        self._receive([world.emit("customer.subscription.updated", latest)])
        theirs, ours = self.theirs(), self.meter.plans.find("acme")
        if theirs is None:
            assert Status.ENDED is ours.status
            return
        item = latest["items"]["data"][0]
        unpaid = (
            world.get("invoice", latest["latest_invoice"])["status"] in OPEN or theirs.status != "active"
        )
        assert theirs.ends_at_period_end == (ours.ends_at == theirs.paid_until)
        assert theirs.ends_at_period_end == (ours.ends_at is not None)
        if unpaid:
            assert ours.paid_until
            assert ours.paid_until.timestamp() <= item["current_period_start"]
            assert ours.status in (Status.PAST_DUE, Status.CANCELLING)
        else:
            assert (theirs.plan, theirs.interval, theirs.pending) == (
                ours.plan,
                ours.interval,
                ours.pending,
            )
            assert theirs.paid_until == ours.paid_until
            assert ours.granted_until > self.clock()
            if not self.shifted and self.changed_at < item["current_period_start"]:
                allowance = PLANS.find(theirs.plan).allowance
                assert {unit: amount.micro for unit, amount in allowance.items()} == ours.allowance

    # --- what always holds ---

    @invariant()
    def nothing_is_dead(self) -> None:
        assert not self.meter.webhooks.backlog().counts.get(EventState.DEAD)

    def theirs(self) -> StripeSubscription | None:
        with suppress(SubscriptionNotFoundError):
            return self.meter.payments.subscription("acme")
        return None

    def _key(self) -> str:
        self.number += 1
        return f"k{self.number}"

    def _receive(self, events: list[Any]) -> None:
        for event in events:
            body = json.dumps(event).encode()
            header = signature(body, SECRET, int(self.clock().timestamp()))
            self.meter.webhooks.receive(body, {"Stripe-Signature": header})
        self.clock.turn(timedelta(milliseconds=5))
        self.meter.webhooks.work()


TestLives = pytest.mark.memory(Lives.TestCase)
TestLives.settings = settings(
    max_examples=40,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
