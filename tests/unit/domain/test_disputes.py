"""PT whose payment is disputed or given back: frozen, given back or taken back, lot by lot, and nothing lost."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import Terms
from tests.unit.domain.lot_steps import WALLET, asked, do, of_lot, shelf_with
from tests.unit.domain.shelf import CHAIN_KEY, Shelf
from tests.unit.domain.strategies import START, USAGE

from ptmeter.domain.audit import WalletAudit
from ptmeter.domain.commands import Debit, Freeze, Grant, Hold, Reverse, Settle, Unfreeze
from ptmeter.domain.keys import digest
from ptmeter.domain.ledger import Kind, Overage, Posted, Refusal, Refused, WalletState
from ptmeter.domain.moves import NO_REQUEST
from ptmeter.domain.pt import LARGEST
from ptmeter.domain.rollups import additions

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def figures(shelf: Shelf) -> tuple[int, int, int, int, int]:
    """Available, held, frozen, spent and owed."""
    wallet = shelf.full_wallet(WALLET)
    return wallet.available, wallet.held, wallet.frozen, wallet.spent, wallet.owed


def check(shelf: Shelf) -> None:
    """The journal is one, and what is derived is what it gives."""
    audit = WalletAudit(WALLET, CHAIN_KEY)
    assert None is audit.read(shelf.journal[WALLET])
    assert [] == audit.compare(shelf.full_wallet(WALLET), shelf.open_holds(WALLET))


# --- freezing ---


def test_what_is_unspent_of_a_payment_is_frozen() -> None:
    """Of its own lot alone, as far as it goes: what is spent or held of it, and other lots, stay as they are."""
    shelf = shelf_with(100, 50)
    do(shelf, Debit(**asked("spent"), amount=30))
    do(shelf, Hold(**asked("held"), amount=10, ttl=MINUTE))

    frozen = do(shelf, of_lot(Freeze, "dispute", 100))

    assert (60, ((1, 60),), 50) == (
        frozen.transfer.amount,
        frozen.transfer.allocations,
        frozen.available,
    )
    assert (50, 10, 60, 30, 0) == figures(shelf)
    assert ("case 7", 60) == (frozen.transfer.note, frozen.transfer.frozen_after)
    check(shelf)


def test_what_is_frozen_cannot_be_spent() -> None:
    """It is not available, and does not burn: a hold beyond the rest is refused."""
    shelf = shelf_with(100, 50)
    do(shelf, of_lot(Freeze, "dispute", 100))

    refused = do(shelf, Hold(**asked("too much"), amount=51, ttl=MINUTE))
    placed = do(shelf, Hold(**asked("enough"), amount=50, ttl=MINUTE))

    assert Refused(reason=Refusal.INSUFFICIENT_FUNDS, available=50, required=51) == refused
    assert ((2, 50),) == placed.transfer.allocations


def test_a_freeze_of_nothing_is_refused() -> None:
    """Where all is spent, or frozen already, there is nothing to set aside."""
    shelf = shelf_with(100, 50)
    do(shelf, of_lot(Freeze, "dispute", 100))

    again = do(shelf, of_lot(Freeze, "another", 1))

    assert Refused(reason=Refusal.INSUFFICIENT_FUNDS, required=1) == again


def test_a_freeze_releases_holds_that_are_over() -> None:
    """What an abandoned hold has of the lot is frozen too, as soon as its time is over and not before."""
    shelf = shelf_with(100)
    do(shelf, Hold(**asked("abandoned"), amount=40, ttl=MINUTE))

    early = do(shelf, of_lot(Freeze, "early", 100), at=START + MINUTE - timedelta(microseconds=9))
    late = do(shelf, of_lot(Freeze, "late", 100), at=START + 2 * MINUTE)

    assert (60, 40) == (early.transfer.amount, late.transfer.amount)
    check(shelf)


def test_what_is_frozen_does_not_lapse() -> None:
    """Its time may be over meanwhile; what is given back of it then lapses at once."""
    shelf = shelf_with(100, expires_at=START + DAY)
    do(shelf, of_lot(Freeze, "dispute", 100))

    do(shelf, Grant(**asked("later"), amount=1), at=START + 2 * DAY)
    before = figures(shelf)
    won = do(shelf, of_lot(Unfreeze, "won", 100), at=START + 2 * DAY)

    assert (1, 0, 100, 0, 0) == before
    assert (1, 0, 0, 0, 0) == figures(shelf)
    assert [Kind.UNFREEZE, Kind.LAPSE] == [row.kind for row in shelf.journal[WALLET][-2:]]
    assert 1 == won.available
    check(shelf)


# --- giving back ---


@pytest.mark.parametrize(("amount", "fits"), [(59, True), (60, True), (61, False)])
def test_no_more_is_given_back_than_is_frozen(amount: int, fits: bool) -> None:
    """To the last micro-PT; beyond, it says how much is frozen, and is decided anew next time."""
    shelf = shelf_with(100)
    do(shelf, of_lot(Freeze, "dispute", 60))

    outcome = do(shelf, of_lot(Unfreeze, "won", amount))
    do(shelf, of_lot(Freeze, "more", 1))
    again = do(shelf, of_lot(Unfreeze, "won", amount))

    assert fits is isinstance(outcome, Posted)
    assert fits or Refused(reason=Refusal.NOT_FROZEN, available=60, required=61) == outcome
    assert isinstance(again, Posted)
    check(shelf)


def test_what_is_given_back_repays_what_is_owed() -> None:
    """Owing and having something cannot be at once, wherever it came from."""
    shelf = shelf_with(100)
    do(shelf, of_lot(Freeze, "dispute", 80))
    do(shelf, Debit(**asked("spent"), amount=50, overage=Overage.ALLOW))
    before = figures(shelf)

    do(shelf, of_lot(Unfreeze, "won", 80))

    assert (0, 0, 80, 50, 30) == before
    assert (50, 0, 0, 50, 0) == figures(shelf)
    check(shelf)


AMOUNTS = st.integers(1, 60)


@settings(deadline=None)
@given(st.lists(AMOUNTS, min_size=1, max_size=4), AMOUNTS, AMOUNTS, st.data())
def test_a_dispute_that_is_won_changes_nothing(
    lots: list[int], spent: int, held: int, data: st.DataObject
) -> None:
    """Frozen and given back, whichever lot and however much of it: all is as it was, but for the journal."""
    shelf = shelf_with(*lots)
    do(shelf, Debit(**asked("spent"), amount=spent))
    do(shelf, Hold(**asked("held"), amount=held, ttl=MINUTE))
    before, lots_before = figures(shelf), shelf.full_wallet(WALLET).lots
    lot = data.draw(st.integers(1, len(lots)))

    frozen = do(shelf, of_lot(Freeze, "dispute", data.draw(AMOUNTS), lot=lot))
    if isinstance(frozen, Posted):
        do(shelf, of_lot(Unfreeze, "won", frozen.transfer.amount, lot=lot))

    assert (before, lots_before) == (figures(shelf), shelf.full_wallet(WALLET).lots)
    check(shelf)


# --- taking back ---


def test_a_refund_takes_what_is_left_of_its_lot() -> None:
    """It goes back to where it came from, and burns nothing of other lots."""
    shelf = shelf_with(100, 50)

    taken = do(shelf, of_lot(Reverse, "refund", 40))

    assert (Kind.REVERSE, 40, ((1, 40),)) == (
        taken.transfer.kind,
        taken.transfer.amount,
        taken.transfer.allocations,
    )
    assert (110, 0, 0, 0, 0) == figures(shelf)
    check(shelf)


def test_what_was_spent_of_a_refunded_payment_is_owed() -> None:
    """In one row of all that is taken back, whatever the credit limit; then nothing new is spent until it is repaid."""
    shelf = shelf_with(100)
    do(shelf, Debit(**asked("spent"), amount=70))

    taken = do(shelf, of_lot(Reverse, "refund", 100))
    refused = do(shelf, Hold(**asked("new"), amount=1, ttl=MINUTE))

    assert (100, ((1, 30), (3, 70))) == (taken.transfer.amount, taken.transfer.allocations)
    assert (0, 0, 0, 70, 70) == figures(shelf)
    assert Refusal.INSUFFICIENT_FUNDS is refused.reason
    do(shelf, Grant(**asked("more"), amount=100))
    assert (30, 0, 0, 70, 0) == figures(shelf)
    check(shelf)


def test_other_lots_repay_what_was_spent() -> None:
    """Nobody owes while something is available: what is there of any lot pays for what was spent of this one."""
    shelf = shelf_with(100, 50)
    do(shelf, Debit(**asked("spent"), amount=100))

    taken = do(shelf, of_lot(Reverse, "refund", 100))

    assert (0, 0, 0, 100, 50) == figures(shelf)
    assert 0 == taken.available
    assert [Kind.ADVANCE, Kind.REVERSE, Kind.REPAY] == [row.kind for row in shelf.journal[WALLET][-3:]]
    check(shelf)


def test_what_is_held_of_it_is_taken_back_as_it_comes_back() -> None:
    """A hold keeps what it was promised; what it gives back repays, and what is over is released first."""
    shelf = shelf_with(100)
    do(shelf, Hold(**asked("held"), amount=60, ttl=MINUTE))
    do(shelf, Hold(**asked("due"), amount=20, ttl=timedelta(seconds=1)))

    do(shelf, of_lot(Reverse, "refund", 100), at=START + timedelta(seconds=30))
    before = figures(shelf)
    do(shelf, Settle(**asked("settled"), hold_id=digest(("held",)), amount=25))

    assert (0, 60, 0, 0, 60) == before
    assert (0, 0, 0, 25, 25) == figures(shelf)
    check(shelf)


@pytest.mark.parametrize("state", WalletState)
def test_a_dispute_comes_in_whatever_state_the_wallet_is(state: WalletState) -> None:
    """Whether it takes new holds is another matter than whether its payment stands."""
    shelf = shelf_with(100)
    shelf.set_terms(WALLET, Terms(START, state=state))

    outcomes = [
        do(shelf, of_lot(Freeze, "dispute", 50)),
        do(shelf, of_lot(Unfreeze, "won", 50)),
        do(shelf, of_lot(Reverse, "refund", 200)),
    ]

    assert [True] * 3 == [isinstance(outcome, Posted) for outcome in outcomes]
    check(shelf)


@pytest.mark.parametrize("verb", [Freeze, Unfreeze, Reverse])
def test_a_lot_that_is_not_there_is_said_so(verb: Any) -> None:
    """A number that no lot has would make its account owe for nothing; one that is used up is a lot still."""
    shelf = shelf_with(100)
    do(shelf, Debit(**asked("spent"), amount=100))
    before = shelf.facts()

    unknown = do(shelf, of_lot(verb, "unknown", 1, lot=2))
    used_up = do(shelf, of_lot(verb, "used up", 1))

    assert Refused(reason=Refusal.LOT_NOT_FOUND) == unknown
    assert Refused(reason=Refusal.LOT_NOT_FOUND) != used_up
    assert verb is Reverse or before == shelf.facts()


def test_what_would_be_lent_counts_too() -> None:
    """A reversal that would have a wallet count beyond what a database can is refused, and nothing of it stays."""
    shelf = shelf_with(100)
    do(shelf, Debit(**asked("spent"), amount=100))
    before = shelf.facts()

    refused, taken = (do(shelf, of_lot(Reverse, f"refund {n}", LARGEST - 100 - n)) for n in (0, 1))

    assert Refused(reason=Refusal.TOO_LARGE) == refused
    assert isinstance(taken, Posted)
    assert before != shelf.facts()


def test_what_is_owed_counts_by_itself() -> None:
    """What was taken back is spent by nobody, so it may be owed beyond what a database can count: that is refused."""
    shelf = shelf_with(100)

    first, second = (do(shelf, of_lot(Reverse, f"refund {n}", LARGEST // 2 + 50)) for n in (1, 2))

    assert isinstance(first, Posted)
    assert Refused(reason=Refusal.TOO_LARGE) == second


@pytest.mark.parametrize(("amount", "fits"), [(LARGEST - 101, True), (LARGEST - 100, False)])
def test_what_is_frozen_counts_too(amount: int, fits: bool) -> None:
    """Or it could not be given back."""
    shelf = shelf_with(100)
    do(shelf, of_lot(Freeze, "dispute", 100))

    assert fits is isinstance(do(shelf, Grant(**asked("most"), amount=amount)), Posted)


# --- a dispute that is lost ---


def test_a_dispute_that_is_lost_takes_back_what_it_froze() -> None:
    """What is frozen and what was spent go in one group, of which the account owes only the second."""
    shelf = shelf_with(100, 50)
    do(shelf, Debit(**asked("spent"), amount=30))
    do(shelf, of_lot(Freeze, "dispute", 100))

    taken = do(shelf, of_lot(Reverse, "lost", 100, frozen=70))

    assert ((1, 70), (6, 30)) == taken.transfer.allocations
    assert (20, 0, 0, 30, 0) == figures(shelf)
    check(shelf)


def test_what_is_over_meanwhile_is_taken_back_and_does_not_lapse() -> None:
    """Lapsed first, it would be owed, though nothing of it was ever used."""
    shelf = shelf_with(100, expires_at=START + DAY)
    do(shelf, of_lot(Freeze, "dispute", 100))

    do(shelf, of_lot(Reverse, "lost", 100, frozen=100), at=START + 2 * DAY)

    assert (0, 0, 0, 0, 0) == figures(shelf)
    assert [Kind.UNFREEZE, Kind.REVERSE] == [row.kind for row in shelf.journal[WALLET][-2:]]
    check(shelf)


def test_what_is_frozen_of_it_must_be() -> None:
    """Less is frozen than is said: nothing of the group happens."""
    shelf = shelf_with(100)
    do(shelf, of_lot(Freeze, "dispute", 60))
    before = shelf.facts()

    refused = do(shelf, of_lot(Reverse, "lost", 100, frozen=61))

    assert Refused(reason=Refusal.NOT_FROZEN, available=60, required=61) == refused
    assert before == shelf.facts()


def test_giving_back_and_taking_back_can_be_linked() -> None:
    """Both happen or neither, as with any commands in one group."""
    shelf = shelf_with(100)
    do(shelf, of_lot(Freeze, "dispute", 60))
    before = shelf.facts()

    refused = do(shelf, of_lot(Reverse, "r1", 100), of_lot(Unfreeze, "u1", 61))
    unchanged = shelf.facts()
    taken = do(shelf, of_lot(Unfreeze, "u2", 60), of_lot(Reverse, "r2", 100))

    assert Refusal.NOT_FROZEN is refused.reason
    assert before == unchanged
    assert ((1, 100),) == taken.transfer.allocations
    assert (0, 0, 0, 0, 0) == figures(shelf)
    check(shelf)


def test_the_row_that_follows_has_the_id_it_always_had() -> None:
    """
    Two releases beside each other give what nobody asked for one id, so it cannot be written twice.

    If this fails, do not mend the test.
    """
    shelf = shelf_with(100)
    do(shelf, of_lot(Freeze, "dispute", 60))
    do(shelf, of_lot(Reverse, "lost", 60, frozen=60))

    [given_back] = [row for row in shelf.journal[WALLET] if row.kind is Kind.UNFREEZE]

    assert (3, NO_REQUEST, "ec8af3d8f25ef698") == (
        given_back.seq,
        given_back.fingerprint,
        given_back.id.hex(),
    )
    assert "case 7" == given_back.note


# --- what it earns ---


def test_nothing_of_it_is_earned() -> None:
    """PT earn when they are used: not when they are frozen, given back, taken back or lent for it."""
    shelf = shelf_with(100)
    do(shelf, Debit(**asked("spent"), amount=30, usage=USAGE))
    rows = len(shelf.journal[WALLET])
    do(shelf, of_lot(Freeze, "dispute", 70))
    do(shelf, of_lot(Unfreeze, "won", 20))
    do(shelf, of_lot(Reverse, "refund", 100, frozen=50))

    kinds = {row.kind for row in shelf.journal[WALLET][rows:]}

    assert {Kind.FREEZE, Kind.UNFREEZE, Kind.REVERSE, Kind.ADVANCE} == kinds
    assert {} == additions(shelf.journal[WALLET][rows:], [shelf.full_wallet(WALLET)], lambda _: {})


# --- payments ---


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["spend", "hold", "settle", "freeze", "won", "lost", "refund", "again", "grant"]),
        st.integers(1, 2),
        st.integers(1, 80),
    ),
    max_size=25,
)
GRANTED = {1: 100, 2: 60}


class Payments:
    """Two payments, each of a lot, and what whoever looks after them has noted of each."""

    def __init__(self) -> None:
        self.shelf = shelf_with(*GRANTED.values())
        self.taken_back = dict.fromkeys(GRANTED, 0)
        self.frozen = dict.fromkeys(GRANTED, 0)

    def command(self, number: int, step: str, lot: int, amount: int) -> Any:
        """What is asked for, if that can be: nobody takes back more than was paid for."""
        left, frozen, key = GRANTED[lot] - self.taken_back[lot], self.frozen[lot], f"{number}"
        match step:
            case "spend":
                return Debit(**asked(key), amount=amount, overage=Overage.ALLOW)
            case "hold":
                return Hold(**asked(f"hold {number}"), amount=amount, ttl=DAY)
            case "settle":
                return Settle(**asked(key), hold_id=digest((f"hold {number - 1}",)), amount=amount)
            case "grant":
                return Grant(**asked(key), amount=amount)
            case "freeze":
                return of_lot(Freeze, key, amount, lot=lot)
            case "won" if frozen:
                return of_lot(Unfreeze, key, min(amount, frozen), lot=lot)
            case "lost" if frozen:
                return of_lot(Reverse, key, left, lot=lot, frozen=frozen)
            case "refund" if left > frozen:
                return of_lot(Reverse, key, min(amount, left - frozen), lot=lot)
        return None

    def note(self, command: Any, outcome: Any) -> None:
        """Note what became of a lot, once."""
        if isinstance(outcome, Refused) or outcome.replayed:
            return
        match command:
            case Freeze():
                self.frozen[command.lot] += outcome.transfer.amount
            case Unfreeze():
                self.frozen[command.lot] -= command.amount
            case Reverse():
                self.frozen[command.lot] -= command.frozen
                self.taken_back[command.lot] += command.amount
            case _:
                pass

    def check(self) -> None:
        """What was granted and not taken back is there or was spent; nobody owes who has something."""
        available, held, frozen, spent, owed = figures(self.shelf)
        granted = sum(row.amount for row in self.shelf.journal[WALLET] if row.kind is Kind.GRANT)
        assert granted - sum(self.taken_back.values()) + owed == available + held + frozen + spent
        assert self.frozen == {number: self.shelf.lots[WALLET][number].frozen for number in GRANTED}
        assert all(0 <= self.taken_back[lot] <= GRANTED[lot] for lot in GRANTED)
        assert not (owed and available)


@settings(deadline=None)
@given(STEPS)
def test_whatever_becomes_of_two_payments_nothing_is_lost(steps: list[tuple[str, int, int]]) -> None:
    """Spent, disputed, won, lost, refunded in parts and asked for again: it adds up for each payment and in all."""
    payments = Payments()
    last: Any = None
    for number, step in enumerate(steps):
        last = last if step[0] == "again" else payments.command(number, *step) or last
        if last:
            payments.note(last, do(payments.shelf, last))
            payments.check()
    check(payments.shelf)
