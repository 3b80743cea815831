"""
Setting the tables up: the same ones everywhere, once, beside what else there is, and found again as they were.

A migration is compared with the tables the code works on, so that neither can change without the other.
"""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import ExitStack, contextmanager, suppress
from importlib import resources
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Integer, MetaData, Table, create_mock_engine, event, inspect
from sqlalchemy.schema import CreateTable
from tests.backends import MYSQL, POSTGRES
from tests.integration import jobs
from tests.integration.wiring import Host, clean, engine_on, execute, query, servers

from ptmeter import AsyncMeter, Meter, Policy, SchemaOutdatedError
from ptmeter.storage import schema
from ptmeter.storage.engine import new_engine
from ptmeter.storage.store import SqlStore
from ptmeter.storage.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection
    from tests.integration.fleet import Fleet

ROOT = Path(__file__).resolve().parent.parent.parent
DIALECTS = ("sqlite", "postgresql", "mysql", "mariadb")


@contextmanager
def new_database(name: str, folder: Path, backend_of: Callable[[str], Any]) -> Iterator[str]:
    """The URL of a database with nothing in it."""
    if name == "sqlite":
        yield f"sqlite:///{folder / uuid4().hex}.db"
        return
    backend = backend_of(name)  # skips if there is no such server
    made = f"ptmeter_test_new_{uuid4().hex[:12]}"
    server = backend.url.rpartition("/")[0]
    admin = POSTGRES if name == "postgres" else MYSQL
    execute(admin if admin.startswith(server) else backend.url, f"CREATE DATABASE {made}")
    try:
        yield f"{server}/{made}"
    finally:
        force = " WITH (FORCE)" if name == "postgres" else ""
        execute(backend.url, f"DROP DATABASE {made}{force}")


@pytest.fixture
def fresh(tmp_path: Path, backend_of: Callable[[str], Any]) -> Iterator[Callable[[str], str]]:
    """Makes new databases."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(new_database(name, tmp_path, backend_of))


@contextmanager
def transaction_on(url: str) -> Iterator[Connection]:
    with engine_on(url) as engine, engine.begin() as connection:
        yield connection


def differences(connection: Connection) -> list[Any]:
    """What Alembic would do to make the database what the code works on; other people's tables aside."""
    options = {
        "compare_type": True,
        "compare_server_default": True,
        "version_table": schema.VERSION_TABLE,
        "include_name": lambda name, kind, _: kind != "table" or (name or "").startswith("ptm_"),
    }
    return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)


# --- from nothing -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_the_migrations_make_the_tables_the_code_works_on(name: str, fresh: Callable[[str], str]) -> None:
    """Upgraded from nothing, a database has the tables, columns, keys and indexes of `storage.tables`."""
    with transaction_on(fresh(name)) as connection:
        schema.upgrade(connection)

        assert [] == differences(connection)
        assert {table.name for table in metadata.sorted_tables} < set(inspect(connection).get_table_names())
        assert schema.HEAD == schema.revision(connection)


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_the_migrations_write_what_the_tables_would(name: str, fresh: Callable[[str], str]) -> None:
    """To the letter: conditions, partial indexes and options of a table too, which Alembic does not compare."""
    with transaction_on(fresh(name)) as connection:
        schema.upgrade(connection)
        migrated = definitions(connection)
    with transaction_on(fresh(name)) as connection:
        metadata.create_all(connection)

        assert definitions(connection) == migrated


def definitions(connection: Connection) -> dict[str, list[str]]:
    """The lines that define each of the tables, their indexes and constraints, as the database shows them."""
    text = {
        "sqlite": "SELECT tbl_name, sql FROM sqlite_master WHERE type <> 'trigger' AND sql IS NOT NULL",
        "postgresql": (
            "SELECT conrelid::regclass::text, conname || pg_get_constraintdef(oid) FROM pg_constraint UNION ALL "
            "SELECT tablename::text, indexdef FROM pg_indexes UNION ALL "
            "SELECT relname::text, reloptions::text FROM pg_class WHERE relkind = 'r' AND reloptions IS NOT NULL"
        ),
    }
    rows: list[tuple[str, str]]
    if connection.dialect.name in text:
        rows = [
            (str(table), sql) for table, sql in connection.exec_driver_sql(text[connection.dialect.name])
        ]
    else:
        shown = (connection.exec_driver_sql(f"SHOW CREATE TABLE {t.name}") for t in metadata.sorted_tables)
        rows = [(table, sql) for result in shown for table, sql in result]
    lines: dict[str, list[str]] = {table.name: [] for table in metadata.sorted_tables}
    for table, sql in rows:
        if table in lines:
            lines[table] += lines_of(sql)
    return {table: sorted(found) for table, found in lines.items()}


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_the_checks_are_made_too(name: str, fresh: Callable[[str], str]) -> None:
    """Alembic does not compare CHECK constraints: all of them are there, by name."""
    with transaction_on(fresh(name)) as connection:
        schema.upgrade(connection)
        inspector = inspect(connection)
        found = {
            check["name"]
            for table in metadata.sorted_tables
            for check in inspector.get_check_constraints(table.name)
        }

    assert {str(c.name) for t in metadata.sorted_tables for c in t.constraints if is_check(c)} == found


