"""
No double spending: however many callers in however many processes, no more is admitted than there is.

What checks this is shown to work: callers that look first and write afterwards do not pass it, and neither
does a store that has lost its lock. (A store without its lock does not oversell either: the numbers of the
journal's rows collide first, and the database refuses the second one. That is the last line, not the plan.)
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, select
from tests.integration import jobs
from tests.integration.jobs import HELD
from tests.integration.wiring import OneByOne, meter_on, servers

from ptmeter import PT, Policy
from ptmeter.errors import PtmeterError
from ptmeter.storage.engine import new_engine, resolve
from ptmeter.storage.statements import Statements
from ptmeter.testing import StoreContract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Engine
    from tests.backends import Backend
    from tests.integration.fleet import Fleet

    from ptmeter.storage.store import SqlStore

FUNDS = 50
CALLERS = 200
EACH_PROCESS = CALLERS // 4

ONE_ATTEMPT = Policy(attempts=1)
"""Who has the lock needs no second attempt."""


# --- 200 callers, four processes, funds for 50 --------------------------------------------------


def funded(url: str) -> str:
    with meter_on(url) as meter:
        meter.funds.grant("acme", source="test", key="g", core=FUNDS)
    return url


def outcomes_of(fleet: Fleet, workers: list[Callable[..., list[str]]], url: str) -> Counter[str]:
    orders = [
        (worker, url, [f"{number}/{n}" for n in range(EACH_PROCESS)])
        for number, worker in enumerate(workers)
    ]
    return Counter(outcome for answer in fleet.run(orders) for outcome in answer)


def check_admitted(outcomes: Counter[str], url: str) -> None:
    assert Counter({HELD: FUNDS, "InsufficientFundsError": CALLERS - FUNDS}) == outcomes
    with meter_on(url) as meter:
        core = meter.balance("acme").core
        report = meter.verify()

    assert (PT.of(0), PT.of(FUNDS)) == (core.available, core.held)
    assert report.clean, report


@pytest.mark.slow
@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_callers_in_four_processes_hold_exactly_what_there_is(
    name: str, backend_of: Callable[[str], Backend], fleet: Fleet
) -> None:
    """200 callers, in threads of two processes and tasks of two others, get 50 PT of 50, and 150 get none."""
    url = funded(backend_of(name).empty())
    both = [jobs.hold_in_threads, jobs.hold_in_tasks] * 2

    outcomes = outcomes_of(fleet, both, url)

    check_admitted(outcomes, url)


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_looking_first_and_writing_afterwards_oversells(
    name: str, backend_of: Callable[[str], Backend], fleet: Fleet
) -> None:
    """The control: the same callers with a plain SELECT and an UPDATE hold more than 50 PT of 50."""
    for _ in range(5):
        url = funded(backend_of(name).empty())
        outcomes = outcomes_of(fleet, [jobs.check_then_debit] * 4, url)
        if outcomes[HELD] > FUNDS:
            break

    assert FUNDS < outcomes[HELD]
    with pytest.raises(AssertionError):
        check_admitted(outcomes, url)


# --- what it rests on: the lock ------------------------------------------------------------------


def passes(store: SqlStore) -> bool:
    """Whether 40 callers at once get 10 PT each from 100, and not one of them has to try again."""
    try:
        StoreContract().test_concurrent_holds_admit_what_there_is(store)
    except (AssertionError, PtmeterError):
        return False
    return True


@pytest.fixture
def stores(backend_of: Callable[[str], Backend]) -> Iterator[Callable[..., SqlStore]]:
    """Opens stores that make one attempt only."""
    opened: list[tuple[SqlStore, Engine]] = []

    def open_one(name: str, engine_for: Callable[[str], Engine] = new_engine) -> SqlStore:
        engine = engine_for(backend_of(name).empty())
        store = OneByOne(engine, ONE_ATTEMPT)
        opened.append((store, engine))
        return store

    yield open_one
    for store, _ in opened:
        store.close()


def without_begin_immediate(url: str) -> Engine:
    """An engine as SQLAlchemy makes it; the driver begins a transaction at its first write."""
    return create_engine(resolve(url, asynchronous=False), pool_size=20, connect_args={"timeout": 30})


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_with_the_lock_nobody_has_to_try_again(name: str, stores: Callable[..., SqlStore]) -> None:
    """40 callers at once are all decided at their first attempt: who comes later waits, and sees the truth."""
    assert passes(stores(name))


@pytest.mark.sqlite
def test_without_begin_immediate_it_fails(stores: Callable[..., SqlStore]) -> None:
    """The control: on an engine without BEGIN IMMEDIATE, callers decide on what they read too early."""
    assert not all(passes(stores("sqlite", without_begin_immediate)) for _ in range(50))


@pytest.mark.parametrize("name", servers("postgres", "mysql"))
def test_without_for_update_it_fails(
    name: str, stores: Callable[..., SqlStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: the same statements without FOR UPDATE let callers decide on what they read too early."""
    unlocked(monkeypatch)

    assert not all(passes(stores(name)) for _ in range(50))


def unlocked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take FOR UPDATE out of every statement a store is given."""
    original = type(select(1)).with_for_update

    def without(statement: Any, **_: Any) -> Any:
        return statement

    assert original
    monkeypatch.setattr(type(select(1)), "with_for_update", without)
    assert "FOR" not in str(Statements("postgresql").lock_one._statement)
