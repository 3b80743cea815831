"""From a URL to an engine: what is ours in it, and what the drivers get to see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import make_url

from ptmeter import ConfigurationError
from ptmeter.storage.dialects import plan_freely
from ptmeter.storage.engine import new_engine, new_engine_async, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection
    from tests.backends import Backend

POOLED = "postgresql://app@localhost/app?prepared_statements=off&application_name=app"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_no_driver_is_told_of_an_option_that_is_ours(asynchronous: bool) -> None:
    """The drivers would refuse it; what is theirs stays."""
    url = resolve(POOLED, asynchronous=asynchronous)

    assert {"application_name": "app"} == url.query


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app@localhost/app?prepared_statements=no",
        "mysql://root@localhost/app?prepared_statements=off",
    ],
)
def test_an_option_that_means_nothing_is_refused(url: str) -> None:
    """A typing error, or a database that has no such pooler, does not pass for an answer."""
    with pytest.raises(ConfigurationError, match="prepared_statements"):
        new_engine(url)
    with pytest.raises(ConfigurationError, match="prepared_statements"):
        new_engine_async(url)


def test_what_an_asynchronous_meter_lacks_is_said_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLAlchemy says so in words of its own, and the first time alone."""
    monkeypatch.setattr("ptmeter.storage.engine.find_spec", lambda _name: None)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match=r"pip install 'ptmeter\[async\]'"):
            new_engine_async("sqlite:///pt.db")


@pytest.mark.postgres
@pytest.mark.parametrize(("setting", "threshold"), [("off", None), ("on", 5)])
def test_nothing_is_prepared_if_the_url_says_so(
    setting: str, threshold: int | None, backend_of: Callable[[str], Backend]
) -> None:
    """Statements stay on the session they were prepared on, and a pooler exchanges sessions."""
    url = make_url(backend_of("postgres").url).update_query_dict({"prepared_statements": setting})
    engine = new_engine(url.render_as_string(hide_password=False))

    with engine.connect() as connection:
        driver = connection.connection.driver_connection

    assert driver is not None
    assert threshold == driver.prepare_threshold
    engine.dispose()


@pytest.mark.postgres
@pytest.mark.parametrize("setting", ["off", "on"])
def test_rows_are_looked_up_by_index_in_a_table_that_seems_empty(
    setting: str, backend_of: Callable[[str], Backend]
) -> None:
    """
    A plan is kept, and the table grows: it must not be one that reads all of it, unless whole tables are read.

    Nor is it made again for each execution. Behind a pooler, where a session is not ours and no plan is kept, nothing is set.
    """
    url = make_url(backend_of("postgres").url).update_query_dict({"prepared_statements": setting})
    engine = new_engine(url.render_as_string(hide_password=False))

    def planned(connection: Connection) -> bool:
        rows = connection.exec_driver_sql(
            "EXPLAIN DELETE FROM seats AS old USING seats AS new WHERE old.id = new.id"
        )
        return any("Seq Scan" in row[0] or "Hash Join" in row[0] for row in rows)

    def plans_once(connection: Connection) -> bool:
        return connection.exec_driver_sql("SHOW plan_cache_mode").scalar_one() == "force_generic_plan"

    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TEMPORARY TABLE seats (id bigint PRIMARY KEY)")
        by_index, once = not planned(connection), plans_once(connection)
        freely = planned(plan_freely(connection))

        assert (setting == "on", setting == "on", True) == (by_index, once, freely)
        assert not plans_once(connection)
    engine.dispose()
