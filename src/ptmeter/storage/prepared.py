"""
Statements compiled once and sent on the driver's own cursor.

SQLAlchemy caches what it compiles, but prepares parameters, results and their names anew for every
execution; for the six statements of a hold that takes longer than the database takes to answer them.
These bind and return plain integers, text and bytes, so there is nothing to prepare.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy.exc import DBAPIError

from . import dialects

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection

LONGEST: Final = 8
"""Longer lists are left to SQLAlchemy: each length is a text of its own."""

_Shape = tuple[str, str, tuple[int, ...]]
"""What a text is for: a driver (a joined transaction may have another), its placeholders, how long lists are."""


class Prepared:
    """A statement with bind parameters, some of them lists for ``IN``, ready for one database."""

    def __init__(
        self, statement: Any, *, lists: Sequence[str] = (), row: Callable[[Sequence[Any]], Any] = tuple
    ) -> None:
        """*row* makes the columns of a result, in their order, into what callers read."""
        self._statement = statement
        self._lists = tuple(lists)
        self._row = row
        self._texts: dict[_Shape, _Text] = {}

    def fetch(self, connection: Connection, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """Run it and return its rows."""
        lengths = tuple(len(parameters[name]) for name in self._lists)
        if max(lengths, default=0) > LONGEST:
            return connection.execute(self._statement, parameters).all()
        shape = (connection.dialect.driver, connection.dialect.paramstyle, lengths)
        text = self._texts.get(shape) or self._compile(connection, parameters, shape)
        found = _on_cursor(connection, text.sql, text.bind(parameters), _fetch)
        return [self._row(row) for row in found]

    def repeat(self, connection: Connection, parameters: Sequence[Mapping[str, Any]]) -> None:
        """Run it for each row of parameters; it has no lists."""
        shape = (connection.dialect.driver, connection.dialect.paramstyle, ())
        text = self._texts.get(shape) or self._compile(connection, parameters[0], shape)
        if len(parameters) == 1:
            _on_cursor(connection, text.sql, text.bind(parameters[0]), _execute)
        else:
            _on_cursor(connection, text.sql, [text.bind(row) for row in parameters], _repeat)

    def _compile(self, connection: Connection, parameters: Mapping[str, Any], shape: _Shape) -> _Text:
        compiled = self._statement.compile(dialect=connection.dialect)
        expanded = compiled.construct_expanded_state(dict(parameters))
        constants = {
            name: value
            for name, value in expanded.parameters.items()
            if name not in parameters and not name.startswith(tuple(f"{each}_" for each in self._lists))
        }
        text = _Text(expanded.statement, expanded.positiontup, constants, self._lists)
        self._texts[shape] = text
        return text


class _Text(NamedTuple):
    """The text of a statement for lists of certain lengths, and what it wants bound."""

    sql: str
    places: Sequence[str] | None
    constants: Mapping[str, Any]
    lists: Sequence[str]

    def bind(self, parameters: Mapping[str, Any]) -> Any:
        """The parameters as the driver takes them: by name, or in the order of their places."""
        values = {**self.constants, **parameters}
        for name in self.lists:
            for number, value in enumerate(values.pop(name), 1):
                values[f"{name}_{number}"] = value
        return values if self.places is None else tuple([values[name] for name in self.places])


def _fetch(cursor: Any, sql: str, parameters: Any) -> Sequence[Any]:
    cursor.execute(sql, parameters)
    return cursor.fetchall()


def _execute(cursor: Any, sql: str, parameters: Any) -> Sequence[Any]:
    cursor.execute(sql, parameters)
    return ()


def _repeat(cursor: Any, sql: str, parameters: Any) -> Sequence[Any]:
    cursor.executemany(sql, parameters)
    return ()


def _on_cursor(
    connection: Connection, sql: str, parameters: Any, run: Callable[[Any, str, Any], Sequence[Any]]
) -> Sequence[Any]:
    """Run on a cursor of the driver's; its errors are SQLAlchemy's, as everywhere else."""
    dialect = connection.dialect
    cursor = connection.connection.cursor()
    try:
        return run(cursor, sql, parameters)
    except dialect.loaded_dbapi.Error as error:
        lost = dialect.is_disconnect(error, connection.connection.dbapi_connection, cursor)
        if lost:
            dialects.give_up(connection)
        wrapped = DBAPIError.instance(
            sql, None, error, dialect.loaded_dbapi.Error, connection_invalidated=lost, dialect=dialect
        )
        raise wrapped from error
    finally:
        cursor.close()
