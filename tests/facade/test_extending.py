"""A streamed answer that outruns its hold: more is held as it comes, and what happens when there is no more."""

from __future__ import annotations

from base64 import b64encode
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.facade.colours import streamed

from ptmeter import (
    PT,
    InsufficientFundsError,
    LimitError,
    Overage,
    Policy,
    Quality,
    Usage,
    UsageInconsistentError,
    UsageMissingError,
    read_plans,
)
from ptmeter.domain.policy import HoldSize, OutOfFunds
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter, Plans

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

    def __init__(self, *, asynchronous: bool, usage: dict[str, int] = USAGE) -> None:
        self.usage = usage
        self.written = 0
        self.stopped = False
        words = self._words()
        self.chunks: Any = streamed(words) if asynchronous else words

    def _words(self) -> Iterator[dict[str, Any]]:
        try:
            for _ in range(WORDS):
                self.written += 1
                yield piece(" word")
            yield {"object": "chat.completion.chunk", "choices": [], "usage": self.usage}
        except GeneratorExit:
            self.stopped = True
            raise


async def answer(
    meter: AsyncMeter, provider: Provider, key: str = "r1", account: str = "acme"
) -> tuple[Any, list[PT]]:
    """A call whose stream is read to its end, and what was held after every five hundredth word."""
    held: list[PT] = []
    async with meter.call(account, model=MINI, messages=MESSAGES, key=key) as call:
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


def capped(most: int, **more: Any) -> Plans:
    """A plan whose accounts may use so many core PT a day."""
    plan = {
        "price_per_month": 1,
        "allowance": {"core": 100, "advanced": 100},
        "units": ["core", "advanced"],
    }
    limits = {"caps": {"core": {"day": most}}, "requests_per_minute": 1, "concurrent": 1}
    return read_plans({"plans": {"pro": plan | limits | more}})


async def test_a_cap_bounds_what_a_call_holds_later_too(opened: Opener) -> None:
    """An answer that would use more PT than a cap allows is cut off; its extensions are no requests and no calls."""
    policy = Policy(**EXPECTED, out_of_funds=OutOfFunds.CUT_OFF)
    async with opened(policy=policy, plans=capped(2)) as meter:
        await meter.plans.assign("acme", "pro", key="joins")
        provider = Provider(asynchronous=opened.asynchronous)

        with pytest.raises(LimitError) as caught:
            await answer(meter, provider)

        assert ("cap", "acme") == (caught.value.limit, caught.value.scope)
        assert provider.stopped
        assert 1_000 < provider.written < 1_500
        balance = (await meter.balance("acme")).core
        assert (PT.of(0), PT.of(1)) == (balance.held, balance.spent)
        assert (await meter.verify()).clean


async def test_a_cap_lets_an_answer_go_on_where_funds_would(opened: Opener) -> None:
    """By default the answer is written to its end, and charged in full."""
    async with opened(policy=Policy(**EXPECTED), plans=capped(2)) as meter:
        await meter.plans.assign("acme", "pro", key="joins")
        provider = Provider(asynchronous=opened.asynchronous)

        call, _ = await answer(meter, provider)

        assert (WORDS, {"core": PT.of(3)}) == (provider.written, call.receipt.charged)


async def test_within_its_caps_a_call_is_extended(opened: Opener) -> None:
    """One request a minute and one call at once are no reason to hold no more for it."""
    async with opened(policy=Policy(**EXPECTED), plans=capped(3)) as meter:
        await meter.plans.assign("acme", "pro", key="joins")
        await meter.accounts.place("ann", under="acme")

        call, held = await answer(meter, Provider(asynchronous=opened.asynchronous), account="ann")

        assert [PT.of(1), PT.of(1), PT.of(3), PT.of(3)] == held[:4]
        assert {"core": PT.of(3)} == call.receipt.charged
        assert (await meter.verify()).clean


