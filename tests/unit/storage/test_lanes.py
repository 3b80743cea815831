"""
Write lanes give every caller its own answer, carry out whole what they began, and keep nobody waiting for ever.

The lanes are the real ones; what they carry out is posted in memory, so that a test can make a transaction last,
fail, or say how often it was run.
"""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import timedelta
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptmeter import (
    ContentionError,
    IndeterminateError,
    InvalidArgumentError,
    InvariantError,
    LedgerBusyError,
    Meter,
    Policy,
    StorageError,
    UnavailableError,
)
from ptmeter.domain.commands import Grant
from ptmeter.domain.keys import transfer_id
from ptmeter.domain.ledger import wallet_id
from ptmeter.operations.posting import together
from ptmeter.storage.engine import new_engine
from ptmeter.storage.lanes import AsyncLane, Lane
from ptmeter.storage.memory import MemoryStore
from ptmeter.storage.store import SqlStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ptmeter.ports import Books, Posting

CALLERS = 32
QUICK = Policy(patience=timedelta(seconds=0.2))


def grants(account: str, key: str) -> Grant:
    """A command like no other."""
    facts = {"wallet": wallet_id(account, "core"), "id": transfer_id(account, "grant", key)}
    return Grant(**facts, fingerprint=facts["id"], amount=1)


def posting(name: str, rounds: Sequence[int], books: Books) -> Posting[list[bytes]]:
    """Post so many groups in each round; the ids of what was posted are its result."""
    del books
    posted: list[bytes] = []
    for number, groups in enumerate(rounds):
        outcomes = yield [(grants(name, f"{number}.{group}"),) for group in range(groups)]
        posted += [outcome.transfer.id for (outcome,) in outcomes]  # type: ignore[union-attr]
    return posted


def expected(name: str, rounds: Sequence[int]) -> list[bytes]:
    """What `posting` comes to, whoever else is in its batch."""
    return [grants(name, f"{n}.{g}").id for n, groups in enumerate(rounds) for g in range(groups)]


def failing(error: Exception, after: int, name: str, books: Books) -> Posting[None]:
    """Post so often, and fail."""
    yield from posting(name, [1] * after, books)
    raise error


class Transactions:
    """Runs work on a store in memory; a test may hold it up, and ask what happened."""

    def __init__(self) -> None:
        self.store = MemoryStore(Policy())
        self.go_on = threading.Event()
        self.go_on.set()
        self.begun = threading.Event()
        self.sizes: list[int] = []
        self.under_way = self.most_under_way = 0

    def __call__(self, work: Callable[[Books], list[Any]]) -> list[Any]:
        self.under_way += 1
        self.most_under_way = max(self.under_way, self.most_under_way)
        try:
            self.begun.set()
            self.go_on.wait(5)
            results = self.store.run(work)
            self.sizes.append(len(results))
            return results
        finally:
            self.under_way -= 1

    def posted(self, name: str) -> int:
        """How many transfers an account has."""
        wallets = self.store.read(lambda books: books.ledger.wallets(name))
        return sum(wallet.seq for wallet in wallets)


# --- everybody's own answer -------------------------------------------------------------------------------------

shapes = st.lists(st.lists(st.integers(0, 3), max_size=3), min_size=1, max_size=12)


@given(shapes)
def test_results_are_their_callers_own(callers: list[list[int]]) -> None:
    """However many groups each posts in however many rounds, what comes back is what came of its own."""
    works = [partial(posting, f"a{number}", rounds) for number, rounds in enumerate(callers)]

    results = MemoryStore(Policy()).run(partial(together, works=works))

    assert [expected(f"a{number}", rounds) for number, rounds in enumerate(callers)] == results


@given(shapes, st.sets(st.integers(0, 11), min_size=1), st.integers(0, 1))
def test_a_failure_is_its_callers_own(callers: list[list[int]], bad: set[int], after: int) -> None:
    """Whoever fails, before or after posting, fails alone; nothing of it is written, and all others get theirs."""
    transactions = Transactions()
    lane = Lane(transactions, Policy())
    works: list[Any] = [
        partial(failing, ZeroDivisionError(), after, f"a{number}")
        if number in bad
        else partial(posting, f"a{number}", rounds)
        for number, rounds in enumerate(callers)
    ]

    with closing(lane), ThreadPoolExecutor(len(works)) as pool:
        asked = [pool.submit(lane.post, work) for work in works]

    for number, (caller, rounds) in enumerate(zip(asked, callers, strict=True)):
        if number in bad:
            assert isinstance(caller.exception(), ZeroDivisionError)
            assert 0 == transactions.posted(f"a{number}")
        else:
            assert expected(f"a{number}", rounds) == caller.result()


