"""Databases of our own, made and dropped again; and what is said of their durability."""

from __future__ import annotations

import os
import tempfile
import uuid
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Final

from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from .contest import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from contextlib import AbstractContextManager

POSTGRES: Final = os.environ.get("PTMETER_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
MYSQL: Final = os.environ.get("PTMETER_TEST_MYSQL", "mysql://root@127.0.0.1:3306")
_DRIVERS: Final = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}


@contextmanager
def postgres() -> Generator[str]:
    """An empty PostgreSQL database; yields its URL, which psycopg understands too."""
    with _database(POSTGRES) as url:
        yield url


@contextmanager
def mysql() -> Generator[str]:
    """An empty MySQL or MariaDB database; yields its URL."""
    with _database(MYSQL) as url:
        yield url


@contextmanager
def sqlite() -> Generator[str]:
    """A file in a folder of its own; yields its URL."""
    with tempfile.TemporaryDirectory() as folder:
        yield f"sqlite:///{folder}/ledger.db"


BACKENDS: Final[dict[str, Callable[[], AbstractContextManager[str]]]] = {
    "PostgreSQL": postgres,
    "SQLite": sqlite,
    "MariaDB": mysql,
}


def ask(server: str, query: str) -> str:
    """
    One value from a server.

    Raises:
        Unavailable: It does not answer.
    """
    engine = create_engine(_for_sqlalchemy(server))
    try:
        with engine.connect() as connection:
            return str(connection.execute(text(query)).scalar_one())
    except SQLAlchemyError as error:
        reason = f"no answer from {make_url(server).host}: {str(error).splitlines()[0]}"
        raise Unavailable(reason) from error
    finally:
        engine.dispose()


@cache
def durability(backend: str) -> str:
    """What a commit survives, in the database's own words; asked of the server, not assumed."""
    try:
        if backend == "PostgreSQL":
            settings = ("fsync", "synchronous_commit")
            return ", ".join(f"{name}={ask(POSTGRES, f'SHOW {name}')}" for name in settings)
        if backend == "MariaDB":
            return f"flush_log={ask(MYSQL, 'SELECT @@innodb_flush_log_at_trx_commit')}"
    except Unavailable:
        return "?"
    return "synchronous=FULL"


@contextmanager
def _database(server: str) -> Generator[str]:
    name = f"ptmeter_bench_{os.getpid()}_{uuid.uuid4().hex[:8]}"
    admin = create_engine(_for_sqlalchemy(server), isolation_level="AUTOCOMMIT")
    try:
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
    except SQLAlchemyError as error:
        reason = f"no answer from {make_url(server).host}: {str(error).splitlines()[0]}"
        raise Unavailable(reason) from error
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        force = " WITH (FORCE)" if admin.dialect.name == "postgresql" else ""
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name}{force}"))
        admin.dispose()


def _for_sqlalchemy(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{_DRIVERS[scheme.partition('+')[0]]}://{rest}"
