"""
What every store must keep when accounting months are closed: subclass `PeriodContract` as you do `StoreContract`.

The clock stands at the first of January 2026 when a test begins.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from ..domain.commands import Debit, Freeze, Reverse
from ..domain.keys import digest, transfer_id
from ..domain.ledger import Posted, wallet_id
from ..domain.periods import PeriodReport, PeriodState
from ..domain.pt import MICRO, PT
from ..domain.receipts import Hold
from ..errors import (
    ApprovalMissingError,
    PeriodNotOverError,
    PeriodNotSealedError,
    PeriodOrderError,
    PtmeterError,
)
from ..operations import closing, funding, sweeping
from ..operations.posting import post
from .freeze_contract import moved
from .steps import assert_clean, give, held, hold, settle, statement

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..ports import Store
    from .clock import Clock

JANUARY, FEBRUARY, MARCH = "2026-01", "2026-02", "2026-03"
IN_FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def close(store: Store, name: str, *, page: int = 2) -> PeriodReport:
    """Close a month as `Meter.periods` does, a few wallets at a time."""
    standing = store.run(partial(closing.begin, name=name, by="ann"))
    while standing.state is not PeriodState.SEALED:
        while drafts := store.read(partial(closing.draft, standing=standing, limit=page)):
            store.run(partial(closing.record, standing=standing, drafts=drafts))
        measured = store.read(partial(closing.measure, standing=standing))
        standing = store.run(partial(closing.seal, standing=standing, measured=measured, by="ann"))
    return standing


def reports(store: Store, name: str) -> str:
    """The trial balance and the roll-forward of a month, to the letter; both add up."""
    balance = store.read(partial(closing.trial_balance, name=name))
    moves = store.read(partial(closing.roll_forward, name=name))
    assert balance.balanced, balance
    assert moves.ties, moves
    there = {(line.unit, line.side): line for line in balance.lines}
    for total in moves.totals:
        sides = [there[total.unit, side] for side in ("available", "held", "frozen")]
        assert total.closing == sum((side.closing for side in sides), PT(0))
        assert total.opening == sum((side.opening for side in sides), PT(0))
    return f"{balance}\n{moves}"


def raised(work: Callable[[], object]) -> PtmeterError | None:
    """The error that *work* ends in, if it does."""
    try:
        work()
    except PtmeterError as error:
        return error
    return None


def january(store: Store, clock: Clock, accounts: int = 3) -> None:
    """A month's work of a few accounts; afterwards it is the first of February."""
    for n in range(accounts):
        give(store, 100, account=f"a{n}", key="g")
        hold(store, 10 + n, account=f"a{n}", key="h")
    give(store, 30)
    settle(store, held(store, 10, key="one"), 25, key="one")
    settle(store, held(store, 5, key="two"), 15, key="two")
    store.run(partial(sweeping.sweep, limit=10))
    clock.turn(IN_FEBRUARY - clock())