@pytest.mark.parametrize(
    "error", [ContentionError("given up"), IndeterminateError(), UnavailableError("gone")]
)
def test_what_the_database_does_to_a_batch_is_everybodys(error: StorageError) -> None:
    """It is told to all of the batch, and none of it is tried again in parts: it is nobody's fault."""
    started = threading.Barrier(2)
    sizes: list[int] = []

    def fail(work: Callable[[Books], list[Any]]) -> list[Any]:
        sizes.append(len(work.keywords["works"]))
        if len(sizes) == 1:
            started.wait(5)
            started.wait(5)
        raise error

    with closing(Lane(fail, Policy())) as lane, ThreadPoolExecutor(CALLERS) as threads:
        first = threads.submit(lane.post, partial(posting, "first", [1]))
        started.wait(5)  # it is being carried out, so the others are one batch
        others = [threads.submit(lane.post, partial(posting, f"a{n}", [1])) for n in range(4)]
        while lane._queue.qsize() < len(others):
            sleep(0.001)
        started.wait(5)

        assert {error} == {each.exception(5) for each in (first, *others)}
    assert [1, 4] == sizes


def test_a_refused_argument_is_its_callers_own() -> None:
    """An error of ours that is raised before anything is posted costs nobody else a second transaction."""
    transactions = Transactions()
    bad = partial(failing, InvalidArgumentError("no"), 0, "bad")

    results = transactions(partial(together, works=[bad, partial(posting, "good", [1])]))

    assert isinstance(results[0], InvalidArgumentError)
    assert expected("good", [1]) == results[1]


@given(shapes.filter(lambda callers: sum(map(sum, callers)) > 1))
def test_answers_that_are_mixed_up_are_noticed(callers: list[list[int]]) -> None:
    """The control: outcomes handed out by their place among the callers instead of among the groups do not pass."""
    books: Any = None
    begun = [
        posting(f"a{number}", rounds[:1], books) for number, rounds in enumerate(callers) if rounds[:1]
    ]
    groups = [next(each) for each in begun]
    outcomes = MemoryStore(Policy()).run(partial(together, works=[partial(whole, groups)]))[0]
    one_off = outcomes[1:] + outcomes[:1]
    mixed: list[list[bytes]] = []
    for each, own in zip(begun, groups, strict=True):
        theirs, one_off = one_off[: len(own)], one_off[len(own) :]
        with suppress(StopIteration) as _:
            mixed.append(finish(each, theirs))

    right = [expected(f"a{number}", rounds[:1]) for number, rounds in enumerate(callers) if rounds[:1]]
    assert (len(outcomes) > 1) == (right != mixed)


def whole(groups: Sequence[Any], books: Books) -> Posting[Any]:
    del books
    return (yield [group for each in groups for group in each])


def finish(each: Any, theirs: list[Any]) -> list[bytes]:
    try:
        each.send(theirs)
    except StopIteration as done:
        return done.value
    raise AssertionError


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_posting_that_is_only_run_is_refused(kind: str, sqlite_url: str) -> None:
    """Handed to ``run`` a use case that posts would do nothing and say nothing: it is an error instead."""
    store = MemoryStore(Policy()) if kind == "memory" else SqlStore(new_engine(sqlite_url), Policy())

    with closing(store), pytest.raises(InvariantError, match=r"Store\.post"):
        store.run(partial(posting, "a", [1]))


# --- batches ----------------------------------------------------------------------------------------------------


