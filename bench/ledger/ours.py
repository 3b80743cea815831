"""ptmeter through its public face: `Meter` with 64 threads, `AsyncMeter` with 64 tasks, one or several processes."""

from __future__ import annotations

import asyncio
import itertools
import random
import uuid
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ptmeter import AsyncMeter, Meter, Policy, PtmeterError
from ptmeter.domain.commands import Grant
from ptmeter.domain.keys import transfer_id
from ptmeter.domain.ledger import WalletId

from . import databases
from .callers import processes, tasks, threads
from .commits import Commits
from .contest import About, Contestant, Course

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterator
    from contextlib import ExitStack
    from datetime import datetime

    from .callers import AsyncSteps, Steps, Timing

CALLERS: Final = 64
RICH: Final = 10**15
"""What an account is given, in micro-PT."""

AT_ONCE: Final = 200
"""How many grants share a transaction."""

LANES: Final = Policy().lanes

ATTEMPTS: Final = 50
"""How often a caller sends a command again, under the same key, that the database gave up."""


def contestants() -> list[Contestant]:
    """Every combination that the table shows; the first of them are what the aims speak of."""
    found = [_contestant(backend, wallets=n) for backend in databases.BACKENDS for n in (1, 1_000)]
    found += [_contestant(backend, colour="AsyncMeter") for backend in databases.BACKENDS]
    found += [_contestant("PostgreSQL", colour="AsyncMeter", wallets=1_000, lanes=n) for n in (LANES, 1)]
    found += [_contestant("PostgreSQL", colour=colour, freeze=False) for colour in ("Meter", "AsyncMeter")]
    found += [_contestant("PostgreSQL", count=count) for count in (2, 4)]
    found += [_contestant("PostgreSQL", count=4, wallets=1_000), _contestant("SQLite", count=2)]
    return found + [_contestant(backend, callers=1) for backend in databases.BACKENDS]


def grant_all(url: str, wallets: int, clock: Callable[[], datetime] | None = None) -> None:
    """Set up the tables and give so many accounts more than they will spend."""
    grants = [
        (
            Grant(
                wallet=WalletId(name, "core"),
                id=transfer_id(name, "grant", "bench"),
                fingerprint=bytes(8),
                amount=RICH,
            ),
        )
        for name in map(account, range(wallets))
    ]
    with Meter.open(url, migrate=True, clock=clock) as meter:
        for first in range(0, wallets, AT_ONCE):
            meter.post(grants[first : first + AT_ONCE])


def account(number: int) -> str:
    """The name of the account of that number."""
    return f"account-{number}"


def verify(url: str) -> str:
    """What `Meter.verify` finds wrong; an empty text if nothing."""
    with Meter.open(url) as meter:
        report = meter.verify()
    return "" if report.clean else f"verify: {report.findings or report.uncovered}"


def run_threads(
    url: str, callers: int, wallets: int, seconds: float, *, lanes: int = LANES, **how: Any
) -> Timing:
    """One process: a meter and a thread for every caller; *how* as in `run_callers`."""
    with Meter.open(url, policy=Policy(lanes=lanes)) as meter:
        return run_callers(meter, callers, wallets, seconds, **how)


def run_callers(
    meter: Meter,
    callers: int,
    wallets: int,
    seconds: float,
    *,
    ready: Callable[[], Any] | None = None,
    freeze: bool = True,
) -> Timing:
    """Hold and settle in a thread for every caller."""

    def make(number: int, _: ExitStack) -> Steps:
        holds: list[Any] = []
        names = _names(number, wallets)

        def hold() -> None:
            name, key = next(names)
            holds.append(_patiently(partial(meter.hold, name, core=3, key=key)))

        def settle() -> None:
            held = holds.pop()
            _patiently(partial(meter.settle, held, core=1, key=held.key))

        return hold, settle

    with Commits(ready) as commits:
        timing = threads(make, callers=callers, seconds=seconds, ready=commits.begin, freeze=freeze)
    return replace(timing, commits=commits.count)


def run_tasks(
    url: str,
    callers: int,
    wallets: int,
    seconds: float,
    *,
    lanes: int = LANES,
    ready: Callable[[], Any] | None = None,
    freeze: bool = True,
) -> Timing:
    """One process: an asynchronous meter and a task for every caller."""

    async def main() -> Timing:
        async with AsyncMeter.open(url, policy=Policy(lanes=lanes)) as meter:

            def make(number: int) -> AsyncSteps:
                holds: list[Any] = []
                names = _names(number, wallets)

                async def hold() -> None:
                    name, key = next(names)
                    holds.append(await _patiently_async(partial(meter.hold, name, core=3, key=key)))

                async def settle() -> None:
                    held = holds.pop()
                    await _patiently_async(partial(meter.settle, held, core=1, key=held.key))

                return hold, settle

            with Commits(ready) as commits:
                how = {"ready": commits.begin, "freeze": freeze}
                timing = await tasks(make, callers=callers, seconds=seconds, **how)
            return replace(timing, commits=commits.count)

    return asyncio.run(main())


def _contestant(
    backend: str,
    *,
    colour: str = "Meter",
    callers: int = CALLERS,
    count: int = 1,
    wallets: int = 1,
    lanes: int = LANES,
    freeze: bool = True,
) -> Contestant:
    about = About(
        backend=backend,
        durability=databases.durability(backend),
        callers=callers,
        processes=count,
        wallets=wallets,
    )
    how = ("" if freeze else ", all collected") + ("" if lanes == LANES else f", lanes={lanes}")
    return Contestant(
        f"ptmeter {colour}{how}", about, partial(_course, about, colour, freeze=freeze, lanes=lanes)
    )


@contextmanager
def _course(about: About, colour: str, **how: Any) -> Generator[Course]:
    run_one = partial(run_threads if colour == "Meter" else run_tasks, **how)
    each, wallets = about.callers // about.processes, about.wallets
    with databases.BACKENDS[about.backend]() as url:
        grant_all(url, wallets)

        def run(seconds: float) -> Timing:
            if about.processes == 1:
                return run_one(url, each, wallets, seconds)
            share = {"url": url, "callers": each, "wallets": wallets, "seconds": seconds}
            return processes(run_one, count=about.processes, **share)

        yield Course(run, partial(verify, url))


def _names(number: int, wallets: int) -> Iterator[tuple[str, str]]:
    """A caller's accounts and keys: any account, a key never used before."""
    chosen, mine = random.Random(number), uuid.uuid4().hex
    for turn in itertools.count():
        yield account(chosen.randrange(wallets)), f"{mine}-{turn}"


def _patiently(command: Callable[[], Any]) -> Any:
    """Carry out a command, again under the same key if the database gave it up."""
    for _ in range(ATTEMPTS):
        try:
            return command()
        except PtmeterError as error:
            if not error.retryable:
                raise
    return command()


async def _patiently_async(command: Callable[[], Awaitable[Any]]) -> Any:
    for _ in range(ATTEMPTS):
        try:
            return await command()
        except PtmeterError as error:
            if not error.retryable:
                raise
    return await command()
