"""
The rules that engines have for tables that are spread, held against the tables in code.

Each rule names the page of the engine's documentation that it is from; a table that breaks it shows that it
is noticed.
"""

from __future__ import annotations

import re
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    Computed,
    ForeignKeyConstraint,
    Identity,
    Index,
    MetaData,
    PrimaryKeyConstraint,
    Sequence,
    Table,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import ExcludeConstraint

from ptmeter.errors import InvariantError
from ptmeter.storage import distribution, schema
from ptmeter.storage.distribution import EVERYWHERE, KEY, SEQUENTIAL, SPREAD, Layout
from ptmeter.storage.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Iterator


# --- the rules --------------------------------------------------------------------------------------------


def broken(table: Table) -> list[str]:
    """The rules that a table breaks."""
    rules = (unique_keys, foreign_keys, constraints, columns, indexes)
    return list(chain.from_iterable(rule(table, spread=KEY in table.columns) for rule in rules))


def unique_keys(table: Table, *, spread: bool) -> Iterator[str]:
    """
    A row is told apart from the others of its partition or shard only, so every unique key has the key.

    PostgreSQL manual, 5.11.2.3 "Limitations"; Citus, "Frequently Asked Questions": "Can I create primary keys
    on distributed tables?"; CockroachDB, "PostgreSQL Compatibility": each table has a primary key.
    """
    if not table.primary_key.columns:
        yield "no primary key"
        return
    keys: list[Any] = [table.primary_key, *(i for i in table.indexes if i.unique)]
    keys += [each for each in table.constraints if isinstance(each, UniqueConstraint)]
    for key in keys:
        if spread and KEY not in {column.name for column in key.columns}:
            yield "unique without the key"


def foreign_keys(table: Table, *, spread: bool) -> Iterator[str]:
    """
    A spread table points at copies that are everywhere, or at the same key in another; nothing points at it.

    Citus, "Creating and Modifying Distributed Objects".
    """
    for each in table.foreign_key_constraints:
        target = each.referred_table
        together = any(e.parent.name == e.column.name == KEY for e in each.elements)
        if KEY in target.columns and not (spread and together):
            yield "a foreign key to what is elsewhere"


def constraints(table: Table, *, spread: bool) -> Iterator[str]:
    """
    Nothing is checked later, and nothing but equality is unique.

    YugabyteDB, "PostgreSQL compatibility": deferrable and exclusion constraints are not supported; PostgreSQL
    manual, 5.11.2.3: an exclusion constraint would need the key.
    """
    del spread
    for each in table.constraints:
        if isinstance(each, ExcludeConstraint):
            yield "an exclusion constraint"
        elif getattr(each, "deferrable", None):
            yield "a deferrable constraint"


def columns(table: Table, *, spread: bool) -> Iterator[str]:
    """
    No number comes from a counter that all servers share, and nothing is computed by the server.

    CockroachDB, "Index Sequential Keys with Hash-sharded Indexes"; YugabyteDB, "PostgreSQL compatibility":
    generated columns are not supported.
    """
    del spread
    for column in table.columns:
        if column.identity or isinstance(column.default, Sequence) or column is table.autoincrement_column:
            yield "a number from a counter"
        if column.computed:
            yield "a computed column"


def indexes(table: Table, *, spread: bool) -> Iterator[str]:
    """
    What is always written at the end of an index is known, so that the scripts can spread it; none is unique.

    CockroachDB, "Index Sequential Keys with Hash-sharded Indexes"; YugabyteDB, "Configurable data sharding".
    """
    del spread
    for index in (table.primary_key, *table.indexes):
        first = next(iter(index.columns), None)
        if first is not None and first.name.endswith("_at") and first.name not in SEQUENTIAL:
            yield "an index led by a time that the scripts do not know"
        if first is not None and first.name in SEQUENTIAL and (index is table.primary_key or index.unique):  # type: ignore[union-attr]
            yield "a key led by a time"


@pytest.mark.parametrize("table", metadata.sorted_tables, ids=lambda table: table.name)
def test_no_table_breaks_a_rule(table: Table) -> None:
    """The tables can be spread on every engine that there is a script for."""
    assert [] == broken(table)


