"""The public face, as people type it; every test runs against `Meter` and `AsyncMeter` alike."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.facade.colours import open_meter, streamed, transaction

from ptmeter import (
    PT,
    AccountNotFoundError,
    Balance,
    Ceiling,
    ConfigurationError,
    Hold,
    HoldNotFoundError,
    HoldNotPendingError,
    IdempotencyConflictError,
    InsufficientFundsError,
    InvalidArgumentError,
    ModelLockedError,
    Money,
    Overage,
    Policy,
    Quality,
    SchemaOutdatedError,
    UnknownModelError,
    UnknownUnitError,
    Usage,
    UsageMissingError,
    reference_plans,
)
from ptmeter.domain.usage import TOKEN_CLASSES
from ptmeter.operations.sweeping import Swept

if TYPE_CHECKING:
    from tests.backends import Backend
    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter
    from ptmeter.testing import Clock

pytestmark = pytest.mark.anyio

PAYLOADS = Path(__file__).parent.parent / "corpus"

MINI = "gpt-4o-mini"
"""A core model: 1 PT up to 1,500 tokens, 3 PT up to 4,200, 6 PT up to 7,800."""

MESSAGES = [{"role": "user", "content": "Say hi"}]
"""9 tokens with what frames them, so at most 9 + 4,096: a hold of 3 PT."""

ANSWER = {
    "object": "chat.completion",
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 20,
        "completion_tokens": 5,
        "total_tokens": 25,
        "prompt_tokens_details": {"cached_tokens": 8},
    },
}
"""25 tokens, so 1 PT; it cost 12 × 150 + 8 × 75 + 5 × 600 nano-dollars."""

SHAPES = [("openai-chat", 7), ("openai-responses", 7), ("anthropic-message", 3)]
"""Answers of advanced models: 2,306, 4,140 and 40 tokens, which is 7, 7 and 3 PT."""

LATE = "the hold had expired: the call was charged late, from what was available"
COUNTED_HERE = "tokens were counted here and may be corrected later"


class BoomError(Exception):
    """The block's own error."""


def payload(name: str) -> dict[str, Any]:
    return json.loads((PAYLOADS / f"{name}.json").read_text(encoding="utf-8"))


def piece(text: str) -> dict[str, Any]:
    """A chunk of a streamed chat completion."""
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]}


def core(balance: Balance) -> tuple[str, str]:
    return str(balance.core.available), str(balance.core.held)


async def kinds(meter: AsyncMeter, unit: str = "core") -> list[str]:
    """What was booked for acme in one unit."""
    return [entry.kind for entry in (await meter.statement("acme")).entries if entry.unit == unit]


# --- opening ---


@pytest.mark.sqlite
async def test_a_new_sqlite_file_is_set_up_at_first_use(tmp_path: Path, asynchronous: bool) -> None:
    """Opening touches nothing; the first use makes the file and its tables, with all the defaults."""
    path = tmp_path / "pt.db"
    meter = open_meter(f"sqlite:///{path}", asynchronous=asynchronous)
    assert not path.exists()

    await meter.funds.grant("acme", core=100, source="trial", key="trial")
    async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1") as call:
        call.record(ANSWER)

    assert ("99 PT", "0 PT") == core(await meter.balance("acme"))
    await meter.aclose()


@pytest.mark.sqlite
async def test_a_file_is_found_again(on_file: Opener) -> None:
    """What one meter wrote, the next one on the same file reads."""
    async with on_file() as first:
        await first.funds.grant("acme", core=100, source="trial", key="trial")
    async with on_file() as second:
        assert ("100 PT", "0 PT") == core(await second.balance("acme"))


async def test_a_server_without_tables_asks_for_them(
    bare_server_url: str, asynchronous: bool, shared: dict[str, Any]
) -> None:
    """A server is not altered unasked: one sentence says how; ``migrate=True`` does it."""
    refused = open_meter(bare_server_url, asynchronous=asynchronous, **shared)
    with pytest.raises(SchemaOutdatedError) as caught:
        await refused.balance("acme")
    await refused.aclose()
    assert (
        "the ptmeter schema is not set up: run `ptmeter migrate --db URL` or open the meter with migrate=True"
    ) == str(caught.value)

    async with open_meter(bare_server_url, asynchronous=asynchronous, migrate=True, **shared) as meter:
        granted = await meter.funds.grant("acme", core=100, source="trial", key="trial")
    assert {"core": PT.of(100)} == granted.available


async def test_a_server_meters_a_call(server: Backend, asynchronous: bool, shared: dict[str, Any]) -> None:
    """From grant to receipt, statement and verification on PostgreSQL and MySQL."""
    async with open_meter(server.empty(), asynchronous=asynchronous, **shared) as meter:
        await meter.funds.grant("acme", core=100, source="trial", key="trial")
        async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1") as call:
            call.record(ANSWER)

        assert "charged 1 PT core; 99 PT core available" == str(call.receipt)
        assert ["grant", "hold", "settle"] == await kinds(meter)
        assert (await meter.verify()).clean


@pytest.mark.parametrize("target", ["pt.db", "oracle://host/pt", "sqlite://"])
def test_a_target_that_is_no_database_is_refused(target: str, asynchronous: bool) -> None:
    """What is no URL, or of a database that is not known, is refused when it is opened."""
    with pytest.raises(ConfigurationError):
        open_meter(target, asynchronous=asynchronous)


# --- PT in ---


async def test_a_grant_opens_the_account_and_adds_up(opened: Opener) -> None:
    """The first grant opens the account, the next adds to it, and says what is available."""
    async with opened() as meter:
        with pytest.raises(AccountNotFoundError):
            await meter.balance("acme")
        await meter.funds.grant("acme", core=10, source="trial", key="g1")
        granted = await meter.funds.grant(
            "acme", core="0.5", advanced=Decimal(2), source="top-up", key="g2"
        )

        assert {"core": PT.of("0.5"), "advanced": PT.of(2)} == granted.amounts
        assert {"core": PT.of("10.5"), "advanced": PT.of(2)} == granted.available