async def test_beyond_a_hard_cap_a_call_goes_on_at_the_multiple_it_began_at(opened: Opener) -> None:
    """Admitted at twice the rate it is extended at twice the rate; admitted at the rate it is not extended beyond."""
    share = {"core": {"soft": "0.5%", "hard": "1%", "overflow": 2}}  # 2 of 200 PT
    policy = Policy(**EXPECTED, out_of_funds=OutOfFunds.CUT_OFF)
    async with opened(policy=policy, plans=capped(100, shares=share, requests_per_minute=9)) as meter:
        await meter.plans.assign("acme", "pro", key="joins")
        await meter.accounts.agree_to_overflow("acme")

        with pytest.raises(LimitError) as caught:
            await answer(meter, Provider(asynchronous=opened.asynchronous))
        assert "hard_cap" == caught.value.limit

        spent = await meter.hold("acme", key="more", core=1)
        await meter.settle(spent, key="more", core=1)
        call, held = await answer(meter, Provider(asynchronous=opened.asynchronous), key="r2")

        assert {"core": 2} == call.hold.multiples
        assert [PT.of(2), PT.of(2), PT.of(6), PT.of(6)] == held[:4]
        assert {"core": PT.of(6)} == call.receipt.charged
        assert (await meter.verify()).clean


async def test_what_one_stream_holds_later_counts_for_another(opened: Opener) -> None:
    """Two answers of one account that outrun their holds at the same time use no more than a cap together."""
    policy = Policy(**EXPECTED, out_of_funds=OutOfFunds.CUT_OFF)
    plans = capped(4, requests_per_minute=9, concurrent=2)
    async with opened(policy=policy, plans=plans) as meter:
        await meter.plans.assign("acme", "pro", key="joins")
        first, second = (Provider(asynchronous=opened.asynchronous) for _ in range(2))

        async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1") as one:
            async for _ in one.stream(first.chunks):
                if first.written == 2_000:
                    assert PT.of(3) == (await meter.balance("acme")).core.held
                    (cap,) = [each for each in await meter.accounts.headroom("acme") if each.limit == "cap"]
                    assert PT.of(3).micro == cap.used
                    with pytest.raises(LimitError) as caught:
                        await answer(meter, second, key="r2")
                    assert ("cap", "acme") == (caught.value.limit, caught.value.scope)

        assert one.receipt is not None
        assert (WORDS, {"core": PT.of(3)}) == (first.written, one.receipt.charged)
        assert 1_000 < second.written < 1_500
        balance = (await meter.balance("acme")).core
        assert (PT.of(0), PT.of(4)) == (balance.held, balance.spent)
        assert (await meter.verify()).clean


@pytest.mark.parametrize("ending", ["raised", "expired"])
async def test_what_was_held_later_counts_no_more_once_it_is_given_back(
    opened: Opener, ending: str
) -> None:
    """A call that raises before anything is known of it gives back all; what expires counts until its minute."""
    clock = Clock()
    policy = Policy(**EXPECTED, out_of_funds=OutOfFunds.CUT_OFF, hold_ttl=timedelta(minutes=5))
    plans = capped(3, requests_per_minute=9, concurrent=2)
    async with opened(policy=policy, plans=plans, clock=clock) as meter:
        await meter.plans.assign("acme", "pro", key="joins")
        provider = Provider(asynchronous=opened.asynchronous)

        with suppress(UsageMissingError, ZeroDivisionError):
            async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1") as call:
                async for _ in call.stream(provider.chunks):
                    if provider.written == 2_000:
                        break
                assert PT.of(3) == (await meter.balance("acme")).core.held
                with pytest.raises(LimitError):
                    await meter.hold("acme", core=1, key="r2")
                if ending == "expired":
                    clock.turn(timedelta(minutes=6))
                    await meter.sweep()
                    await meter.void(await meter.hold("acme", core=3, key="r3"), key="r3")
                call.record(Usage(input_uncached=12, output_text=1))

        assert call.receipt is not None
        assert {"core": PT.of(1)} == call.receipt.charged
        held = await meter.hold("acme", core=2, key="r4")
        assert (await meter.verify()).clean
        await meter.void(held, key="r4")
        assert (await meter.verify()).clean


async def test_what_was_held_for_a_call_in_quarantine_is_known_there(opened: Opener) -> None:
    """A long answer whose usage contradicts itself keeps all that was held, and gives it back when it is settled."""
    async with opened(policy=Policy(**EXPECTED, overage=Overage.REJECT)) as meter:
        await meter.funds.grant("acme", core=3, source="test", key="g")
        provider = Provider(asynchronous=opened.asynchronous, usage={**USAGE, "total_tokens": 7})

        with pytest.raises(UsageInconsistentError):
            await answer(meter, provider)

        waiting = await meter.quarantine.find("acme", key="r1")
        assert 1 == len(waiting.more)
        assert PT.of(3) == (await meter.balance("acme")).core.held
        usage = Usage(input_uncached=12, output_text=WORDS)
        receipt = await meter.quarantine.settle(
            "acme", key="r1", usage=usage, actor="ann", reason="counted"
        )
        assert {"core": PT.of(3)} == receipt.charged
        balance = (await meter.balance("acme")).core
        assert (PT.of(0), PT.of(0), PT.of(0)) == (balance.available, balance.held, balance.owed)
        assert (await meter.verify()).clean