def test_what_comes_meanwhile_is_the_next_batch() -> None:
    """While one batch is under way the calls that come gather, and share the next; there are never two at once."""
    transactions = Transactions()
    transactions.go_on.clear()
    lane = Lane(transactions, Policy())

    with closing(lane), ThreadPoolExecutor(CALLERS) as pool:
        pool.submit(lane.post, partial(posting, "first", [1]))
        transactions.begun.wait(5)
        asked = [pool.submit(lane.post, partial(posting, f"a{n}", [1])) for n in range(CALLERS - 1)]
        sleep(0.1)
        transactions.go_on.set()
        assert [expected(f"a{n}", [1]) for n in range(CALLERS - 1)] == [each.result(5) for each in asked]

    assert [1, CALLERS - 1] == transactions.sizes
    assert 1 == transactions.most_under_way


def test_a_batch_has_its_bound() -> None:
    """No more calls share a transaction than the policy says."""
    transactions = Transactions()
    transactions.go_on.clear()
    lane = Lane(transactions, Policy(batch=10))

    with closing(lane), ThreadPoolExecutor(CALLERS) as pool:
        asked = [pool.submit(lane.post, partial(posting, f"a{n}", [1])) for n in range(CALLERS)]
        sleep(0.1)
        transactions.go_on.set()
        assert all(each.result(5) for each in asked)

    assert 10 == max(transactions.sizes)
    assert CALLERS == sum(transactions.sizes)


def test_a_full_queue_refuses_at_once() -> None:
    """Who would wait behind too much is told so at once, and nothing of it is done."""
    transactions = Transactions()
    transactions.go_on.clear()
    lane = Lane(transactions, Policy(queue=2, batch=1))

    with closing(lane), ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(lane.post, partial(posting, "first", [1]))]
        transactions.begun.wait(5)
        waiting += [pool.submit(lane.post, partial(posting, f"a{n}", [1])) for n in range(2)]
        sleep(0.1)
        since = monotonic()
        with pytest.raises(LedgerBusyError, match="2 calls are waiting"):
            lane.post(partial(posting, "late", [1]))
        took = monotonic() - since
        transactions.go_on.set()
        assert all(each.result(5) for each in waiting)

    assert 0 == transactions.posted("late")
    assert took < 1


# --- patience ---------------------------------------------------------------------------------------------------


def test_what_is_begun_and_not_answered_in_time_is_indeterminate() -> None:
    """The caller is told to ask again with the same key; what was begun is carried out all the same."""
    transactions = Transactions()
    transactions.go_on.clear()
    lane = Lane(transactions, QUICK)

    with closing(lane):
        with pytest.raises(IndeterminateError):
            lane.post(partial(posting, "a", [1]))
        transactions.go_on.set()

    assert 1 == transactions.posted("a")


def test_whose_turn_does_not_come_in_time_is_taken_out() -> None:
    """Given up before its turn a call is never carried out, and the caller is told that nothing was done."""
    transactions = Transactions()
    transactions.go_on.clear()
    lane = Lane(transactions, QUICK)

    with closing(lane), ThreadPoolExecutor(2) as pool:
        first = pool.submit(lane.post, partial(posting, "first", [1]))
        transactions.begun.wait(5)
        second = pool.submit(lane.post, partial(posting, "second", [1]))
        assert isinstance(first.exception(5), IndeterminateError)
        assert isinstance(second.exception(5), LedgerBusyError)
        transactions.go_on.set()

    assert (1, 0) == (transactions.posted("first"), transactions.posted("second"))


# --- asynchronous -----------------------------------------------------------------------------------------------


class Slow:
    """The same for an event loop: work waits until the test lets it go on."""

    def __init__(self) -> None:
        self.store = MemoryStore(Policy())
        self.go_on = asyncio.Event()
        self.sizes: list[int] = []

    async def __call__(self, work: Callable[[Books], list[Any]]) -> list[Any]:
        await self.go_on.wait()
        results = self.store.run(work)
        self.sizes.append(len(results))
        return results


def test_tasks_share_batches_and_get_their_own() -> None:
    """On an event loop what comes meanwhile is the next batch too, and everybody gets the own answer."""

    async def run() -> tuple[list[Any], list[int]]:
        slow = Slow()
        lane = AsyncLane(slow, Policy())
        first = asyncio.ensure_future(lane.post(partial(posting, "first", [1])))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        rest = [asyncio.ensure_future(lane.post(partial(posting, f"a{n}", [2]))) for n in range(CALLERS)]
        await asyncio.sleep(0)
        slow.go_on.set()
        answers = await asyncio.gather(first, *rest)
        await lane.close()
        return answers[1:], slow.sizes

    answers, sizes = asyncio.run(run())

    assert [expected(f"a{n}", [2]) for n in range(CALLERS)] == answers
    assert [1, CALLERS] == sizes


