"""What each provider counts in a way of its own: read as documented, and refused where it contradicts itself."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptmeter.domain.usage import INPUT_CLASSES, Quality, Usage
from ptmeter.errors import InvalidArgumentError, UsageInconsistentError, UsageMissingError
from ptmeter.providers.readings import MOST
from ptmeter.providers.usage import READERS, STREAMS, Shape, UsageStream, read_usage

CORPUS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parent.parent / "corpus").glob("*.json"))
}

SHAPE_OF = {
    "openai-chat": Shape.OPENAI_CHAT,
    "openai-responses": Shape.OPENAI_RESPONSES,
    "anthropic": Shape.ANTHROPIC_MESSAGES,
    "gemini": Shape.GEMINI_GENERATE,
    "gemini-interaction": Shape.GEMINI_INTERACTIONS,
    "gemini-openai-endpoint": Shape.OPENAI_CHAT,
    "bedrock": Shape.BEDROCK_CONVERSE,
    "cohere": Shape.COHERE,
    "mistral-ocr": Shape.MISTRAL_OCR,
    "mistral": Shape.OPENAI_CHAT,
    "deepseek": Shape.OPENAI_CHAT,
    "xai-chat": Shape.OPENAI_CHAT,
    "xai-responses": Shape.OPENAI_RESPONSES,
    "openrouter": Shape.OPENAI_CHAT,
    "groq": Shape.OPENAI_CHAT,
    "moonshot": Shape.OPENAI_CHAT,
}
"""Whose shape a file of the corpus has: the longest beginning of its name that is here."""

counts = st.integers(0, 50)


def shape_of(name: str) -> Shape:
    return SHAPE_OF[max((start for start in SHAPE_OF if name.startswith(start)), key=len)]


def fed(*events: object) -> UsageStream:
    stream = UsageStream()
    for event in events:
        stream.feed(event)
    return stream


def chat(usage: dict[str, Any], model: str = "grok-4.20") -> dict[str, Any]:
    return {"object": "chat.completion", "model": model, "choices": [], "usage": usage}


def generated(usage: dict[str, Any], **body: Any) -> dict[str, Any]:
    return {"candidates": [], "modelVersion": "gemini-3-pro-preview", "usageMetadata": usage, **body}


def of(modality: str, count: int) -> dict[str, Any]:
    return {"modality": modality, "tokenCount": count}


# --- shapes by name ---


def test_every_shape_has_a_reader_and_is_in_the_corpus() -> None:
    """No shape is without a reader, a stream (but for one that is not streamed) and an example."""
    assert set(Shape) == set(READERS)
    assert set(Shape) - set(STREAMS) == {Shape.MISTRAL_OCR}
    assert set(Shape) == {shape_of(name) for name in CORPUS}


@pytest.mark.parametrize("name", CORPUS)
def test_a_shape_may_be_named(name: str) -> None:
    """
    Named, a shape reads as it does when it is recognised; every other shape refuses it.

    But Responses and Messages have the same names for input and output: there the name is believed.
    """
    payload, shape = CORPUS[name], shape_of(name)
    reading = read_usage(payload["response"])

    assert reading == read_usage(payload["response"], shape=str(shape))
    alike = {Shape.OPENAI_RESPONSES, Shape.ANTHROPIC_MESSAGES}
    for other in set(Shape) - ({shape} | (alike if shape in alike else set())):
        with pytest.raises((UsageMissingError, UsageInconsistentError)):
            read_usage(payload["response"], shape=other)
    if payload["stream"]:
        stream = UsageStream(shape)
        for event in payload["stream"]:
            stream.feed(event)
        assert reading == stream.reading()


def test_a_shape_that_is_not_there_is_named_with_those_that_are() -> None:
    """The error says which names there are, and that what is not streamed has no stream."""
    with pytest.raises(InvalidArgumentError, match=r"'gemini'.*bedrock-converse"):
        read_usage({}, shape="gemini")
    with pytest.raises(InvalidArgumentError, match="not streamed"):
        UsageStream(Shape.MISTRAL_OCR)


def test_an_unknown_answer_says_what_to_do() -> None:
    """It names the shapes there are, and the way out."""
    with pytest.raises(UsageMissingError, match=r"gemini-generate.*record a Usage"):
        read_usage({"result": "hello", "tokens": 12})


def test_what_is_absurd_is_refused() -> None:
    """A count no call can have is a broken counter, and its payload comes with the error."""
    usage = {"prompt_tokens": MOST + 1, "completion_tokens": 1}

    assert MOST == read_usage(chat({"prompt_tokens": MOST, "completion_tokens": 0})).usage.total
    with pytest.raises(UsageInconsistentError, match="more than any call can use") as caught:
        read_usage(chat(usage))
    assert usage == caught.value.payload


# --- the sum, whatever is counted ---


@given(
    prompt=counts,
    cached=counts,
    tool=counts,
    out=counts,
    thought=counts,
    audio=counts,
    kept=counts,
    image=counts,
)
def test_gemini_classes_sum_to_the_total_or_are_refused(
    prompt: int, cached: int, tool: int, out: int, thought: int, audio: int, kept: int, image: int
) -> None:
    """Prompt, tools, candidates and thoughts are the total; it is refused just when a part exceeds its whole."""
    usage = {
        "promptTokenCount": prompt,
        "cachedContentTokenCount": cached,
        "toolUsePromptTokenCount": tool,
        "candidatesTokenCount": out,
        "thoughtsTokenCount": thought,
        "totalTokenCount": prompt + tool + out + thought,
        "promptTokensDetails": [of("TEXT", prompt), of("AUDIO", audio)],
        "cacheTokensDetails": [of("AUDIO", kept)],
        "candidatesTokensDetails": [of("IMAGE", image)],
    }
    fits = cached <= prompt and kept <= cached and kept <= audio <= prompt + tool and image <= out
    try:
        read = read_usage(generated(usage)).usage
    except UsageInconsistentError:
        assert not fits
    else:
        assert fits
        assert (prompt + tool, out + thought) == (read.input_total, read.output_total)
        assert (thought, image) == (read.output_reasoning, read.output_image)
        assert cached == read.input_cache_read + read.input_cache_read_audio
        assert read.input_audio == min(audio - kept, prompt - cached + tool)
        assert audio == read.input_audio + read.input_cache_read_audio


@given(fresh=counts, read=counts, short=counts, long=counts, out=counts)
def test_bedrock_classes_sum_to_the_total(fresh: int, read: int, short: int, long: int, out: int) -> None:
    """Input that was not cached, read and written, and the output, are the total."""
    usage = {
        "inputTokens": fresh,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": short + long,
        "outputTokens": out,
        "totalTokens": fresh + read + short + long + out,
        "cacheDetails": [{"ttl": "1h", "inputTokens": long}, {"ttl": "5m", "inputTokens": short}],
    }

    assert fresh + read + short + long + out == read_usage({"usage": usage}).usage.total


@given(into=counts, out=counts, reasoning=counts, cached=counts)
def test_reasoning_on_top_and_reasoning_inside_give_the_total(
    into: int, out: int, reasoning: int, cached: int
) -> None:
    """Reasoning is added to the completion at xAI and inside it at OpenAI; the total says which it is."""
    for total, produced in ((into + out + reasoning, out + reasoning), (into + out + reasoning, out)):
        usage = {
            "prompt_tokens": into,
            "completion_tokens": produced,
            "total_tokens": total,
            "completion_tokens_details": {"reasoning_tokens": reasoning},
            "prompt_tokens_details": {"cached_tokens": min(cached, into)},
        }
        read = read_usage(chat(usage)).usage
        assert (into, out + reasoning, reasoning) == (
            read.input_total,
            read.output_total,
            read.output_reasoning,
        )


def in_chat(**usage: Any) -> dict[str, Any]:
    return chat({"prompt_tokens": 5, "completion_tokens": 1, **usage})


def in_gemini(**usage: Any) -> dict[str, Any]:
    return generated({"promptTokenCount": 5, **usage})


def in_bedrock(**usage: Any) -> dict[str, Any]:
    return {"usage": {"inputTokens": 5, "outputTokens": 1, **usage}}


CONTRADICTIONS = {
    "2 \\+ 2 tokens by cache hit and miss": in_chat(prompt_cache_hit_tokens=2, prompt_cache_miss_tokens=2),
    "total_tokens is 9, not": in_chat(total_tokens=9),
    "total_tokens is 5, not": in_chat(total_tokens=5),
    "total_tokens is 8, not": in_chat(total_tokens=8, completion_tokens_details={"reasoning_tokens": 1}),
    "web_search_calls is -1": in_chat(server_side_tool_usage_details={"web_search_calls": -1}),
    "prompt_audio_seconds is 'x'": in_chat(prompt_audio_seconds="x"),
    "1 and 2 are given": in_chat(
        server_tool_use={"web_search_requests": 1}, server_side_tool_usage_details={"web_search_calls": 2}
    ),
    "total_token_count is 7, not": in_gemini(totalTokenCount=7),
    "prompt_token_count is missing": generated({"candidatesTokenCount": 4}),
    "AUDIO \\+ IMAGE = 6 is more than prompt_token_count": in_gemini(promptTokensDetails=[of("AUDIO", 6)]),
    "cached_content_token_count = 6": in_gemini(cachedContentTokenCount=6),
    "AUDIO \\+ IMAGE = 2 is more than cached": in_gemini(cacheTokensDetails=[of("AUDIO", 2)]),
    "AUDIO \\+ IMAGE = 2 is more than candidates": in_gemini(candidatesTokensDetails=[of("IMAGE", 2)]),
    "promptTokensDetails|prompt_tokens_details.token_count is 'x'": in_gemini(
        promptTokensDetails=[{"modality": "TEXT", "tokenCount": "x"}]
    ),
    "total_tokens is 6, not": {
        "usage": {"total_input_tokens": 3, "total_output_tokens": 2, "total_tokens": 6}
    },
    "totalTokens is 7, not": in_bedrock(totalTokens=7),
    "outputTokens is missing": in_bedrock(outputTokens=None),
    "2 \\+ 0 tokens by lifetime": in_bedrock(
        cacheWriteInputTokens=3, cacheDetails=[{"ttl": "5m", "inputTokens": 2}]
    ),
    "cached for '2h'": in_bedrock(cacheWriteInputTokens=3, cacheDetails=[{"ttl": "2h", "inputTokens": 3}]),
    "billed_units.output_tokens is 1.5": {
        "usage": {"billed_units": {"input_tokens": 1, "output_tokens": 1.5}}
    },
    "billed_units.input_tokens is nan": {"usage": {"billed_units": {"input_tokens": float("nan")}}},
    "billed_units.output_tokens is missing": {
        "message": {"role": "assistant"},
        "usage": {"billed_units": {"input_tokens": 1}},
    },
    "pages_processed is missing": {"usage_info": {"doc_size_bytes": 3}},
}


@pytest.mark.parametrize(("problem", "body"), CONTRADICTIONS.items(), ids=CONTRADICTIONS)
def test_what_does_not_add_up_is_refused_with_its_payload(problem: str, body: dict[str, Any]) -> None:
    """Each contradiction is named, and the usage object as it came is in the error."""
    with pytest.raises(UsageInconsistentError, match=problem) as caught:
        read_usage(body)

    came = next(body[name] for name in ("usage", "usageMetadata", "usage_info") if name in body)
    assert str(came) == str(caught.value.payload)


@pytest.mark.parametrize(
    "answer",
    [
        generated({}),
        {"candidates": [{"content": {"parts": [{"text": "hi"}]}}]},
        {"promptFeedback": {"blockReason": "SAFETY"}},
        {"object": "interaction", "status": "in_progress"},
        {"output": {"message": {}}, "stopReason": "end_turn"},
        {"id": "x", "message": {"role": "assistant"}, "usage": {"tokens": {"input_tokens": 3}}},
        {"meta": {"api_version": {"version": "1"}}},
        {"usage_info": {}},
    ],
    ids=str,
)
def test_no_usage_is_not_zero(answer: dict[str, Any]) -> None:
    """An answer without usage raises, in every shape."""
    with pytest.raises(UsageMissingError):
        read_usage(answer)


def test_zero_is_not_missing() -> None:
    """A provider that says zero has said something; Gemini says it by leaving the count out."""
    nothing = {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}

    assert Usage() == read_usage({"usage": nothing}).usage
    assert Usage() == read_usage(generated({"promptTokenCount": 0})).usage
    assert Usage() == read_usage({"usage": {"billed_units": {"input_tokens": 0, "output_tokens": 0}}}).usage


# --- particulars ---


def test_hidden_thinking_is_charged_at_google_and_refused_elsewhere() -> None:
    """Tokens that are in the total alone are thoughts at Google's endpoint; from another they are a contradiction."""
    usage = CORPUS["gemini-openai-endpoint"]["response"]["usage"]

    assert 865 == read_usage(chat(usage, "google/gemini-2.5-pro")).usage.output_reasoning
    with pytest.raises(UsageInconsistentError):
        read_usage(chat(usage, "gpt-5"))


