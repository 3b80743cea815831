"""Calls in quarantine under teams and limits, and of tiers without a price; `Meter` and `AsyncMeter` alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.facade.test_leaving import CONTRADICTION, MESSAGES, MINI
from tests.facade.test_quarantine import USAGE, WHO, spoil
from tests.facade.test_tiers import answer, charged

from ptmeter import (
    PT,
    ConfigurationError,
    IdempotencyConflictError,
    InvalidArgumentError,
    Processing,
    QuarantineResolvedError,
    UnknownModelError,
    UnknownTierError,
    Usage,
    UsageInconsistentError,
    Workload,
    read_plans,
)
from ptmeter.domain.usage import Quality
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter, Plans

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def plans(**limits: Any) -> Plans:
    """One plan, with these limits."""
    plan = {
        "price_per_month": 49,
        "allowance": {"core": 1000, "advanced": 50},
        "units": ["core", "advanced"],
    }
    return read_plans({"plans": {"pro": plan | limits}})


async def team(meter: AsyncMeter) -> None:
    """A team with PT, and its member ``ann``, who has none."""
    await meter.funds.grant("team", core=100, source="trial", key="trial")
    await meter.accounts.place("ann", under="team")


async def spoiled_by(meter: AsyncMeter, account: str, key: str) -> None:
    with pytest.raises(UsageInconsistentError):
        async with meter.call(account, model=MINI, messages=MESSAGES, key=key) as call:
            call.record(CONTRADICTION)


async def spent(meter: AsyncMeter, account: str) -> PT:
    return (await meter.balance(account)).core.spent


# --- whose PT it is ---


async def test_a_members_call_is_settled_with_the_teams_pt(opened: Opener) -> None:
    """The hold was the team's: so is the charge, and it counts for both; dismissed, the team has its PT back."""
    async with opened(plans=plans(), clock=Clock(NOON)) as meter:
        await team(meter)
        for key in ("a", "b"):
            await spoiled_by(meter, "ann", key)
        waiting = (await meter.quarantine.list()).calls

        first = await meter.quarantine.settle("ann", key="a", usage=USAGE, **WHO)
        again = await meter.quarantine.settle("ann", key="a", usage=USAGE, **WHO)
        await meter.quarantine.dismiss("ann", key="b", **WHO)

        assert {("ann", "team")} == {(call.account, call.payer) for call in waiting}
        assert (PT.of(1), True) == (first.charged["core"], again.replayed)
        assert (first.charged, first.available, first.charge) == (
            again.charged,
            again.available,
            again.charge,
        )
        balance = (await meter.balance("team")).core
        assert (PT.of(99), PT(0), PT.of(1)) == (balance.available, balance.held, balance.spent)
        report = await meter.verify()
        assert report.clean, report


async def test_whoever_pays_by_now_the_holds_payer_is_charged(opened: Opener) -> None:
    """The member left the team while its call waited: the team held PT for it, so the team pays, late."""
    clock = Clock(NOON)
    async with opened(plans=plans(), clock=clock) as meter:
        await team(meter)
        for key in ("a", "b"):
            await spoiled_by(meter, "ann", key)
        clock.turn(timedelta(days=2))
        await meter.sweep()
        await meter.accounts.place("ann", under=None)
        await meter.funds.grant("ann", core=10, source="trial", key="own")

        receipt = await meter.quarantine.settle("ann", key="a", usage=USAGE, **WHO)
        await meter.quarantine.dismiss("ann", key="b", **WHO)

        assert "the hold had expired" in receipt.warnings[0]
        assert (PT.of(1), PT(0)) == (await spent(meter, "team"), await spent(meter, "ann"))
        assert (await meter.verify()).clean


async def test_a_recorded_call_is_charged_to_who_pays_now(on_file: Opener) -> None:
    """It had set nothing aside. Who left the team since pays for itself, then and when it is asked for again."""
    async with on_file(plans=plans()) as meter:
        await team(meter)
        for key in ("a", "b"):
            with pytest.raises(UsageInconsistentError):
                await meter.record("ann", model=MINI, response=CONTRADICTION, key=key)
        assert None is (await meter.quarantine.find("ann", key="a")).payer

        await meter.quarantine.settle("ann", key="a", usage=USAGE, **WHO)
        await meter.accounts.place("ann", under=None)
        await meter.funds.grant("ann", core=10, source="trial", key="own")
        await meter.quarantine.settle("ann", key="b", usage=USAGE, **WHO)
        again = await meter.quarantine.settle("ann", key="a", usage=USAGE, **WHO)

        payers = [(await meter.quarantine.find("ann", key=key)).payer for key in ("a", "b")]
        assert (["team", "ann"], PT.of(99)) == (payers, again.available["core"])
        assert (PT.of(1), PT.of(1)) == (await spent(meter, "team"), await spent(meter, "ann"))
        assert (await meter.verify()).clean


