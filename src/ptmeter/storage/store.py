"""
Opening books: one transaction from begin to commit, the same body for both colours.

`AsyncSqlStore` hands `transact` to SQLAlchemy's ``run_sync``, so a use case is one plain function for
both, and a cancelled task rolls back like a failed one.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import update
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from tenacity import AsyncRetrying, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from ..domain.policy import Durability
from ..errors import (
    ConfigurationError,
    ContentionError,
    IndeterminateError,
    InvariantError,
    PeriodClosedError,
    StorageError,
)
from . import dialects, schema
from .accounts import SqlAccounts
from .cards import PriceShelf, SqlCards, Versions
from .ledger import SqlLedger
from .periods import SqlPeriods
from .statements import Statements
from .tables import wallet

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from ..domain.policy import Policy
    from ..ports import Books

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SqlBooks:
    """The repositories inside one transaction."""

    ledger: SqlLedger
    accounts: SqlAccounts
    cards: SqlCards
    periods: SqlPeriods
    chain_key: bytes


class Binder:
    """Opens books on a connection: what the stores of both colours and a joined one share."""

    def __init__(self, dialect: str, policy: Policy, clock: Callable[[], datetime] | None) -> None:
        self._statements = Statements(dialect)
        self._seen = Versions()
        self._clock = _system_clock if clock is None and dialect == "sqlite" else clock
        self.policy = policy

    def books(self, connection: Connection) -> SqlBooks:
        """The books of the transaction that *connection* is in."""
        shelf = PriceShelf(connection, self._statements, self._seen)
        key = self.policy.chain_key
        ledger = SqlLedger(connection, self._statements, shelf, clock=self._clock, chain_key=key)
        return SqlBooks(
            ledger,
            SqlAccounts(connection, self._statements, ledger.now),
            SqlCards(connection, self._statements, self._seen),
            SqlPeriods(connection),
            key,
        )

    def make_ready(self, connection: Connection, *, migrate: bool) -> None:
        """Check that the database keeps what it acknowledges, and that its tables are ours."""
        if self.policy.durability is Durability.STRICT:
            dialects.check_durability(connection)
        schema.ensure(connection, migrate=migrate or connection.dialect.name == "sqlite")

    def retrying(self, colour: type[Any]) -> Any:
        """Try again, sooner at first, what the database aborted for the sake of another transaction."""
        return colour(
            retry=retry_if_exception_type(ContentionError),
            wait=wait_random_exponential(multiplier=0.002, max=0.5),
            stop=stop_after_attempt(max(1, self.policy.attempts - 1)),
            reraise=True,
        )


class SqlStore:
    """A ledger on a database, synchronously."""

    def __init__(
        self,
        engine: Engine,
        policy: Policy,
        clock: Callable[[], datetime] | None = None,
        *,
        owned: bool = True,
    ) -> None:
        """*owned*: whether closing the store closes the engine's connections too."""
        self._engine = engine
        self._owned = owned
        self._binder = Binder(engine.dialect.name, policy, clock)

    def prepare(self, *, migrate: bool) -> None:
        """See `Binder.make_ready`."""
        with _errors_translated(), self._engine.connect() as connection:
            transact(connection, lambda c: self._binder.make_ready(c, migrate=migrate))

    def run(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.run`."""
        try:
            return self._once(work)
        except ContentionError:
            return self._binder.retrying(Retrying)(self._once, work)

    def read(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.read`."""
        with _errors_translated(), self._engine.connect() as connection:
            reading = connection.execution_options(**dialects.snapshot(self._engine.dialect.name))
            return transact(reading, lambda c: work(self._binder.books(c)))

    def joined(self, connection: Connection) -> JoinedStore:
        """A store that works inside the caller's transaction."""
        return JoinedStore(connection, self._binder)

    def close(self) -> None:
        """See `ports.Store.close`."""
        if self._owned:
            self._engine.dispose()

    def _once(self, work: Callable[[Books], T]) -> T:
        with _errors_translated(), self._engine.connect() as connection:
            return transact(connection, lambda c: work(self._binder.books(c)))


class AsyncSqlStore:
    """A ledger on a database, asynchronously."""

    def __init__(
        self,
        engine: AsyncEngine,
        policy: Policy,
        clock: Callable[[], datetime] | None = None,
        *,
        owned: bool = True,
    ) -> None:
        """See `SqlStore`."""
        self._engine = engine
        self._owned = owned
        self._under_way: set[asyncio.Task[Any]] = set()
        self._binder = Binder(engine.dialect.name, policy, clock)

    async def prepare(self, *, migrate: bool) -> None:
        """See `Binder.make_ready`."""
        with _errors_translated():
            async with self._engine.connect() as connection:
                await connection.run_sync(transact, lambda c: self._binder.make_ready(c, migrate=migrate))

    async def run(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.run`."""
        return await self._shielded(self._persistently(work))

    async def read(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.read`."""
        return await self._shielded(self._read(work))

    async def _persistently(self, work: Callable[[Books], T]) -> T:
        try:
            return await self._once(work)
        except ContentionError:
            return await self._binder.retrying(AsyncRetrying)(self._once, work)

    async def _read(self, work: Callable[[Books], T]) -> T:
        with _errors_translated():
            async with self._engine.connect() as connection:
                options = dialects.snapshot(self._engine.dialect.name)
                reading = await connection.execution_options(**options)
                return await reading.run_sync(transact, lambda c: work(self._binder.books(c)))

    def joined(self, connection: AsyncConnection) -> AsyncJoinedStore:
        """A store that works inside the caller's transaction."""
        return AsyncJoinedStore(connection, self._binder)

    async def close(self) -> None:
        """See `ports.AsyncStore.close`; what is still under way is waited for."""
        await asyncio.gather(*self._under_way, return_exceptions=True)
        if self._owned:
            await self._engine.dispose()

    async def _shielded(self, work: Coroutine[Any, Any, T]) -> T:
        """
        Await a transaction, which goes on to its end even if the task that awaits it is cancelled.

        A reader who leaves a streamed answer cancels the task that serves it; the call is charged all the
        same. Nor do all drivers survive being cut off: some leave a transaction open unknown to them.
        """
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_look)
            raise

    async def _once(self, work: Callable[[Books], T]) -> T:
        with _errors_translated():
            async with self._engine.connect() as connection:
                return await connection.run_sync(transact, lambda c: work(self._binder.books(c)))


class JoinedStore:
    """
    The caller's own transaction: what is done in it stands or falls with the caller's commit.

    Nothing is retried here: a database that aborts the transaction has aborted the caller's part too.
    """

    def __init__(self, connection: Connection, binder: Binder) -> None:
        self._connection = connection
        self._binder = binder

    def run(self, work: Callable[[Books], T], /) -> T:
        """Carry out *work* in the caller's transaction; the caller commits."""
        return join(self._connection, lambda c: work(self._binder.books(c)))

    def read(self, work: Callable[[Books], T], /) -> T:
        """Carry out *work* on what the caller's transaction sees."""
        return self.run(work)

    def prepare(self, *, migrate: bool) -> None:
        """The store this one belongs to was prepared when it was opened, or is when it is next used."""

    def joined(self, connection: Connection) -> JoinedStore:
        """Join another transaction."""
        return JoinedStore(connection, self._binder)

    def close(self) -> None:
        """Leave the connection to its owner."""


class AsyncJoinedStore:
    """See `JoinedStore`."""

    def __init__(self, connection: AsyncConnection, binder: Binder) -> None:
        self._connection = connection
        self._binder = binder

    async def run(self, work: Callable[[Books], T], /) -> T:
        """Carry out *work* in the caller's transaction; the caller commits."""
        return await self._connection.run_sync(join, lambda c: work(self._binder.books(c)))

    async def read(self, work: Callable[[Books], T], /) -> T:
        """Carry out *work* on what the caller's transaction sees."""
        return await self.run(work)

    async def prepare(self, *, migrate: bool) -> None:
        """See `JoinedStore.prepare`."""

    def joined(self, connection: AsyncConnection) -> AsyncJoinedStore:
        """Join another transaction."""
        return AsyncJoinedStore(connection, self._binder)

    async def close(self) -> None:
        """Leave the connection to its owner."""


def _system_clock() -> datetime:
    """SQLite runs in this process: its clock is ours."""
    return datetime.now(UTC)


def transact(connection: Connection, work: Callable[[Connection], T]) -> T:
    """Carry out *work* between begin and commit; whatever goes wrong before the commit leaves nothing."""
    try:
        return _transact(connection, work)
    except Exception:
        raise
    except BaseException:
        # Cut off in the middle (cancelled, interrupted), perhaps of a BEGIN the driver knows nothing of:
        # nobody else gets this connection, and the server rolls back what it was doing.
        connection.invalidate()
        raise


def _transact(connection: Connection, work: Callable[[Connection], T]) -> T:
    try:
        transaction = connection.begin()
        try:
            value = work(connection)
        except Exception:
            transaction.rollback()
            raise
    except DBAPIError as error:
        raise translated(error) from error
    try:
        transaction.commit()
    except DBAPIError as error:
        if dialects.is_disconnect(error):
            raise IndeterminateError from error
        raise translated(error) from error
    return value


def join(connection: Connection, work: Callable[[Connection], T]) -> T:
    """Carry out *work* inside the transaction the caller has begun."""
    if not connection.in_transaction():
        msg = "joined() needs a connection inside a transaction: use it within engine.begin()"
        raise ConfigurationError(msg)
    dialect = connection.dialect.name
    if dialect in dialects.MYSQL and connection.get_isolation_level() != "READ COMMITTED":
        msg = (
            "a joined transaction must be at READ COMMITTED, or it would decide on an old view: "
            "open it with execution_options(isolation_level='READ COMMITTED')"
        )
        raise ConfigurationError(msg)
    try:
        if dialect == "sqlite":
            connection.execute(update(wallet).where(wallet.c.wallet_id < 0).values(state=0))
        return work(connection)
    except DBAPIError as error:
        raise translated(error) from error


def _look(task: asyncio.Task[Any]) -> None:
    """Take note of how it ended, or asyncio would report an error that nobody looked at."""
    if not task.cancelled():
        task.exception()


@contextmanager
def _errors_translated() -> Generator[None]:
    """For what may go wrong before a transaction begins."""
    try:
        yield
    except OperationalError as error:
        msg = f"the database cannot be reached: {_said(error)}: check the URL, and that the server runs"
        raise StorageError(msg) from error
    except DBAPIError as error:
        raise translated(error) from error
    except PoolTimeoutError as error:
        msg = f"no connection became free: {error}"
        raise ContentionError(msg) from error


def translated(error: DBAPIError) -> StorageError | InvariantError | PeriodClosedError:
    """What a driver's error means to the caller; before a commit a lost connection has lost nothing."""
    if "ptm_period_closed" in str(error.orig):
        return PeriodClosedError(_said(error))
    if dialects.is_contention(error) or dialects.is_disconnect(error):
        return ContentionError(f"the database gave the transaction up: {_said(error)}")
    if isinstance(error, IntegrityError) and "ptm_transfer" in str(error.orig):
        return ContentionError(f"the same key was just used in another wallet: {_said(error)}")
    if isinstance(error, IntegrityError):
        return InvariantError(f"the database refused what the planner decided: {_said(error)}")
    return StorageError(f"the database failed: {_said(error)}")


def _said(error: DBAPIError) -> str:
    """The first line of what the driver said; the rest is advice for administrators, and chained."""
    return str(error.orig).strip().partition("\n")[0]
