"""
What a call takes on disk, once its hold, its settle and its usage are all in.

Run: ``PYTHONPATH=src:. python bench/ledger/disk.py --calls 1000000``. Loads the calls through the ledger's
door in batches, some into each of a few wallets and some left open, on SQLite and on PostgreSQL; verifies
the ledger; then prints bytes per call for every table, its rows and each of its indexes.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import create_engine, text
from tests import backends

from ptmeter.configuration import reference_card
from ptmeter.domain.commands import Grant, Hold, Settle
from ptmeter.domain.keys import fingerprint, transfer_id
from ptmeter.domain.ledger import UsageEvent, WalletId
from ptmeter.domain.policy import Policy
from ptmeter.domain.prices import Price
from ptmeter.domain.pt import Money
from ptmeter.domain.usage import Usage
from ptmeter.operations import verifying
from ptmeter.operations.posting import post_batch
from ptmeter.storage.engine import new_engine
from ptmeter.storage.store import SqlStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ptmeter.domain.commands import Linked

CARD: Final = reference_card()
PRICE: Final = Price(
    provider="bench", model="bench-small", source="bench", rates={"input_uncached": 150, "output_text": 600}
)
WALLETS: Final = tuple(WalletId(f"customer-{number}", "core") for number in range(8))
OPEN: Final = 0.001
"""The share of calls that are never settled."""


class Size(NamedTuple):
    """The bytes of one table's rows, or of one index."""

    table: str
    part: str
    size: int


def main() -> None:
    """Measure on each database that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=500, help="calls in a transaction")
    parser.add_argument("--database", choices=("sqlite", "postgres"), action="append")
    asked = parser.parse_args()
    for database in asked.database or ("sqlite", "postgres"):
        with tempfile.TemporaryDirectory() as folder:
            made = backends.postgres() if database == "postgres" else backends.sqlite(Path(folder))
            with closing(made) as opened:  # type: ignore[type-var]
                url = next(opened).empty()
                _load(url, asked.calls, asked.batch)
                _report(database, asked.calls, _sizes(url))


def _load(url: str, calls: int, size: int) -> None:
    with closing(SqlStore(new_engine(url), Policy())) as store:
        for batch in _batches(calls, size):
            outcomes = store.post("", partial(post_batch, batch=batch, card=CARD))
            assert all(hasattr(outcome, "transfer") for group in outcomes for outcome in group)
        assert store.read(verifying.verify).clean


def _batches(calls: int, size: int) -> Iterator[list[Linked]]:
    """Holds, and the settles of the batch before: calls overlap."""
    yield [(Grant(**_asked(wallet, "grant", "bench"), amount=10**17, note="bench"),) for wallet in WALLETS]
    chance, before = random.Random(1), list[Settle]()
    for first in range(0, calls, size):
        holds: list[Hold] = []
        settles: list[Settle] = []
        for number in range(first, min(first + size, calls)):
            wallet, key = chance.choice(WALLETS), f"request-{number}"
            hold = Hold(**_asked(wallet, "hold", key), amount=_amount(chance), ttl=timedelta(days=1))
            holds.append(hold)
            if chance.random() > OPEN:
                settles.append(_settle(chance, hold, key))
        yield [*((settle,) for settle in before), *((hold,) for hold in holds)]
        before = settles
    yield [(settle,) for settle in before]


def _settle(chance: random.Random, hold: Hold, key: str) -> Settle:
    usage = Usage(
        input_uncached=chance.randint(50, 4_000),
        input_cache_read=chance.choice((0, 0, 1_024, 8_192)),
        output_text=chance.randint(10, 1_500),
    )
    return Settle(
        **_asked(hold.wallet, "settle", key),
        hold_id=hold.id,
        amount=hold.amount * chance.randint(30, 100) // 100,
        usage=UsageEvent(
            usage=usage,
            price=PRICE,
            card_version=CARD.version,
            cost=Money(150 * usage.input_uncached + 600 * usage.output_text),
        ),
    )


def _asked(wallet: WalletId, verb: str, key: str) -> dict[str, Any]:
    return {
        "wallet": wallet,
        "id": transfer_id(wallet.account, verb, key),
        "fingerprint": fingerprint(wallet.account, verb, key),
    }


def _amount(chance: random.Random) -> int:
    return chance.randint(1, 60) * 250_000


def _sizes(url: str) -> list[Size]:
    scheme = url.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(scheme, isolation_level="AUTOCOMMIT")
    query = _POSTGRES if engine.dialect.name == "postgresql" else _SQLITE
    with engine.connect() as connection:
        connection.execute(text("VACUUM" if engine.dialect.name == "postgresql" else _CHECKPOINT))
        found = [Size(*row) for row in connection.execute(text(query))]
    engine.dispose()
    return [each for each in found if each.size]


_CHECKPOINT = "PRAGMA wal_checkpoint(TRUNCATE)"

_SQLITE = """
SELECT tbl_name, CASE type WHEN 'table' THEN 'rows' ELSE name END, (SELECT sum(pgsize) FROM dbstat WHERE
    dbstat.name = m.name) FROM sqlite_schema AS m WHERE type IN ('table', 'index') ORDER BY 1, type DESC
"""

_POSTGRES = """
SELECT relname, 'rows', pg_table_size(oid) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'ptm%'
UNION ALL SELECT c.relname, i.relname, pg_relation_size(i.oid) FROM pg_index
    JOIN pg_class AS c ON c.oid = indrelid JOIN pg_class AS i ON i.oid = indexrelid WHERE c.relname LIKE 'ptm%'
ORDER BY 1, 2 DESC
"""


def _report(database: str, calls: int, sizes: list[Size]) -> None:
    whole = sum(each.size for each in sizes)
    print(f"{database}: {calls:,} calls, {whole / calls:.0f} bytes per call")
    for table in dict.fromkeys(each.table for each in sizes):
        own = [each for each in sizes if each.table == table]
        total = sum(each.size for each in own)
        parts = ", ".join(f"{each.part} {each.size / calls:.1f}" for each in own)
        if total / calls >= 0.1:
            print(f"  {table:16}{total / calls:8.1f}{total / whole:8.1%}   {parts}")


if __name__ == "__main__":
    main()
