"""
What a webhook costs: checking and reading it, beside Stripe's own library, and taking it in, 200 at a time.

The event is a subscription's, as the fake Stripe sends it, padded to seven kilobytes as Stripe's own are. Run:
``python -m bench.bench_webhooks [--events N] [--backend PostgreSQL|SQLite|MariaDB]``.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from statistics import median, quantiles
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any

import stripe as sdk
from bench.ledger.databases import BACKENDS, durability
from rich.console import Console
from rich.table import Table

from ptmeter import Intake, Meter, SignatureInvalidError
from ptmeter.stripe import Endpoint, Stripe
from ptmeter.stripe.events import read_event
from ptmeter.stripe.signature import sign, verify
from ptmeter.testing.stripe import FakeStripe

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "whsec_bench"
SIZE = 7_000
PARALLEL = 200
RATE = 1_000
START = 0.5
ROUNDS, TIMES = 7, 200


def main() -> None:
    """Time both and print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--events", type=int, default=10_000, help="events to take in (default 10,000)")
    parser.add_argument("--backend", default="PostgreSQL", choices=[*BACKENDS])
    arguments = parser.parse_args()
    event = an_event()
    screen = Console()
    screen.print(read_table(json.dumps(event).encode()))
    with BACKENDS[arguments.backend]() as url:
        how = f"{arguments.backend}, {durability(arguments.backend)}"
        screen.print(intake_table(url, event, arguments.events, how))


def an_event() -> dict[str, Any]:
    """A ``customer.subscription.updated`` of about seven kilobytes."""
    with FakeStripe(background=False) as fake:
        api = fake.client().v1
        product = api.products.create({"name": "pro"})
        recurring: Any = {"currency": "usd", "unit_amount": 2_000, "product": product.id}
        recurring["recurring"] = {"interval": "month"}
        price = api.prices.create(recurring)
        card: Any = {"payment_method": "pm_card_visa"}
        card["invoice_settings"] = {"default_payment_method": "pm_card_visa"}
        customer = api.customers.create(card)
        api.subscriptions.create({"customer": customer.id, "items": [{"price": price.id}]})
        event = fake.events("customer.subscription.updated")[0]
    items = event["data"]["object"]["items"]["data"]
    while len(json.dumps(event)) < SIZE:
        items.append(items[0])
    return event


def read_table(body: bytes) -> Table:
    """Microseconds to check and read one event."""
    at = datetime.now(UTC)
    header = sign(body, SECRET.encode(), at=at)
    forged = header[:-4] + "0000"

    def ours() -> None:
        verify(body, header, [SECRET.encode()], at=at, tolerance=timedelta(minutes=5))
        read_event(body)

    def refuse() -> None:
        with suppress(SignatureInvalidError):
            verify(body, forged, [SECRET.encode()], at=at, tolerance=timedelta(minutes=5))

    def theirs() -> None:
        sdk.Webhook.construct_event(body, header, SECRET)

    taken = {
        "ptmeter": timed(ours),
        "stripe-python construct_event": timed(theirs),
        "a forgery": timed(refuse),
    }
    table = Table(title=f"checking and reading an event of {len(body):,} bytes")
    for column in ("", "µs", "x ptmeter"):
        table.add_column(column, justify="left" if not column else "right")
    for name, seconds in taken.items():
        table.add_row(name, f"{1e6 * seconds:,.0f}", f"{seconds / taken['ptmeter']:.1f}")
    return table


def timed(work: Callable[[], None]) -> float:
    """Seconds that *work* takes: the median of several rounds."""
    rounds: list[float] = []
    for _ in range(ROUNDS):
        began = perf_counter()
        for _ in range(TIMES):
            work()
        rounds.append((perf_counter() - began) / TIMES)
    return median(rounds)


def intake_table(url: str, event: dict[str, Any], events: int, how: str) -> Table:
    """Events a second and how long each took, all of one customer: as they come, as fast as it goes, once more."""
    stripe = Stripe(endpoints=Endpoint(secrets=SECRET, livemode=False))
    bodies = [json.dumps(event | {"id": f"evt_{number}"}).encode() for number in range(2 * events)]
    table = Table(title=f"taking in {events:,} events, {PARALLEL} at a time ({how})")
    for column in ("", "events/s", "p50 ms", "p99 ms", "not taken"):
        table.add_column(column, justify="left" if not column else "right")
    runs = (
        (f"{RATE:,} a second come in", Intake.STORED, bodies[:events], RATE),
        ("as fast as it goes", Intake.STORED, bodies[events:], None),
        ("once more", Intake.DUPLICATE, bodies[events:], None),
    )
    with Meter.open(url, stripe=stripe, migrate=True) as meter:
        take_in(
            meter, Intake.STORED, json.dumps(event).encode(), None
        )  # what is done once, when it is opened
        for name, outcome, sent, rate in runs:
            began = perf_counter()
            first = began + START  # once all callers are there
            due = [first + number / rate if rate else None for number in range(len(sent))]
            with ThreadPoolExecutor(PARALLEL) as pool:
                each = list(pool.map(partial(take_in, meter, outcome), sent, due))
            whole = perf_counter() - (first if rate else began)
            took = sorted(seconds for seconds, _ in each)
            table.add_row(
                name,
                f"{events / whole:,.0f}",
                f"{1e3 * median(took):.1f}",
                f"{1e3 * quantiles(took, n=100)[98]:.1f}",
                str(sum(not well for _, well in each)),
            )
    return table


def take_in(meter: Meter, outcome: Intake, body: bytes, due: float | None) -> tuple[float, bool]:
    """How long it took to take an event in, since it was *due* if that is said, and whether it came to that."""
    header = sign(body, SECRET.encode(), at=datetime.now(UTC))
    began = due or perf_counter()
    sleep(max(0.0, began - perf_counter()))
    received = meter.webhooks.receive(body, {"Stripe-Signature": header})
    return perf_counter() - began, received.outcome is outcome


if __name__ == "__main__":
    main()
