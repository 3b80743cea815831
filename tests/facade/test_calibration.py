"""Estimates learn from settled calls, for all processes on one database, and never at a call's expense."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from tests.facade.colours import transaction

from ptmeter import (
    PT,
    Calibration,
    ContentionError,
    InvalidArgumentError,
    Policy,
    Quality,
    Quantile,
    Usage,
)
from ptmeter.domain.calibration import LEAST_CALLS, Topic
from ptmeter.learning import KEEP_EVERY
from ptmeter.operations import calibrating

if TYPE_CHECKING:
    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter

pytestmark = pytest.mark.anyio

MINI = "gpt-4o-mini"
MESSAGES = [{"role": "user", "content": "Say hi"}]
COUNTED = 9


async def made(meter: AsyncMeter, number: int, *, route: str = "", output: int = 30, **usage: Any) -> None:
    used = Usage(input_uncached=COUNTED, output_text=output, **usage)
    async with meter.call(
        "acme", model=MINI, messages=MESSAGES, key=f"{route}:{number}", route=route
    ) as call:
        call.record(used)


async def test_estimates_learn_from_settled_calls(meter: AsyncMeter) -> None:
    """The answer is expected to be as long as half of them were; before that, as the policy assumes."""
    assert meter.estimate(MINI, MESSAGES).output_expected == 400

    for number in range(LEAST_CALLS):
        await made(meter, number, output=number + 1)

    learnt = meter.estimate(MINI, MESSAGES)
    assert learnt.output_expected == 9
    assert learnt.input.tokens == learnt.counted == COUNTED
    assert any("16 calls settled before" in note for note in learnt.notes)


async def test_a_hold_is_what_so_many_calls_stay_within(meter: AsyncMeter) -> None:
    """At most while too few are known, and then no more than they took: 3 PT become 1."""
    await meter.funds.grant("acme", core=100, source="trial", key="more")
    for number in range(98):
        await made(meter, number, route="chat")
    cold = meter.estimate(MINI, MESSAGES, route="chat", quantile=99)
    assert cold.hold == cold.at_most == PT.of(3)
    assert any("it takes 99 settled calls" in note for note in cold.notes)

    await made(meter, 98, route="chat")

    warm = meter.estimate(MINI, MESSAGES, route="chat", quantile=99)
    assert warm.hold == PT.of(1)
    assert warm.at_most == PT.of(3)
    assert meter.estimate(MINI, MESSAGES, route="report", quantile=99).hold == PT.of(3)
    assert meter.estimate(MINI, MESSAGES, route="chat", quantile="99.9").hold == PT.of(3)
    assert meter.estimate(MINI, MESSAGES, route="chat").hold == PT.of(3)


async def test_the_policy_may_name_the_quantile(in_memory: Opener) -> None:
    """Then every call is held by it."""
    async with in_memory(policy=Policy(hold=Quantile.of(50))) as meter:
        await meter.funds.grant("acme", core=100, source="trial", key="trial")
        await made(meter, 0)

        async with meter.call("acme", model=MINI, messages=MESSAGES, key="one") as call:
            assert call.hold is not None
            assert call.hold.amounts == {"core": PT.of(1)}
            call.record(Usage(input_uncached=COUNTED, output_text=30))


@pytest.mark.parametrize(
    "arguments",
    [{"route": " chat"}, {"quantile": 100}, {"quantile": 10}],
)
async def test_what_is_no_route_or_quantile_is_refused(
    meter_in_memory: AsyncMeter, arguments: dict[str, Any]
) -> None:
    """Before anything is held."""
    with pytest.raises(InvalidArgumentError):
        meter_in_memory.estimate(MINI, MESSAGES, **arguments)


async def test_a_call_teaches_once(meter: AsyncMeter) -> None:
    """Sent again under its key it is the same call; and what was counted here is not what was used."""
    used = Usage(input_uncached=COUNTED, output_text=30)
    hold = await meter.hold("acme", core=1, key="by hand")
    await meter.settle(hold, core=1, key="by hand")
    await meter.record("acme", model=MINI, response=used, key="without a hold")
    await made(meter, 1, quality=Quality.PARTIAL_ESTIMATED)

    assert (await meter.calibration.read()).habits == {}

    await made(meter, 2)

    assert (await meter.calibration.read()).habits[Topic(MINI, "")].calls == 1


async def test_other_processes_know_what_one_has_learnt(on_file: Opener) -> None:
    """Written down when the meter is closed, recalled when another is opened."""
    async with on_file() as one:
        await one.funds.grant("acme", core=100, source="trial", key="trial")
        for number in range(LEAST_CALLS):
            await made(one, number)
        async with on_file() as early:
            assert early.estimate(MINI, MESSAGES).output_expected == 400

    async with on_file() as other:
        assert other.estimate(MINI, MESSAGES).output_expected == 30


async def test_it_is_written_down_now_and_then(on_file: Opener) -> None:
    """Every 100 settled calls, so that a crash forgets no more than those since."""
    async with on_file() as one:
        await one.funds.grant("acme", core=200, source="trial", key="trial")
        for number in range(KEEP_EVERY + 1):
            await made(one, number)

        async with on_file() as other:
            assert (await other.calibration.read()).habits[Topic(MINI, "")].calls == KEEP_EVERY


async def test_a_database_that_does_not_answer_costs_no_call(
    meter: AsyncMeter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The call is charged, what it taught is logged as not kept, and is kept with those after it."""

    def fail(*_: object, **__: object) -> None:
        raise ContentionError

    await meter.funds.grant("acme", core=200, source="trial", key="more")
    with monkeypatch.context() as broken, caplog.at_level(logging.WARNING, "ptmeter.calibration"):
        broken.setattr(calibrating, "keep", fail)
        for number in range(KEEP_EVERY + 5):
            await made(meter, number)
    assert [record.name for record in caplog.records] == ["ptmeter.calibration"]
    assert "100 settled calls" in caplog.text

    kept = await meter.calibration.read()

    assert kept.habits[Topic(MINI, "")].calls == KEEP_EVERY + 5
    assert (await meter.balance("acme")).core.spent == PT.of(KEEP_EVERY + 5)


