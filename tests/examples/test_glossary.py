"""The glossary has the words of the product, and one meaning for each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

import ptmeter
from ptmeter.domain import ledger

PAGE: Final = Path(__file__).resolve().parent.parent.parent / "docs" / "glossary.md"

WORDS: Final = (
    *("PT", "unit", "account", "wallet", "transfer", "hold", "settle", "void", "expire", "grant", "lot"),
    *("burn order", "breakage", "usage", "price", "cost", "rate card", "plan", "discrepancy", "dispute"),
    *("period", "close", "inbox", "outbox", "dead letter", "replay"),
)
"""What the product is spoken of in."""

LEDGER_WORDS: Final = (
    *("side", "kind", "advance", "repay", "lapse", "linked group", "allocation", "overage", "late settle"),
    *("closing", "boundary", "seal", "reopen", "trial balance", "roll-forward", "late fact"),
    *("journal", "chain", "owed", "credit limit", "completes", "sweep", "verify", "finding", "uncovered"),
    *("checkpoint", "mark"),
)
"""What the ledger adds."""


def terms() -> list[str]:
    """The words in the glossary's tables."""
    text = PAGE.read_text(encoding="utf-8")
    cells = re.findall(r"^\| ((?:\*\*[^*]+\*\*(?:, )?)+) \|", text, re.MULTILINE)
    return [word for cell in cells for word in re.findall(r"\*\*([^*]+)\*\*", cell)]


@pytest.mark.parametrize("word", [*WORDS, *LEDGER_WORDS])
def test_a_word_has_its_meaning(word: str) -> None:
    """Each word of the product and the ledger is in the glossary."""
    assert word in terms()


def test_no_word_has_two_meanings() -> None:
    """No word stands in the glossary twice."""
    found = terms()

    assert [] == sorted({word for word in found if found.count(word) > 1})


def test_what_pt_can_do_has_a_meaning() -> None:
    """Each kind of transfer and each side of a wallet is a word of the glossary."""
    kinds = {kind.name.lower() for kind in ledger.Kind if not kind.name.startswith("ADJUST")}
    sides = {side.name.lower() for side in ledger.Side}

    assert set() == (kinds | sides) - set(terms())


def test_the_classes_that_are_named_exist() -> None:
    """The classes at the end of the page are where it says they are, and have a word of their own."""
    text = PAGE.read_text(encoding="utf-8")
    public, inner = text.partition("## Classes that go by these words")[2].split("are public names of")
    words = {word.lower().replace(" ", "") for word in terms()} | {"granted", "entry", "report"}

    for name in re.findall(r"`(\w+)`", public):
        assert name in ptmeter.__all__
        assert name.lower() in words
    for name in re.findall(r"`(\w+)`", inner.partition(";")[2]):
        assert hasattr(ledger, name)
        assert name.lower() in words
