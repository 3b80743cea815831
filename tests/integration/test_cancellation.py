"""
A task that is cancelled in the middle of a hold or a settle leaves nothing half done.

Web servers cancel a request's task when its client goes away, at whatever point that happens to be. Every
task here is cancelled after so many turns of the event loop, so that each statement and each wait between
them is hit, and then asked for once more under its key. A store that commits what it has got so far, and one
that forgets to give its connection back, show that the checks would notice.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import warnings
from collections import Counter
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from sqlalchemy.exc import SAWarning, SQLAlchemyError
from tests.integration.wiring import (
    SQL_DRIVERS,
    async_engine_on,
    clean,
    in_a_thread,
    locked_wallet,
    params,
    query,
    through,
    waiting,
)

from ptmeter import PT, AsyncMeter, Policy, PtmeterError
from ptmeter.operations.posting import alone
from ptmeter.storage.store import AsyncSqlStore
from ptmeter.storage.transactions import transact

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
    from tests.backends import Backend, Driver

    from ptmeter.ports import Books, Posting

T = TypeVar("T")

ASYNC = tuple(driver for driver in SQL_DRIVERS if driver.asynchronous)

CALLS = 32
SIDE_BY_SIDE = 4
TURNS = 60
"""More turns of the loop than any call takes on SQLite; the servers' answers take further ones."""


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What a cancelled test left to the collector is collected with it, not in the middle of another."""
    yield
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(3):
            gc.collect()
    sys.unraisablehook = hook


class Found:
    """What a run of cancelled calls left."""

    def __init__(self) -> None:
        self.ends: Counter[str] = Counter()
        self.checked_out = -1
        self.spent = PT.of(-1)
        self.held = PT.of(-1)


async def cancel_many(
    meter: AsyncMeter, engine: AsyncEngine, *, seed: int = 1, patience: float = 10
) -> Found:
    """Calls that are cut off anywhere; then each again, to its end."""
    random, found = Random(seed), Found()
    await meter.funds.grant("acme", source="test", key="g", core=1_000)

    async def one(number: int) -> None:
        placed = await meter.hold("acme", key=f"c{number}", core=2)
        await meter.settle(placed, key=f"c{number}", core=1)

    async def cut_off(number: int) -> None:
        task = asyncio.ensure_future(one(number))
        turns = number if number % 2 else random.randrange(TURNS)
        for _ in range(turns):
            await asyncio.sleep(0)
        if turns % 3 == 0:
            await asyncio.sleep(random.random() / 50)
        task.cancel()
        await asyncio.wait([task])
        failure = None if task.cancelled() else task.exception()
        found.ends["cancelled" if task.cancelled() else type(failure).__name__ if failure else "done"] += 1

    for number in range(0, CALLS, SIDE_BY_SIDE):
        await asyncio.gather(*(cut_off(number + n) for n in range(SIDE_BY_SIDE)))
    checked_out = engine.pool.checkedout  # type: ignore[attr-defined]
    found.checked_out = await settled(checked_out, seconds=patience)
    for number in range(CALLS):
        await asyncio.wait_for(one(number), 5)
    core = (await meter.balance("acme")).core
    found.spent, found.held = core.spent, core.held
    return found


def run_to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Run *work*, and what it left to tasks and threads of the drivers' own."""

    async def run() -> T:
        value = await work
        await asyncio.sleep(0.2)
        return value

    return in_a_thread(lambda: asyncio.run(run()))


async def settled(count: Callable[[], int], *, seconds: float = 10) -> int:
    """What *count* comes down to: a connection is given back by a task of its own after a cancellation."""
    for _ in range(int(seconds * 100)):
        if not count():
            break
        await asyncio.sleep(0.01)
    return count()


@pytest.mark.slow
@pytest.mark.parametrize("borrowed", [False, True], ids=["own", "borrowed"])
@pytest.mark.parametrize("driver", params(ASYNC))
def test_a_cancelled_call_leaves_nothing_behind(
    driver: Driver, borrowed: bool, backend_of: Callable[[str], Backend]
) -> None:
    """Cut off anywhere, a call is done or not begun: asked again it ends well, and is charged once."""
    url = through(driver, backend_of(driver.backend).empty())

    with warnings.catch_warnings(record=True) as dropped:
        warnings.simplefilter("always", SAWarning)
        found = run_to_the_end(cancel_on_borrowed(url) if borrowed else cancel_on_own(url))
        gc.collect()

    assert found.ends.total() - found.ends["done"] > CALLS // 4
    assert 0 == found.checked_out
    assert (PT.of(CALLS), PT.of(0)) == (found.spent, found.held)
    assert clean(url)
    assert [] == [str(warning.message) for warning in dropped]


async def cancel_on_own(url: str) -> Found:
    async with AsyncMeter.open(url) as meter:
        return await cancel_many(meter, meter._platform.store._engine)  # type: ignore[attr-defined]


