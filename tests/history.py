"""
Histories: what concurrent callers were told, and when, against the journal and the naive ledger.

Every row of a wallet has a number, so the order in which things happened is known, and replaying them on a
model takes no search. What is refused has no number: there must be a place for it, not before what had ended
when it was asked and not after what had not begun when it was answered, where the model refuses it likewise.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from random import Random
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final

from tests.facade.colours import open_meter
from tests.naive import NO_ID, NOBODY, TICK, NaiveLedger

from ptmeter.domain.commands import Adjust, Debit, Freeze, Grant, Hold, Reverse, Settle, Unfreeze, Void
from ptmeter.domain.keys import digest, transfer_id
from ptmeter.domain.ledger import Kind, Overage, Posted, Refused, wallet_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ptmeter import AsyncMeter
    from ptmeter.domain.commands import Linked
    from ptmeter.domain.ledger import Outcome, Transfer, WalletId
    from ptmeter.ports import Books

HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Call:
    """A group that was asked for, what was answered, and the time it took, in nanoseconds of one clock."""

    group: Linked
    outcomes: tuple[Outcome, ...]
    began: int
    ended: int

    @property
    def wallet(self) -> WalletId:
        return self.group[0].wallet

    @property
    def seq(self) -> int:
        """Its place in its wallet's order; 0 if it changed nothing."""
        first = self.outcomes[0]
        return first.transfer.seq if isinstance(first, Posted) and not first.replayed else 0


# --- making one -----------------------------------------------------------------------------------


@dataclass
class Crowd:
    """Callers who share accounts, and resolve each other's holds."""

    prefix: str
    accounts: Sequence[str] = ("anna", "boris")
    calls: list[Call] = field(default_factory=list[Call])

    async def open_accounts(self, meter: AsyncMeter) -> None:
        """Give each account little, so that much is refused."""
        for account in self.accounts:
            await self._ask(meter, (Grant(**self._facts("grant", account, "first"), amount=100),))

    async def call(self, meter: AsyncMeter, name: str, times: int) -> None:
        """Ask for this and that, and now and then for something once more."""
        random = Random(f"{self.prefix}{name}")
        for number in range(times):
            recent = self.calls[-12:]
            if random.random() < 0.08:
                await self._ask(meter, random.choice(recent).group)
            else:
                await self._ask(meter, self._something(random, f"{name}.{number}", recent))

    async def _ask(self, meter: AsyncMeter, group: Linked) -> None:
        began = monotonic_ns()
        [outcomes] = await meter.post([group])
        self.calls.append(Call(group, outcomes, began, monotonic_ns()))

    def _something(self, random: Random, key: str, recent: Sequence[Call]) -> Linked:
        account = random.choice(self.accounts)
        facts = partial(self._facts, account=account, key=key)
        overage = random.choice((*Overage,))
        holds = [c for call in recent for c in call.group if isinstance(c, Hold)]
        verbs = ("hold", "hold", "resolve", "resolve", "resolve", "debit", "linked", "in", "dispute")
        verb = random.choice(verbs)
        if verb == "resolve" and holds:
            hold = random.choice(holds)
            theirs = partial(self._facts, account=hold.wallet.account, key=key)
            if random.random() < 0.3:
                return (Void(**theirs("void"), hold_id=hold.id),)
            amount = random.randrange(13)
            return (Settle(**theirs("settle"), hold_id=hold.id, amount=amount, overage=overage),)
        if verb == "debit":
            return (Debit(**facts("debit"), amount=random.randint(1, 9), overage=overage),)
        if verb == "linked":
            hold = Hold(**facts("hold"), amount=random.randint(1, 9), ttl=HOUR)
            return (Debit(**facts("debit"), amount=random.randint(1, 9)), hold)
        if verb == "dispute":
            which: Any = random.choice((Freeze, Freeze, Unfreeze, Reverse))
            lot, amount = random.choice((1, 1, 1, 2, 4, 9)), random.randint(1, 12)
            return (which(**facts("dispute"), lot=lot, amount=amount, note="a dispute"),)
        if verb == "in" and random.random() < 0.3:
            return (Adjust(**facts("adjust"), amount=-random.randint(1, 20), note="too much"),)
        if verb == "in":
            return (
                Grant(**facts("grant"), amount=random.randint(1, 60), priority=random.choice((10, 50))),
            )
        return (Hold(**facts("hold"), amount=random.randint(1, 9), ttl=HOUR),)

    def _facts(self, verb: str, account: str, key: str) -> dict[str, Any]:
        key = f"{self.prefix}.{key}"
        name = transfer_id(account, verb, key)
        return {"wallet": wallet_id(account, "core"), "id": name, "fingerprint": digest((name,))}


@dataclass(frozen=True)
class History:
    """What everybody was told, and the journal in the end."""

    calls: list[Call]
    journal: dict[WalletId, list[Transfer]]


