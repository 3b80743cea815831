"""Callers: they want this and that, ask again when they have to, and are not always careful with their keys."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.simulator.intents import is_definite

from ptmeter.domain.ledger import Overage
from ptmeter.domain.receipts import Hold as Held

if TYPE_CHECKING:
    from tests.simulator.intents import Intent
    from tests.simulator.world import World

UNITS = ("core", "advanced")


class Caller:
    """One of several, on some account at a time."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.name = f"c{number}"
        self.random = world.random
        self._side: list[asyncio.Task[Any]] = []

    async def run(self) -> None:
        """Want something, again and again, until there is enough of it or faults have stopped."""
        world = self.world
        pause = world.duration / (world.steps / 4 + 1)
        while not world.calm.is_set() and len(world.intents) < world.steps:
            often = self.random.choice((0.0001, 0.0001, 0.0001, 3))  # they come in bursts
            await world.rest(self.random.expovariate(1 / pause) * often)
            await self._want_something()
        await asyncio.gather(*self._side)

    async def insist(self, intent: Intent) -> Any:
        """Ask until it is certain what came of it; returns that."""
        answer = await self.world.ask(intent)
        while not is_definite(answer):
            await asyncio.sleep(self.random.expovariate(1))
            answer = await self.world.ask(intent, key=self.key_again(intent))
        return answer

    def key_again(self, intent: Intent) -> str:
        """The key to ask again with."""
        return intent.key

    async def _want_something(self) -> None:
        world = self.world
        account = self.random.choice(world.accounts)
        known = any(intent.account == account for intent in world.intents)
        weights = (12, 6, 4, 2, 3, 3, 1) if known else (2, 40, 2, 2, 0, 0, 0)
        verbs = ("call", "grant", "debit", "adjust", "freeze", "unfreeze", "reverse")
        verb = self.random.choices(verbs, weights)[0]
        if verb == "call":
            await self._call(account)
            return
        amounts = self._amounts(12)
        details: dict[str, Any] = {}
        if verb == "grant":
            amounts = self._amounts(60)
            details["priority"] = self.random.choice((10, 50))
            if self.random.random() < 0.4:
                lasts = self.random.expovariate(4 / world.duration)
                details["expires_at"] = world.database.now() + timedelta(seconds=lasts)
        elif verb == "adjust":
            amounts = {unit: self.random.choice((-1, 1)) * amount for unit, amount in amounts.items()}
        elif verb == "debit":
            details["overage"] = self.random.choice((*Overage,))
        else:  # what came in first is disputed most
            details["lot"] = self.random.choice((1, 1, 1, 2, 3, 5))
            frozen = [each for each in world.intents if (each.verb, each.account) == ("freeze", account)]
            if verb == "unfreeze" and frozen:
                opened = self.random.choice(frozen)
                details["lot"] = opened.lot
                amounts = {unit: self.random.randint(1, amount) for unit, amount in opened.amounts.items()}
        await self._carry_out(world.wants(verb, account, amounts=amounts, **details))

    async def _call(self, account: str) -> None:
        """Hold, wait for the model, and settle, void, do both, or forget about it."""
        ttl = self.world.policy.hold_ttl * self.random.choice((1, 1, 0.1))
        intent = self.world.wants("hold", account, amounts=self._amounts(20), ttl=ttl)
        held = await self._carry_out(intent)
        if not isinstance(held, Held):
            return
        lasts = self.random.choice((0.01, 0.5, 2)) * ttl.total_seconds()
        await self.world.rest(self.random.expovariate(1 / lasts))
        ways = ("settle", "void", "both", "twice", "forget")
        way = self.random.choices(ways, (6, 1, 1, 1, 1))[0]
        ends = {"both": ("settle", "void"), "twice": ("settle", "settle"), "forget": ()}.get(way, (way,))
        await asyncio.gather(*[self._carry_out(self._end(held, verb)) for verb in ends])

    def _end(self, held: Held, verb: str) -> Intent:
        if verb == "void":
            return self.world.wants("void", held.account, hold=held)
        most = {unit: int(amount.whole * 3 / 2) for unit, amount in sorted(held.amounts.items())}
        used = {unit: self.random.randint(0, amount) for unit, amount in most.items()}
        overage = self.random.choice((*Overage,))
        return self.world.wants("settle", held.account, hold=held, amounts=used, overage=overage)

    async def _carry_out(self, intent: Intent) -> Any:
        """Have it done, perhaps more often than needed; returns what came of it, if that is certain."""
        happens = self.world.database.happens
        if happens(self.world.faults.repeats):
            self._later(intent)
        if intent.amounts and happens(self.world.faults.contradictions):
            other = {unit: amount + 1 for unit, amount in intent.amounts.items()}
            if all(other.values()):
                self._later(self._like(intent, other))
        if happens(self.world.faults.desertions):
            return await self.world.ask(intent)
        return await self.insist(intent)

    def _like(self, intent: Intent, amounts: dict[str, int]) -> Intent:
        names = ("key", "hold", "ttl", "expires_at", "priority", "overage", "lot")
        details = {name: getattr(intent, name) for name in names}
        return self.world.wants(intent.verb, intent.account, amounts=amounts, **details)

    def _later(self, intent: Intent) -> None:
        """Do it at the same time, more or less."""

        async def wait_first() -> None:
            await asyncio.sleep(self.random.expovariate(2) if self.random.random() < 0.7 else 0)
            await self.insist(intent)

        self._side.append(asyncio.get_running_loop().create_task(wait_first()))

    def _amounts(self, most: int) -> dict[str, int]:
        units = self.random.choice((UNITS[:1], UNITS[:1], UNITS[1:], UNITS))
        return {unit: self.random.randint(1, most) for unit in units}
