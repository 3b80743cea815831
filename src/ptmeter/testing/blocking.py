"""An asynchronous store as a synchronous one, so that one contract tests both colours."""

from __future__ import annotations

import asyncio
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ..ports import AsyncStore, Books, Posting

T = TypeVar("T")


class Blocking:
    """
    Runs an `AsyncStore` on an event loop in a thread of its own.

    Calls from many threads are many tasks on that loop, so what is concurrent stays so.
    """

    def __init__(self, open_store: Callable[[], AsyncStore]) -> None:
        """*open_store* is called on the loop, because some drivers bind to the one that is running."""
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.store = self._await(_call(open_store))

    def prepare(self, *, migrate: bool) -> None:
        """See `ports.Store.prepare`."""
        self._await(self.store.prepare(migrate=migrate))

    def run(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.run`."""
        return self._await(self.store.run(work))

    def post(self, account: str, work: Callable[[Books], Posting[T]], /) -> T:
        """See `ports.Store.post`."""
        return self._await(self.store.post(account, work))

    def read(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.read`."""
        return self._await(self.store.read(work))

    def survey(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.survey`."""
        return self._await(self.store.survey(work))

    def joined(self, connection: Any) -> Blocking:
        """Joining is tested in its own colour."""
        raise NotImplementedError(connection)

    def close(self) -> None:
        """Close the store and stop the loop."""
        self._await(self.store.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _await(self, awaitable: Awaitable[T]) -> T:
        return asyncio.run_coroutine_threadsafe(_wait(awaitable), self._loop).result()


async def _wait(awaitable: Awaitable[T]) -> T:
    return await awaitable


async def _call(make: Callable[[], T]) -> T:
    return make()