def is_check(constraint: Any) -> bool:
    return type(constraint).__name__ == "CheckConstraint"


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_a_difference_is_noticed(name: str, fresh: Callable[[str], str]) -> None:
    """The control: a column more, or one that is missing, is a difference."""
    with transaction_on(fresh(name)) as connection:
        schema.upgrade(connection)
        connection.exec_driver_sql("ALTER TABLE ptm_account ADD COLUMN more INTEGER")
        connection.exec_driver_sql("ALTER TABLE ptm_account DROP COLUMN zone")

        assert {"add_column", "remove_column"} == {difference[0] for difference in differences(connection)}


def test_the_head_is_the_last_migration() -> None:
    """The revision the code asks for is the one the migrations end with, and they are one line."""
    script = ScriptDirectory.from_config(migration_config())

    assert [schema.HEAD] == script.get_heads()
    assert [None] == [revision.down_revision for revision in script.walk_revisions() if revision.is_base]


def migration_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    return config


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_migrating_twice_changes_nothing(name: str, fresh: Callable[[str], str]) -> None:
    """Who migrates at every start of the application finds nothing to do from the second one on."""
    url = fresh(name)
    for _ in range(2):
        with Meter.open(url, migrate=True) as meter:
            meter.funds.grant("acme", source="test", key="g", core=1)

    with transaction_on(url) as connection:
        schema.upgrade(connection)

        assert [] == differences(connection)
    assert clean(url)


@pytest.mark.sqlite
def test_a_new_file_is_set_up_at_first_use(fresh: Callable[[str], str]) -> None:
    """A SQLite file needs no migration by hand, and opening a meter alone makes none."""
    url = fresh("sqlite")
    path = Path(url.removeprefix("sqlite:///"))

    with closing_meter(Meter.open(url)) as meter:
        assert not path.exists()
        meter.funds.grant("acme", source="test", key="g", core=1)

    assert clean(url)


@contextmanager
def closing_meter(meter: Meter) -> Iterator[Meter]:
    try:
        yield meter
    finally:
        meter.close()


@pytest.mark.slow
@pytest.mark.sqlite
def test_processes_that_set_up_one_new_file_at_once_all_succeed(
    fresh: Callable[[str], str], fleet: Fleet
) -> None:
    """Four workers that start on a file that is not there yet set it up once, time after time."""
    for _ in range(3):
        url = fresh("sqlite")
        failures = fleet.run([(jobs.set_up, url)] * fleet.size)

        assert [None] * fleet.size == failures
        assert clean(url)


