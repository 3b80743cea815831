"""
Write lanes: what is posted at the same moment shares one transaction.

A lane carries out one batch at a time, and what is posted meanwhile is the next batch. So batches grow with
the load by themselves, there is no timer to tune, and a wallet that a thousand callers want at once is
locked once for all of them. Requests of one account always take the same lane.

A caller waits for the answer, not for the work: if it is interrupted, cancelled or out of patience, what it
posted stays in its batch, and its key finds out later what became of it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from ..errors import ContentionError, IndeterminateError, LedgerBusyError, UnavailableError
from ..operations.posting import together

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from ..domain.policy import Policy
    from ..ports import Books, Posting

    Work = Callable[[Books], list[Any]]

T = TypeVar("T")

_IDLE: Final = 2.0
"""Seconds without work after which a lane's thread ends; the next call starts another."""

_PATIENCES: Final = 3
"""How many times anybody's patience closing waits: one for the queue, one for its last batch, one to spare."""

_EVERYBODYS: Final = (ContentionError, IndeterminateError, UnavailableError)
"""What the database does to a transaction whatever is in it; any other failure may be the fault of one."""


class Lane:
    """A thread that carries out what others post, one batch after the other."""

    def __init__(self, run: Callable[[Work], list[Any]], policy: Policy) -> None:
        """*run* carries out work in one transaction of its own, and retries what the database aborts."""
        self._run = run
        self._policy = policy
        self._patience = policy.patience.total_seconds()
        self._queue: SimpleQueue[_Ticket[Any] | None] = SimpleQueue()
        self._gate = Lock()
        self._thread: Thread | None = None

    def post(self, work: Callable[[Books], Posting[T]]) -> T:
        """Have *work* carried out in the next batch, and wait for what it comes to."""
        _check_room(self._queue.qsize(), self._policy)
        ticket = _Ticket(work)
        with self._gate:
            self._queue.put(ticket)
            if self._thread is None:
                self._thread = Thread(target=self._serve, name="ptmeter-lane", daemon=True)
                self._thread.start()
        return ticket.wait(self._patience)

    def close(self) -> None:
        """
        Wait until all that was posted is carried out and the thread has ended.

        What is posted is answered or given up within patience, and a batch takes no longer; a thread that
        is not back by then waits for a connection that an application's own engine does not give up.
        """
        if thread := self._thread:
            self._queue.put(None)
            thread.join(_PATIENCES * self._patience)

    def _serve(self) -> None:
        while self._thread:
            try:
                first = self._queue.get(timeout=_IDLE)
            except Empty:
                first = None
            if first is None:
                self._rest()
            else:
                self._carry_out([ticket for ticket in self._gather(first) if ticket.claim()])

    def _rest(self) -> None:
        """End the thread, unless something came at the last moment."""
        with self._gate:
            if self._queue.empty():
                self._thread = None

    def _gather(self, first: _Ticket[Any]) -> list[_Ticket[Any]]:
        """All that waits by now, as far as it fits into a batch."""
        batch = [first]
        while len(batch) < self._policy.batch and not self._queue.empty():
            if (ticket := self._queue.get()) is None:
                self._queue.put(None)  # the end, for when this batch is done
                break
            batch.append(ticket)
        return batch

    def _carry_out(self, batch: Sequence[_Ticket[Any]]) -> None:
        if not batch:
            return
        try:
            results = self._run(partial(together, works=[ticket.work for ticket in batch]))
        except BaseException as error:  # noqa: BLE001 - whatever it is, its callers are to know
            if len(batch) == 1 or isinstance(error, _EVERYBODYS):
                for ticket in batch:
                    ticket.answer(error=error)
            else:
                for part in _halves(batch):
                    self._carry_out(part)
        else:
            for ticket, result in zip(batch, results, strict=True):
                ticket.answer(result)


class _Ticket(Generic[T]):
    """One caller's posting: waiting, then taken by its lane or given up by its caller, then answered."""

    __slots__ = ("_answered", "_claimed", "_error", "_result", "work")

    def __init__(self, work: Callable[[Books], Posting[T]]) -> None:
        self.work = work
        self._result: Any = None
        self._error: BaseException | None = None
        self._claimed = Lock()
        self._answered = Lock()
        self._answered.acquire()  # released once there is an answer

    def claim(self) -> bool:
        """Whether it is the claimant's from now on: the lane's to carry out, or the caller's to give up."""
        return self._claimed.acquire(blocking=False)

    def answer(self, result: Any = None, *, error: BaseException | None = None) -> None:
        """Let the caller go on."""
        self._result, self._error = result, error
        self._answered.release()

    def wait(self, seconds: float) -> T:
        """What the work came to; gives it up if its turn does not come in time."""
        if not self._answered.acquire(timeout=seconds):
            if self.claim():
                raise LedgerBusyError(_NO_TURN.format(seconds))
            raise IndeterminateError
        if self._error is not None:
            raise self._error
        return self._result


