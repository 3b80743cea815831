"""Callers that do the same steps over and over, all at once: as threads, as tasks, in several processes."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    Steps: TypeAlias = Sequence[Callable[[], object]]
    AsyncSteps: TypeAlias = Sequence[Callable[[], Awaitable[object]]]


@dataclass(frozen=True, slots=True)
class Timing:
    """How long each command took, in seconds, by step; and how long all of it took."""

    took: tuple[tuple[float, ...], ...]
    seconds: float
    commits: int = 0
    """How many transactions they took; 0 if nobody counted."""

    @property
    def commands(self) -> int:
        """How many commands were carried out."""
        return sum(map(len, self.took))

    @property
    def rate(self) -> float:
        """Commands per second."""
        return self.commands / self.seconds

    def quantile(self, q: float, step: int | None = None) -> float:
        """The latency below which the share *q* of the commands lies: of one step, or of all."""
        of = self.took if step is None else (self.took[step],)
        found = sorted(value for values in of for value in values)
        return found[min(len(found) - 1, int(q * len(found)))] if found else 0.0


def merged(timings: Sequence[Timing]) -> Timing:
    """What several processes did side by side."""
    steps = zip(*(timing.took for timing in timings), strict=True)
    took = tuple(tuple(chain.from_iterable(step)) for step in steps)
    return Timing(took, max(each.seconds for each in timings), sum(each.commits for each in timings))


def threads(
    make: Callable[[int, ExitStack], Steps],
    *,
    callers: int,
    seconds: float,
    ready: Callable[[], Any] | None = None,
    freeze: bool = True,
) -> Timing:
    """
    Run the steps that *make* returns for each caller's number, in a thread for each.

    Every caller goes through its steps once unmeasured, so that connections and prepared statements are
    there; *ready* is called once, when all have. What a process has loaded by then is left out of garbage
    collection, as a server does it, if it is to *freeze*.
    """
    barrier = threading.Barrier(callers, action=partial(_begin, ready, freeze=freeze))

    def call(number: int) -> Timing:
        with ExitStack() as stack:
            try:
                steps = make(number, stack)
                for step in steps:
                    step()
            except BaseException:
                barrier.abort()
                raise
            barrier.wait()
            took: tuple[list[float], ...] = tuple([] for _ in steps)
            begin = now = time.perf_counter()
            while now < begin + seconds:
                for step, times in zip(steps, took, strict=True):
                    step()
                    before, now = now, time.perf_counter()
                    times.append(now - before)
            return Timing(tuple(map(tuple, took)), now - begin)

    with ThreadPoolExecutor(callers) as pool:
        calls = [pool.submit(call, number) for number in range(callers)]
    gc.unfreeze()
    for error in (call.exception() for call in calls):
        if error and not isinstance(error, threading.BrokenBarrierError):
            raise error  # the others broke off because of this one
    return merged([call.result() for call in calls])


async def tasks(
    make: Callable[[int], AsyncSteps],
    *,
    callers: int,
    seconds: float,
    ready: Callable[[], Any] | None = None,
    freeze: bool = True,
) -> Timing:
    """Run the steps that *make* returns for each caller's number, in a task for each; see `threads`."""
    all_steps = [make(number) for number in range(callers)]

    async def warm(steps: AsyncSteps) -> None:
        for step in steps:
            await step()

    async def call(steps: AsyncSteps) -> Timing:
        took: tuple[list[float], ...] = tuple([] for _ in steps)
        begin = now = time.perf_counter()
        while now < begin + seconds:
            for step, times in zip(steps, took, strict=True):
                await step()
                before, now = now, time.perf_counter()
                times.append(now - before)
        return Timing(tuple(map(tuple, took)), now - begin)

    await asyncio.gather(*map(warm, all_steps))
    _begin(ready, freeze=freeze)
    try:
        return merged(await asyncio.gather(*map(call, all_steps)))
    finally:
        gc.unfreeze()


def processes(run: Callable[..., Timing], *, count: int, **arguments: Any) -> Timing:
    """Call *run* in *count* processes that begin together; it takes ``ready`` beside *arguments*."""
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(count), context.SimpleQueue()
    workers = [
        context.Process(target=_work, args=(results, partial(run, ready=barrier.wait, **arguments)))
        for _ in range(count)
    ]
    for worker in workers:
        worker.start()
    outcomes = [results.get() for _ in workers]
    for worker in workers:
        worker.join()
    if failed := [outcome for outcome in outcomes if not isinstance(outcome, Timing)]:
        raise RuntimeError(*failed)
    return merged(outcomes)


def _begin(ready: Callable[[], Any] | None, *, freeze: bool) -> None:
    gc.collect()
    if freeze:
        gc.freeze()
    if ready:
        ready()


def _work(results: Any, run: Callable[[], Timing]) -> None:
    try:
        results.put(run())
    except BaseException as error:  # noqa: BLE001 - the parent raises it
        results.put(repr(error))
