"""
A database in memory that behaves as the real ones do on a bad day.

Transactions take their time, wait for each other, are given up, and lose their COMMIT or the answer to it. Their
end is the server's business: it comes about whether or not the client is still there to see it.
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from ptmeter.errors import ContentionError, IndeterminateError, UnavailableError
from ptmeter.storage.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from tests.simulator.faults import Faults
    from tests.simulator.loop import Owner, VirtualLoop

    from ptmeter import Policy
    from ptmeter.domain.batches import Plan, State
    from ptmeter.domain.commands import Linked
    from ptmeter.domain.ledger import Outcome, Transfer
    from ptmeter.ports import Books, Ledger

T = TypeVar("T")

NOTICES_A_DEATH: Final = 2.0
"""Seconds it may take until the server finds out that a client is gone, and rolls back."""


_UNREACHABLE: Final = "the database cannot be reached"


class Posting(NamedTuple):
    """One visit to the door: what was asked, what came of it, and the rows it wrote."""

    at: datetime
    batch: Sequence[Linked]
    outcomes: Sequence[tuple[Outcome, ...]]
    rows: Sequence[Transfer]


class Recorder:
    """A ledger that takes down what goes through it; *at* is the database's time, whatever the ledger says."""

    def __init__(self, ledger: Ledger, at: datetime) -> None:
        self._ledger = ledger
        self._at = at
        self._batch: Sequence[Linked] = ()
        self.postings: list[Posting] = []

    def lock(self, batch: Sequence[Linked]) -> State:
        self._batch = list(batch)
        return self._ledger.lock(batch)

    def write(self, plan: Plan) -> None:
        self._ledger.write(plan)
        self.postings.append(Posting(self._at, self._batch, plan.outcomes, tuple(plan.transfers)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


class Phase(Enum):
    """How far a session's transaction has come."""

    OPEN = 1
    COMMITTING = 2
    OVER = 3


@dataclass(eq=False, slots=True)
class Session:
    """A connection and its transaction, as the server sees it."""

    owner: Owner
    phase: Phase = Phase.OPEN


class Database:
    """One for all processes; `committed` is told of every transaction the moment it takes effect."""

    def __init__(
        self,
        loop: VirtualLoop,
        random: Random,
        faults: Faults,
        policy: Policy,
        committed: Callable[[Sequence[Posting], Any], None],
        *,
        start: datetime = datetime(2026, 1, 31, 23, 30, tzinfo=UTC),
    ) -> None:
        self.store = MemoryStore(policy, self.now)
        self.faults = faults
        self.offset = timedelta(0)
        self._loop = loop
        self._random = random
        self._committed = committed
        self._start = start
        self._sessions: dict[Session, None] = {}
        self._holder: Session | None = None
        self._queue: list[tuple[Session, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """Its clock, which somebody may set."""
        return self._start + timedelta(seconds=self._loop.time()) + self.offset

    async def transact(self, owner: Owner, work: Callable[[Books], T]) -> T:
        """Carry out *work* in a transaction of its own."""
        session = Session(owner)
        self._sessions[session] = None
        try:
            await self._leg()
            if self.happens(self.faults.unreachable):
                raise UnavailableError(_UNREACHABLE)  # noqa: TRY301 - the server ends it likewise
            await self._lock(session)
            await self._give_up_perhaps()
            tables = self.store._tables.copy()
            books = self.store._books(tables)
            recorder = Recorder(self.door(books.ledger), self.now())
            value = work(replace(books, ledger=recorder))
            await self._give_up_perhaps()
            return await self.commit(session, tables, recorder.postings, value)
        except BaseException:
            if session.phase is Phase.OPEN:
                self._server_does(self._end, session)
            raise

    async def read(self, work: Callable[[Books], T]) -> T:
        """Carry out *work* on a view of its own."""
        await self._leg()
        if self.happens(self.faults.unreachable):
            raise UnavailableError(_UNREACHABLE)
        value = work(self.store._books(self.store._tables.copy()))
        await self._leg()
        return value

    async def commit(self, session: Session, tables: Any, postings: Sequence[Posting], value: T) -> T:
        """Send COMMIT, and wait for the answer."""
        if self.happens(self.faults.unsent):
            await self._leg()
            raise IndeterminateError
        done = self._loop.create_future()
        session.phase = Phase.COMMITTING
        self._server_does(self._take_effect, session, tables, postings, done)
        await done
        await self._leg()
        if self.happens(self.faults.unanswered):
            raise IndeterminateError
        return value

    def door(self, ledger: Ledger) -> Ledger:
        """The ledger that transactions go through."""
        return ledger

    def drop(self, owner: Owner) -> None:
        """The client is gone: what it has not committed is rolled back, once that is noticed."""
        for session in self._sessions:
            if session.owner is owner and session.phase is Phase.OPEN:
                delay = self._random.random() * NOTICES_A_DEATH
                self._loop.call_later(delay, self._end, session, context=Context())

    def happens(self, chance: float) -> bool:
        """Whether what may happen does."""
        return chance > 0 and self._random.random() < chance

    def take_effect(self, tables: Any, postings: Sequence[Posting]) -> None:
        """From now on it is so."""
        self.store._tables = tables
        self._committed(postings, tables)

    async def _give_up_perhaps(self) -> None:
        await self._leg()
        if self.happens(self.faults.aborted / 2):
            msg = "the database gave the transaction up: deadlock detected"
            raise ContentionError(msg)

    async def _leg(self) -> None:
        """One way over the network, and what is done at its end."""
        await asyncio.sleep(self._seconds())

    def _seconds(self) -> float:
        if self.happens(self.faults.slow):
            return self._random.expovariate(1 / self.faults.pause)
        return self._random.expovariate(1 / self.faults.latency) if self.faults.latency else 0.0

    def _server_does(self, what: Callable[..., None], *args: Any) -> None:
        """The server does it in its own time, whoever lives to see it."""
        self._loop.call_later(self._seconds(), what, *args, context=Context())

    def _take_effect(
        self, session: Session, tables: Any, postings: Sequence[Posting], done: asyncio.Future[None]
    ) -> None:
        self.take_effect(tables, postings)
        self._end(session)
        if not done.done():
            done.set_result(None)

    async def _lock(self, session: Session) -> None:
        """Wait for the only lock there is."""
        if self._holder is not None:
            turn = self._loop.create_future()
            self._queue.append((session, turn))
            await turn
        self._holder = session

    def _end(self, session: Session) -> None:
        """Let the next one in, if it was this one's turn."""
        session.phase = Phase.OVER
        self._sessions.pop(session, None)
        if self._holder is not session:
            self._queue = [waiting for waiting in self._queue if waiting[0] is not session]
            return
        self._holder = None
        if self._queue:
            self._holder, turn = self._queue.pop(self._random.randrange(len(self._queue)))
            if turn.cancelled():
                self._end(self._holder)
            else:
                turn.set_result(None)
