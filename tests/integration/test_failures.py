"""
What goes wrong with databases: sessions are killed, wires are cut, transactions deadlock.

Before COMMIT nothing has happened, so it is tried again. Around COMMIT nobody knows, so the caller is told,
and learns the truth by asking once more under the same key.
"""

from __future__ import annotations

import sqlite3
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from sqlalchemy.exc import OperationalError
from tests.integration.proxy import ARRIVES, Fault, Wire, without_encryption
from tests.integration.wiring import (
    SERVER_DRIVERS,
    Host,
    clean,
    engine_on,
    execute,
    locked_wallet,
    params,
    query,
    through,
    until,
    waiting,
)

from ptmeter import (
    PT,
    AsyncMeter,
    ContentionError,
    IndeterminateError,
    Meter,
    Policy,
    StorageError,
)
from ptmeter.domain.keys import wallet_number
from ptmeter.domain.pt import MICRO
from ptmeter.domain.receipts import Hold
from ptmeter.operations.posting import post
from ptmeter.storage.engine import new_engine, new_engine_async
from ptmeter.storage.store import AsyncSqlStore, SqlStore
from ptmeter.storage.transactions import translated
from ptmeter.testing import Blocking
from ptmeter.testing.steps import balance, debit, figures, give, held, hold, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.backends import Backend, Driver

    from ptmeter.ports import Store

T = TypeVar("T")

ONE_ATTEMPT = Policy(attempts=1)
PATIENCE = 5.0


@contextmanager
def store_on(url: str, driver: Driver, policy: Policy | None = None) -> Iterator[Store]:
    """A store through that driver."""
    url, policy = through(driver, url), policy or Policy()
    store: Store
    if driver.asynchronous:
        store = Blocking(lambda: AsyncSqlStore(new_engine_async(url), policy))
    else:
        store = SqlStore(new_engine(url), policy)
    with closing(store):
        yield store


# --- sessions that are killed -------------------------------------------------------------------------

IDLE = {
    "postgres": "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid()",
    "mysql": "SELECT id FROM information_schema.processlist WHERE db = database() "
    "AND id <> connection_id()",
}


def kill(name: str, url: str, sessions: list[int]) -> None:
    """End sessions of our own database."""
    verb = "SELECT pg_terminate_backend({})" if name == "postgres" else "KILL {}"
    execute(url, *(verb.format(session) for session in sessions))


@pytest.mark.parametrize("driver", params(SERVER_DRIVERS))
def test_a_session_killed_while_it_waits_is_tried_again(
    driver: Driver, backend_of: Callable[[str], Backend]
) -> None:
    """Before COMMIT a lost connection has lost nothing: another one is taken, and the hold is placed once."""
    url = backend_of(driver.backend).empty()
    with store_on(url, driver) as store, ThreadPoolExecutor(1) as pool:
        give(store, 10)
        with locked_wallet(url):
            placing = pool.submit(hold, store, 4)
            first = waiting(driver.backend, url)
            kill(driver.backend, url, first)
            again = waiting(driver.backend, url, besides=first)

        assert isinstance(placing.result(PATIENCE), Hold)
        assert again
        assert (PT.of(6), PT.of(4), PT.of(0)) == figures(store)
    assert clean(url)


@pytest.mark.parametrize("driver", params(SERVER_DRIVERS))
def test_a_session_killed_too_often_is_reported_as_worth_retrying(
    driver: Driver, backend_of: Callable[[str], Backend]
) -> None:
    """When no attempts are left the error says that the same call may succeed later, and it does."""
    url = backend_of(driver.backend).empty()
    with store_on(url, driver, ONE_ATTEMPT) as store, ThreadPoolExecutor(1) as pool:
        give(store, 10)
        with locked_wallet(url):
            placing = pool.submit(hold, store, 4)
            kill(driver.backend, url, waiting(driver.backend, url))

            with pytest.raises(ContentionError) as lost:
                placing.result(PATIENCE)

        assert lost.value.retryable
        assert isinstance(hold(store, 4), Hold)
    assert clean(url)


