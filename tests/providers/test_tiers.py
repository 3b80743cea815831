"""Service tiers: what providers call them, whose word means what, and that nothing unknown is taken for standard."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptmeter import InvalidArgumentError, Processing, UsageStream, read_usage
from ptmeter.providers.tiers import (
    MEANINGS,
    OWN_MEANINGS,
    SAYS_NOTHING,
    asked_processing,
    asked_tier,
    served_processing,
)

CORPUS = Path(__file__).parent.parent / "corpus"

STANDARD, BATCH, FLEX, PRIORITY, FAST, UNKNOWN = (
    Processing.STANDARD,
    Processing.BATCH,
    Processing.FLEX,
    Processing.PRIORITY,
    Processing.FAST,
    Processing.UNKNOWN,
)


class Sdk(StrEnum):
    """As Google's SDK has it."""

    PRIORITY = "SERVICE_TIER_PRIORITY"


def message(**usage: Any) -> dict[str, Any]:
    return {"type": "message", "usage": {"input_tokens": 9, "output_tokens": 3, **usage}}


SERVED = [
    # who, its word, what was asked for, what is charged
    ("openai", "default", STANDARD, STANDARD),
    ("openai", "default", PRIORITY, STANDARD),
    ("openai", "default", BATCH, BATCH),
    ("openai", "auto", PRIORITY, PRIORITY),
    ("openai", "flex", STANDARD, FLEX),
    ("openai", "flex", BATCH, FLEX),
    ("openai", "priority", FAST, PRIORITY),
    ("openai", "scale", PRIORITY, STANDARD),
    ("openai", "ultrafast", STANDARD, Processing.ULTRAFAST),
    ("openai", None, FLEX, FLEX),
    ("anthropic", "standard", FAST, STANDARD),
    ("anthropic", "standard", BATCH, STANDARD),
    ("anthropic", "batch", STANDARD, BATCH),
    ("anthropic", "priority", STANDARD, STANDARD),
    ("anthropic", "fast", STANDARD, FAST),
    ("google", "standard", PRIORITY, STANDARD),
    ("google", "ON_DEMAND", FLEX, STANDARD),
    ("google", "ON_DEMAND_FLEX", STANDARD, FLEX),
    ("google", "ON_DEMAND_PRIORITY", STANDARD, PRIORITY),
    ("google", "PROVISIONED_THROUGHPUT", STANDARD, STANDARD),
    ("google", "TRAFFIC_TYPE_UNSPECIFIED", FLEX, FLEX),
    ("google", Sdk.PRIORITY, STANDARD, PRIORITY),
    ("aws", "default", FLEX, STANDARD),
    ("aws", "reserved", STANDARD, STANDARD),
    ("aws", "priority", STANDARD, PRIORITY),
    ("groq", "on_demand", STANDARD, STANDARD),
    ("groq", "flex", STANDARD, STANDARD),
    ("groq", "performance", STANDARD, STANDARD),
    ("x-ai", "default", PRIORITY, STANDARD),
    ("x-ai", "priority", PRIORITY, PRIORITY),
    ("openai", "turbo", STANDARD, UNKNOWN),
    ("anthropic", "turbo", BATCH, UNKNOWN),
]


@pytest.mark.parametrize(("provider", "word", "asked", "charged"), SERVED)
def test_what_was_served_is_charged(
    provider: str, word: str | None, asked: Processing, charged: Processing
) -> None:
    """The answer decides, in the words of who charges for it; where it says nothing, what was asked for does."""
    assert charged is served_processing(word, provider, asked)


@given(
    st.text(),
    st.sampled_from(["openai", "anthropic", "groq", "someone"]),
    st.sampled_from(list(Processing)),
)
def test_no_word_is_taken_for_standard_that_is_not_known(
    word: str, provider: str, asked: Processing
) -> None:
    """Whatever a provider may come to say, it is unknown until it is in the table."""
    known = word.lower().removeprefix("service_tier_")
    served = served_processing(word, provider, asked)

    assert (served is UNKNOWN) == (
        asked is UNKNOWN
        if known in SAYS_NOTHING
        else known not in {*MEANINGS, *OWN_MEANINGS.get(provider, {})}
    )


