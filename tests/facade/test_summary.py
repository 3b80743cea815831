"""`Meter.summary`: a span's figures tie, and are what its statement adds up to."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from tests.facade.conftest import Opener

from ptmeter import (
    PT,
    AccountNotFoundError,
    InsufficientFundsError,
    InvalidArgumentError,
    Money,
    Overage,
    Policy,
    Usage,
)

if TYPE_CHECKING:
    from ptmeter import AsyncMeter, Summary
    from ptmeter.testing import Clock

pytestmark = pytest.mark.anyio

MINI = "gpt-4o-mini"
FULL = "gpt-4o"
HOUR = timedelta(hours=1)
EVER = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
CAME_IN = {
    "granted": ("grant",),
    "lent": ("advance",),
    "charged": ("settle", "debit"),
    "lapsed": ("lapse",),
}
GENEROUS = Policy(overage=Overage.ALLOW)


async def live(meter: AsyncMeter, clock: Clock, *, steps: int, seed: int) -> None:
    """Give, hold, settle above and below, let expire and lapse, debit: whatever *seed* has in store."""
    chosen = random.Random(seed)
    await meter.funds.grant("acme", core=9, advanced=9, source="trial", key=f"{seed}")
    for step in range(steps):
        key = f"{seed}-{step}"
        match chosen.randrange(6):
            case 0:
                lapses = clock() + chosen.randrange(1, 9) * HOUR
                await meter.funds.grant("acme", core=20, source="plan", key=key, expires_at=lapses)
            case 1 | 2:
                try:
                    held = await meter.hold("acme", core=3, key=key, ttl=2 * HOUR)
                except InsufficientFundsError:
                    await meter.funds.grant("acme", core=5, advanced=5, source="top-up", key=key)
                else:
                    if chosen.random() < 0.7:
                        await meter.settle(held, core=chosen.randrange(6), key=key)
            case 3:
                await meter.record("acme", model=MINI, response=Usage(input_uncached=2_000), key=key)
            case 4:
                await meter.record("acme", model=FULL, response=Usage(output_text=200), key=key)
            case _:
                await meter.sweep()
        clock.turn(timedelta(minutes=chosen.randrange(90)))


async def added_up(meter: AsyncMeter, since: datetime, until: datetime) -> dict[str, dict[str, PT]]:
    """The same figures from the statement, page by page."""
    sums: defaultdict[str, defaultdict[str, PT]] = defaultdict(lambda: defaultdict(lambda: PT(0)))
    after = None
    while True:
        page = await meter.statement("acme", since=since, until=until, after=after)
        for entry in page.entries:
            sums[entry.unit][entry.kind] += entry.amount
        if (after := page.after) is None:
            break
    return {
        unit: {figure: sum((kinds[kind] for kind in names), PT(0)) for figure, names in CAME_IN.items()}
        | {"lent": kinds["advance"] - kinds["repay"]}
        for unit, kinds in sums.items()
    }


async def agrees(meter: AsyncMeter, since: datetime, until: datetime) -> Summary:
    """The summary of a span, which ties and says what its statement says."""
    summary = await meter.summary("acme", since=since, until=until)
    assert all(unit.ties for unit in summary.units.values())
    expected = await added_up(meter, since, until)
    for name, unit in summary.units.items():
        figures = {figure: getattr(unit, figure) for figure in CAME_IN}
        assert figures == expected.get(name, dict.fromkeys(CAME_IN, PT(0)))
    return summary


async def test_spans_that_follow_each_other_add_up_to_the_whole(opened: Opener, clock: Clock) -> None:
    """What closes one opens the next, to the balance of today; nothing is counted twice or left out."""
    async with opened(clock=clock, policy=GENEROUS) as meter:
        start = clock()
        await live(meter, clock, steps=120, seed=1)
        whole = await agrees(meter, start, clock())
        step = (clock() - start) / 7
        spans = [await agrees(meter, start + n * step, start + (n + 1) * step) for n in range(7)]
        balance = await meter.balance("acme")
        await meter.sweep()

    for earlier, later in pairwise(spans):
        for name, unit in earlier.units.items():
            assert unit.closing == later.units[name].opening
    for name, unit in whole.units.items():
        assert PT(0) == unit.opening
        assert sum((span.units[name].charged for span in spans), PT(0)) == unit.charged
        assert balance[name].spent == unit.charged
    assert {(use.unit, use.model) for use in whole.models} == {("core", MINI), ("advanced", FULL)}


async def test_every_database_finds_the_span_by_bisection(database: str, clock: Clock) -> None:
    """Any two moments, those of a transfer among them: the summary is what the statement adds up to."""
    async with Opener(database, asynchronous=False, shared={})(clock=clock, policy=GENEROUS) as meter:
        await live(meter, clock, steps=60, seed=2)
        times = [entry.booked_at for entry in (await meter.statement("acme")).entries]
        chosen = random.Random(3)
        for _ in range(12):
            since, until = sorted(chosen.sample(sorted(set(times)), 2))
            await agrees(meter, since, until + chosen.choice([timedelta(0), timedelta(microseconds=1)]))
        await agrees(meter, *EVER)
        assert (await meter.verify()).clean


async def test_a_model_is_charged_what_its_calls_came_to(opened: Opener, clock: Clock) -> None:
    """Calls, PT and cost by model; what a call cost beyond its hold belongs to its model."""
    async with opened(clock=clock, policy=GENEROUS) as meter:
        await meter.funds.grant("acme", core=100, advanced=50, source="trial", key="trial")
        async with meter.call("acme", model=MINI, messages="Say hi", max_tokens=1, key="r1") as call:
            call.record(Usage(input_uncached=7_000, output_text=200))
        await meter.record("acme", model=MINI, response=Usage(input_uncached=20), key="r2")
        await meter.hold("acme", core=1, key="not rated")
        summary = await meter.summary("acme", since=EVER[0], until=EVER[1])

    (use,) = summary.models
    assert ("core", MINI, 2) == (use.unit, use.model, use.calls)
    assert PT.of(7) == use.charged == summary.units["core"].charged
    assert Money.usd("0.001173") == use.cost
    assert PT.of(1) == summary.units["core"].held
    assert PT.of(93) == summary.units["core"].closing


async def test_a_span_before_anything_was_booked_is_empty(meter: AsyncMeter) -> None:
    """An account that exists has a summary of any span."""
    since = datetime(2001, 1, 1, tzinfo=UTC)
    summary = await meter.summary("acme", since=since, until=since + HOUR)

    assert {PT(0)} == {figure for unit in summary.units.values() for figure in unit[2:]}
    assert () == summary.models


async def test_a_summary_is_of_an_account_and_a_span(meter: AsyncMeter) -> None:
    """What cannot be meant is refused, with what to do."""
    with pytest.raises(AccountNotFoundError):
        await meter.summary("nobody", since=EVER[0], until=EVER[1])
    with pytest.raises(InvalidArgumentError, match="ends after it begins"):
        await meter.summary("acme", since=EVER[1], until=EVER[0])
    with pytest.raises(InvalidArgumentError, match="no time zone"):
        await meter.summary("acme", since=EVER[0].replace(tzinfo=None), until=EVER[1])
