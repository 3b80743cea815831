"""
The same schema, spread: over partitions of one PostgreSQL, or over the servers of a distributed one.

A wallet's number is a hash of its name and leads every unique key it is in, so whatever has a wallet is
spread by it, and all rows of one wallet stay together. The rest is small and everywhere the same.

The statements are those of the migrations, each with what the engine's own documentation asks for:

* PostgreSQL manual, 5.11.2.3 "Limitations" (of declarative partitioning): every unique key has the partition
  key; storage parameters belong to the partitions; a statement's triggers are those of the table it names.
* Citus documentation, "Creating and Modifying Distributed Objects", "SQL Support and Workarounds" and
  "Triggers on Distributed Tables": unique keys have the distribution column, and there are no triggers.
* CockroachDB documentation, "Known Limitations" (no triggers of statements, no REFERENCING) and "Index
  Sequential Keys with Hash-sharded Indexes".
* YugabyteDB documentation, "PostgreSQL compatibility" and "Configurable data sharding"; its issue 1668 (no
  transition tables).
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from ..errors import InvariantError
from . import schema
from .tables import metadata, wallet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

KEY: Final = "wallet_id"
"""The column that tables are spread by."""

SPREAD: Final = tuple(table.name for table in metadata.sorted_tables if KEY in table.columns)
"""The tables that have a wallet in every row."""

EVERYWHERE: Final = (
    *(table.name for table in metadata.sorted_tables if KEY not in table.columns),
    schema.VERSION_TABLE,
)
"""The tables that are small, and of which every server may have a copy."""

SEQUENTIAL: Final = ("day", "delivered_at", "due_at", "expires_at", "refused_at", "starts_at")
"""Times that lead an index: what comes next is always written at its end."""


class Layout(StrEnum):
    """How a schema is spread."""

    PARTITIONS = "partitions"
    """Over partitions, in one PostgreSQL."""
    CITUS = "citus"
    """Over the workers of a PostgreSQL with the extension Citus."""
    COCKROACHDB = "cockroachdb"
    """Over the ranges of CockroachDB."""
    YUGABYTEDB = "yugabytedb"
    """Over the tablets of YugabyteDB."""


def statements(layout: Layout, *, partitions: int) -> list[str]:
    """
    What sets an empty database up in that layout, statement by statement, each with its semicolon.

    *partitions* is how many each spread table has; the other layouts find that out by themselves.
    """
    written = schema.statements("postgresql")
    if layout is Layout.PARTITIONS:
        return list(_partitioned(written, partitions))
    return list(_WITHOUT_TRIGGERS[layout](_without_triggers(written)))


def script(layout: Layout, *, partitions: int) -> str:
    """`statements` as one text, which says at its top what it is for."""
    return "\n\n".join((*_TOPS[layout], *statements(layout, partitions=partitions), ""))


# --- the parts of a statement -------------------------------------------------------------------

_TABLE: Final = re.compile(
    r"CREATE TABLE (?P<table>\w+) \((?P<columns>.*\n)\)\s*(?P<options>WITH \([^()]*\))?;", re.DOTALL
)
_TRIGGER: Final = re.compile(r"(CREATE|ALTER|DROP)( OR REPLACE)? (TRIGGER|FUNCTION) ")
_STATEMENT_TRIGGER: Final = re.compile(
    r"CREATE TRIGGER .* ON (?P<table>\w+) .*FOR EACH STATEMENT ", re.DOTALL
)
_SEQUENTIAL_INDEX: Final = re.compile(
    rf"(?P<start>CREATE INDEX \w+ ON \w+ \((?:{'|'.join(SEQUENTIAL)}))(?P<more>(?:, \w+)*)\);"
)


def _created(statement: str) -> re.Match[str] | None:
    """The parts of a statement that makes a table; every such statement has to be understood."""
    found = _TABLE.fullmatch(statement)
    if found is None and statement.startswith("CREATE TABLE"):
        msg = f"a table is made in a way that cannot be spread: {statement}"
        raise InvariantError(msg)
    return found


def _without_triggers(written: Iterable[str]) -> Iterator[str]:
    """Leave the triggers and their functions out; see the documentation on roles for what replaces them."""
    return (each for each in written if not _TRIGGER.match(each))


def _by_themselves(written: Iterable[str]) -> Iterator[str]:
    """Each statement is its own transaction, as engines want it that change a schema while it is in use."""
    return (each for each in written if each not in {"BEGIN;", "COMMIT;"})


def _without_options(written: Iterable[str]) -> Iterator[str]:
    """Leave out how PostgreSQL is to fill its pages, where there are none."""
    for each in written:
        found = _created(each)
        yield f"CREATE TABLE {found['table']} ({found['columns']});" if found else each


# --- the layouts --------------------------------------------------------------------------------


def _partitioned(written: Iterable[str], count: int) -> Iterator[str]:
    """Hash partitions of every spread table, each with the table's options and its triggers of statements."""
    for each in written:
        created, trigger = _created(each), _STATEMENT_TRIGGER.match(each)
        if created and created["table"] in SPREAD:
            name, options = created["table"], created["options"]
            yield f"CREATE TABLE {name} ({created['columns']})\n PARTITION BY HASH ({KEY});"
            for number in range(count):
                place = f"FOR VALUES WITH (MODULUS {count}, REMAINDER {number})"
                end = f" {options};" if options else ";"
                yield f"CREATE TABLE {_partition(name, number)} PARTITION OF {name} {place}{end}"
            continue
        yield each
        if trigger and trigger["table"] in SPREAD:
            name = trigger["table"]
            for number in range(count):
                yield each.replace(f" ON {name} ", f" ON {_partition(name, number)} ", 1)


