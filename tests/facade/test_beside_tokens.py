"""What is billed beside tokens, from estimate to balance; every test runs against `Meter` and `AsyncMeter` alike."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from ptmeter import (
    PT,
    GenaiPrices,
    IdempotencyConflictError,
    InvalidArgumentError,
    Money,
    Policy,
    UnknownModelError,
    Usage,
    read_prices,
)
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter

pytestmark = pytest.mark.anyio

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
PAGES: dict[str, Any] = {
    "model": "mistral-ocr-2512",
    "pages": [{"index": index, "markdown": "text"} for index in range(12)],
    "usage_info": {"pages_processed": 12, "doc_size_bytes": 30_212},
}
SECONDS = {"text": "He greets her.", "usage": {"type": "duration", "seconds": 90}}
TOKENS = {
    "text": "He greets her.",
    "usage": {
        "type": "tokens",
        "total_tokens": 101,
        "input_tokens": 84,
        "input_token_details": {"text_tokens": 12, "audio_tokens": 72},
        "output_tokens": 17,
    },
}
DOCUMENT = {"document": {"type": "document_url", "document_url": "https://example.org/a.pdf"}}


@pytest.fixture
async def meter(opened: Opener) -> Any:
    """A meter with the bundled card, and an account ``acme`` that has 1,000 PT of each unit."""
    async with opened(clock=Clock(AT)) as meter:
        await meter.funds.grant("acme", core=1_000, advanced=1_000, source="trial", key="trial")
        yield meter


@pytest.mark.parametrize(
    ("model", "request_", "pieces", "answer", "held", "charged", "cost"),
    [
        ("mistral-ocr-2512", DOCUMENT, {"ocr_page": 20}, PAGES, "54", "32", "0.024"),
        ("mistral/mistral-ocr-2512", DOCUMENT, {"ocr_page": 12}, PAGES, "32", "32", "0.024"),
        ("whisper-1", "recording.wav", {"audio_second": 120}, SECONDS, "16", "12", "0.009"),
        (
            "tts-1",
            "x" * 3_000,
            {"character": 3_000},
            Usage(tool_calls={"character": 3_000}),
            "60",
            "60",
            "0.045",
        ),
    ],
)
async def test_what_is_billed_by_the_piece_is_estimated_held_and_charged(
    model: str,
    request_: Any,
    pieces: dict[str, int],
    answer: Any,
    held: str,
    charged: str,
    cost: str,
    meter: AsyncMeter,
) -> None:
    """Pages, seconds and characters, in core PT at cost-plus by the bundled card; what was held and not used returns."""
    estimate = meter.estimate(model, request_, pieces=pieces)
    async with meter.call("acme", model=model, messages=request_, key="c", pieces=pieces) as call:
        assert PT.of(held) == (await meter.balance("acme")).core.held
        call.record(answer)

    assert ("core", PT.of(held), PT.of(held), pieces) == (
        estimate.unit,
        estimate.expected,
        estimate.hold,
        estimate.pieces,
    )
    assert (0, 0, 0) == (estimate.input.tokens, estimate.output_expected, estimate.output_at_most)
    assert call.receipt is not None
    assert call.receipt.usage is not None
    assert {"core": PT.of(charged)} == call.receipt.charged
    assert (
        Money.usd(cost) == meter.estimate(model, request_, pieces=call.receipt.usage.pieces()).cost_at_most
    )
    assert (PT.of(charged), PT(0)) == ((core := (await meter.balance("acme")).core).spent, core.held)
    await meter.record("acme", model=model, response=answer, key="r")
    assert 2 * PT.of(charged).micro == (await meter.balance("acme")).core.spent.micro
    assert (await meter.verify()).clean


@pytest.mark.parametrize("model", ["mistral-ocr-2512", "whisper-1", "tts-1"])
async def test_without_the_number_of_pieces_there_is_no_estimate(model: str, meter: AsyncMeter) -> None:
    """Tokens say nothing of pages: the error says what to say instead, and nothing is held."""
    with pytest.raises(
        UnknownModelError, match=r"charged by the piece, so say how many .* pieces=\{\.\.\.\}"
    ):
        meter.estimate(model, "text")
    with pytest.raises(InvalidArgumentError, match="whole number"):
        meter.estimate(model, "text", pieces={"ocr_page": -1})
    with pytest.raises(UnknownModelError, match="no price for image"):
        meter.estimate(model, "text", pieces={"image": 1})


async def test_transcriptions_by_tokens_are_charged_at_the_price_of_sound(meter: AsyncMeter) -> None:
    """Held by the sound of the request, charged by what the answer says, in core PT at cost-plus."""
    many = {"type": "tokens", "total_tokens": 13_000, "input_tokens": 12_000, "output_tokens": 1_000}
    long = {
        "text": "",
        "usage": {**many, "input_token_details": {"text_tokens": 0, "audio_tokens": 12_000}},
    }
    charged = []
    for key, model in (("a", "gpt-4o-transcribe"), ("b", "gpt-4o-mini-transcribe")):
        for answer in (TOKENS, long):
            async with meter.call("acme", model=model, messages="text", key=f"{key}{len(charged)}") as call:
                call.record(answer)
            assert call.receipt is not None
            charged.append(call.receipt.charged)

    # 12,000 tokens of sound at US$6 a million and 1,000 of text at US$10: US$0.082 and a third; half at mini.
    assert [{"core": PT.of(n)} for n in (1, 110, 1, 55)] == charged


async def test_speech_is_charged_by_its_tokens(meter: AsyncMeter) -> None:
    """What answers in sound and says how many tokens of it, by a usage of one's own where the answer has none."""
    said = Usage(input_uncached=100, output_audio=1_000)

    receipt = await meter.record("acme", model="gpt-4o-mini-tts", response=said, key="r")

    assert {"core": PT.of(17)} == receipt.charged  # US$0.01206 and a third


