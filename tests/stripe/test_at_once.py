"""What many ask for at the same moment, on every database: customers, and reports of metered usage."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from tests.backends import SERVERS

from ptmeter import Meter
from ptmeter.domain.metered_usage import TOPIC
from ptmeter.stripe import Metered, Stripe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.backends import Backend

    from ptmeter.testing.stripe import FakeStripe

MANY = 8


@pytest.fixture(params=SERVERS)
def url(request: pytest.FixtureRequest, backend_of: Callable[[str], Backend]) -> str:
    """The URL of an empty ledger on every database."""
    return backend_of(request.param).empty()


@pytest.fixture
def meters(url: str, fake: FakeStripe) -> Iterator[list[Meter]]:
    """As many meters as processes, on one ledger."""
    metered = {"advanced": Metered(event="ptmeter_advanced", since=datetime.now(UTC).date())}
    stripe = Stripe(key="sk_test_1", url=fake.url, metered=metered)
    opened = [Meter.open(url, stripe=stripe) for _ in range(MANY)]
    yield opened
    for meter in opened:
        meter.close()


def test_an_account_is_one_customer_whoever_asks(meters: list[Meter], fake: FakeStripe) -> None:
    """Each is told the same one, and Stripe made no other."""
    with ThreadPoolExecutor(MANY) as pool:
        found = set(pool.map(lambda meter: meter.payments.customer("acme"), meters))

    assert found == {each["id"] for each in fake.objects("customer")}
    assert 1 == len(found)


def test_usage_is_reported_once_whoever_reports_it(meters: list[Meter], fake: FakeStripe) -> None:
    """While it grows: what the messages say in sum is what was charged."""
    first = meters[0]
    first.funds.grant("acme", advanced=1_000, source="credit", key="g")
    first.payments.customer("acme")

    def work(number: int) -> None:
        meter = meters[number]
        for turn in range(5):
            key = f"{number}:{turn}"
            meter.settle(meter.hold("acme", advanced=3, key=key), advanced=2, key=key)
            meter.payments.report_usage()

    with ThreadPoolExecutor(MANY) as pool:
        list(pool.map(work, range(MANY)))
    first.payments.report_usage()
    fake.client().v1.billing.meters.create(
        {
            "display_name": "Advanced PT",
            "event_name": "ptmeter_advanced",
            "default_aggregation": {"formula": "sum"},
        }
    )
    first.outbox.deliver(first.payments.handlers, limit=1_000)

    billed = sum(int(each["payload"]["value"]) for each in fake.objects("billing.meter_event"))
    assert MANY * 5 * 2_000_000 == billed == first.balance("acme").advanced.spent.micro
    assert all(each.delivered_at for each in first.outbox.list(topic=TOPIC, limit=1_000))
    assert first.verify().clean
