"""The machine a figure belongs to: its load, its versions, and what its disk takes to make a write safe."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from . import databases
from .contest import Unavailable

WRITES = 200
BLOCK = 8192


def fsync_latency() -> float:
    """The median time in seconds of an 8 KiB append and its ``fdatasync``, on the disk the data is on."""
    block, took = os.urandom(BLOCK), []
    with tempfile.TemporaryFile(dir=data_folder()) as file:
        descriptor = file.fileno()
        for _ in range(WRITES):
            begin = time.perf_counter()
            os.write(descriptor, block)
            os.fdatasync(descriptor)
            took.append(time.perf_counter() - begin)
    return statistics.median(took)


def data_folder() -> str:
    """A folder to write to on the disk of PostgreSQL's data; else the one for temporary files."""
    temporary = tempfile.gettempdir()
    try:
        data = Path(databases.ask(databases.POSTGRES, "SHOW data_directory"))
        if data.stat().st_dev != Path(temporary).stat().st_dev and os.access(data.parent, os.W_OK):
            return str(data.parent)
    except (Unavailable, OSError):
        pass
    return temporary


def described() -> str:
    """Cores, load, versions: what a figure is worth nothing without."""
    load = "/".join(f"{value:.1f}" for value in os.getloadavg())
    packages = ("SQLAlchemy", "psycopg", "PyMySQL", "aiosqlite", "asyncmy")
    versions = [f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    versions += [f"PostgreSQL {_said(databases.POSTGRES, 'SHOW server_version')}"]
    versions += [f"MariaDB {_said(databases.MYSQL, 'SELECT version()')}"]
    versions += [f"{name} {_version(name)}" for name in packages]
    return f"{os.cpu_count()} cores, load {load} before the run; " + ", ".join(versions)


def _said(server: str, query: str) -> str:
    try:
        return databases.ask(server, query).split("-")[0].split(" ")[0]
    except Unavailable:
        return "absent"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "absent"