# --- searches beside tokens -----------------------------------------------------------------------


def searched(model: str, **tools: int) -> dict[str, Any]:
    """An answer of xAI's Responses API that used its tools so often."""
    details = {f"{name}_calls": count for name, count in tools.items()}
    return {
        "object": "response",
        "model": model,
        "status": "completed",
        "output": [],
        "usage": {
            "input_tokens": 900,
            "output_tokens": 100,
            "total_tokens": 1_000,
            "server_side_tool_usage_details": details,
        },
    }


async def test_a_search_costs_the_account_beside_the_band(meter: AsyncMeter) -> None:
    """Under bands, each search of X adds its cost and the buffer; a call without any costs its band alone."""
    charged = []
    for number in range(4):
        answer = searched("grok-4-1-fast-reasoning", x_search=number)
        receipt = await meter.record(
            "acme", model="grok-4-1-fast-reasoning", response=answer, key=f"r{number}"
        )
        charged.append(receipt.charged["core"])

    assert [PT.of(1), PT.of(8), PT.of(15), PT.of(21)] == charged
    assert (await meter.verify()).clean


@pytest.mark.parametrize(
    ("limit", "searches", "held"),
    [({"max_tool_calls": 2}, 2, 15), ({"max_tool_calls": 0}, 0, 1), ({}, 3, 21)],
)
async def test_what_a_request_turns_on_is_held_for(
    limit: dict[str, int], searches: int, held: int, meter: AsyncMeter
) -> None:
    """As many searches as it allows, or as the policy does; so what is charged then was held."""
    model = "grok-4-1-fast-reasoning"
    body = {"input": "hello", "tools": [{"type": "x_search"}], "max_output_tokens": 100, **limit}
    plain = meter.estimate(model, {"input": "hello", "max_output_tokens": 100})

    estimate = meter.estimate(model, body)
    async with meter.call("acme", model=model, messages=body, key="c") as call:
        call.record(searched(model, x_search=searches))

    assert {"x_search": searches} == {"x_search": 0, **estimate.pieces}
    assert (PT.of(held), PT.of(1)) == (estimate.hold, plain.hold)
    assert plain.expected <= estimate.expected <= estimate.at_most
    assert call.receipt is not None
    assert call.receipt.charged["core"] <= estimate.hold
    assert ("turned on without a limit: 3 are allowed for" in " ".join(estimate.notes)) is (not limit)


