"""Limits on every database: decided as the oracle decides, by many at once, and in one transaction with the hold."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration import jobs
from tests.integration.wiring import meter_on, query, servers
from tests.limits import START, Game

from ptmeter import HoldSize, LimitError, Policy, read_plans
from ptmeter.domain.policy import OutOfFunds
from ptmeter.operations.posting import post
from ptmeter.storage.accounts import SqlAccounts
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from datetime import datetime

    from tests.backends import Backend
    from tests.integration.fleet import Fleet

    from ptmeter.domain.accounts import Account
    from ptmeter.domain.commands import Linked
    from ptmeter.domain.ledger import Outcome, WalletId
    from ptmeter.ports import Books, Store

AT_ONCE = 7
PLANS = {
    "plans": {
        "team": {
            "price_per_month": 1,
            "allowance": {"core": 1000},
            "units": ["core"],
            "concurrent": AT_ONCE,
            "caps": {"core": {"month": 500}},
        },
        "free": {"price_per_month": 0, "allowance": {"core": 1000}, "units": ["core"]},
    }
}
STREAMING = {
    "plans": {
        "team": {
            "price_per_month": 1,
            "allowance": {"core": 1000},
            "units": ["core"],
            "concurrent": 8,
            "caps": {"core": {"day": 20}},
        }
    }
}


class Played:
    """A game's ledger on a database."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def begin(self, accounts: Mapping[str, Account]) -> None:
        """Have these accounts."""

        def save(books: Books) -> None:
            for account in accounts.values():
                books.accounts.save(account)

        self._store.run(save)

    def open(self, name: WalletId, at: datetime) -> None:
        """A wallet comes with its first grant."""

    def post(self, batch: Sequence[Linked], at: datetime) -> list[tuple[Outcome, ...]]:
        """Carry out a batch at that time."""
        self._clock.turn(at - self._clock())
        return self._store.run(lambda books: post(books, batch))


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
@pytest.mark.parametrize("seed", [3, 11])
def test_limits_decide_as_the_oracle_does(
    name: str, seed: int, backend_of: Callable[[str], Backend]
) -> None:
    """On every database a random history is decided as by counting all anew, and the tallies verify."""
    clock = Clock(START)
    with meter_on(backend_of(name).empty(), clock=clock, migrate=True) as meter:
        game = Game(seed, Played(meter._platform.store, clock))
        game.play(250)
        report = meter.verify()

    assert report.clean, report


@pytest.mark.slow
@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_members_in_four_processes_share_the_limits_of_their_team(
    name: str, backend_of: Callable[[str], Backend], fleet: Fleet
) -> None:
    """40 members of a team that may have seven calls at once, in four processes: seven are admitted, no more."""
    url = backend_of(name).empty()
    plans = read_plans(PLANS)
    members = [f"member {number}" for number in range(40)]
    with meter_on(url, plans=plans) as meter:
        meter.plans.assign("acme", "team", key="acme")
        for member in members:
            meter.accounts.place(member, under="acme")

    orders = [(jobs.hold_for, url, PLANS, members[first::4]) for first in range(4)]
    outcomes = Counter(outcome for answer in fleet.run(orders) for outcome in answer)

    with meter_on(url, plans=plans) as meter:
        report = meter.verify()
        held = meter.balance("acme").core.held
    assert Counter({jobs.HELD: AT_ONCE, "LimitError": 40 - AT_ONCE}) == outcomes
    assert AT_ONCE == held.whole
    assert report.clean, report


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_a_cap_is_not_overrun_by_many_at_once(name: str, backend_of: Callable[[str], Backend]) -> None:
    """Debits and holds of a hundred threads under a cap of 500 PT a month: 500 PT are used, none beyond."""
    plans = read_plans(PLANS)
    with meter_on(backend_of(name).empty(), plans=plans) as meter:
        meter.plans.assign("acme", "team", key="acme")

        def use(number: int) -> str:
            key = f"call {number}"
            outcome = jobs.ended(partial(meter.hold, "acme", key=key, core=25))
            if outcome == jobs.HELD:
                meter.settle(meter.find_hold("acme", key=key), core=25, key=key)
            return outcome

        with ThreadPoolExecutor(16) as pool:
            tried = 0
            outcomes: Counter[str] = Counter()
            while outcomes[jobs.HELD] < 20 and tried < 2_000:  # who is refused for calls at once comes back
                outcomes.update(pool.map(use, range(tried, tried + 100)))
                tried += 100
        spent = meter.balance("acme").core.spent

        assert (500, 20) == (spent.whole, outcomes[jobs.HELD])
        assert meter.verify().clean


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_streams_that_outrun_their_holds_together_keep_to_a_cap(
    name: str, backend_of: Callable[[str], Backend]
) -> None:
    """
    Eight answers at once under a cap of 20 PT a day, each with 1 PT held and 3 needed: six of them are extended.

    The others are cut off before they cost more than their 1 PT, so that 20 PT are used in the end.
    """
    together = Barrier(8)
    messages = [{"role": "user", "content": "Count to three thousand"}]
    policy = Policy(hold=HoldSize.EXPECTED, out_of_funds=OutOfFunds.CUT_OFF)
    with meter_on(backend_of(name).empty(), plans=read_plans(STREAMING), policy=policy) as meter:
        meter.plans.assign("acme", "team", key="acme")
        for number in range(8):
            meter.accounts.place(f"member {number}", under="acme")

        def stream(number: int) -> tuple[str, int]:
            call = meter.call(f"member {number}", model="gpt-4o-mini", messages=messages, key="call")
            outcome = jobs.HELD
            with suppress(LimitError), call:
                together.wait(60)
                try:
                    for _ in call.stream(three_thousand_words()):
                        pass
                except LimitError as refused:
                    outcome = refused.scope
                    raise
                finally:
                    together.wait(60)
            assert call.receipt is not None
            return outcome, int(call.receipt.charged["core"].whole)

        with ThreadPoolExecutor(8) as pool:
            ended = Counter(pool.map(stream, range(8)))
        core = meter.balance("acme").core

        assert Counter({(jobs.HELD, 3): 6, ("acme", 1): 2}) == ended
        assert (20, 0) == (core.spent.whole, core.held.whole)
        assert meter.verify().clean


