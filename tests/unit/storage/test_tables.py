"""What the tables promise to those who spread them over servers, and that a migration makes them so."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import UniqueConstraint, create_engine, select, update

from ptmeter.domain.ledger import Allocation, WalletState
from ptmeter.domain.policy import Policy
from ptmeter.errors import AccountFrozenError, IdempotencyConflictError, InvariantError
from ptmeter.operations import holding, verifying
from ptmeter.storage import ledger as sql_ledger
from ptmeter.storage import rows
from ptmeter.storage.engine import new_engine
from ptmeter.storage.schema import VERSION_TABLE
from ptmeter.storage.store import SqlStore
from ptmeter.storage.tables import lot, metadata, open_hold, rejection, transfer, wallet
from ptmeter.testing.steps import MINUTE, assert_clean, give, held, hold, settle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Table

    from ptmeter.testing import Clock


@pytest.fixture
def store(sqlite_url: str, clock: Clock) -> Iterator[SqlStore]:
    opened = SqlStore(new_engine(sqlite_url), Policy(), clock)
    yield opened
    opened.close()


@pytest.mark.parametrize("table", [transfer, lot, open_hold, rejection, wallet], ids=lambda t: t.name)
def test_every_unique_key_begins_with_the_wallet(table: Table) -> None:
    """A table can be spread over servers by wallet: whatever is unique is so within one."""
    unique = [c.columns for c in table.constraints if isinstance(c, UniqueConstraint)]
    unique += [index.columns for index in table.indexes if index.unique]

    assert {"wallet_id"} == {next(iter(columns)).name for columns in (table.primary_key.columns, *unique)}


def test_a_migrated_database_is_what_the_tables_say(database: str) -> None:
    """The migrations and the tables in code give the same schema, on every database."""
    driver = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
    scheme, rest = database.split("://")
    engine = create_engine(f"{driver.get(scheme, scheme)}://{rest}")
    with engine.connect() as connection:
        options = {"include_name": lambda name, kind, _: (kind, name) != ("table", VERSION_TABLE)}
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    engine.dispose()

    assert [] == differences


def test_two_names_with_one_number_are_refused(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wallet whose number another one has is not opened, nor is the other one used in its place."""
    give(store, 10)
    taken = sql_ledger.wallet_number("acme", "core")
    monkeypatch.setattr(sql_ledger, "wallet_number", lambda *_: taken)

    with pytest.raises(InvariantError, match="cannot be"):
        give(store, 5, account="zeta")
    with pytest.raises(InvariantError, match="cannot be"):
        hold(store, 5, account="zeta")
    assert_clean(store)


def test_two_keys_with_one_id_are_a_conflict(store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should two keys of a wallet share an id, the second is refused and not answered with the first."""
    give(store, 100)
    taken = holding.transfer_ids("acme", "hold", "h", ["core"])
    monkeypatch.setattr(holding, "transfer_ids", lambda *_: taken)
    held(store, 10, key="h")

    assert isinstance(hold(store, 10, key="another"), IdempotencyConflictError)


def test_usage_without_its_price_is_found(store: SqlStore) -> None:
    """Token counts in a row that says no price are no part of its hash; the audit names them all the same."""
    give(store, 10)
    with store._engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER ptm_transfer_no_update")
        connection.execute(update(transfer).values(output_text=5))

    report = store.read(verifying.verify)

    assert ["transfer 1 has usage that was rated by no price"] == [f.problem for f in report.findings]


def test_one_lot_that_covers_all_is_written_as_its_number(store: SqlStore) -> None:
    """What a row takes of a single lot is its amount, so the number says it; else the parts are spelt out."""
    give(store, 10)
    give(store, 10, key="more")
    settle(store, held(store, 15), 10)
    with store._engine.connect() as connection:
        written = connection.scalars(select(transfer.c.allocations).order_by(transfer.c.seq)).all()
    acme = store.read(lambda books: books.ledger.journal(books.ledger.wallets("acme")[0]))

    assert [None, None, "1:10000000;2:5000000", "1"] == written
    assert (Allocation(1, 10_000_000),) == acme[-1].allocations


@pytest.mark.parametrize("number", [0, 1, -1, 2**63 - 1, -(2**63)])
def test_an_id_survives_the_way_through_the_database(number: int) -> None:
    """Eight bytes and the signed integer they are: one for the other."""
    assert number == rows.id_row(rows.id_from(number))


def test_joining_changes_no_wallet(store: SqlStore) -> None:
    """A joined transaction on SQLite takes the write lock and touches nothing, whatever the wallets' numbers."""
    for account in ("acme", "b", "c", "d", "e", "f"):
        give(store, 10, account=account)
    with store._engine.begin() as connection:
        connection.execute(update(wallet).values(state=int(WalletState.FROZEN)))
    application = create_engine(store._engine.url)
    with application.begin() as connection:
        refused = store.joined(connection).post(
            "acme", partial(holding.hold, account="acme", amounts={"core": 1}, key="h", ttl=MINUTE)
        )
        states = set(connection.scalars(select(wallet.c.state)))
    application.dispose()

    assert isinstance(refused, AccountFrozenError)
    assert {int(WalletState.FROZEN)} == states