async def test_the_policy_says_how_many_searches_to_allow_for(in_memory: Opener) -> None:
    """Where the request does not; what the caller says comes before both."""
    body = {"input": "hello", "tools": [{"type": "x_search"}], "max_output_tokens": 100}
    async with in_memory(policy=Policy(max_tool_calls=7), clock=Clock(AT)) as meter:
        most = [
            meter.estimate("grok-4.5", body, pieces=said).pieces
            for said in (None, {"x_search": 1}, {"x_search": 0, "web_search": 2})
        ]

    assert [{"x_search": 7}, {"x_search": 1}] == most[:2]
    assert 2 == most[2]["web_search"]


async def test_more_searches_than_were_held_for_are_charged_all_the_same(meter: AsyncMeter) -> None:
    """The hold is for what could be known; the charge is for what there was."""
    body = {"input": "hello", "tools": [{"type": "x_search"}], "max_output_tokens": 100}
    async with meter.call("acme", model="grok-4.5", messages=body, key="c") as call:
        call.record(searched("grok-4.5", x_search=9))

    assert call.receipt is not None
    assert call.receipt.charged["advanced"] > call.estimate.hold
    assert (await meter.verify()).clean


async def test_other_pieces_are_another_request(meter: AsyncMeter) -> None:
    """Under one key a call for three pages is not one for four."""
    async with meter.call(
        "acme", model="mistral-ocr-2512", messages=DOCUMENT, key="c", pieces={"ocr_page": 12}
    ) as call:
        call.record(PAGES)

    with pytest.raises(IdempotencyConflictError):
        async with meter.call(
            "acme", model="mistral-ocr-2512", messages=DOCUMENT, key="c", pieces={"ocr_page": 13}
        ):
            pass


# --- without a price --------------------------------------------------------------------------------

MAPS = {
    "candidates": [
        {
            "content": {"parts": [{"text": "Here."}]},
            "finishReason": "STOP",
            "groundingMetadata": {"groundingChunks": [{"maps": {"title": "A place"}}]},
        }
    ],
    "modelVersion": "gemini-3-flash-preview",
    "usageMetadata": {"promptTokenCount": 900, "candidatesTokenCount": 100, "totalTokenCount": 1_000},
}
RANKED = {"results": [], "meta": {"billed_units": {"search_units": 2}}}


@pytest.mark.parametrize(
    ("model", "answer", "piece", "amount", "charged"),
    [
        ("gemini-3-flash-preview", MAPS, "maps_grounding", "0.014", 20),
        ("rerank-v3.5", RANKED, "search_unit", "0.002", 6),
    ],
)
async def test_a_piece_without_a_price_is_parked_until_one_line_prices_it(
    model: str, answer: dict[str, Any], piece: str, amount: str, charged: int, on_file: Opener
) -> None:
    """The message names the piece and shows the override; with the amount in it, the call is settled."""
    async with on_file(clock=Clock(AT)) as meter:
        await meter.funds.grant("acme", core=1_000, source="trial", key="trial")
        with pytest.raises(UnknownModelError, match=f"no price for {piece} is known") as caught:
            await meter.record("acme", model=model, response=answer, key="r")
        [parked] = (await meter.quarantine.list()).calls

    assert str(caught.value) == parked.problem
    assert "it is in quarantine" in caught.value.__notes__[0]
    assert (piece, "core") == (parked.problem.split()[3], parked.unit)
    line = json.loads(parked.problem.partition("override, ")[2])
    [[price]] = line["prices"].values()
    price |= {"usd_per_tool_call": {piece: amount}}
    if "provider" in price:
        price["provider"] = "cohere"
    async with on_file(catalogue=GenaiPrices(read_prices(line)), clock=Clock(AT)) as meter:
        settled = await meter.quarantine.settle(
            "acme", key="r", response=answer, actor="ann", reason="it has a price now"
        )
        again = await meter.record("acme", model=model, response=answer, key="r2")

        assert {"core": PT.of(charged)} == settled.charged == again.charged
        assert (await meter.verify()).clean


async def test_a_tool_without_a_price_is_told_before_the_call(meter: AsyncMeter) -> None:
    """It is not held for, since nobody knows for how much, and the estimate says what becomes of such a call."""
    body = {"contents": [], "tools": [{"googleMaps": {}}]}

    estimate = meter.estimate("gemini-3-flash-preview", body, max_tokens=100)

    assert {} == estimate.pieces
    assert "maps_grounding has no price: a call that uses it is charged to nobody until it has one" in (
        estimate.notes
    )
