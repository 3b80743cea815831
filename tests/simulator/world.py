"""
Everything in a run, and what callers and others may ask of it.

Callers outlive processes: what they want they ask of whichever is alive, and when that dies of another.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Any, Final, Protocol

from tests.simulator.faults import draw_faults, draw_policy
from tests.simulator.intents import Attempt, Intent, Left, said
from tests.simulator.oracle import Oracle, Violation
from tests.simulator.processes import Killed, Process

from ptmeter import Policy
from ptmeter.configuration import reference_card
from ptmeter.errors import InvariantError, PtmeterError
from ptmeter.pricing import Pricing

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.simulator.database import Database
    from tests.simulator.faults import Faults
    from tests.simulator.loop import VirtualLoop
    from tests.simulator.processes import SimulatedStore

    from ptmeter import AsyncMeter

LATE: Final = 0.001
"""Seconds that an answer may come behind somebody's patience."""


@cache
def pricing() -> Pricing:
    """What the meters are opened with; nothing is priced in these runs."""
    nothing: Any = None
    return Pricing([reference_card()], Policy(), catalogue=nothing, tokens=nothing)


class Parts(Protocol):
    """What the database and the stores of a run are made of."""

    @property
    def database(self) -> type[Database]: ...

    @property
    def store(self) -> type[SimulatedStore]: ...


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
        self.accounts = [f"a{n}" for n in range(self.random.randint(1, 4))]
        self.processes: list[Process] = []

    def say(self, who: str, what: str) -> None:
        """Put a line into the trace."""
        self.lines.append(f"{self.loop.time():12.3f}  {who:<10} {what}")

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

    async def on_some_process(
        self, who: str, call: Callable[[AsyncMeter], Coroutine[Any, Any, Any]]
    ) -> Any:
        """Have some process do what nobody has a key for; returns the result or the error."""
        process = await self._some_process()
        _, answer = process.begin(call)
        try:
            result = await answer
        except (PtmeterError, Killed) as error:
            result = error
        if isinstance(result, InvariantError):
            msg = f"{who} on {process.name}: {result!r}"
            raise Violation(msg)
        self.seen[f"{who} {type(result).__name__}"] += 1
        return result

    async def rest(self, seconds: float) -> None:
        """Wait, but no longer than until faults stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.calm.wait()

    # --- processes ---

    def start(self, place: int) -> None:
        """Have a process take the place of one that was killed."""
        if not self.processes[place].alive:
            self.processes[place] = self.new_process(f"{self.processes[place].name}'")

    def new_process(self, name: str) -> Process:
        """One more process, with a meter on the only database."""
        random = Random(f"{self.seed} {name}")
        return Process(name, self.database, self.policy, pricing(), random, store=self.parts.store)

    async def _some_process(self) -> Process:
        """One that is alive and ready: what getting ready takes is no part of a call."""
        while True:
            if alive := [process for process in self.processes if process.alive]:
                process = self.random.choice(alive)
                with suppress(PtmeterError, Killed):
                    await process.get_ready()
                    return process
            await asyncio.sleep(1)

    # --- the books ---

    async def audit(self) -> bool:
        """Verify the ledger from some process; returns whether that was possible."""
        report = await self.on_some_process("audit", lambda meter: meter.verify())
        if not isinstance(report, Exception) and not report.clean:
            msg = f"the audit finds {report.findings} and leaves out {report.uncovered}"
            raise Violation(msg)
        return not isinstance(report, Exception)

    def _committed(self, postings: Any, tables: Any) -> None:
        self.oracle.committed(postings, tables)
        self.seen["commits"] += 1
        self.seen["shared commits"] += sum(len(p.batch) > 1 for p in postings)
        self.seen.update(f"row {row.kind.name}" for posting in postings for row in posting.rows)
