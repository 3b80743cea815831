"""A reader who leaves a stream, and usage that contradicts itself: what is charged, and what is set aside."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from datetime import timedelta
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from anyio import CancelScope
from tests.facade.colours import streamed

from ptmeter import PT, ConfigurationError, Policy, Quality, Usage, UsageInconsistentError
from ptmeter.providers.usage import Shape, UsageStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter
    from ptmeter.testing import Clock

pytestmark = pytest.mark.anyio

CORPUS = Path(__file__).parent.parent / "corpus"
MINI = "gpt-4o-mini"
MESSAGES = [{"role": "user", "content": "Say hi"}]
NAMES = ("openai-chat", "openai-responses", "anthropic-message", "gemini-thinking", "gemini-audio")

CONTRADICTION = {
    "object": "chat.completion",
    "model": MINI,
    "choices": [],
    "usage": {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 26},
}


class BoomError(Exception):
    """The block's own error."""


def payload(name: str) -> dict[str, Any]:
    return json.loads((CORPUS / f"{name}.json").read_text(encoding="utf-8"))


def piece(text: str) -> dict[str, Any]:
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]}


class Upstream:
    """A provider's stream, in the colour of the meter, that counts what was taken of it."""

    def __init__(self, chunks: Iterable[Any], *, asynchronous: bool) -> None:
        self.taken = 0
        self.chunks: Any = streamed(self._counted(chunks)) if asynchronous else self._counted(chunks)

    def _counted(self, chunks: Iterable[Any]) -> Iterator[Any]:
        for chunk in chunks:
            self.taken += 1
            yield chunk


async def left_after(
    meter: AsyncMeter, model: str, upstream: Upstream, chunks: int, *, key: str = "r1"
) -> Any:
    """A call whose reader leaves the stream after so many chunks."""
    async with meter.call("acme", model=model, messages=MESSAGES, key=key) as call:
        read = 0
        async for _ in call.stream(upstream.chunks):
            read += 1
            if read == chunks:
                break
    return call


async def funded(meter: AsyncMeter) -> AsyncMeter:
    await meter.funds.grant("acme", core=10_000, advanced=10_000, source="trial", key="trial")
    return meter


# --- reading on ---


@pytest.mark.parametrize("name", NAMES)
async def test_a_reader_who_leaves_is_charged_what_the_provider_says(
    in_memory: Opener, name: str, asynchronous: bool
) -> None:
    """Wherever the reader leaves, the stream is read on to its usage: exact, and nothing is flagged (P5)."""
    answer = payload(name)
    async with in_memory() as meter:
        await funded(meter)
        for place in range(1, len(answer["stream"]) + 1):
            upstream = Upstream(answer["stream"], asynchronous=asynchronous)
            call = await left_after(meter, answer["model"], upstream, place, key=f"r{place}")

            assert Usage(**answer["usage"]) == call.receipt.usage
            assert () == call.receipt.warnings


@pytest.mark.parametrize("name", NAMES)
async def test_without_reading_on_input_is_exact_and_output_is_counted(
    in_memory: Opener, name: str, asynchronous: bool
) -> None:
    """Turned off, each stream that is left early is flagged; input the provider has told is charged as it told it."""
    answer = payload(name)
    async with in_memory(policy=Policy(drain_for=timedelta(0))) as meter:
        await funded(meter)
        for place in range(1, len(answer["stream"]) + 1):
            until_then = UsageStream()
            for event in answer["stream"][:place]:
                until_then.feed(event)
            if not until_then.text and not until_then.input_usage:
                continue
            upstream = Upstream(answer["stream"], asynchronous=asynchronous)
            call = await left_after(meter, answer["model"], upstream, place, key=f"r{place}")
            used = call.receipt.usage

            assert place == upstream.taken
            if until_then.usage_seen:
                assert Usage(**answer["usage"]) == used
                continue
            assert Quality.PARTIAL_ESTIMATED == used.quality
            assert (until_then.input_tokens or call.estimate.input.tokens) == used.input_total
            assert bool(until_then.text) == bool(used.output_text)
        entries = [one for one in (await meter.statement("acme")).entries if one.usage]
        flagged = [one for one in entries if one.usage and one.usage.quality is not Quality.EXACT]
        assert 0 < len(flagged) < len(entries)


