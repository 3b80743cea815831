"""
The schema that is spread: built from exactly what `ptmeter schema` prints, and the ledger's contract on it.

Partitions are run on the real thing. Citus, CockroachDB and YugabyteDB are not here: what their scripts ask
of them beyond PostgreSQL is taken out or stood in for, and the rest has to run.
"""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, event, make_url
from sqlalchemy.exc import DBAPIError
from tests.backends import Backend
from tests.integration.wiring import SERVER_DRIVERS, clean, engine_on, execute, params, query

from ptmeter import Meter, StorageError
from ptmeter.cli import main
from ptmeter.storage.distribution import EVERYWHERE, SPREAD, Layout
from ptmeter.storage.engine import PREPARED, resolve
from ptmeter.storage.tables import metadata
from ptmeter.testing import FreezeContract, PeriodContract, StoreContract

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from ptmeter.ports import Store
    from ptmeter.testing import Clock

pytestmark = pytest.mark.postgres

PARTITIONS = 4
POSTGRES_DRIVERS = tuple(driver for driver in SERVER_DRIVERS if driver.backend == "postgres")

STAND_INS = """
CREATE TABLE spread (name text PRIMARY KEY, by_column text, beside text);
CREATE FUNCTION create_reference_table(name regclass) RETURNS void LANGUAGE sql AS
  $$ INSERT INTO spread VALUES (name::text, NULL, NULL) $$;
CREATE FUNCTION create_distributed_table(name regclass, by_column text, colocate_with text DEFAULT 'default')
  RETURNS void LANGUAGE sql AS $$ INSERT INTO spread VALUES (name::text, by_column, colocate_with) $$;
"""
"""What Citus adds to PostgreSQL, as far as the script calls it: a note of what was asked for."""


@contextmanager
def scratch(server: str) -> Iterator[str]:
    """A database of its own, without any tables."""
    name = f"ptmeter_test_spread_{uuid.uuid4().hex[:8]}"
    execute(server, f"CREATE DATABASE {name}")
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def run_script(url: str, script: str) -> None:
    """Run a script as psql would: the whole text, in autocommit."""
    theirs = make_url(url).difference_update_query([PREPARED]).render_as_string(hide_password=False)
    with psycopg.connect(theirs, autocommit=True) as connection:
        connection.execute(script.encode())


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Callable[[Layout], str]:
    """What the command prints for a layout."""

    def ask(layout: Layout) -> str:
        assert 0 == main(["schema", "--distribute", layout, "--partitions", str(PARTITIONS)])
        return capsys.readouterr().out

    return ask


@pytest.fixture(scope="module")
def partitioned(postgres_backend: Backend) -> Iterator[Backend]:
    """A database that was set up by what the command prints, and by nothing else."""
    from ptmeter.storage.distribution import script

    with scratch(postgres_backend.url) as url:
        run_script(url, script(Layout.PARTITIONS, partitions=PARTITIONS))
        yield Backend(url)


@pytest.fixture(params=params(POSTGRES_DRIVERS))
def store(request: pytest.FixtureRequest, clock: Clock, partitioned: Backend) -> Iterator[Store]:
    """An empty ledger on partitions, through every driver; opening it asks for no migration."""
    opened = partitioned.open(request.param, clock)
    yield opened
    opened.close()


class TestPartitionedStore(StoreContract):
    """The contract of a store, on partitions."""


class TestPartitionedFreezes(FreezeContract):
    """The contract of freezing and taking back, on partitions."""


class TestPartitionedPeriods(PeriodContract):
    """The contract of closing, on partitions."""


# --- what the scripts make ------------------------------------------------------------------------------


def test_the_command_prints_what_the_contract_runs_on(
    printed: Callable[[Layout], str], partitioned: Backend
) -> None:
    """The tables with a wallet are partitioned as often as was said; the others are as they were."""
    counted = (
        "SELECT c.relname, count(i.inhrelid) FROM pg_class c LEFT JOIN pg_inherits i ON i.inhparent = c.oid "
        "WHERE c.relname LIKE 'ptm%%' AND c.relkind IN ('p', 'r') AND NOT c.relispartition GROUP BY 1"
    )
    expected = dict.fromkeys(SPREAD, PARTITIONS) | dict.fromkeys(EVERYWHERE, 0)

    assert expected == dict(query(partitioned.url, counted))
    assert printed(Layout.PARTITIONS).count(" PARTITION OF ") == PARTITIONS * len(SPREAD)


