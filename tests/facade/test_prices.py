"""`meter.prices`, as people type it; every test runs against `Meter` and `AsyncMeter` alike."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.rerating import PriceList, card, used

from ptmeter import PT, Basis, InvalidArgumentError

if TYPE_CHECKING:
    from tests.facade.conftest import Opener

    from ptmeter.testing import Clock

pytestmark = pytest.mark.anyio


async def test_calls_are_rated_again_and_back(opened: Opener, clock: Clock) -> None:
    """Shown, posted once, and taken back; amounts in PT by account."""
    prices = PriceList(small=100_000)
    async with opened(card=card(), catalogue=prices, clock=clock) as meter:
        await meter.funds.grant("acme", core=100, source="test", key="g")
        span: dict[str, Any] = {"since": clock(), "until": clock() + timedelta(days=1)}
        await meter.record("acme", model="small", response=used(10_000), key="c")
        prices.rates = {"small": 50_000}
        who: dict[str, Any] = {"by": "ann", "reason": "the list was wrong"}

        foreseen = await meter.prices.preview(**span, model="small")
        done = await meter.prices.rerate(**span, **who)
        again = await meter.prices.rerate(**span, **who)

        assert [PT.of("-0.69")] == [change.amount for change in foreseen.accounts]
        assert (foreseen.accounts, 1, 0) == (done.accounts, done.posted, again.posted)
        assert PT.of("99.3") == (await meter.balance("acme")).core.available
        back = await meter.prices.rerate(**span, **who, basis=Basis.FIRST)
        assert 1 == back.posted
        assert PT.of("98.61") == (await meter.balance("acme")).core.available
        with pytest.raises(InvalidArgumentError, match="say why"):
            await meter.prices.rerate(**span, by="ann", reason=" ")
        assert (await meter.verify()).clean