@pytest.mark.parametrize("driver", params(SERVER_DRIVERS))
def test_connections_killed_in_the_pool_are_replaced(
    driver: Driver, backend_of: Callable[[str], Backend]
) -> None:
    """After a restart of the server the next hold goes through; so does reading, or it says to try again."""
    url = backend_of(driver.backend).empty()
    with store_on(url, driver) as store:
        give(store, 10)
        balance(store)
        kill_idle(driver.backend, url)
        placed = hold(store, 4)
        kill_idle(driver.backend, url)
        try:
            balance(store)
            worth_retrying = True
        except StorageError as error:
            worth_retrying = error.retryable

        assert worth_retrying
        assert isinstance(placed, Hold)
        assert PT.of(6) == balance(store).available


@pytest.mark.parametrize("driver", params(SERVER_DRIVERS))
def test_killed_connections_of_a_borrowed_pool_are_replaced(
    driver: Driver, backend_of: Callable[[str], Backend]
) -> None:
    """The same in a pool of the application's own, where the isolation is set whenever one is taken out."""
    url = backend_of(driver.backend).empty()
    with Host(through(driver, url), asynchronous=driver.asynchronous) as application:
        application.wait(application.meter.funds.grant("acme", source="test", key="g", core=10))
        kill_idle(driver.backend, url)

        placed = application.wait(application.meter.hold("acme", key="h", core=4))

    assert not placed.replayed
    assert clean(url)


@pytest.mark.parametrize("driver", params(SERVER_DRIVERS))
def test_a_pool_of_dead_connections_costs_one_attempt(
    driver: Driver, backend_of: Callable[[str], Backend]
) -> None:
    """Once one of them has failed the others are not tried: the second attempt goes through."""
    url = backend_of(driver.backend).empty()
    twice = Policy(attempts=2)
    with Host(through(driver, url), asynchronous=driver.asynchronous, policy=twice) as application:
        application.wait(application.meter.funds.grant("acme", source="test", key="g", core=10))
        connections = [application.wait(application.engine.connect()) for _ in range(4)]
        for connection in connections:
            application.wait(connection.close())
        kill_idle(driver.backend, url)

        placed = application.wait(application.meter.hold("acme", key="h", core=4))

    assert not placed.replayed


def kill_idle(name: str, url: str) -> None:
    kill(name, url, [number for (number,) in query(url, IDLE[name])])
    until(lambda: not query(url, IDLE[name]))


@pytest.mark.parametrize("driver", params(SERVER_DRIVERS))
def test_a_server_that_is_not_there_is_a_storage_error(
    driver: Driver, backend_of: Callable[[str], Backend]
) -> None:
    """Whoever catches PtmeterError catches a server that is down as well."""
    with Wire(backend_of(driver.backend).url) as wire:
        gone = wire.url  # nobody listens there once the wire is closed

    with store_on(gone, driver, ONE_ATTEMPT) as store, pytest.raises(StorageError):
        give(store, 10)


# --- wires that are cut at COMMIT -----------------------------------------------------------------------


@pytest.mark.parametrize("cut", [Fault.CUT_BEFORE, Fault.CUT_AFTER])
@pytest.mark.parametrize("driver", params(SERVER_DRIVERS))
def test_a_wire_cut_at_commit_is_indeterminate_and_converges(
    driver: Driver, cut: Fault, backend_of: Callable[[str], Backend]
) -> None:
    """Whether COMMIT arrived or only its answer was lost, the caller is told; asking again settles it."""
    url = backend_of(driver.backend).empty()
    with Wire(url) as wire, store_on(without_encryption(wire.url, driver), driver) as store:
        give(store, 10)

        wire.strike(cut)
        with pytest.raises(IndeterminateError) as lost:
            hold(store, 4)
        assert wire.was_struck.wait(PATIENCE)
        there = query(url, "SELECT count(*) FROM ptm_open_hold")[0][0]
        again = held(store, 4)

        assert lost.value.retryable
        assert int(cut in ARRIVES) == there
        assert (cut in ARRIVES) == again.replayed
        assert (PT.of(6), PT.of(4), PT.of(0)) == figures(store)
    assert clean(url)


