"""What befalls the callers while there are faults: deaths, clocks that are set, sweeps that come too often."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from tests.simulator.world import World

CAN_CLOSE: Final = find_spec("ptmeter.operations.closing") is not None
MONTH: Final = "2026-01"
MONTH_END: Final = datetime(2026, 2, 1, tzinfo=UTC)
FURTHEST: Final = timedelta(hours=2)
"""How far the database's clock goes wrong."""


async def kill_processes(world: World) -> None:
    """Kill processes now and then; another takes the place of each, later."""
    while world.faults.kills:
        await asyncio.sleep(world.random.expovariate(world.faults.kills / world.duration))
        place = world.random.randrange(len(world.processes))
        if world.processes[place].alive:
            world.say(world.processes[place].name, "killed")
            world.seen["kills"] += 1
            world.processes[place].kill()
            world.loop.call_later(world.random.expovariate(0.5), world.start, place)


async def set_clock(world: World) -> None:
    """Set the database's clock an hour forward or back."""
    while world.faults.steps:
        await asyncio.sleep(world.random.expovariate(world.faults.steps / world.duration))
        step = timedelta(hours=world.random.choice((-1, 1)))
        if abs(world.database.offset + step) <= FURTHEST:
            world.database.offset += step
            world.seen["clock steps"] += 1
            world.say("clock", f"stepped by {step.total_seconds():+.0f} s")


async def sweep(world: World) -> None:
    """Do what a nightly job does, more often; and an audit now and then."""
    every = world.duration / world.random.randint(2, 20)
    while not world.calm.is_set():
        await asyncio.sleep(world.random.expovariate(1 / every))
        limit = world.random.randint(1, 20)
        swept = await world.on_some_process("sweep", lambda meter, limit=limit: meter.sweep(limit=limit))
        world.say("sweeper", type(swept).__name__ if isinstance(swept, Exception) else str(swept))
        if world.random.random() < 0.1:
            await world.audit()


async def close_months(world: World) -> None:
    """
    Close January again and again until faults stop; where closing is not there yet, do nothing.

    The clock starts half an hour before the month ends, and in some runs it steps over that and back.
    """
    while CAN_CLOSE and not world.calm.is_set():
        await world.rest(world.random.expovariate(4 / world.duration))
        closed = await close_month(world)
        world.say("closer", type(closed).__name__ if isinstance(closed, Exception) else "closed")


async def close_month(world: World) -> object:
    """Close January on some process: the report, or the error that says why not."""

    def close(meter: Any) -> Any:
        return meter.periods.close(MONTH, by="simulator")

    closed = await world.on_some_process("close", close)
    if not isinstance(closed, Exception):
        world.oracle.closed = MONTH_END
    return closed


NUISANCES: Final = (kill_processes, set_clock, sweep, close_months)
