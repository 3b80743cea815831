"""
Recorded concurrent runs on every database, replayed on the naive ledger in the order of the wallets' rows.

Threads and tasks hold, settle, void, debit and repeat each other's requests on two accounts with little in
them. The checks are shown to find two answers that were exchanged, an effect that came before it was asked
for, a refusal for no reason, and a row that nobody asked for.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.history import History, check, record

from ptmeter.domain.ledger import Refusal, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.backends import Backend
    from tests.history import Call

OPERATIONS = 1_000
ON = [pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("sqlite", "postgres", "mysql")]


@pytest.mark.parametrize("name", ON)
def test_a_concurrent_history_is_one_the_model_could_have(
    name: str, backend_of: Callable[[str], Backend]
) -> None:
    """Callers in threads and tasks are told what the naive ledger says, in the order of the journal."""
    history = record(backend_of(name).empty(), prefix="h", operations=OPERATIONS, threads=2, tasks=2)

    seen = check(history)

    assert OPERATIONS + 2 == seen.total()
    assert {"changes", "refusals", "replays"} == {*seen}


@pytest.fixture(scope="module")
def in_memory() -> History:
    """A history that is right."""
    return record("memory://", prefix="h", operations=OPERATIONS, threads=4, tasks=0)


def test_a_history_in_memory_is_one_the_model_could_have(in_memory: History) -> None:
    """Threads on one store in memory are told what the naive ledger says."""
    assert {"changes", "refusals", "replays"} == {*check(in_memory)}


# --- the controls ---------------------------------------------------------------------------------


def altered(history: History, *changes: tuple[Call, Call]) -> History:
    """The history with some calls exchanged for others."""
    instead = {id(call): other for call, other in changes}
    return History([instead.get(id(call), call) for call in history.calls], history.journal)


def in_order(history: History) -> list[Call]:
    """The calls on one wallet that changed something."""
    [wallet, *_] = history.journal
    mine = [call for call in history.calls if call.wallet == wallet and call.seq]
    return sorted(mine, key=lambda call: call.seq)


def test_exchanged_answers_are_noticed(in_memory: History) -> None:
    """The control: two callers who got each other's answers."""
    one, other = in_order(in_memory)[100:102]
    exchanged = (replace(one, outcomes=other.outcomes), replace(other, outcomes=one.outcomes))

    with pytest.raises(AssertionError):
        check(altered(in_memory, (one, exchanged[0]), (other, exchanged[1])))


def test_an_effect_before_its_cause_is_noticed(in_memory: History) -> None:
    """The control: a call that is in the journal before others, and was asked for when those had ended."""
    calls = in_order(in_memory)
    last = max(call.ended for call in in_memory.calls)
    late = replace(calls[100], began=last + 1, ended=last + 2)

    with pytest.raises(AssertionError, match="took effect after what began only later"):
        check(altered(in_memory, (calls[100], late)))


def test_a_refusal_for_no_reason_is_noticed(in_memory: History) -> None:
    """The control: a caller who was told of other funds than there were at any moment in question."""
    refused = next(call for call in in_memory.calls if is_short(call))
    outcome = refused.outcomes[0]
    assert isinstance(outcome, Refused)
    other = replace(outcome, available=outcome.available + 1_000)
    claimed = replace(refused, outcomes=(other, *refused.outcomes[1:]))

    with pytest.raises(AssertionError, match=r"nowhere is .* refused by the model|repeats nothing"):
        check(altered(in_memory, (refused, claimed)))


def test_a_row_that_nobody_asked_for_is_noticed(in_memory: History) -> None:
    """The control: a journal that ends with something nobody was told of."""
    last = in_order(in_memory)[-1]
    rest = [call for call in in_memory.calls if call is not last]

    with pytest.raises(AssertionError):
        check(History(rest, in_memory.journal))


def is_short(call: Call) -> bool:
    first = call.outcomes[0]
    return isinstance(first, Refused) and first.reason is Refusal.INSUFFICIENT_FUNDS and not first.replayed