async def test_a_grant_sent_twice_is_given_once(meter: AsyncMeter) -> None:
    """The same key gives the first result again; with other arguments it is a conflict."""
    again = await meter.funds.grant("acme", core=100, advanced=50, source="trial", key="trial")
    assert again.replayed
    assert ("100 PT", "0 PT") == core(await meter.balance("acme"))

    with pytest.raises(IdempotencyConflictError):
        await meter.funds.grant("acme", core=101, advanced=50, source="trial", key="trial")


async def test_grants_burn_by_priority_and_lapse(opened: Opener, clock: Clock) -> None:
    """The lower priority burns first, and what expires is shown while it is there and gone afterwards."""
    soon = clock() + timedelta(days=1)
    async with opened(clock=clock) as meter:
        await meter.funds.grant("acme", core=5, source="promo", key="g1", expires_at=soon)
        await meter.funds.grant("acme", core=10, source="top-up", key="g2", priority=10)
        await meter.settle(await meter.hold("acme", core=12, key="r1"), core=12, key="r1")
        assert ((soon, PT.of(3)),) == (await meter.balance("acme")).core.expiring
        assert ("3 PT", "0 PT") == core(await meter.balance("acme"))

        clock.turn(timedelta(days=1))
        assert ("0 PT", "0 PT") == core(await meter.balance("acme"))


async def test_an_adjustment_goes_up_and_down(meter: AsyncMeter) -> None:
    """A signed amount with its reason, which stays in the statement."""
    await meter.funds.adjust("acme", core=5, reason="goodwill", key="a1")
    granted = await meter.funds.adjust("acme", core=-25, reason="charged back", key="a2")

    assert {"core": PT.of(-25)} == granted.amounts
    assert {"core": PT.of(80)} == granted.available
    entries = (await meter.statement("acme")).entries
    assert [("adjust_up", PT.of(5), "goodwill"), ("adjust_down", PT.of(25), "charged back")] == [
        (entry.kind, entry.amount, entry.note) for entry in entries if "adjust" in entry.kind
    ]


async def test_an_adjustment_takes_no_more_than_there_is(meter: AsyncMeter) -> None:
    """Less available than is to be taken is a refusal, and nothing is taken."""
    with pytest.raises(InsufficientFundsError):
        await meter.funds.adjust("acme", core=-101, reason="charged back", key="a1")
    assert ("100 PT", "0 PT") == core(await meter.balance("acme"))


async def test_subscribing_twice_under_a_key_is_once(opened: Opener) -> None:
    """A plan gives its allowance once per key, and a new cycle has a new key."""
    async with opened(plans=reference_plans()) as meter:
        first = await meter.plans.assign("acme", "pro", key="2026-01")
        again = await meter.plans.assign("acme", "pro", key="2026-01")
        assert (False, True) == (first.replayed, again.replayed)
        assert {"core": PT.of(1000), "advanced": PT.of(50)} == again.available

        await meter.plans.assign("acme", "pro", key="2026-02")
        assert ("2,000 PT", "0 PT") == core(await meter.balance("acme"))


async def test_an_allowance_lapses_with_its_cycle(opened: Opener, clock: Clock) -> None:
    """What is left of an allowance at *until* is gone; it burns before what was topped up."""
    async with opened(plans=reference_plans(), clock=clock) as meter:
        await meter.funds.grant("acme", core=10, source="top-up", key="g1")
        until = clock() + timedelta(days=30)
        await meter.plans.assign("acme", "freemium", key="2026-01", until=until)
        await meter.settle(await meter.hold("acme", core=40, key="r1"), core=40, key="r1")
        assert ("70 PT", "0 PT") == core(await meter.balance("acme"))

        clock.turn(timedelta(days=30))
        assert ("10 PT", "0 PT") == core(await meter.balance("acme"))


async def test_a_plan_must_be_known(opened: Opener) -> None:
    """A name that is no plan is refused with the names there are, and a meter without plans says so."""
    async with opened(plans=reference_plans()) as meter:
        with pytest.raises(
            ConfigurationError, match="there is no plan 'gold': the plans are freemium, entry"
        ):
            await meter.plans.assign("acme", "gold", key="s1")
    async with opened() as meter:
        with pytest.raises(ConfigurationError, match="this meter has no plans"):
            await meter.plans.assign("acme", "pro", key="s1")


# --- estimates ---


@pytest.mark.parametrize(
    ("request_", "options", "at_most", "hold"),
    [
        ("Say hi", {}, 4_096, 3),
        (MESSAGES, {}, 4_096, 3),
        (MESSAGES, {"max_tokens": 100}, 100, 1),
        ({"model": MINI, "messages": MESSAGES}, {}, 4_096, 3),
        ({"model": MINI, "messages": MESSAGES, "max_completion_tokens": 5_000}, {}, 5_000, 6),
        ({"model": MINI, "messages": MESSAGES, "max_tokens": 5_000}, {"max_tokens": 100}, 100, 1),
        ({"model": MINI, "input": "Say hi", "max_output_tokens": 200}, {}, 200, 1),
    ],
)
def test_an_estimate_takes_text_messages_or_a_body(
    in_memory: Opener, request_: Any, options: dict[str, Any], at_most: int, hold: int
) -> None:
    """Whatever is sent can be estimated; the body's own limit counts unless the call gives one."""
    estimate = in_memory().estimate(MINI, request_, **options)

    assert (9, "exact", "core") == (estimate.input.tokens, estimate.input.method, estimate.unit)
    assert (at_most, PT.of(hold)) == (estimate.output_at_most, estimate.hold)
    assert PT.of(1) == estimate.expected


def test_an_estimate_reads_as_a_sentence(in_memory: Opener) -> None:
    """It says what is expected, what is held at most, and what one PT is."""
    assert (
        "expected 1 PT, at most 3 PT (core); "
        "1 core PT pays for about US$0.001 of provider cost and sells at US$0.01"
    ) == str(in_memory().estimate(MINI, MESSAGES))


# --- a call ---


