"""
Whatever the server, the engine or the application is set to, our transactions are what a ledger needs.

The isolation is ours on connections of ours and on borrowed ones, and the application's own transactions keep
theirs; and a database that may lose what it acknowledged is not used unless somebody said that it may.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlalchemy import event, text
from tests.integration.wiring import Host, OneByOne, engine_on, few, query, servers

from ptmeter import (
    PT,
    ContentionError,
    Durability,
    Meter,
    Policy,
    UnsafeDurabilityError,
)
from ptmeter.storage.engine import new_engine
from ptmeter.storage.store import SqlStore
from ptmeter.testing import StoreContract

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Engine
    from tests.backends import Backend

    from ptmeter.ports import Books

ONE_ATTEMPT = Policy(attempts=1)
LEVELS = ("REPEATABLE READ", "SERIALIZABLE")
ASKING: Final = {
    "postgresql": "SHOW transaction_isolation",
    "mysql": "SELECT @@transaction_isolation",
    "mariadb": "SELECT @@tx_isolation",
}


def level_inside(books: Books) -> str:
    """The isolation of the transaction these books are in, as the server says."""
    connection: Any = books.ledger._connection  # type: ignore[attr-defined]
    answer = connection.exec_driver_sql(ASKING[server_of(connection)]).scalar_one()
    return answer.replace("-", " ").upper()


def server_of(connection: Any) -> str:
    dialect = connection.dialect
    return "mariadb" if getattr(dialect, "is_mariadb", False) else dialect.name


def level_outside(engine: Engine) -> str:
    with engine.connect() as connection:
        return (
            connection.exec_driver_sql(ASKING[server_of(connection)]).scalar_one().replace("-", " ").upper()
        )


def passes(store: SqlStore) -> bool:
    """Whether 40 callers at once get 10 PT each from 100, and not one of them has to try again."""
    try:
        StoreContract().test_concurrent_holds_admit_what_there_is(store)
    except (AssertionError, ContentionError):
        return False
    return True


COLOURS = [pytest.param(False, id="sync"), pytest.param(True, id="async")]


# --- isolation --------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", servers("postgres", "mysql"))
def test_a_borrowed_engine_lends_no_isolation(
    name: str, level: str, backend_of: Callable[[str], Backend]
) -> None:
    """An application's engine keeps its level; on the same connections ours are READ COMMITTED."""
    url = backend_of(name).empty()
    with engine_on(url, isolation_level=level, **few(url)) as engine:
        store = OneByOne(borrowed(engine), ONE_ATTEMPT)

        assert "READ COMMITTED" == store.run(level_inside)
        assert "REPEATABLE READ" == store.read(level_inside)
        assert level == level_outside(engine)
        assert passes(store)
        assert level == level_outside(engine)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", servers("postgres", "mysql"))
def test_an_isolation_that_leaks_shows(name: str, level: str, backend_of: Callable[[str], Backend]) -> None:
    """The control: in a store on the application's engine as it is the server names the engine's level."""
    with engine_on(backend_of(name).empty(), isolation_level=level) as engine:
        assert level == SqlStore(engine, ONE_ATTEMPT).run(level_inside)


@pytest.mark.postgres
@pytest.mark.parametrize("level", LEVELS)
def test_an_isolation_that_leaks_costs_attempts(level: str, backend_of: Callable[[str], Backend]) -> None:
    """The control: there PostgreSQL aborts some of 40 callers, who would have to try again."""
    backend = backend_of("postgres")
    url = backend.empty()
    with engine_on(url, isolation_level=level, **few(url)) as engine:
        outcomes = (passes(OneByOne(engine, ONE_ATTEMPT)) for _ in range(10) if backend.empty())
        assert not all(outcomes)


@pytest.mark.sessions
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", servers("postgres", "mysql"))
def test_the_default_of_a_server_does_not_leak_in(
    name: str, level: str, backend_of: Callable[[str], Backend]
) -> None:
    """A server, a role or a session that defaults to another level does not change ours."""
    url = with_default(backend_of(name).empty(), level)

    assert (
        level
        == query(url, ASKING["postgresql" if name == "postgres" else "mariadb"])[0][0]
        .replace("-", " ")
        .upper()
    )
    with closing(OneByOne(new_engine(url), ONE_ATTEMPT)) as store:
        assert "READ COMMITTED" == store.run(level_inside)
        assert passes(store)


def with_default(url: str, level: str) -> str:
    """The URL of sessions that begin at that level."""
    if url.startswith("postgresql"):
        setting = level.lower().replace(" ", "%5C%20")
        return f"{url}?options=-cdefault_transaction_isolation%3D{setting}"
    return f"{url}?init_command=SET+SESSION+tx_isolation%3D%27{level.replace(' ', '-')}%27"


def borrowed(engine: Engine) -> Engine:
    """The engine as a meter makes it when it is handed one."""
    return new_engine(engine)


