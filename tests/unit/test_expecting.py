"""What a call is expected to take beside tokens: what the request and the caller say is held for, whatever is used of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.test_pricing import Words

from ptmeter import (
    Ceiling,
    ConfigurationError,
    GenaiPrices,
    HoldSize,
    Policy,
    Usage,
    reference_card,
)
from ptmeter.domain.usage import TOKEN_CLASSES
from ptmeter.pricing import Pricing
from ptmeter.testing import Clock

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
CATALOGUE = GenaiPrices()


def pricing(**policy: Any) -> Pricing:
    card = reference_card()
    return Pricing((card,), Policy(**policy), catalogue=CATALOGUE, tokens=Words(), clock=Clock(AT))


def body(limit: int | None, output: int) -> dict[str, Any]:
    tool = {"type": "web_search_20250305", "name": "web_search"}
    return {
        "messages": [{"role": "user", "content": "What is the news of today?"}],
        "max_tokens": output,
        "tools": [tool if limit is None else {**tool, "max_uses": limit}],
    }


@given(
    model=st.sampled_from(["claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-1"]),
    limit=st.none() | st.integers(0, 40),
    allowed=st.integers(1, 10),
    output=st.integers(1, 50_000),
    used=st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)),
)
def test_what_was_allowed_for_is_held_for(
    model: str, limit: int | None, allowed: int, output: int, used: tuple[float, float, float]
) -> None:
    """By bands and at cost-plus: no call within the limits that were told costs more than the estimate's most."""
    priced = pricing(max_tool_calls=allowed)
    estimate = priced.estimate(model, body(limit, output))
    read, answered, searched = used
    most = allowed if limit is None else limit
    usage = Usage(
        input_uncached=int(estimate.input.high * read),
        output_text=int(output * answered),
        tool_calls={"web_search": int(most * searched)},
    )

    assert {"web_search": most} == {"web_search": 0, **estimate.pieces}
    assert priced.charge(model, usage).amount <= estimate.at_most == estimate.hold
    assert estimate.expected <= estimate.at_most


@given(fewer=st.integers(0, 30), more=st.integers(0, 30))
def test_more_searches_allowed_are_never_held_for_with_less(fewer: int, more: int) -> None:
    """The estimate rises with the limit, or stays."""
    priced, (low, high) = pricing(), sorted((fewer, more))
    holds = [priced.estimate("claude-haiku-4-5", body(limit, 100)).at_most for limit in (0, low, high)]

    assert sorted(holds) == holds


def test_a_hold_of_what_is_expected_has_one_search() -> None:
    """One call of a tool that is turned on is expected, and no more than are allowed."""
    priced = pricing(hold=HoldSize.EXPECTED)

    amounts = [priced.estimate("claude-haiku-4-5", body(limit, 100)).hold.micro for limit in (0, 1, 5)]

    assert [1_000_000, 15_000_000, 15_000_000] == amounts


def test_a_ceiling_is_told_of_a_tool_too() -> None:
    """What no model without a price has a price for is not held for, and the notes say so."""
    ceiling = Ceiling("core", dict.fromkeys(TOKEN_CLASSES, 1_000_000))

    estimate = pricing(unpriced=ceiling).estimate("a-model-of-tomorrow", body(3, 100))

    assert {} == estimate.pieces
    assert any(note.startswith("web_search has no price") for note in estimate.notes)


def test_a_policy_allows_for_at_least_one_call() -> None:
    """None would be a hold for a tool that is turned on and never used."""
    with pytest.raises(ConfigurationError, match="max_tool_calls must be at least 1"):
        Policy(max_tool_calls=0)
