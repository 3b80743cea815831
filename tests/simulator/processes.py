"""Processes that share the database: each with a meter and lanes of its own, until it is killed."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar
from zlib import crc32

from tests.simulator.loop import OWNER

from ptmeter import AsyncMeter
from ptmeter._async.platform import AsyncPlatform
from ptmeter.errors import ContentionError, IndeterminateError
from ptmeter.storage.lanes import AsyncLane

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from random import Random

    from tests.simulator.database import Database
    from tests.simulator.intents import Attempt

    from ptmeter import Policy
    from ptmeter.domain.commands import Linked
    from ptmeter.ports import Books
    from ptmeter.ports import Posting as Work
    from ptmeter.pricing import Pricing

T = TypeVar("T")

ATTEMPT: Final[ContextVar[Attempt | None]] = ContextVar("attempt", default=None)
"""For whom the task that runs is carrying something out."""


class Killed(Exception):
    """The process died over it: what became of it nobody knows."""


class SimulatedStore:
    """An `AsyncStore` as the one on SQL is, down to the lanes; below them the database is simulated."""

    def __init__(self, process: Process, database: Database, policy: Policy, random: Random) -> None:
        self._process = process
        self._database = database
        self._policy = policy
        self._random = random
        self.lanes = [self.new_lane() for _ in range(policy.lanes)]

    def new_lane(self) -> AsyncLane:
        """A lane like the product's own."""
        return AsyncLane(self._persistently, self._policy)

    async def prepare(self, *, migrate: bool) -> None:
        """There is nothing to set up."""

    async def run(self, work: Callable[[Books], T], /) -> T:
        return await asyncio.shield(asyncio.ensure_future(self._persistently(work)))

    async def post(self, account: str, work: Callable[[Books], Work[T]], /) -> T:
        lane = self.lanes[crc32(account.encode()) % len(self.lanes)]
        return await lane.post(_watched(work, ATTEMPT.get()))

    async def read(self, work: Callable[[Books], T], /) -> T:
        return await self._patiently(partial(self._database.read, work))

    async def survey(self, work: Callable[[Books], T], /) -> T:
        return await self._database.read(work)

    def joined(self, connection: Any) -> SimulatedStore:
        raise NotImplementedError

    async def close(self) -> None:
        for lane in self.lanes:
            await lane.close()

    async def _persistently(self, work: Callable[[Books], T]) -> T:
        """Try again what the database aborts."""
        for number in range(1, self._policy.attempts):
            try:
                return await self._once(work)
            except ContentionError:
                await asyncio.sleep(self._random.uniform(0, min(0.5, 0.002 * 2**number)))
        return await self._once(work)

    async def _once(self, work: Callable[[Books], T]) -> T:
        return await self._patiently(partial(self._database.transact, self._process, work))

    async def _patiently(self, transaction: Callable[[], Awaitable[T]]) -> T:
        patience = asyncio.timeout(self._policy.patience.total_seconds())
        try:
            async with patience:
                return await transaction()
        except TimeoutError:
            if patience.expired():
                raise IndeterminateError from None
            raise


def _watched(work: Callable[[Books], Work[T]], attempt: Attempt | None) -> Callable[[Books], Work[T]]:
    """The same work; what it posts is known to be its own."""
    if attempt is None:
        return work

    def watched(books: Books) -> Work[T]:
        posting = work(books)
        groups: list[Linked] = list(next(posting))
        while True:
            attempt.posts(attempt, groups)
            try:
                outcomes = yield groups
                groups = list(posting.send(outcomes))
            except StopIteration as done:
                return done.value

    return watched


@dataclass(eq=False)
class Process:
    """One of several that serve the same platform; once killed, none of its code runs any more."""

    name: str
    database: Database
    policy: Policy
    pricing: Pricing
    random: Random
    alive: bool = True
    waiting: dict[asyncio.Future[Any], None] = field(default_factory=dict)
    store: type[SimulatedStore] = SimulatedStore
    platform: AsyncPlatform = field(init=False)
    meter: AsyncMeter = field(init=False)

    def __post_init__(self) -> None:
        store = self.store(self, self.database, self.policy, self.random)
        self.platform = AsyncPlatform(store, self.pricing, self.policy, plans=None)
        self.meter = AsyncMeter(self.platform)

    def get_ready(self) -> asyncio.Future[None]:
        """Have it get ready for calls, as a process does when it starts; returns what outsiders wait for."""
        _, answer = self.begin(lambda _: self.platform.make_ready())
        return answer

    def begin(
        self, call: Callable[[AsyncMeter], Coroutine[Any, Any, T]], attempt: Attempt | None = None
    ) -> tuple[asyncio.Task[T], asyncio.Future[T]]:
        """Have it do something; returns the task inside, and what outsiders wait for."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self.waiting[answer] = None
        owner, mine = OWNER.set(self), ATTEMPT.set(attempt)
        task = loop.create_task(call(self.meter))
        OWNER.reset(owner)
        ATTEMPT.reset(mine)
        task.add_done_callback(lambda task: self._pass_on(task, answer))
        return task, answer

    def kill(self) -> None:
        """End it where it stands, and tell those who wait that nobody will answer."""
        self.alive = False
        self.database.drop(self)
        for answer in self.waiting:
            if not answer.done():
                answer.set_exception(Killed())
        self.waiting.clear()

    def _pass_on(self, task: asyncio.Task[T], answer: asyncio.Future[T]) -> None:
        self.waiting.pop(answer, None)
        if answer.done():
            return
        if task.cancelled():
            answer.cancel()
        elif error := task.exception():
            answer.set_exception(error)
        else:
            answer.set_result(task.result())