@pytest.mark.parametrize(
    ("model", "searches"), [("gemini-2.5-pro", 1), ("gemini-2.0-flash", 1), ("gemini-3-flash-preview", 2)]
)
def test_searches_count_as_google_bills_them(model: str, searches: int) -> None:
    """Up to Gemini 2.5 a grounded prompt is billed once, from 3 on each query; empty and repeated ones are not."""
    ground = {"groundingMetadata": {"webSearchQueries": ["a", "", "b", "a"]}}
    body = generated({"promptTokenCount": 1}, modelVersion=model, candidates=[ground])

    assert {"web_search": searches} == read_usage(body).usage.tool_calls
    assert {} == read_usage(generated({"promptTokenCount": 1}, candidates=[{}])).usage.tool_calls


def test_maps_are_billed_too() -> None:
    """A place that an answer rests on was asked of Google Maps."""
    ground = {"grounding_metadata": {"grounding_chunks": [{"maps": {"place_id": "x"}}, {"web": {}}]}}

    assert {"maps_grounding": 1} == read_usage(
        generated({"promptTokenCount": 1}, candidates=[ground])
    ).usage.tool_calls


def test_tools_of_an_interaction_are_counted_where_it_counts_them() -> None:
    """The Interactions API says how often each tool was used."""
    used = [
        {"type": "google_search", "count": 3},
        {"type": "google_maps", "count": 1},
        {"type": "retrieval", "count": 0},
    ]
    usage = {"total_input_tokens": 1, "grounding_tool_count": used}

    assert {"web_search": 3, "maps_grounding": 1} == read_usage({"usage": usage}).usage.tool_calls


