"""A meter with plans and a fake Stripe that go by one clock, and somebody who pays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.stripe.conftest import set_up
from tests.stripe.plans.customers import PLANS, Customer

from ptmeter.testing.stripe import FakeStripe

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter, Plans
    from ptmeter.testing import Clock


@pytest.fixture
def fake(clock: Clock) -> Iterator[FakeStripe]:
    with FakeStripe(clock=clock, background=False) as fake:
        yield fake


@pytest.fixture
def plans() -> Plans:
    """What is sold; a module may sell something else."""
    return PLANS


@pytest.fixture
async def meter(opened: Opener, fake: FakeStripe, clock: Clock, plans: Plans) -> AsyncIterator[AsyncMeter]:
    async with opened(stripe=set_up(fake), plans=plans, clock=clock) as meter:
        yield meter


@pytest.fixture
def customer(fake: FakeStripe, meter: AsyncMeter, clock: Clock) -> Customer:
    return Customer(fake, meter, clock)
