"""
Setting the tables up and bringing them up to date, with the Alembic migrations that ship here.

ptmeter keeps its own version table, so its migrations can live beside an application's.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import String, column, inspect, select, table

from ..errors import SchemaOutdatedError

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

HEAD: Final = "0001"
"""The revision this version of ptmeter works with."""

VERSION_TABLE: Final = "ptm_alembic_version"

MIGRATIONS: Final = Path(__file__).parent / "migrations"


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
        SchemaOutdatedError: They are not, and *migrate* is off.
    """
    found = revision(connection)
    if found == HEAD:
        return
    if not migrate:
        raise SchemaOutdatedError(found, HEAD)
    upgrade(connection)


def upgrade(connection: Connection) -> None:
    """Run the migrations that the database lacks, in the transaction of *connection*."""
    from alembic import command

    configuration = _configuration()
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, "head")


def script(dialect: str) -> str:
    """The SQL that sets a new database up, for those who run migrations by hand."""
    import io

    from alembic import command

    output = io.StringIO()
    configuration = _configuration()
    configuration.output_buffer = output
    configuration.attributes["dialect"] = dialect
    command.upgrade(configuration, "head", sql=True)
    return output.getvalue()


def _configuration() -> Config:
    from alembic.config import Config

    configuration = Config()
    configuration.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    configuration.set_main_option("path_separator", "os")
    return configuration
