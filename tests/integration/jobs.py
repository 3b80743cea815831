"""What the worker processes do: each function is one caller's day, and says how it ended."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from random import Random
from time import sleep
from typing import TYPE_CHECKING, Any

from sqlalchemy import select, update
from tests.integration import lives
from tests.integration.wiring import async_meter_on, engine_on, few, meter_on

from ptmeter import Backoff, Usage, read_plans
from ptmeter.domain.commands import Debit, Grant, Hold
from ptmeter.domain.keys import digest, transfer_id
from ptmeter.domain.ledger import Posted, wallet_id
from ptmeter.domain.pt import MICRO
from ptmeter.errors import PtmeterError
from ptmeter.storage.tables import wallet
from ptmeter.testing import Clock
from ptmeter.testing.steps import MINUTE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import timedelta

    from ptmeter import Message, Plans
    from ptmeter.domain.commands import Command
    from ptmeter.domain.ledger import Outcome

HELD = "held"
ONE_PT = Usage(input_uncached=100, output_text=10)
"""What a call of one core PT takes."""


# --- many callers, one balance ------------------------------------------------------------------


def hold_in_threads(url: str, keys: Sequence[str]) -> list[str]:
    """Hold one PT under each key, each in a thread of its own."""
    with meter_on(url) as meter, ThreadPoolExecutor(len(keys)) as pool:
        return list(pool.map(lambda key: ended(partial(meter.hold, "acme", key=key, core=1)), keys))


def hold_in_tasks(url: str, keys: Sequence[str]) -> list[str]:
    """Hold one PT under each key, each in a task of its own."""

    async def hold_all() -> list[str]:
        async with async_meter_on(url) as meter:
            holds = (_ended_later(meter.hold("acme", key=key, core=1)) for key in keys)
            return list(await asyncio.gather(*holds))

    return asyncio.run(hold_all())


def hold_for(url: str, plans: dict[str, Any], accounts: Sequence[str]) -> list[str]:
    """Hold one PT for each account, each in a thread of its own, on a meter with these plans."""
    with (
        meter_on(url, plans=read_plans(plans)) as meter,
        ThreadPoolExecutor(len(accounts)) as pool,
    ):
        return list(
            pool.map(lambda account: ended(partial(meter.hold, account, key="call", core=1)), accounts)
        )


def check_then_debit(url: str, keys: Sequence[str]) -> list[str]:
    """What everybody writes first: look whether there is enough; if there is, write what is left."""
    with engine_on(url, **few(url)) as engine, ThreadPoolExecutor(len(keys)) as pool:

        def hold(_: str) -> str:
            with engine.connect() as connection:
                row = connection.execute(select(wallet.c.available, wallet.c.held)).one()
            if row.available < MICRO:
                return "InsufficientFundsError"
            left = {"available": row.available - MICRO, "held": row.held + MICRO}
            with engine.begin() as connection:
                connection.execute(update(wallet).values(left))
            return HELD

        return list(pool.map(hold, keys))


def ended(attempt: Callable[[], Any]) -> str:
    """How an attempt ended: `HELD`, or the name of its error."""
    try:
        attempt()
    except PtmeterError as error:
        return type(error).__name__
    return HELD


async def _ended_later(attempt: Awaitable[Any]) -> str:
    try:
        await attempt
    except PtmeterError as error:
        return type(error).__name__
    return HELD


# --- many deliveries of one request -------------------------------------------------------------


def command_for(verb: str, account: str, key: str, amount: int) -> Command:
    """The command that the operations would make of a request."""
    facts: dict[str, Any] = {
        "wallet": wallet_id(account, "core"),
        "id": transfer_id(account, verb, key),
        "fingerprint": digest((amount,)),
        "amount": amount * MICRO,
    }
    if verb == "hold":
        return Hold(**facts, ttl=MINUTE)
    return Grant(**facts, note="gift") if verb == "grant" else Debit(**facts)


def deliver(
    url: str, commands: Sequence[Command], seed: int, largest: int
) -> list[tuple[bytes, bytes, Outcome]]:
    """Post commands in the order they come, in batches of any size up to *largest*, from three threads."""
    random = Random(seed)
    batches: list[list[Command]] = []
    rest = list(commands)
    while rest:
        size = random.choice((1, 2, largest // 4, largest, largest))
        batches.append(rest[: max(size, 1)])
        del rest[: max(size, 1)]
    with meter_on(url) as meter, ThreadPoolExecutor(3) as pool:
        outcomes = pool.map(lambda batch: meter.post([(command,) for command in batch]), batches)
        return [
            (command.id, command.fingerprint, _without_usage(outcome))
            for batch, answered in zip(batches, outcomes, strict=True)
            for command, (outcome,) in zip(batch, answered, strict=True)
        ]


def _without_usage(outcome: Outcome) -> Outcome:
    assert not isinstance(outcome, Posted) or outcome.transfer.usage is None
    return outcome


# --- until somebody pulls the plug ---------------------------------------------------------------


def call_until_killed(url: str, log: str, prefix: str, too_early: bool) -> None:
    """Hold and settle, in three threads, and note what was acknowledged; this never ends by itself."""
    notes = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(what: str) -> None:
        os.write(notes, f"{what}\n".encode())

    def calls(thread: int) -> None:
        for number in count():
            key = f"{prefix}.{thread}.{number}"
            if too_early:
                note(f"held {key}")
            placed = meter.hold("acme", key=key, core=2)
            note(f"held {key}")
            if number % 3:
                meter.settle(placed, key=key, core=1)
                note(f"settled {key}")

    with meter_on(url) as meter, ThreadPoolExecutor(3) as pool:
        list(pool.map(calls, range(3)))


# --- what is told and asked for on the way ------------------------------------------------------


def use_in_threads(url: str, plans: Plans, keys: Sequence[str], log: str | None = None) -> int:
    """Charge acme one PT under each key, in sixteen threads, noting what was answered; returns how many."""
    notes = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT) if log else None

    def use(key: str) -> None:
        meter.record("acme", model="gpt-4o-mini", response=ONE_PT, key=key)
        if notes is not None:
            os.write(notes, f"{key}\n".encode())

    with meter_on(url, plans=plans) as meter, ThreadPoolExecutor(16) as pool:
        return len(list(pool.map(use, keys)))


def deliver_all(url: str, log: str, lease: timedelta, pause: float) -> int:
    """Deliver what is due until there is nothing, noting each; a handler takes as long as *pause*."""
    notes = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    delivered = 0

    def handle(message: Message) -> None:
        os.write(notes, f"{message.id}\n".encode())
        sleep(pause)

    with meter_on(url) as meter:
        while found := meter.outbox.deliver(handle, limit=20, backoff=Backoff(lease=lease)).delivered:
            delivered += found
    return delivered


# --- what Stripe says ---------------------------------------------------------------------------


def hear(url: str, stripe_url: str, deliveries: Sequence[Any], seed: int, threads: int) -> int:
    """Take events in as they come, from threads with a meter each, working some off now and then; returns how many."""

    def worker(number: int) -> int:
        random, applied = Random(seed * 100 + number), 0
        with meter_on(url, stripe=lives.set_up(stripe_url), clock=Clock(lives.AT)) as meter:
            for event in deliveries[number::threads]:
                lives.receive(meter, event)
                if random.random() < 0.4:
                    applied += meter.webhooks.work(limit=random.choice((1, 3))).applied
            return applied + meter.webhooks.work().applied

    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(worker, range(threads)))


def work_off(url: str, stripe_url: str, lease: timedelta) -> None:
    """Look up what is due, one subject at a time, again and again; this never ends by itself."""
    backoff = Backoff(lease=lease, attempts=99)
    with meter_on(url, stripe=lives.set_up(stripe_url)) as meter:
        while True:
            meter.webhooks.work(limit=1, backoff=backoff)
            sleep(0.001)


# --- setting up ---------------------------------------------------------------------------------


def set_up(url: str) -> str | None:
    """Open a meter on a database that may be new, and give somebody something."""
    try:
        with meter_on(url, migrate=True) as meter:
            meter.funds.grant("acme", source="test", key="same for all", core=1)
    except Exception as error:  # noqa: BLE001 - an error of whatever kind is what is asked for
        return f"{type(error).__module__}.{type(error).__name__}: {error}"
    return None
