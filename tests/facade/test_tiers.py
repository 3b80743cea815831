"""Calls at the price of how they were processed, from hold to rating again; `Meter` and `AsyncMeter` alike."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.facade.colours import streamed
from tests.rerating import PriceList, card, used

from ptmeter import (
    PT,
    Basis,
    Ceiling,
    InvalidArgumentError,
    Policy,
    Processing,
    UnknownModelError,
    UnknownTierError,
    Workload,
)
from ptmeter.domain.usage import TOKEN_CLASSES

if TYPE_CHECKING:
    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter, Receipt
    from ptmeter.testing import Clock

pytestmark = pytest.mark.anyio

BATCH, FLEX, PRIORITY = (
    Workload(processing=Processing.BATCH),
    Workload(processing=Processing.FLEX),
    Workload(processing=Processing.PRIORITY),
)

MESSAGES = [{"role": "user", "content": "Say hi"}]
BODY = {"model": "o3", "messages": MESSAGES}

# US dollars per million tokens of o3, in and out, by processing; an answer below has 1,000 and 100.
COSTS = {
    Processing.STANDARD: 2_800_000,
    Processing.BATCH: 1_400_000,
    Processing.FLEX: 1_400_000,
    Processing.PRIORITY: 4_900_000,
}


def answer(tier: str | None) -> dict[str, Any]:
    said = {} if tier is None else {"service_tier": tier}
    usage = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}
    return {"object": "chat.completion", "model": "o3-2025-04-16", "usage": usage, **said}


def charged(receipt: Receipt | None) -> tuple[Processing, Processing, int]:
    """How the price and the workload of a receipt say that it was processed, and what the provider charges."""
    assert receipt is not None
    assert receipt.charge is not None
    charge = receipt.charge
    return charge.price.processing, charge.workload.processing, charge.cost.nano


@pytest.mark.parametrize(
    ("request_", "workload", "tier", "paid"),
    [
        (MESSAGES, FLEX, "flex", Processing.FLEX),
        ({**BODY, "service_tier": "flex"}, Workload(), "flex", Processing.FLEX),
        ({**BODY, "service_tier": "priority"}, Workload(), "default", Processing.STANDARD),
        ({**BODY, "service_tier": "priority"}, PRIORITY, "priority", Processing.PRIORITY),
        ({**BODY, "service_tier": "auto"}, Workload(), "priority", Processing.PRIORITY),
        (MESSAGES, BATCH, "default", Processing.BATCH),
        (MESSAGES, FLEX, None, Processing.FLEX),
        (MESSAGES, Workload(), "default", Processing.STANDARD),
    ],
)
async def test_the_answer_decides(
    in_memory: Opener, request_: Any, workload: Workload, tier: str | None, paid: Processing
) -> None:
    """Held at what was asked for, settled at what was served: the price, the workload and the cost say the same."""
    async with in_memory() as meter:
        await meter.funds.grant("acme", advanced=100, source="trial", key="trial")
        async with meter.call("acme", model="o3", messages=request_, key="r1", workload=workload) as call:
            call.record(answer(tier))
        recorded = await meter.record(
            "acme", model="o3", response=answer(tier), key="r2", workload=Workload(processing=paid)
        )

    assert (paid, paid, COSTS[paid]) == charged(call.receipt)
    assert (paid, paid, COSTS[paid]) == charged(recorded)


async def test_the_hold_is_of_what_is_asked_for(in_memory: Opener) -> None:
    """By cost: a call with priority holds more than one at the standard price, and a batch half of it."""
    options: dict[str, Any] = {"card": card(step="0.000001"), "catalogue": PRICES()}
    async with in_memory(**options) as meter:
        holds = [
            meter.estimate("small", MESSAGES, max_tokens=100, workload=workload).hold.micro
            for workload in (Workload(), BATCH, PRIORITY)
        ]

    assert [1_000_000, 500_000, 2_000_000] == [round(hold * 1_000_000 / holds[0], -2) for hold in holds]


def PRICES() -> PriceList:  # noqa: N802 - a list that a test may change
    return PriceList(small=100_000, small_batch=50_000, small_priority=200_000)


async def test_a_contradiction_is_refused_before_the_call(in_memory: Opener) -> None:
    """Nothing is held for it."""
    async with in_memory() as meter:
        await meter.funds.grant("acme", advanced=100, source="trial", key="trial")
        with pytest.raises(InvalidArgumentError, match="leave one of them out"):
            meter.call(
                "acme", model="o3", messages={**BODY, "service_tier": "flex"}, key="r1", workload=PRIORITY
            )

        assert PT.of(100) == (await meter.balance("acme")).advanced.available


@pytest.mark.parametrize(
    ("tier", "error", "says", "answered"),
    [
        ("warp", UnknownTierError, "'warp' of 'gpt-4o'", Processing.UNKNOWN),
        ("flex", UnknownModelError, "no flex price", Processing.FLEX),
    ],
)
async def test_a_tier_without_a_price_is_charged_to_nobody(
    opened: Opener,
    caplog: pytest.LogCaptureFixture,
    tier: str,
    error: type[Exception],
    says: str,
    answered: Processing,
) -> None:
    """The hold stays, the call waits in quarantine, and the log has what the provider sent, once for each call."""
    async with opened() as meter:
        await meter.funds.grant("acme", advanced=100, source="trial", key="trial")
        call = meter.call("acme", model="gpt-4o", messages=MESSAGES, key="r1")
        with caplog.at_level(logging.ERROR, "ptmeter"), pytest.raises(error, match=says) as caught:
            async with call:
                call.record(answer(tier))
        with pytest.raises(error, match=says):
            await meter.record("acme", model="gpt-4o", response=answer(tier), key="r2")

        assert call.receipt is None
        assert ["it is in quarantine" in note for note in caught.value.__notes__] == [True]
        assert [str(answer(tier)["usage"]) in record.getMessage() for record in caplog.records] == [
            True
        ] * 2
        if isinstance(caught.value, UnknownTierError):
            assert answer(tier)["usage"] == caught.value.payload
        assert call.hold is not None
        assert call.estimate.hold == (await meter.balance("acme")).advanced.held
        waiting = (await meter.quarantine.list()).calls
        assert ["r1", "r2"] == sorted(waits.key for waits in waiting)
        assert {answered} == {waits.workload.processing for waits in waiting}
        assert [answer(tier)["usage"]] * 2 == [json.loads(waits.payload) for waits in waiting]
        assert (await meter.verify()).clean


async def test_a_usage_alone_is_charged_as_it_was_asked_for(in_memory: Opener) -> None:
    """Who records a usage of his own leaves the tier to the workload: a way out where the answer's is not known."""
    async with in_memory() as meter:
        await meter.funds.grant("acme", advanced=100, source="trial", key="trial")
        async with meter.call("acme", model="o3", messages=MESSAGES, key="r1", workload=FLEX) as call:
            call.record(used(1_000, output=100))

    assert (Processing.FLEX, Processing.FLEX, COSTS[Processing.FLEX]) == charged(call.receipt)


