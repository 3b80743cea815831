"""
Setting the tables up and bringing them up to date, with the Alembic migrations that ship here.

ptmeter keeps its own version table, so its migrations can live beside an application's.
"""

from __future__ import annotations

from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import String, column, inspect, select, table

from ..errors import ContentionError, SchemaOutdatedError
from .dialects import MYSQL

if TYPE_CHECKING:
    from collections.abc import Generator

    from alembic.config import Config
    from sqlalchemy import Connection

HEAD: Final = "0001"
"""The revision this version of ptmeter works with."""

VERSION_TABLE: Final = "ptm_alembic_version"

MIGRATIONS: Final = Path(__file__).parent / "migrations"

_ADVISORY_LOCK: Final = 0x70746D65746572
"""What processes that migrate agree on, on PostgreSQL, within one database: "ptmeter" in ASCII."""

_NAMED_LOCK: Final = "CONCAT('ptmeter:', MD5(DATABASE()))"
"""The same on MySQL, where such names are the whole server's."""


def revision(connection: Connection) -> str | None:
    """The revision the database is at; ``None`` if it has no tables of ours."""
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    found = connection.execute(select(column("version_num", String)).select_from(table(VERSION_TABLE)))
    return found.scalar_one_or_none()


def ensure(connection: Connection, *, migrate: bool) -> None:
    """
    Make sure that the tables are there and up to date; make them so if *migrate*.

    Raises:
        SchemaOutdatedError: They are not, and *migrate* is off; or a newer ptmeter has made them.
    """
    found = revision(connection)
    if found == HEAD:
        return
    if not migrate or (found is not None and found > HEAD):
        raise SchemaOutdatedError(found, HEAD)
    upgrade(connection)


def upgrade(connection: Connection) -> None:
    """
    Run the migrations that the database lacks, in the transaction of *connection*, one process at a time.

    MySQL commits each statement by itself: one that is there already is passed over, and the revision is
    noted last, so what was cut off is completed by running it again.

    Raises:
        ContentionError: Another process has been at it for a minute.
    """
    from alembic import command

    configuration = _configuration()
    configuration.attributes["connection"] = connection
    with _alone(connection):
        command.upgrade(configuration, "head")


def script(dialect: str) -> str:
    """The SQL that sets a new database up, for those who run migrations by hand; see `upgrade` for MySQL."""
    written = "".join(f"{statement}\n\n" for statement in statements(dialect))
    if dialect in MYSQL:
        written = written.replace(
            f"CREATE TABLE {VERSION_TABLE}", f"CREATE TABLE IF NOT EXISTS {VERSION_TABLE}"
        )
        written = written.replace(f"INSERT INTO {VERSION_TABLE}", f"INSERT IGNORE INTO {VERSION_TABLE}")
    return written


def statements(dialect: str) -> list[str]:
    """`script` in its parts: each statement with its semicolon, and the comments between them."""
    from alembic import command

    output = _Statements()
    configuration = _configuration()
    configuration.output_buffer = output
    configuration.attributes["dialect"] = dialect
    command.upgrade(configuration, "head", sql=True)
    return output.written


class _Statements(StringIO):
    """What Alembic writes, which is one statement at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[str] = []

    def write(self, text: str, /) -> int:
        self.written.append(text.strip())
        return len(text)


@contextmanager
def _alone(connection: Connection) -> Generator[None]:
    """Keep other processes from migrating the same database until this has been committed."""
    dialect = connection.dialect.name
    if dialect == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
    if dialect not in MYSQL:
        yield
        return
    if connection.exec_driver_sql(f"SELECT GET_LOCK({_NAMED_LOCK}, 60)").scalar_one() != 1:
        msg = "another process has been setting the same database up for a minute: try again"
        raise ContentionError(msg)
    try:
        yield
        connection.exec_driver_sql("COMMIT")  # the revision too, before another process looks for it
    finally:
        if not connection.invalidated:  # the server lets go of what a lost session held
            connection.exec_driver_sql(f"DO RELEASE_LOCK({_NAMED_LOCK})")


def _configuration() -> Config:
    from alembic.config import Config

    configuration = Config()
    configuration.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    configuration.set_main_option("path_separator", "os")
    return configuration
