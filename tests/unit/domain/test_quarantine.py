"""What is kept of a call whose usage contradicts itself, and what may be decided about it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptmeter import (
    PT,
    Ceiling,
    InvalidArgumentError,
    Money,
    Quarantined,
    QuarantineResolvedError,
    QuarantineState,
    Usage,
)
from ptmeter.domain import quarantine
from ptmeter.domain.ledger import Kind, Transfer, UsageEvent, WalletId
from ptmeter.domain.quarantine import LARGEST_PAYLOAD, Decision
from ptmeter.domain.usage import TOKEN_CLASSES

AT = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)
CALL = Quarantined(
    account="acme",
    key="r1",
    unit="core",
    model="small",
    route="",
    held=PT.of(3),
    problem="total_tokens is 26",
    payload="{}",
    received_at=AT,
)
USAGE = Usage(output_text=6)

texts = st.text() | st.from_regex(r"[a-z]{1,8}( [a-z]{1,8}){1,4}", fullmatch=True)
payloads = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner) | st.tuples(inner, inner),
    max_leaves=20,
)


def decided(usage: Usage | None, *, by: str = "ann", reason: str = "the total is right") -> Decision:
    return Decision(usage=usage, by=by, reason=reason)


def strings(value: Any) -> list[str]:
    """Every string in a JSON document, names too."""
    if isinstance(value, dict):
        return [*value, *(text for each in value.values() for text in strings(each))]
    if isinstance(value, list):
        return [text for each in value for text in strings(each)]
    return [value] if isinstance(value, str) else []


# --- what is kept ---


@given(payloads)
def test_whatever_a_provider_sends_can_be_kept(payload: object) -> None:
    """It is JSON in ASCII, canonical, within its bounds, and none of its strings is a sentence of the payload's."""
    kept = quarantine.kept_payload(payload)

    assert kept.isascii()
    assert LARGEST_PAYLOAD >= len(kept)
    assert kept == json.dumps(json.loads(kept), sort_keys=True, separators=(",", ":"))
    own = [text for text in strings(json.loads(kept)) if not text.startswith("<")]
    assert [] == [text for text in own if len(text) > 64 or " " in text]


@given(st.text(min_size=1))
def test_no_text_is_kept_that_could_have_been_generated(text: str) -> None:
    """Of a string that does not name a class, a tier or a kind only the length is kept, however short it is."""
    kept = json.loads(quarantine.kept_payload({"content": text, "usage": [{"text": text}], "n": 1}))

    size = f"<{len(text)} characters>"
    assert {"content": size, "usage": [{"text": size}], "n": 1} == kept


def test_counts_and_the_names_of_classes_are_kept_as_they_came() -> None:
    """A usage object of a provider is read back word for word."""
    usage = {
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 20}],
        "cache_read": None,
        "cost": 0.25,
        "is_byok": False,
        "service_tier": "standard",
    }

    assert usage == json.loads(quarantine.kept_payload(usage))


def test_what_json_has_no_word_for_is_described() -> None:
    """NaN, numbers of hundreds of digits, bytes, objects, and what lies too deep."""
    deep: dict[str, Any] = {}
    for _ in range(99):
        deep = {"d": deep}
    payload = {"nan": float("nan"), "far": 10**5_000, "raw": b"text", "object": object(), "deep": deep}

    kept = json.loads(quarantine.kept_payload(payload))

    assert {"nan": "nan", "far": "<16610 bits>", "raw": "<bytes>", "object": "<object>"} == {
        name: value for name, value in kept.items() if name != "deep"
    }
    assert "<dict>" in strings(kept)


def test_a_payload_that_is_too_large_is_described() -> None:
    """Its size and its first names are kept, so that somebody knows what to ask the provider for."""
    kept = json.loads(quarantine.kept_payload({"n": list(range(20_000)), "total tokens": 1}))

    assert {"omitted": "108917 bytes of JSON", "names": ["n", "<12 characters>"]} == kept
    assert {"omitted": "108891 bytes of JSON", "names": []} == json.loads(
        quarantine.kept_payload(list(range(20_000)))
    )


