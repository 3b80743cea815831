"""From a URL to an engine: which driver, in which colour."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from ..errors import ConfigurationError
from .dialects import borrow, plan_by_index, prepare, set_up_sqlite

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from sqlalchemy import URL
    from sqlalchemy import Connection as Connection
    from sqlalchemy.ext.asyncio import AsyncConnection as AsyncConnection
    from sqlalchemy.ext.asyncio import AsyncEngine

SYNC: Final = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
ASYNC: Final = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+psycopg",
    "mysql": "mysql+asyncmy",
    "mariadb": "mariadb+asyncmy",
}
PREPARED: Final = "prepared_statements"
"""Option in a PostgreSQL URL; ``off`` for a pooler that gives each transaction another session."""
_UNPREPARED: Final[Mapping[str, Mapping[str, Any]]] = {
    "psycopg": {"prepare_threshold": None},
    "asyncpg": {
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": str,  # asyncpg prepares everything: then without a name
    },
}
_ASYNC_ONLY: Final = frozenset({"aiosqlite", "asyncpg", "asyncmy", "aiomysql"})
_SYNC_ONLY: Final = frozenset({"pysqlite", "pymysql", "mysqldb"})
_EXTRAS: Final = {"sqlite": "async", "postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql"}


def resolve(url: str, *, asynchronous: bool) -> URL:
    """
    The URL with the driver that this colour uses; a driver of the other colour is exchanged.

    What is ours in it (``prepared_statements``) is left out: no driver knows it.

    Raises:
        ConfigurationError: It is not a URL of a database that ptmeter knows.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        msg = f"{url!r} is not a database URL: write sqlite:///pt.db or postgresql://user@host/name"
        raise ConfigurationError(msg) from None
    backend, _, driver = parsed.drivername.partition("+")
    if backend not in SYNC:
        msg = f"{backend!r} is not a database ptmeter knows: use {', '.join(SYNC)} or memory://"
        raise ConfigurationError(msg)
    if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
        msg = "an in-memory SQLite database is a new one for every connection: use memory:// or a file"
        raise ConfigurationError(msg)
    parsed = parsed.difference_update_query([PREPARED])
    foreign = _SYNC_ONLY if asynchronous else _ASYNC_ONLY
    if driver and driver not in foreign:
        return parsed
    return parsed.set(drivername=(ASYNC if asynchronous else SYNC)[backend])


def new_engine(target: str | Engine) -> Engine:
    """An engine for the synchronous store: from a URL, or on the connections of the caller's own."""
    if not isinstance(target, str):
        return _borrow(target)
    url = resolve(target, asynchronous=False)
    with _driver_of(url):
        return _own(create_engine(url, **_options(url, target)), target)


def new_engine_async(target: str | AsyncEngine) -> AsyncEngine:
    """An engine for the asynchronous store: from a URL, or on the connections of the caller's own."""
    if find_spec("greenlet") is None:  # on which SQLAlchemy's asyncio stands
        msg = "AsyncMeter needs more than is installed: pip install 'ptmeter[async]'"
        raise ConfigurationError(msg)
    from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

    if not isinstance(target, str):
        return AsyncEngine(_borrow(cast("Engine", getattr(target, "sync_engine", target))))
    url = resolve(target, asynchronous=True)
    with _driver_of(url):
        engine = create_async_engine(url, **_options(url, target))
    _own(engine.sync_engine, target)
    return engine


def _options(url: URL, target: str) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"pool_size": 4, "max_overflow": 0, "pool_timeout": 60}
    options = {"pool_size": 10, "max_overflow": 10, "isolation_level": "READ COMMITTED"}
    match make_url(target).query.get(PREPARED):
        case None | "on":
            return options
        case "off" if url.get_driver_name() in _UNPREPARED:
            return options | {"connect_args": dict(_UNPREPARED[url.get_driver_name()])}
        case other:
            msg = f"{PREPARED}={other} in a URL: it is on or off, and off for PostgreSQL only"
            raise ConfigurationError(msg)


def _own(engine: Engine, target: str) -> Engine:
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", set_up_sqlite)
    elif engine.dialect.name == "postgresql" and make_url(target).query.get(PREPARED) != "off":
        event.listen(engine, "connect", plan_by_index)
    return prepare(engine)


def _borrow(engine: Engine) -> Engine:
    if not isinstance(engine, Engine):  # pyright: ignore[reportUnnecessaryIsInstance]
        msg = f"a meter is opened on a URL such as sqlite:///pt.db or on an engine of SQLAlchemy, not on {engine!r}"
        raise ConfigurationError(msg)
    if engine.dialect.name not in SYNC:
        msg = f"{engine.dialect.name!r} is not a database ptmeter knows: use {', '.join(SYNC)}"
        raise ConfigurationError(msg)
    return borrow(engine)


@contextmanager
def _driver_of(url: URL) -> Generator[None]:
    try:
        yield
    except (ModuleNotFoundError, NoSuchModuleError) as missing:
        extra = _EXTRAS[url.get_backend_name()]
        msg = f"the driver for {url.drivername} is not installed: pip install 'ptmeter[{extra}]'"
        raise ConfigurationError(msg) from missing
