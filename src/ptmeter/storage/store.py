"""
Opening books: one transaction from begin to commit, the same body for both colours.

`AsyncSqlStore` hands `transact` to SQLAlchemy's ``run_sync``, so a use case is one plain function for
both, and a cancelled task rolls back like a failed one.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

from tenacity import AsyncRetrying, Retrying

from ..errors import ContentionError, IndeterminateError
from . import dialects
from .books import Binder
from .joining import AsyncJoinedStore, JoinedStore
from .lanes import AsyncLane, Lane
from .transactions import errors_translated, transact
from .watch import Watch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, MutableMapping, Sequence
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
        self._processes: dict[int, _Process] = {}

    def prepare(self, *, migrate: bool) -> None:
        """See `Binder.make_ready`."""
        with errors_translated(), self._engine.connect() as connection:
            transact(connection, lambda c: self._binder.make_ready(c, migrate=migrate))

    def run(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.run`."""
        try:
            return self._once(work)
        except ContentionError:
            if self._binder.policy.attempts == 1:
                raise
            return self._binder.retrying(Retrying)(self._once, work)

    def post(self, account: str, work: Callable[[Books], Posting[T]], /) -> T:
        """See `ports.Store.post`."""
        lanes = self._here().lanes
        return lanes[hash(account) % len(lanes)].post(work)

    def read(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.read`."""
        with self._connected() as connection:
            return self._view(connection, work)

    def survey(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.survey`."""
        self._here()
        with errors_translated(), self._engine.connect() as connection:
            return self._view(connection, work)

    def joined(self, connection: Connection) -> JoinedStore:
        """A store that works inside the caller's transaction."""
        return JoinedStore(connection, self._binder)

    def close(self) -> None:
        """See `ports.Store.close`; what is still under way is waited for."""
        for lane in self._here().lanes:
            lane.close()
        if self._owned:
            self._engine.dispose()

    def _once(self, work: Callable[[Books], T]) -> T:
        with self._connected() as connection:
            return transact(connection, lambda c: work(self._binder.books(c)))

    def _view(self, connection: Connection, work: Callable[[Books], T]) -> T:
        return transact(dialects.snapshot(connection), lambda c: work(self._binder.books(c)))

    @contextmanager
    def _connected(self) -> Generator[Connection]:
        """A connection that is given up when nobody can wait for it any longer."""
        watch = self._here().watch
        with errors_translated(), self._engine.connect() as connection, watch.over(connection):
            yield connection

    def _here(self) -> _Process:
        """What this process has; one that was forked begins anew, and leaves its parent's connections alone."""
        return self._processes.get(os.getpid()) or self._settle_in()

    def _settle_in(self) -> _Process:
        if self._processes and self._owned:
            self._engine.dispose(close=False)
        policy = self._binder.policy
        lanes = [Lane(self.run, policy) for _ in range(self._binder.lanes)]
        mine = _Process(lanes, Watch(policy.patience.total_seconds()))
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
        self._process = os.getpid()
        self._lanes: MutableMapping[asyncio.AbstractEventLoop, Sequence[AsyncLane]] = WeakKeyDictionary()

    async def prepare(self, *, migrate: bool) -> None:
        """See `Binder.make_ready`."""
        with errors_translated():
            async with self._engine.connect() as connection:
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
        return await self._shielded(self._view(work))

    async def _persistently(self, work: Callable[[Books], T]) -> T:
        try:
            return await self._once(work)
        except ContentionError:
            if self._binder.policy.attempts == 1:
                raise
            return await self._binder.retrying(AsyncRetrying)(self._once, work)

    async def _read(self, work: Callable[[Books], T]) -> T:
        with errors_translated():
            async with self._patiently():
                return await self._view(work)

    async def _view(self, work: Callable[[Books], T]) -> T:
        with errors_translated():
            async with self._engine.connect() as connection:
                return await connection.run_sync(
                    lambda c: transact(dialects.snapshot(c), lambda c: work(self._binder.books(c)))
                )

    def joined(self, connection: AsyncConnection) -> AsyncJoinedStore:
        """A store that works inside the caller's transaction."""
        return AsyncJoinedStore(connection, self._binder)

    async def close(self) -> None:
        """See `ports.AsyncStore.close`; what is still under way is waited for."""
        for lane in self._lanes_here():
            await lane.close()
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
        with errors_translated():
            async with self._patiently(), self._engine.connect() as connection:
                return await connection.run_sync(transact, lambda c: work(self._binder.books(c)))

    @asynccontextmanager
    async def _patiently(self) -> AsyncGenerator[None]:
        """Give up what takes longer than anybody's patience: its connection is thrown away."""
        patience = asyncio.timeout(self._binder.policy.patience.total_seconds())
        try:
            async with patience:
                yield
        except TimeoutError:
            if patience.expired():
                raise IndeterminateError from None
            raise

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


def _look(task: asyncio.Task[Any]) -> None:
    """Take note of how it ended, or asyncio would report an error that nobody looked at."""
    if not task.cancelled():
        task.exception()
