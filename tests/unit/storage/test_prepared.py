"""Statements sent as text on the driver's own cursor: same rows, same errors as SQLAlchemy's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, bindparam, create_engine, insert, select
from sqlalchemy.exc import IntegrityError

from ptmeter.storage.prepared import LONGEST, Prepared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

things = Table("things", MetaData(), Column("id", Integer, primary_key=True), Column("name", String(20)))


class Thing(NamedTuple):
    id: int
    name: str


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.connect() as opened, opened.begin():
        things.create(opened)
        opened.execute(insert(things), [{"id": n, "name": f"thing {n}"} for n in range(20)])
        yield opened
    engine.dispose()


def some() -> Prepared:
    ids: Any = bindparam("ids", expanding=True)
    names: Any = bindparam("names", expanding=True)
    query = select(things).where(
        things.c.id.in_(ids) | things.c.name.in_(names), things.c.id < bindparam("below")
    )
    return Prepared(query.order_by(things.c.id), lists=("ids", "names"), row=Thing._make)


@pytest.mark.parametrize("count", [0, 1, 2, LONGEST, LONGEST + 1])
def test_lists_of_any_length_are_found(connection: Connection, count: int) -> None:
    """Lists of one length after another, also empty ones and those left to SQLAlchemy, find their rows."""
    statement = some()

    for length in (count, 1, count):
        wanted = {"ids": list(range(length)), "names": ["thing 15"] * count, "below": 19}
        found = [row.id for row in statement.fetch(connection, wanted)]

        assert found == [*range(length), *([15] if count else [])]


def test_constants_in_the_statement_stay(connection: Connection) -> None:
    """A value written into the statement is bound beside the parameters."""
    statement = Prepared(select(things).where(things.c.id > 17, things.c.id != bindparam("no")))

    assert [(18, "thing 18")] == list(statement.fetch(connection, {"no": 19}))


def test_rows_are_inserted_one_or_many(connection: Connection) -> None:
    """An insert runs once for each row."""
    statement = Prepared(insert(things))

    statement.repeat(connection, [{"id": 100, "name": "one"}])
    statement.repeat(connection, [{"id": 101 + n, "name": "more"} for n in range(3)])

    found = connection.execute(select(things.c.id).where(things.c.id >= 100)).scalars()
    assert [100, 101, 102, 103] == sorted(found)


def test_the_drivers_errors_are_sqlalchemys(connection: Connection) -> None:
    """A row that breaks a constraint raises what the same statement would through SQLAlchemy."""
    with pytest.raises(IntegrityError):
        Prepared(insert(things)).repeat(connection, [{"id": 1, "name": "twice"}])
