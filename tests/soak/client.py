"""
A client that holds, settles and voids until it is killed, and notes what it asked for and was told.

Run as a process of its own (``python -m tests.soak.client``), on the public face of either colour. Every line
of its notes is one write to a file opened for appending, so that whatever kills it leaves whole lines, in the
order in which things happened to it.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.facade.colours import open_meter
from tests.integration.jobs import command_for

from ptmeter import InsufficientFundsError, Policy, PtmeterError, StorageError
from ptmeter.domain.policy import Durability

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ACCOUNTS: Final = ("anna", "boris", "carla")
POOR: Final = "paul"
"""Has too little for all who ask at once: refusals are told amid crashes, too."""

HELD, CHARGED = 2, 1
BATCH = 20
PAUSE = 0.05


@dataclass(frozen=True)
class Orders:
    """What a client is to do."""

    url: str
    notes: str
    prefix: str
    asynchronous: bool = False
    batches: bool = False
    too_early: bool = False
    relaxed: bool = False


@dataclass(frozen=True)
class Caller:
    """One of a client's callers: makes call after call, each under a key of its own."""

    meter: Any
    account: str
    prefix: str
    write: Callable[[str], None]
    too_early: bool

    async def call_for_ever(self) -> None:
        """Hold and settle; every third hold is voided."""
        for number in count():
            key = f"{self.prefix}.{number}"
            placed = await self.ask("hold", key, lambda key=key: self.hold(key))
            if placed is None:
                continue
            if settles(key) and self.account != POOR:
                await self.ask("settle", key, lambda key=key, placed=placed: self.settle(placed, key))
            else:
                await self.ask("void", key, lambda key=key, placed=placed: self.void(placed, key))

    async def post_for_ever(self) -> None:
        """Hold for many calls in one batch, which is there wholly or not at all."""
        for number in count():
            keys = [f"{self.prefix}.{number}.{n}" for n in range(BATCH)]
            groups = [(command_for("hold", self.account, key, HELD),) for key in keys]
            await self.ask("hold", ",".join(keys), lambda groups=groups: self.meter.post(groups))

    def hold(self, key: str) -> Awaitable[Any]:
        return self.meter.hold(self.account, key=key, core=HELD)

    def settle(self, placed: Any, key: str) -> Awaitable[Any]:
        return self.meter.settle(placed, key=key, core=CHARGED)

    def void(self, placed: Any, key: str) -> Awaitable[Any]:
        return self.meter.void(placed, key=key)

    async def ask(self, verb: str, key: str, request: Callable[[], Awaitable[Any]]) -> Any:
        """Carry out *request* and note how it ended; what is not among the expected ends is ``broken``."""
        self.note("asked", verb, key)
        if self.too_early:
            self.note("told", verb, key)
        try:
            answer = await request()
        except InsufficientFundsError:
            self.note("refused", verb, key)
        except StorageError as error:
            self.note("failed", verb, key, type(error).__name__)
            await asyncio.sleep(PAUSE)
        except PtmeterError as error:
            self.note("broken", verb, key, repr(error))
        else:
            self.note("told", verb, key)
            return answer
        return None

    def note(self, end: str, verb: str, key: str, more: str = "") -> None:
        self.write(f"{end}\t{verb}\t{self.account}\t{key}\t{more}")


def settles(key: str) -> bool:
    """Whether the call under *key* is settled, not voided."""
    return bool(int(key.rpartition(".")[2]) % 3)


def run(orders: Orders) -> None:
    """Call until killed."""
    notes = os.open(orders.notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(line: str) -> None:
        os.write(notes, f"{line}\n".encode())

    durability = Durability.RELAXED if orders.relaxed else Durability.STRICT
    meter = open_meter(orders.url, asynchronous=orders.asynchronous, policy=Policy(durability=durability))
    callers = [
        Caller(meter, account, f"{orders.prefix}.{number}", write, orders.too_early)
        for number, account in enumerate(ACCOUNTS if orders.batches else (*ACCOUNTS, POOR))
    ]
    days = [caller.post_for_ever if orders.batches else caller.call_for_ever for caller in callers]

    async def guarded(day: Callable[[], Awaitable[None]]) -> None:
        try:
            await day()
        except BaseException:  # noqa: BLE001 - whatever it was, the test is to say so
            write("\t".join(("broken", "-", "-", "-", repr(traceback.format_exc()))))
            os._exit(1)

    async def all_of_them() -> None:
        await asyncio.gather(*map(guarded, days))

    if orders.asynchronous:
        asyncio.run(all_of_them())
    else:
        with ThreadPoolExecutor(len(days)) as pool:
            list(pool.map(lambda day: asyncio.run(guarded(day)), days))


def start(orders: Orders) -> subprocess.Popen[bytes]:
    """A client in a process of its own."""
    root = Path(__file__).parent.parent.parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-m", "tests.soak.client", json.dumps(asdict(orders))]
    return subprocess.Popen(command, cwd=root, env=environment)


if __name__ == "__main__":
    run(Orders(**json.loads(sys.argv[1])))