@pytest.mark.sqlite
def test_an_application_keeps_its_own_transactions_on_sqlite(sqlite_url: str) -> None:
    """On a borrowed engine ours begin with BEGIN IMMEDIATE; the application's begin as they did."""
    with engine_on(sqlite_url, pool_size=8) as engine:
        Meter.open(engine).funds.grant("acme", source="test", key="g", core=1)
        with engine.connect() as one, engine.connect() as other:
            one.exec_driver_sql("SELECT 1")
            other.exec_driver_sql("SELECT 1")
            for connection in (one, other):
                assert not connection.connection.driver_connection.in_transaction  # type: ignore[union-attr]


@pytest.mark.sqlite
def test_an_application_that_begins_by_itself_can_lend_its_engine(sqlite_url: str) -> None:
    """SQLAlchemy's own recipe for SQLite has the engine emit BEGIN; a meter works on such an engine too."""
    with engine_on(sqlite_url) as engine:

        @event.listens_for(engine, "connect")
        def leave_transactions_to_us(connection: Any, _: object) -> None:
            connection.isolation_level = None

        @event.listens_for(engine, "begin")
        def begin(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN")

        with Meter.open(engine) as meter:
            meter.funds.grant("acme", source="test", key="g", core=1)

            assert PT.of(1) == meter.balance("acme").core.available


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_an_engine_in_autocommit_can_be_lent(name: str, backend_of: Callable[[str], Backend]) -> None:
    """An application whose engine commits each statement by itself still gets whole transactions of ours."""
    url = backend_of(name).empty()

    with engine_on(url, isolation_level="AUTOCOMMIT", **few(url)) as engine:
        store = SqlStore(borrowed(engine), ONE_ATTEMPT)
        StoreContract().test_a_failed_transaction_leaves_nothing(store)


# --- durability -------------------------------------------------------------------------------------


@pytest.mark.postgres
@pytest.mark.sessions
@pytest.mark.parametrize("asynchronous", COLOURS)
def test_a_server_that_forgets_commits_is_refused(
    asynchronous: bool, backend_of: Callable[[str], Backend]
) -> None:
    """synchronous_commit=off is not used, unless the policy says that the last charges may be lost."""
    url = backend_of("postgres").empty() + "?options=-csynchronous_commit%3Doff"

    with (
        Host(url, asynchronous=asynchronous) as application,
        pytest.raises(UnsafeDurabilityError) as refused,
    ):
        application.wait(application.meter.funds.grant("acme", source="test", key="g", core=1))
    with Meter.open(url, policy=Policy(durability=Durability.RELAXED)) as meter:
        meter.funds.grant("acme", source="test", key="g", core=1)

    assert ("synchronous_commit", "off") == (refused.value.setting, refused.value.value)
    assert "Policy(durability='relaxed')" in str(refused.value)


@pytest.mark.postgres
@pytest.mark.sessions
@pytest.mark.parametrize("value", ["on", "local", "remote_write", "remote_apply"])
def test_a_server_that_keeps_commits_is_used(value: str, backend_of: Callable[[str], Backend]) -> None:
    """The control: every setting under which a commit reaches the disk is accepted."""
    url = backend_of("postgres").empty() + f"?options=-csynchronous_commit%3D{value}"

    with Meter.open(url) as meter:
        assert not meter.funds.grant("acme", source="test", key="g", core=1).replayed


@pytest.mark.sqlite
@pytest.mark.parametrize(("value", "name"), [(0, "OFF"), (1, "NORMAL")])
def test_a_sqlite_connection_that_forgets_commits_is_refused(
    sqlite_url: str, value: int, name: str
) -> None:
    """PRAGMA synchronous below FULL, set by the application on its own engine, is not used either."""
    with engine_on(sqlite_url) as engine:

        @event.listens_for(engine, "connect")
        def hurry(connection: Any, _: object) -> None:
            connection.execute(f"PRAGMA synchronous={name}")

        with pytest.raises(UnsafeDurabilityError) as refused:
            Meter.open(engine).verify()
        with Meter.open(engine, policy=Policy(durability=Durability.RELAXED)) as meter:
            assert meter.verify().clean

    assert ("synchronous", str(value)) == (refused.value.setting, refused.value.value)


@pytest.mark.sqlite
def test_our_own_sqlite_connections_survive_power_loss(sqlite_url: str) -> None:
    """On an engine of ours: WAL, synchronous=FULL."""
    with closing(SqlStore(new_engine(sqlite_url), Policy())) as store:
        pragmas = store.run(
            lambda books: [
                books.ledger._connection.execute(text(f"PRAGMA {name}")).scalar_one()  # type: ignore[attr-defined]
                for name in ("journal_mode", "synchronous", "busy_timeout")
            ]
        )

    assert ["wal", 2, 30_000] == pragmas
