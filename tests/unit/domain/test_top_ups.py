"""
Topping up: when it is asked for, for how much, and never twice, whatever is used, paid and refused meanwhile.

The game below plays an account for months; its rules are checked from the list of all that was asked for, not
by the code that decides.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptmeter import PT, Alert, ConfigurationError, Money, Notice, TopUp, TopUpState, TopUpTerms
from ptmeter.domain.ledger import Kind, Transfer, Wallet, WalletId
from ptmeter.domain.pt import MICRO
from ptmeter.domain.top_ups import balance, due, ungranted
from ptmeter.domain.windows import Every, Window, window

if TYPE_CHECKING:
    from collections.abc import Mapping

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
SELLS_AT = 10_000_000
"""One PT sells at a cent."""
TERMS = TopUpTerms(below=PT.of(50), amount=PT.of(500), per_month=Money.usd(20))


def wallet(core: int, **more: Any) -> Wallet:
    """A wallet with so many whole PT available."""
    facts = {"number": 1, "seq": 7, "booked_at": START, "available": core * MICRO, **more}
    return Wallet(id=WalletId("acme", "core"), **facts)


def month(at: datetime) -> Window:
    return window(at, every=Every.MONTH, anchor=START)


def ask(have: Wallet, *earlier: TopUp, terms: TopUpTerms = TERMS, at: datetime = START) -> Any:
    return due(have, terms, earlier, SELLS_AT, month(at), at)


@pytest.mark.parametrize(
    ("have", "asked"),
    [
        (wallet(50), None),
        (wallet(49), 500),
        (wallet(0), 500),
        (wallet(10, held=40 * MICRO), None),
        (wallet(10, held=39 * MICRO), 500),
        (wallet(0, owed=450 * MICRO), 500),
        (wallet(0, owed=451 * MICRO), 1_000),
    ],
)
def test_it_is_sized_to_close_the_gap(have: Wallet, asked: int | None) -> None:
    """Asked for below the line only; what is held is left, what is owed is paid first; as often as it takes."""
    found = ask(have)

    assert asked == (found and found.amount.whole)
    if found:
        assert found.price == Money.usd(found.amount.whole / 100)


def test_a_line_above_the_amount_does_not_loop() -> None:
    """With 100 PT wanted and 10 at a time, 95 at once are asked for, and once they are there nothing is."""
    terms = replace(TERMS, below=PT.of(100), amount=PT.of(10))
    found = ask(wallet(5), terms=terms)

    assert PT.of(100) == found.amount
    assert None is ask(wallet(105), found.paid("p", START), terms=terms)


def test_one_is_open_at_a_time() -> None:
    """As long as nobody says what became of one, none is asked for; for another unit it is."""
    opened = ask(wallet(0))

    assert None is ask(wallet(0), opened)
    assert ask(wallet(0), replace(opened, unit="advanced"))
    assert ask(wallet(0), opened.paid("p", START))


def test_failures_cool_down_longer_each_time() -> None:
    """A day, two, three, four and never more; the first that is paid begins anew."""
    at, earlier, pauses = START, [], []
    for _ in range(6):
        failed = ask(wallet(0), *earlier, at=at).failed("card declined", at)
        earlier.append(failed)
        assert None is ask(wallet(0), *earlier, at=failed.cools_until - timedelta(microseconds=1))
        pauses.append((failed.cools_until - at).days)
        at = failed.cools_until
    paid = ask(wallet(0), *earlier, at=at).paid("p", at)

    assert [1, 2, 3, 4, 4, 4] == pauses
    assert 1 == ask(wallet(0), *earlier, paid, at=at + timedelta(days=1)).attempts


def test_the_cap_takes_what_fits_and_then_tells() -> None:
    """Of a gap of three, two fit into the month's money; then nothing does, and that is one notice a month."""
    terms = replace(TERMS, below=PT.of(1_500), per_month=Money.usd(12))
    first = ask(wallet(0), terms=terms)
    told = ask(wallet(1_000), first.paid("p", START), terms=terms)
    again = ask(wallet(900), first.paid("p", START), terms=terms, at=START + timedelta(days=3))
    next_month = month(START).end

    assert PT.of(1_000) == first.amount
    assert isinstance(told, Notice)
    assert Alert.TOP_UP_CAPPED is told.alert
    assert told.id == again.id
    assert PT.of(1_000) == ask(wallet(900), first.paid("p", START), terms=terms, at=next_month).amount


