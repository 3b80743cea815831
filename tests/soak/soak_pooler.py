"""
Behind PgBouncer in transaction mode, which gives every transaction whatever session is free.

The contract, the facade and the integration tests run once more, against a pooler between them and the server; left out
are those of settings and users that a pooler does not hand on. With what
the drivers prepare by default they fail, which shows that the pooler does exchange the sessions.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING

import pytest
from tests.backends import missing, reachable
from tests.soak.clusters import PATIENCE, free_port, new_cluster, owner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parent.parent.parent
SUITE = ("tests/contract", "tests/facade", "tests/integration")
CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
max_client_conn = 300
default_pool_size = 8
server_idle_timeout = 5
"""

pytestmark = pytest.mark.postgres

ON_POSTGRES = "postgres and not mysql and not sessions"


@contextmanager
def pooler(server: int) -> Iterator[str]:
    """A PgBouncer of our own on loopback; its URL."""
    program = shutil.which("pgbouncer")
    if program is None:
        missing("postgres", "pgbouncer is not installed")
    port = free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "users").write_text('"postgres" ""\n')
        (folder / "ini").write_text(CONFIGURATION.format(server=server, port=port, folder=folder))
        for path in (folder, folder / "users", folder / "ini"):
            os.chown(path, owner().get("user", -1), owner().get("group", -1))
        command = [program, "--quiet", str(folder / "ini")]
        process = subprocess.Popen(command, cwd="/", stderr=subprocess.DEVNULL, **owner())
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        deadline = monotonic() + PATIENCE
        try:
            while not reachable(url):
                assert process.poll() is None, "PgBouncer did not start"
                assert monotonic() < deadline
                sleep(0.05)
            yield url
        finally:
            process.kill()
            process.wait()


def outcome_of(url: str, *suite: str) -> str:
    """The last line of what pytest says of the PostgreSQL tests in *suite*."""
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "PTMETER_TEST_POSTGRES": url,
        "PTMETER_REQUIRE": "postgres",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-m", ON_POSTGRES, *suite]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.stdout.strip().splitlines()[-1]


def soak_the_suite_behind_a_pooler(say: Callable[[str], None]) -> None:
    """Told that there is a pooler, every test on PostgreSQL passes through it."""
    with new_cluster(max_connections="200") as cluster:
        cluster.create()
        cluster.start()
        with pooler(cluster.port) as url:
            outcome = outcome_of(f"{url}?prepared_statements=off", *SUITE)

    say(outcome)
    assert "passed" in outcome
    assert "failed" not in outcome
    assert "error" not in outcome


def soak_a_pooler_that_nobody_spoke_of_is_noticed(say: Callable[[str], None]) -> None:
    """The control: with statements prepared on sessions that change, the contract is broken."""
    with new_cluster(max_connections="200") as cluster:
        cluster.create()
        cluster.start()
        with pooler(cluster.port) as url:
            outcome = outcome_of(url, "tests/contract")

    say(outcome)
    assert "failed" in outcome
