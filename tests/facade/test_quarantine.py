"""`meter.quarantine`, as people type it; every test runs against `Meter` and `AsyncMeter` alike."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.facade.colours import transaction
from tests.facade.test_leaving import CONTRADICTION, MESSAGES, MINI, Upstream, left_after, piece
from tests.rerating import PriceList, card

from ptmeter import (
    PT,
    InvalidArgumentError,
    Overage,
    QuarantineResolvedError,
    QuarantineState,
    StorageError,
    UnknownModelError,
    Usage,
    UsageInconsistentError,
    UsageMissingError,
    Workload,
)
from ptmeter.domain.rates import Complexity

if TYPE_CHECKING:
    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter
    from ptmeter.testing import Clock

pytestmark = pytest.mark.anyio

WHO: dict[str, Any] = {"actor": "ann", "reason": "the total is right"}
USAGE = Usage(input_uncached=20, output_text=6)


async def spoil(meter: AsyncMeter, key: str = "r1", **named: Any) -> UsageInconsistentError:
    """A call whose usage contradicts itself."""
    with pytest.raises(UsageInconsistentError) as caught:
        async with meter.call("acme", model=MINI, messages=MESSAGES, key=key, **named) as call:
            call.record(CONTRADICTION)
    return caught.value


async def test_a_call_whose_usage_contradicts_itself_waits_for_a_person(meter: AsyncMeter) -> None:
    """What the provider sent, what is wrong with it and what is held are there for whoever looks."""
    problem = await spoil(meter, route="chat", workload=Workload(complexity=Complexity.COMPLEX))

    [call] = (await meter.quarantine.list()).calls
    assert call == await meter.quarantine.find("acme", key="r1")
    assert CONTRADICTION["usage"] == json.loads(call.payload)
    assert ("acme", "r1", MINI, "chat", "core", PT.of(3), problem.problem) == (
        call.account,
        call.key,
        call.model,
        call.route,
        call.unit,
        call.held,
        call.problem,
    )
    assert Complexity.COMPLEX is call.workload.complexity
    assert "it is in quarantine" in problem.__notes__[0]
    assert 1 == (await meter.quarantine.backlog()).open


async def test_it_is_settled_or_dismissed(meter: AsyncMeter) -> None:
    """By a usage, or by an answer that was put right; the others of its kind go on waiting."""
    for key in ("a", "b", "c", "d"):
        await spoil(meter, key)
    right = {**CONTRADICTION, "usage": {**CONTRADICTION["usage"], "total_tokens": 25}}

    by_hand = await meter.quarantine.settle("acme", key="a", usage=USAGE, **WHO)
    by_answer = await meter.quarantine.settle("acme", key="b", response=right, **WHO)
    dismissed = await meter.quarantine.dismiss("acme", key="c", **WHO)

    assert [{"core": PT.of(1)}] * 2 == [by_hand.charged, by_answer.charged]
    assert (USAGE, Usage(input_uncached=20, output_text=5)) == (by_hand.usage, by_answer.usage)
    assert QuarantineState.DISMISSED is dismissed.state
    assert (PT.of(3), PT.of(2)) == ((core := (await meter.balance("acme")).core).held, core.spent)
    assert ["d"] == [call.key for call in (await meter.quarantine.list()).calls]
    assert ["a", "b"] == [
        call.key for call in (await meter.quarantine.list(state=QuarantineState.SETTLED)).calls
    ]
    assert 4 == len((await meter.quarantine.list(state=None)).calls)
    with pytest.raises(QuarantineResolvedError):
        await meter.quarantine.settle("acme", key="c", usage=USAGE, **WHO)
    assert (await meter.verify()).clean


async def test_a_recorded_answer_waits_too(meter: AsyncMeter) -> None:
    """It has no hold; settled, it is charged under the key it was recorded with, so never twice."""
    with pytest.raises(UsageInconsistentError) as caught:
        await meter.record("acme", model=MINI, response=CONTRADICTION, key="r1")
    assert "it is in quarantine" in caught.value.__notes__[0]
    call = await meter.quarantine.find("acme", key="r1")
    assert (None, "core") == (call.held, call.unit)

    settled = await meter.quarantine.settle("acme", key="r1", usage=USAGE, **WHO)
    recorded = await meter.record("acme", model=MINI, response=USAGE, key="r1")

    assert (settled.charged, True) == (recorded.charged, recorded.replayed)
    assert PT.of(1) == (await meter.balance("acme")).core.spent
    assert (await meter.verify()).clean


async def test_a_stream_that_does_not_add_up_waits_too(in_memory: Opener, asynchronous: bool) -> None:
    """Its text is not kept: of what came, only the counts are."""
    async with in_memory() as meter:
        await meter.funds.grant("acme", core=100, source="test", key="g")
        chunks = [
            piece("a secret"),
            {"object": "chat.completion.chunk", "choices": [], "usage": CONTRADICTION["usage"]},
        ]
        with pytest.raises(UsageInconsistentError):
            await left_after(meter, MINI, Upstream(chunks, asynchronous=asynchronous), 99)

        assert CONTRADICTION["usage"] == json.loads((await meter.quarantine.find("acme", key="r1")).payload)


async def test_it_is_rated_by_the_price_of_its_time(opened: Opener, clock: Clock) -> None:
    """Whatever happened to the price since; and decided again, by the price it was charged by."""
    prices = PriceList(small=100_000)
    async with opened(card=card(), catalogue=_History(prices, clock), clock=clock) as meter:
        await meter.funds.grant("acme", core=100, source="test", key="g")
        with pytest.raises(UsageInconsistentError):
            await meter.record("acme", model="small", response=CONTRADICTION, key="r1")
        clock.turn(timedelta(days=40))
        prices.rates = {"small": 900_000}
        usage = Usage(input_uncached=9_000)

        first = await meter.quarantine.settle("acme", key="r1", usage=usage, **WHO)
        again = await meter.quarantine.settle("acme", key="r1", usage=usage, **WHO)

        assert first.charge is not None
        assert 100_000 == first.charge.price.rates["input_uncached"]
        assert (first.charged, first.charge, True) == (again.charged, again.charge, again.replayed)
        assert {"core": PT.of("1.2")} == first.charged


class _History:
    """A price list that changed after the first month."""

    def __init__(self, prices: PriceList, clock: Clock) -> None:
        self._prices = prices
        self._end = clock() + timedelta(days=30)

    def price(self, model: str, at: Any) -> Any:
        return (PriceList(small=100_000) if at < self._end else self._prices).price(model, at)


async def test_what_is_to_be_charged_is_said_once(meter: AsyncMeter) -> None:
    """A usage or an answer, not both and not neither; an answer without usage, or that contradicts itself, is none."""
    await spoil(meter)
    for wrong in ({}, {"usage": USAGE, "response": CONTRADICTION}):
        with pytest.raises(InvalidArgumentError, match="and not both"):
            await meter.quarantine.settle("acme", key="r1", **wrong, **WHO)
    with pytest.raises(UsageInconsistentError):
        await meter.quarantine.settle("acme", key="r1", response=CONTRADICTION, **WHO)
    with pytest.raises(UsageMissingError):
        await meter.quarantine.settle("acme", key="r1", response={}, **WHO)
    with pytest.raises(InvalidArgumentError, match="needs a reason"):
        await meter.quarantine.dismiss("acme", key="r1", actor="ann", reason=" ")

    assert 1 == (await meter.quarantine.backlog()).open


async def test_more_than_was_held_is_charged_as_one_says(meter: AsyncMeter) -> None:
    """As the policy says if one does not; refused, the call is open as before."""
    await spoil(meter)
    much = Usage(input_uncached=20_000)
    with pytest.raises(Exception, match="PT available"):
        await meter.quarantine.settle("acme", key="r1", usage=much, overage=Overage.REJECT, **WHO)
    assert 1 == (await meter.quarantine.backlog()).open

    receipt = await meter.quarantine.settle("acme", key="r1", usage=much, **WHO)

    assert PT.of(16) == receipt.charged["core"]


@pytest.mark.parametrize("how", ["call", "record"])
async def test_a_queue_that_cannot_be_written_hides_nothing(
    in_memory: Opener, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The call's own error is what is raised, with the failure as its cause and in its notes; the log has both."""
    async with in_memory() as meter:
        await meter.funds.grant("acme", core=100, source="test", key="g")

        def broken(*_: object, **__: object) -> None:
            msg = "the disk is full"
            raise StorageError(msg)

        monkeypatch.setattr("ptmeter.storage.memory_quarantine.MemoryQuarantine.keep", broken)
        with caplog.at_level(logging.ERROR, "ptmeter"):
            if how == "call":
                problem = await spoil(meter)
            else:
                with pytest.raises(UsageInconsistentError) as caught:
                    await meter.record("acme", model=MINI, response=CONTRADICTION, key="r1")
                problem = caught.value

        assert "the disk is full" == str(problem.__cause__)
        assert "could not be put into quarantine: the disk is full" in problem.__notes__[0]
        assert ["does not add up" in caplog.messages[0], "could not be put" in caplog.messages[1]] == [
            True,
            True,
        ]
        assert 0 == (await meter.quarantine.backlog()).open