async def test_a_stream_without_end_is_read_on_to_the_bound(in_memory: Opener, asynchronous: bool) -> None:
    """No more chunks are taken than the policy says, and what came is counted."""
    async with in_memory(policy=Policy(drain_chunks=25)) as meter:
        await funded(meter)
        upstream = Upstream(repeat(piece(" hello")), asynchronous=asynchronous)
        call = await left_after(meter, MINI, upstream, 5)

    assert 5 + 25 == upstream.taken
    assert (30, Quality.PARTIAL_ESTIMATED) == (call.receipt.usage.output_text, call.receipt.usage.quality)


async def test_a_stream_that_is_slow_is_read_on_for_a_while(in_memory: Opener, asynchronous: bool) -> None:
    """When the time is over the rest is left, and what came by then is counted."""

    def slowly() -> Iterator[Any]:
        for _ in range(1_000):
            time.sleep(0.005)
            yield piece(" hello")

    async with in_memory(policy=Policy(drain_for=timedelta(seconds=0.2))) as meter:
        await funded(meter)
        upstream, started = Upstream(slowly(), asynchronous=asynchronous), time.monotonic()
        call = await left_after(meter, MINI, upstream, 1)

    assert time.monotonic() - started < 3
    assert 1 < upstream.taken < 1_000
    assert upstream.taken == call.receipt.usage.output_text


async def test_a_stream_that_fails_later_is_charged_for_what_came(
    in_memory: Opener, asynchronous: bool
) -> None:
    """Nobody reads what is read on, so nobody is told how it ended."""

    def failing() -> Iterator[Any]:
        yield from (piece("Hello"), piece(" there"))
        raise BoomError

    async with in_memory() as meter:
        await funded(meter)
        call = await left_after(meter, MINI, Upstream(failing(), asynchronous=asynchronous), 1)

    assert 2 == call.receipt.usage.output_text


async def test_who_wants_to_stop_is_not_kept(in_memory: Opener, asynchronous: bool) -> None:
    """A program that is interrupted reads nothing on; what came is charged."""
    upstream = Upstream(repeat(piece(" hello")), asynchronous=asynchronous)
    async with in_memory() as meter:
        await funded(meter)
        call = meter.call("acme", model=MINI, messages=MESSAGES, key="r1")
        with pytest.raises(SystemExit):
            async with call:
                async for _ in call.stream(upstream.chunks):
                    raise SystemExit

    assert 1 == upstream.taken
    assert call.receipt is not None


async def test_a_usage_of_ones_own_needs_no_reading_on(in_memory: Opener, asynchronous: bool) -> None:
    """Who records a usage has decided what is charged."""
    upstream = Upstream(repeat(piece(" hello")), asynchronous=asynchronous)
    async with in_memory() as meter:
        await funded(meter)
        async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1") as call:
            async for _ in call.stream(upstream.chunks):
                call.record(Usage(output_text=3))
                break

    assert 1 == upstream.taken
    assert call.receipt is not None
    assert Usage(output_text=3) == call.receipt.usage


async def test_a_stream_of_a_named_shape(in_memory: Opener, asynchronous: bool) -> None:
    """The shape may be named, to a stream as to a whole answer."""
    answer = payload("gemini-thinking")
    async with in_memory() as meter:
        await funded(meter)
        async with meter.call("acme", model="gemini-2.5-flash", messages=MESSAGES, key="r1") as call:
            chunks = Upstream(answer["stream"], asynchronous=asynchronous).chunks
            async for _ in call.stream(chunks, shape=Shape.GEMINI_GENERATE):
                pass
        receipt = await meter.record(
            "acme", model="gemini-2.5-flash", response=answer["response"], key="r2", shape="gemini-generate"
        )

    assert call.receipt is not None
    assert receipt.usage == call.receipt.usage == Usage(**answer["usage"])