def test_a_cancelled_task_leaves_its_posting_in_the_batch() -> None:
    """Whoever is cancelled stops waiting; what it posted is carried out with the others', waiting or begun."""

    async def run() -> Slow:
        slow = Slow()
        lane = AsyncLane(slow, Policy())
        tasks = [asyncio.ensure_future(lane.post(partial(posting, f"a{n}", [1]))) for n in range(3)]
        await asyncio.sleep(0)
        for task in tasks[:2]:
            task.cancel()
        await asyncio.wait(tasks[:2])
        slow.go_on.set()
        await tasks[2]
        await lane.close()
        assert all(task.cancelled() for task in tasks[:2])
        return slow

    slow = asyncio.run(run())

    assert [1, 1, 1] == [
        slow.store.read(lambda books, n=n: books.ledger.wallets(f"a{n}"))[0].seq for n in range(3)
    ]


def test_a_tasks_patience_ends_too() -> None:
    """Begun and not answered in time is indeterminate; not begun is taken out."""

    async def run() -> tuple[list[Any], Slow]:
        slow = Slow()
        lane = AsyncLane(slow, Policy(patience=timedelta(seconds=0.1), batch=1))
        posts = [lane.post(partial(posting, f"a{n}", [1])) for n in range(2)]
        answers = await asyncio.gather(*posts, return_exceptions=True)
        slow.go_on.set()
        await lane.close()
        return answers, slow

    (first, second), slow = asyncio.run(run())

    assert isinstance(first, IndeterminateError)
    assert isinstance(second, LedgerBusyError)
    assert [1] == slow.sizes


# --- threads and processes --------------------------------------------------------------------------------------


def test_closing_waits_for_what_was_posted_and_ends_the_thread() -> None:
    """Once a lane is closed nothing is under way, and no thread of it is left."""
    transactions = Transactions()
    lane = Lane(transactions, Policy())
    with ThreadPoolExecutor(CALLERS) as pool:
        asked = [pool.submit(lane.post, partial(posting, f"a{n}", [1])) for n in range(CALLERS)]
        lane.close()
        assert all(each.result(5) for each in asked)
    lane.close()

    assert not [thread for thread in threading.enumerate() if thread.name == "ptmeter-lane"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings(
    "ignore::DeprecationWarning"
)  # forking a process with threads is what is tested
def test_a_forked_process_has_lanes_of_its_own(tmp_path: Path) -> None:
    """A meter that was used before its process forked works on in both, and each keeps its own connections."""
    with Meter.open(f"sqlite:///{tmp_path}/pt.db") as meter:
        meter.funds.grant("acme", source="test", key="before", core=10)
        child = os.fork()
        if not child:
            with suppress(BaseException):
                meter.funds.grant("acme", source="test", key="child", core=10)
                os._exit(0)
            os._exit(1)
        meter.funds.grant("acme", source="test", key="parent", core=10)
        _, status = os.waitpid(child, 0)

        assert 0 == os.waitstatus_to_exitcode(status)
        assert 30 == meter.balance("acme").core.available.whole
        assert meter.verify().clean


def test_a_lane_ends_quietly_with_its_loop() -> None:
    """A loop that is abandoned in the middle of a batch takes the lane with it: nothing is run in halves."""
    runs: list[object] = []

    async def never(work: Callable[[Books], list[Any]]) -> list[Any]:
        runs.append(work)
        return await asyncio.get_running_loop().create_future()

    async def begin() -> Any:
        lane = AsyncLane(never, Policy())
        callers = [asyncio.create_task(lane.post(partial(posting, f"a{n}", [1]))) for n in range(2)]
        await asyncio.sleep(0.01)
        serving = lane._task
        assert serving is not None
        serving.get_coro().close()  # what is done to what nobody refers to any more
        for caller in callers:
            caller.cancel()
        return serving.cancel()

    asyncio.run(begin())

    assert 1 == len(runs)
