"""A thousand holds at the same moment on funds for fifty: exactly fifty may be admitted, and how soon all know."""

from __future__ import annotations

import asyncio
import itertools
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ptmeter import AsyncMeter, InsufficientFundsError, Meter

from . import databases, ours

if TYPE_CHECKING:
    from collections.abc import Sequence

HOLDS: Final = 1_000
FUNDS: Final = 50
THREADS: Final = 64


@dataclass(frozen=True, slots=True)
class Race:
    """How many each race admitted, and how long it took until the last caller had his answer."""

    name: str
    backend: str
    admitted: Sequence[int]
    seconds: Sequence[float]
    problem: str

    @property
    def median(self) -> float:
        """The median race's seconds."""
        return statistics.median(self.seconds)

    @property
    def exact(self) -> bool:
        """Whether every race admitted as many as there was money for."""
        return all(count == FUNDS for count in self.admitted)


def races(rounds: int, backends: Sequence[str] = tuple(databases.BACKENDS)) -> list[Race]:
    """Race on every backend that is there, in tasks and in threads."""
    found: list[Race] = []
    for backend in backends:
        for colour in ("AsyncMeter, 1,000 tasks", f"Meter, {THREADS} threads"):
            with databases.BACKENDS[backend]() as url:
                ours.grant_all(url, 1)
                tasks = colour.startswith("Async")
                results = asyncio.run(_tasks(url, rounds)) if tasks else _threads(url, rounds)
                admitted, seconds = zip(*results, strict=True)
                found.append(Race(colour, backend, admitted, seconds, ours.verify(url)))
    return found


async def _tasks(url: str, rounds: int) -> list[tuple[int, float]]:
    async with AsyncMeter.open(url) as meter:

        async def hold(account: str, number: int) -> bool:
            try:
                await meter.hold(account, core=1, key=str(number))
            except InsufficientFundsError:
                return False
            return True

        await asyncio.gather(*(hold(ours.account(0), number) for number in range(THREADS)))  # connect
        results: list[tuple[int, float]] = []
        for turn in range(rounds):
            await meter.funds.grant(f"race-{turn}", core=FUNDS, source="bench", key="bench")
            begin = time.perf_counter()
            held = await asyncio.gather(*(hold(f"race-{turn}", number) for number in range(HOLDS)))
            results.append((sum(held), time.perf_counter() - begin))
        return results


def _threads(url: str, rounds: int) -> list[tuple[int, float]]:
    with Meter.open(url) as meter, ThreadPoolExecutor(THREADS) as pool:

        def hold(account: str, number: int) -> bool:
            try:
                meter.hold(account, core=1, key=str(number))
            except InsufficientFundsError:
                return False
            return True

        list(pool.map(hold, itertools.repeat(ours.account(0)), range(THREADS)))  # connect
        results: list[tuple[int, float]] = []
        for turn in range(rounds):
            meter.funds.grant(f"race-{turn}", core=FUNDS, source="bench", key="bench")
            begin = time.perf_counter()
            held = list(pool.map(hold, itertools.repeat(f"race-{turn}"), range(HOLDS)))
            results.append((sum(held), time.perf_counter() - begin))
        return results