async def cancel_on_borrowed(url: str) -> Found:
    async with (
        async_engine_on(url, pool_size=4, max_overflow=0) as engine,
        AsyncMeter.open(engine) as meter,
    ):
        return await cancel_many(meter, engine)


@pytest.mark.parametrize("driver", params(tuple(d for d in ASYNC if d.backend != "sqlite")))
def test_a_call_cancelled_while_it_waits_leaves_no_transaction_open(
    driver: Driver, backend_of: Callable[[str], Backend]
) -> None:
    """Cut off while it waits for the wallet, a hold neither gets the lock afterwards nor keeps its session."""
    url = backend_of(driver.backend).empty()

    async def run() -> bool:
        async with AsyncMeter.open(through(driver, url)) as meter:
            await meter.funds.grant("acme", source="test", key="g", core=10)
            with locked_wallet(url):
                task = asyncio.ensure_future(meter.hold("acme", key="h", core=1))
                await asyncio.to_thread(waiting, driver.backend, url)
                task.cancel()
                await asyncio.wait([task])
            await asyncio.sleep(0.2)
            nobody = not query(url, IN_TRANSACTION[driver.backend])
            await asyncio.wait_for(meter.hold("acme", key="h", core=1), 5)
            return nobody

    assert run_to_the_end(run())
    assert clean(url)


IN_TRANSACTION = {
    "postgres": "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%%'",
    "mysql": "SELECT id FROM information_schema.innodb_trx "
    "JOIN information_schema.processlist ON id = trx_mysql_thread_id WHERE db = database()",
}


@pytest.mark.parametrize("driver", params(ASYNC))
def test_a_cancelled_task_is_cancelled(driver: Driver, backend_of: Callable[[str], Backend]) -> None:
    """Who cancels a task (a timeout, a task group, a web server) sees it cancelled, not failed."""
    url = backend_of(driver.backend).empty()
    ends: Counter[str] = Counter()

    async def run() -> None:
        async with (
            async_engine_on(through(driver, url), pool_size=4, max_overflow=0) as engine,
            AsyncMeter.open(engine) as meter,
        ):
            await meter.funds.grant("acme", source="test", key="g", core=1_000)
            for turns in range(1, 33):
                task = asyncio.ensure_future(meter.hold("acme", key=f"c{turns}", core=1))
                for _ in range(turns):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
                ends["cancelled" if task.cancelled() else repr(task.exception())] += 1

    run_to_the_end(run())

    assert ends["cancelled"]
    assert {"cancelled", "None"} >= set(ends)


# --- the controls -----------------------------------------------------------------------------------


GIVEN_UP_AFTER = 0.5
"""Seconds: these connections are never given back."""


class KeepsItsConnection(AsyncSqlStore):
    """Gives its connection back only if nothing comes in between."""

    def __init__(self, engine: AsyncEngine, policy: Policy) -> None:
        super().__init__(engine, policy)
        self.connections: list[AsyncConnection] = []

    async def post(self, _account: str, work: Callable[[Books], Posting[Any]], /) -> Any:
        return await self.run(lambda books: alone(books, work))

    async def run(self, work: Callable[[Books], Any], /) -> Any:
        connection = await self._engine.connect()
        self.connections.append(connection)
        value = await connection.run_sync(transact, lambda c: work(self._binder.books(c)))
        await asyncio.sleep(0.05)
        await connection.close()
        return value


async def cancel_on_broken(
    url: str, store: Callable[[AsyncEngine, Policy], AsyncSqlStore], *, seed: int = 1, **options: Any
) -> int:
    """How many connections are left behind."""
    async with async_engine_on(url, pool_size=CALLS + 4, **options) as engine:
        async with AsyncMeter.open(engine) as meter:
            broken = meter._platform.store = store(engine, Policy())
            with suppress(PtmeterError, SQLAlchemyError):
                await cancel_many(meter, engine, seed=seed, patience=GIVEN_UP_AFTER)
            left = await settled(engine.pool.checkedout, seconds=GIVEN_UP_AFTER)  # type: ignore[attr-defined]
            for connection in getattr(broken, "connections", ()):
                await connection.close()
        return left


@pytest.mark.sqlite
@pytest.mark.filterwarnings("ignore")  # it is the point that connections are dropped
def test_connections_left_behind_are_noticed(sqlite_url: str) -> None:
    """The control: a store that gives its connection back only if nothing comes in between loses some."""
    assert run_to_the_end(cancel_on_broken(sqlite_url, KeepsItsConnection))


@pytest.mark.sqlite
@pytest.mark.filterwarnings("ignore")
def test_half_written_state_is_noticed(backend_of: Callable[[str], Backend]) -> None:
    """The control: where each statement is committed by itself, what was written by then stays, and shows."""

    def is_left_half_written(seed: int) -> bool:
        url = backend_of("sqlite").empty()  # what is done already is not done again: each needs its own
        run_to_the_end(cancel_on_broken(url, KeepsItsConnection, seed=seed, isolation_level="AUTOCOMMIT"))
        return not clean(url)

    assert any(is_left_half_written(seed) for seed in range(1, 11))
