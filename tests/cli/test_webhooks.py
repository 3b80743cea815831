"""`ptmeter webhooks` and `ptmeter worker`, on a file and a fake Stripe."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from time import sleep
from typing import TYPE_CHECKING, Any

import pytest

from ptmeter import Meter
from ptmeter.cli.app import run
from ptmeter.stripe import Endpoint, Stripe
from ptmeter.testing.stripe import FakeStripe, signature

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.sqlite

KEY = "sk_test_1"
SECRET = "whsec_1"


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    with FakeStripe(background=False) as fake:
        yield fake


@pytest.fixture
def db(tmp_path: Path, fake: FakeStripe, monkeypatch: pytest.MonkeyPatch) -> str:
    """A ledger with the events of a top-up and of a price, not worked off."""
    url = f"sqlite:///{tmp_path}/pt.db"
    monkeypatch.setenv("PTMETER_DB", url)
    monkeypatch.setenv("PTMETER_STRIPE_KEY", KEY)
    monkeypatch.setenv("PTMETER_STRIPE_URL", fake.url)
    product: Any = {"currency": "usd", "unit_amount": 5_000, "product_data": {"name": "PT"}}
    asked: Any = {
        "mode": "payment",
        "success_url": "https://example.com/paid",
        "line_items": [{"price_data": product, "quantity": 1}],
        "payment_intent_data": {"metadata": {"ptmeter_account": "acme", "ptmeter_core": "100"}},
    }
    session = fake.client().v1.checkout.sessions.create(asked)
    fake.complete_checkout(session.id)
    endpoint = Endpoint(secrets=SECRET, livemode=False)
    with Meter.open(url, stripe=Stripe(endpoints=endpoint)) as meter:
        for event in fake.events("checkout.session.completed", "price.created"):
            body = json.dumps(event).encode()
            header = signature(body, SECRET, int(datetime.now(UTC).timestamp()))
            meter.webhooks.receive(body, {"Stripe-Signature": header})
    return url


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """What a command says as JSON."""
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_worker_works_off_what_waits(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A worker works off what waits."""
    assert told(capsys, "webhooks", "backlog")["counts"] == {
        "waiting": 1,
        "applied": 0,
        "parked": 1,
        "dead": 0,
        "resolved": 0,
    }

    done = told(capsys, "worker", "--once")

    assert done["looked_up"] == 1
    assert {"sweep", "catch_up", "sweep_events"} <= set(done["done"])
    assert told(capsys, "balance", "acme")["units"]["core"]["available"] == "100"
    # what was asked for meanwhile, because it never came, waits for the next round
    assert told(capsys, "worker", "--once")["done"] == []
    events = told(capsys, "webhooks", "list", "--state", "applied")["events"]
    assert {event["source"] for event in events} == {"webhook", "sweep"}


def test_events_are_listed_and_shown(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Events are listed and shown."""
    (parked,) = told(capsys, "webhooks", "list", "--state", "parked")["events"]

    assert parked["problem"] == "nothing is done about events of type price.created"
    assert run(["webhooks", "show", parked["id"]]) == 0
    assert json.loads(capsys.readouterr().out)["body"]["type"] == "price.created"
    assert run(["webhooks", "list"]) == 0
    assert "checkout.session.completed" in capsys.readouterr().out
    assert run(["webhooks", "list", "--state", "lost"]) == 2
    assert "take one of waiting" in capsys.readouterr().err


def test_a_dead_letter_is_resolved_or_retried(
    db: str, fake: FakeStripe, capsys: pytest.CaptureFixture[str]
) -> None:
    """A dead letter is resolved or retried."""
    (waiting,) = told(capsys, "webhooks", "list", "--state", "waiting")["events"]
    fake.fail(status=400, times=None)
    assert run(["worker", "--once", "--json"]) == 1  # asking for what did not come failed too
    capsys.readouterr()
    assert told(capsys, "webhooks", "list", "--state", "dead")["events"][0]["id"] == waiting["id"]

    fake.recover()
    assert told(capsys, "webhooks", "retry", waiting["id"])["state"] == "waiting"
    told(capsys, "worker", "--once")
    assert told(capsys, "webhooks", "list", "--state", "applied")["events"]
    resolve = ["webhooks", "resolve", waiting["id"], "--actor", "ann", "--reason", "x"]
    assert run(resolve) == 3
    assert "only dead letters" in capsys.readouterr().err


def test_what_did_not_come_is_asked_for(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What did not come is asked for."""
    assert told(capsys, "webhooks", "catch-up", "--all")["stored"] >= 2


def test_a_worker_that_is_told_to_stop_stops(db: str) -> None:
    """A worker that is told to stop stops."""
    process = subprocess.Popen([sys.executable, "-m", "ptmeter.cli", "worker", "--every", "0.1"])
    with Meter.open(db) as meter:
        for _ in range(200):
            if not meter.webhooks.backlog().oldest_waiting:
                break
            sleep(0.1)
        assert not meter.webhooks.backlog().oldest_waiting

    process.send_signal(signal.SIGTERM)

    assert process.wait(10) == 0


def test_what_came_in_long_ago_and_is_done_with_is_dropped(
    db: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What waits stays however old it is, and so does what Stripe may list again."""
    assert told(capsys, "webhooks", "prune") == {"dropped": 0}
    with Meter.open(db, clock=lambda: datetime.now(UTC) + timedelta(days=40)) as later:
        assert later.webhooks.prune(older_than=timedelta(days=39)) == 1
    assert [each["state"] for each in told(capsys, "webhooks", "list")["events"]] == ["waiting"]
    assert run(["webhooks", "prune", "--days", "31"]) != 0
    assert "32 days" in capsys.readouterr().err
