"""
What the corpus costs: by hand, by ptmeter, by genai-prices and by litellm, to the nano-dollar.

Where they do not agree, tests/corpus/answers/disagreements.json says what the other makes of it and why; the
documentation shows it. A disagreement that is not in it fails, and so does one that is there no more.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from tests.providers.answers import (
    ANSWERS,
    PAYLOADS,
    Answer,
    by_hand,
    golden,
    nano,
    of_genai_prices,
    of_litellm,
    ours,
)

from ptmeter.providers.prices import GenaiPrices

NAMES = sorted(PAYLOADS)
LITELLM: dict[str, Any] = json.loads((ANSWERS / "litellm.json").read_text(encoding="utf-8"))
EXPLAINED: list[dict[str, Any]] = json.loads((ANSWERS / "disagreements.json").read_text(encoding="utf-8"))

BILLED = {"xai-chat": Decimal("0.0232856"), "openrouter-chat": Decimal("0.0103654")}
"""What the provider itself says that the answer cost, in dollars."""


@pytest.fixture(scope="module")
def prices() -> GenaiPrices:
    return GenaiPrices()


def explained(name: str, who: str) -> Answer | str:
    """What somebody is known to make of an answer: what we do, unless it is explained."""
    known = [one["theirs"] for one in EXPLAINED if (one["shape"], one["who"]) == (name, who)]
    return golden(name) if not known else known[0] if isinstance(known[0], str) else Answer(**known[0])


@pytest.mark.parametrize("name", NAMES)
def test_each_answer_costs_what_the_list_prices_come_to(name: str, prices: GenaiPrices) -> None:
    """Golden tokens and golden cost, by our reader and price, and by a product and a sum over the list prices."""
    dollars = by_hand(name)

    assert golden(name) == ours(name, prices)
    assert golden(name).nano_dollars == (None if dollars is None else nano(dollars))


@pytest.mark.parametrize("name", NAMES)
def test_genai_prices_agrees_or_it_is_explained(name: str) -> None:
    """Its own extractor and its own price, in this test."""
    assert explained(name, "genai-prices") == of_genai_prices(name)


@pytest.mark.parametrize("name", sorted(LITELLM["answers"]))
def test_litellm_agrees_or_it_is_explained(name: str) -> None:
    """Its own client and its own cost, as they were kept."""
    assert explained(name, "litellm") == of_litellm(LITELLM)[name]


def test_litellm_still_says_so() -> None:
    """Asked again, it gives the answers that were kept, if the version is the same."""
    python = os.environ.get("PTMETER_LITELLM_PYTHON")
    if not python:
        pytest.skip("set PTMETER_LITELLM_PYTHON to a python that has litellm")
    script = Path(__file__).with_name("ask_litellm.py")
    ran = subprocess.run([python, script], capture_output=True, text=True, check=True)

    assert json.loads(ran.stdout) == LITELLM


@pytest.mark.parametrize("name", BILLED)
def test_what_the_provider_billed_is_what_we_cost(name: str) -> None:
    """Some providers say in the answer what it cost: the same, to the nano-dollar."""
    usage = PAYLOADS[name]["response"]["usage"]
    said = (
        Decimal(usage["cost_in_usd_ticks"]).scaleb(-10)
        if name == "xai-chat"
        else Decimal(str(usage["cost"]))
    )

    assert BILLED[name] == said
    assert nano(said) == golden(name).nano_dollars


def test_every_explanation_is_of_something() -> None:
    """Each names an answer that is there and says why in a sentence; none is there twice."""
    pairs = [(one["shape"], one["who"]) for one in EXPLAINED]

    assert set(NAMES) >= {shape for shape, _ in pairs}
    assert len(set(pairs)) == len(pairs)
    assert all(one["why"].endswith(".") for one in EXPLAINED)


def test_the_comparison_sees_a_nano_dollar_and_a_token(prices: GenaiPrices) -> None:
    """Positive control: an answer that is off by one, in any of its figures, is not the same."""
    right = ours("openai-chat", prices)

    assert (
        golden("openai-chat")
        == right
        == of_genai_prices("openai-chat")
        == of_litellm(LITELLM)["openai-chat"]
    )
    assert right.nano_dollars is not None
    for wrong in (
        replace(right, nano_dollars=right.nano_dollars + 1),
        replace(right, input=right.input + 1),
        replace(right, output=right.output - 1),
    ):
        assert explained("openai-chat", "genai-prices") != wrong
