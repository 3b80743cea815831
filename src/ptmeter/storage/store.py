"""
Opening books: one transaction from begin to commit, the same body for both colours.

`AsyncSqlStore` hands it to SQLAlchemy's ``run_sync``, so a use case is one plain function for
both, and a cancelled task rolls back like a failed one.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, TypeVar
from weakref import WeakKeyDictionary

from tenacity import AsyncRetrying, Retrying

from ..errors import ContentionError, IndeterminateError, StorageError, UnavailableError
from . import dialects
from .books import Binder
from .joining import AsyncJoinedStore, JoinedStore
from .lanes import AsyncLane, Lane
from .transactions import errors_translated, transact
from .watch import Watch

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        Callable,
        Coroutine,
        Generator,
        MutableMapping,
        Sequence,
    )
    from datetime import datetime

    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from ..domain.policy import Policy
    from ..ports import Books, Posting

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Process:
    """What a process has of its own: threads do not survive a fork."""

    lanes: Sequence[Lane]
    watch: Watch


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
        self._patience = policy.patience.total_seconds()
        self._processes: dict[int, _Process] = {}
        if owned:
            dialects.connect_within(engine, self._patience)

    def prepare(self, *, migrate: bool) -> None:
        """See `Binder.make_ready`; a migration takes as long as it takes."""
        with errors_translated(), self._engine.connect() if migrate else self._connected() as connection:
            transact(connection, lambda c: self._binder.make_ready(c, migrate=migrate))

    def run(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.run`."""
        until = monotonic() + self._patience
        try:
            return self._once(work, until)
        except ContentionError:
            if self._binder.policy.attempts == 1 or monotonic() > until:
                raise
            return self._binder.retrying(Retrying, until - monotonic())(self._once, work, until)

    def post(self, account: str, work: Callable[[Books], Posting[T]], /) -> T:
        """See `ports.Store.post`."""
        lanes = self._here().lanes
        return lanes[hash(account) % len(lanes)].post(work)

    def read(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.read`."""
        with self._connected() as connection:
            return self._binder.view(connection, work)

    def survey(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.survey`."""
        self._here()
        with errors_translated(), self._engine.connect() as connection:
            return self._binder.survey(connection, work)

    def joined(self, connection: Connection) -> JoinedStore:
        """A store that works inside the caller's transaction."""
        return JoinedStore(connection, self._binder)

    def close(self) -> None:
        """See `ports.Store.close`; what is under way is waited for, while anybody else would wait for it."""
        for lane in self._here().lanes:
            lane.close()
        if self._owned:
            self._engine.dispose()

    def _once(self, work: Callable[[Books], T], until: float) -> T:
        with self._connected(until) as connection:
            return self._binder.carry_out(connection, work)

    @contextmanager
    def _connected(self, until: float | None = None) -> Generator[Connection]:
        """A connection that is given up when nobody can wait for it any longer: *until*, or patience from now."""
        watch = self._here().watch
        until = monotonic() + self._patience if until is None else until
        with (
            errors_translated(),
            self._engine.connect() as connection,
            watch.over(connection, until),
            closing(connection),  # still watched: to take it back, the pool may have to ask the server
        ):
            yield connection

    def _here(self) -> _Process:
        """What this process has; one that was forked begins anew, and leaves its parent's connections alone."""
        return self._processes.get(os.getpid()) or self._settle_in()

    def _settle_in(self) -> _Process:
        if self._processes and self._owned:
            self._engine.dispose(close=False)
        lanes = [Lane(self.run, self._binder.policy) for _ in range(self._binder.lanes)]
        mine = _Process(lanes, Watch(self._patience))
        return self._processes.setdefault(os.getpid(), mine)


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
        self._patience = policy.patience.total_seconds()
        self._process = os.getpid()
        self._lanes: MutableMapping[asyncio.AbstractEventLoop, Sequence[AsyncLane]] = WeakKeyDictionary()

    async def prepare(self, *, migrate: bool) -> None:
        """See `SqlStore.prepare`."""
        with errors_translated():
            async with self._engine.connect() if migrate else self._connected() as connection:
                await connection.run_sync(transact, lambda c: self._binder.make_ready(c, migrate=migrate))

    async def run(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.run`."""
        return await self._shielded(self._persistently(work))

    async def post(self, account: str, work: Callable[[Books], Posting[T]], /) -> T:
        """See `ports.Store.post`."""
        lanes = self._lanes_here()
        return await lanes[hash(account) % len(lanes)].post(work)

    async def read(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.read`."""
        return await self._shielded(self._read(work))

    async def survey(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.survey`."""
        return await self._shielded(self._survey(work))

    async def _persistently(self, work: Callable[[Books], T]) -> T:
        until = monotonic() + self._patience
        try:
            return await self._once(work, until)
        except ContentionError:
            if self._binder.policy.attempts == 1 or monotonic() > until:
                raise
            retrying = self._binder.retrying(AsyncRetrying, until - monotonic())
            return await retrying(self._once, work, until)

    async def _read(self, work: Callable[[Books], T]) -> T:
        async with self._connected() as connection:
            return await connection.run_sync(self._binder.view, work)

    async def _survey(self, work: Callable[[Books], T]) -> T:
        with errors_translated():
            async with self._engine.connect() as connection:
                return await connection.run_sync(self._binder.survey, work)

    def joined(self, connection: AsyncConnection) -> AsyncJoinedStore:
        """A store that works inside the caller's transaction."""
        return AsyncJoinedStore(connection, self._binder)

    async def close(self) -> None:
        """See `ports.AsyncStore.close`, and `SqlStore.close`; a survey that takes longer is broken off."""
        for lane in self._lanes_here():
            await lane.close()
        if self._under_way:
            _, late = await asyncio.wait(self._under_way, timeout=self._patience)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        if self._owned:
            await self._dispose()

    async def _dispose(self) -> None:
        """Close the connections; a server that does not answer the good-bye is left without one."""
        patience = self._patience
        while True:
            try:
                async with asyncio.timeout(patience):
                    return await self._engine.dispose()
            except TimeoutError:
                patience = 0  # for each of those that are left

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

    async def _once(self, work: Callable[[Books], T], until: float) -> T:
        async with self._connected(until) as connection:
            return await connection.run_sync(self._binder.carry_out, work)

    @asynccontextmanager
    async def _connected(self, until: float | None = None) -> AsyncGenerator[AsyncConnection]:
        """
        See `SqlStore._connected`.

        Work that takes too long is cancelled only if ending its connection has not ended it: psycopg would
        ask the server to cancel it too, on one more connection, and wait for that.
        """
        until = monotonic() + self._patience if until is None else until
        dialect = self._engine.dialect
        with errors_translated():
            async with _by(until, UnavailableError(_NO_CONNECTION.format(self._patience))):
                connection = await self._engine.connect()
            driven = (await connection.get_raw_connection()).driver_connection
            end = asyncio.get_running_loop().call_later(
                until - monotonic(), dialects.abort, dialect.driver, driven
            )
            try:
                grace = 0.0 if dialect.name == "sqlite" else _GRACE
                async with _by(until + grace, IndeterminateError()):
                    yield connection
            finally:  # which may have to ask the server, so the end is near until it is done
                closed = asyncio.ensure_future(connection.close())
                closed.add_done_callback(lambda _: end.cancel())
                await asyncio.shield(closed)

    def _lanes_here(self) -> Sequence[AsyncLane]:
        """The lanes of this event loop; a process that was forked leaves its parent's connections alone."""
        if self._process != os.getpid() and self._owned:
            self._engine.sync_engine.dispose(close=False)
            self._process = os.getpid()
        loop = asyncio.get_running_loop()
        if loop not in self._lanes:
            policy = self._binder.policy
            self._lanes[loop] = [AsyncLane(self._persistently, policy) for _ in range(self._binder.lanes)]
        return self._lanes[loop]


_NO_CONNECTION: Final = "the database gave no connection within {:g} s: check that it can be reached"

_GRACE: Final = 1.0
"""Seconds in which a driver notices that its connection was ended; there is none to end on SQLite."""


@asynccontextmanager
async def _by(moment: float, otherwise: StorageError) -> AsyncGenerator[None]:
    """Cancel what is not done by *moment* (monotonic), and raise *otherwise*."""
    patience = asyncio.timeout(moment - monotonic())
    try:
        async with patience:
            yield
    except TimeoutError:
        if patience.expired():
            raise otherwise from None
        raise


def _look(task: asyncio.Task[Any]) -> None:
    """Take note of how it ended, or asyncio would report an error that nobody looked at."""
    if not task.cancelled():
        task.exception()