@pytest.mark.parametrize("cut", [Fault.CUT_BEFORE, Fault.CUT_AFTER])
@pytest.mark.parametrize("driver", params(SERVER_DRIVERS))
def test_a_settle_cut_at_commit_is_charged_once(
    driver: Driver, cut: Fault, backend_of: Callable[[str], Backend]
) -> None:
    """The same for the charge itself: retried under its key it is on the journal exactly once."""
    url = backend_of(driver.backend).empty()
    with Wire(url) as wire, store_on(without_encryption(wire.url, driver), driver) as store:
        give(store, 10)
        placed = held(store, 4)

        wire.strike(cut)
        with pytest.raises(IndeterminateError):
            settle(store, placed, 3)
        settle(store, placed, 3)

        assert (PT.of(7), PT.of(0), PT.of(3)) == figures(store)
    assert clean(url)


def test_a_wire_that_is_not_cut_is_not_indeterminate(backend_of: Callable[[str], Backend]) -> None:
    """The control: through the same proxy, left alone, the same hold is simply placed."""
    url = backend_of("postgres").empty()
    driver = SERVER_DRIVERS[0]
    with Wire(url) as wire, store_on(without_encryption(wire.url, driver), driver) as store:
        give(store, 10)

        assert not held(store, 4).replayed
        assert not wire.was_struck.is_set()


# --- deadlocks and time-outs ------------------------------------------------------------------------------


@pytest.mark.parametrize("driver", params(SERVER_DRIVERS))
def test_a_deadlock_is_contention(driver: Driver, backend_of: Callable[[str], Backend]) -> None:
    """Chosen as the victim of a deadlock, the transaction is given up as one that can be tried again."""
    url = backend_of(driver.backend).empty()
    with (
        store_on(url, driver, ONE_ATTEMPT) as store,
        ThreadPoolExecutor(1) as pool,
    ):
        give(store, 10, account="a")
        give(store, 10, account="b")
        with deadlock_over(url, pool, store) as posting, pytest.raises(ContentionError):
            posting.result(PATIENCE)
    assert clean(url)


@pytest.mark.parametrize("driver", params(SERVER_DRIVERS))
def test_a_deadlock_is_tried_again(driver: Driver, backend_of: Callable[[str], Backend]) -> None:
    """With attempts left nobody sees it: once the other is done the batch goes through."""
    url = backend_of(driver.backend).empty()
    with (
        store_on(url, driver) as store,
        ThreadPoolExecutor(1) as pool,
    ):
        give(store, 10, account="a")
        give(store, 10, account="b")
        with deadlock_over(url, pool, store) as posting:
            pass

        assert [5 * MICRO, 5 * MICRO] == [outcome.charged for (outcome,) in posting.result(PATIENCE)]
    assert clean(url)


@contextmanager
def deadlock_over(url: str, pool: ThreadPoolExecutor, store: Store) -> Iterator[Future[Any]]:
    """A batch over two wallets, and somebody who has locked its last, and once it waits asks for its first."""
    name = "postgres" if url.startswith("postgresql") else "mysql"
    batch = [(debit("a", 5),), (debit("b", 5),)]
    first, last = sorted("ab", key=lambda account: wallet_number(account, "core"))  # as a batch locks them
    lock = "SELECT * FROM ptm_wallet WHERE account = '{}' FOR UPDATE"
    with engine_on(url) as engine, engine.connect() as other, other.begin():
        if name == "postgres":  # which aborts whoever has waited for a second and then finds the circle
            other.exec_driver_sql("SET LOCAL deadlock_timeout = '10s'")
        else:  # which rolls back whoever has written less
            other.exec_driver_sql("UPDATE ptm_account SET parent = 'x'")
        other.exec_driver_sql(lock.format(last)).all()
        posting = pool.submit(store.run, partial(post, batch=batch))
        waiting(name, url)
        other.exec_driver_sql(lock.format(first)).all()
        if name == "mysql":
            other.exec_driver_sql("UPDATE ptm_account SET parent = NULL")
        yield posting


