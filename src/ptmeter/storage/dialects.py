"""
What each database needs done differently: how a transaction begins, and what its errors mean.

SQLite ignores ``FOR UPDATE``, and its Python driver begins a transaction only at the first write, so two
readers can both decide and then both write: 40 concurrent holds of 10 on a balance of 100 placed 17.
``BEGIN IMMEDIATE`` takes the write lock before anything is read.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import event

from ..errors import UnsafeDurabilityError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine
    from sqlalchemy.exc import DBAPIError

SNAPSHOT: Final = "ptmeter_snapshot"
"""Execution option of connections that only read, and want one unchanging view."""

MYSQL: Final = ("mysql", "mariadb")

_CONTENTION_STATES: Final = frozenset({"40001", "40P01", "55P03"})
"""serialization_failure, deadlock_detected, lock_not_available (PostgreSQL, appendix A)."""

_CONTENTION_NUMBERS: Final = frozenset({1205, 1213, 1020})
"""ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK, ER_CHECKREAD (MariaDB error reference)."""


def prepare(engine: Engine) -> Engine:
    """Make every transaction of *engine* one to keep a ledger in."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def set_up_sqlite(connection: Any, _record: object) -> None:
    """WAL for readers beside the writer, FULL so that a commit survives power loss, patience for locks."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


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


def snapshot(dialect: str) -> dict[str, Any]:
    """Execution options for a transaction that only reads, from one unchanging view."""
    return {SNAPSHOT: True} if dialect == "sqlite" else {"isolation_level": "REPEATABLE READ"}


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


def cut(driver_connection: Any) -> None:
    """Shut the socket of a synchronous driver's connection: whoever waits for its answer learns it is lost."""
    own = getattr(driver_connection, "_sock", None)  # PyMySQL's; psycopg tells the number of its own
    with own or socket.socket(fileno=os.dup(driver_connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)


def _begin_sqlite(connection: Connection) -> None:
    reading = connection.get_execution_options().get(SNAPSHOT)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


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
