"""What a refusal is to whoever asked, and what a batch keeps beside its rows."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

from ptmeter import reference_card
from ptmeter.domain.commands import Debit, Hold, Lapse
from ptmeter.domain.keys import fingerprint, transfer_id
from ptmeter.domain.ledger import Refusal, Refused, UsageEvent, wallet_id
from ptmeter.domain.policy import Policy
from ptmeter.domain.prices import Price
from ptmeter.domain.pt import Money
from ptmeter.domain.usage import Usage
from ptmeter.errors import (
    AccountFrozenError,
    AccountNotFoundError,
    HoldNotFoundError,
    HoldNotPendingError,
    IdempotencyConflictError,
    InsufficientFundsError,
    InvalidArgumentError,
    InvariantError,
    PtmeterError,
)
from ptmeter.operations.posting import post_batch, post_one, refusal
from ptmeter.storage.memory import MemoryStore
from ptmeter.testing.steps import give

if TYPE_CHECKING:
    from ptmeter.domain.commands import Linked
    from ptmeter.domain.ledger import Outcome
    from ptmeter.ports import Books

CARD: Final = reference_card()
USAGE: Final = UsageEvent(
    usage=Usage(output_text=7),
    price=Price(provider="p", model="m", source="s", rates={"output_text": 1}),
    card_version=CARD.version,
    cost=Money(7),
)


def debit(key: str, account: str = "acme", **more: Any) -> Debit:
    asked = fingerprint(account, "debit", key)
    name = transfer_id(account, "debit", key)
    return Debit(wallet=wallet_id(account, "core"), id=name, fingerprint=asked, amount=2_500_000, **more)


@pytest.fixture
def store() -> MemoryStore:
    """Acme has 10 PT."""
    opened = MemoryStore(Policy())
    give(opened, 10)
    return opened


def told(
    store: MemoryStore, group: Linked, *outcomes: Outcome, hold_key: str | None = None
) -> PtmeterError | list[Any]:
    """What a caller is told when its group, under the key "k", ends like that."""

    def answered(books: Books) -> PtmeterError | list[Any]:
        posting = post_one(books, group, "k", hold_key=hold_key)
        assert [group] == next(posting)
        with pytest.raises(StopIteration) as done:
            posting.send([outcomes])
        return done.value.value

    return store.read(answered)


FUNDS: Final = {"account": "acme", "unit": "core", "available": Decimal("1.5"), "required": Decimal("2.5")}


@pytest.mark.parametrize(
    ("reason", "error", "says"),
    [
        (Refusal.INSUFFICIENT_FUNDS, InsufficientFundsError, FUNDS),
        (Refusal.OVER_HOLD, InsufficientFundsError, FUNDS),
        (Refusal.NO_WALLET, InsufficientFundsError, FUNDS | {"available": Decimal(0)}),
        (Refusal.NOT_OPEN, AccountFrozenError, {"account": "acme", "unit": "core"}),
        (Refusal.HOLD_NOT_FOUND, HoldNotFoundError, {"account": "acme", "key": "of the hold"}),
        (Refusal.HOLD_NOT_PENDING, HoldNotPendingError, {"account": "acme", "key": "of the hold"}),
        (Refusal.NOT_DUE, HoldNotPendingError, {"account": "acme", "key": "of the hold"}),
        (Refusal.KEY_REUSED, IdempotencyConflictError, {"account": "acme", "key": "k"}),
        (Refusal.TOO_LARGE, InvalidArgumentError, {}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_each_refusal_is_an_error_that_says_what_to_do(
    store: MemoryStore, reason: Refusal, error: type[PtmeterError], says: dict[str, Any]
) -> None:
    """Which one, and whose: the account, the unit, the key that the caller knows, and whole PT."""
    refused = Refused(reason=reason, available=1_500_000, required=2_500_000)

    answer = told(store, (debit("a"),), refused, hold_key="of the hold")

    assert type(answer) is error
    assert says == {name: getattr(answer, name) for name in says}


def test_an_account_that_nobody_knows_is_said_to_be_so(store: MemoryStore) -> None:
    """An account without a wallet in this unit lacks funds; one without any wallet does not exist."""
    answer = told(store, (debit("a", "ghost"),), Refused(reason=Refusal.NO_WALLET))

    assert isinstance(answer, AccountNotFoundError)
    assert "ghost" == answer.account


def test_whoever_asks_for_no_amount_lacks_none(store: MemoryStore) -> None:
    """A command that names no amount, in a unit in which the account has no wallet, requires nothing."""
    sweep = Lapse(wallet=wallet_id("acme", "advanced"), id=bytes(8), fingerprint=bytes(8))

    answer = told(store, (sweep,), Refused(reason=Refusal.NO_WALLET))

    assert isinstance(answer, InsufficientFundsError)
    assert 0 == answer.required


def test_without_a_hold_the_key_is_the_requests_own(store: MemoryStore) -> None:
    """Whoever is told that there is no such hold is told under which key it was looked for."""
    answer = told(store, (debit("a"),), Refused(reason=Refusal.HOLD_NOT_FOUND))

    assert isinstance(answer, HoldNotFoundError)
    assert "k" == answer.key


def test_a_group_is_refused_for_its_own_reason(store: MemoryStore) -> None:
    """Of several commands the one that was refused for itself is told of, not those that fell with it."""
    linked, refused = Refused(reason=Refusal.LINKED), Refused(reason=Refusal.KEY_REUSED)

    answer = told(store, (debit("a"), debit("b")), linked, refused)

    assert isinstance(answer, IdempotencyConflictError)


def test_a_group_refused_for_no_reason_is_a_fault_of_ours(store: MemoryStore) -> None:
    """A reason that is none for a caller never reaches one as such."""
    linked = Refused(reason=Refusal.LINKED)

    error = store.read(lambda books: refusal(books, debit("a"), linked, "k", "k"))

    assert isinstance(error, InvariantError)


HELD: Final = Hold(
    wallet=wallet_id("acme", "core"),
    id=bytes(8),
    fingerprint=bytes(8),
    amount=1,
    ttl=timedelta(minutes=1),
)


@pytest.mark.parametrize(
    ("batch", "card", "kept"),
    [
        ([(debit("a", usage=USAGE),)], CARD, True),
        ([(HELD,), (debit("a"), debit("b", usage=USAGE))], CARD, True),
        ([(debit("a", usage=USAGE),)], None, False),
        ([(HELD,), (debit("a"),)], CARD, False),
    ],
    ids=["usage", "usage beside others", "no card", "no usage"],
)
def test_a_batch_keeps_the_card_its_usage_was_rated_by(
    store: MemoryStore, batch: list[Linked], card: Any, kept: bool
) -> None:
    """With the rows, in their transaction, and only if there is usage to explain."""
    store.post("acme", partial(post_batch, batch=batch, card=card))

    assert kept is (store.read(lambda books: books.cards.find(CARD.version)) is not None)