@pytest.mark.parametrize("options", [{"drain_for": timedelta(-1)}, {"drain_chunks": 0}])
def test_bounds_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    """Time cannot be negative, and reading nothing on is said by no time."""
    with pytest.raises(ConfigurationError, match="drain_"):
        Policy(**options)


# --- a task that is cancelled: asynchronous only ---


@pytest.fixture
def only_asynchronous(asynchronous: bool) -> None:
    if not asynchronous:
        pytest.skip("a thread is not cancelled")


async def slowly(chunks: Iterable[Any]) -> AsyncIterator[Any]:
    for chunk in chunks:
        await asyncio.sleep(0.005)
        yield chunk


@pytest.mark.usefixtures("only_asynchronous")
async def test_a_cancelled_reader_is_charged_what_the_provider_says(opened: Opener) -> None:
    """The task is cancelled while it holds a chunk, and at every await after: the call is ended all the same."""
    answer = payload("openai-chat")
    async with opened() as meter:
        await funded(meter)
        call = meter.call("acme", model=answer["model"], messages=MESSAGES, key="r1")
        with CancelScope() as scope:
            async with call:
                async for _ in call.stream(slowly(answer["stream"])):
                    scope.cancel()
                    await asyncio.sleep(60)  # as a server that sends to a reader who is gone
        assert call.receipt is None
    # Leaving the meter waits for it.

    assert call.receipt is not None
    assert Usage(**answer["usage"]) == call.receipt.usage


@pytest.mark.usefixtures("only_asynchronous")
async def test_a_reader_cancelled_while_it_waits_is_charged_for_what_came(in_memory: Opener) -> None:
    """Then the provider's stream is cut too, so there is nothing to read on."""

    async def hanging() -> AsyncIterator[Any]:
        yield piece("Hello")
        await asyncio.sleep(60)

    async with in_memory() as meter:
        await funded(meter)
        call = meter.call("acme", model=MINI, messages=MESSAGES, key="r1")

        async def read() -> None:
            async with call:
                async for _ in call.stream(hanging()):
                    pass

        task = asyncio.ensure_future(read())
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])

    assert task.cancelled()
    assert call.receipt is not None
    assert call.receipt.usage is not None
    assert (1, Quality.PARTIAL_ESTIMATED) == (call.receipt.usage.output_text, call.receipt.usage.quality)


@pytest.mark.usefixtures("only_asynchronous")
async def test_a_chunk_that_never_comes_is_given_up(in_memory: Opener) -> None:
    """A provider that falls silent is not waited for beyond the bound."""

    async def falling_silent() -> AsyncIterator[Any]:
        yield piece("Hello")
        await asyncio.sleep(60)

    async with in_memory(policy=Policy(drain_for=timedelta(seconds=0.1))) as meter:
        await funded(meter)
        started = time.monotonic()
        async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1") as call:
            async for _ in call.stream(falling_silent()):
                break

    assert time.monotonic() - started < 5
    assert call.receipt is not None


