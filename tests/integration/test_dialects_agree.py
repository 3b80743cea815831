"""
The same commands at the same times on SQLite, PostgreSQL, MariaDB and in memory: the same, to the last hash.

The scripts are those the planner is tested with; all are played to one ledger on each database, each script
with accounts of its own.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from sqlalchemy import update
from tests.unit.domain import strategies
from tests.unit.domain.strategies import GHOST, START, Again, Amount, Director, Draft, Moment, Step, scripts

from ptmeter import Policy, reference_card
from ptmeter.domain.ledger import Kind, Posted, Refusal, Refused, WalletId
from ptmeter.operations import reading, verifying
from ptmeter.operations.posting import post_batch
from ptmeter.storage.engine import new_engine
from ptmeter.storage.memory import MemoryStore
from ptmeter.storage.store import SqlStore
from ptmeter.storage.tables import wallet as wallet_table
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from tests.backends import Backend
    from tests.naive import Terms
    from tests.unit.domain.strategies import Script

    from ptmeter.domain.commands import Linked
    from ptmeter.domain.ledger import Outcome
    from ptmeter.ports import Books, Store

SCRIPTS = int(os.environ.get("PTMETER_SCRIPTS", "40"))
CHAIN_KEY = b"kept outside the database"
CARD = reference_card()
POLICY = Policy(chain_key=CHAIN_KEY)
SQL = ("sqlite", "postgres", "mysql")
ALL = (*SQL, "memory")

RARE = (
    (Step(((Draft("grant", 0),), (Draft("grant", 0, Amount("room", 0)),))),),
    (Step(((Draft("hold", GHOST, seconds=60),),)),),
    (
        Step(
            (
                (Draft("grant", 0, seconds=60),),
                (Draft("debit", 0, Amount("just", 3)),),
                (Draft("freeze", 0, Amount("just", 5)),),
                (Draft("unfreeze", 0, Amount("frozen", 1)), Draft("debit", 0, Amount("just", 1))),
                (Draft("unfreeze", 0, Amount("just", 1)),),
                (Draft("debit", 0, Amount("available")),),
                (Draft("freeze", 0, Amount("just", 1)),),
                (Draft("reverse", 0, which="unknown"),),
            )
        ),
        Step(((Draft("reverse frozen", 0, Amount("just", 10)),), Again()), Moment(timedelta(days=1))),
        Step(((Draft("grant", 0, Amount("just", 5)),), (Draft("reverse", 0),))),
    ),
    (
        Step(
            (
                (Draft("grant", 0),),
                (Draft("hold", 0, Amount("available", 1), seconds=60),),
                Again("refused"),
            )
        ),
    ),
    (Step(tuple((Draft("grant", n % 3, Amount("just", 50)),) for n in range(40))),),
    (
        Step(((Draft("grant", 0, Amount("just", 100)),),)),
        Step(tuple((Draft("hold", 0, Amount("just", 2), seconds=60),) for _ in range(30))),
        Step(tuple((Draft("settle", 0, Amount("just", n % 4)),) for n in range(30))),
    ),
)
"""More than a wallet can count, one that nobody opened, a dispute that is lost when its lot is over, a refusal replayed,
and batches of more commands than a prepared statement is kept for."""


@dataclass
class Ledger:
    """One store, and what it answered and kept."""

    store: Store
    clock: Clock
    told: list[tuple[Outcome, ...]] = field(default_factory=list[tuple["Outcome", ...]])
    kept: dict[WalletId, tuple[Any, ...]] = field(default_factory=dict[WalletId, tuple[Any, ...]])


class Play:
    """Scripts, played to several ledgers at once."""

    def __init__(self, ledgers: dict[str, Ledger]) -> None:
        self.ledgers = ledgers
        self._accounts, self._usage = strategies.WALLETS, strategies.USAGE
        self._scripts = 0

    def run(self, script: Script) -> None:
        self._scripts += 1
        strategies.WALLETS = tuple(
            WalletId(f"{name.account}-{self._scripts}", name.unit) for name in self._accounts
        )
        strategies.USAGE = replace(self._usage, card_version=CARD.version)
        try:
            self._run(script)
        finally:
            strategies.WALLETS, strategies.USAGE = self._accounts, self._usage

    def _run(self, script: Script) -> None:
        director = Director()
        before: dict[WalletId, Terms] = {}
        for step in script:
            director.begin(step.moment, step.groups)
            new = {
                name: terms for name, terms in director.ledger.terms.items() if before.get(name) != terms
            }
            before |= new
            for ledger in self.ledgers.values():
                ledger.clock.turn(director.at - ledger.clock())
                for name, terms in new.items():
                    ledger.store.run(partial(set_terms, name=name, terms=terms, at=director.at))
            batch: list[Linked] = []
            for number, drafted in enumerate(step.groups):
                batch.append(director.post(drafted)[0])
                if step.moment.cuts >> number & 1 or number == len(step.groups) - 1:
                    self._post(batch)
                    batch = []

    def _post(self, batch: list[Linked]) -> None:
        for ledger in self.ledgers.values():
            ledger.told += ledger.store.post("", partial(post_batch, batch=batch, card=CARD))


def set_terms(books: Books, *, name: WalletId, terms: Terms, at: datetime) -> None:
    """What an operator does to a wallet, opening it if need be."""
    ledger: Any = books.ledger
    if name not in {wallet.id for wallet in ledger.wallets(name.account)}:
        ledger._open(name if hasattr(ledger, "_tables") else [name], at)
    if hasattr(ledger, "_tables"):
        wallets = ledger._tables.wallets
        wallets[name] = replace(wallets[name], credit_limit=terms.credit_limit, state=terms.state)
    else:
        this = (wallet_table.c.account == name.account) & (wallet_table.c.unit == name.unit)
        values = {"credit_limit": terms.credit_limit, "state": int(terms.state)}
        ledger._connection.execute(update(wallet_table).where(this).values(values))


def everything(books: Books) -> dict[WalletId, tuple[Any, ...]]:
    """Every wallet with its lots, rows and open holds, and the balance its owner sees."""
    found = books.ledger.wallets(limit=100_000)
    return {
        wallet.id: (
            replace(wallet, number=0),
            books.ledger.journal(wallet, limit=100_000),
            sorted(books.ledger.open_holds(wallet), key=lambda hold: hold.number),
            reading.balance(books, wallet.id.account)[wallet.id.unit],
        )
        for wallet in found
    }


@pytest.fixture(scope="module")
def ledgers(request: pytest.FixtureRequest) -> Iterator[dict[str, Ledger]]:
    """The ledgers, after all scripts."""
    with ExitStack() as opened:
        found: dict[str, Ledger] = {}
        for name in ALL:
            clock = Clock(START)
            store: Any = MemoryStore(POLICY, clock)
            if name != "memory":
                backend: Backend = request.getfixturevalue(f"{name}_backend")
                store = SqlStore(new_engine(backend.empty()), POLICY, clock)
            opened.callback(store.close)
            found[name] = Ledger(store, clock)
        play_all(Play(found))
        for ledger in found.values():
            ledger.kept = ledger.store.read(everything)
        yield found


def play_all(play: Play) -> None:
    @settings(
        max_examples=SCRIPTS,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(scripts(longest=12))
    def every_script(script: Script) -> None:
        play.run(script)

    every_script()
    for script in RARE:
        play.run(script)


def comparable(outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    """A replay from SQL leaves the usage out: who repeats a request knows what it was about."""
    return tuple(
        replace(outcome, transfer=replace(outcome.transfer, usage=None))
        if isinstance(outcome, Posted) and outcome.replayed
        else outcome
        for outcome in outcomes
    )


def as_of_the_transfer(outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
    """A database replays the balance right after the transfer, memory the one after all it brought about."""
    return tuple(
        replace(outcome, available=0, held=0)
        if isinstance(outcome, Posted) and outcome.replayed
        else outcome
        for outcome in outcomes
    )


def first_difference(one: Ledger, other: Ledger, *, replays: Any = tuple) -> Any:
    """The first group that was answered differently, and both answers."""
    ours, theirs = ([replays(comparable(told)) for told in ledger.told] for ledger in (one, other))
    pairs = zip(ours, theirs, strict=True)
    return next(((number, a, b) for number, (a, b) in enumerate(pairs) if a != b), None)


pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.mysql, pytest.mark.sqlite]


@pytest.mark.parametrize("name", ["postgres", "mysql"])
def test_the_databases_answer_alike(ledgers: dict[str, Ledger], name: str) -> None:
    """Every group of every script has the same outcomes as on SQLite, with the same links in them."""
    assert None is first_difference(ledgers["sqlite"], ledgers[name])


def test_memory_answers_as_the_databases_do(ledgers: dict[str, Ledger]) -> None:
    """What is tested in memory behaves the same on a database, replays included."""
    assert None is first_difference(ledgers["memory"], ledgers["sqlite"], replays=as_of_the_transfer)


@pytest.mark.parametrize("name", ["postgres", "mysql", "memory"])
def test_the_journals_are_equal(ledgers: dict[str, Ledger], name: str) -> None:
    """Every wallet, row, hash, lot, open hold and balance is the same as on SQLite."""
    expected, actual = ledgers["sqlite"].kept, ledgers[name].kept

    assert expected.keys() == actual.keys()
    assert [] == [wallet for wallet in expected if expected[wallet] != actual[wallet]]


@pytest.mark.parametrize("name", ALL)
def test_all_of_them_verify(ledgers: dict[str, Ledger], name: str) -> None:
    """The audit, which knows nothing of the planner, finds each of the ledgers in order."""
    report = ledgers[name].store.read(verifying.verify)

    assert report.clean, report.findings[:3]
    assert SCRIPTS <= report.wallets


def test_the_scripts_come_across_everything(ledgers: dict[str, Ledger]) -> None:
    """Every kind of row was written, every refusal given and something replayed: else agreeing is easy."""
    told = [outcome for outcomes in ledgers["sqlite"].told for outcome in outcomes]
    rows = [row for _, journal, *_ in ledgers["sqlite"].kept.values() for row in journal]

    assert set(Kind) == {row.kind for row in rows}
    of_limits = {Refusal.LIMITED, Refusal.NOT_PAYER}  # asked of every database in test_limits
    assert set(Refusal) - of_limits == {outcome.reason for outcome in told if isinstance(outcome, Refused)}
    assert {Posted, Refused} == {type(outcome) for outcome in told if outcome.replayed}


def test_a_difference_is_noticed(ledgers: dict[str, Ledger]) -> None:
    """The control: one hash that is another, or one outcome, is found."""
    one = ledgers["sqlite"]
    number = next(n for n, (first, *_) in enumerate(one.told) if isinstance(first, Posted))
    posted: Any = one.told[number][0]
    other = replace(posted, transfer=replace(posted.transfer, link=bytes(8)))
    told = [*one.told[:number], (other, *one.told[number][1:]), *one.told[number + 1 :]]

    assert first_difference(one, replace(one, told=told))[0] == number
