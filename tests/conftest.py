"""Fixtures that many tests share: a clock to turn, and an empty ledger on every database in every colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from ptmeter.testing import Clock

from . import backends
from .backends import params

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ptmeter.ports import Store

    from .backends import Backend, Driver


settings.register_profile("unhurried", settings.default, deadline=None)
settings.load_profile(
    "unhurried"
)  # how long something takes is for benchmarks: a busy machine fails no test


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def sqlite_backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    yield from backends.sqlite(tmp_path_factory.mktemp("sqlite"))


@pytest.fixture(scope="session")
def postgres_backend() -> Iterator[Backend]:
    yield from backends.postgres()


@pytest.fixture(scope="session")
def mysql_backend() -> Iterator[Backend]:
    yield from backends.mysql()


@pytest.fixture
def backend_of(request: pytest.FixtureRequest) -> Callable[[str], Backend]:
    """The backend of that name; skips, or fails if it is required, when it is not there."""
    return lambda name: request.getfixturevalue(f"{name}_backend")


@pytest.fixture(params=params())
def store(
    request: pytest.FixtureRequest, clock: Clock, backend_of: Callable[[str], Backend]
) -> Iterator[Store]:
    """An empty ledger, on every database, through every driver, in both colours."""
    driver: Driver = request.param
    if driver.backend == "memory":
        opened = backends.open_memory(driver, clock)
    else:
        opened = backend_of(driver.backend).open(driver, clock)
    yield opened
    opened.close()


@pytest.fixture(params=backends.SERVERS)
def database(request: pytest.FixtureRequest, backend_of: Callable[[str], Backend]) -> str:
    """The URL of an empty ledger on every database."""
    return backend_of(request.param).empty()


@pytest.fixture
def sqlite_url(sqlite_backend: Backend) -> str:
    """The URL of an empty ledger in a file."""
    return sqlite_backend.empty()


@pytest.fixture
def data() -> Path:
    """The public traces beside the project, where they are."""
    from pathlib import Path

    folder = Path(__file__).parent.parent.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the public traces are not at {folder}")
    return folder
