"""What every store must keep when payments are disputed or given back: subclass `FreezeContract` as you do `StoreContract`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from ..domain.commands import Freeze, Reverse, Unfreeze
from ..domain.pt import MICRO, PT
from ..domain.receipts import Hold, Moved
from ..errors import (
    AccountNotFoundError,
    IdempotencyConflictError,
    InsufficientFundsError,
    LotNotFoundError,
    NotFrozenError,
    PtmeterError,
)
from ..operations import freezing, reading
from .steps import DAY, assert_clean, balance, figures, give, held, hold, settle, statement, wallet

if TYPE_CHECKING:
    from ..ports import Store
    from .clock import Clock


def move(
    store: Store,
    kind: type[Freeze | Unfreeze | Reverse],
    amount: int,
    *,
    lot: int = 1,
    key: str = "k",
    account: str = "acme",
    frozen: int = 0,
) -> Moved | PtmeterError:
    """Freeze, unfreeze or reverse whole PT of a lot, of which so many are frozen."""

    def micro(whole: int) -> dict[str, int]:
        return {"core": whole * MICRO} if whole else {}

    work = partial(
        freezing.move,
        kind=kind,
        account=account,
        lots={"core": lot},
        amounts=micro(amount),
        reason="case 7",
        key=key,
        frozen=micro(frozen),
    )
    return store.post(account, work)["core"]


def moved(*args: Any, **more: Any) -> Moved:
    """The same, which has to be possible."""
    done = move(*args, **more)
    assert isinstance(done, Moved), done
    return done


class FreezeContract:
    """The contract; every method that begins with ``test_`` states one claim."""

    def test_a_dispute_that_is_won_leaves_everything_as_it_was(self, store: Store) -> None:
        """What is unspent of its lot is set aside and given back; nothing else of the wallet moves."""
        give(store, 100)
        give(store, 10, key="other")
        settle(store, held(store, 30), 30)

        frozen = moved(store, Freeze, 100)
        meanwhile = balance(store)
        given_back = moved(store, Unfreeze, 70)

        assert (frozen.amount, frozen.of_lot, frozen.available) == (PT.of(70), PT.of(70), PT.of(10))
        assert (meanwhile.available, meanwhile.frozen) == (PT.of(10), PT.of(70))
        assert given_back.available == PT.of(80)
        assert (PT.of(80), PT.of(0), PT.of(30)) == figures(store)
        assert balance(store).frozen == PT.of(0)
        assert_clean(store)

    def test_what_is_frozen_is_not_spent(self, store: Store) -> None:
        """It is not available, so a hold has to do with the rest."""
        give(store, 100)
        moved(store, Freeze, 60)

        assert isinstance(hold(store, 41), InsufficientFundsError)
        assert isinstance(hold(store, 40, key="fits"), Hold)
        assert_clean(store)

    def test_a_dispute_that_is_lost_is_taken_back(self, store: Store) -> None:
        """What was frozen goes back, and what was spent is owed: nothing new is spent until that is repaid."""
        give(store, 100)
        settle(store, held(store, 30), 30)
        moved(store, Freeze, 100, key="opened")

        taken = moved(store, Reverse, 100, key="lost", frozen=70)

        assert (taken.amount, taken.of_lot, taken.available) == (PT.of(100), PT.of(70), PT.of(0))
        assert balance(store).owed == PT.of(30)
        assert isinstance(hold(store, 1, key="new"), InsufficientFundsError)
        give(store, 50, key="more")
        assert (PT.of(20), PT.of(0), PT.of(30)) == figures(store)
        assert_clean(store)

    def test_what_was_over_meanwhile_is_not_owed(self, store: Store, clock: Clock) -> None:
        """A lot whose time is over while it is frozen does not lapse before it is taken back."""
        give(store, 100, expires_at=clock() + DAY)
        moved(store, Freeze, 100, key="opened")
        clock.turn(2 * DAY)

        moved(store, Reverse, 100, key="lost", frozen=100)

        assert (PT.of(0), PT.of(0), PT.of(0)) == figures(store)
        assert balance(store).owed == PT.of(0)
        assert_clean(store)

    def test_a_refund_leaves_nobody_owing_who_has_something(self, store: Store) -> None:
        """What was spent of its lot is repaid from the others at once."""
        give(store, 100)
        give(store, 60, key="other")
        settle(store, held(store, 90), 90)

        taken = moved(store, Reverse, 40)

        assert (taken.of_lot, taken.available) == (PT.of(10), PT.of(30))
        assert balance(store).owed == PT.of(0)
        assert [entry.kind for entry in statement(store).entries][-3:] == ["advance", "reverse", "repay"]
        assert_clean(store)

    def test_a_lot_that_is_used_up_is_taken_back_too(self, store: Store) -> None:
        """Nothing is left in it, and its number is still one; a number that no lot has is refused."""
        give(store, 10)
        settle(store, held(store, 10), 10)

        taken = moved(store, Reverse, 10)

        assert (taken.of_lot, balance(store).owed) == (PT.of(0), PT.of(10))
        for verb in (Freeze, Unfreeze, Reverse):
            assert isinstance(move(store, verb, 1, lot=99, key="no lot"), LotNotFoundError)
        assert_clean(store)

    def test_what_cannot_be_is_refused(self, store: Store) -> None:
        """Freezing where nothing is free, giving back more than is frozen, a wallet that is not there."""
        give(store, 10)
        moved(store, Freeze, 10)

        refused = move(store, Unfreeze, 11, key="too much")

        assert isinstance(refused, NotFrozenError)
        assert (refused.lot, refused.frozen, refused.required) == (1, 10, 11)
        assert isinstance(move(store, Freeze, 1, key="nothing"), InsufficientFundsError)
        lost = move(store, Reverse, 11, key="lost", frozen=11)
        assert isinstance(lost, NotFrozenError)
        assert isinstance(move(store, Freeze, 1, account="nobody"), AccountNotFoundError)
        assert_clean(store)

    def test_the_same_request_moves_once(self, store: Store) -> None:
        """However often an event comes, it is answered as the first time; with other facts it contradicts itself."""
        give(store, 100)

        verbs: list[tuple[Any, int, int]] = [
            (Freeze, 80, 0),
            (Unfreeze, 50, 0),
            (Reverse, 70, 30),
        ]
        first, again = (
            [moved(store, verb, amount, frozen=frozen) for verb, amount, frozen in verbs] for _ in range(2)
        )

        assert [each.amount for each in first] == [each.amount for each in again]
        assert [each.of_lot for each in first] == [each.of_lot for each in again]
        assert all(each.replayed for each in again)
        for verb, amount, frozen in verbs:
            assert isinstance(move(store, verb, amount + 1, frozen=frozen), IdempotencyConflictError)
        assert (PT.of(30), PT.of(0), PT.of(0)) == figures(store)
        assert_clean(store)

    def test_disputes_and_calls_at_once_add_up(self, store: Store) -> None:
        """Holds, freezes and refunds of one lot at the same moment: it is given out once, and the rest is owed."""
        give(store, 100)
        attempts: list[Any] = [
            *(partial(hold, store, 5, key=f"h{n}") for n in range(10)),
            *(partial(move, store, Freeze, 5, key=f"f{n}") for n in range(10)),
            *(partial(move, store, Reverse, 5, key=f"r{n}") for n in range(10)),
        ]

        with ThreadPoolExecutor(30) as pool:
            outcomes = [each.result() for each in [pool.submit(attempt) for attempt in attempts]]

        now = balance(store)
        taken = [each for each in outcomes[20:] if isinstance(each, Moved)]
        assert len(taken) == 10
        there = now.available.micro + now.held.micro + now.frozen.micro
        assert there - now.owed.micro == 50 * MICRO
        assert not (now.owed and now.available)
        lots = {lot.number: lot for lot in wallet(store).lots}
        assert lots[1].frozen == now.frozen.micro
        assert_clean(store)

    def test_a_summary_says_what_is_frozen_and_was_taken_back(self, store: Store, clock: Clock) -> None:
        """Of every span: what there was, and came in, less what went out, is what there is, frozen or not."""
        began = clock()
        give(store, 100)
        moved(store, Freeze, 60, key="opened")
        clock.turn(DAY)
        moved(store, Reverse, 90, key="lost", frozen=50)
        clock.turn(DAY)

        days = [
            store.read(
                partial(reading.summary, account="acme", since=began + n * DAY, until=began + (n + 1) * DAY)
            ).units["core"]
            for n in range(2)
        ]

        assert [(PT.of(0), PT.of(60)), (PT.of(90), PT.of(10))] == [(d.reversed, d.frozen) for d in days]
        assert [PT.of(0), PT.of(100)] == [day.opening for day in days]
        assert [PT.of(100), PT.of(10)] == [day.closing for day in days]
        assert all(day.ties for day in days)
