"""
A run: callers, processes, faults and a clock, all from one seed; first with faults, then without.

While there are faults, nothing may go wrong (safety). Once they stop, everything has to come to an end in a
bounded time: every request is resolved under its key, and a sweep leaves nothing held (liveness).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from random import Random
from traceback import format_exception
from typing import TYPE_CHECKING, Any, Final

from tests.simulator import closer
from tests.simulator.callers import Caller
from tests.simulator.database import Database
from tests.simulator.faults import draw_faults, draw_policy
from tests.simulator.intents import Attempt, Intent, Left, said
from tests.simulator.loop import Stuck, VirtualLoop
from tests.simulator.oracle import Oracle, Violation
from tests.simulator.processes import Process, SimulatedStore

from ptmeter import Policy
from ptmeter.configuration import reference_card
from ptmeter.pricing import Pricing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from tests.simulator.faults import Faults

    from ptmeter import AsyncMeter

CALM: Final = 600.0
"""Seconds after the last fault within which everybody must have an answer."""
LATE: Final = 0.001
"""Seconds that an answer may come behind somebody's patience."""
TURNS: Final = 400_000
"""Callbacks after which a run goes round in circles."""


@dataclass(frozen=True)
class Parts:
    """What a run is made of; the controls replace one by a broken one."""

    database: type[Database] = Database
    store: type[SimulatedStore] = SimulatedStore
    caller: type[Caller] = Caller


@dataclass(frozen=True)
class Result:
    """How a run went."""

    seed: int
    steps: int
    violation: str | None
    trace: list[str]
    seen: Counter[str]
    seconds: float
    """Of virtual time."""


@cache
def pricing() -> Pricing:
    """What the meters are opened with; nothing is priced in these runs."""
    nothing: Any = None
    return Pricing([reference_card()], Policy(), catalogue=nothing, tokens=nothing)


def simulate(seed: int, *, steps: int = 40, parts: Parts | None = None) -> Result:
    """Run *seed* with so many requests, and say what happened."""
    loop = VirtualLoop(Random(f"{seed} order"))
    world = World(seed, steps, loop, parts or Parts())
    violation = None
    try:
        loop.run(world.run(), until=world.deadline, turns=TURNS)
        if loop.complaints:
            raise Violation(loop.complaints[0])
    except (Violation, Stuck) as problem:
        violation = f"{type(problem).__name__}: {problem}"
    except Exception as problem:  # noqa: BLE001 - whatever it is, it must not happen
        violation = "".join(format_exception(problem)).strip()
    return Result(seed, steps, violation, world.lines, world.seen, loop.time())