async def test_a_stream_that_broke_off_is_charged_at_the_tier_it_told(in_memory: Opener) -> None:
    """Priority was asked for and not given, as its first chunk says; the rest never came."""
    chunk = {
        "object": "chat.completion.chunk",
        "service_tier": "default",
        "choices": [{"index": 0, "delta": {"content": "Hello"}}],
    }
    async with in_memory() as meter:
        await meter.funds.grant("acme", advanced=100, source="trial", key="trial")
        async with meter.call("acme", model="o3", messages=MESSAGES, key="r1", workload=PRIORITY) as call:
            async for _ in call.stream(streamed([chunk])):
                pass

    assert Processing.STANDARD is charged(call.receipt)[0]


async def test_an_unknown_tier_is_charged_at_the_ceiling_and_never_as_standard(
    opened: Opener, clock: Clock
) -> None:
    """Rated again, the model's standard price is not taken for it: the call stays as it is, and is counted."""
    ceiling = Ceiling("core", dict.fromkeys(TOKEN_CLASSES, 1_000_000))
    options: dict[str, Any] = {"card": card(), "catalogue": PRICES(), "clock": clock}
    async with opened(policy=Policy(unpriced=ceiling), **options) as meter:
        await meter.funds.grant("acme", core=100, source="trial", key="trial")
        receipt = await meter.record("acme", model="small", response=answer("warp"), key="r1")

        again = await meter.prices.preview(since=clock(), until=clock() + timedelta(days=1))
        checked = await meter.prices.check()

    assert (Processing.STANDARD, Processing.UNKNOWN, 1_100_000) == charged(receipt)
    assert ({"small": 1}, 0) == (again.unrated, again.differing)
    assert ({"small": 1}, 0) == (checked.unpriced, checked.ready)


async def rates(meter: AsyncMeter) -> list[tuple[str, Processing]]:
    """What each call on the statement was charged, and how it was processed."""
    page = await meter.statement("acme")
    return [(str(entry.amount), entry.processing) for entry in page.entries if entry.processing]


async def test_a_tier_survives_from_settling_to_rating_again(opened: Opener, clock: Clock) -> None:
    """On the statement, in the check of prices, and rated again at the new price for that processing alone."""
    prices = PRICES()
    async with opened(card=card(), catalogue=prices, clock=clock) as meter:
        await meter.funds.grant("acme", core=100, source="trial", key="trial")
        span: dict[str, Any] = {"since": clock(), "until": clock() + timedelta(days=1)}
        who: dict[str, Any] = {"by": "ann", "reason": "the list was wrong"}
        for number, workload in enumerate((Workload(), BATCH, PRIORITY)):
            asked = meter.call(
                "acme", model="small", messages=MESSAGES, max_tokens=9, key=f"c{number}", workload=workload
            )
            async with asked as call:
                call.record(used(10_000))
        at_first = await rates(meter)
        assert [Processing.STANDARD, Processing.BATCH, Processing.PRIORITY] == [how for _, how in at_first]
        assert (3, True) == ((await meter.prices.check()).models, (await meter.prices.check()).clean)

        prices.rates = {**prices.rates, "small_batch": 70_000}
        [changed] = (await meter.prices.check()).changed
        done = await meter.prices.rerate(**span, **who)
        del prices.rates["small_priority"]
        lost = await meter.prices.check()

        assert "acme/small (batch)" == changed.model
        assert (3, 1, 1) == (done.calls, done.differing, done.posted)
        assert ["acme/small (priority)"] == [use.price.full_name for use in lost.missing]
        assert {"small": 1} == (await meter.prices.preview(**span)).unrated
        assert 1 == (await meter.prices.rerate(**span, **who, basis=Basis.FIRST)).posted
        assert at_first == (await rates(meter))[:3]
        assert (await meter.verify()).clean
