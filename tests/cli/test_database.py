"""Setting a ledger up, proving it, and booking what is due."""

from __future__ import annotations

import re
import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ptmeter import Usage

if TYPE_CHECKING:
    from pathlib import Path

    from ptmeter import Meter

    from .conftest import Run

pytestmark = pytest.mark.sqlite


def tamper(path: Path, *statements: str) -> None:
    """Change rows as somebody would who may do anything in the database."""
    with sqlite3.connect(path / "pt.db") as connection:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            connection.execute(statement)
    connection.close()


# --- migrate ---


def test_migrate_sets_a_database_up_once(run: Run, db: str) -> None:
    """The first run sets the tables up, the second says there is nothing to do."""
    first, second = run("migrate", "--json").json, run("migrate", "--json").json

    assert (None, True) == (first["revision_before"], first["changed"])
    assert (first["revision"], False) == (second["revision_before"], second["changed"])
    assert "nothing to do" in run("migrate").out


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql", "mysql", "mariadb"])
def test_migrate_prints_the_sql_of_a_dialect(dialect: str, run: Run) -> None:
    """``--sql`` prints what sets the tables up, and needs no database to do so."""
    script = run("migrate", "--sql", dialect)

    assert 0 == script.code
    assert re.search(r"CREATE TABLE (IF NOT EXISTS )?ptm_transfer", script.out)
    assert script.out == run("migrate", "--sql", dialect, "--json").json["sql"]


def test_migrate_wants_to_know_what(run: Run) -> None:
    """Without a database, with one that keeps nothing, or for an unknown dialect it says what to name."""
    asked = [run("migrate"), run("migrate", "--db", "memory://"), run("migrate", "--sql", "oracle")]

    assert [2, 2, 2] == [each.code for each in asked]
    assert "--db" in asked[0].err
    assert "postgresql" in asked[2].err


# --- schema ---


@pytest.mark.parametrize("layout", ["partitions", "citus", "cockroachdb", "yugabytedb"])
def test_schema_prints_the_sql_of_a_layout(layout: str, run: Run) -> None:
    """``--distribute`` prints what sets a spread schema up, and needs no database to do so."""
    script = run("schema", "--distribute", layout)

    assert 0 == script.code
    assert "CREATE TABLE ptm_transfer" in script.out
    assert script.out == run("schema", "--distribute", layout, "--json").json["sql"]


def test_schema_makes_as_many_partitions_as_it_is_told(run: Run) -> None:
    """Each table with a wallet in it has that many."""
    script = run("schema", "--distribute", "partitions", "--partitions", "3").out

    assert 3 == len(re.findall(r"CREATE TABLE \w+ PARTITION OF ptm_transfer ", script))


def test_schema_wants_a_layout_that_there_is(run: Run) -> None:
    """An unknown layout is answered with the known ones, none at all with how to name one."""
    unknown, none = run("schema", "--distribute", "mongodb"), run("schema")

    assert (2, True) == (unknown.code, "partitions, citus" in unknown.err)
    assert (2, True) == (none.code, "--distribute" in none.err)


# --- verify ---


def test_verify_of_a_sound_ledger_is_clean(run: Run, meter: Meter) -> None:
    """A ledger that holds together is clean, and the exit code is 0."""
    shown = run("verify")

    assert (0, True) == (shown.code, "clean" in shown.out)
    expected = {"clean": True, "wallets": 2, "transfers": 2, "findings": [], "uncovered": []}
    assert {**expected, "checkpoint": None} == run("verify", "--json").json


def test_verify_names_the_first_bad_row_of_each_wallet(run: Run, meter: Meter, tmp_path: Path) -> None:
    """A row that was changed is found and named, once for its wallet, and the exit code is 1."""
    meter.void(meter.hold("acme", core=1, key="h1"), key="v1")
    tamper(tmp_path, "UPDATE ptm_transfer SET amount = amount + 1 WHERE kind IN (1, 2)")
    shown, found = run("verify"), run("verify", "--json")

    assert (1, 1) == (shown.code, found.code)
    assert [("advanced", "transfer 1 (grant)"), ("core", "transfer 1 (grant)")] == sorted(
        (finding["unit"], finding["row"]) for finding in found.json["findings"]
    )
    assert "NOT CLEAN" in shown.out
    assert 2 == shown.out.count("wrong")


def test_verify_sums_up_what_else_is_wrong_in_a_wallet(run: Run, meter: Meter, tmp_path: Path) -> None:
    """A wallet with several findings is named once, with how many more there are."""
    tamper(tmp_path, "UPDATE ptm_wallet SET available = 7, spent = 9 WHERE unit = 'core'")
    shown = run("verify")

    assert 1 == shown.out.count("acme/core")
    assert "(and 1 more in this wallet)" in shown.out


def test_verify_is_never_clean_with_gaps(run: Run, meter: Meter, tmp_path: Path) -> None:
    """What could not be covered is said, and makes the exit code 1 even if nothing wrong was found."""
    tamper(
        tmp_path,
        "INSERT INTO ptm_lot (wallet_id, priority, number, granted, remaining, held, frozen) VALUES (99, 1, 1, 1, 1, 0, 0)",
    )
    shown, found = run("verify"), run("verify", "--json")

    assert (1, 1, False) == (shown.code, found.code, found.json["clean"])
    assert [] == found.json["findings"]
    assert "uncovered" in shown.out


@pytest.mark.parametrize("command", ["verify", "sweep", "balance acme", "statement acme"])
def test_a_mistyped_file_is_no_clean_ledger(command: str, run: Run, db: str, tmp_path: Path) -> None:
    """An SQLite file that is not there is refused with exit code 4, and not made on the way."""
    ended = run(*command.split())

    assert (4, []) == (ended.code, list(tmp_path.iterdir()))
    assert "there is no database" in ended.err


def test_text_from_the_ledger_commands_no_terminal(run: Run, meter: Meter) -> None:
    """An escape sequence or markup in a note is printed as text."""
    meter.funds.grant("acme", core=1, source="\x1b[31m[bold]red[/bold]", key="k")
    shown = run("statement", "acme").out

    assert "\x1b" not in shown
    assert "[bold]red[/bold]" in shown


# --- sweep ---


def test_sweep_books_all_that_is_due(run: Run, meter: Meter) -> None:
    """Holds past their time expire, however many and however small the transactions; then nothing is left."""
    for number in range(5):
        meter.hold("acme", core=1, key=f"{number}", ttl=timedelta(microseconds=1))

    assert {"holds_expired": 5, "wallets_lapsed": 0} == run("sweep", "--limit", "2", "--json").json
    assert "0 holds expired" in run("sweep").out
    assert 100 == meter.balance("acme").core.available.whole


def test_usage_is_kept_with_the_rate_card(meter: Meter, tmp_path: Path) -> None:
    """A call that was charged leaves its price and its rate card in the database."""
    meter.record("acme", model="gpt-4o-mini", response=Usage(input_uncached=10, output_text=1), key="r")
    with sqlite3.connect(tmp_path / "pt.db") as connection:
        kept = connection.execute("SELECT count(*) FROM ptm_price, ptm_rate_card").fetchone()
    connection.close()

    assert (1,) == kept
