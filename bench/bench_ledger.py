"""
One hold, and a hold with its settle, by one caller and by 64, on every database that is there.

Beside it in the same run: the statements of a hold written by hand on psycopg, and what people write
first: ``SELECT … FOR UPDATE``, ``UPDATE``, ``INSERT``, without lots, journal hash, idempotency or expiry.
"""

from __future__ import annotations

import itertools
import random
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import pytest
from tests import backends

from ptmeter.domain.ledger import Overage
from ptmeter.domain.policy import Policy
from ptmeter.operations import funding, holding, metering, verifying
from ptmeter.storage.engine import new_engine
from ptmeter.storage.store import SqlStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MINUTE = timedelta(minutes=1)
CALLERS = 64


@pytest.fixture(params=backends.SERVERS)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlStore]:
    """A ledger with one rich account on each database."""
    makers: dict[str, Callable[[], Iterator[backends.Backend]]] = {
        "sqlite": lambda: backends.sqlite(tmp_path_factory.mktemp("bench")),
        "postgres": backends.postgres,
        "mysql": backends.mysql,
    }
    for backend in makers[request.param]():
        opened = SqlStore(new_engine(backend.empty()), Policy(attempts=50))
        _give(opened)
        yield opened
        assert opened.read(verifying.verify).clean
        opened.close()


def test_one_hold(benchmark: Any, store: SqlStore) -> None:
    """One caller places holds."""
    keys = itertools.count()

    benchmark.group = "one hold, one caller"
    benchmark(lambda: _hold(store, f"h{next(keys)}"))


def test_hold_and_settle(benchmark: Any, store: SqlStore) -> None:
    """One caller holds and settles."""
    keys = itertools.count()

    benchmark.group = "hold + settle, one caller"
    benchmark(lambda: _call(store, f"c{next(keys)}"))


def test_64_callers(benchmark: Any, store: SqlStore) -> None:
    """64 threads hold and settle on one wallet; the figure is for all 64 calls."""
    keys = itertools.count()

    benchmark.group = "64 × (hold + settle), 64 callers, one wallet"
    with ThreadPoolExecutor(CALLERS) as pool:
        benchmark.pedantic(
            lambda: list(pool.map(lambda _: _call(store, f"m{next(keys)}"), range(CALLERS))),
            rounds=5,
            warmup_rounds=1,
        )


def test_one_hold_by_hand(benchmark: Any) -> None:
    """The statements of a hold, written by hand on psycopg: what SQLAlchemy and the planner add to."""
    benchmark.group = "one hold, one caller"
    with _Hand() as hand:
        benchmark(hand.hold)


def test_plain_pattern(benchmark: Any) -> None:
    """SELECT FOR UPDATE, UPDATE, INSERT, COMMIT on psycopg; no lots, hash, idempotency or expiry."""
    benchmark.group = "one hold, one caller"
    with _Hand() as hand:
        benchmark(hand.plain)


def _give(store: SqlStore) -> None:
    give = partial(funding.grant, account="acme", amounts={"core": 10**15}, source="bench", key="bench")
    store.post("acme", give)


def _hold(store: SqlStore, key: str) -> Any:
    amounts = {"core": 3_000_000}
    return store.post("acme", partial(holding.hold, account="acme", amounts=amounts, key=key, ttl=MINUTE))


def _call(store: SqlStore, key: str) -> None:
    placed = _hold(store, key)
    amounts = {"core": 1_000_000}
    store.post(
        "acme", partial(metering.settle, held=placed, amounts=amounts, key=key, overage=Overage.ALLOW)
    )


