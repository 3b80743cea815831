"""
Inside an application's own transaction: done and undone with it, and refused where it is none to decide in.

A joined transaction at an isolation that shows an old view, or in AUTOCOMMIT, is a ConfigurationError that says
what to do.
"""

from __future__ import annotations

from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event
from tests.integration.wiring import Here, Host, clean, engine_on, execute, query

from ptmeter import (
    PT,
    AsyncMeter,
    ConfigurationError,
    ContentionError,
    InsufficientFundsError,
    Meter,
    Policy,
    PtmeterError,
)
from ptmeter.storage.engine import new_engine
from ptmeter.storage.store import SqlStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.backends import Backend

ONE_ATTEMPT = Policy(attempts=1)
LEVELS = ("REPEATABLE READ", "SERIALIZABLE")
ORDERS = "app_orders"
COLOURS = [pytest.param(False, id="sync"), pytest.param(True, id="async")]


@pytest.fixture(params=COLOURS)
def asynchronous(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture
def host(database: str, asynchronous: bool) -> Iterator[Host]:
    """An application with a table of its own and a meter on its engine, in each colour on each database."""
    execute(database, f"DROP TABLE IF EXISTS {ORDERS}", f"CREATE TABLE {ORDERS} (id INTEGER)")
    with Host(database, asynchronous=asynchronous) as application:
        application.wait(application.meter.funds.grant("acme", source="test", key="g", core=10))
        yield application
    execute(database, f"DROP TABLE {ORDERS}")


def at_read_committed(host: Host) -> dict[str, str]:
    return {} if host.engine.dialect.name == "sqlite" else {"isolation_level": "READ COMMITTED"}


def order_and_hold(here: Here) -> Any:
    """What an application does in one transaction: its own row, and a hold."""
    here.sql(f"INSERT INTO {ORDERS} VALUES (1)")
    return here.wait(here.joined.hold("acme", key="order-1", core=4))


def test_a_joined_hold_is_committed_with_the_callers_own_rows(host: Host, database: str) -> None:
    """What is done in a joined transaction is there once the application commits, and not before."""
    inside: list[Any] = []

    def script(here: Here) -> None:
        order_and_hold(here)
        inside.append(here.wait(here.joined.balance("acme")).core.held)

    host.transaction(script, **at_read_committed(host))

    assert [PT.of(4)] == inside
    assert [(1,)] == query(database, f"SELECT count(*) FROM {ORDERS}")
    assert PT.of(4) == host.wait(host.meter.balance("acme")).core.held
    assert clean(database)


def test_a_joined_hold_is_rolled_back_with_the_callers_own_rows(host: Host, database: str) -> None:
    """If the application's transaction fails there was no hold, and its key can be used again."""

    def script(here: Here) -> None:
        order_and_hold(here)
        raise Failure

    with pytest.raises(Failure):
        host.transaction(script, **at_read_committed(host))

    assert [(0,)] == query(database, f"SELECT count(*) FROM {ORDERS}")
    assert PT.of(0) == host.wait(host.meter.balance("acme")).core.held
    assert not host.wait(host.meter.hold("acme", key="order-1", core=5)).replayed
    assert clean(database)


def test_a_joined_refusal_leaves_the_transaction_to_the_caller(host: Host, database: str) -> None:
    """Too little PT is an answer like any other: the application may catch it and commit what it has."""

    def script(here: Here) -> None:
        here.sql(f"INSERT INTO {ORDERS} VALUES (1)")
        with suppress(InsufficientFundsError):
            here.wait(here.joined.hold("acme", key="order-1", core=11))

    host.transaction(script, **at_read_committed(host))

    assert [(1,)] == query(database, f"SELECT count(*) FROM {ORDERS}")
    assert clean(database)


def test_joining_needs_a_transaction(host: Host) -> None:
    """A connection that is in no transaction is refused: what was done on it would be nobody's to commit."""
    if host.asynchronous:

        async def join() -> None:
            async with host.engine.connect() as connection:
                await host.meter.joined(connection).hold("acme", key="h", core=1)

        with pytest.raises(ConfigurationError, match=r"engine\.begin\(\)"):
            host.wait(join())
    else:
        with (
            host.engine.connect() as connection,
            pytest.raises(ConfigurationError, match=r"engine\.begin\(\)"),
        ):
            host.meter.joined(connection).hold("acme", key="h", core=1)


def test_joining_a_connection_in_autocommit_is_refused(host: Host, database: str) -> None:
    """In AUTOCOMMIT there is no transaction, whatever SQLAlchemy calls it: the lock would be gone at once."""

    def script(here: Here) -> None:
        here.wait(here.joined.hold("acme", key="h", core=1))

    with pytest.raises(ConfigurationError):
        host.transaction(script, isolation_level="AUTOCOMMIT")


def test_what_was_rolled_back_is_written_again(host: Host, database: str) -> None:
    """A price and a rate card that went with a rolled back transaction are kept with the next debit."""
    usage = {
        "object": "chat.completion",
        "usage": {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18},
    }

    def script(here: Here) -> None:
        for key in ("a", "b"):
            here.wait(here.joined.record("acme", model="gpt-4o-mini", response=usage, key=key))
        raise Failure

    with pytest.raises(Failure):
        host.transaction(script, **at_read_committed(host))
    host.wait(host.meter.record("acme", model="gpt-4o-mini", response=usage, key="c"))

    assert clean(database)
    assert [(1,)] == query(database, "SELECT count(*) FROM ptm_rate_card")


@pytest.mark.mysql
@pytest.mark.parametrize("asynchronous", COLOURS)
def test_joining_on_mysql_at_repeatable_read_is_refused(
    asynchronous: bool, backend_of: Callable[[str], Backend]
) -> None:
    """There a decision would be taken on the view of an earlier moment; one sentence says what to do."""
    url = backend_of("mysql").empty()
    with Host(url, asynchronous=asynchronous) as application:
        application.wait(application.meter.funds.grant("acme", source="test", key="g", core=10))

        def script(here: Here) -> None:
            here.wait(here.joined.hold("acme", key="h", core=1))

        with pytest.raises(ConfigurationError) as refused:
            application.transaction(script)

    assert "execution_options(isolation_level='READ COMMITTED')" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.postgres
def test_joining_through_another_driver_works(backend_of: Callable[[str], Backend]) -> None:
    """A meter opened by URL can join a transaction of the application's, whichever driver that uses."""
    url = backend_of("postgres").empty()
    with Host(url.replace("postgresql:", "postgresql+asyncpg:"), asynchronous=True) as application:
        application.meter = AsyncMeter.open(url)  # through psycopg
        application.wait(application.meter.funds.grant("acme", source="test", key="g", core=10))

        def script(here: Here) -> None:
            here.wait(here.joined.hold("acme", key="h", core=1))

        try:
            application.transaction(script)
            held = application.wait(application.meter.balance("acme")).core.held
        finally:
            application.wait(application.meter.aclose())

    assert PT.of(1) == held


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.postgres
def test_joining_at_a_higher_level_decides_on_the_truth_or_not_at_all(
    level: str, backend_of: Callable[[str], Backend]
) -> None:
    """PostgreSQL aborts a transaction whose view is older than the wallet's last change: it says so."""
    url = backend_of("postgres").empty()
    with engine_on(url) as engine, Meter.open(engine) as meter:
        meter.funds.grant("acme", source="test", key="g", core=10)
        with engine.connect().execution_options(isolation_level=level) as connection, connection.begin():
            connection.exec_driver_sql("SELECT 1 FROM ptm_wallet")
            meter.hold("acme", key="theirs", core=10)

            with pytest.raises(ContentionError):
                meter.joined(connection).hold("acme", key="mine", core=10)

    assert clean(url)


@pytest.mark.sqlite
@pytest.mark.parametrize("recipe", [False, True], ids=["driver", "recipe"])
def test_joining_on_sqlite_takes_the_write_lock_before_it_reads(sqlite_url: str, recipe: bool) -> None:
    """While a joined transaction decides nobody else can write, however the application begins its own."""
    with (
        engine_on(sqlite_url, connect_args={"timeout": 0}) as engine,
        engine_on(sqlite_url, connect_args={"timeout": 0}) as others,
        Meter.open(sqlite_url) as meter,
    ):
        if recipe:
            event.listen(
                engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None)
            )
            event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        meter.funds.grant("acme", source="test", key="g", core=10)
        before: list[str] = []

        @event.listens_for(engine, "before_cursor_execute")
        def look(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            before.append(statement)

        with engine.begin() as connection:
            meter.joined(connection).hold("acme", key="h", core=1)
            statements = [s for s in before if s != "BEGIN"]
            with pytest.raises(PtmeterError), closing(SqlStore(new_engine(others), ONE_ATTEMPT)) as store:
                store.run(lambda books: None)

    assert statements[0].startswith("UPDATE ptm_wallet")


@pytest.mark.sqlite
def test_joining_on_sqlite_after_reading_an_old_view_is_given_up(sqlite_url: str) -> None:
    """A transaction that has read before another wrote cannot take the lock any more: it is told so."""
    with engine_on(sqlite_url, connect_args={"timeout": 0}) as engine, Meter.open(sqlite_url) as meter:
        event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        meter.funds.grant("acme", source="test", key="g", core=10)
        with engine.begin() as connection:
            connection.exec_driver_sql("SELECT available FROM ptm_wallet").all()
            meter.hold("acme", key="theirs", core=10)

            with pytest.raises(ContentionError):
                meter.joined(connection).hold("acme", key="mine", core=10)


class Failure(Exception):
    """The application's own."""