@pytest.mark.sqlite
def test_a_new_file_that_another_writes_to_is_waited_for(tmp_path: Path) -> None:
    """The change to WAL waits for who writes, though SQLite itself would refuse it at once."""
    other = sqlite3.connect(tmp_path / "new.db", isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE theirs (id INTEGER)")
    other.execute("BEGIN IMMEDIATE")
    release = Timer(0.3, other.execute, ["COMMIT"])
    release.start()

    assert jobs.set_up(f"sqlite:///{tmp_path}/new.db") is None

    release.join()
    other.close()


@pytest.mark.parametrize("name", servers("postgres", "mysql"))
def test_processes_that_migrate_one_server_at_once_all_succeed(
    name: str, fresh: Callable[[str], str], fleet: Fleet
) -> None:
    """Four workers opened with migrate=True set a server's database up once."""
    url = fresh(name)

    assert [None] * fleet.size == fleet.run([(jobs.set_up, url)] * fleet.size)
    assert clean(url)


# --- cut off in the middle --------------------------------------------------------------------------


def statements_of(script: str) -> list[str]:
    """What a script for MySQL has its shell do, one after the other."""
    return [found for found in re.sub(r"--.*", "", script).split(";\n") if found.strip()]


@pytest.mark.mysql
def test_a_script_that_was_cut_off_is_completed_by_running_it_again(fresh: Callable[[str], str]) -> None:
    """MySQL commits each statement by itself: cut off after one or another, the whole still goes through."""
    url = fresh("mysql")
    statements = statements_of(schema.script("mysql"))

    for done in range(1, len(statements), 2):
        execute(url, *statements[:done])
        with transaction_on(url) as connection:
            assert None is schema.revision(connection)
    for _ in range(2):
        execute(url, *statements)

    assert_as_from_nothing(url)


@pytest.mark.mysql
def test_a_script_that_was_cut_off_is_completed_by_an_upgrade(fresh: Callable[[str], str]) -> None:
    """Who began by hand can have the rest made by a meter."""
    url = fresh("mysql")
    execute(url, *statements_of(schema.script("mysql"))[:9])

    with transaction_on(url) as connection:
        schema.upgrade(connection)

    assert_as_from_nothing(url)


@pytest.mark.parametrize(
    ("name", "after", "asynchronous"),
    [
        *(
            pytest.param(name, 9, False, marks=getattr(pytest.mark, name))
            for name in ("sqlite", "postgres")
        ),
        *(pytest.param("mysql", after, False, marks=pytest.mark.mysql) for after in (2, 9, "last but one")),
        pytest.param("mysql", 9, True, marks=pytest.mark.mysql),
    ],
)
def test_an_upgrade_that_was_cut_off_is_completed_by_the_next(
    name: str, after: int | str, asynchronous: bool, fresh: Callable[[str], str]
) -> None:
    """Whatever was made before the process died, on any database the next one makes the rest."""
    url = fresh(name)
    done = is_cut_off_after(fresh(name), 999) - 1 if isinstance(after, str) else after

    assert done == is_cut_off_after(url, done)
    with transaction_on(url) as connection:
        assert None is schema.revision(connection)
        assert (name == "mysql") == inspect(connection).has_table("ptm_account")
    with Host(url, asynchronous=asynchronous, migrate=True) as application:
        application.wait(application.meter.funds.grant("acme", source="test", key="g", core=1))

    assert_as_from_nothing(url)


def is_cut_off_after(url: str, changes: int) -> int:
    """Upgrade on connections that end after so many changes, and say how many it came to."""
    made = 0
    with engine_on(url) as engine, suppress(CutOff):

        @event.listens_for(engine, "before_cursor_execute")
        def count(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
            nonlocal made
            if statement.lstrip().startswith(("CREATE", "INSERT", "EXECUTE")):
                if made == changes:
                    connection.invalidate()
                    raise CutOff
                made += 1

        SqlStore(new_engine(engine), Policy()).prepare(migrate=True)
    return made


class CutOff(BaseException):
    """The process dies."""


def assert_as_from_nothing(url: str) -> None:
    """A database is as if it had been set up at once, and can be used."""
    with transaction_on(url) as connection:
        assert [] == differences(connection)
        assert schema.HEAD == schema.revision(connection)
    assert [(1,)] == query(url, f"SELECT count(*) FROM {schema.VERSION_TABLE}")
    assert clean(url)


# --- beside an application ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_an_applications_own_migrations_are_left_alone(name: str, fresh: Callable[[str], str]) -> None:
    """An application keeps its alembic_version and its tables; ours has a version table of its own."""
    url = fresh(name)
    app = MetaData()
    Table("app_orders", app, Column("id", Integer, primary_key=True))
    with transaction_on(url) as connection:
        app.create_all(connection)
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('abc123')")

    with Meter.open(url, migrate=True) as meter:
        meter.funds.grant("acme", source="test", key="g", core=1)

    assert [("abc123",)] == query(url, "SELECT version_num FROM alembic_version")
    assert [(schema.HEAD,)] == query(url, f"SELECT version_num FROM {schema.VERSION_TABLE}")
    with transaction_on(url) as connection:
        assert [] == differences(connection)
        assert "app_orders" in inspect(connection).get_table_names()


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_the_script_sets_up_the_same_database(name: str, fresh: Callable[[str], str]) -> None:
    """The SQL that is printed for those who run migrations by hand makes the same tables."""
    url = fresh(name)
    script = schema.script({"sqlite": "sqlite", "postgres": "postgresql", "mysql": "mysql"}[name])

    with engine_on(url) as engine:
        with engine.connect() as connection:
            run_script(connection, script)
        with engine.connect() as connection:
            assert [] == differences(connection)
    with Meter.open(url) as meter:
        meter.funds.grant("acme", source="test", key="g", core=1)
        assert meter.verify().clean


def run_script(connection: Connection, script: str) -> None:
    """What a person would do with it in the database's own shell."""
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        driver.executescript(script)
    elif connection.dialect.name == "postgresql":
        driver.execute(script.replace("BEGIN;", "").replace("COMMIT;", ""))
    else:
        for statement in filter(str.strip, script.split(";\n")):
            driver.cursor().execute(statement)
    driver.commit()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_there_is_a_script_for_every_database(dialect: str) -> None:
    """Each script makes all tables and notes the revision; the journal's triggers are in it where we make them."""
    script = schema.script(dialect)

    create = "CREATE TABLE IF NOT EXISTS" if dialect in {"mysql", "mariadb"} else "CREATE TABLE"
    assert all(f"{create} {table.name} " in script for table in metadata.sorted_tables)
    assert f"'{schema.HEAD}'" in script
    assert ("TRIGGER" in script) == (dialect in {"sqlite", "postgresql"})


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_script_says_what_the_tables_say(dialect: str) -> None:
    """Each column, constraint and option, also for a database that is not at hand."""
    script = schema.script(dialect).replace(" IF NOT EXISTS", "")
    compiled = create_mock_engine(f"{dialect}://", lambda *_: None).dialect

    for table in metadata.sorted_tables:
        of_table = f"CREATE TABLE {table.name} "
        written = of_table + script.partition(of_table)[2].partition(";")[0]
        assert lines_of(str(CreateTable(table).compile(dialect=compiled))) == lines_of(written)


def lines_of(statement: str) -> list[str]:
    return sorted(line.strip().rstrip(",") for line in statement.splitlines() if line.strip())


# --- old, missing and newer tables ----------------------------------------------------------------------


@pytest.mark.parametrize("name", servers("postgres", "mysql"))
def test_a_server_without_our_tables_is_refused_in_one_sentence(
    name: str, fresh: Callable[[str], str]
) -> None:
    """On a server nothing is made that nobody asked for: the error says what to run."""
    url = fresh(name)

    with closing_meter(Meter.open(url)) as meter, pytest.raises(SchemaOutdatedError) as refused:
        meter.verify()

    assert (None, schema.HEAD) == (refused.value.found, refused.value.expected)
    assert "the ptmeter schema is not set up: run `ptmeter migrate" in str(refused.value)
    assert "\n" not in str(refused.value)
    with transaction_on(url) as connection:
        assert [] == inspect(connection).get_table_names()


@pytest.mark.parametrize("name", servers("postgres", "mysql"))
def test_older_tables_are_refused_in_one_sentence(name: str, fresh: Callable[[str], str]) -> None:
    """Tables of an earlier revision are named with the one that is needed."""
    url = fresh(name)
    at_revision(url, "0000")

    with closing_meter(Meter.open(url)) as meter, pytest.raises(SchemaOutdatedError) as refused:
        meter.verify()

    assert ("0000", schema.HEAD) == (refused.value.found, refused.value.expected)
    assert f"at revision 0000, this version needs {schema.HEAD}" in str(refused.value)


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
@pytest.mark.parametrize("migrate", [False, True])
def test_newer_tables_are_refused_in_one_sentence(
    name: str, migrate: bool, fresh: Callable[[str], str]
) -> None:
    """An old ptmeter on the tables of a newer one says so; it neither migrates nor fails elsewhere."""
    url = fresh(name)
    at_revision(url, "9999")

    opened = Meter.open(url, migrate=migrate)
    with closing_meter(opened) as meter, pytest.raises(SchemaOutdatedError) as refused:
        meter.verify()

    assert "9999" in str(refused.value)


def at_revision(url: str, revision: str) -> None:
    """Have a database say that it is at *revision*."""
    with transaction_on(url) as connection:
        schema.upgrade(connection)
        connection.exec_driver_sql(f"UPDATE {schema.VERSION_TABLE} SET version_num = '{revision}'")


# --- in the wheel --------------------------------------------------------------------------------------


def test_the_migrations_are_package_data() -> None:
    """Whoever installs ptmeter has its migrations, where Alembic looks for them."""
    folder = resources.files("ptmeter") / "storage" / "migrations"

    assert (folder / "env.py").is_file()
    assert (folder / "versions" / "0001_ledger.py").is_file()
    assert Path(str(folder)) == schema.MIGRATIONS


@pytest.mark.slow
def test_the_migrations_are_in_the_wheel(tmp_path: Path) -> None:
    """The wheel that is built from this repository holds them."""
    pytest.importorskip("hatchling")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    versions = {path.name for path in (schema.MIGRATIONS / "versions").glob("*.py")}

    with zipfile.ZipFile(wheel) as built:
        names = set(built.namelist())

    assert {f"ptmeter/storage/migrations/versions/{name}" for name in versions} < names
    assert {"ptmeter/storage/migrations/env.py", "ptmeter/py.typed"} < names


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.sqlite
def test_setting_up_is_the_same_in_both_colours(fresh: Callable[[str], str], asynchronous: bool) -> None:
    """The asynchronous meter sets a new file up through its own driver."""
    import asyncio

    url = fresh("sqlite")

    async def grant() -> None:
        async with AsyncMeter.open(url) as meter:
            await meter.funds.grant("acme", source="test", key="g", core=1)

    if asynchronous:
        asyncio.run(grant())
    else:
        with Meter.open(url) as meter:
            meter.funds.grant("acme", source="test", key="g", core=1)

    with transaction_on(url) as connection:
        assert [] == differences(connection)
    assert clean(url)