async def test_a_call_is_held_then_settled(meter: AsyncMeter) -> None:
    """The most it can cost is held inside the block, and what it did cost is charged on the way out."""
    async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1") as call:
        assert ("97 PT", "3 PT") == core(await meter.balance("acme"))
        assert call.hold is not None
        assert {"core": PT.of(3)} == call.hold.amounts
        assert call.receipt is None
        call.record(ANSWER)

    assert ("99 PT", "0 PT") == core(await meter.balance("acme"))
    receipt = call.receipt
    assert receipt is not None
    assert receipt.charge is not None
    assert ({"core": PT.of(1)}, {"core": PT.of(3)}) == (receipt.charged, receipt.held)
    assert Usage(input_uncached=12, input_cache_read=8, output_text=5) == receipt.usage
    assert Money.usd("0.0000054") == receipt.charge.cost
    assert call.estimate == receipt.estimate
    assert () == receipt.warnings


async def test_a_receipt_reads_as_a_sentence(meter: AsyncMeter) -> None:
    """It says what was charged and what is left."""
    async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1") as call:
        call.record(ANSWER)

    assert "charged 1 PT core; 99 PT core available" == str(call.receipt)


async def test_a_call_that_raised_before_anything_was_recorded_is_void(meter: AsyncMeter) -> None:
    """The block's error goes on, and the whole hold is available again."""
    call = meter.call("acme", model=MINI, messages=MESSAGES, key="r1")
    with pytest.raises(BoomError):
        async with call:
            raise BoomError

    assert ("100 PT", "0 PT") == core(await meter.balance("acme"))
    assert ["grant", "hold", "void"] == await kinds(meter)
    assert call.receipt is not None
    assert {"core": PT.of(0)} == call.receipt.charged


async def test_a_call_that_raised_after_its_answer_is_settled(meter: AsyncMeter) -> None:
    """The provider answered, so it is paid for, whatever became of the answer."""
    call = meter.call("acme", model=MINI, messages=MESSAGES, key="r1")
    with pytest.raises(BoomError):
        async with call:
            call.record(ANSWER)
            raise BoomError

    assert ("99 PT", "0 PT") == core(await meter.balance("acme"))


@pytest.mark.parametrize(("name", "pt"), SHAPES)
async def test_answers_of_every_provider_are_recorded(meter: AsyncMeter, name: str, pt: int) -> None:
    """OpenAI's chat completions and responses and Anthropic's messages, as dictionaries."""
    answer = payload(name)
    async with meter.call("acme", model=answer["model"], messages=MESSAGES, key="r1") as call:
        call.record(answer["response"])

    assert call.receipt is not None
    assert {"advanced": PT.of(pt)} == call.receipt.charged
    assert Usage(**answer["usage"]) == call.receipt.usage


async def test_json_and_a_usage_are_recorded_too(meter: AsyncMeter) -> None:
    """The answer may be JSON, or a `Usage` of one's own counting."""
    for key, answer in (("r1", json.dumps(ANSWER)), ("r2", Usage(input_uncached=20, output_text=5))):
        async with meter.call("acme", model=MINI, messages=MESSAGES, key=key) as call:
            call.record(answer)
        assert call.receipt is not None
        assert {"core": PT.of(1)} == call.receipt.charged


@pytest.mark.parametrize(("name", "pt"), SHAPES)
async def test_a_stream_brings_its_usage(meter: AsyncMeter, name: str, pt: int) -> None:
    """Every chunk is passed on unchanged, and the usage among them is what is charged."""
    answer = payload(name)
    async with meter.call("acme", model=answer["model"], messages=MESSAGES, key="r1") as call:
        passed = [chunk async for chunk in call.stream(streamed(answer["stream"]))]

    assert answer["stream"] == passed
    assert call.receipt is not None
    assert {"advanced": PT.of(pt)} == call.receipt.charged
    assert Usage(**answer["usage"]) == call.receipt.usage
    assert () == call.receipt.warnings


async def test_a_stream_without_usage_is_charged_for_its_text(meter: AsyncMeter) -> None:
    """9 tokens went in and 1,500 came before it ended: 3 PT, and the receipt says how that is known."""
    async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1") as call:
        async for _ in call.stream(streamed(piece(" hello") for _ in range(1_500))):
            pass

    assert call.receipt is not None
    assert call.receipt.usage is not None
    assert ({"core": PT.of(3)}, {"core": PT.of(97)}) == (call.receipt.charged, call.receipt.available)
    assert [True] == [COUNTED_HERE in warning for warning in call.receipt.warnings]
    assert (
        Usage(input_uncached=9, output_text=1_500, quality=Quality.PARTIAL_ESTIMATED) == call.receipt.usage
    )
    assert "partial_estimated" == call.receipt.usage.quality


async def test_a_stream_that_fails_is_charged_for_what_came(meter: AsyncMeter) -> None:
    """An error in the middle goes on, and the text that was generated until the stream ended is paid for."""
    call = meter.call("acme", model=MINI, messages=MESSAGES, key="r1")
    with pytest.raises(BoomError):
        async with call:
            async for _ in call.stream(streamed([piece("Hello"), piece(" there")])):
                raise BoomError

    assert call.receipt is not None
    assert call.receipt.usage is not None
    assert 2 == call.receipt.usage.output_text
    assert [True] == [COUNTED_HERE in warning for warning in call.receipt.warnings]


async def test_a_stream_cut_off_keeps_the_input_the_provider_said(meter: AsyncMeter) -> None:
    """Anthropic says the input first: 25 tokens, which is not the estimate's count."""
    answer = payload("anthropic-message")
    async with meter.call("acme", model=answer["model"], messages=MESSAGES, key="r1") as call:
        async for _ in call.stream(streamed(answer["stream"][:5])):
            pass

    assert call.receipt is not None
    assert call.receipt.usage is not None
    assert (25, "partial_estimated") == (call.receipt.usage.input_total, call.receipt.usage.quality)


async def test_a_stream_that_failed_before_any_text_is_void(meter: AsyncMeter) -> None:
    """Nothing came, so nothing is charged."""
    with pytest.raises(BoomError):
        async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1") as call:
            async for _ in call.stream(streamed([piece("")])):
                raise BoomError

    assert ("100 PT", "0 PT") == core(await meter.balance("acme"))


