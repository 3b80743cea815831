"""
A run: callers, processes, faults and a clock, all from one seed; first with faults, then without.

While there are faults, nothing may go wrong (safety). Once they stop, everything has to come to an end in a
bounded time: every request is resolved under its key, and a sweep leaves nothing held (liveness).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from traceback import format_exception
from typing import TYPE_CHECKING, Final

from tests.simulator.callers import Caller
from tests.simulator.database import Database
from tests.simulator.loop import Stuck, VirtualLoop
from tests.simulator.nuisances import CAN_CLOSE, MONTH_END, NUISANCES, close_month
from tests.simulator.oracle import Violation
from tests.simulator.processes import SimulatedStore
from tests.simulator.world import World

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Awaitable

    from ptmeter import Policy

CALM: Final = 600.0
"""Seconds after the last fault within which everybody must have an answer."""
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


def simulate(seed: int, *, steps: int = 40, parts: Parts | None = None) -> Result:
    """Run *seed* with so many requests, and say what happened."""
    loop = VirtualLoop(Random(f"{seed} order"))
    parts = parts or Parts()
    world = World(seed, steps, loop, parts)
    violation = None
    try:
        loop.run(play(world, parts.caller), until=world.duration + 3 * CALM, turns=TURNS)
        violation = next(iter(loop.complaints), None)
    except (Violation, Stuck) as problem:
        violation = f"{type(problem).__name__}: {problem}"
    except Exception as problem:  # noqa: BLE001 - whatever it is, it must not happen
        violation = "".join(format_exception(problem)).strip()
    return Result(seed, steps, violation, world.lines, world.seen, loop.time())


async def play(world: World, new_caller: type[Caller]) -> None:
    """Both phases, one after the other."""
    world.say("world", f"{world.steps} steps in {world.duration:.0f} s on {len(world.accounts)} accounts")
    world.say("world", f"faults: {world.faults}")
    world.say("world", f"policy: {_terms(world.policy)}")
    for number in range(world.random.randint(1, 4)):
        world.processes.append(world.new_process(f"p{number}"))
    callers = [new_caller(world, number) for number in range(world.random.randint(1, 8))]
    tasks = [world.loop.create_task(caller.run()) for caller in callers]
    nuisances = [world.loop.create_task(nuisance(world)) for nuisance in NUISANCES]

    await _faults_go_on(world, tasks)
    _raise_first([*tasks, *nuisances])
    _stop_faults(world, nuisances)
    await _soon(asyncio.gather(*tasks))
    await _soon(_resolve_all(world, callers[0]))
    await _finish(world)


def _stop_faults(world: World, nuisances: list[asyncio.Task[None]]) -> None:
    world.calm.set()
    world.faults.stop()
    world.say("world", "faults stop")
    for nuisance in nuisances:
        nuisance.cancel()
    for place in range(len(world.processes)):
        world.start(place)


async def _resolve_all(world: World, caller: Caller) -> None:
    """Ask again for whatever is not certain."""
    for intent in world.intents:
        if intent.answer is None:
            await caller.insist(intent)


async def _finish(world: World) -> None:
    """Go behind the end of every hold, sweep once, and look at everything."""
    holds = world.database.store._tables.holds.values()
    wait = max((hold.expires_at - world.database.now() for hold in holds), default=timedelta(0))
    world.database.offset += max(wait, timedelta(0))
    swept = await world.on_some_process("sweep", lambda meter: meter.sweep(limit=1_000))
    world.say("sweeper", str(swept))
    world.database.offset += max(MONTH_END - world.database.now(), timedelta(0))
    closed = await close_month(world) if CAN_CLOSE else None
    if (
        type(closed).__name__ == "PeriodOrderError"
    ):  # the ledger was begun by a clock that was in February already
        closed = None
    if isinstance(swept, Exception) or isinstance(closed, Exception) or not await world.audit():
        msg = f"there are no faults any more, and a sweep, a close or an audit fails: {swept!r}, {closed!r}"
        raise Violation(msg)
    world.oracle.finish(world.intents, world.database.store._tables)
    world.say("world", f"{world.oracle.commits} commits, all is well")


async def _soon(waited_for: Awaitable[object]) -> None:
    """Wait for what has to come to an end now that nothing goes wrong any more."""
    try:
        await asyncio.wait_for(waited_for, CALM)
    except TimeoutError:
        msg = f"{CALM:.0f} s after the last fault something has not come to an end"
        raise Violation(msg) from None


async def _faults_go_on(world: World, tasks: list[asyncio.Task[None]]) -> None:
    end = world.loop.time() + world.duration
    while world.loop.time() < end and not all(task.done() for task in tasks):  # noqa: ASYNC110 - it looks now and then
        await asyncio.sleep(world.duration / 100)


def _raise_first(tasks: list[asyncio.Task[None]]) -> None:
    """A violation found in a task of the world ends the run."""
    for task in tasks:
        if task.done():
            task.result()


def _terms(policy: Policy) -> str:
    names = ("attempts", "patience", "queue", "batch", "lanes", "hold_ttl")
    return ", ".join(f"{name} {getattr(policy, name)}" for name in names)