def test_every_processing_has_a_word_of_its_own() -> None:
    """What a caller may say is also what a provider may say, but that it is not known."""
    assert {str(one): one for one in Processing if one is not UNKNOWN}.items() <= MEANINGS.items()
    assert not SAYS_NOTHING & set(MEANINGS)


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        ("text", None),
        ([{"role": "user", "content": "hi", "service_tier": "flex"}], None),
        ({"messages": []}, None),
        ({"service_tier": None}, None),
        ({"service_tier": "flex"}, "flex"),
        ({"serviceTier": {"type": "priority"}}, "priority"),
        ({"contents": [], "config": {"service_tier": Sdk.PRIORITY}}, "SERVICE_TIER_PRIORITY"),
        ({"speed": "fast"}, "fast"),
        ({"speed": "standard", "service_tier": "auto"}, "auto"),
        ({"speed": "fast", "service_tier": "auto"}, "fast"),
    ],
)
def test_where_a_request_says_its_tier(request_: Any, word: str | None) -> None:
    """In its body, as OpenAI, Bedrock, Google's SDK and Anthropic have it; never in a message."""
    assert word == asked_tier(request_)


@pytest.mark.parametrize(
    ("word", "provider", "said", "asked"),
    [
        (None, "openai", STANDARD, STANDARD),
        (None, "openai", FLEX, FLEX),
        ("flex", "openai", STANDARD, FLEX),
        ("flex", "openai", FLEX, FLEX),
        ("auto", "openai", PRIORITY, PRIORITY),
        ("default", "openai", BATCH, BATCH),
        ("turbo", "openai", STANDARD, UNKNOWN),
        ("turbo", "openai", PRIORITY, PRIORITY),
        ("flex", "groq", STANDARD, STANDARD),
        ("flex", "groq", FLEX, STANDARD),
        (None, "groq", FLEX, STANDARD),
        ("auto", "anthropic", PRIORITY, STANDARD),
        ("fast", "anthropic", STANDARD, FAST),
    ],
)
def test_what_is_asked_for(word: str | None, provider: str, said: Processing, asked: Processing) -> None:
    """The request's word and the caller's together, each for what the provider charges for it; asked again, the same."""
    assert asked is asked_processing(word, provider, said)
    assert asked is asked_processing(word, provider, asked)


@pytest.mark.parametrize(
    ("word", "said"), [("flex", PRIORITY), ("default", FLEX), ("priority", BATCH), ("fast", PRIORITY)]
)
def test_a_contradiction_is_refused(word: str, said: Processing) -> None:
    """Who says one thing to ptmeter and another to the provider is told so before the call."""
    with pytest.raises(
        InvalidArgumentError, match=f"asks for service tier '{word}' and the workload for {said}"
    ):
        asked_processing(word, "openai", said)


@pytest.mark.parametrize(
    ("usage", "word"),
    [
        ({}, None),
        ({"service_tier": "batch"}, "batch"),
        ({"service_tier": "standard", "speed": "standard"}, "standard"),
        ({"service_tier": "standard", "speed": "fast"}, "fast"),
        ({"service_tier": "standard", "speed": "warp"}, "warp"),
    ],
)
def test_anthropics_speed_goes_before_its_tier(usage: dict[str, Any], word: str | None) -> None:
    """A fast answer says the standard tier as well; it is the speed that has a price."""
    assert word == read_usage(message(**usage)).service_tier


TELLING = ("openai-chat", "anthropic-message")
"""Shapes whose first event says the tier."""


@pytest.mark.parametrize(
    "name", ["openai-chat", "anthropic-message", "openai-responses", "gemini-thinking"]
)
def test_a_stream_tells_its_tier_no_later_than_its_usage(name: str) -> None:
    """What a stream has told of its tier when it breaks off is what its end would have said."""
    payload = json.loads((CORPUS / f"{name}.json").read_text(encoding="utf-8"))
    stream = UsageStream()
    told: set[str | None] = set()
    for event in payload["stream"]:
        stream.feed(event)
        told.add(stream.service_tier)

    assert told <= {None, payload["service_tier"]}
    assert payload["service_tier"] == stream.reading().service_tier
    assert (name in TELLING) == (stream.service_tier is not None)
