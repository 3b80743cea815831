"""`meter.periods`, as people type it; every test runs against `Meter` and `AsyncMeter` alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from ptmeter import (
    PT,
    ApprovalMissingError,
    InvalidArgumentError,
    PeriodNotOverError,
    PeriodNotSealedError,
    PeriodOrderError,
    PeriodReport,
)
from ptmeter.domain.periods import PeriodState

if TYPE_CHECKING:
    from tests.facade.conftest import Opener

    from ptmeter.testing import Clock

pytestmark = pytest.mark.anyio

IN_FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)


async def test_a_month_is_closed_and_reported(opened: Opener, clock: Clock) -> None:
    """A month is refused while it lasts; closed, it is sealed, listed, and adds up."""
    async with opened(clock=clock) as meter:
        await meter.funds.grant("acme", core=100, source="trial", key="t")
        hold = await meter.hold("acme", core=10, key="h")
        await meter.settle(hold, core=4, key="h")
        with pytest.raises(PeriodNotOverError):
            await meter.periods.close("2026-01", by="ann")
        clock.turn(IN_FEBRUARY - clock())

        sealed = await meter.periods.close("2026-01", by="ann")
        moves = await meter.periods.roll_forward("2026-01")
        balance = await meter.periods.trial_balance("2026-01")

        assert isinstance(sealed, PeriodReport)
        assert f"2026-01 is sealed: 1 wallets, {sealed.hash}" == str(sealed)
        assert sealed == await meter.periods.close("2026-01", by="bob")
        assert (sealed,) == await meter.periods.list()
        assert sealed == await meter.periods.show("2026-01")
        [total] = moves.totals
        assert (PT.of(100), PT.of(4), PT.of(96)) == (total.granted, total.charged, total.closing)
        assert moves.ties
        assert balance.balanced
        assert (await meter.verify()).clean


async def test_a_ledger_without_accounts_begins_with_the_month_it_is_in(
    opened: Opener, clock: Clock
) -> None:
    """A slip of the year closes nothing: all the months since would have to be closed after it."""
    async with opened(clock=clock) as meter:
        with pytest.raises(PeriodOrderError, match="2026-01 comes first"):
            await meter.periods.close("2020-01", by="ann")
        with pytest.raises(PeriodNotOverError):
            await meter.periods.close("2026-01", by="ann")

        assert () == await meter.periods.list()


async def test_more_wallets_than_a_page(opened: Opener, clock: Clock) -> None:
    """Wallets are recorded page after page until none is left."""
    async with opened(clock=clock) as meter:
        for n in range(103):
            await meter.funds.grant(f"a{n}", core=1, source="trial", key="t")
        clock.turn(IN_FEBRUARY - clock())

        sealed = await meter.periods.close("2026-01", by="ann")

        assert 103 == sealed.wallets
        assert (await meter.verify()).clean


async def test_a_month_is_reopened_by_two(opened: Opener, clock: Clock) -> None:
    """One person cannot; two can, with a reason, and nothing final is reported until it is closed again."""
    async with opened(clock=clock) as meter:
        await meter.funds.grant("acme", core=100, source="trial", key="t")
        clock.turn(IN_FEBRUARY - clock())
        await meter.periods.close("2026-01", by="ann")
        with pytest.raises(ApprovalMissingError):
            await meter.periods.reopen("2026-01", reason="a fault", by="ann", approved_by="ANN")
        with pytest.raises(InvalidArgumentError, match="say why"):
            await meter.periods.reopen("2026-01", reason=" ", by="ann", approved_by="bob")

        reopened = await meter.periods.reopen("2026-01", reason="a fault", by="ann", approved_by="bob")

        assert (PeriodState.REOPENED, "2026-01 is reopened") == (reopened.state, str(reopened))
        with pytest.raises(PeriodNotSealedError):
            await meter.periods.trial_balance("2026-01")


@pytest.mark.parametrize("name", ["2026-13", "2026-1", "08/2026", "", "1969-12", "9999-01", "٢٠٢٦-01"])
async def test_what_is_no_month_is_refused(in_memory: Opener, name: str) -> None:
    """A month is written as in 2026-08, and nothing else is taken for one."""
    async with in_memory() as meter:
        with pytest.raises(InvalidArgumentError, match="is no month"):
            await meter.periods.close(name, by="ann")


async def test_who_closes_is_on_record(in_memory: Opener, clock: Clock) -> None:
    """Nobody, or a name that cannot be read, closes no month."""
    clock.turn(timedelta(days=40))
    async with in_memory(clock=clock) as meter:
        for nobody in ("", "  ", "a\nb", "x" * 201):
            with pytest.raises(InvalidArgumentError, match="say who"):
                await meter.periods.close("2026-01", by=nobody)