def test_the_bound_is_exact() -> None:
    """A payload of just so many bytes is kept, and one more is too many."""
    most = {"n": [1] * ((LARGEST_PAYLOAD - len('{"n":[]}') + 1) // 2)}
    size = len(json.dumps(most, separators=(",", ":")))
    while size < LARGEST_PAYLOAD:
        most["n"][0] *= 10
        size += 1

    assert LARGEST_PAYLOAD == len(quarantine.kept_payload(most))
    assert most == json.loads(quarantine.kept_payload(most))
    most["n"][0] *= 10
    assert "omitted" in json.loads(quarantine.kept_payload(most))


def test_a_problem_quotes_no_text() -> None:
    """Words stay, sentences in quotes do not, and it ends somewhere."""
    kept = quarantine.kept_problem

    assert "total is 26, not 20" == kept("total is 26, not 20")
    assert "tier is 'standard', not one" == kept("tier is 'standard', not one")
    assert """add {"own/m@1": [{"x_search": "USD"}]}""" == kept(
        """add {"own/m@1": [{"x_search": "USD"}]}"""
    )
    assert "n is '…', not a whole number" == kept("n is 'Dear Sir, I am', not a whole number")
    assert "n is '…'" == kept('n is "it\'s a secret"')
    assert 1_000 == len(kept("n" * 5_000))
    assert "??" == kept("\ud800\0?")


# --- deciding ---


def test_a_decision_is_put_on_record() -> None:
    """Who, when, why and what: by it the call is settled, or dismissed."""
    settled = quarantine.decide(CALL, decided(USAGE, by=" ann "), at=LATER)
    dismissed = quarantine.decide(CALL, decided(None), at=LATER)

    assert (QuarantineState.SETTLED, "ann", "the total is right", LATER) == (
        settled.state,
        settled.resolver,
        settled.reason,
        settled.resolved_at,
    )
    assert QuarantineState.DISMISSED is dismissed.state
    assert settled.decision != dismissed.decision


@pytest.mark.parametrize("usage", [USAGE, None])
def test_the_same_decision_again_changes_nothing(usage: Usage | None) -> None:
    """Whoever makes it, and why: the first stays on record."""
    first = quarantine.decide(CALL, decided(usage), at=AT)

    assert first is quarantine.decide(first, decided(usage, by="bob", reason="me too"), at=LATER)


@pytest.mark.parametrize(
    ("first", "other"),
    [
        (USAGE, None),
        (None, USAGE),
        (USAGE, Usage(output_text=7)),
        (USAGE, Usage(output_text=6, requests=2)),
    ],
)
def test_another_decision_is_refused(first: Usage | None, other: Usage | None) -> None:
    """It names who decided, and how."""
    call = quarantine.decide(CALL, decided(first), at=AT)

    with pytest.raises(QuarantineResolvedError, match="by 'ann' already") as caught:
        quarantine.decide(call, decided(other), at=LATER)

    facts = caught.value
    assert ("acme", "r1", call.state.name.lower(), "ann") == (
        facts.account,
        facts.key,
        facts.state,
        facts.resolver,
    )


@pytest.mark.parametrize("named", [{"by": ""}, {"by": "  "}, {"reason": " "}, {"reason": "a\0b"}])
def test_a_decision_has_an_author_and_a_reason(named: dict[str, str]) -> None:
    """Both stay on record, so both must be there and be fit to be written down."""
    with pytest.raises(InvalidArgumentError):
        decided(USAGE, **named)


# --- checking, and names ---


def test_the_key_of_a_charge_is_that_of_the_decision_or_of_the_record() -> None:
    """A hold is settled under a key that no request has; a recorded call under its own, so it is charged once."""
    one = quarantine.decide(CALL, decided(USAGE), at=AT)
    other = quarantine.decide(CALL, decided(Usage(output_text=7)), at=AT)
    recorded = replace(one, held=None)

    assert "r1" == quarantine.decided_key(recorded)
    assert 3 == len({"r1", quarantine.decided_key(one), quarantine.decided_key(other)})


HOLD = Transfer(
    id=b"1" * 8,
    wallet=WalletId("acme", "core"),
    seq=2,
    kind=Kind.HOLD,
    amount=3_000_000,
    available_after=7_000_000,
    held_after=3_000_000,
    fingerprint=b"2" * 8,
    effective_at=AT,
    booked_at=AT,
)
EVENT = UsageEvent(
    usage=USAGE,
    price=Ceiling("core", dict.fromkeys(TOKEN_CLASSES, 1)).price("small"),
    card_version="0" * 16,
    cost=Money(6, "USD"),
)
CHARGED = replace(HOLD, seq=3, kind=Kind.SETTLE, amount=1_000_000, completes=2, usage=EVENT)
SETTLED = quarantine.decide(CALL, Decision(usage=USAGE, by="ann", reason="so it is"), at=AT)
DISMISSED = quarantine.decide(CALL, Decision(usage=None, by="ann", reason="so it is"), at=AT)


@pytest.mark.parametrize(
    ("call", "hold", "charged"),
    [
        (CALL, HOLD, None),
        (DISMISSED, HOLD, None),
        (SETTLED, HOLD, CHARGED),
        (replace(CALL, held=None), None, None),
        (replace(SETTLED, held=None), None, CHARGED),
    ],
)
def test_a_call_that_goes_with_the_journal_is_sound(
    call: Quarantined, hold: Transfer | None, charged: Transfer | None
) -> None:
    """Its hold is there if it had one, and it was charged what was decided, if it was."""
    assert None is quarantine.disagreement(call, hold, charged)


@pytest.mark.parametrize(
    ("call", "hold", "charged", "problem"),
    [
        (CALL, None, None, "its hold is not"),
        (CALL, replace(HOLD, amount=2_000_000), None, "its hold is not"),
        (CALL, replace(HOLD, kind=Kind.GRANT), None, "its hold is not"),
        (replace(CALL, unit="advanced"), HOLD, None, "its hold is not"),
        (SETTLED, HOLD, None, "nothing was charged for it"),
        (replace(SETTLED, held=None), None, None, "nothing was charged for it"),
        (SETTLED, HOLD, replace(CHARGED, usage=None), "something else was charged"),
        (
            SETTLED,
            HOLD,
            replace(CHARGED, usage=replace(EVENT, usage=Usage(output_text=7))),
            "something else was charged",
        ),
        (replace(DISMISSED, state=QuarantineState.SETTLED), HOLD, CHARGED, "something else was charged"),
        (replace(SETTLED, state=QuarantineState.DISMISSED), HOLD, None, "that was not decided"),
    ],
)
def test_what_does_not_go_with_the_journal_is_said(
    call: Quarantined, hold: Transfer | None, charged: Transfer | None, problem: str
) -> None:
    """A hold that is not there or another one, a charge that is missing, or is not what was decided."""
    assert problem in (quarantine.disagreement(call, hold, charged) or "")


def test_a_call_says_how_it_stands() -> None:
    """In a sentence: what is wrong while it is open, who decided and why afterwards."""
    assert "acme r1 (small) is open: total_tokens is 26" == str(CALL)
    settled = quarantine.decide(CALL, decided(USAGE), at=AT)
    assert "acme r1 (small) is settled by ann: the total is right" == str(settled)