def test_sound_cached_in_unknown_part_counts_as_fresh() -> None:
    """Without details of the cache, sound is taken for fresh as far as it may be, and for cached beyond that."""
    usage = {"promptTokenCount": 10, "cachedContentTokenCount": 4, "promptTokensDetails": [of("AUDIO", 8)]}

    expected = {"input_cache_read": 2, "input_cache_read_audio": 2, "input_audio": 6}

    assert expected == read_usage(generated(usage)).usage.tokens()


@pytest.mark.parametrize(
    ("body", "piece"),
    [
        ({}, "ocr_page"),
        ({"document_annotation": None, "pages": [{"images": [{"image_annotation": None}]}]}, "ocr_page"),
        ({"document_annotation": "{}"}, "ocr_annotated_page"),
        ({"pages": [{"images": []}, {"images": [{"image_annotation": "{}"}]}]}, "ocr_annotated_page"),
    ],
)
def test_pages_are_annotated_if_the_answer_holds_an_annotation(body: dict[str, Any], piece: str) -> None:
    """Of the document or of a picture in it; all pages are billed as such then."""
    read = read_usage({**body, "usage_info": {"pages_processed": 3}})

    assert {piece: 3} == read.usage.tool_calls


@pytest.mark.parametrize(
    ("usage", "pieces"),
    [
        ({"pages_processed": 3, "pages_processed_annotation": 2}, {"ocr_page": 3, "ocr_annotated_page": 2}),
        ({"pages_processed": 0, "pages_processed_annotation": 3}, {"ocr_annotated_page": 3}),
        ({"pages_processed": 3, "pages_processed_annotation": 0}, {"ocr_annotated_page": 3}),
        ({"pages_processed": 3, "pages_processed_annotation": None}, {"ocr_annotated_page": 3}),
    ],
)
def test_annotated_pages_are_counted_apart_where_the_answer_does(
    usage: dict[str, Any], pieces: dict[str, int]
) -> None:
    """Each count is billed as what it is of; where none is told, the answer decides for all pages."""
    assert pieces == read_usage({"document_annotation": "{}", "usage_info": usage}).usage.tool_calls


