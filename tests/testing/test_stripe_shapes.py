"""The fake's objects have the fields that Stripe's own examples have, where those examples are at hand."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Final

import pytest

from ptmeter.testing.stripe import FakeStripe

stripe = pytest.importorskip("stripe")

EXAMPLES: Final = Path(
    os.environ.get("PTMETER_STRIPE_EXAMPLES")
    or Path(__file__).resolve().parents[3] / "shared" / "data" / "stripe" / "fixtures3.json"
)
"""``openapi/fixtures3.json`` of Stripe's OpenAPI repository."""

ON_REQUEST: Final = {
    "charge": {"refunds"},
    "invoice": {"payments", "subscription"},
    "webhook_endpoint": {"secret"},
}
"""Fields that Stripe shows only when they are expanded, or once, or no longer."""

KINDS: Final = (
    *("account", "balance", "balance_transaction", "billing.meter", "billing.meter_event"),
    *("billing.meter_event_summary", "billing_portal.configuration", "billing_portal.session", "charge"),
    *("checkout.session", "coupon", "credit_note", "credit_note_line_item", "customer"),
    *("customer_balance_transaction", "deleted_customer", "discount", "dispute", "event", "invoice"),
    *("invoice_payment", "invoiceitem", "line_item", "payment_intent", "payment_method", "payout", "plan"),
    *("price", "product", "promotion_code", "refund", "setup_intent", "subscription", "subscription_item"),
    *("subscription_schedule", "tax_id", "tax_rate", "test_helpers.test_clock", "webhook_endpoint"),
)


def one_of_each(fake: FakeStripe) -> dict[str, dict[str, Any]]:
    """Make an object of every kind by the API, and return what the API shows of it."""
    v1: Any = fake.client().v1
    made: dict[str, Any] = {}
    made["test_helpers.test_clock"] = v1.test_helpers.test_clocks.create({"frozen_time": 1_577_836_800})
    made["customer"] = who = v1.customers.create({"payment_method": "pm_card_visa", "name": "A"})
    [made["payment_method"]] = v1.customers.payment_methods.list(who.id).data
    method = made["payment_method"].id
    made["product"] = product = v1.products.create({"name": "A"})
    recurring = {
        "product": product.id,
        "currency": "usd",
        "unit_amount": 1000,
        "recurring": {"interval": "month"},
    }
    made["price"] = v1.prices.create(recurring)
    made["plan"] = v1.plans.create(
        {"product": product.id, "currency": "usd", "amount": 1, "interval": "month"}
    )
    made["coupon"] = v1.coupons.create({"percent_off": 25.5})
    made["promotion_code"] = v1.promotion_codes.create(
        {"promotion": {"type": "coupon", "coupon": made["coupon"].id}}
    )
    made["tax_rate"] = v1.tax_rates.create({"display_name": "VAT", "percentage": 19, "inclusive": False})
    made["tax_id"] = v1.customers.tax_ids.create(who.id, {"type": "eu_vat", "value": "DE123456789"})
    made["setup_intent"] = v1.setup_intents.create(
        {"customer": who.id, "payment_method": method, "confirm": True}
    )
    made["customer_balance_transaction"] = v1.customers.balance_transactions.create(
        who.id, {"amount": -1, "currency": "usd"}
    )
    _bill(fake, made, v1, who.id, method)
    _pay(fake, made, v1)
    _meter(made, v1, who.id)
    made["billing_portal.session"] = v1.billing_portal.sessions.create({"customer": who.id})
    made["billing_portal.configuration"] = v1.billing_portal.configurations.create(
        {"features": {"invoice_history": {"enabled": True}}}
    )
    made["webhook_endpoint"] = v1.webhook_endpoints.create(
        {"url": "http://127.0.0.1:9", "enabled_events": ["nothing"]}
    )
    made["event"] = v1.events.list({"limit": 1, "type": "plan.created"}).data[0]
    made["account"] = v1.accounts.retrieve_current()
    made["balance"] = v1.balance.retrieve()
    made["deleted_customer"] = v1.customers.delete(v1.customers.create({}).id)
    return {
        kind: obj if isinstance(obj, dict) else json.loads(json.dumps(obj.to_dict(), default=str))
        for kind, obj in made.items()
    }


