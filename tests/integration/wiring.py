"""How the tests here get at a database beside ptmeter's own way: engines, tables of an application, plain SQL."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.ext.asyncio import create_async_engine
from tests.backends import DRIVERS

from ptmeter import AsyncMeter, Meter
from ptmeter.operations.posting import alone
from ptmeter.storage.engine import _UNPREPARED, PREPARED, resolve
from ptmeter.storage.store import SqlStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator

    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncEngine
    from tests.backends import Driver

    from ptmeter.ports import Books, Posting

T = TypeVar("T")

PATIENCE: Final = 5.0

SQL_DRIVERS: Final = tuple(driver for driver in DRIVERS if driver.backend != "memory")
SERVER_DRIVERS: Final = tuple(driver for driver in SQL_DRIVERS if driver.backend != "sqlite")


def params(drivers: tuple[Driver, ...]) -> list[Any]:
    """Drivers as pytest parameters, marked by their database."""
    return [pytest.param(d, id=d.name, marks=getattr(pytest.mark, d.backend)) for d in drivers]


def servers(*names: str) -> list[Any]:
    """Databases as pytest parameters, marked."""
    return [pytest.param(name, id=name, marks=getattr(pytest.mark, name)) for name in names]


def through(driver: Driver, url: str) -> str:
    """The URL with that driver."""
    return driver.scheme + url[url.index("://") :]


def unprepared(url: str, *, asynchronous: bool) -> dict[str, Any]:
    """What an application behind a pooler of transactions gives an engine of its own."""
    if make_url(url).query.get(PREPARED) != "off":
        return {}
    return {"connect_args": dict(_UNPREPARED[resolve(url, asynchronous=asynchronous).get_driver_name()])}


@contextmanager
def engine_on(url: str, **options: Any) -> Iterator[Engine]:
    """An engine of the application's own."""
    engine = create_engine(
        resolve(url, asynchronous=False), **unprepared(url, asynchronous=False), **options
    )
    try:
        yield engine
    finally:
        engine.dispose()


@asynccontextmanager
async def async_engine_on(url: str, **options: Any) -> AsyncIterator[AsyncEngine]:
    """An asynchronous engine of the application's own."""
    engine = create_async_engine(
        resolve(url, asynchronous=True), **unprepared(url, asynchronous=True), **options
    )
    try:
        yield engine
    finally:
        await engine.dispose()


def few(url: str) -> dict[str, Any]:
    """Options for a small pool on a server that others use too."""
    return {} if url.startswith("sqlite") else {"pool_size": 6, "max_overflow": 0, "pool_timeout": 60}


@contextmanager
def meter_on(url: str, **options: Any) -> Iterator[Meter]:
    """A meter with few connections."""
    if url.startswith("sqlite"):
        with Meter.open(url, **options) as meter:
            yield meter
        return
    with engine_on(url, **few(url)) as engine, Meter.open(engine, **options) as meter:
        yield meter


@asynccontextmanager
async def async_meter_on(url: str, **options: Any) -> AsyncIterator[AsyncMeter]:
    """An asynchronous meter with few connections."""
    if url.startswith("sqlite"):
        async with AsyncMeter.open(url, **options) as meter:
            yield meter
        return
    async with async_engine_on(url, **few(url)) as engine, AsyncMeter.open(engine, **options) as meter:
        yield meter


def query(url: str, sql: str) -> list[tuple[Any, ...]]:
    """Ask the database itself."""
    with engine_on(url) as engine, engine.connect() as connection:
        return [tuple(row) for row in connection.exec_driver_sql(sql)]


def execute(url: str, *statements: str) -> None:
    """Have the database do something, each statement for itself."""
    with engine_on(url, isolation_level="AUTOCOMMIT") as engine, engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def clean(url: str) -> bool:
    """Whether a new meter, which remembers nothing, finds everything in order."""
    with engine_on(url) as engine, Meter.open(engine) as meter:
        return meter.verify().clean


class OneByOne(SqlStore):
    """A store without lanes: callers meet at the database's lock, as those of different processes do."""

    def post(self, _account: str, work: Callable[[Books], Posting[T]], /) -> T:
        """Carry *work* out in a transaction of its own."""
        return self.run(lambda books: alone(books, work))


