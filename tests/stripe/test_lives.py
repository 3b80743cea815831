"""
Any life of payments, heard of in any order: a state machine over what customers, banks and workers do.

It goes by the operations, on a ledger in memory, with a model of Stripe beside it. What holds at any moment is held
after every step; what holds of what was looked at last, after every look.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.stripe.bank import Charge

from ptmeter import Hold, Policy
from ptmeter.domain.ledger import Overage
from ptmeter.domain.money import Side, balances
from ptmeter.domain.payments import DisputeStage, RefundStage
from ptmeter.operations import metering, paying, verifying
from ptmeter.operations.posting import alone
from ptmeter.storage.memory import MemoryStore
from ptmeter.testing import Clock

if TYPE_CHECKING:
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
        placed = self._post(metering.hold, amounts={unit: micro}, key=self._key(), ttl=DAY)
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

    @rule(which=WHICH, fails=st.booleans())
    def finish_refund(self, which: int, fails: bool) -> None:
        charge = self._one(which)
        for name, refund in charge.refunds.items():
            if refund.stage is RefundStage.ASKED and not fails:
                charge.make(name)
                return
            if refund.stage is not RefundStage.FAILED and fails:
                charge.fail(name)
                return

    @rule(which=WHICH, cents=AMOUNTS, inquiry=st.booleans())
    def dispute(self, which: int, cents: int, inquiry: bool) -> None:
        charge = self._one(which)
        if len(charge.disputes) < 2:
            charge.dispute(min(cents, charge.amount), inquiry=inquiry)

    @rule(which=WHICH, verb=st.sampled_from(["escalate", "win", "lose", "reinstate", "change its mind"]))
    def decide(self, which: int, verb: str) -> None:
        charge = self._one(which)
        for name, dispute in charge.disputes.items():
            match dispute.stage, verb:
                case DisputeStage.INQUIRY, "escalate":
                    return charge.escalate(name)
                case DisputeStage.OPEN, "win":
                    return charge.win(name)
                case DisputeStage.OPEN, "lose":
                    return charge.lose(name)
                case DisputeStage.LOST, "reinstate" if dispute.amount > 1:
                    return charge.reinstate(name, dispute.amount // 2)
                case DisputeStage.LOST, "change its mind":
                    return charge.win(name)
                case _:
                    continue
        return None

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


TestLives = Lives.TestCase
