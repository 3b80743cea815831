"""Reading usage: every wire shape, whole and streamed, gives disjoint classes that add up, or an error."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from ptmeter.domain.usage import INPUT_CLASSES, TOKEN_CLASSES, Quality, Usage
from ptmeter.errors import UsageInconsistentError, UsageMissingError
from ptmeter.providers.readings import Counts
from ptmeter.providers.usage import Reading, UsageStream, read_usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PAYLOADS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((Path(__file__).parent.parent / "corpus").glob("*.json"))
}
SHAPES = sorted(PAYLOADS)
STREAMED = [name for name in SHAPES if PAYLOADS[name]["stream"]]
ANTHROPIC = [name for name in SHAPES if name.startswith("anthropic")]

wholes = st.integers(0, 100)
parts = st.integers(0, 40)


class SdkObject(BaseModel):
    """As the SDKs' models are: whatever the provider sends is kept."""

    model_config = ConfigDict(extra="allow")


class Slotted:
    """As an SDK of another make may have it."""

    __slots__ = ("_secret", "model", "type", "usage")

    def __init__(self, body: dict[str, Any]) -> None:
        self.model, self.type, self.usage = body["model"], body.get("type"), attributes(body["usage"])


def attributes(value: object) -> Any:
    if isinstance(value, dict):
        return SimpleNamespace(**{key: attributes(item) for key, item in value.items()})
    return [attributes(item) for item in value] if isinstance(value, list) else value


def sdk_object(value: object) -> Any:
    if isinstance(value, dict):
        return SdkObject.model_construct(**{key: sdk_object(item) for key, item in value.items()})
    return tuple(sdk_object(item) for item in value) if isinstance(value, list) else value


FORMS = {
    "dict": lambda body: body,
    "str": json.dumps,
    "bytes": lambda body: json.dumps(body, ensure_ascii=False).encode(),
    "bytearray": lambda body: bytearray(json.dumps(body, indent=2), "utf-8"),
    "sdk object": sdk_object,
    "attributes": attributes,
}


def usage_object(body: dict[str, Any]) -> dict[str, Any]:
    """The usage object of an answer, wherever it is."""
    places = ("usage", "usageMetadata", "usage_metadata", "meta", "usage_info")
    holder = body.get("response", body)
    return next(holder[place] for place in places if place in holder)


def golden(payload: dict[str, Any]) -> Reading:
    usage = Usage(**payload["usage"], tool_calls=payload["tool_calls"])
    raw = usage_object(payload["response"])
    return Reading(usage, payload["model"], payload["provider"], payload["service_tier"], raw)


def fed(events: Iterable[object]) -> UsageStream:
    stream = UsageStream()
    for event in events:
        stream.feed(event)
    return stream


def sse_lines(payload: dict[str, Any]) -> Iterator[str]:
    for event in payload["stream"]:
        if kind := event.get("type"):
            yield f"event: {kind}"
        yield f"data: {json.dumps(event, ensure_ascii=False)}"
        yield ""
    if not payload["stream"][0].get("type"):
        yield "data: [DONE]"


def outcome(stream: UsageStream) -> Reading | type[Exception]:
    """What a stream gives when asked for its usage: a reading or the kind of error."""
    try:
        return stream.reading()
    except (UsageMissingError, UsageInconsistentError) as error:
        return type(error)


def chat(usage: object, **body: Any) -> dict[str, Any]:
    return {"object": "chat.completion", "model": "gpt-5", "choices": [], "usage": usage, **body}


def responded(usage: object, **body: Any) -> dict[str, Any]:
    return {"object": "response", "model": "gpt-5", "usage": usage, **body}


def message(usage: object, **body: Any) -> dict[str, Any]:
    return {"type": "message", "model": "claude-opus-5-5", "usage": usage, **body}


