"""
The planner against a naive ledger that somebody else wrote, and against the laws of bookkeeping.

`PTMETER_SEQUENCES` sets how many scripts are played, 2,000 unless said otherwise. In CI they are the same
ones every time. The planner is then broken in one place after the other, and found out each time.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from tests.naive import COMES_IN, ENDS_A_HOLD, NO_ID, NOBODY, SETS_ASIDE, Pile, Terms, first
from tests.unit.domain import shelf as shelves
from tests.unit.domain.features import FEATURES, features
from tests.unit.domain.shelf import CHAIN_KEY, Shelf
from tests.unit.domain.strategies import GHOST, START, WALLETS, Director, scripts

from ptmeter.domain.audit import WalletAudit
from ptmeter.domain.commands import Adjust, Debit, Expire, Grant, Hold, Lapse, Settle, Void
from ptmeter.domain.keys import digest
from ptmeter.domain.ledger import Kind, Overage, Posted, Refusal, Refused, UsageEvent, WalletState
from ptmeter.domain.moves import expiry
from ptmeter.domain.planner import plan
from ptmeter.domain.prices import Price
from ptmeter.domain.pt import LARGEST, Money
from ptmeter.domain.usage import Usage
from ptmeter.errors import InvalidArgumentError, InvariantError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.unit.domain.strategies import Script, Step

    from ptmeter.domain.commands import Command, Linked
    from ptmeter.domain.ledger import Outcome, Transfer, WalletId

SEQUENCES = int(os.environ.get("PTMETER_SEQUENCES", "2000"))
MINUTE = timedelta(minutes=1)
ENOUGH = 1_000
"""So many scripts come across everything."""


# --- one script, played to three ledgers --------------------------------------------------------


@dataclass
class Play:
    """A script on the naive ledger, on the planner in batches, and on the planner group by group."""

    compared: bool = True
    """Whether the naive ledger has a say, or only the laws and the audit."""
    seen: Counter[str] = field(default_factory=Counter[str])
    director: Director = field(default_factory=Director)
    batched: Shelf = field(default_factory=Shelf)
    single: Shelf = field(default_factory=Shelf)
    audits: dict[WalletId, WalletAudit] = field(default_factory=dict["WalletId", WalletAudit])

    def run(self, script: Script) -> None:
        for step in script:
            self._step(step)
        assert self.single.facts() == self.batched.facts()
        for wallet, rows in self.single.journal.items():
            check_journal(rows)
            assert None is WalletAudit(wallet, CHAIN_KEY).read(rows)
            if self.compared:
                assert [*map(stripped, self.director.ledger.of(wallet))] == [*map(stripped, rows)]

    def _step(self, step: Step) -> None:
        director, naive = self.director, self.director.ledger
        director.begin(step.moment, step.groups)
        for shelf in (self.batched, self.single):
            for name, terms in naive.terms.items():
                shelf.open(name, director.at)
                shelf.set_terms(name, terms)

        groups: list[Linked] = []
        expected: list[tuple[Outcome, ...]] = []
        for drafted in step.groups:
            group, outcomes = director.post(drafted)
            groups.append(group)
            expected.append(outcomes)
            self._post(group, outcomes)
        batched = self._post_in_batches(groups, step.moment.cuts)
        assert self.single.facts()[:3] == self.batched.facts()[:3]
        assert self.single.rejections == self.batched.rejections
        if self.compared:
            assert [*map(plainly, expected)] == [*map(plainly, batched)]

    def _post(self, group: Linked, expected: tuple[Outcome, ...]) -> None:
        length = {wallet: len(rows) for wallet, rows in self.single.journal.items()}
        before, refusals = self.single.facts(), dict(self.single.rejections)

        [actual] = self.single.post([group], self.director.at)

        new = {wallet: rows[length[wallet] :] for wallet, rows in self.single.journal.items()}
        if self.compared:
            assert plainly(expected) == plainly(actual), group
            for wallet, rows in new.items():
                told = self.director.ledger.of(wallet)[length[wallet] :]
                assert [*map(stripped, told)] == [*map(stripped, rows)]
        if all(isinstance(outcome, Refused) or outcome.replayed for outcome in actual):
            assert before == self.single.facts()
        for wallet, rows in new.items():
            audit = self.audits.setdefault(wallet, WalletAudit(wallet, CHAIN_KEY))
            assert None is audit.read(rows)
            if rows:
                check_balance(self.single, wallet, audit)
        if self.compared:
            rows = [row for rows in new.values() for row in rows]
            self.seen.update(features(self.director, group, actual, rows, refusals))

    def _post_in_batches(self, groups: Sequence[Linked], cuts: int) -> list[tuple[Outcome, ...]]:
        outcomes: list[tuple[Outcome, ...]] = []
        batch: list[Linked] = []
        for number, group in enumerate(groups):
            batch.append(group)
            if cuts >> number & 1 or number == len(groups) - 1:
                outcomes += self.batched.post(batch, self.director.at)
                batch = []
        return outcomes


def plainly(outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    return tuple(
        replace(outcome, transfer=stripped(outcome.transfer)) if isinstance(outcome, Posted) else outcome
        for outcome in outcomes
    )


def stripped(row: Transfer) -> Transfer:
    """The row without its link, and without the id of one that nobody asked for."""
    known = row.fingerprint != NOBODY or row.kind is Kind.EXPIRE
    return replace(row, link=b"", id=row.id if known else NO_ID)


# --- the laws -----------------------------------------------------------------------------------


def check_balance(shelf: Shelf, name: WalletId, audit: WalletAudit) -> None:
    """What holds for a wallet after every group."""
    wallet, holds = shelf.full_wallet(name), shelf.open_holds(name)
    totals: Counter[Kind] = Counter()
    for row in shelf.journal[name]:
        totals[row.kind] += row.amount
    gone = totals[Kind.LAPSE] + totals[Kind.ADJUST_DOWN] + totals[Kind.REPAY] + totals[Kind.REVERSE]
    left = wallet.available + wallet.held + wallet.frozen

    assert sum(totals[kind] for kind in COMES_IN) == left + wallet.spent + gone
    assert totals[Kind.FREEZE] - totals[Kind.UNFREEZE] == wallet.frozen
    assert totals[Kind.ADVANCE] - totals[Kind.REPAY] == wallet.owed
    assert totals[Kind.SETTLE] + totals[Kind.DEBIT] == wallet.spent
    assert min(wallet.available, wallet.held, wallet.spent, wallet.owed) >= 0
    assert not (wallet.owed and wallet.available)
    assert sum(lot.remaining for lot in wallet.lots) == wallet.available
    assert sum(lot.held for lot in wallet.lots) == wallet.held == sum(hold.amount for hold in holds)
    assert [] == audit.compare(wallet, holds)


def check_journal(rows: Sequence[Transfer]) -> None:
    """What holds for every row of a wallet's journal, given those before it."""
    assert [*range(1, len(rows) + 1)] == [row.seq for row in rows]
    assert all(earlier.booked_at < later.booked_at for earlier, later in pairwise(rows))
    assert not Counter(row.completes for row in rows if row.completes) - Counter(row.seq for row in rows)
    lots: dict[int, Pile] = {}
    advance = 0
    for row in rows:
        if row.kind in COMES_IN:
            assert () == row.allocations
            lots[row.seq] = Pile(row.seq, row.priority or 0, row.expires_at, row.amount)
            advance = row.seq if row.kind is Kind.ADVANCE else 0
            continue
        drawn = row.allocations
        assert row.amount == sum(part for _, part in drawn)
        if row.kind in ENDS_A_HOLD:
            held = rows[(row.completes or 0) - 1]
            assert held.kind in SETS_ASIDE
            assert first(row.amount, held.allocations) == drawn
            for number, part in held.allocations:
                lots[number].free += part
        elif row.kind is Kind.LAPSE:
            [(number, part)] = drawn
            assert part == lots[number].free
            assert lots[number].is_over(row.booked_at)
        elif row.kind in OF_ONE_LOT:
            check_one_lot(row, lots, lent=advance == row.seq - 1)
        elif row.kind is Kind.ADJUST_DOWN and len(drawn) == 1:  # perhaps bound to a lot
            [(number, part)] = drawn
            assert part <= lots[number].free
        else:
            burning = sorted(lots.values(), key=Pile.place)
            assert first(row.amount, [(lot.number, lot.free) for lot in burning]) == drawn
        if row.kind not in {Kind.VOID, Kind.EXPIRE, Kind.UNFREEZE}:
            for number, part in drawn:
                lots[number].free -= part


