"""
Statements compiled once and sent as text: a third of what running them through the compiler costs.

SQLAlchemy caches what it compiles, but still prepares parameters and results for every execution; for
the statements of the write path that is more than the database takes to answer them. They bind plain
integers, text and bytes, so nothing has to be converted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy import Connection, CursorResult

LONGEST: Final = 8
"""Longer lists are left to SQLAlchemy: each length is a text of its own."""


class Prepared:
    """A statement with bind parameters, some of them lists for ``IN``, ready for one database."""

    def __init__(self, statement: Any, *, lists: Sequence[str] = ()) -> None:
        self._statement = statement
        self._lists = tuple(lists)
        self._texts: dict[tuple[int, ...], _Text] = {}

    def execute(self, connection: Connection, parameters: Mapping[str, Any]) -> CursorResult[Any]:
        """Run it."""
        shape = tuple(len(parameters[name]) for name in self._lists)
        if max(shape, default=0) > LONGEST:
            return connection.execute(self._statement, parameters)
        text = self._texts.get(shape) or self._compile(connection, parameters, shape)
        return connection.exec_driver_sql(text.sql, text.bind(parameters))

    def execute_many(self, connection: Connection, parameters: Sequence[Mapping[str, Any]]) -> None:
        """Run it once for each row of parameters; it has no lists."""
        text = self._texts.get(()) or self._compile(connection, parameters[0], ())
        rows = [text.bind(row) for row in parameters]
        connection.exec_driver_sql(text.sql, rows if len(rows) > 1 else rows[0])

    def _compile(
        self, connection: Connection, parameters: Mapping[str, Any], shape: tuple[int, ...]
    ) -> _Text:
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
