"""A meter of either colour on every kind of ledger, and a fake Stripe that it is set up at."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

import pytest
from tests.facade.conftest import anyio_backend, asynchronous, on_file, opened, shared

from ptmeter.stripe import Endpoint, Stripe
from ptmeter.testing.stripe import FakeStripe, signature

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter, Received
    from ptmeter.ports import Books

__all__ = ["anyio_backend", "asynchronous", "on_file", "opened", "shared"]

SECRET = "whsec_fake"


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    """A Stripe that sends nothing by itself."""
    with FakeStripe(background=False) as fake:
        yield fake


def set_up(fake: FakeStripe) -> Stripe:
    """The platform as it is set up at that Stripe."""
    return Stripe(
        key="sk_test_1", url=fake.url, attempts=1, endpoints=Endpoint(secrets=SECRET, livemode=False)
    )


@pytest.fixture
async def meter(opened: Opener, fake: FakeStripe) -> AsyncIterator[AsyncMeter]:
    """A meter on an empty ledger."""
    async with opened(stripe=set_up(fake)) as meter:
        yield meter


async def read(meter: AsyncMeter, work: Callable[[Books], Any]) -> Any:
    """What the books say, of a meter of either colour."""
    found = meter._platform.read(work)
    return (await found) if isawaitable(found) else found


async def receive(meter: AsyncMeter, event: Any, *, at: datetime | None = None) -> Received:
    """Have an event come in, as Stripe sends it."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    header = signature(body, SECRET, int((at or datetime.now(UTC)).timestamp()))
    return await meter.webhooks.receive(body, {"Stripe-Signature": header})
