"""From a URL to an engine: what is ours in it, and what the drivers get to see."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import make_url

from ptmeter import ConfigurationError
from ptmeter.storage.engine import new_engine, new_engine_async, resolve

if TYPE_CHECKING:
    from collections.abc import Callable

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