@pytest.mark.usefixtures("only_asynchronous")
async def test_an_ending_that_fails_unseen_is_told_to_the_loop(in_memory: Opener) -> None:
    """When nobody waits for it any longer, what went wrong is reported and not lost."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    async with in_memory() as meter:
        await funded(meter)
        with CancelScope() as scope:
            async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1") as call:
                call.model = "no-such-model"  # so that its price is not found when it is to be settled
                async for _ in call.stream(slowly([piece("Hello")])):
                    scope.cancel()
                    await asyncio.sleep(60)

    assert ["UnknownModelError"] == [type(one["exception"]).__name__ for one in told]


# --- usage that contradicts itself ---


async def test_what_does_not_add_up_is_charged_to_nobody(
    opened: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    """The hold stays, the error carries what the provider sent, and so does the log (P4)."""
    async with opened() as meter:
        await funded(meter)
        call = meter.call("acme", model=MINI, messages=MESSAGES, key="r1")
        with caplog.at_level(logging.ERROR, "ptmeter"), pytest.raises(UsageInconsistentError) as caught:
            async with call:
                call.record(CONTRADICTION)

        assert call.receipt is None
        assert call.problem is caught.value
        assert CONTRADICTION["usage"] == caught.value.payload
        assert ["key 'r1' of account 'acme' to gpt-4o-mini" in note for note in caught.value.__notes__] == [
            True
        ]
        assert [str(CONTRADICTION["usage"]) in record.getMessage() for record in caplog.records] == [True]
        assert PT.of(3) == (await meter.balance("acme")).core.held

        receipt = await meter.settle(await meter.find_hold("acme", key="r1"), core=1, key="r1")
        assert ({"core": PT.of(1)}, {"core": PT.of(9_999)}) == (receipt.charged, receipt.available)
        assert (await meter.verify()).clean


async def test_a_call_set_aside_is_settled_after_its_hold_expired(in_memory: Opener, clock: Clock) -> None:
    """Whoever looks at it a day later can charge it still."""
    async with in_memory(clock=clock) as meter:
        await funded(meter)
        with pytest.raises(UsageInconsistentError):
            async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1") as call:
                call.record(CONTRADICTION)
        clock.turn(timedelta(days=1))
        await meter.sweep()
        receipt = await meter.settle(await meter.find_hold("acme", key="r1"), core=1, key="r1")

    assert {"core": PT.of(1)} == receipt.charged


async def test_a_stream_that_does_not_add_up_is_set_aside_too(
    in_memory: Opener, asynchronous: bool
) -> None:
    """And so is one whose text came with no output counted: cost 0 with tokens is an error, not a debit (P3)."""
    answer = payload("openai-chat")["stream"]
    for usage in (
        CONTRADICTION["usage"],
        {"prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 5},
    ):
        async with in_memory() as meter:
            await funded(meter)
            upstream = Upstream([*answer[:-1], {**answer[-1], "usage": usage}], asynchronous=asynchronous)
            with pytest.raises(UsageInconsistentError):
                await left_after(meter, "gpt-5", upstream, 99)

            assert PT.of(10_000) > (await meter.balance("acme")).advanced.available
            assert PT.of(0) == (await meter.balance("acme")).advanced.spent


async def test_the_blocks_own_error_goes_on_with_word_of_it(in_memory: Opener) -> None:
    """An error that leaves the block is not replaced: what was set aside is noted on it."""
    async with in_memory() as meter:
        await funded(meter)
        with pytest.raises(BoomError) as caught:
            async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1") as call:
                with pytest.raises(UsageInconsistentError):
                    call.record(CONTRADICTION)
                raise BoomError

        assert ["total_tokens is 26" in note for note in caught.value.__notes__] == [True]
        assert PT.of(3) == (await meter.balance("acme")).core.held


async def test_who_knows_better_records_it(in_memory: Opener) -> None:
    """A usage of one's own takes the place of one that contradicts itself."""
    async with in_memory() as meter:
        await funded(meter)
        async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1") as call:
            with pytest.raises(UsageInconsistentError):
                call.record(CONTRADICTION)
            call.record(Usage(input_uncached=20, output_text=6))

        assert call.problem is None
        assert PT.of(1) == (await meter.balance("acme")).core.spent


async def test_input_that_contradicts_itself_is_set_aside(in_memory: Opener, asynchronous: bool) -> None:
    """A stream that breaks off after an input that cannot be right is charged to nobody either."""
    start = payload("anthropic-cache-lifetimes")["stream"][0]
    start["message"]["usage"]["cache_creation_input_tokens"] += 1
    async with in_memory() as meter:
        await funded(meter)
        with pytest.raises(UsageInconsistentError):
            await left_after(meter, "claude-sonnet-4-5", Upstream([start], asynchronous=asynchronous), 9)

        assert PT.of(0) == (await meter.balance("acme")).advanced.spent
