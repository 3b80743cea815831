"""
Reading from a large ledger: ``python -m bench.ledger.reads URL`` after `load` has built it.

A balance, a page of a statement, and a month's summary, of one account after another at random, by one
caller. There is no public verb for a month's summary yet: measured is the SQL that one needs.
"""

from __future__ import annotations

import argparse
import random
import time
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, func, select, text

from ptmeter import Meter
from ptmeter.domain.chain import microseconds
from ptmeter.storage import tables
from ptmeter.storage.engine import new_engine

from .load import ACCOUNTS
from .ours import account
from .year import BEGIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection, Executable

_BOOKED: Final = tables.transfer.c

SUMMARY: Final = (
    select(_BOOKED.kind, func.count(), func.sum(_BOOKED.amount))
    .join(tables.wallet, tables.wallet.c.wallet_id == _BOOKED.wallet_id)
    .where(
        tables.wallet.c.account == bindparam("account"),
        tables.wallet.c.unit == bindparam("unit"),
        _BOOKED.booked_at >= bindparam("since"),
        _BOOKED.booked_at < bindparam("until"),
    )
    .group_by(_BOOKED.kind)
)
"""How many transfers of each kind one account had in a month, and of how much in all, as one writes it first."""

_FIND = """
{name}(below, above) AS (
    SELECT CAST(0 AS BIGINT), seq + 1 FROM mine UNION ALL
    SELECT CASE WHEN t.booked_at < :{name} THEN t.seq ELSE below END, CASE WHEN t.booked_at < :{name} THEN above ELSE t.seq END
    FROM {name}, mine JOIN ptm_transfer t ON t.wallet_id = mine.wallet_id
    WHERE above - below > 1 AND t.seq = (below + above) / 2)"""

BISECTED: Final = text(f"""
WITH RECURSIVE mine AS (SELECT wallet_id, seq FROM ptm_wallet WHERE account = :account AND unit = :unit),
{_FIND.format(name="since")}, {_FIND.format(name="until")}
SELECT kind, count(*), sum(amount) FROM ptm_transfer
WHERE wallet_id = (SELECT wallet_id FROM mine)
    AND seq >= (SELECT min(above) FROM since) AND seq <= (SELECT max(below) FROM until)
GROUP BY kind
""")
"""The same: booking times grow with the number, so a month's first and last are found in a few steps."""


def measure(url: str, *, accounts: int = ACCOUNTS, count: int = 1_000) -> Iterator[tuple[str, list[float]]]:
    """What each kind of read took, in seconds, sorted; every account is as likely as every other."""
    chosen = random.Random(1)

    def anyone() -> str:
        return account(chosen.randrange(accounts))

    with Meter.open(url) as meter:
        yield "balance", _timed(lambda: meter.balance(anyone()), count)
        yield (
            "statement, first page of a month",
            _timed(
                lambda: meter.statement(anyone(), since=(month := _month(chosen)), until=month + _MONTH),
                count,
            ),
        )
    engine = new_engine(url)
    with engine.connect() as connection:
        for what, query in (("a plain query", SUMMARY), ("by bisection", BISECTED)):
            read = partial(_summary, connection, query, chosen)
            yield f"month summary, {what}", _timed(lambda read=read: read(anyone()), count)
    engine.dispose()


_MONTH: Final = timedelta(days=30)


def _month(chosen: random.Random) -> Any:
    return BEGIN + timedelta(days=1 + 30 * chosen.randrange(12))


def _summary(connection: Connection, query: Executable, chosen: random.Random, name: str) -> Any:
    since = _month(chosen)
    asked = {"account": name, "unit": "core"}
    asked |= {"since": microseconds(since), "until": microseconds(since + _MONTH)}
    found = connection.execute(query, asked).all()
    connection.rollback()
    return found


def _timed(read: Callable[[], object], count: int) -> list[float]:
    for _ in range(min(count, 50)):
        read()
    took: list[float] = []
    for _ in range(count):
        begin = time.perf_counter()
        read()
        took.append(time.perf_counter() - begin)
    return sorted(took)


def main() -> None:
    """Measure reads at a URL."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="a ledger that `load` built")
    parser.add_argument("--accounts", type=int, default=ACCOUNTS)
    parser.add_argument("--count", type=int, default=1_000)
    asked = parser.parse_args()
    for what, took in measure(asked.url, accounts=asked.accounts, count=asked.count):
        p50, p99 = (took[int(len(took) * q)] * 1e3 for q in (0.5, 0.99))
        print(f"{what:<36} p50 {p50:6.2f} ms   p99 {p99:6.2f} ms")


if __name__ == "__main__":
    main()
