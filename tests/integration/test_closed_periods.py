"""What the database itself refuses once a month is closed, what `verify` finds, and who waits for whom."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError
from tests.integration.wiring import engine_on, execute, meter_on, query, servers, waiting

from ptmeter import Meter, PeriodClosedError
from ptmeter.storage.engine import resolve
from ptmeter.storage.transactions import translated
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.backends import Backend

    from ptmeter.domain.periods import PeriodReport

IN_FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)
BEFORE = int((IN_FEBRUARY - timedelta(seconds=1)).timestamp()) * 1_000_000

COPY = (
    "INSERT INTO ptm_transfer (wallet_id, kind, priority, seq, amount, available_after, held_after, "
    "effective_at, booked_at, transfer_id, fingerprint, link) "
    "SELECT wallet_id, kind, priority, seq + 100, amount, available_after, held_after, "
    "effective_at, {booked_at}, fingerprint, fingerprint, link "
    "FROM ptm_transfer WHERE seq = 1"
)
"""A forged row."""


def closed(url: str, accounts: int = 1) -> PeriodReport:
    """A ledger whose January is closed."""
    clock = Clock()
    with meter_on(url, clock=clock) as meter:
        for n in range(accounts):
            meter.funds.grant(f"a{n}", core=100, source="test", key="g")
            meter.settle(meter.hold(f"a{n}", core=5, key="h"), core=3, key="s")
        clock.turn(IN_FEBRUARY - clock())
        return meter.periods.close("2026-01", by="ann")


def refused(url: str, statement: str) -> DBAPIError:
    with pytest.raises(DBAPIError) as caught:
        execute(url, statement)
    return caught.value


@pytest.mark.parametrize("name", servers("sqlite", "postgres"))
def test_the_database_refuses_a_row_in_a_closed_month(
    name: str, backend_of: Callable[[str], Backend]
) -> None:
    """A row booked before the boundary cannot be inserted by hand; one booked after it can."""
    url = backend_of(name).empty()
    closed(url)

    error = refused(url, COPY.format(booked_at=BEFORE))
    execute(url, COPY.format(booked_at=BEFORE + 1_000_000))

    assert isinstance(translated(error), PeriodClosedError)
    assert [(4,)] == query(url, "SELECT count(*) FROM ptm_transfer")


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_the_database_refuses_a_wallet_that_books_before_the_boundary(
    name: str, backend_of: Callable[[str], Backend]
) -> None:
    """A closed wallet's booking time cannot be set back, by whatever writes to the table."""
    url = backend_of(name).empty()
    closed(url)

    error = refused(url, f"UPDATE ptm_wallet SET booked_at = {BEFORE}")

    assert "ptm_wallet_closed" in str(error)


@pytest.mark.parametrize("name", servers("sqlite", "postgres"))
@pytest.mark.parametrize("table", ["ptm_period", "ptm_closing"])
def test_the_database_keeps_what_was_closed(
    name: str, table: str, backend_of: Callable[[str], Backend]
) -> None:
    """What was recorded and sealed is neither changed nor deleted."""
    url = backend_of(name).empty()
    closed(url)

    for statement in (f"UPDATE {table} SET revision = 9", f"DELETE FROM {table}"):
        changed = statement.replace("revision", "number") if table == "ptm_period" else statement
        assert "insert-only" in str(refused(url, changed))


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_the_database_refuses_a_closing_that_does_not_tie(
    name: str, backend_of: Callable[[str], Backend]
) -> None:
    """Figures of which more went in than came out are not a closing."""
    url = backend_of(name).empty()
    closed(url)
    columns = "period, seq, available, held, spent, owed, issued, lapsed, adjusted, frozen, reversed, head"

    error = refused(
        url,
        f"INSERT INTO ptm_closing (wallet_id, revision, {columns}) "
        f"SELECT wallet_id, 2, {columns.replace('held', 'held + 1')} FROM ptm_closing",
    )

    assert "ptm_closing_ties" in str(error)


# --- what verify finds ---

TRIGGERS = (
    "ptm_closing_no_update",
    "ptm_closing_no_delete",
    "ptm_period_no_update",
    "ptm_transfer_no_delete",
)

FOREIGN = (
    "INSERT INTO ptm_closing SELECT {}, revision, {}, seq, booked_at, available, held, spent, owed, "
    "issued, lapsed, adjusted, frozen, reversed, head, lots FROM ptm_closing"
)

