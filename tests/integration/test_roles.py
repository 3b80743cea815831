"""The rights that the documentation gives the application's role are enough for everything, and no more than that."""

from __future__ import annotations

import re
import uuid
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import DBAPIError
from tests.integration.tampering import POLICY, populate
from tests.integration.wiring import engine_on, execute, meter_on

from ptmeter.storage.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.backends import Backend

PAGE: Final = Path(__file__).resolve().parents[2] / "docs/how-to/database.md"
GRANT: Final = re.compile(r"GRANT ([A-Z, ]+?)\s+ON ([\w\s,]+) TO app;")
VERBS: Final = {
    "UPDATE": "UPDATE {table} SET {column} = {column} WHERE false",
    "DELETE": "DELETE FROM {table} WHERE false",
    "TRUNCATE": "TRUNCATE {table}",
}


def granted() -> dict[str, set[str]]:
    """The rights that the page grants, by table."""
    found = GRANT.findall(PAGE.read_text(encoding="utf-8"))
    return {
        table: set(verbs.split(", ")) for verbs, tables in found for table in re.findall(r"\w+", tables)
    }


@pytest.fixture
def as_app(backend_of: Callable[[str], Backend]) -> Iterator[str]:
    """An empty ledger on PostgreSQL, for a role with the rights on the page and no others."""
    url, role = backend_of("postgres").empty(), f"app_{uuid.uuid4().hex[:8]}"
    execute(url, f"CREATE ROLE {role} LOGIN PASSWORD 'app'")
    try:
        for verbs, tables in GRANT.findall(PAGE.read_text(encoding="utf-8")):
            execute(url, f"GRANT {verbs} ON {tables} TO {role}")
        yield make_url(url).set(username=role, password="app").render_as_string(hide_password=False)
    finally:
        execute(url, f"DROP OWNED BY {role}")
        execute(url, f"DROP ROLE {role}")


def test_every_table_has_its_rights() -> None:
    """A table that is added is added to the page; what is insert-only is granted as that."""
    rights = granted()

    assert rights.keys() == {table.name for table in metadata.sorted_tables} | {"ptm_alembic_version"}
    for table in ("ptm_transfer", "ptm_period", "ptm_closing", "ptm_money"):
        assert {"SELECT", "INSERT"} == rights[table]


@pytest.mark.postgres
@pytest.mark.sessions
def test_the_rights_are_enough_for_a_life(as_app: str) -> None:
    """A ledger of three months with a row in every table, closed, swept and verified by that role."""
    populate(as_app)

    with meter_on(as_app, policy=POLICY) as meter:
        assert meter.verify().clean


@pytest.mark.postgres
@pytest.mark.sessions
def test_what_is_not_granted_is_refused(as_app: str) -> None:
    """No other verb on any table: the database says so, before any trigger does."""
    rights = granted()
    with engine_on(as_app) as engine, engine.connect() as connection:
        for table, verb in product(metadata.sorted_tables, VERBS):
            if verb in rights[table.name]:
                continue
            column = next(iter(table.primary_key.columns)).name
            with pytest.raises(DBAPIError, match="permission denied"), connection.begin_nested():
                connection.exec_driver_sql(VERBS[verb].format(table=table.name, column=column))
