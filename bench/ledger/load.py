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
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import UniqueConstraint, event
from sqlalchemy.schema import AddConstraint, DropConstraint

from ptmeter.domain import chain
from ptmeter.domain.keys import digest, transfer_id
from ptmeter.domain.ledger import Hold, Settle, Void
from ptmeter.domain.planner import Plan, State, plan
from ptmeter.domain.policy import Policy
from ptmeter.storage import rows, tables
from ptmeter.storage.engine import new_engine
from ptmeter.storage.opening import open_store
from ptmeter.storage.statements import Statements

from .ours import account, grant_all

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from sqlalchemy import Connection, Engine

    from ptmeter.domain.ledger import Linked, OpenHold, Transfer, Wallet

BEGIN: Final = datetime(2025, 1, 1, tzinfo=UTC)
DAYS: Final = 365
ACCOUNTS: Final = 1_000
_HOUR: Final = timedelta(hours=1)
_FINGERPRINT: Final = digest(("bulk",))


@dataclass(slots=True)
class History:
    """A wallet's journal as it grows in memory."""

    wallet: Wallet
    transfers: list[Transfer] = field(default_factory=list)
    holds: dict[bytes, OpenHold] = field(default_factory=dict)

    def carry_out(self, batch: Sequence[Linked], at: datetime) -> None:
        """Let the planner decide *batch* and keep what it decided."""
        decided = plan(State(at, {self.wallet.id: self.wallet}, {}, self.holds, {}), batch)
        self.transfers += decided.transfers
        self.wallet = decided.wallets[0]
        for name in decided.closed:
            del self.holds[name]
        self.holds |= {hold.id: hold for hold in decided.opened}

    def as_plan(self) -> Plan:
        """All of it as one plan, to be written at once."""
        opened = list(self.holds.values())
        return Plan([], [self.wallet], self.transfers, opened, closed=[], rejections=[], decided={})


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


def history(wallet: Wallet, length: int) -> History:
    """Let a wallet that has its grant go on until it has *length* transfers, spread over a year."""
    grown = History(wallet)
    for day in range(1, DAYS + 1):
        due = 1 + (length - 1) * day // DAYS - grown.wallet.seq
        if due > 0:
            batch = list(_commands(wallet, grown, due))
            grown.carry_out(batch, BEGIN + timedelta(days=day))
    return grown


def renamed(pattern: History, wallet: Wallet) -> History:
    """The same year in another wallet: its own ids, and so its own chain."""
    head, transfers, account = wallet.head, [], wallet.id.account
    ids: dict[bytes, bytes] = {}
    for transfer in pattern.transfers:
        ids[transfer.id] = _id(account, transfer.kind.name, transfer.seq)
        mine = replace(transfer, id=ids[transfer.id], wallet=wallet.id)
        head = chain.link(mine, head)
        transfers.append(replace(mine, hash=head))
    holds = [replace(hold, id=ids[hold.id], wallet=wallet.id) for hold in pattern.holds.values()]
    last = replace(pattern.wallet, id=wallet.id, number=wallet.number, head=head)
    return History(last, transfers, {hold.id: hold for hold in holds})


def _id(account: str, what: str, number: int) -> bytes:
    return transfer_id(account, what.lower(), str(number))


def _commands(wallet: Wallet, grown: History, due: int) -> Iterator[Linked]:
    """*due* commands: what was left open first, then holds and settles, now and then a void."""
    account = wallet.id.account
    seq, left = grown.wallet.seq, list(grown.holds)
    named: dict[str, Any] = {"wallet": wallet.id, "fingerprint": _FINGERPRINT}
    for number in range(seq + 1, seq + due + 1):
        if not left:
            left.append(_id(account, "hold", number))
            yield (Hold(id=left[0], amount=3_000_000 + number % 7, ttl=_HOUR * 48, **named),)
        elif number % 40 == 1:
            yield (Void(id=_id(account, "void", number), hold_id=left.pop(), **named),)
        else:
            amount = 1_000_000 + number % 1_000
            yield (Settle(id=_id(account, "settle", number), hold_id=left.pop(), amount=amount, **named),)


def _fill(url: str, each: int, more: int, numbers: range) -> None:
    store = open_store(url, Policy(), None)
    wallets = {
        wallet.id.account: wallet
        for number in numbers
        for wallet in store.read(lambda books, n=number: books.ledger.wallets(account(n)))
    }
    store.close()
    engine = new_engine(url)
    fast = "PRAGMA synchronous=OFF" if engine.dialect.name == "sqlite" else "SET synchronous_commit=off"
    event.listen(engine, "connect", lambda connection, _: connection.cursor().execute(fast))
    writer = Statements(engine.dialect.name).writer
    patterns: dict[int, History] = {}
    for number in numbers:
        before, length = wallets[account(number)], each + (number < more)
        if length not in patterns:
            patterns[length] = history(before, length)
        grown = renamed(patterns[length], before)
        found = rows.of_plan(grown.as_plan(), {before.id: before})
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
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
    asked = parser.parse_args()
    begin = time.perf_counter()
    build(asked.url, count=asked.rows, accounts=asked.accounts, processes=asked.processes)
    took = time.perf_counter() - begin
    print(f"{asked.rows:,} rows in {took:.1f} s, {asked.rows / took:,.0f} a second")


if __name__ == "__main__":
    main()
