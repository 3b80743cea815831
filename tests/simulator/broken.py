"""Parts that are broken on purpose: a simulator that does not notice them is worth nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tests.simulator.callers import Caller
from tests.simulator.database import Database, Phase
from tests.simulator.processes import SimulatedStore
from tests.simulator.simulation import Parts

from ptmeter.storage.lanes import AsyncLane

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.simulator.database import Posting, Session
    from tests.simulator.intents import Intent

    from ptmeter.domain.batches import State
    from ptmeter.domain.commands import Linked
    from ptmeter.domain.ledger import OpenHold, WalletId
    from ptmeter.ports import Books, Ledger
    from ptmeter.storage.lanes import _AsyncTicket

T = TypeVar("T")

HOUR: Final = timedelta(hours=1)


class EagerDatabase(Database):
    """Acknowledges a commit before it takes effect."""

    async def commit(self, session: Session, tables: Any, postings: Sequence[Posting], value: T) -> T:
        session.phase = Phase.COMMITTING
        self._server_does(self._take_effect, session, tables, postings, self._loop.create_future())
        return value


class LeakyDatabase(Database):
    """Keeps the lock of a transaction that was rolled back, now and then."""

    def _end(self, session: Session) -> None:
        if session.phase is Phase.COMMITTING or not self.happens(0.2):
            super()._end(session)


class _Ledger:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger: Any = ledger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)


class ForgetfulDatabase(Database):
    """Its ledger has forgotten what was decided before."""

    class Door(_Ledger):
        def lock(self, batch: Sequence[Linked]) -> State:
            return replace(self._ledger.lock(batch), decided={})

    def door(self, ledger: Ledger) -> Any:
        return self.Door(ledger)


class HastyDatabase(Database):
    """A sweep of its ledger goes by a clock that is an hour ahead."""

    class Door(_Ledger):
        def due_holds(self, limit: int) -> list[OpenHold]:
            self._now = self._ledger.now
            self._ledger.now = lambda: self._now() + HOUR
            return self._ledger.due_holds(limit)

        def lapsing(self, limit: int) -> list[WalletId]:
            self._ledger.now = self._now
            return self._ledger.lapsing(limit)

    def door(self, ledger: Ledger) -> Any:
        return self.Door(ledger)


class CrossedStore(SimulatedStore):
    """Hands everybody in a batch the result of the next one."""

    async def _persistently(self, work: Callable[[Books], T]) -> T:
        results: Any = await super()._persistently(work)
        return [*results[1:], results[0]] if isinstance(results, list) else results  # type: ignore[return-value]


class StubbornStore(SimulatedStore):
    """Its lanes carry out what its caller was told would not be."""

    class Lane(AsyncLane):
        def _gather(self) -> list[_AsyncTicket]:
            batch = [*self._waiting][: self._policy.batch]
            for ticket in batch:
                ticket.claim()
                self._waiting.popleft()
            return batch

    def new_lane(self) -> AsyncLane:
        return self.Lane(self._persistently, self._policy)


class CarelessCaller(Caller):
    """Asks again under a new key."""

    def key_again(self, intent: Intent) -> str:
        return f"{intent.key} again {self.random.random()}"


CONTROLS: Final = {
    "acknowledges before it commits": (Parts(database=EagerDatabase), 10),
    "keeps the lock of what it rolled back": (Parts(database=LeakyDatabase), 10),
    "forgets what was decided": (Parts(database=ForgetfulDatabase), 10),
    "expires holds early": (Parts(database=HastyDatabase), 10),
    "answers the wrong caller": (Parts(store=CrossedStore), 20),
    "does what it said it would not": (Parts(store=StubbornStore), 100),
    "asks again under a new key": (Parts(caller=CarelessCaller), 10),
}
"""What is broken, by what it does, and within how many seeds it has to be noticed."""
