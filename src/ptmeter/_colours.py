"""What differs between the two colours beyond the words `scripts/unasync.py` exchanges."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


async def shielded_async(work: Coroutine[Any, Any, T]) -> T:
    """
    Await *work*, which goes on to its end even if the task that awaits it is cancelled meanwhile.

    A reader who leaves a streamed answer cancels the task that serves it; the call is charged all the same.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(_look)
        raise


def shielded(done: T) -> T:
    """The synchronous twin: what was called is done."""
    return done


def _look(task: asyncio.Task[Any]) -> None:
    """Take note of how it ended, or asyncio would report an error nobody looked at; the hold stays."""
    if not task.cancelled():
        task.exception()