@contextmanager
def sessions_with(url: str, driver: Driver, **settings: str) -> Iterator[str]:
    """The URL of a database whose new sessions have these settings."""
    if driver.backend == "mysql":
        yield url + "?init_command=" + "+".join(f"SET SESSION {n}%3D{v}" for n, v in settings.items())
        return
    database = url.rpartition("/")[2]
    execute(url, *(f"ALTER DATABASE {database} SET {n} = {v}" for n, v in settings.items()))
    try:
        yield url
    finally:
        execute(url, f"ALTER DATABASE {database} RESET ALL")


@pytest.mark.sessions
@pytest.mark.parametrize("driver", params(SERVER_DRIVERS))
def test_waiting_too_long_for_a_lock_is_contention(
    driver: Driver, backend_of: Callable[[str], Backend]
) -> None:
    """A server that is set to give up waiting is understood: nothing was written, try again."""
    impatience = {"mysql": {"innodb_lock_wait_timeout": "1"}, "postgres": {"lock_timeout": "100"}}
    url = backend_of(driver.backend).empty()
    with (
        sessions_with(url, driver, **impatience[driver.backend]) as short,
        store_on(short, driver, ONE_ATTEMPT) as store,
    ):
        give(store, 10)
        with locked_wallet(url), pytest.raises(ContentionError):
            hold(store, 4)

        assert isinstance(hold(store, 4), Hold)


@pytest.mark.sqlite
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_a_locked_sqlite_file_is_contention(asynchronous: bool, sqlite_url: str) -> None:
    """A writer who does not let go in time is understood: nothing was written, try again."""
    import asyncio

    from tests.integration.wiring import async_engine_on

    with Meter.open(sqlite_url) as meter:
        meter.funds.grant("acme", source="test", key="g", core=10)

    async def hold_it() -> None:
        async with (
            async_engine_on(sqlite_url, connect_args={"timeout": 0}) as engine,
            AsyncMeter.open(engine, policy=ONE_ATTEMPT) as mine,
        ):
            writer.execute("BEGIN IMMEDIATE")
            await mine.hold("acme", key="h", core=1)

    with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)) as writer:
        if asynchronous:
            with pytest.raises(ContentionError):
                asyncio.run(hold_it())
        else:
            with (
                engine_on(sqlite_url, connect_args={"timeout": 0}) as engine,
                Meter.open(engine, policy=ONE_ATTEMPT) as mine,
                pytest.raises(ContentionError),
            ):
                writer.execute("BEGIN IMMEDIATE")
                mine.hold("acme", key="h", core=1)
        writer.execute("ROLLBACK")


@dataclass
class Coded(Exception):
    """What a driver raises."""

    number: int | str
    sqlstate: str | None = None

    def __post_init__(self) -> None:
        super().__init__(self.number, "as the server says it")


@pytest.mark.parametrize("state", ["40001", "40P01", "55P03"])
def test_postgresql_codes_of_contention(state: str) -> None:
    """serialization_failure, deadlock_detected and lock_not_available are contention."""
    assert ContentionError is type(translated(OperationalError("UPDATE", None, Coded("no", state))))


@pytest.mark.parametrize("number", [1205, 1213, 1020])
def test_mysql_codes_of_contention(number: int) -> None:
    """ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK and ER_CHECKREAD are contention."""
    assert ContentionError is type(translated(OperationalError("UPDATE", None, Coded(number))))


@pytest.mark.parametrize(("number", "state"), [(1146, None), ("no", "42P01"), (1040, "08004")])
def test_other_codes_are_not_contention(number: int | str, state: str | None) -> None:
    """The control: a missing table is no contention, and is not tried twelve times."""
    assert StorageError is type(translated(OperationalError("UPDATE", None, Coded(number, state))))