async def test_what_was_learnt_elsewhere_can_be_added(in_memory: Opener) -> None:
    """Exported as text, read back, and known at once."""
    async with in_memory() as one, in_memory() as other:
        await one.funds.grant("acme", core=100, source="trial", key="trial")
        for number in range(LEAST_CALLS):
            await made(one, number)
        text = (await one.calibration.read()).as_json()

        await other.calibration.add(Calibration.from_json(text))

        assert other.estimate(MINI, MESSAGES).output_expected == 30
        assert (await other.calibration.read()).as_json() == text


async def test_a_callers_own_transaction_is_not_prolonged(on_file: Opener, asynchronous: bool) -> None:
    """Inside it calls teach this process; only the meter itself writes that down."""
    async with on_file() as meter:
        await meter.funds.grant("acme", core=200, source="trial", key="trial")
        async with transaction(on_file.url, asynchronous=asynchronous) as own:
            joined = meter.joined(own.connection)
            for number in range(KEEP_EVERY):
                await made(joined, number)
            assert meter.estimate(MINI, MESSAGES).output_expected == 30

        async with on_file() as other:
            assert (await other.calibration.read()).habits == {}


async def test_a_row_that_cannot_be_read_keeps_nobody_from_being_billed(
    on_file: Opener, asynchronous: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Estimates begin anew, calls are charged, and the log says so; asked for, it is an error."""
    async with on_file() as meter:
        await meter.funds.grant("acme", core=200, source="trial", key="trial")
        await made(meter, 0)
    async with transaction(on_file.url, asynchronous=asynchronous) as own:
        await own.sql("UPDATE ptm_calibration SET body = 'not ours'")

    with caplog.at_level(logging.WARNING, "ptmeter.calibration"):
        async with on_file() as meter:
            await made(meter, 1)
            assert (await meter.balance("acme")).core.spent == PT.of(2)
            with pytest.raises(InvalidArgumentError, match="no calibration"):
                await meter.calibration.read()

    assert "begin anew" in caplog.text
    assert "could not be kept" in caplog.text