TAMPERED = [
    ("UPDATE ptm_closing SET spent = spent + 1, issued = issued + 1", "its spent is not what the journal gives"),
    ("UPDATE ptm_closing SET frozen = frozen + 1, issued = issued + 1", "its frozen is not what the journal gives"),
    ("UPDATE ptm_closing SET reversed = reversed + 1, issued = issued + 1", "its reversed is not what the journal gives"),
    ("UPDATE ptm_closing SET head = zeroblob(33)", "its head is not what the journal gives"),
    ("UPDATE ptm_closing SET seq = 2", "is not what the journal gives"),
    ("UPDATE ptm_closing SET seq = 9", "it is at transfer 9, which is not there"),
    ("UPDATE ptm_closing SET lots = replace(lots, ':1767', ':1766')", "ptm_period/2026-01 event 2: its 1 closings"),
    ("UPDATE ptm_closing SET lots = NULL", "its lots are not what the journal gives"),
    ("DELETE FROM ptm_closing", "a0/core closing 2026-01: it is missing"),
    ("UPDATE ptm_period SET hash = zeroblob(33) WHERE state = 2", "ptm_period/2026-01 event 2: its 1 closings"),
    ("UPDATE ptm_period SET number = 3 WHERE state = 2", "event 3: it does not follow"),
    ("UPDATE ptm_wallet SET closed_until = 0", "it is not closed until the end of 2026-01"),
    ("UPDATE ptm_wallet SET booked_at = booked_at + 1", "its booking time is not that of the last transfer"),
    (FOREIGN.format("99", "period"), "ptm_closing has rows of wallet 99"),
    (FOREIGN.format("wallet_id", "'2025-12'"), "ptm_closing has rows of 2025-12"),
]  # fmt: skip


@pytest.mark.sqlite
@pytest.mark.parametrize(("change", "said"), TAMPERED)
def test_verify_finds_what_was_changed(change: str, said: str, sqlite_url: str) -> None:
    """Whoever gets past the triggers and changes what was closed is found out."""
    closed(sqlite_url)
    execute(sqlite_url, *(f"DROP TRIGGER {name}" for name in TRIGGERS), change)

    with meter_on(sqlite_url) as meter:
        report = meter.verify()

    assert any(said in line for line in [*map(str, report.findings), *report.uncovered]), report


# --- who waits for whom ---


@pytest.mark.parametrize("name", servers("postgres", "mysql"))
def test_a_close_waits_for_a_wallet_that_is_being_opened(
    name: str, backend_of: Callable[[str], Backend]
) -> None:
    """A wallet opened before the boundary and committed late is in the close, not behind its back."""
    url = backend_of(name).empty()
    clock = Clock()
    engine: Any = create_engine(resolve(url, asynchronous=False), isolation_level="READ COMMITTED")
    with Meter.open(engine, clock=clock) as meter, ThreadPoolExecutor(1) as pool:
        meter.funds.grant("acme", core=1, source="test", key="g")
        with engine.begin() as connection:
            meter.joined(connection).funds.grant("late", core=1, source="test", key="g")
            clock.turn(IN_FEBRUARY - clock())
            closing = pool.submit(meter.periods.close, "2026-01", by="ann")
            assert waiting(name, url)

        assert 2 == closing.result().wallets
        assert meter.verify().clean
    engine.dispose()


@pytest.mark.parametrize("name", servers("postgres", "mysql"))
def test_a_close_waits_for_a_row_that_is_being_booked(
    name: str, backend_of: Callable[[str], Backend]
) -> None:
    """A row booked before the boundary and committed late is in its wallet's closing."""
    url = backend_of(name).empty()
    clock = Clock()
    with engine_on(url, isolation_level="READ COMMITTED") as engine, ThreadPoolExecutor(1) as pool:
        meter = Meter.open(engine, clock=clock)
        meter.funds.grant("acme", core=1, source="test", key="g")
        with engine.begin() as connection:
            meter.joined(connection).funds.grant("acme", core=1, source="test", key="late")
            clock.turn(IN_FEBRUARY - clock())
            closing = pool.submit(meter.periods.close, "2026-01", by="ann")
            assert waiting(name, url)
        closing.result()

        [total] = meter.periods.roll_forward("2026-01").totals
        assert "2" == f"{total.granted.whole}"
        assert meter.verify().clean
