"""
What SQLite can do at most: sqlite3 alone writing what ptmeter wrote, statement by statement, batch by batch.

While ptmeter runs on a file, its connections note what they write, transaction by transaction. The notes are
then carried out by nothing but sqlite3 on a copy of the file as it was before, with the same
``synchronous=FULL``. No reads, no decisions, no callers.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import QueuePool, create_engine, event

from ptmeter import Meter
from ptmeter.storage.dialects import set_up_sqlite

from . import databases, ours
from .callers import Timing
from .contest import About, Contestant, Course

if TYPE_CHECKING:
    from collections.abc import Generator

WRITES: Final = ("INSERT", "UPDATE", "DELETE")
JOURNAL: Final = "SELECT count(*) FROM ptm_transfer"
PROJECTIONS: Final = ("ptm_wallet", "ptm_lot", "ptm_open_hold", "ptm_transfer")

Transaction = list[tuple[bool, str, Any]]
"""What a transaction wrote: repeated for many rows or not, the statement, its parameters."""


def contestants() -> list[Contestant]:
    """What 64 callers of one wallet wrote, written again."""
    about = About(
        backend="SQLite", durability=databases.durability("SQLite"), callers=1, checks="CHECK only"
    )
    return [Contestant("raw sqlite3, the same rows and batches", about, _course)]


@contextmanager
def _course() -> Generator[Course]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before, after, copy = (folder / f"{part}.db" for part in ("before", "after", "copy"))
        ours.grant_all(f"sqlite:///{before}", 1)

        def run(seconds: float) -> Timing:
            shutil.copy(before, after)
            shutil.copy(before, copy)
            written = _noted(after, seconds)
            took = _write(copy, written)
            commands = _count(copy) - 1
            return Timing(((took / commands,) * commands,), took, commits=len(written))

        yield Course(run, lambda: _verify(after, copy))


class _Cursor(sqlite3.Cursor):
    def execute(self, sql: str, parameters: Any = (), /) -> _Cursor:
        super().execute(sql, parameters)
        if sql.startswith(WRITES):
            self.connection.noted.append((False, sql, parameters))  # pyright: ignore[reportAttributeAccessIssue]
        return self

    def executemany(self, sql: str, parameters: Any, /) -> _Cursor:
        rows = list(parameters)
        self.connection.noted.append((True, sql, rows))  # pyright: ignore[reportAttributeAccessIssue]
        super().executemany(sql, rows)
        return self


class _Noting(sqlite3.Connection):
    """A connection that notes what its transactions write, in the order in which they hold the lock."""

    book: list[Transaction]
    noted: Transaction

    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)

    def commit(self) -> None:
        if self.noted:
            self.book.append(self.noted)
            self.noted = []
        super().commit()

    def rollback(self) -> None:
        self.noted = []
        super().rollback()


def _noted(path: Path, seconds: float) -> list[Transaction]:
    """Run ptmeter's 64 callers on the file; returns what they wrote."""
    book: list[Transaction] = []

    def connect() -> _Noting:
        connection = sqlite3.connect(path, factory=_Noting, check_same_thread=False)
        connection.book, connection.noted = book, []
        return connection

    engine = create_engine(
        "sqlite://", creator=connect, poolclass=QueuePool, pool_size=4, max_overflow=0, pool_timeout=60
    )
    event.listen(engine, "connect", set_up_sqlite)
    with Meter.open(engine) as meter:
        ours.run_callers(meter, ours.CALLERS, 1, seconds)
    engine.dispose()
    return book


def _write(path: Path, written: list[Transaction]) -> float:
    """Carry out the notes; returns the seconds it took."""
    connection = sqlite3.connect(path)
    set_up_sqlite(connection, None)
    cursor = connection.cursor()
    begin = time.perf_counter()
    for transaction in written:
        cursor.execute("BEGIN IMMEDIATE")
        for many, sql, parameters in transaction:
            (cursor.executemany if many else cursor.execute)(sql, parameters)
        cursor.execute("COMMIT")
    took = time.perf_counter() - begin
    connection.close()
    return took


def _count(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(JOURNAL).fetchone()[0]
    finally:
        connection.close()


def _verify(after: Path, copy: Path) -> str:
    """Whether the copy says what the ledger says, row by row, and verifies like it."""
    connection = sqlite3.connect(copy)
    connection.execute("ATTACH ? AS after", [str(after)])
    try:
        for table in PROJECTIONS:
            difference = f"SELECT * FROM main.{table} EXCEPT SELECT * FROM after.{table} LIMIT 1"
            if connection.execute(difference).fetchone():
                return f"{table} differs from the ledger's"
    finally:
        connection.close()
    return ours.verify(f"sqlite:///{copy}")
