"""Which accounts are locked with one that asks: as remembered, and besides what the rows say meanwhile."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Connection, create_engine, insert

from ptmeter.domain.accounts import Account
from ptmeter.storage.account_rows import account_row
from ptmeter.storage.paths import Paths
from ptmeter.storage.tables import account

if TYPE_CHECKING:
    from collections.abc import Iterator

ORG, OLD, NEW = Account(name="org"), Account(name="old", parent="org"), Account(name="new", parent="org")
ANN = Account(name="ann", parent="old")
MOVED = replace(ANN, parent="new")


@pytest.fixture
def connection() -> Iterator[Connection]:
    """A database in which ann is below old."""
    with create_engine("sqlite://").connect() as made:
        account.create(made)
        for each in (ORG, OLD, NEW, ANN):
            made.execute(insert(account).values(account=each.name, opened_at=0, **account_row(each)))
        yield made


class Rows:
    """What is read, and how often."""

    def __init__(self, *accounts: Account) -> None:
        self._rows = {each.name: each for each in accounts}
        self.asked: list[set[str]] = []

    def read(self, names: set[str]) -> dict[str, Account]:
        """The rows of that name."""
        self.asked.append(names)
        return {name: self._rows[name] for name in names if name in self._rows}


def test_a_path_is_read_in_one_go(connection: Connection) -> None:
    """Who asks and all above, who are remembered."""
    rows = Rows(ORG, OLD, NEW, ANN)

    found = Paths().read(connection, ["ann"], rows.read)

    assert {"ann", "old", "org"} == found.keys()
    assert [{"ann", "old", "org"}] == rows.asked


def test_what_is_above_a_new_place_is_read_besides(connection: Connection) -> None:
    """Rows say that ann was put elsewhere: what is above there is read too, and remembered for the next time."""
    rows, paths = Rows(ORG, OLD, NEW, MOVED), Paths()

    found = paths.read(connection, ["ann"], rows.read)

    assert {"ann", "old", "new", "org"} == found.keys()
    assert [{"ann", "old", "org"}, {"new"}] == rows.asked
    connection.execute(account.update().where(account.c.account == "ann").values(parent="new"))
    assert {"ann", "new", "org"} == paths.above(connection, ["ann"])


def test_what_was_read_already_is_not_read_again(connection: Connection) -> None:
    """Nothing is asked for if all is there; if what is there says otherwise, only what is missing."""
    rows = Rows(ORG, OLD, NEW, ANN)
    there = {each.name: each for each in (ORG, OLD, ANN)}
    assert there == Paths().read(connection, ["ann"], rows.read, there)
    assert [] == rows.asked

    found = Paths().read(connection, ["ann"], rows.read, {**there, "ann": MOVED})

    assert {"ann", "old", "new", "org"} == found.keys()
    assert [{"new"}] == rows.asked


def test_an_account_that_does_not_exist_is_asked_for_once(connection: Connection) -> None:
    """It is not there, and nothing is above it."""
    rows = Rows(ORG)

    assert {} == Paths().read(connection, ["nobody"], rows.read)
    assert [{"nobody"}] == rows.asked