@dataclass
class World:
    """Everything in a run, and what everybody in it may ask of the others."""

    seed: int
    steps: int
    loop: VirtualLoop
    parts: Parts
    intents: list[Intent] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter[str])
    calm: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once there are no faults any more."""

    def __post_init__(self) -> None:
        self.random = Random(f"{self.seed} world")
        self.faults: Faults = draw_faults(self.random)
        self.policy = draw_policy(self.random)
        self.oracle = Oracle()
        self.database = self.parts.database(
            self.loop, Random(f"{self.seed} database"), self.faults, self.policy, self._committed
        )
        self.duration = self.random.choice((20.0, 300.0, 3_600.0, 86_400.0))
        self.deadline = self.duration + 3 * CALM
        self.accounts = [f"a{n}" for n in range(self.random.randint(1, 4))]
        self.processes: list[Process] = []

    def say(self, who: str, what: str) -> None:
        """Put a line into the trace."""
        self.lines.append(f"{self.loop.time():12.3f}  {who:<10} {what}")

    async def run(self) -> None:
        """Both phases, one after the other."""
        self.say("world", f"{self.steps} steps in {self.duration:.0f} s on {len(self.accounts)} accounts")
        self.say("world", f"faults: {self.faults}")
        self.say("world", f"policy: {_terms(self.policy)}")
        for number in range(self.random.randint(1, 4)):
            self.processes.append(self._new_process(f"p{number}"))
        callers = [self.parts.caller(self, n) for n in range(self.random.randint(1, 8))]
        tasks = [self.loop.create_task(caller.run()) for caller in callers]
        nuisances = [self.loop.create_task(n) for n in (self._kill(), self._set_clock(), self._sweep())]
        nuisances += [self.loop.create_task(closer.close_months(self))]

        await self._until(lambda: all(task.done() for task in tasks), self.duration)
        _raise_first(tasks)
        self._stop_faults(nuisances)
        await self._soon(asyncio.gather(*tasks))
        await self._soon(self._resolve_all(callers[0]))
        await self._finish()

    # --- what anybody may do ---

    async def ask(self, intent: Intent, *, key: str | None = None) -> Any:
        """Ask some process for *intent*, once; returns its answer or its error."""
        process = await self._some_process()
        attempt = Attempt(intent, len(self.oracle.attempts), key or intent.key, self.oracle.asks)
        self.oracle.attempts.append(attempt)
        began = self.loop.time()
        self.say(process.name, f"{attempt}")
        task, answer = process.begin(lambda meter: intent.ask(meter, attempt.key), attempt)
        if self.database.happens(self.faults.leavings):
            self.loop.call_later(self.random.expovariate(2), task.cancel)
        try:
            attempt.answer = await answer
        except asyncio.CancelledError:
            if (me := asyncio.current_task()) and me.cancelling():
                raise
            attempt.answer = Left()
        except Exception as error:  # noqa: BLE001 - whatever it is, the oracle is to judge it
            attempt.answer = error
        took = self.loop.time() - began
        self.say(process.name, f"#{attempt.number} {said(attempt.answer)}")
        self.seen[f"{intent.verb} {type(attempt.answer).__name__}"] += 1
        if took > self.policy.patience.total_seconds() + LATE:
            msg = f"{attempt} took {took:.3f} s, which is more than its caller's patience"
            raise Violation(msg)
        self.oracle.answered(attempt)
        return attempt.answer

    def wants(self, verb: str, account: str, **details: Any) -> Intent:
        """Something new that somebody wants."""
        number = len(self.intents)
        key = details.pop("key", f"k{number}")
        intent = Intent(number=number, verb=verb, account=account, key=key, **details)
        self.intents.append(intent)
        return intent

    async def on_some_process(self, who: str, call: Callable[[AsyncMeter], Coroutine[Any, Any, Any]]) -> Any:
        """Have some process do what nobody has a key for; returns the result or the error."""
        process = await self._some_process()
        _, answer = process.begin(call)
        try:
            result = await answer
        except Exception as error:  # noqa: BLE001 - the caller judges it
            result = error
        self.seen[f"{who} {type(result).__name__}"] += 1
        return result

    async def _some_process(self) -> Process:
        while not (alive := [process for process in self.processes if process.alive]):
            await asyncio.sleep(1)
        return self.random.choice(alive)

    async def rest(self, seconds: float) -> None:
        """Wait, but no longer than until faults stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.calm.wait()

    # --- what befalls them ---

    async def _kill(self) -> None:
        """Kill processes now and then; another takes the place of each, later."""
        while self.faults.kills:
            await asyncio.sleep(self.random.expovariate(self.faults.kills / self.duration))
            place = self.random.randrange(len(self.processes))
            if self.processes[place].alive:
                self.say(self.processes[place].name, "killed")
                self.seen["kills"] += 1
                self.processes[place].kill()
                self.loop.call_later(self.random.expovariate(0.5), self._start, place)

    def _start(self, place: int) -> None:
        if not self.processes[place].alive:
            self.processes[place] = self._new_process(f"{self.processes[place].name}'")

    def _new_process(self, name: str) -> Process:
        random = Random(f"{self.seed} {name}")
        return Process(name, self.database, self.policy, pricing(), random, store=self.parts.store)

    async def _set_clock(self) -> None:
        while self.faults.steps:
            await asyncio.sleep(self.random.expovariate(self.faults.steps / self.duration))
            step = timedelta(hours=self.random.choice((-1, 1)))
            if abs(self.database.offset + step) <= timedelta(hours=2):
                self.database.offset += step
                self.seen["clock steps"] += 1
                self.say("clock", f"stepped by {step.total_seconds():+.0f} s")

    async def _sweep(self) -> None:
        """What a nightly job does, more often; and an audit now and then."""
        every = self.duration / self.random.randint(2, 20)
        while not self.calm.is_set():
            await asyncio.sleep(self.random.expovariate(1 / every))
            swept = await self.on_some_process("sweep", lambda meter: meter.sweep(limit=self.random.randint(1, 20)))
            self.say("sweeper", str(swept) if not isinstance(swept, Exception) else type(swept).__name__)
            if self.random.random() < 0.1:
                await self._audit()

    async def _audit(self) -> bool:
        report = await self.on_some_process("audit", lambda meter: meter.verify())
        if not isinstance(report, Exception) and not report.clean:
            msg = f"the audit finds {report.findings} and leaves out {report.uncovered}"
            raise Violation(msg)
        return not isinstance(report, Exception)

    # --- the end ---

    def _stop_faults(self, nuisances: list[asyncio.Task[None]]) -> None:
        self.calm.set()
        self.faults.stop()
        self.say("world", "faults stop")
        _raise_first(nuisances)
        for nuisance in nuisances:
            nuisance.cancel()
        for place in range(len(self.processes)):
            self._start(place)

    async def _resolve_all(self, caller: Caller) -> None:
        """Ask again for whatever is not certain."""
        for intent in self.intents:
            if intent.answer is None:
                await caller.insist(intent)

    async def _finish(self) -> None:
        """Go behind the end of every hold, sweep once, and look at everything."""
        holds = self.database.store._tables.holds.values()
        wait = max((hold.expires_at - self.database.now() for hold in holds), default=timedelta(0))
        self.database.offset += max(wait, timedelta(0))
        swept = await self.on_some_process("sweep", lambda meter: meter.sweep(limit=1_000))
        self.say("sweeper", str(swept))
        if isinstance(swept, Exception) or not await self._audit():
            msg = f"there are no faults any more, and a sweep or an audit fails: {swept!r}"
            raise Violation(msg)
        self.oracle.finish(self.intents, self.database.store._tables)
        self.say("world", f"{self.oracle.commits} commits, all is well")

    async def _soon(self, waited_for: Awaitable[object]) -> None:
        """Wait for what has to come to an end now that nothing goes wrong any more."""
        try:
            await asyncio.wait_for(waited_for, CALM)
        except TimeoutError:
            msg = f"{CALM:.0f} s after the last fault something has not come to an end"
            raise Violation(msg) from None

    async def _until(self, holds: Callable[[], bool], seconds: float) -> None:
        end = self.loop.time() + seconds
        while not holds() and self.loop.time() < end:
            await asyncio.sleep(seconds / 100)

    def _committed(self, postings: Any, tables: Any) -> None:
        self.oracle.committed(postings, tables)
        self.seen["commits"] += 1
        self.seen["shared commits"] += sum(len(p.batch) > 1 for p in postings)
        self.seen.update(f"row {row.kind.name}" for posting in postings for row in posting.rows)


def _raise_first(tasks: list[asyncio.Task[None]]) -> None:
    """A violation found in a task of the world ends the run."""
    for task in tasks:
        if task.done():
            task.result()


def _terms(policy: Policy) -> str:
    names = ("attempts", "patience", "queue", "batch", "lanes", "hold_ttl")
    return ", ".join(f"{name} {getattr(policy, name)}" for name in names)

