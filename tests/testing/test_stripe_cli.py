"""Stripe's own command line drives the fake: what it triggers runs through, and the event is there."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest
from tests.backends import missing

from ptmeter.testing.stripe import FakeStripe

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PLACES: Final = (ROOT / ".venv" / "stripe-cli" / "node_modules" / ".bin", ROOT / "node_modules" / ".bin")
CLI: Final = os.environ.get("PTMETER_STRIPE_CLI") or next(
    filter(None, (shutil.which("stripe", path=str(place)) for place in PLACES)), None
)

TRIGGERS: Final = (
    "balance.available",
    "billing_portal.configuration.created",
    "billing_portal.session.created",
    "charge.captured",
    "charge.dispute.closed",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.failed",
    "charge.refund.updated",
    "charge.refunded",
    "charge.succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "checkout.session.expired",
    "coupon.created",
    "credit_note.created",
    "credit_note.updated",
    "credit_note.voided",
    "customer.created",
    "customer.deleted",
    "customer.discount.created",
    "customer.discount.deleted",
    "customer.discount.updated",
    "customer.source.updated",
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.trial_will_end",
    "customer.subscription.updated",
    "customer.updated",
    "invoice.created",
    "invoice.deleted",
    "invoice.finalized",
    "invoice.marked_uncollectible",
    "invoice.paid",
    "invoice.payment_action_required",
    "invoice.payment_failed",
    "invoice.payment_succeeded",
    "invoice.sent",
    "invoice.updated",
    "invoice.voided",
    "invoiceitem.created",
    "invoiceitem.deleted",
    "payment_intent.amount_capturable_updated",
    "payment_intent.canceled",
    "payment_intent.created",
    "payment_intent.payment_failed",
    "payment_intent.processing",
    "payment_intent.requires_action",
    "payment_intent.succeeded",
    "payment_method.attached",
    "payment_method.detached",
    "payment_method.updated",
    "payout.created",
    "payout.updated",
    "plan.created",
    "price.created",
    "product.created",
    "product.deleted",
    "promotion_code.created",
    "setup_intent.created",
    "setup_intent.requires_action",
    "setup_intent.setup_failed",
    "setup_intent.succeeded",
    "subscription_schedule.canceled",
    "subscription_schedule.created",
    "subscription_schedule.released",
    "subscription_schedule.updated",
    "tax_rate.created",
    "test_helpers.test_clock.advancing",
    "test_helpers.test_clock.created",
    "test_helpers.test_clock.deleted",
    "test_helpers.test_clock.ready",
)


@pytest.fixture
def cli() -> str:
    if CLI is None:
        missing("stripe-cli", "no Stripe CLI: make stripe-cli, or name one in PTMETER_STRIPE_CLI")
    return CLI


@pytest.mark.parametrize("event", TRIGGERS)
def test_what_the_command_line_triggers_happens(event: str, cli: str, tmp_path: Path) -> None:
    """``stripe trigger`` exits with 0, and the event it is for was emitted."""
    settings = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "STRIPE_CLI_TELEMETRY_OPTOUT": "1"}
    with FakeStripe() as fake:
        command = [cli, "trigger", event, "--api-key", "sk_test_1234567890123", "--api-base", fake.url]
        done = subprocess.run(
            command, env={**os.environ, **settings}, capture_output=True, text=True, timeout=60, check=False
        )

        assert 0 == done.returncode, done.stderr
        assert event in {each["type"] for each in fake.events()}