@pytest.mark.parametrize(
    "wrong",
    [{"below": PT(0)}, {"amount": PT(-1)}, {"per_month": Money(0)}, {"cool_down": timedelta(-1)}],
)
def test_terms_are_positive(wrong: Mapping[str, Any]) -> None:
    """An amount of nothing, or a pause that goes back, is refused."""
    with pytest.raises(ConfigurationError):
        replace(TERMS, **wrong)


@dataclass
class Game:
    """An account that uses what it has, tops up, and whose payments fail now and then."""

    seed: int
    at: datetime = START
    have: Wallet = field(default_factory=lambda: wallet(0))
    asked: list[TopUp] = field(default_factory=list[TopUp])

    def play(self, steps: int) -> TopUpTerms:
        random = Random(self.seed)
        terms = TopUpTerms(
            below=PT.of(random.choice([1, 40, 500])),
            amount=PT.of(random.choice([1, 30, 500])),
            per_month=Money.usd(random.choice([1, 8, 30])),
            cool_down=timedelta(hours=random.choice([0, 5, 100])),
        )
        for _ in range(steps):
            self.at += timedelta(minutes=random.randint(0, 3_000))
            self._use(random.randint(0, 60) * MICRO)
            found = due(self.have, terms, self.asked, SELLS_AT, month(self.at), self.at)
            if isinstance(found, TopUp):
                self.asked.append(found)
            elif self.asked and self.asked[-1].state is TopUpState.OPEN and random.random() < 0.5:
                self._end(failed=random.random() < 0.4)
        return terms

    def _use(self, amount: int) -> None:
        taken = min(amount, self.have.available)
        left = replace(self.have, available=self.have.available - taken)
        self.have = replace(left, seq=left.seq + 1)

    def _end(self, *, failed: bool) -> None:
        last = self.asked[-1]
        self.asked[-1] = last.failed("no", self.at) if failed else last.paid("p", self.at)
        if not failed:
            self.have = replace(self.have, available=self.have.available + last.amount.micro)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**9))
def test_rules_hold_over_any_history(seed: int) -> None:
    """Never two at once, never while it cools down, never more in a month than agreed, and each by another name."""
    game = Game(seed)
    terms = game.play(150)
    months: dict[datetime, int] = {}
    for earlier, later in zip(game.asked, game.asked[1:], strict=False):
        assert earlier.done_at is not None
        assert earlier.done_at <= later.requested_at
        assert later.requested_at >= (earlier.cools_until or later.requested_at)
    for each in game.asked:
        if each.state is not TopUpState.FAILED:
            start = month(each.requested_at).start
            months[start] = months.get(start, 0) + each.price.nano

    assert all(spent <= terms.per_month.nano for spent in months.values())
    assert len(game.asked) == len({each.id for each in game.asked})


def test_histories_reach_what_they_are_about() -> None:
    """Some are paid, some fail, and one stays open: the games above try that."""
    states = [each.state for seed in range(20) for each in _played(seed).asked]

    assert set(TopUpState) == set(states)


def _played(seed: int) -> Game:
    game = Game(seed)
    game.play(100)
    return game


def test_what_is_left_is_what_can_be_used_less_what_is_owed() -> None:
    """Held counts, owed is taken off."""
    assert 5 == balance(wallet(0, available=4, held=3, owed=2))


@pytest.mark.parametrize(
    ("granted", "problem"),
    [
        ({}, None),
        ({"amount": 499 * MICRO}, "499 PT core were granted for that, not 500 PT core"),
        (
            {"wallet": WalletId("acme", "advanced")},
            "500 PT advanced were granted for that, not 500 PT core",
        ),
        ({"kind": Kind.ADJUST_UP}, "nothing was granted for that"),
        (None, "nothing was granted for that"),
    ],
)
def test_what_is_paid_was_granted(granted: Mapping[str, Any] | None, problem: str | None) -> None:
    """As much, of the unit that was asked for, by a grant; anything else is said."""
    paid = ask(wallet(0)).paid("pi_1", START)
    facts: dict[str, Any] = {
        "id": b"",
        "wallet": WalletId("acme", "core"),
        "seq": 1,
        "kind": Kind.GRANT,
        "amount": 500 * MICRO,
        "available_after": 500 * MICRO,
        "held_after": 0,
        "fingerprint": b"",
        "effective_at": START,
        "booked_at": START,
    }
    found = ungranted(paid, None if granted is None else Transfer(**{**facts, **granted}))

    assert found is None if problem is None else found and found.endswith(problem)
    assert "it is paid, and by no payment" == ungranted(replace(paid, key=""), Transfer(**facts))