async def test_a_hold_for_the_longest_answer_is_never_extended(opened: Opener) -> None:
    """What is held at most suffices, so no transaction comes between the words."""
    async with opened() as meter:
        await meter.funds.grant("acme", core=100, source="test", key="g")

        await answer(meter, Provider(asynchronous=opened.asynchronous))

        kinds = [entry.kind for entry in (await meter.statement("acme")).entries]
        assert ["grant", "hold", "settle"] == kinds


# --- answers that are spoken ---

SPEAKING = "gpt-audio"
SPOKEN = {"messages": MESSAGES, "modalities": ["text", "audio"]}
SECONDS = 60
"""Of 20 tokens of sound each, and a word of transcript."""


class Speaker(Provider):
    """Speaks for so many seconds; what it wrote is its transcript."""

    def _words(self) -> Iterator[dict[str, Any]]:
        data = b64encode(bytes(48_000)).decode()
        try:
            for _ in range(SECONDS):
                self.written += 1
                audio = {"data": data, "transcript": " word"}
                yield {
                    "object": "chat.completion.chunk",
                    "choices": [{"index": 0, "delta": {"audio": audio}}],
                }
            yield {"object": "chat.completion.chunk", "choices": [], "usage": self.usage}
        except GeneratorExit:
            self.stopped = True
            raise


SPOKEN_USAGE: dict[str, Any] = {
    "prompt_tokens": 12,
    "completion_tokens": 21 * SECONDS,
    "total_tokens": 21 * SECONDS + 12,
    "completion_tokens_details": {"audio_tokens": 20 * SECONDS, "text_tokens": SECONDS},
}


async def spoken_answer(meter: AsyncMeter, speaker: Speaker, key: str = "r1") -> Any:
    """A call whose answer is heard to its end."""
    async with meter.call("acme", model=SPEAKING, messages=SPOKEN, key=key) as call:
        async for _ in call.stream(speaker.chunks):
            pass
    return call


async def test_a_spoken_answer_is_extended_at_the_price_of_sound(opened: Opener) -> None:
    """Where nothing may be charged beyond what is held, all of it was held, in time: sound costs six times as much."""
    policy = Policy(**EXPECTED, expected_output_tokens=100, overage=Overage.REJECT)
    async with opened(policy=policy) as meter:
        await meter.funds.grant("acme", advanced=100, source="test", key="g")
        speaker = Speaker(asynchronous=opened.asynchronous, usage=SPOKEN_USAGE)

        call = await spoken_answer(meter, speaker)

        (unit,) = call.hold.amounts
        assert call.hold.amounts[unit] < call.receipt.charged[unit]
        assert 20 * SECONDS == call.receipt.usage.output_audio
        kinds = [entry.kind for entry in (await meter.statement("acme")).entries]
        assert "extend" in kinds
        assert (await meter.verify()).clean


async def test_a_spoken_answer_is_cut_off_before_it_costs_more_than_there_is(opened: Opener) -> None:
    """Sound is counted while it comes, and what was heard is charged, as sound."""
    policy = Policy(**EXPECTED, expected_output_tokens=100, out_of_funds=OutOfFunds.CUT_OFF)
    async with opened(policy=policy) as meter:
        await meter.funds.grant("acme", advanced=20, source="test", key="g")
        speaker = Speaker(asynchronous=opened.asynchronous, usage=SPOKEN_USAGE)

        with pytest.raises(InsufficientFundsError):
            await spoken_answer(meter, speaker)

        assert speaker.stopped
        assert 0 < speaker.written < SECONDS
        (charged,) = [e for e in (await meter.statement("acme")).entries if e.kind == "settle"]
        assert charged.usage is not None
        assert 20 * speaker.written == charged.usage.output_audio
        balance = (await meter.balance("acme"))[charged.unit]
        assert (PT.of(0), PT.of(0)) == (balance.held, balance.owed)
        assert (await meter.verify()).clean
