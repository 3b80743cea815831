"""
One key, one effect: requests delivered many times, out of order, from several processes at once.

About every tenth key is also used with another body. Which body is the first is a race; everything after
that is not: the first has its effect (or its refusal), the same body gets the first answer again, and
another is a conflict. `check` is shown to notice a ledger that forgets to compare bodies, and one that
forgets keys.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from typing import TYPE_CHECKING

import pytest
from tests.integration import jobs
from tests.integration.wiring import meter_on, servers

from ptmeter import PT, IdempotencyConflictError, InsufficientFundsError, Policy
from ptmeter.domain.ledger import Posted, Refusal, Refused
from ptmeter.storage.engine import new_engine
from ptmeter.storage.store import SqlStore
from ptmeter.testing.steps import give, hold

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.backends import Backend
    from tests.integration.fleet import Fleet

    from ptmeter.domain.commands import Command
    from ptmeter.domain.ledger import Outcome, Transfer
    from ptmeter.ports import Books

RICH = ("anna", "boris", "carla", "dora")
POOR = "paul"
"""Has enough for some of what is asked of him, so that refusals are replayed too."""

Answer = tuple[bytes, bytes, "Outcome"]


@dataclass(frozen=True)
class Load:
    """How much is sent, and how big batches get."""

    keys: int
    batch: int


LOADS = {"sqlite": Load(1_000, 40), "postgres": Load(1_000, 40), "mysql": Load(1_000, 40)}


# --- what is sent -------------------------------------------------------------------------------


def deliveries(keys: int, seed: int) -> list[Command]:
    """So many keys, each sent one to eight times, some of them with two bodies; in any order."""
    random = Random(seed)
    sent: list[Command] = []
    for n in range(keys):
        account = random.choice((*RICH, *RICH, POOR))
        verb = random.choice(("hold", "debit", "debit", "grant" if account != POOR else "hold"))
        one, other = (jobs.command_for(verb, account, f"k{n}", amount) for amount in (n % 7 + 1, 10))
        copies = random.randint(1, 8)
        mixed = random.random() < 0.1
        sent += [other if mixed and random.random() < 0.5 else one for _ in range(copies)]
    random.shuffle(sent)
    return sent


def deliver(fleet: Fleet, url: str, sent: Sequence[Command], batch: int) -> list[Answer]:
    """Have four processes deliver a share each; whatever one of them sends, another may send too."""
    orders = [
        (jobs.deliver, url, sent[n :: fleet.size], seed, batch) for n, seed in enumerate(range(fleet.size))
    ]
    return [answer for answers in fleet.run(orders) for answer in answers]


def funded(url: str) -> str:
    with meter_on(url) as meter:
        for account in RICH:
            meter.funds.grant(account, source="test", key="g", core=1_000_000)
        meter.funds.grant(POOR, source="test", key="g", core=100)
    return url


# --- what must have happened ----------------------------------------------------------------------


def check(sent: Sequence[Command], answers: Sequence[Answer], url: str) -> Counter[str]:
    """One effect for each key; conflicts for other bodies and no others; replays say what the first said."""
    assert Counter((c.id, c.fingerprint) for c in sent) == Counter((i, f) for i, f, _ in answers)
    seen: Counter[str] = Counter()
    firsts: dict[bytes, Posted | Refused] = {}
    by_key: defaultdict[bytes, list[tuple[bytes, Outcome]]] = defaultdict(list)
    for name, body, outcome in answers:
        by_key[name].append((body, outcome))
    for name, answered in by_key.items():
        [(body, first)] = [(b, o) for b, o in answered if not (o.replayed or is_conflict(o))]
        firsts[name] = first
        for other_body, outcome in answered:
            assert (other_body != body) == is_conflict(outcome)
            if outcome.replayed:
                assert replace(first, replayed=True) == outcome
                seen["replayed a refusal" if isinstance(outcome, Refused) else "replayed"] += 1
            seen["conflict"] += is_conflict(outcome)
    check_effects({name: first for name, first in firsts.items() if isinstance(first, Posted)}, url)
    return seen + Counter(posted=sum(isinstance(first, Posted) for first in firsts.values()))


def check_effects(posted: dict[bytes, Posted], url: str) -> None:
    """Each first answer that took effect is one row of the journal, to the letter, and there are no others."""
    with meter_on(url) as meter:
        rows = [
            row
            for account in (*RICH, POOR)
            for row in meter._platform.store.read(partial(journal_of, account))
        ]
        report = meter.verify()
        balances = {account: meter.balance(account).core for account in (*RICH, POOR)}

    given = len((*RICH, POOR))
    assert given + len(posted) == len(rows)
    assert {p.transfer for p in posted.values()} < set(rows)
    for account, balance in balances.items():
        mine = [row for row in rows if row.wallet.account == account]
        total = Counter[str]()
        for row in mine:
            total[row.kind.name] += row.amount
        assert total["DEBIT"] == balance.spent.micro
        assert total["HOLD"] == balance.held.micro
        assert total["GRANT"] - total["DEBIT"] - total["HOLD"] == balance.available.micro
    assert report.clean, report


def journal_of(account: str, books: Books) -> list[Transfer]:
    [wallet] = books.ledger.wallets(account)
    return books.ledger.journal(wallet, limit=100_000)


def is_conflict(outcome: Outcome) -> bool:
    return isinstance(outcome, Refused) and outcome.reason is Refusal.KEY_REUSED


# --- the tests ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_one_key_has_one_effect(name: str, backend_of: Callable[[str], Backend], fleet: Fleet) -> None:
    """1,000 keys sent one to eight times each from four processes have 1,000 outcomes, told 4,500 times."""
    load = LOADS[name]
    keys = int(os.environ.get("PTMETER_KEYS", load.keys))
    url = funded(backend_of(name).empty())
    sent = deliveries(keys, seed=1)

    seen = check(sent, deliver(fleet, url, sent, load.batch), url)

    assert {"conflict", "replayed", "replayed a refusal", "posted"} == set(+seen)


@pytest.mark.sqlite
def test_bodies_that_are_not_compared_are_noticed(sqlite_url: str, fleet: Fleet) -> None:
    """The control: a ledger that took every body under a key for the first one does not pass the check."""
    url = funded(sqlite_url)
    sent = deliveries(60, seed=2)

    answers = deliver(fleet, url, [replace(c, fingerprint=bytes(8)) for c in sent], 20)
    told = [
        (command.id, command.fingerprint, outcome)
        for command, (_, _, outcome) in zip(in_order(sent), answers, strict=True)
    ]

    with pytest.raises((AssertionError, ValueError)):
        check(sent, told, url)


@pytest.mark.sqlite
def test_keys_that_are_forgotten_are_noticed(sqlite_url: str, fleet: Fleet) -> None:
    """The control: a ledger that carried out every delivery does not pass the check."""
    url = funded(sqlite_url)
    sent = deliveries(60, seed=2)
    anew = [replace(command, id=n.to_bytes(16, "big")) for n, command in enumerate(sent)]

    answers = deliver(fleet, url, anew, 20)
    told = [
        (command.id, command.fingerprint, outcome)
        for command, (_, _, outcome) in zip(in_order(sent), answers, strict=True)
    ]

    with pytest.raises((AssertionError, ValueError)):
        check(sent, told, url)


def in_order(sent: Sequence[Command]) -> list[Command]:
    """The deliveries as the four processes answer them: first all of the first process."""
    return [command for n in range(4) for command in sent[n::4]]


@pytest.mark.sqlite
def test_what_was_sent_passes_when_nothing_is_wrong(sqlite_url: str, fleet: Fleet) -> None:
    """The same 60 keys as in the controls pass the check on the ledger as it is."""
    url = funded(sqlite_url)
    sent = deliveries(60, seed=2)

    assert check(sent, deliver(fleet, url, sent, 20), url)["conflict"]


# --- answers that are easily got wrong ------------------------------------------------------------


def test_a_refusal_is_replayed_whatever_came_in_between(database: str) -> None:
    """A refused hold is refused again with the figures of the first time, though there is enough now."""
    store = SqlStore(new_engine(database), Policy())
    give(store, 10)

    first = hold(store, 20)
    give(store, 100, key="more")
    again = hold(store, 20)
    other = hold(store, 21)
    store.close()

    assert isinstance(first, InsufficientFundsError)
    assert isinstance(again, InsufficientFundsError)
    assert isinstance(other, IdempotencyConflictError)
    assert (PT.of(10).whole, PT.of(20).whole) == (first.available, first.required)
    assert (first.available, first.required) == (again.available, again.required)
