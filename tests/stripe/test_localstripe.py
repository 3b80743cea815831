"""
localstripe, a Stripe that we did not write: what it signs is taken in, and what got lost is asked for.

It is of another licence, so it runs in a process and an environment of its own, and is never imported here. Its
objects are those of 2017, so nothing is looked up there; `ptmeter.testing.stripe` is the fake for that.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
import stripe as sdk
from tests.backends import missing

from ptmeter import EventState, Meter
from ptmeter.stripe import Endpoint, Stripe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
INSTALLED = ROOT / ".venv/localstripe/bin/python"
PYTHON = os.environ.get("PTMETER_LOCALSTRIPE_PYTHON") or (str(INSTALLED) if INSTALLED.exists() else "")
SECRET = "whsec_local"
KEY = "sk_test_12345"

pytestmark = pytest.mark.sqlite

_LAUNCH = (
    "from aiohttp import web; from localstripe.server import app; "
    "web.run_app(app, host='127.0.0.1', port={port}, print=None)"
)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[str]:
    """The address of a localstripe, on the loopback interface."""
    if not PYTHON:
        missing(
            "localstripe", "no localstripe: make localstripe, or PTMETER_LOCALSTRIPE_PYTHON=/path/to/python"
        )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([PYTHON, "-c", _LAUNCH.format(port=port)], cwd=tmp_path)
    until(lambda: answers(port))
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(10)


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


def until(done: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something to be so."""
    end = monotonic() + seconds
    while not done():
        assert monotonic() < end, "it did not happen in time"
        sleep(0.05)


def receiver(url: str, port_file: Path) -> tuple[subprocess.Popen[bytes], int]:
    """An application in a process of its own, and the port that it listens on."""
    arguments = [sys.executable, "-m", "tests.stripe.receiver", url, str(port_file), SECRET]
    process = subprocess.Popen(arguments)
    until(lambda: port_file.exists() and bool(port_file.read_text()))
    return process, int(port_file.read_text())


def subscribe(client: sdk.StripeClient, plan: str) -> None:
    """A new customer with a card, on that plan: six events."""
    api = client.v1
    customer = api.customers.create({"email": "somebody@example.com"}).id
    card: Any = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}
    method = api.payment_methods.create({"type": "card", "card": card}).id
    api.payment_methods.attach(method, {"customer": customer})
    api.customers.update(customer, {"invoice_settings": {"default_payment_method": method}})
    asked: Any = {"customer": customer, "items": [{"plan": plan}]}
    api.subscriptions.create(asked)


def test_what_another_stripe_signs_is_taken_in_and_what_was_lost_is_asked_for(
    local: str, tmp_path: Path
) -> None:
    """Eighteen events of subscriptions; the receiver is killed in the middle, and localstripe sends nothing again."""
    url = f"sqlite:///{tmp_path}/pt.db"
    settings = Stripe(key=KEY, url=local, endpoints=Endpoint(secrets=SECRET, livemode=False))
    client = sdk.StripeClient(KEY, base_addresses={"api": local}, max_network_retries=0)
    process, port = receiver(url, tmp_path / "port")
    hook = urlencode({"url": f"http://127.0.0.1:{port}/", "secret": SECRET}).encode()
    urlopen(f"{local}/_config/webhooks/w1", hook).close()
    product = client.v1.products.create({"name": "pro", "type": "service"}).id
    plan = client.v1.plans.create(
        {"product": product, "amount": 2_000, "currency": "usd", "interval": "month"}
    ).id

    with Meter.open(url, stripe=settings) as meter:
        subscribe(client, plan)
        until(lambda: len(meter.webhooks.list()) == 8)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        subscribe(client, plan)
        subscribe(client, plan)
        sleep(1.5)  # localstripe sends a second later, to nobody
        taken = {kept.event.id for kept in meter.webhooks.list()}
        sent = {event.id for event in client.v1.events.list({"limit": 100}).data}
        assert len(taken) == 8 < len(sent)

        meter.webhooks.catch_up(undelivered=False)
        meter.webhooks.catch_up(undelivered=False)

        kept = {each.event.id: each for each in meter.webhooks.list()}
        assert kept.keys() == sent
        assert {each.altered for each in kept.values()} == {0}
        assert {each.state for each in kept.values()} == {EventState.WAITING, EventState.PARKED}
        assert {name for name, each in kept.items() if each.source == "webhook"} == taken
