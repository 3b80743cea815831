"""`ptmeter payments`, on a file and a fake Stripe."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ptmeter import Meter
from ptmeter.cli.app import run
from ptmeter.stripe import Stripe
from ptmeter.testing.stripe import FakeStripe

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.sqlite

KEY = "sk_test_1"


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    """A Stripe that sends nothing by itself."""
    with FakeStripe(background=False) as fake:
        yield fake


@pytest.fixture
def payment(tmp_path: Path, fake: FakeStripe, monkeypatch: pytest.MonkeyPatch) -> str:
    """A payment of US$10 for 1,000 core PT, of which acme has used 900."""
    url = f"sqlite:///{tmp_path}/pt.db"
    monkeypatch.setenv("PTMETER_DB", url)
    monkeypatch.setenv("PTMETER_STRIPE_KEY", KEY)
    monkeypatch.setenv("PTMETER_STRIPE_URL", fake.url)
    pages: Any = {"success_url": "https://example.com/paid", "cancel_url": "https://example.com/"}
    with Meter.open(url, stripe=Stripe(key=KEY, url=fake.url)) as meter:
        session = meter.payments.checkout("acme", core=1000, key="order-1", **pages)
        paid: str = fake.complete_checkout(session.id)["payment_intent"]
        meter.payments.refresh(paid)
        meter.settle(meter.hold("acme", core=900, key="h"), core=900, key="s")
    return paid


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """What a command says as JSON."""
    assert run([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_payments_are_listed(payment: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With exact amounts for scripts, and in a table for people."""
    (found,) = told(capsys, "payments", "list", "--account", "acme")["payments"]
    nobody = told(capsys, "payments", "list", "--account", "other")["payments"]
    run(["payments", "list"])
    shown = capsys.readouterr().out

    assert (payment, "10", "USD", {"core": "1000"}) == (
        found["id"],
        found["amount"],
        found["currency"],
        found["granted"],
    )
    assert [] == nobody
    assert payment in shown
    assert "$10.00" in shown


def test_a_refund_takes_the_pt_back_at_once(payment: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same key gives back once; what had been used is owed."""
    for _ in range(2):
        done = told(capsys, "payments", "refund", payment, "--key", "t-1", "--amount", "2.50")
    by_pt = told(capsys, "payments", "refund", payment, "--key", "t-2", "--pt", "core=100")
    run(["payments", "show", payment])
    shown = capsys.readouterr().out

    assert ("2.5", "made") == (done["refund"]["amount"], done["refund"]["stage"])
    assert ("2.5", {"core": "250"}, "150") == (
        done["payment"]["refunded"],
        done["payment"]["taken"],
        done["payment"]["owed"],
    )
    assert "3.5" == by_pt["payment"]["refunded"]
    assert done["refund"]["id"] in shown


def test_a_dispute_is_seen_once_it_is_looked_up(
    payment: str, fake: FakeStripe, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a webhook having come in: --refresh asks Stripe."""
    fake.dispute(fake.objects("charge")[0]["id"])
    before = told(capsys, "payments", "show", payment)
    after = told(capsys, "payments", "show", payment, "--refresh")

    assert ("0", "10") == (before["disputed"], after["disputed"])
    assert ("dispute", "open") == (after["claims"][0]["kind"], after["claims"][0]["stage"])


def test_what_cannot_be_is_refused_in_a_sentence(payment: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the exit code that tells a script the same."""
    assert run(["payments", "show", "pi_none"]) == 2
    assert run(["payments", "refund", payment, "--key", "k", "--amount", "11"]) == 3
    assert run(["payments", "refund", payment, "--key", "k", "--pt", "core=5000"]) == 2

    assert "brought 1,000 PT core" in capsys.readouterr().err