def in_a_thread(work: Callable[[], T]) -> T:
    """
    What *work* comes to, carried out in a thread of its own, with what it left thrown away.

    An unfinished greenlet of SQLAlchemy's that is collected while pytest parses the source of a failure makes
    Python 3.11 stop with a SystemError about the compiler's recursion depth.
    """
    with ThreadPoolExecutor(1) as thread:
        done = thread.submit(work)
    if done.exception():
        gc.collect()
    return done.result()


class Host:
    """An application of one colour: an engine of its own, a meter on it, and transactions of its own."""

    def __init__(self, url: str, *, asynchronous: bool, **options: Any) -> None:
        """*options* are the meter's."""
        self.asynchronous = asynchronous
        self._runner = asyncio.Runner()
        self.engine: Any
        if asynchronous:
            self.engine = create_async_engine(
                resolve(url, asynchronous=True), **unprepared(url, asynchronous=True)
            )
            self.meter: Any = AsyncMeter.open(self.engine, **options)
        else:
            self.engine = create_engine(
                resolve(url, asynchronous=False), **unprepared(url, asynchronous=False)
            )
            self.meter = Meter.open(self.engine, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.asynchronous:
            self.wait(self.engine.dispose())
        else:
            self.engine.dispose()
        self._runner.close()

    def wait(self, value: Awaitable[T] | T) -> T:
        """The value, once it is there."""
        if not self.asynchronous:
            return value  # type: ignore[return-value]

        async def await_it() -> T:
            return await value  # type: ignore[misc]

        return in_a_thread(lambda: self._runner.run(await_it()))

    def transaction(self, script: Callable[[Any], Any], **options: Any) -> Any:
        """Carry out *script* in ``engine.begin()``; it is given a connection whose methods `wait`."""
        if self.asynchronous:
            return in_a_thread(lambda: self._runner.run(self._async_transaction(script, options)))
        with self.engine.execution_options(**options).begin() as connection:
            return script(Here(connection, lambda value: value, self.meter))

    async def _async_transaction(self, script: Callable[[Any], Any], options: dict[str, Any]) -> Any:
        """The script is a plain function: it is carried out in a greenlet that can wait for the loop."""
        from sqlalchemy.util import await_only, greenlet_spawn

        async with self.engine.execution_options(**options).begin() as connection:
            return await greenlet_spawn(script, Here(connection, await_only, self.meter))


@dataclass(frozen=True)
class Here:
    """What a script sees of the transaction it is in."""

    connection: Any
    wait: Callable[[Any], Any]
    meter: Any

    def sql(self, statement: str) -> Any:
        """The application's own statement."""
        return self.wait(self.connection.exec_driver_sql(statement))

    @property
    def joined(self) -> Any:
        """The meter inside this transaction; what its verbs return is to be waited for."""
        return self.meter.joined(self.connection)


# --- who waits for what -------------------------------------------------------------------------------

WAITING = {
    "postgres": "SELECT pid FROM pg_stat_activity WHERE datname = current_database() "
    "AND wait_event_type = 'Lock'",
    "mysql": "SELECT trx_mysql_thread_id FROM information_schema.innodb_trx "
    "JOIN information_schema.processlist ON id = trx_mysql_thread_id "
    "WHERE trx_state = 'LOCK WAIT' AND db = database()",
}


def until(condition: Callable[[], T]) -> T:
    """What *condition* comes to, once it is something."""
    give_up = monotonic() + PATIENCE
    while not (found := condition()):
        if monotonic() > give_up:
            pytest.fail("what is waited for does not come about")
        sleep(0.15)  # InnoDB lists its transactions anew only if nobody has asked for a tenth of a second
    return found


def waiting(name: str, url: str, *, besides: Collection[int] = ()) -> list[int]:
    """The sessions on this database that wait for a lock, once there are any (besides those)."""
    return until(lambda: [number for (number,) in query(url, WAITING[name]) if number not in besides])


@contextmanager
def locked_wallet(url: str) -> Iterator[Connection]:
    """Somebody else's transaction, with the wallet locked."""
    with engine_on(url) as engine, engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("SELECT * FROM ptm_wallet FOR UPDATE").all()
        yield connection