def record(url: str, *, prefix: str, operations: int, threads: int, tasks: int) -> History:
    """So many operations by threads of a synchronous meter and tasks of an asynchronous one, all at once."""
    crowd = Crowd(prefix, [f"anna{prefix}", f"boris{prefix}"])
    each = operations // (threads + tasks)

    async def all_tasks() -> None:
        async with open_meter(url, asynchronous=True) as meter:
            await asyncio.gather(*(crowd.call(meter, f"task{n}", each) for n in range(tasks)))

    async def everybody() -> dict[WalletId, list[Transfer]]:
        async with open_meter(url, asynchronous=False) as meter:
            await crowd.open_accounts(meter)
            with ThreadPoolExecutor(threads + 1) as pool:
                days = [
                    lambda n=n: asyncio.run(crowd.call(meter, f"thread{n}", each)) for n in range(threads)
                ]
                under_way = [pool.submit(day) for day in days]
                if tasks:
                    under_way.append(pool.submit(lambda: asyncio.run(all_tasks())))
                for day in under_way:
                    day.result()
            return meter.inner._platform.store.read(journals)  # type: ignore[attr-defined]

    journal = asyncio.run(everybody())
    return History(crowd.calls, journal)


# --- checking one ---------------------------------------------------------------------------------


def journals(books: Books) -> dict[WalletId, list[Transfer]]:
    """Every wallet's rows, in order."""
    wallets = books.ledger.wallets(limit=1_000_000)
    return {wallet.id: books.ledger.journal(wallet, limit=1_000_000) for wallet in wallets}


def check(history: History) -> Counter[str]:
    """
    Everybody was told what the model says, in an order that agrees with the clock on the wall.

    Returns how many calls changed something, were refused and were replayed.
    """
    by_wallet: defaultdict[WalletId, list[Call]] = defaultdict(list)
    for call in history.calls:
        by_wallet[call.wallet].append(call)
    seen: Counter[str] = Counter()
    for wallet, theirs in by_wallet.items():
        changes = sorted((call for call in theirs if call.seq), key=lambda call: call.seq)
        replays = [call for call in theirs if call.outcomes[0].replayed]
        refusals = [call for call in theirs if not call.seq and not call.outcomes[0].replayed]
        check_order(changes)
        check_replays(replays, [*changes, *refusals])
        check_model(changes, refusals, history.journal[wallet])
        seen += Counter(changes=len(changes), refusals=len(refusals), replays=len(replays))
    return seen


def check_order(changes: Sequence[Call]) -> None:
    """What ended before something else began has the lower number."""
    latest = 0
    for call in changes:
        assert call.ended >= latest, f"{call} took effect after what began only later"
        latest = max(latest, call.began)


def check_replays(replays: Iterable[Call], firsts: Iterable[Call]) -> None:
    """A replay repeats an answer that may have been there."""
    by_id = defaultdict[bytes, list[Call]](list)
    for call in firsts:
        by_id[call.group[0].id].append(call)
    for replay in replays:
        repeated = [plainly(call.outcomes, replayed=True) for call in by_id[replay.group[0].id]]
        begun = [call.began < replay.ended for call in by_id[replay.group[0].id]]

        assert plainly(replay.outcomes, replayed=True) in repeated, f"{replay} repeats nothing"
        assert any(begun), f"{replay} repeats what was not asked yet"


def check_model(changes: Sequence[Call], refusals: Sequence[Call], rows: Sequence[Transfer]) -> None:
    """The naive ledger does and refuses the same, row by row, and in the end there is nothing else."""
    model = NaiveLedger()
    model.open(rows[0].wallet, rows[0].booked_at - TICK)
    waiting = [(refused, *place_of(refused, changes)) for refused in refusals]
    for number in range(len(changes) + 1):
        waiting = [
            (refused, first, last)
            for refused, first, last in waiting
            if not (first <= number and refuses(model, refused))
        ]
        late = [refused for refused, _, last in waiting if last <= number]
        assert not late, f"nowhere is {late[0]} refused by the model"
        if number < len(changes):
            done = len(model.rows)
            told = model.post(changes[number].group, rows[done].booked_at)

            assert plainly(told) == plainly(changes[number].outcomes), changes[number]
            assert [*map(stripped, model.rows[done:])] == [*map(stripped, rows[done : len(model.rows)])]
    assert len(model.rows) == len(rows), f"nobody asked for {rows[len(model.rows)]}"


def place_of(call: Call, changes: Sequence[Call]) -> tuple[int, int]:
    """How many changes came before *call* at least and at most, by the clock."""
    first = max((n + 1 for n, change in enumerate(changes) if change.ended < call.began), default=0)
    last = min((n for n, change in enumerate(changes) if change.began > call.ended), default=len(changes))
    return first, last


def refuses(model: NaiveLedger, call: Call) -> bool:
    """Whether the model would say now what the caller was told; it is left as it is."""
    copy = NaiveLedger([*model.rows], model.terms, {**model.answers})
    return copy.post(call.group, model.rows[-1].booked_at if model.rows else model.at) == call.outcomes


def plainly(outcomes: tuple[Outcome, ...], *, replayed: bool = False) -> tuple[Outcome, ...]:
    """Outcomes as the model tells them; *replayed*, without the balance, which has moved on."""
    return tuple(
        replace(outcome, replayed=replayed or outcome.replayed)
        if isinstance(outcome, Refused)
        else replace(
            outcome,
            transfer=stripped(outcome.transfer),
            replayed=replayed or outcome.replayed,
            **({"available": 0, "held": 0} if replayed else {}),
        )
        for outcome in outcomes
    )


def stripped(row: Transfer) -> Transfer:
    """The row without its hash, and without the id of one that nobody asked for."""
    known = row.fingerprint != NOBODY or row.kind is Kind.EXPIRE
    return replace(row, link=b"", id=row.id if known else NO_ID)
