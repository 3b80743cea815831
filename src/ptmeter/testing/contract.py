"""
What every store must keep, whatever it stores in: subclass `StoreContract`, provide two fixtures, run pytest.

For readable failures say ``pytest.register_assert_rewrite("ptmeter.testing")`` in your conftest first.

    class TestMyStore(StoreContract):
        @pytest.fixture
        def clock(self):
            return Clock()
        @pytest.fixture
        def store(self, clock):
            return MyStore(..., clock=clock)     # empty, and made ready
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from ..domain.ledger import Overage, Refusal, Refused
from ..domain.pt import MICRO, PT
from ..domain.receipts import Hold, Receipt
from ..errors import (
    AccountNotFoundError,
    HoldNotFoundError,
    HoldNotPendingError,
    IdempotencyConflictError,
    InsufficientFundsError,
)
from ..operations import holding, sweeping
from ..operations.posting import alone, post
from .steps import (
    DAY,
    MINUTE,
    assert_clean,
    balance,
    debit,
    elsewhere,
    figures,
    give,
    held,
    hold,
    post_each,
    settle,
    statement,
    void,
    wallet,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..ports import Books, Store
    from .clock import Clock


class StoreContract:
    """The contract; every method that begins with ``test_`` states one claim."""

    # --- no overspending ---

    def test_concurrent_holds_admit_what_there_is(self, store: Store) -> None:
        """40 concurrent holds of 10 PT on a balance of 100 PT admit exactly 10."""
        give(store, 100)

        with ThreadPoolExecutor(40) as pool:
            running = [pool.submit(hold, store, 10, key=f"h{n}") for n in range(40)]
        outcomes = [each.result() for each in running]

        assert sum(isinstance(outcome, Hold) for outcome in outcomes) == 10
        assert sum(isinstance(outcome, InsufficientFundsError) for outcome in outcomes) == 30
        assert balance(store).held == PT.of(100)
        assert_clean(store)

    def test_concurrent_settles_resolve_a_hold_once(self, store: Store) -> None:
        """Of settles, voids and another settle of one hold at once, exactly one resolves it."""
        give(store, 100)
        placed = held(store, 60)

        attempts: list[Callable[[], Any]] = [
            *(partial(settle, store, placed, 50, key=f"s{n}") for n in range(8)),
            *(partial(void, store, placed, key=f"v{n}") for n in range(8)),
        ]
        with ThreadPoolExecutor(16) as pool:
            running = [pool.submit(attempt) for attempt in attempts]
        outcomes = [each.result() for each in running]

        assert sum(isinstance(outcome, Receipt) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, HoldNotPendingError) for outcome in outcomes) == 15
        assert_clean(store)

    def test_one_key_takes_effect_once(self, store: Store) -> None:
        """A request delivered 16 times at once is carried out once, and everybody learns the result."""
        give(store, 100)

        with ThreadPoolExecutor(16) as pool:
            running = [pool.submit(hold, store, 10, key="same") for _ in range(16)]
        placed = [each.result() for each in running]

        assert all(isinstance(outcome, Hold) for outcome in placed)
        assert sum(not outcome.replayed for outcome in placed if isinstance(outcome, Hold)) == 1
        assert balance(store).held == PT.of(10)

    # --- the life of a hold ---

    def test_settling_for_less_returns_the_rest(self, store: Store) -> None:
        """What a call did not use of its hold is available again."""
        give(store, 100)

        receipt = settle(store, held(store, 60), 45)

        assert isinstance(receipt, Receipt)
        assert receipt.charged == {"core": PT.of(45)}
        assert (PT.of(55), PT.of(0), PT.of(45)) == figures(store)
        assert_clean(store)

    def test_settling_for_more_takes_what_is_available(self, store: Store) -> None:
        """A call that cost more than its hold is charged in full; what is not covered is owed."""
        give(store, 100)

        settle(store, held(store, 60), 130)

        assert (PT.of(0), PT.of(0), PT.of(130)) == figures(store)
        assert balance(store).owed == PT.of(30)
        assert isinstance(hold(store, 1, key="next"), InsufficientFundsError)
        assert_clean(store)

    def test_what_is_owed_is_repaid_first(self, store: Store) -> None:
        """A grant pays what is owed before anything becomes available."""
        give(store, 10)
        settle(store, held(store, 10), 30)

        give(store, 50, key="later")

        assert balance(store).owed == PT.of(0)
        assert balance(store).available == PT.of(30)
        assert_clean(store)

    def test_overage_can_be_refused(self, store: Store) -> None:
        """Under the policy `reject` the settle is refused and the hold stays open."""
        give(store, 100)
        placed = held(store, 60)

        refused = settle(store, placed, 61, overage=Overage.REJECT)

        assert isinstance(refused, InsufficientFundsError)
        assert balance(store).held == PT.of(60)
        assert isinstance(settle(store, placed, 60, key="again"), Receipt)

    def test_a_void_returns_everything(self, store: Store) -> None:
        """A voided hold leaves the balance as it was before it."""
        give(store, 100)

        void(store, held(store, 60))

        assert (PT.of(100), PT.of(0), PT.of(0)) == figures(store)
        assert_clean(store)

    def test_a_due_hold_is_released_when_its_funds_are_needed(self, store: Store, clock: Clock) -> None:
        """Nobody has to sweep for an abandoned hold's PT to be available again."""
        give(store, 100)
        held(store, 100, key="abandoned")

        clock.turn(2 * MINUTE)

        assert isinstance(hold(store, 100, key="next"), Hold)
        assert_clean(store)

    def test_no_hold_expires_early(self, store: Store, clock: Clock) -> None:
        """A sweep leaves alone what is not due, and takes what is."""
        give(store, 100)
        held(store, 60)

        clock.turn(MINUTE - timedelta(microseconds=1))
        early = store.run(partial(sweeping.sweep, limit=10))
        clock.turn(timedelta(seconds=1))
        due = store.run(partial(sweeping.sweep, limit=10))

        assert (early.holds, due.holds) == (0, 1)
        assert balance(store).available == PT.of(100)
        assert_clean(store)

    def test_a_late_settle_is_charged_once(self, store: Store, clock: Clock) -> None:
        """A call whose hold expired while it ran is charged all the same, and not twice."""
        give(store, 100)
        placed = held(store, 60)
        clock.turn(2 * MINUTE)
        store.run(partial(sweeping.sweep, limit=10))

        receipt = settle(store, placed, 45)
        again = settle(store, placed, 45, key="another key")

        assert isinstance(receipt, Receipt)
        assert receipt.warnings
        assert isinstance(again, HoldNotPendingError)
        assert (PT.of(55), PT.of(0), PT.of(45)) == figures(store)
        assert_clean(store)

    def test_a_late_settle_of_two_units_is_charged(self, store: Store, clock: Clock) -> None:
        """A hold in two units that expired is charged in the one the call used; the other is back already."""
        give(store, 100)
        give(store, 100, unit="advanced", key="advanced")
        amounts = {"core": 10 * MICRO, "advanced": 10 * MICRO}
        place = partial(holding.hold, account="acme", amounts=amounts, key="h", ttl=MINUTE)
        placed = store.post("acme", place)
        clock.turn(2 * MINUTE)
        store.run(partial(sweeping.sweep, limit=10))

        assert isinstance(placed, Hold)
        assert isinstance(settle(store, placed, 5), Receipt)
        assert (PT.of(95), PT.of(0), PT.of(5)) == figures(store)
        assert balance(store, "advanced").available == PT.of(100)
        assert_clean(store)

    def test_an_unknown_hold_is_not_found(self, store: Store, clock: Clock) -> None:
        """Settling a hold that never was says so, and moves nothing."""
        give(store, 100)
        never = Hold(account="acme", key="never", amounts={"core": PT.of(1)}, expires_at=clock())

        assert isinstance(settle(store, never, 1), HoldNotFoundError)
        assert (PT.of(100), PT.of(0), PT.of(0)) == figures(store)

    # --- keys ---

    def test_the_same_request_gets_the_first_answer(self, store: Store, clock: Clock) -> None:
        """A repeated hold, settle or grant returns what the first one did, years later too."""
        first = (give(store, 100), held(store, 60), settle(store, held(store, 60), 45))
        clock.turn(1_000 * DAY)
        again = (give(store, 100), held(store, 60), settle(store, held(store, 60), 45))

        assert all(outcome.replayed for outcome in again if not isinstance(outcome, Exception))
        assert [str(o) for o in first] == [str(o).replace("replayed=True", "replayed=False") for o in again]
        assert (PT.of(55), PT.of(0), PT.of(45)) == figures(store)

    def test_another_request_under_the_key_is_a_conflict(self, store: Store) -> None:
        """A key used with another amount, or in another unit, is refused and moves nothing."""
        give(store, 100)
        give(store, 100, unit="advanced", key="advanced")
        held(store, 60)

        assert isinstance(hold(store, 61), IdempotencyConflictError)
        assert isinstance(hold(store, 60, unit="advanced"), IdempotencyConflictError)
        assert balance(store).held == PT.of(60)
        assert balance(store, "advanced").held == PT.of(0)

    def test_a_refusal_is_remembered_for_a_day(self, store: Store, clock: Clock) -> None:
        """The same key gets the same refusal though there are funds now; after a day it is decided anew."""
        give(store, 10)
        first = hold(store, 60)
        give(store, 100, key="more")

        same_day = hold(store, 60)
        clock.turn(DAY)
        next_day = hold(store, 60)

        assert isinstance(first, InsufficientFundsError)
        assert isinstance(same_day, InsufficientFundsError)
        assert same_day.available == first.available
        assert isinstance(next_day, Hold)
        assert_clean(store)

    # --- lots ---

    def test_lots_burn_in_order_and_lapse(self, store: Store, clock: Clock) -> None:
        """Priority comes before expiry and expiry before age; what is left of a lot lapses with it."""
        soon = clock() + DAY
        give(store, 10, key="old")
        give(store, 10, key="soon", expires_at=soon)
        give(store, 10, key="first", priority=1)

        settle(store, held(store, 15), 15)
        lots = {lot.number: lot.remaining for lot in wallet(store).lots if lot.remaining}
        clock.turn(DAY)

        assert lots == {1: 10 * MICRO, 2: 5 * MICRO}
        assert balance(store).available == PT.of(10)
        assert store.run(partial(sweeping.sweep, limit=10)).wallets == 1
        assert_clean(store)

    def test_an_expired_lot_keeps_what_is_held_of_it(self, store: Store, clock: Clock) -> None:
        """A hold outlives its lot: what is used of it is spent, what is returned lapses."""
        give(store, 10, expires_at=clock() + timedelta(seconds=30))
        placed = held(store, 10)
        clock.turn(timedelta(seconds=45))

        settle(store, placed, 4)

        assert (PT.of(0), PT.of(0), PT.of(4)) == figures(store)
        assert_clean(store)

    # --- groups and transactions ---

    def test_linked_commands_stand_or_fall_together(self, store: Store) -> None:
        """A member's budget and the team's pool are charged both or not at all."""
        give(store, 100, account="team")
        give(store, 10, account="member")

        outcomes = store.run(partial(post, batch=[(debit("team", 20), debit("member", 20))]))
        charged = store.run(partial(post, batch=[(debit("team", 5), debit("member", 5))]))

        reasons = [o.reason for o in outcomes[0] if isinstance(o, Refused)]
        assert reasons == [Refusal.LINKED, Refusal.INSUFFICIENT_FUNDS]
        assert [getattr(o, "charged", None) for o in charged[0]] == [5 * MICRO, 5 * MICRO]
        assert balance(store, account="team").available == PT.of(95)
        assert balance(store, account="member").available == PT.of(5)
        assert_clean(store)

    def test_a_batch_spans_wallets(self, store: Store) -> None:
        """One batch may touch many wallets; each command gets its own outcome, in order."""
        for n in range(5):
            give(store, 10 + n, account=f"a{n}")

        batch = [(debit(f"a{n}", 12, key=f"d{n}"),) for n in range(5)]
        outcomes = store.run(partial(post, batch=batch))

        assert [isinstance(o, Refused) for (o,) in outcomes] == [True, True, False, False, False]
        assert_clean(store)

    def test_a_long_batch_recognises_its_keys(self, store: Store) -> None:
        """Of a batch of any length every key is known again: replayed, or refused in another unit."""
        give(store, 100, account="a")
        give(store, 100, account="b")
        batch = [debit(account, n) for n in range(1, 7) for account in ("a", "b")]
        first, again, other = (post_each(store, sent) for sent in (batch, batch, map(elsewhere, batch)))

        assert [replace(outcome, replayed=True) for outcome in first] == again
        assert {getattr(outcome, "reason", None) for outcome in other} == {Refusal.KEY_REUSED}

    def test_a_failed_transaction_leaves_nothing(self, store: Store) -> None:
        """Work that raises after it wrote has written nothing."""
        give(store, 100)
        amounts = {"core": 10 * MICRO}

        def fail(books: Books) -> None:
            alone(books, partial(holding.hold, account="acme", amounts=amounts, key="h", ttl=MINUTE))
            raise RuntimeError

        with suppress(RuntimeError):
            store.run(fail)

        assert (PT.of(100), PT.of(0), PT.of(0)) == figures(store)
        assert isinstance(hold(store, 10), Hold)
        assert_clean(store)

    # --- reading back ---

    def test_a_statement_is_read_in_pages(self, store: Store) -> None:
        """The pages of a statement put together are the whole of it, in the order of booking."""
        give(store, 100)
        give(store, 100, unit="advanced", key="advanced")
        for n in range(5):
            settle(store, held(store, 10, key=f"h{n}"), 5, key=f"h{n}")

        whole = statement(store, limit=100)
        pages = [statement(store, limit=5)]
        while pages[-1].after:
            pages.append(statement(store, limit=5, after=pages[-1].after))

        assert [len(page.entries) for page in pages] == [5, 5, 2]
        assert [e for page in pages for e in page.entries] == list(whole.entries)
        assert [e.booked_at for e in whole.entries] == sorted(e.booked_at for e in whole.entries)

    def test_an_unknown_account_is_not_found(self, store: Store) -> None:
        """A balance, a hold and a statement of an account that was never given anything say so."""
        give(store, 1)

        assert isinstance(hold(store, 1, account="nobody"), AccountNotFoundError)
        for read in (
            partial(balance, store, account="nobody"),
            partial(statement, store, account="nobody"),
        ):
            try:
                read()
            except AccountNotFoundError:
                continue
            raise AssertionError(read)

    def test_a_hold_is_found_again(self, store: Store) -> None:
        """A hold placed by one process can be found and settled by another."""
        give(store, 100)
        placed = held(store, 60)

        found = store.read(partial(holding.find_hold, account="acme", units=["core"], key="h"))

        assert (found.amounts, found.expires_at) == (placed.amounts, placed.expires_at)

    def test_booking_times_only_grow(self, store: Store, clock: Clock) -> None:
        """A clock that steps back does not reorder the journal."""
        give(store, 100)
        clock.turn(-timedelta(hours=1))
        held(store, 10)

        times = [entry.booked_at for entry in statement(store).entries]

        assert times == sorted(set(times))
        assert_clean(store)