class AsyncLane:
    """A task that carries out what others post, one batch after the other; it ends when nothing waits."""

    def __init__(self, run: Callable[[Work], Awaitable[list[Any]]], policy: Policy) -> None:
        """See `Lane`."""
        self._run = run
        self._policy = policy
        self._patience = policy.patience.total_seconds()
        self._waiting: deque[_AsyncTicket] = deque()
        self._task: asyncio.Task[None] | None = None

    async def post(self, work: Callable[[Books], Posting[T]]) -> T:
        """See `Lane.post`."""
        _check_room(len(self._waiting), self._policy)
        ticket = _AsyncTicket(work)
        self._waiting.append(ticket)
        if self._task is None:
            self._task = asyncio.create_task(self._serve(), name="ptmeter-lane")
        return await ticket.wait(self._patience)

    async def close(self) -> None:
        """Wait until all that was posted is carried out."""
        while task := self._task:
            await asyncio.shield(task)

    async def _serve(self) -> None:
        try:
            while self._waiting:
                await self._carry_out(self._gather())
        finally:
            self._task = None

    def _gather(self) -> list[_AsyncTicket]:
        batch: list[_AsyncTicket] = []
        while self._waiting and len(batch) < self._policy.batch:
            ticket = self._waiting.popleft()
            if ticket.claim():
                batch.append(ticket)
        return batch

    async def _carry_out(self, batch: Sequence[_AsyncTicket]) -> None:
        if not batch:
            return
        try:
            results = await self._run(partial(together, works=[ticket.work for ticket in batch]))
        except GeneratorExit:  # the loop is gone, and all who waited with it
            raise
        except BaseException as error:
            if isinstance(
                error, asyncio.CancelledError
            ):  # the loop is closing, and nobody knows how far it got
                for ticket in batch:
                    ticket.answer(error=IndeterminateError())
                raise
            if len(batch) == 1 or isinstance(error, _EVERYBODYS):
                for ticket in batch:
                    ticket.answer(error=error)
            else:
                for part in _halves(batch):
                    await self._carry_out(part)
        else:
            for ticket, result in zip(batch, results, strict=True):
                ticket.answer(result)


class _AsyncTicket:
    """See `_Ticket`; on one event loop nothing needs a lock."""

    __slots__ = ("_answer", "_given_up", "_loop", "_taken", "work")

    def __init__(self, work: Callable[[Books], Posting[Any]]) -> None:
        self.work = work
        self._taken = self._given_up = False
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[Any] = self._loop.create_future()
        self._answer.add_done_callback(_look)

    def claim(self) -> bool:
        """Whether it is the lane's to carry out: a caller may be cancelled and leave it behind."""
        self._taken = not self._given_up
        return self._taken

    def answer(self, result: Any = None, *, error: BaseException | None = None) -> None:
        """Let the caller go on, if it still waits."""
        if self._answer.done():
            return
        if error is None:
            self._answer.set_result(result)
        else:
            self._answer.set_exception(error)

    async def wait(self, seconds: float) -> Any:
        """What the work came to; gives it up if its turn does not come in time."""
        patience = self._loop.call_later(seconds, self._lose_patience, seconds)
        try:
            return await asyncio.shield(self._answer)
        finally:
            patience.cancel()

    def _lose_patience(self, seconds: float) -> None:
        self._given_up = not self._taken
        busy = LedgerBusyError(_NO_TURN.format(seconds))
        self.answer(error=busy if self._given_up else IndeterminateError())


def _look(answer: asyncio.Future[Any]) -> None:
    """Take note of an error that nobody waits for any more, or asyncio would report it."""
    if not answer.cancelled():
        answer.exception()


_NO_TURN: Final = "its turn did not come within {:g} s"


def _check_room(waiting: int, policy: Policy) -> None:
    """Refuse at once what would wait behind too much."""
    if waiting >= policy.queue:
        msg = f"{waiting} calls are waiting already"
        raise LedgerBusyError(msg)


def _halves(batch: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    middle = len(batch) // 2
    return batch[:middle], batch[middle:]
