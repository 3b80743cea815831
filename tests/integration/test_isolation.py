"""
Whatever the server, the engine or the application is set to, our transactions are what a ledger needs.

The isolation is ours on connections of ours and on borrowed ones, and the application's own transactions keep
theirs; a joined transaction is refused where it would decide on an old view; and a database that may lose
what it acknowledged is not used unless somebody said that it may.
"""

from __future__ import annotations

from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlalchemy import event, text
from tests.integration.wiring import Here, Host, clean, engine_on, execute, few, query, servers

from ptmeter import (
    PT,
    AsyncMeter,
    ConfigurationError,
    ContentionError,
    Durability,
    InsufficientFundsError,
    Meter,
    Policy,
    PtmeterError,
    UnsafeDurabilityError,
)
from ptmeter.storage.engine import new_engine
from ptmeter.storage.store import SqlStore
from ptmeter.testing import StoreContract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
    except (AssertionError, PtmeterError):
        return False
    return True


# --- isolation --------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", servers("postgres", "mysql"))
def test_a_borrowed_engine_lends_no_isolation(
    name: str, level: str, backend_of: Callable[[str], Backend]
) -> None:
    """An application's engine keeps its level; on the same connections ours are READ COMMITTED."""
    with engine_on(backend_of(name).empty(), isolation_level=level, pool_size=20) as engine:
        store = SqlStore(borrowed(engine), ONE_ATTEMPT)

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
    with engine_on(backend.empty(), isolation_level=level, pool_size=20) as engine:
        outcomes = (passes(SqlStore(engine, ONE_ATTEMPT)) for _ in range(10) if backend.empty())
        assert not all(outcomes)


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
    with closing(SqlStore(new_engine(url), ONE_ATTEMPT)) as store:
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


# --- joined -----------------------------------------------------------------------------------------

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


# --- durability -------------------------------------------------------------------------------------


@pytest.mark.postgres
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
