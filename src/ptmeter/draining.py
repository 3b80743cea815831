"""
Reading a stream on when its reader has left, and seeing that through when the task is cancelled too.

A provider bills for what it generates, whoever listens, and says how much that was at the end. Reading
on to there gives the exact usage; a bound keeps a stream that goes on for ever from being read for ever.
Both colours are written by hand here, for what differs between them is all there is.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator

    from .providers.usage import UsageStream

T = TypeVar("T")


def drain(chunks: Iterator[object], stream: UsageStream, *, seconds: float, most: int) -> None:
    """
    Feed *stream* what is left of *chunks*, until its usage is there or one of the bounds is reached.

    Time is looked at between chunks: a provider that sends nothing is given up by its own client's timeout.
    How the rest of the stream fails does not matter, nobody reads it: what came counts.
    """
    until = time.monotonic() + seconds
    for _ in range(most):
        if stream.usage_seen or time.monotonic() >= until:
            return
        try:
            chunk = next(chunks)
        except Exception:  # noqa: BLE001 - its end, or whatever a client raises
            return
        stream.feed(chunk)


async def drain_async(
    chunks: AsyncIterator[object], stream: UsageStream, *, seconds: float, most: int
) -> None:
    """As `drain`; a chunk that does not come in time is given up, and the rest with it."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    for _ in range(most):
        if stream.usage_seen or loop.time() >= until:
            return
        try:
            async with asyncio.timeout_at(until):
                chunk = await anext(chunks)
        except Exception:  # noqa: BLE001 - its end, the time, or whatever a client raises
            return
        stream.feed(chunk)


def stop(chunks: object) -> None:
    """Have a provider write no further, if its client can be closed; how that fails does not matter."""
    with suppress(Exception):
        close = getattr(chunks, "close", None)
        if close is not None:
            close()


async def stop_async(chunks: object) -> None:
    """As `stop`, whether closing is to be awaited or not."""
    with suppress(Exception):
        close = getattr(chunks, "aclose", None) or getattr(chunks, "close", None)
        closing = close() if close is not None else None
        if inspect.isawaitable(closing):
            await closing


class Endings:
    """Sees work through to its end; without tasks nothing can come between."""

    def see_through(self, result: T) -> T:
        """Return what the work gave: when it is here, it has been done."""
        return result

    def close(self) -> None:
        """Return at once: nothing is under way."""


class AsyncEndings:
    """
    Sees work through to its end, even if the task that awaits it is cancelled meanwhile.

    A web framework ends the answer to a reader who left by cancelling its task, and every further await
    of it. What has to be done then is done in a task of its own.
    """

    def __init__(self) -> None:
        self._under_way: set[asyncio.Task[Any]] = set()

    async def see_through(self, work: Coroutine[Any, Any, T]) -> T:
        """Await *work*, which goes on if this is cancelled; how it fails then is told to the event loop."""
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_tell)
            raise

    async def close(self) -> None:
        """Wait for what is under way."""
        await asyncio.gather(*self._under_way, return_exceptions=True)


def _tell(task: asyncio.Task[Any]) -> None:
    if task.cancelled() or (error := task.exception()) is None:
        return
    message = "a call that nobody waited for any longer could not be ended"
    task.get_loop().call_exception_handler({"message": message, "exception": error, "task": task})
