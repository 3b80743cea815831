"""Rival (c), what the server can do at most: pgbench's C client updating one row, nothing recorded."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from . import rivals
from .callers import Timing
from .contest import Contestant, Course, Unavailable

if TYPE_CHECKING:
    from collections.abc import Generator

SCRIPT: Final = """\\set wallet random(1, :wallets)
UPDATE wallet SET available = available - 1, spent = spent + 1 WHERE wallet_id = :wallet;
"""

CALLERS: Final = 64


def contestants() -> list[Contestant]:
    """With 64 clients on one wallet and on a thousand."""
    name = "(c) pgbench, UPDATE alone"
    return [
        Contestant(name, rivals.about(CALLERS, wallets, "CHECK only"), partial(_course, wallets=wallets))
        for wallets in (1, 1_000)
    ]


@contextmanager
def _course(*, wallets: int) -> Generator[Course]:
    program = shutil.which("pgbench")
    if program is None:
        reason = "pgbench is not installed (Debian: postgresql-client or postgresql-contrib)"
        raise Unavailable(reason)
    with rivals.new_tables(wallets) as url, tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "update.sql")
        script.write_text(SCRIPT)

        def run(seconds: float) -> Timing:
            options = [
                "-n",
                "-M",
                "prepared",
                "-c",
                str(CALLERS),
                "-j",
                "2",
                "-T",
                str(round(seconds) or 1),
            ]
            options += [
                "-D",
                f"wallets={wallets}",
                "-f",
                str(script),
                "-l",
                "--log-prefix",
                f"{folder}/log",
            ]
            done = subprocess.run(
                [program, *options, url], check=True, capture_output=True, text=True, cwd=folder
            )
            return _timing(done.stdout, Path(folder))

        yield Course(run, lambda: _verify(url))


def _timing(said: str, folder: Path) -> Timing:
    """The latencies from the logs, and the rate pgbench counts without the time to connect."""
    took: list[float] = []
    for log in folder.glob("log.*"):
        took += [int(line.split()[2]) / 1e6 for line in log.read_text().splitlines()]
        log.unlink()
    rate = float(re.findall(r"tps = ([\d.]+)", said)[-1])
    return Timing((tuple(took),), len(took) / rate, commits=len(took))


def _verify(url: str) -> str:
    import psycopg

    query = f"SELECT count(*) FROM wallet WHERE available + spent <> {rivals.GRANTED}"
    with psycopg.connect(url) as connection:
        found = connection.execute(query.encode()).fetchone()
    return f"{found[0]} wallets lost something" if found and found[0] else ""