@pytest.mark.parametrize(("seconds", "counted"), [(9, 9), (9.0, 9), (0, 0)])
def test_a_transcription_by_the_minute_counts_whole_seconds(seconds: float, counted: int) -> None:
    """The SDK makes a float of what is a whole number on the wire; none is nothing used."""
    usage = {"type": "duration", "seconds": seconds}

    assert counted == read_usage({"text": "", "usage": usage}).usage.tool_calls.get("audio_second", 0)


@pytest.mark.parametrize("seconds", [8.4, float("nan"), -1, "9", None, True])
def test_a_part_of_a_second_is_refused(seconds: object) -> None:
    """Whether it is rounded up or down is not known, so it is not guessed."""
    with pytest.raises(UsageInconsistentError, match="seconds is"):
        read_usage({"text": "", "usage": {"type": "duration", "seconds": seconds}})


def test_the_live_api_has_its_own_names() -> None:
    """What is a candidate elsewhere is a response there."""
    usage = {
        "promptTokenCount": 3,
        "responseTokenCount": 9,
        "totalTokenCount": 12,
        "responseTokensDetails": [of("AUDIO", 7)],
    }

    assert {"input_uncached": 3, "output_text": 2, "output_audio": 7} == read_usage(
        {"usageMetadata": usage}
    ).usage.tokens()


