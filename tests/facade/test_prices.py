"""`meter.prices`, as people type it; every test runs against `Meter` and `AsyncMeter` alike."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.rerating import PriceList, card, used

from ptmeter import (
    PT,
    Basis,
    Ceiling,
    GenaiPrices,
    InvalidArgumentError,
    Money,
    Policy,
    read_prices,
)
from ptmeter.domain.usage import TOKEN_CLASSES
from ptmeter.operations import rerating

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


async def test_a_route_without_a_price_by_now_is_not_rated_as_another(
    on_file: Opener, clock: Clock
) -> None:
    """What was charged at a region's price stays so once that is gone: it is not rated at the maker's own, for less."""
    line = {"surcharge": "10%", "usd_per_million_tokens": {"input_uncached": 30, "output_text": 150}}
    prices = GenaiPrices(read_prices({"prices": {"anthropic-us/claude-opus-4-1": [line]}}))
    span: dict[str, Any] = {"since": clock(), "until": clock() + timedelta(days=1)}
    async with on_file(catalogue=prices, clock=clock) as meter:
        await meter.funds.grant("acme", advanced=1_000, source="test", key="g")
        await meter.record("acme", model="anthropic-us/claude-opus-4-1", response=used(10_000), key="c")
        before = (await meter.balance("acme")).advanced.spent

    async with on_file(clock=clock) as meter:
        report = await meter.prices.rerate(**span, by="ann", reason="the file is gone")

        assert ({"claude-opus-4-1": 1}, 0) == (dict(report.unrated), report.posted)
        assert before == (await meter.balance("acme")).advanced.spent
    async with on_file(catalogue=prices, clock=clock) as meter:
        assert {} == (await meter.prices.preview(**span)).unrated


async def test_what_was_charged_at_a_ceiling_is_listed_until_it_is_mended(
    opened: Opener, clock: Clock
) -> None:
    """By model: how many, for how much, since when; without a price, to be rated again, and put right."""
    prices = PriceList(small=100_000)
    ceiling = Ceiling("core", dict.fromkeys(TOKEN_CLASSES, 1_000_000))
    async with opened(card=card(), catalogue=prices, clock=clock, policy=Policy(unpriced=ceiling)) as meter:
        await meter.funds.grant("acme", core=1_000, source="test", key="g")
        clock.turn(timedelta(hours=1))
        began = clock()
        assert () == await meter.prices.unpriced()
        for number, model in enumerate(("new", "small", "new", "other", "banded")):
            await meter.record("acme", model=model, response=used(1_000), key=f"r{number}")
            clock.turn(timedelta(hours=1))

        banded, new, other = await meter.prices.unpriced()
        assert [("banded", 1, 1, 0), ("new", 2, 2, 0), ("other", 1, 1, 0)] == [
            (each.model, each.calls, each.unrated, each.ready) for each in (banded, new, other)
        ]
        assert (False, 2, began, began + timedelta(hours=2)) == (
            new.priced,
            new.waiting,
            new.first_at,
            new.last_at,
        )
        assert ({"core": PT.of("2.94")}, Money.usd("0.0022")) == (new.charged, new.cost)
        assert new.charged == new.parked

        prices.rates = {"small": 100_000, "new": 100_000}
        _, new, other = await meter.prices.unpriced()
        assert [(True, 0, 2), (False, 1, 0)] == [(m.priced, m.unrated, m.ready) for m in (new, other)]

        span: dict[str, Any] = {"since": began, "until": clock()}
        done = await meter.prices.rerate(**span, unpriced=True, by="ann", reason="it has a price now")
        _, mended, _ = await meter.prices.unpriced()
        assert (2, 2, 0, True) == (done.posted, mended.calls, mended.waiting, mended.priced)
        assert {"core": PT(0)} == mended.parked
        assert {
            "core": PT(new.charged["core"].micro + sum(c.amount.micro for c in done.accounts))
        } == mended.charged
        assert (await meter.verify()).clean


async def test_what_is_charged_at_a_ceiling_is_found_among_many(
    opened: Opener, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many pages it takes, and without a row of the journal being read that had a price."""
    prices = PriceList(small=100_000)
    ceiling = Ceiling("core", dict.fromkeys(TOKEN_CLASSES, 1_000_000))
    monkeypatch.setattr("ptmeter.operations.rerating.draft", partial(rerating.draft, rows=2))
    async with opened(card=card(), catalogue=prices, clock=clock, policy=Policy(unpriced=ceiling)) as meter:
        for account in ("acme", "zeta"):
            await meter.funds.grant(account, core=1_000, source="test", key="g")
            for number in range(5):
                await meter.record(account, model="small", response=used(1_000), key=f"s{number}")
                await meter.record(account, model="new", response=used(1_000), key=f"n{number}")
        for where in ("storage.memory.MemoryLedger", "storage.journal.Journal"):
            monkeypatch.setattr(f"ptmeter.{where}.journal", lambda *_, **__: pytest.fail("it reads on"))

        [new] = await meter.prices.unpriced()

        assert ("new", 10, 10) == (new.model, new.calls, new.waiting)
