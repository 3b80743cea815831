"""
What each database needs done differently: how a transaction begins, and what its errors mean.

SQLite ignores ``FOR UPDATE``, and its Python driver begins a transaction only at the first write, so two
readers can both decide and then both write: 40 concurrent holds of 10 on a balance of 100 placed 17.
``BEGIN IMMEDIATE`` takes the write lock before anything is read.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import event
from sqlalchemy.exc import DBAPIError
from tenacity import Retrying, retry_if_exception_message, stop_after_delay, wait_random

from ..errors import UnsafeDurabilityError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.engine import Dialect
    from sqlalchemy.engine.interfaces import IsolationLevel

BEGIN: Final = "ptmeter_begin"
"""Execution option of what `prepare` has prepared: the statement that begins a transaction on SQLite."""

_PSYCOPG_LEAST: Final = 2
"""Seconds; psycopg takes less for this much."""

_PYMYSQL_WAITS: Final = ("read_timeout", "write_timeout")
"""What bounds PyMySQL's waiting for the server's greeting, and for every answer after it."""

MYSQL: Final = ("mysql", "mariadb")

_CONTENTION_STATES: Final = frozenset({"40001", "40P01", "55P03"})
"""serialization_failure, deadlock_detected, lock_not_available (PostgreSQL, appendix A)."""

_CONTENTION_NUMBERS: Final = frozenset({1205, 1213, 1020})
"""ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK, ER_CHECKREAD (MariaDB error reference)."""


_PLANNING: Final = {
    "plan_cache_mode": "force_generic_plan",
    **dict.fromkeys(("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit"), "off"),
}
"""
What keeps PostgreSQL from planning a prepared statement again and again, and from reading whole tables; servers
that speak alike may lack some of it.
"""


_WHILE_LOCKED: Final = Retrying(
    retry=retry_if_exception_message(match=".*is locked"),
    wait=wait_random(0.002, 0.02),
    stop=stop_after_delay(30),
    reraise=True,
)


def prepare(engine: Engine) -> Engine:
    """Make every transaction of ours on *engine* one to keep a ledger in."""
    if engine.dialect.name == "sqlite":
        engine.update_execution_options(**{BEGIN: "BEGIN IMMEDIATE"})
    return engine


def set_up_sqlite(connection: Any, _record: object) -> None:
    """
    WAL for readers beside the writer, FULL so that a commit survives power loss, patience for locks.

    For the change to WAL, which a file needs once, SQLite does not wait while another writes, whatever its
    busy_timeout: several that open a new file at the same moment are told that it is locked.
    """
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL"):
        _WHILE_LOCKED.copy()(cursor.execute, f"PRAGMA {pragma}")
    cursor.close()


def plan_by_index(connection: Any, _record: object) -> None:
    """
    Have a session of PostgreSQL look rows up by index, however small their tables seem to be, by plans it keeps.

    Made when a table was new or empty, such as that of the open holds mostly is, the plan of a prepared statement reads
    all of it each time, and with it the dead rows that holds leave until the next vacuum (PostgreSQL manual, 20.7.1,
    "Planner Method Configuration"). By index there is one plan whatever is asked for, and to make it again for each
    execution, in hope of a better one, took a fifth of a hold (20.7.4, ``plan_cache_mode``).
    """
    cursor = connection.cursor()
    wanted = ", ".join(f"('{name}', '{value}')" for name, value in _PLANNING.items())
    cursor.execute(
        f"SELECT set_config(name, value, false) FROM (VALUES {wanted}) AS wanted(name, value) "  # noqa: S608 - our own
        "JOIN pg_settings USING (name)"
    )
    cursor.fetchall()
    cursor.close()
    connection.commit()


def plan_freely(connection: Connection) -> Connection:
    """*connection*, in whose transaction whole tables are read: by the plans that suit that."""
    if connection.dialect.name == "postgresql":
        names = ", ".join(f"'{name}'" for name in _PLANNING)
        connection.exec_driver_sql(
            f"SELECT set_config(name, reset_val, true) FROM pg_settings WHERE name IN ({names})"  # noqa: S608 - our own
        )
    return connection


def borrow(engine: Engine) -> Engine:
    """The caller's pool with our own isolation; the caller's other transactions stay as they were."""
    borrowed = engine.execution_options()
    if engine.dialect.name == "sqlite":
        return prepare(borrowed)
    event.listen(borrowed, "engine_connect", _at_read_committed)
    return borrowed


def begin(connection: Connection) -> None:
    """
    Begin for the driver what SQLAlchemy has begun.

    No event does it, because an application's own engine may have one that begins, and it comes last.
    """
    how = connection.get_execution_options().get(BEGIN)
    if how is None:
        return
    if _in_transaction_sqlite(connection):
        connection.exec_driver_sql("ROLLBACK")
    connection.exec_driver_sql(how)


def check_durability(connection: Connection) -> None:
    """
    Make sure that the server keeps what it acknowledges.

    Raises:
        UnsafeDurabilityError: It is set up to lose the last commits in a crash.
    """
    setting, question, safe = _DURABILITY[connection.dialect.name]
    value = str(connection.exec_driver_sql(question).scalar_one())
    if value not in safe:
        raise UnsafeDurabilityError(setting, value, safe[0])


def snapshot(connection: Connection) -> Connection:
    """*connection*, set to a transaction that only reads, from one unchanging view."""
    if connection.dialect.name == "sqlite":
        return connection.execution_options(**{BEGIN: "BEGIN"})
    return _isolate(connection, "REPEATABLE READ")


def in_autocommit(connection: Connection) -> bool:
    """
    Whether each statement is committed by itself, whatever SQLAlchemy calls a transaction.

    SQLite's driver begins a transaction with the first statement that writes, so ask after one.
    """
    if connection.dialect.name == "sqlite":
        return not _in_transaction_sqlite(connection)
    driven: Any = connection.connection.dbapi_connection
    return connection.dialect.detect_autocommit_setting(driven)


def is_contention(error: DBAPIError) -> bool:
    """Whether the database aborted the transaction for the sake of another: trying again may help."""
    original: Any = error.orig
    state = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    number = original.args[0] if original is not None and original.args else None
    if state in _CONTENTION_STATES or number in _CONTENTION_NUMBERS:
        return True
    return getattr(original, "sqlite_errorname", "").startswith("SQLITE_BUSY") or "is locked" in str(
        original
    )


def is_disconnect(error: DBAPIError) -> bool:
    """Whether the connection was lost."""
    return error.connection_invalidated


def connect_within(engine: Engine, seconds: float) -> None:
    """
    Let connecting take no longer, whatever the server does or does not answer; what the URL says stands.

    Left alone, psycopg waits for more than two minutes, and PyMySQL for ever once somebody has accepted.
    """
    limits = {
        "psycopg": {"connect_timeout": max(_PSYCOPG_LEAST, ceil(seconds))},
        "pymysql": {"connect_timeout": seconds, **dict.fromkeys(_PYMYSQL_WAITS, seconds)},
    }.get(engine.dialect.driver)
    if limits is None or engine.dialect.is_async:
        return

    def limited(dialect: Dialect, _record: object, arguments: list[Any], options: dict[str, Any]) -> Any:
        connection = dialect.connect(*arguments, **(limits | options))
        for name in _PYMYSQL_WAITS:
            if name in limits and name not in options:
                setattr(connection, f"_{name}", None)  # a statement takes as long as the watch lets it
        return connection

    event.listen(engine, "do_connect", limited)


def cut(driver_connection: Any) -> None:
    """Shut the socket of a synchronous driver's connection: whoever waits for its answer learns it is lost."""
    own = getattr(driver_connection, "_sock", None)  # PyMySQL's; psycopg tells the number of its own
    with own or socket.socket(fileno=os.dup(driver_connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)


def abort(driver: str, driver_connection: Any) -> None:
    """End an asynchronous driver's connection to a server at once, without a word to it."""
    with suppress(OSError):
        match driver:
            case "asyncpg":
                driver_connection.terminate()
            case "asyncmy" | "aiomysql":
                driver_connection.close()
            case "psycopg" if not driver_connection.closed:
                cut(driver_connection)
            case _:  # SQLite's has no server that could keep it waiting
                pass


def give_up(connection: Connection) -> None:
    """
    Take a connection that the driver has lost out of use.

    SQLAlchemy learns of it from a statement that fails, and then trusts no older one in the pool either:
    what ended one session may have ended all of them.
    """
    with suppress(DBAPIError):
        connection.exec_driver_sql("SELECT 1")
    if not connection.invalidated:
        connection.invalidate()


def _at_read_committed(connection: Connection) -> None:
    _isolate(connection, "READ COMMITTED")


def _isolate(connection: Connection, level: IsolationLevel) -> Connection:
    """
    Set the isolation of what *connection* does next.

    MySQL is asked at once, by SQLAlchemy without its usual care for errors: they would be the driver's own.
    """
    dialect = connection.dialect
    try:
        return connection.execution_options(isolation_level=level)
    except dialect.loaded_dbapi.Error as error:
        lost = dialect.is_disconnect(error, connection.connection.dbapi_connection, None)
        if lost:
            give_up(connection)
        wrapped = DBAPIError.instance(
            None, None, error, dialect.loaded_dbapi.Error, connection_invalidated=lost, dialect=dialect
        )
        raise wrapped from error


def _in_transaction_sqlite(connection: Connection) -> bool:
    driven: Any = connection.connection.driver_connection
    return driven.in_transaction


_DURABILITY: Final = {
    "sqlite": ("synchronous", "PRAGMA synchronous", ("2", "3")),
    "postgresql": (
        "synchronous_commit",
        "SHOW synchronous_commit",
        ("on", "local", "remote_write", "remote_apply"),
    ),
    "mysql": (
        "innodb_flush_log_at_trx_commit",
        "SELECT @@innodb_flush_log_at_trx_commit",
        ("1",),
    ),
    "mariadb": (
        "innodb_flush_log_at_trx_commit",
        "SELECT @@innodb_flush_log_at_trx_commit",
        ("1", "3"),
    ),
}
"""Setting, how to ask for it, and the values under which an acknowledged commit survives a crash."""