async def test_an_answer_whose_usage_is_unusable_is_charged_as_expected(meter: AsyncMeter) -> None:
    """An answer was given, so the call is not free: what was expected is charged, and the receipt says so."""
    nameless = {key: value for key, value in ANSWER.items() if key != "usage"}
    call = meter.call("acme", model=MINI, messages=MESSAGES, key="r1")

    with pytest.raises(UsageMissingError):
        async with call:
            call.record(nameless)

    assert call.receipt is not None
    assert call.receipt.usage is not None
    assert "partial_estimated" == call.receipt.usage.quality
    assert {"core": call.estimate.expected} == call.receipt.charged
    assert call.receipt.warnings


async def test_an_error_from_another_call_is_not_this_ones(meter: AsyncMeter) -> None:
    """What is wrong with an answer to somebody else does not charge a call that was never sent."""
    with pytest.raises(UsageMissingError):
        async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1"):
            raise UsageMissingError

    assert ("100 PT", "0 PT") == core(await meter.balance("acme"))


async def test_a_late_key_is_not_used_twice(opened: Any, clock: Clock) -> None:
    """A settle that comes late, in one of two units, keeps its key from being used for the other."""
    async with opened(clock=clock) as meter:
        await meter.funds.grant("acme", core=100, advanced=100, source="trial", key="trial")
        held = await meter.hold("acme", core=10, advanced=10, key="h", ttl=timedelta(minutes=1))
        clock.turn(timedelta(minutes=2))
        await meter.sweep()
        await meter.settle(held, advanced=2, key="x")

        with pytest.raises(IdempotencyConflictError):
            await meter.settle(held, core=5, key="x")

        assert PT.of(100) == (await meter.balance("acme")).core.available


async def test_a_call_without_an_answer_says_so_and_can_be_settled(meter: AsyncMeter) -> None:
    """Forgetting `record` is an error and not a free call; the hold stays and can be settled by hand."""
    with pytest.raises(UsageMissingError, match="nothing was recorded for call 'r1'"):
        async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1"):
            pass
    assert ("97 PT", "3 PT") == core(await meter.balance("acme"))

    held = await meter.find_hold("acme", key="r1")
    receipt = await meter.settle(held, core=2, key="r1")
    assert ({"core": PT.of(2)}, {"core": PT.of(98)}) == (receipt.charged, receipt.available)


@pytest.mark.parametrize(
    "chunks", [[1, 2, 3], ["hello", "world"], ANSWER], ids=["numbers", "words", "answer"]
)
async def test_a_stream_of_what_is_no_chunk_says_what_one_is(meter: AsyncMeter, chunks: Any) -> None:
    """It was passed to `stream`, so that is not what is missing; nothing is charged for it."""
    with pytest.raises(
        UsageMissingError, match=r"stream of call 'r1' brought no usage .* goes to call.record"
    ):
        async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1") as call:
            async for _ in call.stream(streamed([*chunks])):
                pass
    assert ("97 PT", "3 PT") == core(await meter.balance("acme"))


async def test_an_answer_that_nobody_knows_says_what_is_charged_for_it(meter: AsyncMeter) -> None:
    """What was expected of it, unless a usage is recorded: the error says so where it is raised."""
    with pytest.raises(
        UsageMissingError, match=r"keys of no shape that is known .* charged for what was expected"
    ):
        async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1") as call:
            call.record({"foo": 1})

    assert ("99 PT", "0 PT") == core(await meter.balance("acme"))


async def test_an_answer_without_usage_is_refused_where_it_is_recorded(meter: AsyncMeter) -> None:
    """It is not an answer that used nothing; the same block can record another."""
    async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1") as call:
        with pytest.raises(UsageMissingError):
            call.record({"object": "chat.completion", "choices": []})
        call.record(ANSWER)

    assert ("99 PT", "0 PT") == core(await meter.balance("acme"))


async def test_a_call_that_was_answered_is_not_sent_again(meter: AsyncMeter) -> None:
    """Entering under a key that is settled is refused before anything is sent, and charges nothing."""
    async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1") as call:
        call.record(ANSWER)
    with pytest.raises(HoldNotPendingError):
        async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1"):
            pytest.fail("the block must not be entered")

    assert ("99 PT", "0 PT") == core(await meter.balance("acme"))


@pytest.mark.parametrize(
    "other",
    [
        {"messages": [{"role": "user", "content": "Say ho"}]},
        {"model": "gpt-4.1-mini"},
        {"model": "gpt-4.1"},
        {"max_tokens": 4_000},
    ],
    ids=["messages", "model", "unit", "max_tokens"],
)
async def test_another_request_under_the_key_is_a_conflict(
    meter: AsyncMeter, other: dict[str, Any]
) -> None:
    """A key names one request, however alike their holds are, and in whatever unit."""
    asked: dict[str, Any] = {"model": MINI, "messages": MESSAGES}
    await meter.call("acme", **asked, key="r1").__aenter__()
    with pytest.raises(IdempotencyConflictError):
        await meter.call("acme", **(asked | other), key="r1").__aenter__()

    assert ("97 PT", "3 PT") == core(await meter.balance("acme"))
    assert PT.of(50) == (await meter.balance("acme")).advanced.available


async def test_a_call_after_a_crash_finds_its_hold(meter: AsyncMeter) -> None:
    """The process died inside the block: the same call has the same hold, and is settled once."""
    crashed = await meter.call("acme", model=MINI, messages=MESSAGES, key="r1").__aenter__()
    async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1") as call:
        assert call.hold is not None
        assert crashed.hold is not None
        assert call.hold.replayed
        assert (crashed.hold.amounts, crashed.hold.expires_at) == (call.hold.amounts, call.hold.expires_at)
        assert ("97 PT", "3 PT") == core(await meter.balance("acme"))
        call.record(ANSWER)

    assert ["grant", "hold", "settle"] == await kinds(meter)


async def test_a_call_settled_after_its_hold_expired_is_charged_late(opened: Opener, clock: Clock) -> None:
    """It was answered, so it is paid for; the receipt says that it came late."""
    async with opened(clock=clock) as meter:
        await meter.funds.grant("acme", core=100, source="trial", key="trial")
        async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1") as call:
            clock.turn(timedelta(minutes=16))
            await meter.sweep()
            call.record(ANSWER)

        assert f"charged 1 PT core; 99 PT core available; {LATE}" == str(call.receipt)
        assert (await meter.verify()).clean