def _partition(table: str, number: int) -> str:
    return f"{table}_p{number:03}"


def _for_citus(written: Iterable[str]) -> Iterator[str]:
    """Make the tables, then tell Citus where their rows belong: those of one wallet to one shard group."""
    *made, end = written
    yield from made
    yield from (f"SELECT create_reference_table('{name}');" for name in EVERYWHERE)
    yield f"SELECT create_distributed_table('{wallet.name}', '{KEY}');"
    beside = f"'{KEY}', colocate_with => '{wallet.name}'"
    yield from (
        f"SELECT create_distributed_table('{name}', {beside});" for name in SPREAD if name != wallet.name
    )
    yield end


def _for_cockroachdb(written: Iterable[str]) -> Iterator[str]:
    """Keys that begin with a hash spread by themselves; the indexes on times are told to."""
    for each in _without_options(_by_themselves(written)):
        yield _SEQUENTIAL_INDEX.sub(r"\g<start>\g<more>) USING HASH;", each)


def _for_yugabytedb(written: Iterable[str]) -> Iterator[str]:
    """Keys are spread by the hash of their first column unless told otherwise; times are read in order."""
    for each in _without_options(_by_themselves(written)):
        yield _SEQUENTIAL_INDEX.sub(r"\g<start> ASC\g<more>);", each)


_WITHOUT_TRIGGERS: Final[Mapping[Layout, Callable[[Iterable[str]], Iterator[str]]]] = {
    Layout.CITUS: _for_citus,
    Layout.COCKROACHDB: _for_cockroachdb,
    Layout.YUGABYTEDB: _for_yugabytedb,
}

_NO_TRIGGERS: Final = (
    "-- There are no triggers here: what keeps the journal insert-only are the rights of the application's role,",
    "-- SELECT and INSERT without UPDATE and DELETE on ptm_transfer, ptm_period, ptm_closing and ptm_money.",
)
_TOPS: Final[Mapping[Layout, Sequence[str]]] = {
    Layout.PARTITIONS: ("-- ptmeter on PostgreSQL, hash-partitioned by wallet. For an empty database.",),
    Layout.CITUS: (
        "-- ptmeter on Citus. For an empty database with the extension, on the coordinator.",
        "\n".join(_NO_TRIGGERS),
    ),
    Layout.COCKROACHDB: ("-- ptmeter on CockroachDB. For an empty database.", "\n".join(_NO_TRIGGERS)),
    Layout.YUGABYTEDB: ("-- ptmeter on YugabyteDB. For an empty database.", "\n".join(_NO_TRIGGERS)),
}