@pytest.mark.parametrize("layout", list(Layout))
def test_each_script_makes_the_tables_that_the_code_reads(
    layout: Layout, printed: Callable[[Layout], str], postgres_backend: Backend
) -> None:
    """Whatever is spread where, columns, keys and indexes are those of the code, and a meter opens on it."""
    script = printed(layout)
    with scratch(postgres_backend.url) as url:
        run_script(url, STAND_INS)
        run_script(url, script.replace(" USING HASH;", ";"))  # which PostgreSQL writes before the columns

        assert [] == differences(url)
        with engine_on(url) as engine, Meter.open(engine) as meter:
            meter.funds.grant("acme", source="test", key="g", core=10)
        assert clean(url)


def test_the_control_a_script_without_a_column_is_noticed(
    printed: Callable[[Layout], str], postgres_backend: Backend
) -> None:
    """The control: were a script to leave a column out, the comparison would say so."""
    script = printed(Layout.YUGABYTEDB)
    with scratch(postgres_backend.url) as url:
        run_script(url, script.replace("link BIGINT NOT NULL,", "", 1))

        assert [("add_column", "link")] == [(kind, what.name) for kind, *_, what in differences(url)]


def differences(url: str) -> list[Any]:
    """Where a database is not what the tables in code say; partitions and stand-ins are no difference."""
    engine = create_engine(resolve(url, asynchronous=False))
    ours = {table.name for table in metadata.sorted_tables}
    options = {"include_name": lambda name, kind, _: kind != "table" or name in ours}
    with engine.connect() as connection:
        found = compare_metadata(MigrationContext.configure(connection, opts=options), metadata)
    engine.dispose()
    return found


def test_the_script_for_citus_spreads_by_wallet_and_copies_the_rest(
    printed: Callable[[Layout], str], postgres_backend: Backend
) -> None:
    """Every table is given to Citus, once: beside the wallets by their number, or as a reference table."""
    with scratch(postgres_backend.url) as url:
        run_script(url, STAND_INS)
        run_script(url, printed(Layout.CITUS))
        given = {name: tuple(how) for name, *how in query(url, "SELECT * FROM spread")}

    beside = dict.fromkeys(SPREAD, ("wallet_id", "ptm_wallet")) | {"ptm_wallet": ("wallet_id", "default")}
    assert beside | dict.fromkeys(EVERYWHERE, (None, None)) == given


@pytest.mark.parametrize("layout", [Layout.CITUS, Layout.COCKROACHDB, Layout.YUGABYTEDB])
def test_scripts_for_other_engines_ask_for_nothing_they_lack(
    layout: Layout, printed: Callable[[Layout], str]
) -> None:
    """No trigger, no function, no lock by agreement; the control is PostgreSQL's own, which has triggers."""
    words = ("CREATE TRIGGER", "CREATE FUNCTION", "ADVISORY", "DEFERRABLE", "EXCLUDE", "SERIAL", "IDENTITY")

    assert [] == [word for word in words if word in printed(layout).upper()]
    assert "CREATE TRIGGER" in printed(Layout.PARTITIONS)


# --- what keeps the journal on partitions ------------------------------------------------------------------


@pytest.mark.parametrize("table", ["ptm_transfer", "{}"], ids=["whole", "partition"])
@pytest.mark.parametrize("verb", ["UPDATE {} SET amount = 1", "DELETE FROM {}", "TRUNCATE {}"])
def test_a_partition_is_as_insert_only_as_its_table(table: str, verb: str, partitioned: Backend) -> None:
    """Neither through the table nor through its partition is a row of the journal changed."""
    url = partitioned.empty()
    with engine_on(url) as engine, Meter.open(engine) as meter:
        meter.funds.grant("acme", source="test", key="g", core=10)
    ((place,),) = query(url, "SELECT tableoid::regclass::text FROM ptm_transfer")

    with pytest.raises(DBAPIError, match="insert-only"):
        execute(url, verb.format(table.format(place)))
    assert clean(url)


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "partition"])
def test_a_partition_takes_nothing_into_a_closed_period(whole: bool, partitioned: Backend) -> None:
    """The trigger that keeps a closed period closed is on the table and on each partition."""
    url = partitioned.empty()
    with engine_on(url) as engine, Meter.open(engine) as meter:
        meter.funds.grant("acme", source="test", key="g", core=10)
    ((place,),) = query(url, "SELECT tableoid::regclass::text FROM ptm_transfer")
    table = "ptm_transfer" if whole else place
    columns = "wallet_id, fingerprint, link, amount, available_after, held_after, booked_at, kind"
    again = f"INSERT INTO {table} ({columns}, seq, transfer_id) SELECT {columns}, 99, 99 FROM {place}"

    execute(url, "UPDATE ptm_wallet SET closed_until = booked_at + 1")
    with pytest.raises(DBAPIError, match="ptm_period_closed"):
        execute(url, again)
    execute(url, "UPDATE ptm_wallet SET closed_until = 0")  # as it was: verify would notice
    assert clean(url)