def _bill(fake: FakeStripe, made: dict[str, Any], v1: Any, who: str, method: str) -> None:
    v1.customers.update(who, {"invoice_settings": {"default_payment_method": method}})
    made["subscription"] = v1.subscriptions.create(
        {
            "customer": who,
            "items": [{"price": made["price"].id}],
            "discounts": [{"coupon": made["coupon"].id}],
        }
    )
    made["subscription_item"] = made["subscription"]["items"].data[0]
    [made["discount"]] = fake.objects("discount")
    made["invoice"] = v1.invoices.retrieve(made["subscription"].latest_invoice, {"expand": ["payments"]})
    made["line_item"] = made["invoice"].lines.data[0]
    made["invoice_payment"] = made["invoice"].payments.data[0]
    made["invoiceitem"] = v1.invoice_items.create({"customer": who, "amount": 500, "currency": "usd"})
    made["subscription_schedule"] = v1.subscription_schedules.create(
        {"from_subscription": made["subscription"].id}
    )
    made["credit_note"] = v1.credit_notes.create(
        {"invoice": made["invoice"].id, "amount": 100, "credit_amount": 100}
    )
    made["credit_note_line_item"] = made["credit_note"].lines.data[0]


def _pay(fake: FakeStripe, made: dict[str, Any], v1: Any) -> None:
    made["checkout.session"] = v1.checkout.sessions.create(
        {
            "mode": "payment",
            "success_url": "https://example.com",
            "line_items": [
                {"price_data": {"currency": "usd", "unit_amount": 1000, "product_data": {"name": "A"}}}
            ],
        }
    )
    made["payment_intent"] = v1.payment_intents.create(
        {"amount": 5000, "currency": "usd", "payment_method": "pm_card_bypassPending", "confirm": True}
    )
    made["charge"] = v1.charges.retrieve(made["payment_intent"].latest_charge)
    made["balance_transaction"] = v1.balance_transactions.retrieve(made["charge"].balance_transaction)
    made["refund"] = v1.refunds.create({"charge": made["charge"].id, "amount": 1})
    made["payout"] = v1.payouts.create({"amount": 1, "currency": "usd"})
    made["dispute"] = fake.dispute(made["charge"].id)


def _meter(made: dict[str, Any], v1: Any, who: str) -> None:
    made["billing.meter"] = meter = v1.billing.meters.create(
        {"display_name": "A", "event_name": "a", "default_aggregation": {"formula": "sum"}}
    )
    payload = {"stripe_customer_id": who, "value": "1"}
    made["billing.meter_event"] = v1.billing.meter_events.create({"event_name": "a", "payload": payload})
    span = {"customer": who, "start_time": 0, "end_time": 60}
    [made["billing.meter_event_summary"]] = v1.billing.meters.event_summaries.list(meter.id, span).data


@pytest.fixture(scope="module")
def shown() -> dict[str, dict[str, Any]]:
    with FakeStripe() as fake:
        return one_of_each(fake)


@pytest.mark.parametrize("kind", KINDS)
def test_an_object_has_the_fields_of_stripes_example(shown: dict[str, dict[str, Any]], kind: str) -> None:
    """The fields are those of the example, no less and no more, but for what Stripe shows on request only."""
    if not EXAMPLES.is_file():
        pytest.skip("no examples: name Stripe's fixtures3.json in PTMETER_STRIPE_EXAMPLES")
    examples = json.loads(EXAMPLES.read_text(encoding="utf-8"))["resources"]

    assert set() == (set(examples[kind]) ^ set(shown[kind])) - ON_REQUEST.get(kind, set())


@pytest.mark.parametrize(
    "kind",
    sorted(
        set(KINDS)
        - {"balance", "discount", "deleted_customer", "billing.meter_event", "billing.meter_event_summary"}
    ),
)
def test_an_object_says_what_it_is(shown: dict[str, dict[str, Any]], kind: str) -> None:
    """Every object has its kind and an id, and nothing that is the fake's own."""
    assert kind == shown[kind]["object"]
    assert shown[kind]["id"]
    assert [] == [name for name in shown[kind] if name.startswith("_")]


def test_every_event_can_be_read() -> None:
    """stripe-python constructs each event that was emitted on the way, objects and all."""
    with FakeStripe() as fake:
        one_of_each(fake)
        kinds = set()
        for event in fake.events():
            body, signed = fake.fat(event["id"])
            kinds.add(stripe.Webhook.construct_event(body, signed, "whsec_fake").type)

    assert len(kinds) > 30