async def test_a_hold_past_its_time_is_settled_while_it_is_there(opened: Opener, clock: Clock) -> None:
    """Nobody needed its PT and nothing swept it, so it is settled like any other."""
    async with opened(clock=clock) as meter:
        await meter.funds.grant("acme", core=100, source="trial", key="trial")
        async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1") as call:
            clock.turn(timedelta(minutes=16))
            call.record(ANSWER)

        assert "charged 1 PT core; 99 PT core available" == str(call.receipt)
        assert ["grant", "hold", "settle"] == await kinds(meter)


async def test_a_call_that_raised_after_its_hold_expired_raises_its_own_error(
    opened: Opener, clock: Clock
) -> None:
    """The PT are back already: there is nothing to void, and the block's error is the one to see."""
    async with opened(clock=clock) as meter:
        await meter.funds.grant("acme", core=100, source="trial", key="trial")
        with pytest.raises(BoomError):
            async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1"):
                clock.turn(timedelta(minutes=16))
                await meter.sweep()
                raise BoomError

        assert ("100 PT", "0 PT") == core(await meter.balance("acme"))


async def test_a_call_nobody_can_pay_is_not_sent(opened: Opener) -> None:
    """The error carries what is available and what is required, in whole PT, and says what to do."""
    async with opened() as meter:
        await meter.funds.grant("acme", core=2, source="trial", key="trial")
        with pytest.raises(InsufficientFundsError) as caught:
            async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1"):
                pytest.fail("the block must not be entered")

        assert (Decimal(2), Decimal(3)) == (caught.value.available, caught.value.required)
        assert "account 'acme' has 2 core PT available and 3 are required: top up, or ask for less" == str(
            caught.value
        )


async def test_a_unit_the_account_was_never_given_is_insufficient(opened: Opener) -> None:
    """The account exists, so it lacks PT of that unit: none are available."""
    async with opened() as meter:
        await meter.funds.grant("acme", core=2, source="trial", key="trial")
        with pytest.raises(InsufficientFundsError) as caught:
            await meter.call("acme", model="gpt-4.1", messages=MESSAGES, key="r1").__aenter__()

        assert (Decimal(0), Decimal(7)) == (caught.value.available, caught.value.required)


async def test_a_locked_model_names_the_cheapest_plan(opened: Opener) -> None:
    """The plan's units decide, before anything is held; an account without a plan may use every model."""
    async with opened(plans=reference_plans()) as meter:
        await meter.plans.assign("acme", "freemium", key="s1")
        await meter.funds.grant("acme", advanced=50, source="add-on", key="g1")
        with pytest.raises(ModelLockedError) as caught:
            async with meter.call("acme", model="gpt-4.1", messages=MESSAGES, key="r1"):
                pytest.fail("the block must not be entered")
        assert "pro" == caught.value.opens_with
        assert "model 'gpt-4.1' is not part of plan 'freemium': plan 'pro' opens it" == str(caught.value)

        await meter.funds.grant("other", advanced=50, source="trial", key="g1")
        async with meter.call("other", model="gpt-4.1", messages=MESSAGES, key="r1") as call:
            call.record(ANSWER)
        assert call.receipt is not None
        assert {"advanced": PT.of(3)} == call.receipt.charged


async def test_an_upgrade_opens_the_model(opened: Opener) -> None:
    """After subscribing to the plan that was named, the same call goes through."""
    async with opened(plans=reference_plans()) as meter:
        await meter.plans.assign("acme", "freemium", key="s1")
        await meter.plans.assign("acme", "pro", key="s2")
        async with meter.call("acme", model="gpt-4.1", messages=MESSAGES, key="r1") as call:
            call.record(ANSWER)
        assert call.receipt is not None
        assert {"advanced": PT.of(47)} == call.receipt.available


async def test_an_unknown_model_is_refused(meter: AsyncMeter) -> None:
    """What has no price would be free, so it is refused: estimated, called or recorded."""
    with pytest.raises(UnknownModelError, match="no price is known for model 'gpt-99-nope'"):
        meter.estimate("gpt-99-nope", MESSAGES)
    with pytest.raises(UnknownModelError):
        meter.call("acme", model="gpt-99-nope", messages=MESSAGES, key="r1")
    with pytest.raises(UnknownModelError):
        await meter.record("acme", model="gpt-99-nope", response=ANSWER, key="r1")


