"""
Writing what was decided on PostgreSQL: all of it in one statement, its columns as arrays.

However many rows a plan has, they cost one round trip and one parse: ``unnest`` makes rows of arrays, and a
statement may change several tables (PostgreSQL manual, 7.8.4, "Data-Modifying Statements in WITH"). No part
of it reads what another writes, so that they all see the same snapshot is no matter.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import LargeBinary, String, bindparam, text
from sqlalchemy.dialects import postgresql

from ..errors import InvariantError
from .prepared import Prepared
from .tables import account, lot, open_hold, outbox, rejection, rollup, top_up, transfer, wallet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy import Connection, Table

    from .writing import Rows

    Cell = Callable[[Any], str]


class _Part(NamedTuple):
    """How one kind of row is written: ``{source}`` is a table of its rows, with the columns named."""

    table: Table
    columns: Mapping[str, str]
    statement: str


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


def _insert(table: Table, then: str = "") -> _Part:
    names = [column.name for column in table.columns]
    statement = f"INSERT INTO {table.name} ({{columns}}) SELECT {{columns}} FROM {{source}}{then}"  # noqa: S608 - our own names
    return _Part(table, _same(*names), statement)


_AGAIN: Final = ", ".join(
    f"{column.name} = excluded.{column.name}" for column in rejection.columns if not column.primary_key
)

_BUCKET: Final = ", ".join(column.name for column in rollup.primary_key.columns)

_ADDED: Final = ", ".join(
    f"{column.name} = {rollup.name}.{column.name} + excluded.{column.name}"
    for column in rollup.columns
    if not column.primary_key
)

_PARTS: Final[Mapping[str, _Part]] = {
    "wallets": _Part(
        wallet,
        {"wallet": "wallet_id", **_same("available", "held", "spent", "owed", "seq", "booked_at", "head")},
        "UPDATE ptm_wallet AS old SET available = new.available, held = new.held, spent = new.spent, "
        "owed = new.owed, seq = new.seq, booked_at = new.booked_at, head = new.head "
        "FROM {source} WHERE old.wallet_id = new.wallet",
    ),
    "transfers": _insert(transfer),
    "new_lots": _insert(lot),
    "lots": _Part(
        lot,
        {"wallet": "wallet_id", "lot": "number", "free": "remaining", "kept": "held", "cold": "frozen"},
        "UPDATE ptm_lot AS old SET remaining = new.free, held = new.kept, frozen = new.cold "
        "FROM {source} WHERE old.wallet_id = new.wallet AND old.number = new.lot",
    ),
    "closed": _Part(
        open_hold,
        {"wallet": "wallet_id", "hold": "hold_id"},
        "DELETE FROM ptm_open_hold AS old USING {source} "
        "WHERE old.wallet_id = new.wallet AND old.hold_id = new.hold",
    ),
    "opened": _insert(open_hold),
    "rejections": _insert(rejection, f" ON CONFLICT (wallet_id, transfer_id) DO UPDATE SET {_AGAIN}"),
    "tallies": _Part(
        account,
        {"who": "account", "count": "tally"},
        "UPDATE ptm_account AS old SET tally = new.count FROM {source} WHERE old.account = new.who",
    ),
    "top_ups": _insert(top_up),
    "messages": _insert(outbox, " ON CONFLICT (account, message_id) DO UPDATE SET topic = excluded.topic"),
    "rollups": _insert(rollup, f" ON CONFLICT ({_BUCKET}) DO UPDATE SET {_ADDED}"),
}


class ArrayWriter:
    """One statement for all rows of a plan; its text depends on which kinds and columns there are."""

    def __init__(self) -> None:
        self._prepared: dict[tuple[tuple[str, ...], ...], Prepared] = {}

    def write(self, connection: Connection, rows: Rows, /) -> None:
        """
        Write the rows of a plan in the transaction of *connection*.

        Raises:
            InvariantError: A row that was to be changed is not there.
        """
        kinds = [kind for kind in _PARTS if rows[kind]]
        if not kinds:
            return
        found = {kind: _columns(rows[kind]) for kind in kinds}
        shape = tuple((kind, *found[kind]) for kind in kinds)
        prepared = self._prepared.get(shape)
        if prepared is None:
            prepared = self._prepared[shape] = Prepared(_statement(shape))
        arrays = [
            _array(values, _CELLS[kind, name]) for kind in kinds for name, values in found[kind].items()
        ]
        (written,) = prepared.fetch(
            connection, {f"p{number}": array for number, array in enumerate(arrays)}
        )
        expected = tuple(len(rows[kind]) for kind in kinds)
        if tuple(written) != expected:
            msg = (
                f"of {dict(zip(kinds, expected, strict=True))} rows to write {tuple(written)} were written"
            )
            raise InvariantError(msg)


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The rows' columns, without those in which there is nothing."""
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return {name: values for name, values in columns.items() if any(v is not None for v in values)}


def _statement(shape: Sequence[Sequence[str]]) -> Any:
    """
    Insert, update and delete the rows of all kinds in *shape*, and count them.

    Parameters are numbered rather than named: psycopg keeps what it has read of a text only if that is short.
    """
    numbers = count()
    parts = [
        f"{kind} AS ({_PARTS[kind].statement.format(columns=', '.join(names), source=_source(kind, names, numbers))}"
        f" RETURNING 1)"
        for kind, *names in shape
    ]
    counts = [f"(SELECT count(*) FROM {kind})" for kind, *_ in shape]  # noqa: S608 - our own names
    bound = [bindparam(f"p{number}", type_=String()) for number in range(next(numbers))]
    return text(f"WITH {', '.join(parts)} SELECT {', '.join(counts)}").bindparams(*bound)


def _source(kind: str, names: Sequence[str], numbers: Iterator[int]) -> str:
    arrays = (f"CAST(:p{next(numbers)} AS {_type(kind, name)}[])" for name in names)
    return f"unnest({', '.join(arrays)}) AS new({', '.join(names)})"


def _type(kind: str, name: str) -> str:
    part = _PARTS[kind]
    return part.table.c[part.columns[name]].type.compile(postgresql.dialect())


def _array(values: Sequence[Any], cell: Cell) -> str:
    """An array as PostgreSQL writes it (manual, 8.15.2, "Array Value Input")."""
    return "{" + ",".join(["NULL" if value is None else cell(value) for value in values]) + "}"


def _bytes(value: bytes) -> str:
    return f'"\\\\x{value.hex()}"'


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _cell_of(part: _Part, name: str) -> Cell:
    kind = part.table.c[part.columns[name]].type
    return _bytes if isinstance(kind, LargeBinary) else _quoted if isinstance(kind, String) else str


_CELLS: Final[Mapping[tuple[str, str], Cell]] = {
    (kind, name): _cell_of(part, name) for kind, part in _PARTS.items() for name in part.columns
}