def chunk(content: str = "", *, finish: str | None = None, **body: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    return {"object": "chat.completion.chunk", "model": "gpt-5", "choices": [choice], **body}


# --- the corpus ---


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", SHAPES)
def test_a_whole_answer_reads_as_documented(name: str, form: str) -> None:
    """Each wire shape reads the same from a dictionary, from JSON and from an SDK's object."""
    payload = PAYLOADS[name]
    reading = read_usage(FORMS[form](payload["response"]))

    assert golden(payload) == reading
    assert payload["total"] == reading.usage.total


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", STREAMED)
def test_a_stream_reads_as_the_whole_answer_does(name: str, form: str) -> None:
    """The reading of a stream equals the reading of the same answer sent whole (P3), and the text is all there."""
    payload = PAYLOADS[name]
    stream = fed(FORMS[form](event) for event in payload["stream"])

    assert read_usage(payload["response"]) == stream.reading()
    assert payload["text"] == stream.text
    assert stream.usage_seen


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", STREAMED)
def test_a_stream_may_come_as_the_lines_on_the_wire(name: str, end: str) -> None:
    """Server-sent-event lines read the same, as text, as bytes, one by one or all at once."""
    payload = PAYLOADS[name]
    lines = list(sse_lines(payload))
    ways = [lines, [f"{line}{end}".encode() for line in lines], [end.join(lines)]]

    for way in ways:
        stream = fed(way)
        assert golden(payload) == stream.reading()
        assert payload["text"] == stream.text


@pytest.mark.parametrize("name", SHAPES)
def test_what_is_kept_can_be_rated_again(name: str) -> None:
    """The kept usage object alone gives the same token classes again."""
    reading = read_usage(PAYLOADS[name]["response"])
    again = read_usage(json.loads(json.dumps({"usage": reading.raw, "model": reading.model})))

    assert reading.usage.tokens() == again.usage.tokens()


def test_an_object_with_slots_reads_too() -> None:
    """An answer needs no ``__dict__`` and no ``model_dump``: its public slots are read."""
    payload = PAYLOADS["anthropic-thinking"]

    assert golden(payload) == read_usage(Slotted(payload["response"]))


def test_an_object_that_dumps_itself_without_options_reads_too() -> None:
    """A ``model_dump`` need not know pydantic's ``warnings`` argument."""
    payload = PAYLOADS["openai-chat"]

    class Plain:
        def model_dump(self) -> dict[str, Any]:
            return payload["response"]

    assert golden(payload) == read_usage(Plain())


def test_an_object_that_holds_itself_reads_too() -> None:
    """An SDK's object may point back at itself: it is followed no deeper than any answer goes."""
    body = SimpleNamespace(**chat({"prompt_tokens": 3, "completion_tokens": 4}))
    body.itself = body

    assert 7 == read_usage(body).usage.total


def test_the_event_that_ends_a_response_reads_as_the_response() -> None:
    """``response.completed`` may be read on its own: the response is in it."""
    payload = PAYLOADS["openai-responses"]

    assert golden(payload) == read_usage(payload["stream"][-1])


def test_events_of_sdk_helpers_are_read_once() -> None:
    """A chunk the OpenAI helper wraps is unwrapped, and what Anthropic's adds beside its events is passed over."""
    wrapped = [{"type": "chunk", "chunk": event} for event in PAYLOADS["openai-chat"]["stream"]]
    doubled = [
        one
        for event in PAYLOADS["anthropic-message"]["stream"]
        for one in (event, {"type": "text", "text": "Hello", "snapshot": "Hello"})
    ]

    assert PAYLOADS["openai-chat"]["text"] == fed(wrapped).text
    assert golden(PAYLOADS["openai-chat"]) == fed(wrapped).reading()
    assert PAYLOADS["anthropic-message"]["text"] == fed(doubled).text


# --- streams that break off, repeat themselves or come out of order ---


@pytest.mark.parametrize("name", STREAMED)
def test_no_prefix_of_a_stream_is_charged_wrongly(name: str) -> None:
    """A stream cut after any event gives the whole usage or none at all (P5), and the text until then."""
    payload = PAYLOADS[name]
    stream = UsageStream()
    outcomes: list[object] = [outcome(stream)]
    for event in payload["stream"]:
        before = stream.text
        stream.feed(event)
        outcomes.append(outcome(stream))
        assert stream.text.startswith(before)
        assert payload["text"].startswith(stream.text)
        assert stream.usage_seen == (outcomes[-1] is not UsageMissingError)

    assert all(one in (UsageMissingError, golden(payload)) for one in outcomes)
    assert UsageMissingError is outcomes[0]
    assert golden(payload) == outcomes[-1]


@pytest.mark.parametrize("name", STREAMED)
def test_a_line_cut_in_the_middle_is_as_good_as_not_sent(name: str) -> None:
    """Whatever is left of the last line when the connection breaks: no error, and no usage made of it."""
    payload = PAYLOADS[name]
    stream = UsageStream()
    for line in sse_lines(payload):
        before = outcome(stream)
        for length in {1, 4, 6, len(line) // 3, len(line) // 2, len(line) - 1} - {len(line)}:
            cut = copy.deepcopy(stream)
            cut.feed(line.encode()[: max(length, 0)])
            assert before == outcome(cut)
        stream.feed(line)

    assert golden(payload) == stream.reading()


@pytest.mark.parametrize("name", STREAMED)
def test_repeated_events_change_nothing(name: str) -> None:
    """Usage is cumulative: every event delivered twice gives the same reading, nothing is added up."""
    payload = PAYLOADS[name]

    assert golden(payload) == fed(event for event in payload["stream"] for _ in range(2)).reading()


@given(name=st.sampled_from(STREAMED), data=st.data())
@settings(max_examples=300, deadline=None)
def test_disorder_is_never_charged_wrongly(name: str, data: st.DataObject) -> None:
    """In whatever order the events come, the reading is the right one or an error, never another number."""
    payload = PAYLOADS[name]
    stream = fed(data.draw(st.permutations(payload["stream"])))

    assert outcome(stream) in (golden(payload), UsageMissingError, UsageInconsistentError)


@pytest.mark.parametrize("name", ANTHROPIC)
def test_anthropic_says_the_input_at_once(name: str) -> None:
    """From ``message_start`` on the input is known by class, so a stream cut early settles it exactly."""
    payload = PAYLOADS[name]
    start = payload["stream"][0]
    stream = fed([start])
    whole = read_usage(start["message"]).usage

    assert whole.input_total == stream.input_tokens
    assert stream.input_usage is not None
    assert Quality.PARTIAL_ESTIMATED == stream.input_usage.quality
    assert {n: c for n, c in whole.tokens().items() if n in INPUT_CLASSES} == stream.input_usage.tokens()
    assert whole.input_total + 7 == (stream.input_usage + Usage(output_text=7, requests=0)).total
    assert 1 == (stream.input_usage + Usage(output_text=7, requests=0)).requests


def test_the_input_is_not_known_before_it_is_said() -> None:
    """Without ``message_start``, or with the zeros a gateway puts there, the input is unknown and not nothing."""
    start = {"type": "message_start", "message": message({"input_tokens": 0, "output_tokens": 0})}

    for events in ([], [start], PAYLOADS["openai-chat"]["stream"][:-1]):
        assert (None, None) == (fed(events).input_tokens, fed(events).input_usage)


def test_a_gateway_may_say_everything_at_the_end() -> None:
    """Counts that come only with ``message_delta`` are used, whatever zeros were sent before (langchainjs PR #11195)."""
    zero = {"input_tokens": 0, "output_tokens": 0, "cache_creation": {"ephemeral_5m_input_tokens": 0}}
    late = {
        "input_tokens": 11,
        "cache_read_input_tokens": 5,
        "cache_creation_input_tokens": 3,
        "output_tokens": 2,
    }
    events = [
        {"type": "message_start", "message": message(zero)},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": late},
    ]
    expected = Usage(input_uncached=11, input_cache_read=5, input_cache_write_5m=3, output_text=2)

    assert expected == fed(events).reading().usage


def test_cache_writes_of_unknown_lifetime_are_refused() -> None:
    """If both lifetimes are in use, later writes without one are not guessed at."""
    payload = copy.deepcopy(PAYLOADS["anthropic-cache-lifetimes"])
    payload["stream"][-2]["usage"]["cache_creation_input_tokens"] += 100

    with pytest.raises(UsageInconsistentError, match="1300 \\+ 2000 tokens by lifetime"):
        fed(payload["stream"]).reading()


def test_a_message_start_at_odds_with_itself_is_refused() -> None:
    """Later cumulative counts do not cover up lifetimes that never added up."""
    payload = copy.deepcopy(PAYLOADS["anthropic-cache-grown"])
    payload["stream"][0]["message"]["usage"]["cache_creation"]["ephemeral_1h_input_tokens"] = 399

    with pytest.raises(UsageInconsistentError, match="by lifetime"):
        fed(payload["stream"]).reading()


def test_a_stop_reason_without_counts_is_no_usage() -> None:
    """The placeholder in ``message_start`` is not taken for the output when ``message_delta`` has no usage."""
    events = copy.deepcopy(PAYLOADS["anthropic-message"]["stream"])
    del events[-2]["usage"]

    assert UsageMissingError is outcome(fed(events))


def test_a_message_is_counted_when_it_has_stopped() -> None:
    """A ``message_delta`` before the last is cumulative and not yet the usage; ``message_stop`` ends it as well."""
    start, stop = PAYLOADS["anthropic-message"]["stream"][0], {"type": "message_stop"}
    running = {"type": "message_delta", "delta": {"stop_reason": None}, "usage": {"output_tokens": 7}}
    last = {**running, "usage": {"output_tokens": 9}}

    assert UsageMissingError is outcome(fed([start, running]))
    assert UsageMissingError is outcome(fed([start, stop]))
    assert 25 + 9 == fed([start, running, last, stop]).reading().usage.total


def test_running_usage_counts_once_the_choices_have_finished() -> None:
    """Text that came after a running usage is not in it, so it is not the usage of the call."""
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}

    assert UsageMissingError is outcome(fed([chunk("a", usage=usage)]))
    assert UsageMissingError is outcome(fed([chunk("a", usage=usage), chunk("b"), chunk(finish="stop")]))
    assert UsageMissingError is outcome(fed([chunk("a", usage=usage), chunk("b"), "data: [DONE]"]))
    assert 6 == fed([chunk("a", usage=usage), chunk(finish="stop")]).reading().usage.total
    assert 6 == fed([chunk("a", usage=usage), "data: [DONE]"]).reading().usage.total


def test_every_choice_has_to_finish() -> None:
    """With several choices, a running usage counts when the last of them has finished."""
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    second = {"index": 1, "delta": {"content": "b"}, "finish_reason": None}
    events = [chunk("a"), chunk(choices=[second]), chunk("c", finish="stop", usage=usage)]

    assert UsageMissingError is outcome(fed(events))
    assert (
        7
        == fed([*events, chunk(choices=[{**second, "finish_reason": "stop"}], usage=usage)])
        .reading()
        .usage.total
    )


def test_a_running_total_that_falls_is_refused() -> None:
    """A later usage that counts fewer tokens than an earlier one is an error, not a discount."""
    more = {"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}
    fewer = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}

    with pytest.raises(UsageInconsistentError, match="fell from 9 to 8"):
        fed([chunk("a", usage=more), chunk(finish="stop", usage=fewer)]).reading()


def test_text_with_no_output_counted_is_refused() -> None:
    """A stream with text and zero output tokens is an error state, not a free call (P3)."""
    nothing = {"prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 5}
    stream = fed([chunk("text"), chunk(finish="stop"), chunk(choices=[], usage=nothing)])

    with pytest.raises(UsageInconsistentError, match="0 output tokens"):
        stream.reading()


def test_usage_that_does_not_add_up_has_still_been_seen() -> None:
    """``usage_seen`` says that the provider sent it, which waiting for it longer will not change."""
    stream = fed([chunk(choices=[], usage={"prompt_tokens": -1, "completion_tokens": 0})])

    assert stream.usage_seen
    assert UsageInconsistentError is outcome(stream)


def test_generated_text_has_many_places() -> None:
    """Reasoning, custom tool inputs, functions, refusals and transcripts are text; sound and tool output are not."""
    delta = {
        "reasoning_content": "r",
        "refusal": "n",
        "tool_calls": [{"custom": {"input": "i"}}, {"function": {"arguments": "a"}}],
        "function_call": {"name": "f", "arguments": "g"},
        "audio": {"data": "UklG", "transcript": "t"},
    }
    kinds = [
        "output_text",
        "refusal",
        "mcp_call_arguments",
        "audio.transcript",
        "audio",
        "shell_call_output_content",
    ]
    spoken = [{"type": f"response.{kind}.delta", "delta": kind[0]} for kind in kinds]

    assert "rniagt" == fed([chunk(choices=[{"index": 0, "delta": delta}])]).text
    assert "orma" == fed([*spoken, {"type": "response.image.delta", "delta": {"b64": "x"}}]).text


@pytest.mark.parametrize(
    "noise", ["", ":", ": ping", "id: 7", "retry: 10", "event: ping", "data: {", "{", None, 7, []]
)
def test_what_is_no_event_is_passed_over(noise: object) -> None:
    """Comments, blank lines, broken lines and whatever is no object carry neither text nor usage."""
    stream = fed([noise])

    assert ("", False) == (stream.text, stream.usage_seen)
    assert UsageMissingError is outcome(stream)


# --- the sum ---


@pytest.mark.parametrize("name", ["openai-chat", "openai-responses", "anthropic-thinking"])
def test_the_sum_check_sees_a_reader_that_forgets_to_subtract(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Positive control: cached tokens left in the plain input (LiteLLM #9812), or thinking in the text, are seen."""
    monkeypatch.setattr(Counts, "fit", lambda _self, _whole, total, **_parts: total)

    with pytest.raises(UsageInconsistentError, match="the classes sum to"):
        read_usage(PAYLOADS[name]["response"])


@given(
    into=wholes,
    out=wholes,
    cached=parts,
    written=parts,
    audio=parts,
    image=parts,
    kept=parts,
    reasoning=parts,
    spoken=parts,
    names=st.sampled_from(
        [(chat, "prompt_tokens", "completion_tokens"), (responded, "input_tokens", "output_tokens")]
    ),
)
@settings(deadline=None)
def test_openai_classes_sum_to_the_total_or_are_refused(
    into: int,
    out: int,
    cached: int,
    kept: int,
    written: int,
    audio: int,
    image: int,
    reasoning: int,
    spoken: int,
    names: tuple[Callable[..., dict[str, Any]], str, str],
) -> None:
    """Whatever OpenAI counts, Σ classes = total_tokens (P4); it is refused just when a part exceeds its whole."""
    body, prompt, completion = names
    usage = {
        prompt: into,
        completion: out,
        "total_tokens": into + out,
        f"{prompt}_details": {
            "cached_tokens": cached,
            "cache_write_tokens": written,
            "cached_tokens_details": {"audio_tokens": kept},
            "audio_tokens": audio,
            "image_tokens": image,
        },
        f"{completion}_details": {"reasoning_tokens": reasoning, "audio_tokens": spoken},
    }
    fits = cached + written <= into and audio + image <= into and reasoning + spoken <= out
    fits = fits and kept <= min(cached, audio)
    try:
        read = read_usage(body(usage)).usage
    except UsageInconsistentError:
        assert not fits
    else:
        assert fits
        assert (into, out) == (read.input_total, read.output_total)
        assert (cached, written, reasoning) == (
            read.input_cache_read + read.input_cache_read_audio + read.input_cache_read_image,
            read.input_cache_write_5m,
            read.output_reasoning,
        )
        heard, seen = (
            read.input_audio + read.input_cache_read_audio,
            read.input_image + read.input_cache_read_image,
        )
        assert (heard <= audio, seen <= image, read.input_audio <= audio - kept) == (True, True, True)
        assert written or (heard, seen) == (audio, image)


@given(
    total=st.integers(0, 10**6),
    cuts=st.lists(st.integers(0, 10**6), min_size=3, max_size=3),
    out=st.integers(0, 10**6),
)
def test_openai_classes_sum_to_the_total_when_the_parts_fit(total: int, cuts: list[int], out: int) -> None:
    """Generated so that the parts fit, the sum holds on every example and nothing is refused."""
    low, mid, high = sorted(cut % (total + 1) for cut in cuts)
    details = {"cached_tokens": low, "cache_write_tokens": mid - low, "audio_tokens": high - mid}
    usage = {"prompt_tokens": total, "completion_tokens": out, "prompt_tokens_details": details}

    assert total + out == read_usage(chat(usage)).usage.total


@given(fresh=wholes, read=wholes, short=parts, long=parts, out=wholes, thinking=parts)
def test_anthropic_classes_sum_to_the_total_or_are_refused(
    fresh: int, read: int, short: int, long: int, out: int, thinking: int
) -> None:
    """Whatever Anthropic counts, the three inputs and the output add up (P4), and thinking is inside the output."""
    usage = {
        "input_tokens": fresh,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": short + long,
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
        "output_tokens": out,
        "output_tokens_details": {"thinking_tokens": thinking},
    }
    if thinking > out:
        with pytest.raises(UsageInconsistentError):
            read_usage(message(usage))
    else:
        assert fresh + read + short + long + out == read_usage(message(usage)).usage.total


@given(name=st.sampled_from([name for name in SHAPES if name != "cohere-tools"]), data=st.data())
@settings(max_examples=300, deadline=None)
def test_one_bad_count_spoils_the_reading(name: str, data: st.DataObject) -> None:
    """A count that is a bool, a float, NaN, negative, text or a list is refused wherever it stands."""
    body = copy.deepcopy(PAYLOADS[name]["response"])
    usage = usage_object(body)
    read = [place for place in _counts(usage.get("billed_units", usage)) if place[1] not in UNREAD]
    holder, key = data.draw(st.sampled_from(read))
    holder[key] = data.draw(
        st.sampled_from([True, 1.5, float("nan"), float("inf"), -1, 10**9 + 1, "12", [3], {"a": 1}])
    )

    with pytest.raises(UsageInconsistentError) as caught:
        read_usage(body)

    assert caught.value.payload == usage or math.isnan(holder[key])


def test_whole_floats_are_counts_at_cohere_alone() -> None:
    """Cohere calls its counts numbers and its SDK makes floats of them; from anybody else a float is refused."""
    assert (
        7
        == read_usage({"usage": {"billed_units": {"input_tokens": 3.0, "output_tokens": 4.0}}}).usage.total
    )
    with pytest.raises(UsageInconsistentError):
        read_usage(chat({"prompt_tokens": 3.0, "completion_tokens": 4}))


UNREAD = {
    "text_tokens",
    "video_tokens",
    "cost_in_usd_ticks",
    "num_server_side_tools_used",
    "mcp_calls",
    "doc_size_bytes",
    "total_time",
}
"""Counts that neither are a class nor are inside one."""


def _counts(usage: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    for key, value in usage.items():
        if type(value) is int:
            yield usage, key
        for item in [value] if isinstance(value, dict) else value if isinstance(value, list) else []:
            yield from _counts(item)


def in_chat(details: dict[str, Any] | None = None, **usage: Any) -> dict[str, Any]:
    return chat({"prompt_tokens": 5, "completion_tokens": 1, **usage, "prompt_tokens_details": details})


def out_of_chat(**details: Any) -> dict[str, Any]:
    return chat({"prompt_tokens": 5, "completion_tokens": 1, "completion_tokens_details": details})


def in_response(details: dict[str, Any] | None = None, **usage: Any) -> dict[str, Any]:
    return responded({"input_tokens": 5, "output_tokens": 3, **usage, "input_tokens_details": details})


def in_message(**usage: Any) -> dict[str, Any]:
    return message({"input_tokens": 1, "output_tokens": 1, **usage})


def turn(kind: str, model: str) -> dict[str, Any]:
    return {"type": kind, "model": model, "input_tokens": 9, "output_tokens": 0}


CONTRADICTIONS = {
    "cached_tokens \\+ cache_write_tokens = 6": in_chat({"cached_tokens": 6}),
    "cached_tokens \\+ cache_write_tokens = 7": in_chat({"cached_tokens": 3, "cache_write_tokens": 4}),
    "audio_tokens \\+ image_tokens = 6": in_chat({"audio_tokens": 6}),
    "reasoning_tokens": out_of_chat(reasoning_tokens=2),
    "rejected_prediction_tokens": out_of_chat(rejected_prediction_tokens=2),
    "accepted_prediction_tokens": out_of_chat(accepted_prediction_tokens=2),
    "total_tokens is 7, not": in_chat(total_tokens=7),
    "completion_tokens is missing": in_chat(completion_tokens=None),
    "prompt_tokens is missing": in_chat(prompt_tokens=None),
    "prompt_tokens_details.cached_tokens is -1": in_chat({"cached_tokens": -1}),
    "2 and 3 are given": in_chat({"cached_tokens": 3}, prompt_cache_hit_tokens=2),
    "prompt_tokens_details is 3, not an object": chat(
        {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": 3}
    ),
    "total_tokens is 9, not": in_response(total_tokens=9),
    "3 \\+ 0 tokens by lifetime": in_response(
        {"cache_write_tokens": 4, "cache_write_tokens_details": {"ttl_30m_tokens": 3}}
    ),
    "4 tokens were cached for 12 hours": in_response(
        {"cache_write_tokens": 4, "cache_write_tokens_details": {"ttl_12h_tokens": 4}}
    ),
    "9 tokens were used by an image model": {
        **in_response(),
        "tool_usage": {"image_gen": {"total_tokens": 9}},
    },
    "tool_usage is 'x'": {**in_response(), "tool_usage": "x"},
    "8 \\+ 0 tokens by lifetime": in_message(
        cache_creation_input_tokens=9, cache_creation={"ephemeral_5m_input_tokens": 8}
    ),
    "thinking_tokens = 2": in_message(output_tokens_details={"thinking_tokens": 2}),
    "output_tokens is missing": in_message(output_tokens=None),
    "web_search_requests is 1.5": in_message(server_tool_use={"web_search_requests": 1.5}),
    "another way of counting": in_message(
        input_tokens=3602, cache_read_input_tokens=3604, prompt_tokens_details={"cached_tokens": 3604}
    ),
    "of advisor_message are those of claude-opus-4-8": in_message(
        iterations=[turn("advisor_message", "claude-opus-4-8")]
    ),
    "of message are those of claude-fable-5": in_message(iterations=[turn("message", "claude-fable-5")]),
}


@pytest.mark.parametrize(("problem", "body"), CONTRADICTIONS.items(), ids=CONTRADICTIONS)
def test_what_does_not_add_up_is_refused_with_its_payload(problem: str, body: dict[str, Any]) -> None:
    """Each way in which counts can contradict each other is named, and the payload comes with it for review."""
    with pytest.raises(UsageInconsistentError, match=problem) as caught:
        read_usage(body)

    assert caught.value.payload in (body["usage"], {"tool_usage": body.get("tool_usage")})


@pytest.mark.parametrize(
    "answer",
    [
        None, 7, "", "<html>502</html>", b"\xff\xfe", "[]", "{", {}, {"error": {"message": "overloaded"}}, object(),
        chat(None), chat({}), responded(None, status="cancelled"), message(None), {"type": "message_start", "message": message({})},
        {"choices": []}, {"usage": {"seconds": 3}}, {"type": "message_delta", "usage": {"output_tokens": 3}}, "[" * 100_000,
    ],
    ids=lambda answer: str(answer).partition(" at 0x")[0][:40],
)  # fmt: skip
def test_no_usage_is_not_zero(answer: object) -> None:
    """Whatever carries no usage raises `UsageMissingError` and never reads as a call that used nothing."""
    with pytest.raises(UsageMissingError):
        read_usage(answer)


@pytest.mark.parametrize(
    "body",
    [
        chat({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}),
        responded({"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}),
        message({"input_tokens": 0, "output_tokens": 0}),
    ],
)
def test_zero_is_not_missing(body: dict[str, Any]) -> None:
    """A provider that says zero has said something."""
    assert Usage() == read_usage(body).usage


@pytest.mark.parametrize("name", ["prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens"])
def test_cached_tokens_are_known_by_other_names(name: str) -> None:
    """DeepSeek, Moonshot and LiteLLM count cached tokens inside the prompt under names of their own."""
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11, name: 4}
    expected = Usage(input_uncached=6, input_cache_read=4, output_text=1)

    assert expected == read_usage(chat(usage)).usage
    assert expected == read_usage(chat({**usage, "prompt_tokens_details": {"cached_tokens": 4}})).usage


@pytest.mark.parametrize(
    ("cached", "expected"),
    [
        (0, {"input_uncached": 1, "input_audio": 6, "input_image": 3}),
        (4, {"input_cache_read": 1, "input_cache_read_image": 3, "input_audio": 6}),
        (
            8,
            {
                "input_cache_read": 1,
                "input_cache_read_audio": 4,
                "input_cache_read_image": 3,
                "input_audio": 2,
            },
        ),
    ],
)
def test_cache_and_modality_overlap_as_they_may(cached: int, expected: dict[str, int]) -> None:
    """Which modality was cached is not said: what is fresh counts as audio first, then image, then text."""
    details = {"cached_tokens": cached, "audio_tokens": 6, "image_tokens": 3}
    usage = {"prompt_tokens": 10, "completion_tokens": 0, "prompt_tokens_details": details}

    assert expected == read_usage(chat(usage)).usage.tokens()


def test_what_is_said_of_the_cache_by_modality_counts() -> None:
    """Where the details say which of the cached tokens were sound and pictures, nothing is supposed."""
    kept = {"text_tokens": 1, "audio_tokens": 2, "image_tokens": 1}
    details = {"cached_tokens": 4, "cached_tokens_details": kept, "audio_tokens": 6, "image_tokens": 3}
    usage = {"prompt_tokens": 12, "completion_tokens": 0, "prompt_tokens_details": details}
    expected = Usage(
        input_uncached=2,
        input_cache_read=1,
        input_cache_read_audio=2,
        input_cache_read_image=1,
        input_audio=4,
        input_image=2,
    )

    assert expected == read_usage(chat(usage)).usage


@pytest.mark.parametrize(
    ("details", "problem"),
    [
        ({"cached_tokens": 1, "audio_tokens": 5, "cached_tokens_details": {"audio_tokens": 2}}, "more than cached_tokens = 1"),
        ({"cached_tokens": 5, "audio_tokens": 1, "cached_tokens_details": {"audio_tokens": 2}}, "more than audio_tokens = 1"),
        ({"cached_tokens": 5, "audio_tokens": 5, "cached_tokens_details": {"audio_tokens": -1}}, "not a whole number"),
    ],
)  # fmt: skip
def test_more_cached_sound_than_there_is_is_refused(details: dict[str, Any], problem: str) -> None:
    """Cached sound is part of what was cached and part of what was sound, or the usage contradicts itself."""
    usage = {"input_tokens": 10, "output_tokens": 0, "total_tokens": 10, "input_token_details": details}

    with pytest.raises(UsageInconsistentError, match=problem):
        read_usage({"object": "realtime.response", "usage": usage})


def test_a_session_of_two_responses_is_not_one_call() -> None:
    """Each response of a realtime session has a usage of its own, and the last alone would be too little."""
    done = PAYLOADS["openai-responses-realtime"]["response"]
    second = {**done, "response": {**done["response"], "id": "another"}}
    stream = fed([done, second])

    with pytest.raises(UsageInconsistentError, match="2 responses ended in one stream"):
        stream.reading()
    assert stream.usage_seen


def test_a_breakdown_without_its_total_is_taken() -> None:
    """Lifetimes alone say how much was written to the cache; a total alone is of the default lifetime."""
    parts = {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3}
    usage = {"input_tokens": 1, "output_tokens": 0}

    by_parts = read_usage(
        message({**usage, "cache_creation": parts, "cache_creation_input_tokens": None})
    ).usage
    by_total = read_usage(
        message({**usage, "cache_creation": None, "cache_creation_input_tokens": 5})
    ).usage

    assert Usage(input_uncached=1, input_cache_write_5m=2, input_cache_write_1h=3) == by_parts
    assert Usage(input_uncached=1, input_cache_write_5m=5) == by_total


def test_iterations_inside_the_totals_are_not_added() -> None:
    """Turns of a server tool loop, and a fallback that became the model reported, are in the totals already."""
    turns = [
        {"type": "message", "input_tokens": 4, "output_tokens": 1, "model": None},
        {"type": "fallback_message", "model": "claude-opus-5-5", "input_tokens": 6, "output_tokens": 2},
        {"type": "message", "model": "claude-fable-5", "input_tokens": 0, "output_tokens": 0},
    ]

    assert (
        13 == read_usage(message({"input_tokens": 10, "output_tokens": 3, "iterations": turns})).usage.total
    )


def test_classes_are_those_of_the_domain() -> None:
    """Every class the corpus speaks of is one of the domain's, and all of them occur in it."""
    assert set(TOKEN_CLASSES) == {name for payload in PAYLOADS.values() for name in payload["usage"]}