# --- which partitions a call touches --------------------------------------------------------------------


def plans_of(url: str, verb: Callable[[Meter], Any]) -> list[Mapping[str, Any]]:
    """
    How the server carried out each statement of a call, as it tells itself (auto_explain).

    It plans as it does for tables that are too large to be read whole.
    """
    found: list[Mapping[str, Any]] = []

    def listen(connection: Any, _: object) -> None:
        for setting in (
            "LOAD 'auto_explain'",
            *(f"SET enable_{way} = off" for way in ("seqscan", "hashjoin", "mergejoin")),
            "SET auto_explain.log_min_duration = 0",
            "SET auto_explain.log_analyze = on",
            "SET auto_explain.log_format = json",
            "SET auto_explain.log_level = notice",
        ):
            connection.execute(setting)
        connection.commit()
        connection.add_notice_handler(lambda notice: found.append(plan_in(notice.message_primary)))

    with engine_on(url) as engine:
        event.listen(engine, "connect", listen)
        with Meter.open(engine) as meter:
            meter.balance("acme")
            found.clear()
            verb(meter)
    return found


def plan_in(message: str) -> Mapping[str, Any]:
    return json.loads(message.partition("plan:")[2])


def touched(plan: Mapping[str, Any]) -> Mapping[str, set[str]]:
    """The partitions of each table that a statement really read or wrote."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    nodes = [plan["Plan"]]
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        table, _, partition = node.get("Relation Name", "").rpartition("_p")
        if partition.isdigit() and node["Actual Loops"]:
            found[table].add(partition)
    return found


@pytest.fixture
def busy(partitioned: Backend) -> str:
    """A ledger with so many wallets that every partition has some, and statistics to plan by."""
    url = partitioned.empty()
    with engine_on(url) as engine, Meter.open(engine) as meter:
        for number in range(40):
            meter.funds.grant(f"a{number}", source="test", key="g", core=10)
        meter.funds.grant("acme", source="test", key="g", core=10)
    execute(url, "ANALYZE")
    return url


def test_a_hold_touches_one_partition_of_each_table(busy: str) -> None:
    """Locking, reading and writing a wallet leave the other partitions alone, as far as its number is known."""
    lock, read, write = plans_of(busy, lambda meter: meter.hold("acme", key="h", core=1))
    by_name = {"ptm_wallet", "ptm_transfer", "ptm_rejection"}  # a key counts for all wallets of an account

    assert {"ptm_wallet": 1} == counted(lock)
    assert {"ptm_lot": 1, "ptm_open_hold": 1} == counted(read, besides=by_name)
    assert {"ptm_wallet": 1, "ptm_lot": 1} == counted(write)
    assert touched(lock)["ptm_wallet"] == touched(write)["ptm_wallet"] == touched(read)["ptm_lot"]


def test_the_control_what_asks_for_no_wallet_touches_every_partition(busy: str) -> None:
    """The control: the partitions that a statement reads are counted, and verifying reads them all."""
    plans = plans_of(busy, lambda meter: meter.verify())

    assert any(counted(plan).get("ptm_transfer") == PARTITIONS for plan in plans)


def counted(plan: Mapping[str, Any], *, besides: Collection[str] = ()) -> Mapping[str, int]:
    return {table: len(places) for table, places in touched(plan).items() if table not in besides}


# --- replicas -------------------------------------------------------------------------------------------


@pytest.mark.sessions
def test_a_meter_that_may_only_read_reads_and_verifies(partitioned: Backend) -> None:
    """Balances, statements and verifying need no write, so a replica can answer them; charging does not go."""
    url = partitioned.empty()
    with engine_on(url) as engine, Meter.open(engine) as meter:
        meter.funds.grant("acme", source="test", key="g", core=10)

    only_reading = {"options": "-c default_transaction_read_only=on"}
    with engine_on(url, connect_args=only_reading) as engine, Meter.open(engine) as replica:
        assert 10 == replica.balance("acme").core.available.whole
        assert 1 == len(replica.statement("acme").entries)
        assert replica.verify().clean
        with pytest.raises(StorageError, match="read-only"):
            replica.hold("acme", key="h", core=1)