async def test_a_record_of_an_unknown_model_waits_for_a_card_that_has_it(on_file: Opener) -> None:
    """In no unit, for nobody knows which; whoever settles it has to have a price and a rule for the model."""
    answer = {**CONTRADICTION, "usage": {**CONTRADICTION["usage"], "total_tokens": 25}}
    async with on_file() as meter:
        await meter.funds.grant("acme", core=100, source="test", key="g")
        with pytest.raises(UnknownModelError) as caught:
            await meter.record("acme", model="no-such-model", response=answer, key="r1")

        [call] = (await meter.quarantine.list()).calls
        assert ("no-such-model", "", None) == (call.model, call.unit, call.held)
        assert "it is in quarantine" in caught.value.__notes__[0]
        with pytest.raises(UnknownModelError):
            await meter.quarantine.settle("acme", key="r1", usage=USAGE, **WHO)

    async with on_file(card=card(), catalogue=PriceList(**{"no-such-model": 1_000_000})) as meter:
        receipt = await meter.quarantine.settle("acme", key="r1", usage=USAGE, **WHO)

        assert {"core": PT.of("0.06")} == receipt.charged
        assert (await meter.verify()).clean


async def test_within_ones_own_transaction_it_goes_with_it(on_file: Opener, asynchronous: bool) -> None:
    """Rolled back, neither the hold nor the call in quarantine is there; committed, both are."""
    async with on_file() as meter:
        await meter.funds.grant("acme", core=100, source="test", key="g")
        with pytest.raises(UsageInconsistentError):
            async with (
                transaction(on_file.url, asynchronous=asynchronous) as own,
                meter.joined(own.connection).call("acme", model=MINI, messages=MESSAGES, key="r1") as call,
            ):
                call.record(CONTRADICTION)
        assert (0, PT(0)) == (
            (await meter.quarantine.backlog()).open,
            (await meter.balance("acme")).core.held,
        )

        async with transaction(on_file.url, asynchronous=asynchronous) as own:
            await spoil(meter.joined(own.connection))
        assert 1 == (await meter.quarantine.backlog()).open


async def test_open_holds_are_counted(opened: Opener, clock: Clock) -> None:
    """All accounts', with when the first of them is due."""
    async with opened(clock=clock) as meter:
        await meter.funds.grant("acme", core=100, source="test", key="g")
        clock.turn(timedelta(hours=1))
        assert (0, None, clock()) == await meter.open_holds()
        await meter.hold("acme", core=1, key="h", ttl=timedelta(minutes=1))

        assert (1, clock() + timedelta(minutes=1), clock()) == await meter.open_holds()
