"""Calls that are recorded without a hold, on every database: none vanishes because it costs nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from tests.rerating import card, price

from ptmeter import PT, IdempotencyConflictError, InsufficientFundsError, Overage, Receipt, Usage
from ptmeter.domain.admission import Rules
from ptmeter.domain.margins import Grouping
from ptmeter.domain.plans import Plans
from ptmeter.operations import placing, recording
from ptmeter.testing.steps import assert_clean, figures, give, statement

if TYPE_CHECKING:
    from ptmeter.ports import Store
    from ptmeter.testing import Clock

CARD = card()
RULES = Rules(plans=Plans(by_name={}), sells_at={"core": 10_000_000})


def record(
    store: Store, usage: Usage, *, key: str = "r1", rate: int = 0, **named: Any
) -> Receipt | Exception:
    """Record a call to a model of so many pico-dollars per token."""
    how: dict[str, Any] = {"account": "acme", "overage": Overage.REJECT, "card": CARD, "rules": None}
    work = partial(
        recording.record,
        key=key,
        charge=CARD.rate("small", usage, price("small", rate)),
        usage=usage,
        **(how | named),
    )
    return store.post("acme", work)


@pytest.mark.parametrize(
    ("rate", "tokens"),
    [(0, 9_000), (1, 9), (100_000, 0)],
    ids=["free", "less than a nano-dollar", "nothing used"],
)
def test_a_call_that_costs_nothing_is_on_the_journal(
    store: Store, clock: Clock, rate: int, tokens: int
) -> None:
    """With its usage, once however often it is told of; and it is one of the account's calls."""
    give(store, 10)
    usage = Usage(input_uncached=tokens)

    first, again = (record(store, usage, rate=rate) for _ in range(2))

    assert isinstance(first, Receipt)
    assert isinstance(again, Receipt)
    assert (("acme", "r1"), {"core": PT(0)}, {}) == ((first.account, first.key), first.charged, first.held)
    assert (False, True) == (first.replayed, again.replayed)
    assert (PT.of(10), PT.of(0), PT.of(0)) == figures(store)
    assert [usage] == [entry.usage for entry in statement(store).entries if entry.usage]
    [(_, _, _, counted)] = store.read(lambda books: list(books.rollups.sums(Grouping.MODEL, None, None)))
    assert (1, 0) == (counted.calls, counted.cost)
    assert isinstance(record(store, Usage(requests=7), rate=rate), IdempotencyConflictError)
    assert_clean(store)


def test_a_call_that_costs_something_is_a_debit(store: Store) -> None:
    """As it always was: in one row."""
    give(store, 10)

    receipt = record(store, Usage(input_uncached=9_000), rate=100_000)

    assert isinstance(receipt, Receipt)
    assert ["grant", "debit"] == [entry.kind for entry in statement(store).entries]
    assert {"core": PT.of("1.2")} == receipt.charged


def test_a_members_free_call_is_on_the_journal_of_who_pays(store: Store) -> None:
    """Under its own name, so that another member may use the same key."""
    give(store, 10)
    for name in ("ann", "bob"):
        store.run(partial(placing.place, name=name, under="acme", pooled=True))

    for name in ("ann", "bob"):
        receipt = record(store, Usage(input_uncached=5), account=name, rules=RULES)
        assert isinstance(receipt, Receipt)
        assert (name, False) == (receipt.account, receipt.replayed)

    assert 2 == sum(1 for entry in statement(store).entries if entry.usage)
    assert_clean(store)


def test_a_free_call_told_of_again_is_found_where_it_was_booked(store: Store, clock: Clock) -> None:
    """Its account was put under somebody else meanwhile: the call and its cost are not counted a second time there."""
    for name in ("acme", "other"):
        give(store, 10, account=name)
    store.run(partial(placing.place, name="ann", under="acme", pooled=True))
    asked: dict[str, Any] = {"account": "ann", "rules": RULES}
    record(store, Usage(input_uncached=9_000), key="paid", rate=100_000, **asked)
    first = record(store, Usage(input_uncached=5), **asked)
    clock.turn(timedelta(seconds=1))
    store.run(partial(placing.place, name="ann", under="other", pooled=True))

    again = record(store, Usage(input_uncached=5), **asked)

    assert isinstance(first, Receipt)
    assert replace(first, replayed=True) == again
    assert_clean(store)


def test_who_has_nothing_cannot_record_what_costs_nothing(store: Store, clock: Clock) -> None:
    """A micro-PT is set aside for a moment, and there has to be one."""
    give(store, 1, expires_at=clock() + timedelta(hours=1))
    clock.turn(timedelta(hours=2))

    assert isinstance(record(store, Usage(input_uncached=5)), InsufficientFundsError)