class PeriodContract:
    """The contract; every method that begins with ``test_`` states one claim."""

    def test_a_closed_month_adds_up(self, store: Store, clock: Clock) -> None:
        """Every wallet is recorded, the sides sum to zero, and opening and movements come to the closing."""
        january(store, clock)

        sealed = close(store, JANUARY)

        assert (sealed.state, sealed.wallets, len(sealed.hash)) == (PeriodState.SEALED, 4, 66)
        moves = store.read(partial(closing.roll_forward, name=JANUARY))
        [total] = moves.totals
        assert (PT.of(0), PT.of(330), PT.of(10)) == (total.opening, total.granted, total.lent)
        assert (PT.of(40), PT.of(300)) == (total.charged, total.closing)
        assert [line.age for line in moves.lines] == ["0-30"]
        reports(store, JANUARY)
        assert_clean(store)

    def test_the_next_month_begins_where_the_last_one_ended(self, store: Store, clock: Clock) -> None:
        """What was left of a lot at the end of one month is where the next begins, whatever became of it."""
        give(store, 50, key="short", expires_at=IN_FEBRUARY + DAY)
        give(store, 50, key="long", priority=60)
        placed = hold(store, 20)
        january(store, clock, accounts=1)
        close(store, JANUARY)
        hold(store, 5, key="february")
        clock.turn(10 * DAY)
        store.run(partial(sweeping.sweep, limit=10))
        adjust = partial(funding.adjust, account="acme", reason="goodwill", key="a")
        store.post("acme", partial(adjust, amounts={"core": 3 * MICRO}))
        clock.turn(28 * DAY)

        close(store, FEBRUARY)

        assert isinstance(placed, Hold)
        [total] = store.read(partial(closing.roll_forward, name=FEBRUARY)).totals
        [before] = store.read(partial(closing.roll_forward, name=JANUARY)).totals
        assert before.closing == total.opening
        assert PT.of(3) == total.adjusted
        assert total.lapsed
        reports(store, FEBRUARY)
        assert_clean(store)

    def test_what_is_frozen_is_carried_over(self, store: Store, clock: Clock) -> None:
        """Disputed in one month and lost in the next: there until then, and what was spent of it is lent."""
        give(store, 100)
        settle(store, held(store, 30), 30)
        moved(store, Freeze, 100, key="opened")
        clock.turn(IN_FEBRUARY - clock())
        close(store, JANUARY)
        moved(store, Reverse, 90, key="lost", frozen=65)
        clock.turn(28 * DAY)

        close(store, FEBRUARY)

        [before] = store.read(partial(closing.roll_forward, name=JANUARY)).totals
        [total] = store.read(partial(closing.roll_forward, name=FEBRUARY)).totals
        assert (PT.of(70), PT.of(70), PT.of(0)) == (before.closing, before.frozen, before.reversed)
        assert (PT.of(70), PT.of(90), PT.of(25)) == (total.opening, total.reversed, total.lent)
        assert (PT.of(5), PT.of(5)) == (total.closing, total.frozen)
        balance = store.read(partial(closing.trial_balance, name=FEBRUARY))
        [issued] = [line for line in balance.lines if line.side == "issuance"]
        assert (PT.of(-100), PT.of(-10)) == (issued.opening, issued.closing)
        reports(store, FEBRUARY)
        assert_clean(store)

    def test_a_month_is_closed_once_it_is_over(self, store: Store, clock: Clock) -> None:
        """A microsecond before its end a month cannot be closed, at its end it can."""
        give(store, 100)
        clock.turn(IN_FEBRUARY - timedelta(microseconds=1) - clock())

        early = raised(partial(close, store, JANUARY))
        clock.turn(timedelta(microseconds=1))

        assert isinstance(early, PeriodNotOverError)
        assert close(store, JANUARY).state is PeriodState.SEALED

    def test_months_are_closed_in_order(self, store: Store, clock: Clock) -> None:
        """The first is that of the first account; a later one is refused, and told whose turn it is."""
        january(store, clock)
        clock.turn(100 * DAY)

        first = raised(partial(close, store, FEBRUARY))
        before = raised(partial(close, store, "2025-12"))
        close(store, JANUARY)
        second = raised(partial(close, store, MARCH))

        assert [getattr(e, "first", None) for e in (first, before, second)] == [JANUARY, JANUARY, FEBRUARY]
        assert isinstance(second, PeriodOrderError)

    def test_a_sealed_month_stays_sealed(self, store: Store, clock: Clock) -> None:
        """Closing it again does nothing and says what is sealed."""
        january(store, clock)

        assert close(store, JANUARY) == close(store, JANUARY)

    def test_a_close_goes_on_where_it_stopped(self, store: Store, clock: Clock) -> None:
        """After a crash between two pages nothing is recorded twice and nothing is missing."""
        january(store, clock)
        standing = store.run(partial(closing.begin, name=JANUARY, by="ann"))
        drafts = store.read(partial(closing.draft, standing=standing, limit=1))
        store.run(partial(closing.record, standing=standing, drafts=drafts))
        store.run(partial(closing.record, standing=standing, drafts=drafts))

        half = store.read(partial(closing.measure, standing=standing))
        unsealed = store.run(partial(closing.seal, standing=standing, measured=half, by="ann"))
        sealed = close(store, JANUARY)

        assert (half.wallets, unsealed.state) == (1, PeriodState.CLOSING)
        assert sealed.wallets == 4
        assert_clean(store)

    def test_what_is_booked_while_closing_belongs_to_one_month(self, store: Store, clock: Clock) -> None:
        """Rows from before a wallet is recorded are in its closing, later ones in the next month."""
        january(store, clock)
        standing = store.run(partial(closing.begin, name=JANUARY, by="ann"))
        clock.turn(-timedelta(seconds=5))  # another server's clock is behind
        drafts = store.read(partial(closing.draft, standing=standing))
        give(store, 1, key="last of January")
        give(store, 1, account="unheard of", key="opened meanwhile")
        store.run(partial(closing.record, standing=standing, drafts=drafts))
        give(store, 2, key="first of February")

        close(store, JANUARY)

        times = {e.amount: e.booked_at for e in statement(store).entries}
        assert times[PT.of(1)] < IN_FEBRUARY <= times[PT.of(2)]
        opened = statement(store, account="unheard of").entries[0].booked_at
        assert opened >= IN_FEBRUARY
        [total] = store.read(partial(closing.roll_forward, name=JANUARY)).totals
        assert PT.of(331) == total.granted
        assert_clean(store)

    def test_writers_are_neither_refused_nor_lost(self, store: Store, clock: Clock) -> None:
        """While a month is closed, holds, grants and new accounts go on, and the books add up after it."""
        january(store, clock, accounts=6)

        def work(n: int) -> list[bool]:
            placed = [hold(store, 1, account=f"a{n % 6}", key=f"{n}/{m}") for m in range(6)]
            give(store, 1, account=f"new{n}", key="g")
            return [isinstance(each, Hold) for each in placed]

        with ThreadPoolExecutor(8) as pool:
            closed = pool.submit(close, store, JANUARY)
            placed = [each for result in [*pool.map(work, range(12))] for each in result]
            sealed = closed.result()
        clock.turn(40 * DAY)

        assert all(placed)
        assert sealed.wallets == 7
        assert close(store, FEBRUARY).wallets == 7 + 12
        reports(store, JANUARY)
        reports(store, FEBRUARY)
        assert_clean(store)

    def test_two_who_close_at_once_close_it_once(self, store: Store, clock: Clock) -> None:
        """Whoever comes second finds recorded what the first has recorded, and both learn the same."""
        january(store, clock, accounts=6)

        with ThreadPoolExecutor(3) as pool:
            running = [pool.submit(close, store, JANUARY) for _ in range(3)]
        first, *others = [each.result() for each in running]

        assert [first, first] == others
        assert_clean(store)

    def test_a_clock_that_steps_back_books_nothing_into_a_closed_month(
        self, store: Store, clock: Clock
    ) -> None:
        """Once a wallet is closed it books after the boundary, whatever the clock says; so do new ones."""
        january(store, clock)
        close(store, JANUARY)
        clock.turn(-3 * DAY)

        give(store, 1, key="late")
        give(store, 1, account="new", key="late")

        late = [statement(store).entries[-1], statement(store, account="new").entries[0]]
        assert all(entry.booked_at >= IN_FEBRUARY for entry in late)
        assert_clean(store)

    def test_a_closed_month_is_the_same_for_ever(self, store: Store, clock: Clock) -> None:
        """What is known later is booked now under its own date; the month's reports do not change by a byte."""
        january(store, clock)
        sealed = close(store, JANUARY)
        before = reports(store, JANUARY)
        clock.turn(3 * DAY)

        fact = Debit(
            wallet=wallet_id("a1", "core"),
            id=transfer_id("a1", "debit", "late"),
            fingerprint=digest(("late",)),
            amount=2 * MICRO,
            effective_at=IN_FEBRUARY - DAY,
        )
        [[posted]] = store.run(partial(post, batch=[(fact,)]))

        assert isinstance(posted, Posted)
        assert posted.transfer.effective_at < IN_FEBRUARY <= posted.transfer.booked_at
        assert before == reports(store, JANUARY)
        assert sealed.hash == store.read(partial(closing.measure, standing=sealed)).hash.hex()
        assert_clean(store)

    # --- reopening ---

    def test_reopening_takes_two_persons(self, store: Store, clock: Clock) -> None:
        """One person under two spellings does not reopen a month; two persons do, and it is on record."""
        january(store, clock)
        close(store, JANUARY)
        again = partial(closing.reopen, name=JANUARY, reason="a wallet was restored", by="ann")

        alone = raised(lambda: store.run(partial(again, approved_by=" Ann")))
        reopened = store.run(partial(again, approved_by="bob"))

        assert isinstance(alone, ApprovalMissingError)
        assert PeriodState.REOPENED is reopened.state
        last = reopened.history[-1]
        assert (last.by, last.approved_by, last.reason) == ("ann", "bob", "a wallet was restored")
        assert isinstance(raised(partial(reports, store, JANUARY)), PeriodNotSealedError)
        assert_clean(store)

    def test_a_reopened_month_is_closed_anew(self, store: Store, clock: Clock) -> None:
        """Every wallet is recorded again; where nothing was amiss the hash is what it was."""
        january(store, clock)
        first = close(store, JANUARY)
        again = partial(closing.reopen, name=JANUARY, reason="to be sure", by="ann", approved_by="bob")
        store.run(again)
        give(store, 1, account="new", key="g")

        second = close(store, JANUARY)

        assert (first.revision, second.revision) == (1, 2)
        assert (first.hash, first.wallets) == (second.hash, second.wallets)
        assert_clean(store)

    def test_months_are_reopened_from_the_last_one_on(self, store: Store, clock: Clock) -> None:
        """A month on which another stands stays sealed until that one is reopened."""
        january(store, clock)
        close(store, JANUARY)
        clock.turn(40 * DAY)
        close(store, FEBRUARY)
        again = partial(closing.reopen, reason="to be sure", by="ann", approved_by="bob")

        refused = raised(lambda: store.run(partial(again, name=JANUARY)))
        store.run(partial(again, name=FEBRUARY))
        store.run(partial(again, name=JANUARY))

        assert getattr(refused, "first", None) == FEBRUARY
        assert getattr(raised(partial(close, store, FEBRUARY)), "first", None) == JANUARY
        close(store, JANUARY)
        close(store, FEBRUARY)
        assert_clean(store)