_READ = """
SELECT 'hold' AS what, wallet_id, number, amount, expires_at, hold_id AS id, allocations, 0 AS remaining,
    0 AS held, 0 AS priority FROM ptm_open_hold WHERE wallet_id IN (%s) AND expires_at <= %s
UNION ALL SELECT 'lot', wallet_id, number, granted, expires_at, 0, NULL, remaining, held, priority
    FROM ptm_lot WHERE wallet_id IN (%s) AND (remaining > 0 OR held > 0 OR frozen > 0)
UNION ALL SELECT 'known', t.wallet_id, 0, 0, 0, transfer_id, NULL, 0, 0, 0
    FROM ptm_wallet JOIN ptm_transfer AS t USING (wallet_id) WHERE account IN (%s) AND transfer_id IN (%s)
UNION ALL SELECT 'known', r.wallet_id, 0, 0, 0, transfer_id, NULL, 0, 0, 0
    FROM ptm_wallet JOIN ptm_rejection AS r USING (wallet_id) WHERE account IN (%s) AND transfer_id IN (%s)
"""


class _Hand:
    """What a hold sends to PostgreSQL, statement by statement, with no library between."""

    def __enter__(self) -> Self:
        import psycopg

        self._backends = backends.postgres()
        backend = next(self._backends)
        url = backend.empty()
        self._store = SqlStore(new_engine(url), Policy())
        _give(self._store)
        self._connection = psycopg.connect(url, autocommit=True)
        with self._connection.cursor() as cursor:
            cursor.execute("CREATE TABLE plain_wallet (id int PRIMARY KEY, available bigint, held bigint)")
            cursor.execute("CREATE TABLE plain_hold (id bytea PRIMARY KEY, wallet int, amount bigint)")
            cursor.execute("INSERT INTO plain_wallet VALUES (1, 1000000000000000, 0)")
            cursor.execute("SELECT wallet_id, seq, available, head FROM ptm_wallet")
            self._wallet, self._seq, self._available, self._head = cursor.fetchone() or (0, 0, 0, b"")
            self._held = 0
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()
        self._store.close()
        self._backends.close()  # type: ignore[attr-defined]

    def plain(self) -> None:
        """What people write first."""
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute("SELECT available FROM plain_wallet WHERE id = 1 FOR UPDATE")
            cursor.fetchone()
            cursor.execute(
                "UPDATE plain_wallet SET available = available - 3, held = held + 3 WHERE id = 1"
            )
            cursor.execute("INSERT INTO plain_hold VALUES (%s, 1, 3)", (uuid.uuid4().bytes,))

    def hold(self) -> None:
        """What `holding.hold` sends."""
        transfer_id, amount, now = random.getrandbits(63), 3_000_000, 1_800_000_000_000_000
        self._seq += 1
        self._available -= amount
        self._held += amount
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute(
                "SELECT wallet_id, available, held, spent, owed, credit_limit, seq, booked_at, state, head,"
                " account, unit, (extract(epoch from clock_timestamp()) * 1000000)::bigint"
                " FROM ptm_wallet WHERE wallet_id = %s ORDER BY wallet_id FOR NO KEY UPDATE",
                (self._wallet,),
            )
            cursor.fetchall()
            cursor.execute(
                _READ, (self._wallet, now - 1, self._wallet, "acme", transfer_id, "acme", transfer_id)
            )
            cursor.fetchall()
            cursor.execute(
                "UPDATE ptm_wallet SET available = %s, held = %s, spent = 0, owed = 0, seq = %s,"
                " booked_at = %s, head = %s WHERE wallet_id = %s",
                (self._available, self._held, self._seq, now, self._head, self._wallet),
            )
            cursor.execute(
                "INSERT INTO ptm_transfer (wallet_id, seq, transfer_id, fingerprint, link, amount,"
                " available_after, held_after, booked_at, expires_at, kind, allocations)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, 2, '1')",
                (
                    self._wallet, self._seq, transfer_id, transfer_id, transfer_id, amount,
                    self._available, self._held, now, now,
                ),
            )  # fmt: skip
            cursor.execute(
                "UPDATE ptm_lot SET remaining = %s, held = %s WHERE wallet_id = %s AND number = 1",
                (self._available, self._held, self._wallet),
            )
            cursor.execute(
                "INSERT INTO ptm_open_hold (wallet_id, hold_id, number, amount, expires_at, allocations)"
                " VALUES (%s, %s, %s, %s, %s, '1')",
                (self._wallet, transfer_id, self._seq, amount, now),
            )
