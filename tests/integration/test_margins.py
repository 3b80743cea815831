"""Roll-ups on databases: writers at once, calls rated again, and the same as in memory."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from tests.integration.wiring import meter_on, servers
from tests.rerating import PriceList, card, used

from ptmeter import Money, Usage
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.backends import Backend

    from ptmeter import Meter

CALLS = 60
START = datetime(2026, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_writers_of_one_account_lose_nothing(name: str, backend_of: Callable[[str], Backend]) -> None:
    """Two processes' worth of meters, four threads each, one account: every call is in its roll-up."""
    url = backend_of(name).empty()
    with meter_on(url) as one, meter_on(url) as other:
        one.funds.grant("acme", core=1_000, source="top-up", key="g")

        def call(number: int) -> None:
            writer: Meter = (one, other)[number % 2]
            usage = Usage(input_uncached=1_000, output_text=100)
            writer.record("acme", model="gpt-4o-mini", response=usage, key=f"c{number}")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(call, range(CALLS)))
        lines = one.margins.report(by="model").lines

        assert [(CALLS, Money.usd("0.60"))] == [(sum(x.calls for x in lines), lines[0].revenue)]
        assert one.verify().clean


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_rating_again_is_earned_on_the_day_it_is_done(
    name: str, backend_of: Callable[[str], Backend]
) -> None:
    """What was earned in January stays; the corrections are February's, under the calls' own model."""
    url, clock = backend_of(name).empty(), Clock(START)
    prices = PriceList(small=100_000)
    with meter_on(url, card=card(), catalogue=prices, clock=clock) as meter:
        meter.funds.grant("acme", core=1_000, source="test", key="g")
        for number in range(3):
            meter.record("acme", model="small", response=used(9_000 + number), key=f"c{number}")
        before = meter.margins.report(by="day").lines
        clock.turn(timedelta(days=30))
        prices.rates = {"small": 50_000}
        again = meter.prices.rerate(
            since=START, until=START + timedelta(days=1), by="ann", reason="the list was wrong"
        )
        after = meter.margins.report(by="day").lines

        assert 3 == again.posted
        assert (before[0].revenue, 3) == (after[0].revenue, after[0].calls)
        assert (0, Money(0), "2026-02-04") == (after[1].calls, after[1].cost, after[1].name)
        (model,) = meter.margins.report(by="model").lines
        spent = sum(each.charged_again.micro for each in again.models)
        assert ("small", Money(spent * 10)) == (model.name, model.revenue)
        assert meter.verify().clean
