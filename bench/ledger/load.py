"""
Build a large ledger quickly and correctly: ``python -m bench.ledger.load URL --rows 10_000_000``.

A year of a wallet is decided by the domain's own planner on state kept in memory, a day at a time; every
account then lives through the same year under ids and a hash chain of its own. It is written in bulk, a
wallet in a transaction: by ``COPY`` on PostgreSQL, by the store's own writer elsewhere. So chain, balances
and lots are those of a ledger that grew by itself, and ``verify`` finds it clean.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import UniqueConstraint, event
from sqlalchemy.schema import AddConstraint, DropConstraint

from ptmeter import Meter
from ptmeter.domain.policy import Policy
from ptmeter.storage import tables
from ptmeter.storage.engine import new_engine
from ptmeter.storage.opening import open_store
from ptmeter.storage.plan_rows import rows_of
from ptmeter.storage.statements import Statements

from .ours import account, grant_all
from .year import BEGIN, History, history, renamed

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from sqlalchemy import Connection, Engine

ACCOUNTS: Final = 1_000


def build(url: str, *, count: int, accounts: int = ACCOUNTS, processes: int = 2) -> None:
    """Fill the empty database at *url* with a year of *count* journal rows, in *processes* processes."""
    grant_all(url, accounts, clock=lambda: BEGIN)
    if url.startswith("sqlite"):
        processes = 1
    shares = [range(first, accounts, processes) for first in range(processes)]
    fill = partial(_fill, url, count // accounts, count % accounts)
    with _without_unique_constraints(url):
        if processes == 1:
            fill(shares[0])
            return
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(processes, context) as pool:
            list(pool.map(fill, shares))


def _fill(url: str, each: int, more: int, numbers: range) -> None:
    store = open_store(url, Policy(), None)
    wallets = {
        wallet.id.account: wallet
        for number in numbers
        for wallet in store.read(lambda books, n=number: books.ledger.wallets(account(n)))
    }
    store.close()
    engine = new_engine(url)
    if engine.dialect.name == "sqlite":
        fast = "PRAGMA synchronous=OFF"
        event.listen(engine, "connect", lambda connection, _: connection.cursor().execute(fast))
    writer = Statements(engine.dialect.name).writer
    patterns: dict[int, History] = {}
    for number in numbers:
        before, length = wallets[account(number)], each + (number < more)
        if length not in patterns:
            patterns[length] = history(before, length)
        grown = renamed(patterns[length], before)
        found = rows_of(grown.as_plan(), {before.id: before})
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.exec_driver_sql("SET LOCAL synchronous_commit = off")
                _copy(connection, found["transfers"])
                found["transfers"] = []
            writer.write(connection, found)
    engine.dispose()


def _copy(connection: Connection, found: Sequence[dict[str, Any]]) -> None:
    names = ", ".join(found[0])
    cursor: Any = connection.connection.cursor()
    with cursor, cursor.copy(f"COPY {tables.transfer.name} ({names}) FROM STDIN") as copy:
        for row in found:
            copy.write_row(tuple(row.values()))


@contextmanager
def _without_unique_constraints(url: str) -> Generator[None]:
    """Leave the journal's indexes until all rows are there, where the database can."""
    engine = new_engine(url)
    unique = [each for each in tables.transfer.constraints if isinstance(each, UniqueConstraint)]
    if engine.dialect.name != "postgresql":
        unique = []
    with engine.begin() as connection:
        for constraint in unique:
            connection.execute(DropConstraint(constraint))
    yield
    with engine.begin() as connection:
        for constraint in unique:
            connection.execute(AddConstraint(constraint))
    _settle_down(engine)
    engine.dispose()


def _settle_down(engine: Engine) -> None:
    """What a server that has been running for a year has done: collected statistics."""
    vacuum = {"postgresql": "VACUUM ANALYZE", "sqlite": "ANALYZE"}.get(engine.dialect.name)
    if vacuum:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(vacuum)


def main() -> None:
    """Build a ledger at a URL."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="an empty database")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--accounts", type=int, default=ACCOUNTS)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--verify", action="store_true", help="re-derive all of it afterwards")
    asked = parser.parse_args()
    begin = time.perf_counter()
    build(asked.url, count=asked.rows, accounts=asked.accounts, processes=asked.processes)
    took = time.perf_counter() - begin
    print(f"{asked.rows:,} rows in {took:.1f} s, {asked.rows / took:,.0f} a second")
    if asked.verify:
        with Meter.open(asked.url) as meter:
            print(meter.verify())


if __name__ == "__main__":
    main()