def bad(*things: Any, key: bool = True) -> Table:
    """A table of the rows of a wallet, with something in it that is wrong."""
    wallet = [Column(KEY, BigInteger, primary_key=True, autoincrement=False)] if key else []
    number = Column("number", BigInteger, primary_key=True, autoincrement=False)
    return Table("bad", MetaData(), *wallet, number, *things)


def pointing(name: str, columns: list[str], at: str) -> Table:
    """A table with a foreign key to another."""
    here = MetaData()
    Table("wallets", here, Column(KEY, BigInteger, primary_key=True), Column("number", BigInteger))
    mine = [Column(each, BigInteger, primary_key=True, autoincrement=False) for each in columns]
    return Table(name, here, *mine, ForeignKeyConstraint(columns[-1:], [f"wallets.{at}"]))


@pytest.mark.parametrize(
    ("table", "rule"),
    [
        (bad(UniqueConstraint("number")), "unique without the key"),
        (bad(Index("i", "number", unique=True)), "unique without the key"),
        (Table("bad", MetaData(), Column(KEY, BigInteger)), "no primary key"),
        (pointing("bad", [KEY, "number"], "number"), "a foreign key to what is elsewhere"),
        (pointing("bad", ["number"], KEY), "a foreign key to what is elsewhere"),
        (bad(ExcludeConstraint((KEY, "="))), "an exclusion constraint"),
        (bad(UniqueConstraint(KEY, "number", deferrable=True)), "a deferrable constraint"),
        (bad(Column("n", BigInteger, Identity())), "a number from a counter"),
        (bad(Column("n", BigInteger, Sequence("s"))), "a number from a counter"),
        (bad(Column("n", BigInteger, Computed("number + 1"))), "a computed column"),
        (
            bad(Column("seen_at", BigInteger, index=True)),
            "an index led by a time that the scripts do not know",
        ),
        (
            Table(
                "bad",
                MetaData(),
                *(Column(name, BigInteger) for name in (KEY, "expires_at")),
                PrimaryKeyConstraint("expires_at", KEY),
            ),
            "a key led by a time",
        ),
    ],
)
def test_the_control_a_table_that_breaks_a_rule_is_refused(table: Table, rule: str) -> None:
    """The control: each rule notices a table that breaks it, and that table breaks no other."""
    assert [rule] == broken(table)


def test_pointing_at_the_same_wallet_breaks_no_rule() -> None:
    """The control of the control: a foreign key along the key stays on one server."""
    assert [] == broken(pointing("good", [KEY], KEY))


# --- what the scripts say ---------------------------------------------------------------------------------


def test_every_table_is_spread_or_everywhere() -> None:
    """No table is forgotten, and none is both; the version table of the migrations is one of them."""
    names = [table.name for table in metadata.sorted_tables]

    assert sorted([*names, schema.VERSION_TABLE]) == sorted((*SPREAD, *EVERYWHERE))


@pytest.mark.parametrize("layout", [Layout.COCKROACHDB, Layout.YUGABYTEDB])
def test_indexes_led_by_a_time_are_told_how_to_spread(layout: Layout) -> None:
    """All of them, in the words of the engine."""
    told = {
        Layout.COCKROACHDB: r"INDEX .*\((\w+)[^)]*\) USING HASH;",
        Layout.YUGABYTEDB: r"INDEX .*\((\w+) ASC\b.*\);",
    }[layout]
    written = "\n".join(distribution.statements(layout, partitions=2))

    assert set(SEQUENTIAL) == set(re.findall(told, written))


def test_a_table_that_is_made_in_another_way_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration to come that the script does not understand is an error and no table left unspread."""
    monkeypatch.setattr(schema, "statements", lambda _: ["CREATE TABLE ptm_new AS SELECT 1;"])

    for layout in (Layout.PARTITIONS, Layout.COCKROACHDB, Layout.YUGABYTEDB):
        with pytest.raises(InvariantError, match="ptm_new"):
            distribution.statements(layout, partitions=2)