async def test_a_ceiling_lets_unpriced_models_pass_at_its_rates(opened: Opener) -> None:
    """
    It is held and charged in the ceiling's unit, at 10 micro-dollars a token and 33 % on top, and marked as unpriced.

    By its band a dear model would be charged like the cheap ones of the unit.
    """
    ceiling = Ceiling("core", dict.fromkeys(TOKEN_CLASSES, 10_000_000))
    async with opened(policy=Policy(unpriced=ceiling)) as meter:
        await meter.funds.grant("acme", core=100, source="trial", key="trial")
        async with meter.call("acme", model="gpt-99-nope", messages=MESSAGES, key="r1") as call:
            held = (await meter.balance("acme")).core.held
            call.record(ANSWER)

        estimate, receipt = call.estimate, call.receipt
        assert receipt is not None
        assert receipt.charge is not None
        tokens = estimate.input.high + estimate.output_at_most
        assert Money(tokens * 10_000) == estimate.cost_at_most
        assert PT.of(-(-tokens * 10 * 133 // 100_000)) == estimate.at_most == held
        assert {"core": PT.of(1)} == receipt.charged
        assert (Money(25 * 10_000), "unpriced") == (receipt.charge.cost, receipt.charge.price.source)


# --- arguments ---


@pytest.mark.parametrize(
    ("amounts", "error", "message"),
    [
        ({"core": 7.25}, TypeError, 'write "7.25" for 7.25'),
        ({"core": True}, TypeError, "not bool"),
        ({"gold": 1}, UnknownUnitError, "gold"),
        ({}, InvalidArgumentError, "say how many PT of which unit, such as advanced=10"),
        ({"core": "a few"}, InvalidArgumentError, "core: 'a few' is no number of PT"),
        ({"core": "0.0000001"}, InvalidArgumentError, "core: .*in steps of 0.000001"),
    ],
    ids=["float", "bool", "unit", "none", "text", "too fine"],
)
async def test_amounts_that_are_none_are_refused(
    meter_in_memory: AsyncMeter, amounts: dict[str, Any], error: type[Exception], message: str
) -> None:
    """By every verb that takes amounts, before anything is moved."""
    meter = meter_in_memory
    held = await meter.hold("acme", core=1, key="r1")
    with pytest.raises(error, match=message):
        await meter.funds.grant("acme", source="trial", key="g2", **amounts)
    with pytest.raises(error, match=message):
        await meter.funds.adjust("acme", reason="goodwill", key="a1", **amounts)
    with pytest.raises(error, match=message):
        await meter.hold("acme", key="r2", **amounts)
    with pytest.raises(error, match=message):
        await meter.settle(held, key="r1", **amounts)

    assert ["grant", "hold"] == await kinds(meter)


@pytest.mark.parametrize("pt", [0, -1])
async def test_a_grant_and_a_hold_are_of_something(meter_in_memory: AsyncMeter, pt: int) -> None:
    """Nothing, or less than nothing, can be neither given nor held; nor can less than nothing be charged."""
    meter = meter_in_memory
    with pytest.raises(InvalidArgumentError):
        await meter.funds.grant("acme", core=pt, source="trial", key="g2")
    with pytest.raises(InvalidArgumentError):
        await meter.hold("acme", core=pt, key="r1")
    held = await meter.hold("acme", core=1, key="r2")
    with pytest.raises(InvalidArgumentError):
        await meter.settle(held, core=min(pt, -1), key="r2")


async def test_a_key_is_never_empty(meter: AsyncMeter) -> None:
    """Every verb that moves PT refuses an empty key."""
    held = await meter.hold("acme", core=1, key="r1")
    for attempt in (
        lambda: meter.funds.grant("acme", core=1, source="trial", key=""),
        lambda: meter.funds.adjust("acme", core=1, reason="goodwill", key=""),
        lambda: meter.hold("acme", core=1, key=""),
        lambda: meter.find_hold("acme", key=""),
        lambda: meter.settle(held, core=1, key=""),
        lambda: meter.void(held, key=""),
        lambda: meter.record("acme", model=MINI, response=ANSWER, key=""),
        lambda: meter.call("acme", model=MINI, messages=MESSAGES, key="").__aenter__(),
    ):
        with pytest.raises(InvalidArgumentError, match="a key is a text that names the request"):
            await attempt()


# --- by hand ---


async def test_a_hold_is_settled_by_hand(meter: AsyncMeter) -> None:
    """What was used is charged, the rest is available again, and the same settle again is a replay."""
    held = await meter.hold("acme", core=10, key="r1")
    assert ({"core": PT.of(10)}, {"core": PT.of(90)}) == (held.amounts, held.available)
    receipt = await meter.settle(held, core="7.25", key="r1")
    again = await meter.settle(held, core="7.25", key="r1")

    assert ({"core": PT.of("7.25")}, {"core": PT.of("92.75")}) == (receipt.charged, receipt.available)
    assert (False, True) == (receipt.replayed, again.replayed)
    balance = await meter.balance("acme")
    assert (PT.of("92.75"), PT.of(0), PT.of("7.25")) == (
        balance.core.available,
        balance.core.held,
        balance.core.spent,
    )


async def test_a_hold_is_resolved_once(meter: AsyncMeter) -> None:
    """Under another key, a second settle or void finds nothing to move."""
    held = await meter.hold("acme", core=10, key="r1")
    receipt = await meter.void(held, key="r1")
    assert ({"core": PT.of(0)}, {"core": PT.of(100)}) == (receipt.charged, receipt.available)

    with pytest.raises(HoldNotPendingError):
        await meter.settle(held, core=1, key="r1")
    with pytest.raises(HoldNotPendingError):
        await meter.void(held, key="r2")
    with pytest.raises(IdempotencyConflictError):
        await meter.hold("acme", core=11, key="r1")


async def test_a_hold_in_two_units_is_one(meter: AsyncMeter) -> None:
    """It is held in both in one go, and settled in both; a unit that is not named is given back."""
    held = await meter.hold("acme", core=10, advanced=5, key="r1")
    assert {"core": PT.of(90), "advanced": PT.of(45)} == held.available
    receipt = await meter.settle(held, advanced=2, key="r1")

    assert (PT.of(2), PT.of(48)) == (receipt.charged["advanced"], receipt.available["advanced"])
    balance = await meter.balance("acme")
    assert ("100 PT", "0 PT") == core(balance)
    assert (PT.of(48), PT.of(0), PT.of(2)) == (
        balance.advanced.available,
        balance.advanced.held,
        balance.advanced.spent,
    )
    assert (await meter.verify()).clean


async def test_a_hold_in_two_units_is_all_or_nothing(meter: AsyncMeter) -> None:
    """One of them is not available, so nothing is held in the other, and the error names the one."""
    with pytest.raises(InsufficientFundsError) as caught:
        await meter.hold("acme", core=10, advanced=51, key="r1")

    assert ("advanced", Decimal(50), Decimal(51)) == (
        caught.value.unit,
        caught.value.available,
        caught.value.required,
    )
    assert ("100 PT", "0 PT") == core(await meter.balance("acme"))


async def test_a_refusal_is_remembered(meter: AsyncMeter) -> None:
    """Under its key a refused hold stays refused, also when there are PT now; a new key gets them."""
    with pytest.raises(InsufficientFundsError):
        await meter.hold("acme", core=101, key="r1")
    await meter.funds.grant("acme", core=10, source="top-up", key="g2")
    with pytest.raises(InsufficientFundsError):
        await meter.hold("acme", core=101, key="r1")

    assert {"core": PT.of(9)} == (await meter.hold("acme", core=101, key="r2")).available


async def test_a_settle_names_units_of_its_hold(meter: AsyncMeter) -> None:
    """Charging a unit that was not held is refused, and the hold stays."""
    held = await meter.hold("acme", core=10, key="r1")
    with pytest.raises(InvalidArgumentError, match="the hold under key 'r1' is not in advanced"):
        await meter.settle(held, advanced=1, key="r1")
    assert ("90 PT", "10 PT") == core(await meter.balance("acme"))


async def test_a_settle_beyond_the_hold_goes_by_the_overage(opened: Opener) -> None:
    """It is owed if that is allowed; if not, the hold stays open for a smaller settle."""
    async with opened() as meter:
        await meter.funds.grant("acme", core=1, source="trial", key="trial")
        held = await meter.hold("acme", core=1, key="r1")
        with pytest.raises(InsufficientFundsError):
            await meter.settle(held, core=3, key="r1", overage=Overage.REJECT)
        assert ("0 PT", "1 PT") == core(await meter.balance("acme"))

        receipt = await meter.settle(held, core=3, key="r2")
        assert ({"core": PT.of(3)}, {"core": PT.of(0)}) == (receipt.charged, receipt.available)
        assert PT.of(2) == (await meter.balance("acme")).core.owed
        assert (await meter.verify()).clean


@pytest.mark.sqlite
async def test_a_hold_is_found_from_elsewhere(on_file: Opener) -> None:
    """Another meter on the same ledger finds the hold by account and key, and settles it."""
    async with on_file() as here, on_file() as there:
        await here.funds.grant("acme", core=100, advanced=50, source="trial", key="trial")
        placed = await here.hold("acme", core=10, advanced=5, key="r1")
        found = await there.find_hold("acme", key="r1")
        assert (placed.amounts, placed.expires_at) == (found.amounts, found.expires_at)
        await there.settle(found, core=10, key="r1")

        with pytest.raises(HoldNotPendingError):
            await here.void(placed, key="r1")
        with pytest.raises(HoldNotFoundError, match="account 'acme' has no hold under key 'r2'"):
            await there.find_hold("acme", key="r2")


async def test_a_hold_that_was_never_placed_cannot_be_settled(meter: AsyncMeter) -> None:
    """A hold that was made up moves nothing."""
    placed = await meter.hold("acme", core=10, key="r1")
    made_up = Hold(account="acme", key="r2", amounts={"core": PT.of(10)}, expires_at=placed.expires_at)
    with pytest.raises(HoldNotFoundError):
        await meter.settle(made_up, core=1, key="r2")


async def test_a_call_without_a_hold_is_recorded(meter: AsyncMeter) -> None:
    """It is charged at once, and once per key."""
    receipt = await meter.record("acme", model=MINI, response=ANSWER, key="r1")
    again = await meter.record("acme", model=MINI, response=ANSWER, key="r1")

    assert ({"core": PT.of(1)}, {"core": PT.of(99)}) == (receipt.charged, receipt.available)
    assert {} == receipt.held
    assert (False, True) == (receipt.replayed, again.replayed)
    assert ["grant", "debit"] == await kinds(meter)
    with pytest.raises(UsageMissingError):
        await meter.record("acme", model=MINI, response={"choices": []}, key="r2")


async def test_a_recorded_call_goes_by_the_overage(opened: Opener) -> None:
    """Usage happened: beyond what is available it is owed, and a grant repays it, unless that is refused."""
    usage = Usage(input_uncached=2_000)
    async with opened() as meter:
        await meter.funds.grant("acme", core=1, source="trial", key="g1")
        receipt = await meter.record("acme", model=MINI, response=usage, key="r1")
        assert {"core": PT.of(3)} == receipt.charged
        assert PT.of(2) == (await meter.balance("acme")).core.owed
        granted = await meter.funds.grant("acme", core=10, source="top-up", key="g2")
        assert {"core": PT.of(8)} == granted.available
        assert (await meter.verify()).clean
    async with opened(policy=Policy(overage=Overage.REJECT)) as strict:
        await strict.funds.grant("other", core=1, source="trial", key="g1")
        with pytest.raises(InsufficientFundsError) as caught:
            await strict.record("other", model=MINI, response=usage, key="r1")
        assert (Decimal(1), Decimal(3)) == (caught.value.available, caught.value.required)


# --- reading back ---


async def test_a_balance_is_read_by_unit(meter: AsyncMeter) -> None:
    """As an attribute or an item; a unit the account never had is nothing."""
    await meter.hold("acme", core=10, key="r1")
    balance = await meter.balance("acme")

    assert PT.of(90) == balance.core.available == balance["core"].available
    assert (PT.of(10), PT.of(50)) == (balance.core.held, balance.advanced.available)
    assert PT.of(0) == balance["gold"].available
    assert "acme: 50 PT advanced available, 0 PT held; 90 PT core available, 10 PT held" == str(balance)


async def test_the_statement_says_what_was_called_and_what_it_cost(meter: AsyncMeter) -> None:
    """Each line has its amount and the balance after it, and a call its model, usage and cost."""
    async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1") as call:
        call.record(ANSWER)
    page = await meter.statement("acme")
    lines = [entry for entry in page.entries if entry.unit == "core"]

    assert [("grant", "100 PT", "100 PT"), ("hold", "3 PT", "97 PT"), ("settle", "1 PT", "99 PT")] == [
        (entry.kind, str(entry.amount), str(entry.available_after)) for entry in lines
    ]
    assert [1, 2, 3] == [entry.number for entry in lines]
    assert ("trial", None, None, None) == (lines[0].note, lines[0].model, lines[0].usage, lines[0].cost)
    settled = lines[2]
    assert (MINI, Money.usd("0.0000054"), 2) == (settled.model, settled.cost, settled.completes)
    assert Usage(input_uncached=12, input_cache_read=8, output_text=5) == settled.usage
    assert page.after is None


async def test_the_statement_comes_in_pages(opened: Opener, clock: Clock) -> None:
    """Pages of two, in the order of booking and over both units, bring every line once."""
    async with opened(clock=clock) as meter:
        for number in range(7):
            amounts: dict[str, Any] = {"core" if number % 3 else "advanced": number + 1}
            await meter.funds.grant("acme", **amounts, source="trial", key=f"g{number}")
            clock.turn(timedelta(hours=1))
        sizes, found, after = [], [], None
        while page := await meter.statement("acme", after=after, limit=2):
            sizes.append(len(page.entries))
            found += [entry.amount for entry in page.entries]
            if (after := page.after) is None:
                break

    assert [2, 2, 2, 1] == sizes
    assert [PT.of(number + 1) for number in range(7)] == found


async def test_the_statement_covers_a_span_of_time(opened: Opener, clock: Clock) -> None:
    """From *since* on and before *until*, in pages too."""
    async with opened(clock=clock) as meter:
        start = clock()
        for number in range(5):
            await meter.funds.grant("acme", core=number + 1, source="trial", key=f"g{number}")
            clock.turn(timedelta(hours=1))
        since, until = start + timedelta(hours=1), start + timedelta(hours=4)
        whole = await meter.statement("acme", since=since, until=until)
        first = await meter.statement("acme", since=since, until=until, limit=2)
        rest = await meter.statement("acme", since=since, until=until, limit=2, after=first.after)

    assert [PT.of(2), PT.of(3), PT.of(4)] == [entry.amount for entry in whole.entries]
    assert whole.entries == first.entries + rest.entries
    assert rest.after is None


async def test_a_place_in_a_statement_is_one_of_its_own(meter: AsyncMeter) -> None:
    """What was not a page's ``after`` is refused."""
    with pytest.raises(InvalidArgumentError, match="'tomorrow' is not a place in a statement"):
        await meter.statement("acme", after="tomorrow")


async def test_an_account_that_is_not_there_is_an_error(meter: AsyncMeter) -> None:
    """Reading, holding and recording say that it was never given anything."""
    for attempt in (
        lambda: meter.balance("nobody"),
        lambda: meter.statement("nobody"),
        lambda: meter.hold("nobody", core=1, key="r1"),
        lambda: meter.record("nobody", model=MINI, response=ANSWER, key="r1"),
    ):
        with pytest.raises(AccountNotFoundError, match="there is no account 'nobody': grant it PT first"):
            await attempt()


async def test_the_ledger_verifies(meter: AsyncMeter) -> None:
    """After calls of every end the balances follow from the journal, and the report counts both."""
    async with meter.call("acme", model=MINI, messages=MESSAGES, key="r1") as call:
        call.record(ANSWER)
    await meter.void(await meter.hold("acme", advanced=5, key="r2"), key="r2")
    await meter.hold("acme", core=5, key="r3")
    report = await meter.verify()

    assert report.clean
    assert (2, 7) == (report.wallets, report.transfers)
    assert ((), ()) == (report.findings, report.uncovered)


async def test_a_sweep_gives_back_what_nobody_came_for(opened: Opener, clock: Clock) -> None:
    """After the hold's time its PT are available again; a settle that comes still later is charged late."""
    async with opened(clock=clock) as meter:
        await meter.funds.grant("acme", core=100, source="trial", key="trial")
        held = await meter.hold("acme", core=10, key="r1", ttl=timedelta(minutes=5))
        assert clock() + timedelta(minutes=5) <= held.expires_at

        clock.turn(timedelta(minutes=4))
        assert Swept(0, 0, more=False) == await meter.sweep()
        clock.turn(timedelta(minutes=2))
        assert Swept(1, 0, more=False) == await meter.sweep()
        assert ("100 PT", "0 PT") == core(await meter.balance("acme"))

        with pytest.raises(HoldNotPendingError):
            await meter.void(held, key="r1")
        receipt = await meter.settle(held, core=10, key="r1")
        assert f"charged 10 PT core; 90 PT core available; {LATE}" == str(receipt)
        assert (await meter.verify()).clean


# --- in the application's own transaction ---


@pytest.mark.sqlite
async def test_a_joined_meter_commits_with_the_application(on_file: Opener, asynchronous: bool) -> None:
    """The application's row and the ledger's are there together."""
    async with on_file() as meter:
        await meter.funds.grant("acme", core=100, source="trial", key="trial")
        async with transaction(on_file.url, asynchronous=asynchronous) as own:
            await own.sql("CREATE TABLE jobs (name TEXT)")
        async with transaction(on_file.url, asynchronous=asynchronous) as own:
            await own.sql("INSERT INTO jobs VALUES ('one')")
            here = meter.joined(own.connection)
            held = await here.hold("acme", core=10, key="r1")
            await here.settle(held, core=4, key="r1")
            assert ("96 PT", "0 PT") == core(await here.balance("acme"))

        assert ("96 PT", "0 PT") == core(await meter.balance("acme"))
        async with transaction(on_file.url, asynchronous=asynchronous) as own:
            assert [("one",)] == [tuple(row) for row in await own.sql("SELECT name FROM jobs")]
        assert (await meter.verify()).clean


@pytest.mark.sqlite
async def test_a_joined_meter_rolls_back_with_the_application(on_file: Opener, asynchronous: bool) -> None:
    """An error undoes both, and the key is as if it had never been used."""
    async with on_file() as meter:
        await meter.funds.grant("acme", core=100, source="trial", key="trial")
        async with transaction(on_file.url, asynchronous=asynchronous) as own:
            await own.sql("CREATE TABLE jobs (name TEXT)")
        with pytest.raises(BoomError):
            async with transaction(on_file.url, asynchronous=asynchronous) as own:
                await own.sql("INSERT INTO jobs VALUES ('one')")
                await meter.joined(own.connection).hold("acme", core=10, key="r1")
                raise BoomError

        assert ("100 PT", "0 PT") == core(await meter.balance("acme"))
        async with transaction(on_file.url, asynchronous=asynchronous) as own:
            assert [] == list(await own.sql("SELECT name FROM jobs"))
        assert {"core": PT.of(80)} == (await meter.hold("acme", core=20, key="r1")).available
        assert (await meter.verify()).clean


@pytest.mark.memory
async def test_memory_has_no_transaction_to_join(in_memory: Opener) -> None:
    """A meter in memory says so."""
    async with in_memory() as meter:
        with pytest.raises(ConfigurationError, match="a ledger in memory cannot join"):
            meter.joined(object())  # type: ignore[arg-type]
