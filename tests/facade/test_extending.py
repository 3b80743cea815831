"""A streamed answer that outruns its hold: more is held as it comes, and what happens when there is no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.facade.colours import streamed

from ptmeter import PT, InsufficientFundsError, Overage, Policy, Quality
from ptmeter.domain.policy import HoldSize, OutOfFunds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter

pytestmark = pytest.mark.anyio

MINI = "gpt-4o-mini"
MESSAGES = [{"role": "user", "content": "Count to three thousand"}]
WORDS = 3_000
"""As many tokens: a call of the second band, 3 PT, when 1 PT is expected of it."""

EXPECTED: dict[str, Any] = {"hold": HoldSize.EXPECTED}
USAGE = {"prompt_tokens": 12, "completion_tokens": WORDS, "total_tokens": WORDS + 12}


def piece(text: str) -> dict[str, Any]:
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]}


class Provider:
    """Writes so many words, then says its usage; it knows how far it was asked, and whether it was stopped."""

    def __init__(self, *, asynchronous: bool) -> None:
        self.written = 0
        self.stopped = False
        words = self._words()
        self.chunks: Any = streamed(words) if asynchronous else words

    def _words(self) -> Iterator[dict[str, Any]]:
        try:
            for _ in range(WORDS):
                self.written += 1
                yield piece(" word")
            yield {"object": "chat.completion.chunk", "choices": [], "usage": USAGE}
        except GeneratorExit:
            self.stopped = True
            raise


async def answer(meter: AsyncMeter, provider: Provider, key: str = "r1") -> tuple[Any, list[PT]]:
    """A call whose stream is read to its end, and what was held after every five hundredth word."""
    held: list[PT] = []
    async with meter.call("acme", model=MINI, messages=MESSAGES, key=key) as call:
        async for _ in call.stream(provider.chunks):
            if provider.written % 500 == 0:
                held.append((await meter.balance("acme")).core.held)  # noqa: PERF401 - while it is read
    return call, held


async def test_more_is_held_as_the_text_comes(opened: Opener) -> None:
    """The hold of 1 PT becomes 3 before the text leaves the first band, and 3 are charged, in one piece."""
    async with opened(policy=Policy(**EXPECTED)) as meter:
        await meter.funds.grant("acme", core=100, source="test", key="g")

        call, held = await answer(meter, Provider(asynchronous=opened.asynchronous))

        assert PT.of(1) == call.hold.amounts["core"]
        assert [PT.of(1), PT.of(1), PT.of(3), PT.of(3)] == held[:4]
        assert {"core": PT.of(3)} == call.receipt.charged
        balance = (await meter.balance("acme")).core
        assert (PT.of(97), PT.of(0), PT.of(0)) == (balance.available, balance.held, balance.owed)
        assert (await meter.verify()).clean


async def test_what_was_held_in_time_is_charged_though_nothing_may_go_beyond(opened: Opener) -> None:
    """Where a settle beyond its hold is refused, extensions are part of the hold."""
    async with opened(policy=Policy(**EXPECTED, overage=Overage.REJECT)) as meter:
        await meter.funds.grant("acme", core=100, source="test", key="g")

        call, _ = await answer(meter, Provider(asynchronous=opened.asynchronous))

        assert {"core": PT.of(3)} == call.receipt.charged


async def test_when_nothing_is_left_the_answer_is_cut_off(opened: Opener) -> None:
    """The provider is stopped before the text costs more than is held, and what arrived is charged."""
    policy = Policy(**EXPECTED, out_of_funds=OutOfFunds.CUT_OFF)
    async with opened(policy=policy) as meter:
        await meter.funds.grant("acme", core=2, source="test", key="g")
        provider = Provider(asynchronous=opened.asynchronous)

        with pytest.raises(InsufficientFundsError):
            await answer(meter, provider)

        assert provider.stopped
        assert 1_000 < provider.written < 1_500
        balance = (await meter.balance("acme")).core
        assert (PT.of(1), PT.of(0), PT.of(0)) == (balance.available, balance.held, balance.owed)
        (charged,) = [e for e in (await meter.statement("acme")).entries if e.kind == "settle"]
        assert charged.usage is not None
        assert Quality.PARTIAL_ESTIMATED is charged.usage.quality
        assert provider.written <= charged.usage.output_total + 1
        assert (await meter.verify()).clean


async def test_by_default_an_answer_is_written_to_its_end(opened: Opener) -> None:
    """When nothing is left it goes on, is asked about once, and is owed for."""
    async with opened(policy=Policy(**EXPECTED)) as meter:
        await meter.funds.grant("acme", core=2, source="test", key="g")
        provider = Provider(asynchronous=opened.asynchronous)

        call, _ = await answer(meter, provider)

        assert (WORDS, False) == (provider.written, provider.stopped)
        assert {"core": PT.of(3)} == call.receipt.charged
        assert PT.of(1) == (await meter.balance("acme")).core.owed


async def test_a_hold_for_the_longest_answer_is_never_extended(opened: Opener) -> None:
    """What is held at most suffices, so no transaction comes between the words."""
    async with opened() as meter:
        await meter.funds.grant("acme", core=100, source="test", key="g")

        await answer(meter, Provider(asynchronous=opened.asynchronous))

        kinds = [entry.kind for entry in (await meter.statement("acme")).entries]
        assert ["grant", "hold", "settle"] == kinds
