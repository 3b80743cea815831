"""
Any life of payments, heard of in any order: a state machine over what customers, banks and workers do.

It goes by the operations, on a ledger in memory, with a model of Stripe beside it. What holds at any moment is held
after every step; what holds of what was looked at last, after every look.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.stripe.bank import Charge

from ptmeter import Hold, Policy
from ptmeter.domain.ledger import Overage
from ptmeter.domain.money import Side, balances
from ptmeter.domain.payments import DisputeStage, RefundStage
from ptmeter.operations import holding, metering, paying, verifying
from ptmeter.operations.posting import alone
from ptmeter.storage.memory import MemoryStore
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ptmeter.domain.payments import Payment, PaymentRecord

UNITS = ("advanced", "core")
AMOUNTS = st.integers(1, 300)
DAY = timedelta(days=1)
WHICH = st.integers(0, 99)


class Lives(RuleBasedStateMachine):
    """Up to three payments of one account, and what becomes of them."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.store = MemoryStore(Policy(), self.clock)
        self.charges: list[Charge] = []
        self.told: list[Payment] = []
        self.holds: list[Hold] = []
        self.records: dict[str, PaymentRecord] = {}
        self.number = 0

    def teardown(self) -> None:
        self.store.close()

    # --- what customers do ---

    @initialize(amount=AMOUNTS, tax=st.integers(0, 30), core=AMOUNTS, advanced=st.integers(0, 50))
    def begin(self, amount: int, tax: int, core: int, advanced: int) -> None:
        self.buy(amount, tax, core, advanced)

    @precondition(lambda self: len(self.charges) < 3)
    @rule(amount=AMOUNTS, tax=st.integers(0, 30), core=AMOUNTS, advanced=st.integers(0, 50))
    def buy(self, amount: int, tax: int, core: int, advanced: int) -> None:
        offer = {"core": core} | ({"advanced": advanced} if advanced else {})
        name = str(len(self.charges) + 1)
        self.charges.append(Charge(name, "acme", offer, amount, min(tax, amount), self.clock()))
        self.look(-1)

    @rule(unit=st.sampled_from(UNITS), micro=AMOUNTS, lend=st.booleans())
    def spend(self, unit: str, micro: int, lend: bool) -> None:
        overage = Overage.ALLOW if lend else Overage.REJECT
        amounts = {unit: micro}
        self._post(metering.debit, amounts=amounts, key=self._key(), overage=overage)

    @rule(unit=st.sampled_from(UNITS), micro=AMOUNTS)
    def hold(self, unit: str, micro: int) -> None:
        placed = self._post(holding.hold, amounts={unit: micro}, key=self._key(), ttl=DAY)
        if isinstance(placed, Hold):
            self.holds.append(placed)

    @precondition(lambda self: self.holds)
    @rule(micro=st.integers(0, 400))
    def let_go(self, micro: int) -> None:
        held = self.holds.pop()
        if micro:
            amounts = dict.fromkeys(held.amounts, micro)
            work = partial(
                metering.settle, held=held, amounts=amounts, key=self._key(), overage=Overage.ALLOW
            )
        else:
            work = partial(metering.void, held=held, key=self._key())
        self.store.post("acme", work)

    # --- what is given back, and what banks do ---

    @rule(which=WHICH, cents=AMOUNTS, asks=st.booleans())
    def refund(self, which: int, cents: int, asks: bool) -> None:
        charge = self._one(which)
        if most := charge.refundable:
            charge.refund(min(cents, most), asks=asks)

    @rule(which=WHICH, cents=AMOUNTS, inquiry=st.booleans())
    def dispute(self, which: int, cents: int, inquiry: bool) -> None:
        charge = self._one(which)
        if len(charge.disputes) < 2:
            charge.dispute(min(cents, charge.amount), inquiry=inquiry)

    @precondition(lambda self: self.ahead())
    @rule(which=WHICH, then_look=st.booleans())
    def go_on(self, which: int, then_look: bool) -> None:
        if ahead := self.ahead():
            ahead[which % len(ahead)]()
        if then_look:
            self.look(which)

    @precondition(lambda self: len(self.ahead()) > 1)
    @rule(first=WHICH, second=WHICH)
    def go_on_twice(self, first: int, second: int) -> None:
        for which in (first, second):
            self.go_on(which, True)

    def ahead(self) -> list[Callable[[], None]]:
        """What refunds and disputes may come to next."""
        found: list[Callable[[], None]] = []
        for charge in self.charges:
            for name, refund in charge.refunds.items():
                if refund.stage is RefundStage.ASKED:
                    found.append(partial(charge.make, name))
                if refund.stage is not RefundStage.FAILED:
                    found.append(partial(charge.fail, name))
            for name, dispute in charge.disputes.items():
                match dispute.stage:
                    case DisputeStage.INQUIRY:
                        found.append(partial(charge.escalate, name))
                    case DisputeStage.OPEN:
                        found += [
                            partial(charge.lose, name),
                            partial(charge.win, name),
                            partial(charge.lose, name),
                        ]
                    case DisputeStage.LOST if dispute.amount > 1:
                        found += [
                            partial(charge.win, name),
                            partial(charge.reinstate, name, dispute.amount // 2),
                        ]
                    case _:
                        pass
        return found

    # --- what workers do ---

    @rule(which=WHICH)
    def look(self, which: int) -> None:
        """An event, whichever, had a payment looked up, and the books are brought in line with it."""
        charge = self._one(which)
        seen = charge.seen()
        self.told.append(seen)
        record = self._bring(seen)
        for unit, granted in record.granted.items():
            taken = sum(claim.taken.get(unit, 0) for claim in record.claims.values())
            assert taken == granted * charge.gone // charge.amount, (unit, record)
        assert record == self._bring(seen)  # once more changes nothing

    @rule(which=WHICH)
    def look_too_late(self, which: int) -> None:
        """Who looked long ago writes now; whatever that does is put right by the next look."""
        self._bring(self.told[which % len(self.told)])

    # --- what always holds ---

    @invariant()
    def no_more_is_taken_than_was_there(self) -> None:
        for record in self.records.values():
            for unit, granted in record.granted.items():
                taken = sum(claim.taken.get(unit, 0) for claim in record.claims.values())
                frozen = sum(claim.frozen.get(unit, 0) for claim in record.claims.values())
                assert 0 <= taken <= granted
                assert 0 <= frozen <= granted

    @invariant()
    def nothing_is_owed_while_something_is_there(self) -> None:
        for wallet in self.store.read(lambda books: books.ledger.wallets("acme")):
            assert not (wallet.owed and wallet.available)
            assert min(wallet.owed, wallet.available, wallet.held) >= 0

    @invariant()
    def the_ledger_verifies(self) -> None:
        report = self.store.survey(verifying.verify)
        assert report.clean, report

    @invariant()
    def the_money_is_what_was_heard_of(self) -> None:
        heard = {each.id: each for payment in self.told for each in payment.movements}
        sides = balances(self.store.read(lambda books: books.payments.entries()))
        clearing = sides.get(("usd", Side.CLEARING))
        assert (clearing.net if clearing else 0) == sum(each.amount - each.fee for each in heard.values())
        assert 0 == sum(each.net for each in sides.values())

    # --- how ---

    def _one(self, which: int) -> Charge:
        return self.charges[which % len(self.charges)]

    def _bring(self, seen: Payment) -> PaymentRecord:
        record = self.store.run(partial(alone, work=partial(paying.settle, payment=seen, paid={})))
        self.records[record.id] = record
        return record

    def _post(self, verb: Any, **asked: Any) -> Any:
        return self.store.post("acme", partial(verb, account="acme", **asked))

    def _key(self) -> str:
        self.number += 1
        return f"k{self.number}"


Lives.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestLives = Lives.TestCase


# --- lives that went wrong once -------------------------------------------------------------------


@pytest.fixture
def life() -> Iterator[Lives]:
    """A payment of 100 cents for 1,000 micro-PT, which was looked at."""
    lives = Lives()
    lives.buy(100, 0, 1_000, 0)
    yield lives
    lives.teardown()


def end(life: Lives) -> tuple[dict[str, int], int]:
    """What each claim has taken in the end, and what is held for disputes; all holds that always does."""
    life.look(0)
    for check in (
        life.no_more_is_taken_than_was_there,
        life.nothing_is_owed_while_something_is_there,
        life.the_ledger_verifies,
        life.the_money_is_what_was_heard_of,
    ):
        check()
    sides = balances(life.store.read(lambda books: books.payments.entries()))
    held = sides.get(("usd", Side.DISPUTE_HOLD))
    (record,) = life.records.values()
    return {
        name: claim.taken.get("core", 0) for name, claim in record.claims.items()
    }, held.net if held else 0


def test_a_refund_takes_what_a_dispute_that_is_won_after_all_leaves(life: Lives) -> None:
    """The dispute had taken all before the refund was made, so there was nothing for it; now there is."""
    (charge,) = life.charges
    charge.refund(40, asks=True)
    charge.dispute(100)
    charge.lose("dp_1_1")
    life.look(0)
    charge.make("re_1_1")
    life.look(0)
    assert ({"re_1_1": 0, "dp_1_1": 1_000}, 0) == end(life)

    charge.win("dp_1_1")

    assert ({"re_1_1": 400, "dp_1_1": 0}, 0) == end(life)


def test_a_look_before_money_came_back_does_not_book_it_as_gone(life: Lives) -> None:
    """Two look a dispute up at once; who saw it before the bank gave a part back writes last."""
    (charge,) = life.charges
    charge.dispute(100)
    charge.lose("dp_1_1")
    early = charge.seen()
    charge.reinstate("dp_1_1", 60)
    life.look(0)

    life._bring(early)

    (record,) = life.records.values()
    assert ({"core": 400}, 40) == (record.claims["dp_1_1"].taken, record.claims["dp_1_1"].closed)
    assert ({"dp_1_1": 400}, 0) == end(life)


def test_a_look_before_it_was_contested_does_not_undo_that_it_is_lost(life: Lives) -> None:
    """Who saw an inquiry writes after who saw it lost: what the bank keeps is not booked back."""
    (charge,) = life.charges
    charge.dispute(100, inquiry=True)
    early = charge.seen()
    charge.escalate("dp_1_1")
    charge.lose("dp_1_1")
    life.look(0)

    life._bring(early)

    (record,) = life.records.values()
    assert 100 == record.claims["dp_1_1"].closed
    life.the_ledger_verifies()


def test_refunds_too_small_for_a_micro_pt_take_one_together() -> None:
    """Each of them rounds to nothing, and all of them are all of the money."""
    life = Lives()
    life.buy(100, 0, 10, 0)
    (charge,) = life.charges
    for _ in range(20):
        charge.refund(5)
        life.look(0)

    assert 10 == sum(end(life)[0].values())
    life.teardown()


def test_what_is_lost_twice_is_booked_by_what_was_there_each_time(life: Lives) -> None:
    """A dispute is lost when all is there, won after all, and what it is given back is used."""
    (charge,) = life.charges
    charge.dispute(100)
    charge.lose("dp_1_1")
    life.look(0)
    charge.win("dp_1_1")
    life.look(0)
    life.spend("core", 1_000, False)

    assert ({"dp_1_1": 0}, 0) == end(life)
    sides = balances(life.store.read(lambda books: books.payments.entries()))
    assert -100 == sides["usd", Side.CREDITS].net


def test_two_disputes_that_give_back_at_once_share_what_is_left() -> None:
    """Each had taken its part of a single micro-PT, and keeps none of it once both keep less than half."""
    life = Lives()
    life.buy(3, 0, 1, 0)
    (charge,) = life.charges
    for cents in (3, 2):
        charge.dispute(cents)
    for name, cents in (("dp_1_1", 2), ("dp_1_2", 1)):
        charge.lose(name)
        life.look(0)
        charge.reinstate(name, cents)

    assert ({"dp_1_1": 0, "dp_1_2": 0}, 0) == end(life)
    life.teardown()


def test_a_dispute_freezes_what_one_that_is_lost_leaves_to_it(life: Lives) -> None:
    """Both are seen at once: what is gone is taken first, and only the other half is set aside."""
    (charge,) = life.charges
    for _ in range(2):
        charge.dispute(50)
    charge.lose("dp_1_1")

    assert ({"dp_1_1": 500, "dp_1_2": 0}, 50) == end(life)
    assert {"core": 500} == life.records["pi_1"].claims["dp_1_2"].frozen


@pytest.mark.parametrize("seen", [True, False], ids=["seen in between", "seen at the end"])
def test_what_a_bank_keeps_is_booked_alike_whatever_was_seen_in_between(life: Lives, seen: bool) -> None:
    """Of used PT it is lost first, of what was there it is no longer owed: 60 of 100 cents, and 20 PT were there."""
    (charge,) = life.charges
    life.spend("core", 800, False)
    charge.dispute(100)
    charge.lose("dp_1_1")
    if seen:
        life.look(0)
    charge.reinstate("dp_1_1", 40)

    assert ({"dp_1_1": 600}, 0) == end(life)
    sides = balances(life.store.read(lambda books: books.payments.entries()))
    assert (-80, 40) == (sides["usd", Side.CREDITS].net, sides["usd", Side.DISPUTE_LOSS].net)


def test_each_of_several_claims_takes_its_own_share(life: Lives) -> None:
    """Seen at once or one by one, a refund takes what its own money stands for, and no other's."""
    (charge,) = life.charges
    for cents in (40, 20, 15):
        charge.refund(cents)

    assert ({"re_1_1": 400, "re_1_2": 200, "re_1_3": 150}, 0) == end(life)
