"""
An event loop whose time is made up and whose order is drawn: what is ready at the same moment runs in any order.

When nothing is ready it jumps to the next timer, so a day of waiting takes no time. What was scheduled by a
process that has been killed is passed over: it runs no code any more, no `finally` either, like after a SIGKILL.
"""

from __future__ import annotations

import asyncio
from contextvars import Context, ContextVar, copy_context
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from random import Random


class Owner(Protocol):
    """Whose code it is that runs."""

    alive: bool


OWNER: Final[ContextVar[Owner | None]] = ContextVar("owner", default=None)
"""Inherited by whatever a task schedules; nobody's is the world's, which nothing kills."""


class Stuck(Exception):
    """Nothing is left to run, or time is up, and the main task has not ended."""


class Appointment:
    """A callback and when it is due."""

    __slots__ = ("_args", "_callback", "_context", "_due")

    def __init__(self, due: float, callback: Callable[..., Any], args: Any, context: Context) -> None:
        self._due = due
        self._callback: Callable[..., Any] | None = callback
        self._args = args
        self._context = context

    def when(self) -> float:
        return self._due

    def cancel(self) -> None:
        self._callback = None

    def cancelled(self) -> bool:
        return self._callback is None

    def keep(self) -> bool:
        """Run it, unless it was cancelled or its owner is dead; returns whether it ran."""
        owner = self._context.get(OWNER)
        if self._callback is None or (owner and not owner.alive):
            return False
        self._context.run(self._callback, *self._args)
        return True


class VirtualLoop(asyncio.AbstractEventLoop):
    """As much of an event loop as tasks, futures, timeouts and sleeping need."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._now = 0.0
        self._agenda: list[tuple[float, float, int, Appointment]] = []
        self._count = count()
        self._tasks: list[asyncio.Task[Any]] = []
        self._running = False
        self.turns = 0
        self.complaints: list[str] = []

    def run(self, main: Coroutine[Any, Any, None], *, until: float, turns: int) -> None:
        """
        Run *main* to its end.

        Raises:
            Stuck: It waits for something that never comes, or longer than *until*, or goes round in circles.
        """
        asyncio._set_running_loop(self)
        self._running = True
        try:
            task = self.create_task(main)
            while not task.done():
                if not self._agenda or self._now > until or self.turns > turns:
                    waits = "something that never comes" if not self._agenda else "too long"
                    msg = f"after {self._now:.0f} s and {self.turns} turns somebody waits for {waits}"
                    raise Stuck(msg)
                due, _, _, appointment = heappop(self._agenda)
                if not appointment.cancelled():
                    self._now = due
                    self.turns += appointment.keep()
            task.result()
        finally:
            self._running = False
            self._bury()
            asyncio._set_running_loop(None)

    def _bury(self) -> None:
        """Let go of what is left over, first of all of the tasks of the killed."""
        for task in self._tasks:
            if not task.done():
                task._log_destroy_pending = False  # pyright: ignore[reportAttributeAccessIssue]
                task.get_coro().close()
        self._tasks.clear()
        self._agenda.clear()

    def time(self) -> float:
        return self._now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return False

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Any:
        return self.call_at(self._now, callback, *args, context=context)

    def call_later(self, delay: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> Any:
        if context is None:  # an empty one is false
            context = copy_context()
        due = max(when, self._now)
        appointment = Appointment(due, callback, args, context)
        heappush(self._agenda, (due, self._random.random(), next(self._count), appointment))
        return appointment

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, **options)
        self._tasks.append(task)  # those of the killed must not be closed before the end
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Take note of what asyncio complains of while the loop runs; then tasks of the killed are swept up."""
        if self._running:
            self.complaints.append(f"{context['message']}: {context.get('exception')!r}")
