"""Meters of both colours, in memory and on a file, each with the asynchronous face (see `colours`)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, make_url
from tests.facade.colours import open_meter

from ptmeter import GenaiPrices, Tokenizers
from ptmeter.storage.engine import resolve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from tests.backends import Backend

    from ptmeter import AsyncMeter


@dataclass(frozen=True)
class Opener:
    """Opens meters of one colour on one ledger, empty at first; names and prices are read once for all."""

    url: str
    asynchronous: bool
    shared: dict[str, Any]

    def __call__(self, **options: Any) -> AsyncMeter:
        return open_meter(self.url, asynchronous=self.asynchronous, **(self.shared | options))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def shared() -> dict[str, Any]:
    """What is slow to load and holds no state: the price list and the tokenizers."""
    return {"catalogue": GenaiPrices(), "tokens": Tokenizers()}


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def asynchronous(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture(
    params=[
        pytest.param("memory", marks=pytest.mark.memory),
        pytest.param("sqlite", marks=pytest.mark.sqlite),
    ]
)
def opened(request: pytest.FixtureRequest, asynchronous: bool, shared: dict[str, Any]) -> Opener:
    """Opens meters on an empty ledger; in memory each is a ledger of its own."""
    url = "memory://" if request.param == "memory" else request.getfixturevalue("sqlite_url")
    return Opener(url, asynchronous, shared)


@pytest.fixture
def in_memory(asynchronous: bool, shared: dict[str, Any]) -> Opener:
    """Opens meters in memory, for what no database has a part in."""
    return Opener("memory://", asynchronous, shared)


@pytest.fixture
def on_file(sqlite_url: str, asynchronous: bool, shared: dict[str, Any]) -> Opener:
    """Opens meters on one and the same empty file."""
    return Opener(sqlite_url, asynchronous, shared)


@pytest.fixture
async def meter(opened: Opener) -> AsyncIterator[AsyncMeter]:
    """A meter with the defaults, and an account ``acme`` that has 100 PT of core and 50 of advanced."""
    async with opened() as meter:
        await meter.funds.grant("acme", core=100, advanced=50, source="trial", key="trial")
        yield meter


@pytest.fixture
async def meter_in_memory(in_memory: Opener) -> AsyncIterator[AsyncMeter]:
    """The same, in memory only: for arguments that are refused before any database is asked."""
    async with in_memory() as meter:
        await meter.funds.grant("acme", core=100, advanced=50, source="trial", key="trial")
        yield meter


@pytest.fixture(
    params=[pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("postgres", "mysql")]
)
def server(request: pytest.FixtureRequest, backend_of: Callable[[str], Backend]) -> Backend:
    return backend_of(request.param)


@pytest.fixture
def bare_server_url(server: Backend) -> Iterator[str]:
    """A database without any tables, on each server."""
    name = f"ptmeter_test_bare_{uuid.uuid4().hex[:8]}"
    admin = create_engine(resolve(server.url, asynchronous=False), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        yield make_url(server.url).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            force = " WITH (FORCE)" if admin.dialect.name == "postgresql" else ""
            connection.exec_driver_sql(f"DROP DATABASE {name}{force}")
        admin.dispose()
