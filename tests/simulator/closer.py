"""
HOOK: closing months while all else goes on, once `ptmeter.operations.closing` is there.

The clock starts half an hour before the end of a month, and in some runs it steps over it and back.
"""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulator.simulation import World

MONTH = "2026-01"


async def close_months(world: World) -> None:
    """Close January again and again, on some process, until it is sealed."""
    if find_spec("ptmeter.operations.closing") is None:
        return
    while not world.calm.is_set():
        await world.rest(world.random.expovariate(4 / world.duration))
        closed = await world.on_some_process(
            "close",
            lambda meter: meter.periods.close(MONTH, by="simulator"),  # pyright: ignore
        )
        world.say("closer", type(closed).__name__ if isinstance(closed, Exception) else str(closed))