OF_ONE_LOT = {Kind.FREEZE, Kind.UNFREEZE, Kind.REVERSE}


def check_one_lot(row: Transfer, lots: dict[int, Pile], *, lent: bool) -> None:
    """What is frozen was free, what is given back was frozen, and what is lent to be taken back was not there."""
    if row.kind is Kind.REVERSE:
        *own, last = row.allocations
        if not lent or last.lot != row.seq - 1:
            assert not own
            assert last.amount <= lots[last.lot].free
            return
        assert len(own) <= 1
        assert all(part == lots[number].free for number, part in row.allocations)
        return
    [(number, part)] = row.allocations
    thawed = part if row.kind is Kind.UNFREEZE else -part
    lots[number].frozen -= thawed
    lots[number].free += max(0, thawed)
    assert lots[number].frozen >= 0
    assert lots[number].free >= part


# --- the tests ----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_planner_decides_as_the_naive_ledger_does() -> None:
    """Outcome for outcome and row for row, in batches or one by one, and every law holds after each."""
    seen: Counter[str] = Counter()

    @settings(
        max_examples=SEQUENCES,
        deadline=None,
        derandomize="CI" in os.environ,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(scripts())
    def every_script(script: Script) -> None:
        play = Play(seen=seen)
        play.run(script)

    every_script()

    unreached = FEATURES - seen.keys()
    assert set() == unreached or SEQUENCES < ENOUGH


# --- cases of their own -------------------------------------------------------------------------

OURS, THEIRS = WALLETS[0], WALLETS[2]


def named(key: str) -> bytes:
    return digest((key,))


def asked(key: str, wallet: WalletId = OURS) -> dict[str, Any]:
    return {"wallet": wallet, "id": named(key), "fingerprint": named(f"{key}?")}


def shelf_with(*, holds: int = 0) -> Shelf:
    """A shelf with two accounts of 100 each; of theirs so much is held for a minute."""
    shelf = Shelf()
    for wallet in (OURS, THEIRS):
        shelf.open(wallet, START)
        shelf.post([(Grant(**asked(f"grant {wallet}", wallet), amount=100),)], START)
    if holds:
        shelf.post([(Hold(**asked("hold", THEIRS), amount=holds, ttl=MINUTE),)], START)
    return shelf


def test_a_group_whose_cause_is_looked_up_anew_is_so_too() -> None:
    """What is refused because its neighbour's hold is unknown is decided anew once the hold is there."""
    shelf = shelf_with()
    group = (
        Settle(**asked("settle"), hold_id=named("hold"), amount=5),
        Debit(**asked("debit"), amount=5),
    )
    refused = shelf.post([group], START)
    shelf.post([(Hold(**asked("hold"), amount=5, ttl=MINUTE),)], START)

    again = shelf.post([group], START)

    assert [(Refused(reason=Refusal.HOLD_NOT_FOUND), Refused(reason=Refusal.LINKED))] == refused
    assert [5, 5] == [outcome.charged for outcome in again[0] if isinstance(outcome, Posted)]


def test_a_group_with_an_unknown_wallet_is_refused_the_same_way_twice() -> None:
    """A group of which one command cannot be remembered is not taken for another one when it returns."""
    shelf = shelf_with()
    group = (
        Debit(**asked("debit"), amount=500),
        Debit(**asked("ghost", WALLETS[GHOST]), amount=5),
    )

    first_time, second_time = shelf.post([group], START), shelf.post([group], START)

    assert Refusal.INSUFFICIENT_FUNDS is reason_of(first_time[0][0])
    assert Refusal.INSUFFICIENT_FUNDS is reason_of(second_time[0][0])


@pytest.mark.parametrize("known_first", [False, True], ids=["new first", "known first"])
def test_a_group_of_which_a_part_is_known_is_another_request(known_first: bool) -> None:
    """A command that was carried out before is not replayed beside one that was not: nothing of it happens."""
    shelf = shelf_with()
    known, new = Debit(**asked("known"), amount=5), Debit(**asked("new"), amount=5)
    shelf.post([(known,)], START)
    before = shelf.facts()

    [outcomes] = shelf.post([(known, new) if known_first else (new, known)], START)

    assert (Refused(reason=Refusal.KEY_REUSED),) * 2 == outcomes
    assert before == shelf.facts()


@pytest.mark.parametrize("expired", [False, True], ids=["open", "expired"])
@pytest.mark.parametrize("verb", [Settle, Void, Expire], ids=lambda verb: verb.__name__.lower())
def test_a_hold_is_resolved_in_its_own_wallet(verb: Any, expired: bool) -> None:
    """A command on one wallet cannot resolve, or charge for, a hold in another."""
    shelf = shelf_with(holds=10)
    if expired:
        sweep = Expire(**asked("sweep", THEIRS), hold_id=named("hold"))
        shelf.post([(sweep,)], START + 2 * MINUTE)
    before = shelf.facts()
    more: dict[str, Any] = {"amount": 7} if verb is Settle else {}
    ours = verb(**asked("ours"), hold_id=named("hold"), **more)
    both_locked = Lapse(**asked("lapse", THEIRS))

    outcomes = shelf.post([(ours,), (both_locked,)], START + (2 if expired else 0) * MINUTE)

    assert Refusal.HOLD_NOT_FOUND is reason_of(outcomes[0][0])
    assert before == shelf.facts()


@pytest.mark.parametrize(
    ("verb", "facts"),
    [
        (Grant, {"amount": 0}),
        (Grant, {"amount": -5}),
        (Hold, {"amount": 0, "ttl": MINUTE}),
        (Hold, {"amount": -5, "ttl": MINUTE}),
        (Debit, {"amount": 0}),
        (Debit, {"amount": -5}),
        (Settle, {"amount": -5, "hold_id": named("hold")}),
        (Adjust, {"amount": 0, "note": "nothing"}),
    ],
)
def test_no_command_moves_nothing_or_less(verb: Any, facts: dict[str, Any]) -> None:
    """An amount that is not positive never reaches the journal: a negative charge would pay out."""
    shelf = shelf_with(holds=10)
    before = shelf.facts()

    with pytest.raises(InvalidArgumentError):
        shelf.post([(verb(**asked("odd", THEIRS), **facts),)], START)

    assert before == shelf.facts()


def test_an_id_names_one_transfer_even_within_a_group() -> None:
    """The same command twice in one linked group is refused or replayed, and never booked twice."""
    shelf = shelf_with()
    debit = Debit(**asked("debit"), amount=5)

    planned = plan(shelf.lock([(debit, debit)], START), [(debit, debit)], chain_key=CHAIN_KEY)

    assert len(planned.transfers) == len({row.id for row in planned.transfers})


def test_an_expiry_on_demand_is_found_done_by_the_sweep_beside_it() -> None:
    """A sweep is told of an expiry that a shortage of funds brought about, in the same batch or later."""
    batched, single = shelf_with(holds=100), shelf_with(holds=100)
    expired = Expire(
        wallet=THEIRS, id=expiry(batched.holds[named("hold")]).id, fingerprint=NOBODY, hold_id=named("hold")
    )
    batch: list[Linked] = [(Debit(**asked("debit", THEIRS), amount=5),), (expired,)]

    together = batched.post(batch, START + 2 * MINUTE)
    one_by_one = [single.post([group], START + 2 * MINUTE)[0] for group in batch]

    assert one_by_one == together
    assert isinstance(together[1][0], Posted)
    assert together[1][0].replayed


def test_what_nobody_asked_for_has_no_answer() -> None:
    """A batch ends with an answer for each command and each expiry, and none for a lapse, an advance or its like."""
    shelf = shelf_with(holds=100)
    shelf.post([(Grant(**asked("short", THEIRS), amount=1, expires_at=START + MINUTE),)], START)
    debit = Debit(**asked("debit", THEIRS), amount=150, overage=Overage.ALLOW)

    planned = plan(shelf.lock([(debit,)], START + 2 * MINUTE), [(debit,)], chain_key=CHAIN_KEY)

    expired = expiry(shelf.holds[named("hold")]).id
    assert {Kind.LAPSE, Kind.EXPIRE, Kind.ADVANCE, Kind.DEBIT} == {row.kind for row in planned.transfers}
    assert {debit.id, expired} == planned.decided.keys()


USAGE = UsageEvent(
    usage=Usage(output_text=7),
    price=Price(provider="p", model="m", source="s", rates={"output_text": 1}),
    card_version="0123456789abcdef",
    cost=Money(14),
)
EARLIER = START - timedelta(days=3)


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        (Grant, {"note": "gift", "priority": 7, "expires_at": START + MINUTE, "effective_at": EARLIER}),
        (Adjust, {"note": "mended", "priority": 7, "expires_at": START + MINUTE, "effective_at": EARLIER}),
        (Debit, {"note": "fee", "usage": USAGE, "effective_at": EARLIER}),
        (Settle, {"hold_id": named("hold"), "usage": USAGE, "effective_at": EARLIER}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_a_command_says_is_in_its_row(verb: Any, said: dict[str, Any]) -> None:
    """The note, the usage, the time it happened, and how its lot burns: all is kept as it was said."""
    shelf = shelf_with(holds=10)

    [[posted]] = shelf.post([(verb(**asked("said", THEIRS), amount=5, **said),)], START)

    assert isinstance(posted, Posted)
    kept = {name: getattr(posted.transfer, name) for name in said if name != "hold_id"}
    assert {name: value for name, value in said.items() if name != "hold_id"} == kept


def test_a_correction_downwards_keeps_its_reason() -> None:
    """Its note is why it was made, and its time is that of what it corrects."""
    shelf = shelf_with()
    mended = Adjust(**asked("mended"), amount=-5, note="mended", effective_at=EARLIER)

    [[posted]] = shelf.post([(mended,)], START)

    assert isinstance(posted, Posted)
    assert ("mended", EARLIER) == (posted.transfer.note, posted.transfer.effective_at)


def test_a_correction_may_be_bound_to_a_lot() -> None:
    """It takes what is free there up to its amount, out of turn, and is refused where nothing is, whatever else there is."""
    shelf = shelf_with()
    shelf.post([(Grant(**asked("later"), amount=10, priority=999),)], START)
    lots = {lot.priority: lot.number for lot in shelf.full_wallet(OURS).lots}

    def take(name: str, amount: int, lot: int) -> Any:
        mended = Adjust(**asked(name), amount=-amount, note="mended", lot=lot)
        [[outcome]] = shelf.post([(mended,)], START)
        return outcome

    some, rest, nothing, no_lot = (
        take("some", 4, lots[999]),
        take("rest", 100, lots[999]),
        take("nothing", 1, lots[999]),
        take("no lot", 1, 99),
    )

    assert [(4, ((lots[999], 4),)), (6, ((lots[999], 6),))] == [
        (each.transfer.amount, each.transfer.allocations) for each in (some, rest)
    ]
    assert [(Refusal.INSUFFICIENT_FUNDS, 0, 1)] * 2 == [
        (each.reason, each.available, each.required) for each in (nothing, no_lot)
    ]


def test_a_late_settle_says_what_was_used() -> None:
    """Charged after its hold expired, a call keeps its usage and its time as if it had come in time."""
    shelf = shelf_with(holds=10)
    later = START + 2 * MINUTE
    shelf.post([(Expire(**asked("sweep", THEIRS), hold_id=named("hold")),)], later)
    late = Settle(
        **asked("late", THEIRS), hold_id=named("hold"), amount=5, usage=USAGE, effective_at=EARLIER
    )

    [[posted]] = shelf.post([(late,)], later)

    assert isinstance(posted, Posted)
    assert (Kind.DEBIT, USAGE, EARLIER) == (
        posted.transfer.kind,
        posted.transfer.usage,
        posted.transfer.effective_at,
    )


def test_rows_that_follow_have_the_ids_they_always_had() -> None:
    """
    Two releases beside each other give a row that nobody asked for one id, so it cannot be written twice.

    If this fails, do not mend the test.
    """
    shelf = shelf_with(holds=100)
    shelf.post([(Grant(**asked("short", THEIRS), amount=1, expires_at=START + MINUTE),)], START)
    later = START + 2 * MINUTE
    shelf.post([(Debit(**asked("debit", THEIRS), amount=150, overage=Overage.ALLOW),)], later)
    shelf.post([(Grant(**asked("grant", THEIRS), amount=60),)], later)
    shelf.post([(Hold(**asked("another", THEIRS), amount=5, ttl=MINUTE),)], later)
    shelf.post([(Settle(**asked("settle", THEIRS), hold_id=named("another"), amount=7),)], later)

    unasked = [row for row in shelf.journal[THEIRS] if row.fingerprint == NOBODY]

    assert [
        (4, Kind.LAPSE, "011b1e88094183c2"),
        (5, Kind.EXPIRE, "995e2aa63e9b4e59"),
        (6, Kind.ADVANCE, "91ffd121efe4874b"),
        (9, Kind.REPAY, "0ad56298d48ba9fd"),
        (12, Kind.DEBIT, "233e88fa0db7e9ac"),
    ] == [(row.seq, row.kind, row.id.hex()) for row in unasked]


def test_a_sweep_is_never_answered_for_another() -> None:
    """The same sweep twice in a batch finds nothing left: unlike a request, it is asked anew each time."""
    shelf = shelf_with()
    shelf.post([(Grant(**asked("short"), amount=1, expires_at=START + MINUTE),)], START)
    sweep = Lapse(**asked("sweep"))

    first_time, second_time = shelf.post([(sweep,), (sweep,)], START + MINUTE)

    assert isinstance(first_time[0], Posted)
    assert (Refused(reason=Refusal.NOT_DUE),) == second_time


def test_only_what_changed_is_written() -> None:
    """A batch whose commands are refused, or come again, has nothing to write but the refusal."""
    shelf = shelf_with(holds=10)
    again = Hold(**asked("hold", THEIRS), amount=10, ttl=MINUTE)
    batch: list[Linked] = [(Debit(**asked("debit"), amount=500),), (again,)]

    planned = plan(shelf.lock(batch, START), batch, chain_key=CHAIN_KEY)

    assert ([], [], [], []) == (planned.wallets, planned.transfers, planned.opened, planned.closed)
    assert [named("debit")] == [rejection.id for rejection in planned.rejections]


def test_an_answer_is_the_same_when_the_batch_goes_on() -> None:
    """An expiry that repaid a debt is replayed with the balance it was answered with, however late it is asked for."""
    shelf = shelf_with(holds=100)
    owing = Debit(**asked("owing", THEIRS), amount=30, overage=Overage.ALLOW)
    shelf.post([(owing,)], START)
    sweep: Linked = (Expire(**asked("sweep", THEIRS), hold_id=named("hold")),)
    other: Linked = (Debit(**asked("other", THEIRS), amount=1),)

    [first_time], _, [again] = shelf.post([sweep, other, sweep], START + 2 * MINUTE)

    assert isinstance(first_time, Posted)
    assert 70 == first_time.available
    assert replace(first_time, replayed=True) == again


def test_a_hold_that_expires_is_charged_late_in_the_same_batch() -> None:
    """The sweep and the settle it has beaten may come together: the call is paid for all the same, once."""
    shelf = shelf_with(holds=10)
    sweep: Linked = (Expire(**asked("sweep", THEIRS), hold_id=named("hold")),)
    late, later = (
        (Settle(**asked(key, THEIRS), hold_id=named("hold"), amount=5),) for key in ("late", "later")
    )

    _, [charged], [refused] = shelf.post([sweep, late, later], START + 2 * MINUTE)

    assert isinstance(charged, Posted)
    assert 5 == charged.charged
    assert Refused(reason=Refusal.HOLD_NOT_PENDING) == refused


def test_a_shortage_releases_holds_of_its_own_wallet_only() -> None:
    """Somebody else's hold that is due beside it stays open: nobody asked for its PT."""
    shelf = shelf_with(holds=10)
    shelf.post([(Hold(**asked("mine"), amount=100, ttl=MINUTE),)], START)
    batch: list[Linked] = [(Debit(**asked("debit"), amount=5),), (Lapse(**asked("lapse", THEIRS)),)]

    shelf.post(batch, START + 2 * MINUTE)

    assert {named("hold")} == shelf.holds.keys()


def test_holds_expire_in_the_order_they_were_opened() -> None:
    """In whatever order a store reads them, so that every store writes the same journal."""
    shelf = shelf_with()
    for number in range(3):
        shelf.post([(Hold(**asked(f"hold {number}"), amount=10, ttl=MINUTE),)], START)
    batch: list[Linked] = [(Debit(**asked("debit"), amount=100),)]
    state = shelf.lock(batch, START + 2 * MINUTE)
    backwards = replace(state, holds=dict([*state.holds.items()][::-1]))

    planned = plan(backwards, batch, chain_key=CHAIN_KEY)

    assert [2, 3, 4] == [row.completes for row in planned.transfers if row.kind is Kind.EXPIRE]


def test_a_refusal_is_forgotten_when_a_day_has_passed() -> None:
    """Until then it is replayed; at that very moment the same request is decided anew, and may go through."""
    shelf = shelf_with()
    debit: Linked = (Debit(**asked("debit"), amount=150),)
    day, tick = timedelta(days=1), timedelta(microseconds=1)
    [[refused]] = shelf.post([debit], START)
    shelf.post([(Grant(**asked("more"), amount=100),)], START)

    [[replayed]] = shelf.post([debit], START + day - tick)
    [[posted]] = shelf.post([debit], START + day)

    assert Refused(reason=Refusal.INSUFFICIENT_FUNDS, available=100, required=150) == refused
    assert isinstance(refused, Refused)
    assert replace(refused, replayed=True) == replayed
    assert isinstance(posted, Posted)


def test_a_hold_expires_from_its_time_on() -> None:
    """Not a moment before, and at that very moment."""
    shelf = shelf_with(holds=10)
    due = shelf.holds[named("hold")].expires_at

    [[early]] = shelf.post(
        [(Expire(**asked("early", THEIRS), hold_id=named("hold")),)], due - timedelta(microseconds=1)
    )
    [[at_last]] = shelf.post([(Expire(**asked("due", THEIRS), hold_id=named("hold")),)], due)

    assert Refused(reason=Refusal.NOT_DUE) == early
    assert isinstance(at_last, Posted)


@pytest.mark.parametrize("verb", [Settle, Void], ids=lambda verb: verb.__name__.lower())
def test_what_expired_is_not_given_back_again(verb: Any) -> None:
    """A late settle of nothing, or a void, has nothing to do: the hold is not pending."""
    shelf = shelf_with(holds=10)
    later = START + 2 * MINUTE
    shelf.post([(Expire(**asked("sweep", THEIRS), hold_id=named("hold")),)], later)
    before = shelf.facts()
    more: dict[str, Any] = {"amount": 0} if verb is Settle else {}

    [[refused]] = shelf.post([(verb(**asked("late", THEIRS), hold_id=named("hold"), **more),)], later)

    assert Refused(reason=Refusal.HOLD_NOT_PENDING) == refused
    assert before == shelf.facts()


@pytest.mark.parametrize(("amount", "fits"), [(LARGEST - 101, True), (LARGEST - 100, False)])
@pytest.mark.parametrize("held", [0, 40])
@pytest.mark.parametrize("spent", [0, 30])
def test_a_wallet_counts_what_is_available_held_and_spent(
    amount: int, fits: bool, held: int, spent: int
) -> None:
    """Together they stay below the largest number; a grant that would reach it is refused."""
    shelf = shelf_with(holds=held)
    if spent:
        shelf.post([(Debit(**asked("debit", THEIRS), amount=spent),)], START)

    [[outcome]] = shelf.post([(Grant(**asked("most", THEIRS), amount=amount),)], START)

    assert (None if fits else Refusal.TOO_LARGE) is reason_of(outcome)


@pytest.mark.parametrize(("amount", "fits"), [(LARGEST - 1, True), (LARGEST, False)])
def test_what_is_lent_counts_too(amount: int, fits: bool) -> None:
    """Credit is PT like any other: a charge that would lend more than a wallet can count is refused."""
    shelf = shelf_with()
    half = LARGEST // 2
    first_half = Debit(**asked("half"), amount=half, overage=Overage.ALLOW)
    shelf.post([(first_half,)], START)
    rest = Debit(**asked("rest"), amount=amount - half, overage=Overage.ALLOW)

    [[outcome]] = shelf.post([(rest,)], START)

    assert (None if fits else Refusal.TOO_LARGE) is reason_of(outcome)


def test_a_wallet_that_is_not_there_cannot_be_charged() -> None:
    """Only giving opens a wallet, and the store does that before."""
    [[outcome]] = shelf_with().post([(Debit(**asked("debit", WALLETS[GHOST]), amount=5),)], START)

    assert Refused(reason=Refusal.NO_WALLET) == outcome


@pytest.mark.parametrize(
    ("state", "taken"),
    [
        (WalletState.OPEN, {"grant", "hold", "debit", "settle"}),
        (WalletState.FROZEN, {"grant", "settle"}),
        (WalletState.CLOSED, {"settle"}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_wallet_takes_what_its_state_allows(state: WalletState, taken: set[str]) -> None:
    """Frozen it spends nothing new, closed it is given nothing either; what is held can always be settled."""
    commands: dict[str, Command] = {
        "grant": Grant(**asked("grant", THEIRS), amount=5),
        "hold": Hold(**asked("another", THEIRS), amount=5, ttl=MINUTE),
        "debit": Debit(**asked("debit", THEIRS), amount=5),
        "settle": Settle(**asked("settle", THEIRS), hold_id=named("hold"), amount=5),
    }
    shelf = shelf_with(holds=10)
    shelf.set_terms(THEIRS, Terms(START, state=state))

    outcomes = {name: shelf.post([(command,)], START)[0][0] for name, command in commands.items()}

    refused = {name: reason_of(outcome) for name, outcome in outcomes.items() if name not in taken}
    assert taken == {name for name, outcome in outcomes.items() if isinstance(outcome, Posted)}
    assert dict.fromkeys(commands.keys() - taken, Refusal.NOT_OPEN) == refused


@pytest.mark.parametrize(("amount", "fits"), [(10, True), (11, False)])
def test_a_settle_that_rejects_overage_is_bound_to_its_hold(amount: int, fits: bool) -> None:
    """Up to what was held it is charged; beyond, it is told how much that was, and the hold stays open."""
    shelf = shelf_with(holds=10)
    settle = Settle(**asked("settle", THEIRS), hold_id=named("hold"), amount=amount, overage=Overage.REJECT)

    [[outcome]] = shelf.post([(settle,)], START)

    assert fits is isinstance(outcome, Posted)
    assert fits or Refused(reason=Refusal.OVER_HOLD, available=10, required=11) == outcome
    assert fits is (named("hold") not in shelf.holds)


def test_a_hold_that_was_voided_is_not_charged_late() -> None:
    """Only an expiry can have come too early: whoever voided said that there was no call."""
    shelf = shelf_with(holds=10)
    shelf.post([(Void(**asked("void", THEIRS), hold_id=named("hold")),)], START)

    [[outcome]] = shelf.post([(Settle(**asked("settle", THEIRS), hold_id=named("hold"), amount=5),)], START)

    assert Refused(reason=Refusal.HOLD_NOT_PENDING) == outcome


@pytest.mark.parametrize(("amount", "fits"), [(120, True), (121, False)])
@pytest.mark.parametrize("owed", [0, 15])
def test_credit_ends_at_its_limit(amount: int, fits: bool, owed: int) -> None:
    """What is owed counts against it; to the last micro-PT it is lent, and then told how much there was."""
    shelf = shelf_with()
    shelf.set_terms(OURS, Terms(START, credit_limit=20))
    if owed:
        shelf.post([(Debit(**asked("owing"), amount=100 + owed),)], START)
    left = 100 + owed if owed else 0

    [[outcome]] = shelf.post([(Debit(**asked("debit"), amount=amount - left),)], START)

    assert fits is isinstance(outcome, Posted)
    short = Refused(reason=Refusal.INSUFFICIENT_FUNDS, available=120 - left, required=121 - left)
    assert fits or short == outcome


def test_what_64_bits_cannot_hold_is_refused_alone() -> None:
    """A wallet that would outgrow the ledger is refused, and nobody else in the batch is kept waiting."""
    shelf = shelf_with()
    most = LARGEST - 1
    batch = [(Grant(**asked(f"grant {n}"), amount=most),) for n in range(3)]
    theirs = (Debit(**asked("debit", THEIRS), amount=5),)

    *_, too_much, other = shelf.post([*batch, theirs], START)

    assert isinstance(too_much[0], Refused)
    assert isinstance(other[0], Posted)


def reason_of(outcome: Outcome) -> Refusal | None:
    return outcome.reason if isinstance(outcome, Refused) else None


# --- the property finds what it looks for -------------------------------------------------------


class Fault(NamedTuple):
    """A line of the ledger, and what it is replaced with where it first occurs."""

    what: str
    module: str
    line: str
    broken: str
    unlawful: bool = True
    """Whether a law is broken, so that the laws and the audit find it without the naive ledger."""


FAULTS = (
    Fault("lots burn by priority backwards", "lots", "return lot.priority,", "return -lot.priority,"),
    Fault("lots burn youngest first", "lots", "NEVER, lot.number", "NEVER, -lot.number"),
    Fault("lots burn regardless of expiry", "lots", "lot.expires_at or NEVER,", "NEVER,"),
    Fault("lots that never expire burn first", "lots", "lot.expires_at or NEVER", "lot.expires_at or NEVER.replace(year=1)"),
    Fault("a lot lapses a moment late", "lots", "expires_at <= at", "expires_at < at", unlawful=False),
    Fault("a lot lapses a moment early", "lots", "expires_at <= at", "expires_at <= at + (NEVER - NEVER.replace(microsecond=999_998))"),
    Fault("a settle uses the last lots of its hold", "lots", "part in allocations:", "part in allocations[::-1]:"),
    Fault("nothing is undone", "moves", "in reversed(self._undo):", "in ():"),
    Fault("rows of a refused group stay", "moves", "del self.transfers[self._committed :]", "pass"),
    Fault("undone in the order it was done", "moves", "in reversed(self._undo):", "in self._undo:"),
    Fault("a refusal undoes the group before", "moves", "self._undo.clear()", "self._committed"),
    Fault("a hold's time runs by the clock", "moves", "self._booking_time(wallet, member) + ttl", "self.at + ttl", unlawful=False),
    Fault("the rest of a hold goes to the youngest lot", "moves", "shift(shift(wallet.lots, used, held=-1), rest, remaining=1, held=-1)",
          "shift(shift(shift(wallet.lots, used, held=-1), rest, held=-1), ((wallet.lots[-1].number, hold.amount - spent),), remaining=1)"),
    Fault("nothing lapses when it is released", "moves", "self.lapse_due(hold.wallet)", "pass", unlawful=False),
    Fault("nothing is repaid when it is released", "moves", "self.repay(hold.wallet)", "pass"),
    Fault("what is over repays before it lapses", "moves", "self.lapse_due(hold.wallet)\n        self.repay(hold.wallet)", "self.repay(hold.wallet)\n        self.lapse_due(hold.wallet)", unlawful=False),
    Fault("a late settle leaves no note", "moves", "completed=True", "completed=False"),
    Fault("holds expire on demand a moment late", "moves", "h.expires_at <= self.at", "h.expires_at < self.at", unlawful=False),
    Fault("holds expire on demand early", "moves", "and h.expires_at <= self.at", "", unlawful=True),
    Fault("another wallet's holds expire on demand", "moves", "h.wallet == name and ", ""),
    Fault("one hold at most expires on demand", "moves", "key=lambda hold: hold.number):", "key=lambda hold: hold.number)[:1]:", unlawful=False),
    Fault("what is lent is not owed", "moves", "owed=wallet.owed + amount", "owed=wallet.owed"),
    Fault("credit burns first", "moves", "= 1_000", "= 0", unlawful=False),
    Fault("repaying pays nothing off", "moves", "owed=wallet.owed - amount", "owed=wallet.owed"),
    Fault("a lapse takes from other lots", "moves", ", lots=(lot,))", ")"),
    Fault("nothing lapses", "moves", "has_lapsed(lot, self.at)", "False", unlawful=False),
    Fault("the booking time follows the clock", "moves", "max(self.at, wallet.booked_at + _TICK)", "self.at"),
    Fault("the booking time stands still", "moves", "wallet.booked_at + _TICK", "wallet.booked_at"),
    Fault("rows do not follow the row before", "moves", "Transfer(**row), wallet.head,", 'Transfer(**row), b"",'),
    Fault("the chain's head stays behind", "moves", "booked_at=booked_at, head=head)", "booked_at=booked_at, head=wallet.head)"),
    Fault("a debit is not counted as spent", "moves", "amount if kind is Kind.DEBIT else 0", "0"),
    Fault("a settle is not counted as spent", "moves", "spent=wallet.spent + spent", "spent=wallet.spent"),
    Fault("a hold stays open", "moves", "self._put(self.holds, hold.id, None)", "pass"),
    Fault("nobody knows how a hold ended", "moves", "self._put(self.resolved, hold.id,", "self._put({}, hold.id,", unlawful=False),
    Fault("the time it happened is lost", "moves", 'details.get("effective_at") or', "", unlawful=False),
    Fault("no funds are asked for", "execution", "if limit is not None and wallet", "if limit == -1 and wallet", unlawful=False),
    Fault("credit is lent one too far", "execution", "+ short > limit", "+ short > limit + 1", unlawful=False),
    Fault("credit stops one short", "execution", "+ short > limit", "+ short >= limit", unlawful=False),
    Fault("debts do not count against the limit", "execution", "wallet.owed + short > limit", "short > limit", unlawful=False),
    Fault("holds do not expire on demand", "execution", "self._moves.expire_due(name)", "pass", unlawful=False),
    Fault("fingerprints are ignored", "planner", "is None or earlier.fingerprint != command.fingerprint", "is None", unlawful=False),
    Fault("nothing is remembered", "planner", "if earlier := self._earlier(group)", "if earlier := None"),
    Fault("refusals are forgotten at once", "planner", "timedelta(days=1)", "timedelta(0)", unlawful=False),
    Fault("refusals are kept for good", "planner", "timedelta(days=1)", "timedelta(days=9_999)", unlawful=False),
    Fault("refusals are kept a moment too long", "planner", "self._moves.at < earlier.at", "self._moves.at <= earlier.at", unlawful=False),
    Fault("a hold expires before it is due", "execution", "self._moves.at < hold.expires_at", "False"),
    Fault("a hold expires a moment late", "execution", "self._moves.at < hold.expires_at", "self._moves.at <= hold.expires_at", unlawful=False),
    Fault("a hold is charged late twice", "execution", " or resolved.completed", ""),
    Fault("a hold is charged late though it was voided", "execution", "resolved.kind is not Kind.EXPIRE or ", ""),
    Fault("more than was held is charged against the policy", "execution", "if beyond and", "if not", unlawful=False),
    Fault("overage has no limit", "execution", "if command.overage is Overage.ALLOW:", "if True:", unlawful=False),
    Fault("overage is never lent without limit", "execution", "if command.overage is Overage.ALLOW:", "if False:", unlawful=False),
    Fault("a frozen wallet is charged", "execution", "is not WalletState.OPEN", "is WalletState.CLOSED", unlawful=False),
    Fault("a closed wallet is given to", "execution", "if wallet.state is WalletState.CLOSED", "if not wallet", unlawful=False),
    Fault("corrections are made on credit", "execution", "limit=0)", "limit=None)", unlawful=False),
    Fault("a grant repays nothing", "execution", "self._moves.repay(command.wallet)", "pass"),
    Fault("a grant that is over repays", "execution", "self._moves.lapse_due(command.wallet)\n        self._moves.repay", "self._moves.repay", unlawful=False),
    Fault("nothing lapses before a command", "execution", "lapsed = self._moves.lapse_due(command.wallet)", "lapsed = None", unlawful=False),
    Fault("an overage completes nothing", "execution", "completes=settle.seq", "completes=None", unlawful=False),
    Fault("a settle of nothing is a settle", "execution", "Kind.SETTLE if within else Kind.VOID", "Kind.SETTLE"),
    Fault("the overage is left out of the charge", "execution", "charged=command.amount", "charged=transfer.amount", unlawful=False),
    Fault("what is frozen is lost", "lots", "lot.frozen + frozen * amount", "lot.frozen"),
    Fault("what is frozen is free", "moves", "remaining=sign, frozen=-sign", "frozen=-sign"),
    Fault("a row does not say what is frozen", "moves", "sum([lot.frozen for lot in after", "0 and sum([lot.frozen for lot in after"),
    Fault("what is given back does not lapse", "execution", "_request(command))\n        self._moves.lapse_due(command.wallet)", "_request(command))", unlawful=False),
    Fault("what is given back repays nothing", "execution", "self._moves.repay(command.wallet)\n        return self._posted(given_back)", "return self._posted(given_back)"),
    Fault("what is taken back is not repaid", "execution", "self._moves.repay(command.wallet)\n        return self._posted(taken)", "return self._posted(taken)"),
    Fault("more is given back than is frozen", "execution", "if frozen < amount:", "if False:"),
    Fault("all that is frozen is not given back", "execution", "if frozen < amount:", "if frozen <= amount:", unlawful=False),
    Fault("a dispute that is lost lapses first", "execution", "command.frozen, follow)", "command.frozen, follow), self._moves.lapse_due(command.wallet)", unlawful=False),
    Fault("a dispute that is lost leaves what is frozen", "execution", "if command.frozen:", "if False:", unlawful=False),
    Fault("holds that are over keep what is taken back", "execution", "self._moves.free_lots(command.wallet, command.lot, command.amount - command.frozen)", "pass", unlawful=False),
    Fault("what is free of a lot is lent", "execution", "command.amount - lot.remaining", "command.amount"),
    Fault("lots that are not there are taken back", "execution", "raise Refusing(Refusal.LOT_NOT_FOUND)", "from .ledger import Lot; return Lot(command.lot, 0, 0)", unlawful=False),
    Fault("what is frozen is not counted", "execution", "+ wallet.frozen + wallet.spent", "+ wallet.spent", unlawful=False),
    Fault("refusals are not written down", "planner", "self.rejections.append", "bool", unlawful=False),
    Fault("closed holds are not written down", "planner", "closed=[hold for name, hold in state.holds.items() if", "closed=[hold for name, hold in () if"),
    Fault("opened holds are not written down", "planner", "if hold and name not in", "if not hold and name in"),
    Fault("what a refused group did stays", "planner", "self._moves.roll_back()", "pass"),
)  # fmt: skip


MODULES = ("lots", "moves", "execution", "planner")
CONTROLS = 4_000
"""So many scripts are tried for each fault; the rarest is found in one of three hundred."""

PASSING = 800
"""So many scripts find every fault."""


@cache
def some_scripts() -> tuple[Script, ...]:
    found: list[Script] = []

    @settings(
        max_examples=CONTROLS,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(scripts(longest=24))
    def collect(script: Script) -> None:
        found.append(script)

    collect()
    return tuple(found)


def break_ledger(monkeypatch: pytest.MonkeyPatch, fault: Fault | None) -> None:
    """Load the ledger's modules anew, one of them with a line replaced, and have the shelves use them."""
    loaded = ModuleType("none")
    for name in MODULES:
        spec = find_spec(f"ptmeter.domain.{name}")
        assert spec is not None
        assert spec.origin is not None
        source = Path(spec.origin).read_text(encoding="utf-8")
        if fault and fault.module == name:
            assert fault.line in source, "the ledger has changed: this fault needs another line"
            source = source.replace(fault.line, fault.broken, 1)
        loaded = ModuleType(spec.name)
        loaded.__package__ = spec.parent
        monkeypatch.setitem(sys.modules, spec.name, loaded)
        exec(compile(source, spec.origin, "exec"), loaded.__dict__)
    monkeypatch.setattr(shelves, "plan", loaded.__dict__["plan"])


def first_fault(*, compared: bool, among: int = CONTROLS) -> Exception | None:
    for script in some_scripts()[:among]:
        try:
            Play(compared=compared).run(script)
        except (AssertionError, InvariantError) as fault:
            return fault
    return None


@pytest.mark.slow
def test_an_unbroken_ledger_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loaded anew but unbroken, the ledger passes: what the controls find is what was broken."""
    break_ledger(monkeypatch, None)

    assert None is first_fault(compared=True, among=PASSING)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.what)
def test_a_broken_ledger_is_found_out(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Break any guard of the ledger, and the property fails; if a law is broken, so do the laws alone."""
    break_ledger(monkeypatch, fault)

    assert None is not first_fault(compared=True)
    if fault.unlawful:
        assert None is not first_fault(compared=False)
