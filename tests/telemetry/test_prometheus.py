"""What Prometheus reads of a ledger: the queues as they stand at that moment."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families
from tests.facade.test_leaving import CONTRADICTION
from tests.rerating import PriceList, card, used

from ptmeter import Ceiling, Meter, Policy, StorageError, Usage, UsageInconsistentError
from ptmeter.domain.usage import TOKEN_CLASSES
from ptmeter.stripe import Endpoint, Stripe
from ptmeter.stripe.signature import sign
from ptmeter.telemetry.prometheus import GAUGES, MeterCollector, exposition
from ptmeter.testing.stripe import FakeStripe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ptmeter.testing import Clock

pytestmark = pytest.mark.memory


@pytest.fixture
def prices() -> PriceList:
    return PriceList(small=100_000)


@pytest.fixture
def meter(clock: Clock, prices: PriceList) -> Iterator[Meter]:
    ceiling = Ceiling("core", dict.fromkeys(TOKEN_CLASSES, 1_000_000))
    policy = Policy(unpriced=ceiling)
    with Meter.open("memory://", card=card(), catalogue=prices, clock=clock, policy=policy) as opened:
        opened.funds.grant("acme", core=1_000, source="test", key="g")
        clock.turn(timedelta(hours=1))
        yield opened


def read(text: str) -> dict[tuple[str, ...], float]:
    """The figures in an exposition, by name and labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_an_empty_ledger_has_nothing_waiting(meter: Meter) -> None:
    """Zero is said, so that an alert can tell it from a scrape that failed; there are no models to say it of."""
    expected = {(name,): 0.0 for name, (_, labels) in GAUGES.items() if not labels}

    assert expected == read(exposition(meter))


def test_what_waits_is_exported_as_it_stands(meter: Meter, clock: Clock, prices: PriceList) -> None:
    """Quarantine, calls without a price and open holds; and it goes when somebody has dealt with it."""
    for key in ("a", "b"):
        with pytest.raises(UsageInconsistentError):
            meter.record("acme", model="small", response=CONTRADICTION, key=key)
        meter.hold("acme", core=1, key=key, ttl=timedelta(minutes=1))
    for key in ("c", "d"):
        meter.record("acme", model="new", response=used(1_000), key=key)
    clock.turn(timedelta(minutes=10))
    parked = float(meter.balance("acme").core.spent.whole)

    found = read(exposition(meter))

    assert {
        ("ptmeter_quarantine_open",): 2.0,
        ("ptmeter_quarantine_oldest_seconds",): 600.0,
        ("ptmeter_unpriced_calls", "new"): 2.0,
        ("ptmeter_unpriced_pt", "new", "core"): parked,
        ("ptmeter_open_holds",): 2.0,
        ("ptmeter_open_holds_overdue_seconds",): 540.0,
        **{(name,): 0.0 for name in GAUGES if "webhooks" in name},
    } == found

    prices.rates = {"small": 100_000, "new": 100_000}
    span: dict[str, Any] = {"since": clock() - timedelta(days=1), "until": clock()}
    meter.prices.rerate(**span, unpriced=True, by="ann", reason="it has a price now")
    meter.quarantine.settle("acme", key="a", usage=Usage(output_text=6), actor="ann", reason="so it is")
    meter.quarantine.dismiss("acme", key="b", actor="ann", reason="it was none")
    meter.sweep()

    assert {0.0} == set(read(exposition(meter)).values())
    assert {key for key in found if key[0] != "x"} == set(read(exposition(meter)))


def test_webhooks_that_wait_or_are_dead_are_exported(clock: Clock) -> None:
    """How many there are of either, and since when the oldest waits, or came in."""
    with FakeStripe(background=False, clock=clock) as fake:
        endpoint = Endpoint(secrets="whsec_1", livemode=False)
        stripe = Stripe(key="sk_test_1", url=fake.url, attempts=1, endpoints=endpoint)
        with Meter.open("memory://", clock=clock, stripe=stripe) as meter:
            for number, kind in enumerate(("charge", "charge", "novelty")):
                about = {"id": f"ch_{number}", "object": kind, "payment_intent": f"pi_{number}"}
                event = {
                    "id": f"evt_{number}",
                    "object": "event",
                    "type": f"{kind}.created",
                    "livemode": False,
                }
                body = json.dumps(event | {"created": 1_700_000_000, "data": {"object": about}}).encode()
                header = sign(body, b"whsec_1", at=clock())
                meter.webhooks.receive(body, {"Stripe-Signature": header})
                clock.turn(timedelta(minutes=1))
            meter.webhooks.work(limit=1)  # nobody knows of it at that Stripe
            clock.turn(timedelta(minutes=5))

            found = read(exposition(meter))

    assert {
        "ptmeter_webhooks_waiting": 1.0,
        "ptmeter_webhooks_waiting_oldest_seconds": 420.0,
        "ptmeter_webhooks_dead": 1.0,
        "ptmeter_webhooks_dead_oldest_seconds": 480.0,
    } == {name: value for (name, *_), value in found.items() if "webhooks" in name}


def test_a_collector_is_registered_without_a_database(
    meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says its names; the figures are read when they are asked for, each time anew."""

    def unreachable() -> None:
        msg = "there is no database"
        raise StorageError(msg)

    registry, collector = CollectorRegistry(), MeterCollector(meter)
    monkeypatch.setattr(meter, "open_holds", unreachable)

    registry.register(collector)

    assert list(GAUGES) == [family.name for family in collector.describe()]
    with pytest.raises(StorageError, match="no database"):
        list(registry.collect())


def test_calls_without_a_price_can_be_left_out(meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nothing of them is read, and no gauge claims that there are none."""
    monkeypatch.setattr(meter.prices, "unpriced", lambda: pytest.fail("they are read"))

    found = read(exposition(meter, unpriced=False))

    assert {(name,) for name, (_, labels) in GAUGES.items() if not labels} == set(found)


def test_without_the_extra_it_says_what_to_install() -> None:
    """The module cannot be imported, and the error is one sentence with the extra's name."""
    script = (
        "import sys; sys.modules['prometheus_client'] = None\n"
        "try:\n    import ptmeter.telemetry.prometheus\n"
        "except ImportError as error:\n    print(error)"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert (
        "metrics for Prometheus need prometheus-client: pip install 'ptmeter[prometheus]'\n" == done.stdout
    )