def three_thousand_words() -> Iterator[dict[str, Any]]:
    """A streamed answer that costs 3 PT, when 1 PT is expected of it."""
    for _ in range(3_000):
        choice = {"index": 0, "delta": {"content": " word"}}
        yield {"object": "chat.completion.chunk", "choices": [choice]}
    usage = {"prompt_tokens": 12, "completion_tokens": 3_000, "total_tokens": 3_012}
    yield {"object": "chat.completion.chunk", "choices": [], "usage": usage}


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_a_refusal_leaves_nothing(name: str, backend_of: Callable[[str], Backend]) -> None:
    """Who is refused by a limit has no row, no tally and no remembered refusal: the key is as good as new."""
    url = backend_of(name).empty()
    with meter_on(url, plans=read_plans(PLANS)) as meter:
        meter.plans.assign("acme", "team", key="acme")
        for number in range(AT_ONCE):
            meter.hold("acme", key=str(number), core=1)
        before = (
            query(url, "SELECT tally FROM ptm_account"),
            query(url, "SELECT count(*) FROM ptm_transfer"),
        )

        assert "LimitError" == jobs.ended(partial(meter.hold, "acme", key="one more", core=1))
        after = query(url, "SELECT tally FROM ptm_account"), query(url, "SELECT count(*) FROM ptm_transfer")
        meter.void(meter.find_hold("acme", key="0"), key="0")
        assert jobs.HELD == jobs.ended(partial(meter.hold, "acme", key="one more", core=1))

    assert before == after
    assert [(0,)] == query(url, "SELECT count(*) FROM ptm_rejection")


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_an_account_opened_twice_at_once_keeps_what_was_counted(
    name: str, backend_of: Callable[[str], Backend], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one opens an account, another opens it and makes a call: the first wipes nothing of that."""
    url = backend_of(name).empty()
    with meter_on(url, plans=read_plans(PLANS)) as meter, meter_on(url, plans=read_plans(PLANS)) as other:
        meter.plans.assign("acme", "free", key="acme")
        other.balance("acme")
        lock, threads = SqlAccounts.lock, ThreadPoolExecutor(1)

        def open_and_hold() -> None:
            other.funds.grant("ann", core=5, source="trial", key="g1")
            other.hold("ann", core=1, key="r1")

        def looking_first(self: SqlAccounts, names: Iterable[str]) -> dict[str, Account]:
            found = lock(self, names)
            if not under_way:
                under_way.append(threads.submit(open_and_hold))
                with suppress(TimeoutError):  # it waits for this transaction, as it should
                    under_way[0].result(timeout=0.5)
            return found

        under_way: list[Future[None]] = []
        monkeypatch.setattr(SqlAccounts, "lock", looking_first)
        meter.accounts.place("ann", under=None)
        under_way[0].result(timeout=20)
        threads.shutdown()

        assert [1] == [each.calls for each in meter.accounts.find("ann").tally.held]
        assert meter.verify().clean


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_the_levels_of_a_tree_are_counted_by_the_database(
    name: str, backend_of: Callable[[str], Backend]
) -> None:
    """Below the top, in the middle, at a leaf, and of nobody."""
    with meter_on(backend_of(name).empty(), plans=read_plans(PLANS)) as meter:
        for member, above in (("top", None), ("left", "top"), ("right", "top"), ("leaf", "right")):
            meter.accounts.place(member, under=above)

        asked = ("top", "right", "leaf", "nobody")
        levels = meter._platform.store.run(lambda books: [books.accounts.levels_below(a) for a in asked])

        assert [2, 1, 0, 0] == levels


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_a_retry_finds_what_was_booked_before_its_account_was_put_elsewhere(
    name: str, backend_of: Callable[[str], Backend]
) -> None:
    """Whoever sends it again, having heard of the moves or not, gets the first result, and nobody pays twice."""
    url = backend_of(name).empty()
    plans = read_plans(PLANS)
    with meter_on(url, plans=plans) as here, meter_on(url, plans=plans) as there:
        for team in ("acme", "zeta"):
            here.plans.assign(team, "free", key=team)
        here.accounts.place("ann", under="acme")
        there.void(there.hold("ann", core=1, key="r0"), key="r0")
        here.accounts.place("ann", under="zeta")
        held = here.hold("ann", core=3, key="r1")
        first = here.settle(held, core=2, key="r1")
        for under in ("acme", None):
            here.accounts.place("ann", under=under)
            for meter in (there, here):
                again = meter.hold("ann", core=3, key="r1")

                assert (True, "zeta") == (again.replayed, again.payer)
                assert first.charged == meter.settle(again, core=2, key="r1").charged
        assert ["998 PT", "1,000 PT"] == [
            str(here.balance(team).core.available) for team in ("zeta", "acme")
        ]
        assert here.verify().clean