async def test_without_plans_a_members_recorded_call_is_charged_to_nobody(on_file: Opener) -> None:
    """A meter that knows no teams would take the member's own PT: it says so, and the call goes on waiting."""
    async with on_file(plans=plans()) as meter:
        await team(meter)
        with pytest.raises(UsageInconsistentError):
            await meter.record("ann", model=MINI, response=CONTRADICTION, key="r")
    async with on_file() as without:
        with pytest.raises(ConfigurationError, match="'ann' uses the PT of 'team'"):
            await without.quarantine.settle("ann", key="r", usage=USAGE, **WHO)

        assert 1 == (await without.quarantine.backlog()).open


async def test_a_call_is_settled_at_the_multiple_it_was_admitted_at(opened: Opener) -> None:
    """Beyond a hard cap whoever agreed pays twice the rate, through quarantine as well; and so says its receipt."""
    share = {"core": {"soft": "0.05%", "hard": "0.1%", "overflow": 2}}
    async with opened(plans=plans(shares=share), clock=Clock(NOON)) as meter:
        await meter.plans.assign("acme", "pro", key="joins")
        await meter.accounts.agree_to_overflow("acme")
        await meter.record("acme", model=MINI, response=USAGE, key="first")
        await spoil(meter)

        first = await meter.quarantine.settle("acme", key="r1", usage=USAGE, **WHO)
        again = await meter.quarantine.settle("acme", key="r1", usage=USAGE, **WHO)

        assert {"core": PT.of(2)} == first.charged == again.charged
        assert first.charge == again.charge
        assert ["2 times" in each.warnings[0] for each in (first, again)] == [True, True]
        assert (await meter.verify()).clean


# --- how it was processed ---


async def at_warp(meter: AsyncMeter, key: str = "r1", **named: Any) -> None:
    """A call that was answered with a tier nobody knows."""
    await meter.funds.grant("acme", core=100, advanced=100, source="trial", key="trial")
    with pytest.raises(UnknownTierError):
        async with meter.call("acme", model="o3", messages=MESSAGES, key=key, **named) as call:
            call.record(answer("warp"))


O3 = Usage(input_uncached=1_000, output_text=100)


async def test_a_call_of_an_unknown_tier_is_settled_at_the_price_one_says(opened: Opener) -> None:
    """Nothing is assumed of it, what was asked for neither; decided alike again, it is the same receipt."""
    async with opened() as meter:
        await at_warp(meter, workload=Workload(processing=Processing.FLEX))
        with pytest.raises(InvalidArgumentError, match="say processing='standard'"):
            await meter.quarantine.settle("acme", key="r1", usage=O3, **WHO)
        with pytest.raises(InvalidArgumentError, match="no call is processed 'warp'"):
            await meter.quarantine.settle("acme", key="r1", usage=O3, processing="warp", **WHO)
        with pytest.raises(UnknownModelError, match="unknown price"):
            await meter.quarantine.settle("acme", key="r1", usage=O3, processing="unknown", **WHO)

        how: dict[str, Any] = {"usage": O3, **WHO}
        first = await meter.quarantine.settle("acme", key="r1", processing="priority", **how)
        again = await meter.quarantine.settle("acme", key="r1", processing=Processing.PRIORITY, **how)

        assert (Processing.PRIORITY, Processing.PRIORITY, 4_900_000) == charged(first) == charged(again)
        with pytest.raises(QuarantineResolvedError):
            await meter.quarantine.settle("acme", key="r1", processing="batch", **how)
        assert (await meter.verify()).clean


async def test_an_answer_that_was_put_right_says_how_it_was_processed(in_memory: Opener) -> None:
    """Unless one says otherwise; an answer that names the unknown tier still is no answer to that."""
    async with in_memory() as meter:
        for key in ("a", "b"):
            await at_warp(meter, key)
        with pytest.raises(UnknownTierError):
            await meter.quarantine.settle("acme", key="a", response=answer("warp"), **WHO)

        by_answer = await meter.quarantine.settle("acme", key="a", response=answer("flex"), **WHO)
        by_word = await meter.quarantine.settle(
            "acme", key="b", response=answer("warp"), processing="batch", **WHO
        )

        assert [Processing.FLEX, Processing.BATCH] == [charged(each)[0] for each in (by_answer, by_word)]


async def test_a_call_that_was_recorded_at_another_price_is_not_settled(opened: Opener) -> None:
    """Even where both come to the same PT: what is on record as decided is what was charged."""
    async with opened() as meter:
        await meter.funds.grant("acme", advanced=100, source="trial", key="trial")
        with pytest.raises(UnknownTierError):
            await meter.record("acme", model="o3", response=answer("warp"), key="r")
        recorded = await meter.record("acme", model="o3", response=answer("flex"), key="r")

        how: dict[str, Any] = {"usage": O3, **WHO}
        with pytest.raises(IdempotencyConflictError):
            await meter.quarantine.settle("acme", key="r", processing="batch", **how)
        settled = await meter.quarantine.settle("acme", key="r", processing="flex", **how)

        assert (recorded.charged, Quality.EXACT) == (
            settled.charged,
            settled.usage and settled.usage.quality,
        )
        assert (await meter.verify()).clean