def test_cohere_bills_pictures_by_token_or_by_piece() -> None:
    """Newer embeddings count a picture's tokens and older ones the picture; rerank counts searches."""
    by_token = {"meta": {"billed_units": {"images": 1, "image_tokens": 900, "input_tokens": 4}}}
    by_piece = {"meta": {"billed_units": {"images": 2}}}

    assert ({"input_uncached": 4, "input_image": 900}, {}) == (
        read_usage(by_token).usage.tokens(),
        read_usage(by_token).usage.tool_calls,
    )
    assert {"image": 2} == read_usage(by_piece).usage.tool_calls
    assert {"search_unit": 1} == read_usage(
        {"meta": {"billed_units": {"search_units": 1}}}
    ).usage.tool_calls


def test_sources_of_a_live_search_are_billed() -> None:
    """A live search of xAI is billed by the source."""
    assert {"live_search_source": 4} == read_usage(in_chat(num_sources_used=4)).usage.tool_calls


@pytest.mark.parametrize("name", ["gemini-thinking", "gemini-audio"])
def test_gemini_says_the_input_at_once(name: str) -> None:
    """From the first chunk on the input is known by class, so a stream cut early settles it exactly (P5)."""
    payload = CORPUS[name]
    known = fed(payload["stream"][0]).input_usage

    assert known is not None
    assert Quality.PARTIAL_ESTIMATED == known.quality
    assert {n: c for n, c in payload["usage"].items() if n in INPUT_CLASSES} == known.tokens()


def test_a_running_usage_says_the_input_too() -> None:
    """With vLLM every chunk may have the usage so far; the input in it is final."""
    first = {
        "choices": [{"index": 0, "delta": {"content": "a"}}],
        "usage": {"prompt_tokens": 25, "completion_tokens": 1},
    }

    assert 25 == fed(first).input_tokens


def test_a_gemini_chunk_without_usage_makes_what_came_before_stale() -> None:
    """Text that came after the last usage is not in it."""
    first, *_, last = copy.deepcopy(CORPUS["gemini-thinking"]["stream"])
    del last["usageMetadata"]

    with pytest.raises(UsageMissingError):
        fed(first, last).reading()


def test_a_gemini_total_that_falls_is_refused() -> None:
    """A chunk that came out of order is not the usage of the call."""
    first, *_, last = CORPUS["gemini-thinking"]["stream"]

    with pytest.raises(UsageInconsistentError, match="fell from 2409 to 2283"):
        fed(last, first).reading()


def test_every_candidate_has_to_finish() -> None:
    """With several candidates the usage counts when the last of them has finished."""
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}
    open_, over = {"index": 1}, {"index": 0, "finishReason": "STOP"}

    with pytest.raises(UsageMissingError):
        fed(generated(usage, candidates=[open_, over])).reading()
    both = fed(
        generated(usage, candidates=[open_, over]), generated(usage, candidates=[{**over, "index": 1}])
    )
    assert 5 == both.reading().usage.total


def test_mistrals_sdk_wraps_its_chunks() -> None:
    """A ``CompletionEvent`` holds the chunk as its data."""
    wrapped = [{"data": chunk} for chunk in CORPUS["mistral-thinking"]["stream"]]

    assert CORPUS["mistral-thinking"]["text"] == fed(*wrapped).text
    assert 600 == fed(*wrapped).reading().usage.total
