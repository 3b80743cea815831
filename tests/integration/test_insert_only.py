"""The journal is insert-only, by whatever way one gets at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy.exc import DBAPIError
from tests.integration.wiring import clean, execute, servers

from ptmeter import Meter

if TYPE_CHECKING:
    from collections.abc import Callable

CHANGES = {
    "update": "UPDATE {table} SET {column} = {column} + 1",
    "delete": "DELETE FROM {table}",
    "truncate": "TRUNCATE {table}",
    "replace": "INSERT OR REPLACE INTO {table} SELECT * FROM {table}",
}


def journal_with_a_row(url: str) -> None:
    usage = {
        "object": "chat.completion",
        "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
    }
    with Meter.open(url) as meter:
        meter.funds.grant("acme", source="test", key="g", core=10)
        meter.record("acme", model="gpt-4o-mini", response=usage, key="r")


@pytest.mark.parametrize(("table", "column"), [("ptm_transfer", "amount")])
@pytest.mark.parametrize(
    ("name", "change"),
    [
        pytest.param("sqlite", "update", marks=pytest.mark.sqlite),
        pytest.param("sqlite", "delete", marks=pytest.mark.sqlite),
        pytest.param("sqlite", "replace", marks=pytest.mark.sqlite),
        pytest.param("postgres", "update", marks=pytest.mark.postgres),
        pytest.param("postgres", "delete", marks=pytest.mark.postgres),
        pytest.param("postgres", "truncate", marks=pytest.mark.postgres),
    ],
)
def test_rows_of_the_journal_cannot_be_changed(
    name: str, change: str, table: str, column: str, backend_of: Callable[[str], Any]
) -> None:
    """Neither updated nor deleted nor truncated nor replaced, by whoever has a connection to the database."""
    url = backend_of(name).empty()
    journal_with_a_row(url)

    with pytest.raises(DBAPIError, match="insert-only"):
        execute(url, CHANGES[change].format(table=table, column=column))

    assert clean(url)


@pytest.mark.parametrize("name", servers("sqlite", "postgres"))
def test_rows_that_are_derived_can_be_changed(name: str, backend_of: Callable[[str], Any]) -> None:
    """The control: the same change to a projection goes through, and the audit finds it."""
    url = backend_of(name).empty()
    journal_with_a_row(url)

    execute(url, CHANGES["update"].format(table="ptm_lot", column="granted"))

    assert not clean(url)
