"""Rival (e), the double-entry package people install: django-hordak from PyPI, in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from . import databases, rivals
from .callers import Timing
from .contest import Contestant, Course, Unavailable

if TYPE_CHECKING:
    from collections.abc import Generator

PACKAGES: Final = ("django-hordak", "django", "psycopg[binary]")
SCRIPT: Final = Path(__file__).with_name("hordak_posts.py")
CALLERS: Final = 64


def contestants() -> list[Contestant]:
    """With 64 callers on the same three accounts."""
    return [Contestant("(e) django-hordak transfer_to", rivals.about(CALLERS, 1, "none"), _course)]


def cache_folder() -> Path:
    """Where the environment is kept between runs, outside the tree."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "ptmeter-bench", "hordak")


@contextmanager
def _course() -> Generator[Course]:
    python = _environment()
    with databases.postgres() as url:
        _call(python, "prepare", url)

        def run(seconds: float) -> Timing:
            said = json.loads(_call(python, "run", url, str(CALLERS), str(seconds)))
            took = tuple(map(tuple, said["took"]))
            return Timing(took, said["seconds"], commits=sum(map(len, took)))

        yield Course(run, lambda: _call(python, "verify", url).strip())


def _environment() -> Path:
    """
    The interpreter that has hordak, installing it at first use.

    Raises:
        Unavailable: It could not be installed.
    """
    folder = cache_folder()
    python, stamp = folder / "bin" / "python", folder / "installed"
    if stamp.exists():
        return python
    venv.create(folder, with_pip=True, clear=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = f"pip cannot install django-hordak: {done.stderr.strip().splitlines()[-1]}"
        raise Unavailable(reason)
    stamp.touch()
    return python


def _call(python: Path, *arguments: str) -> str:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, "-P", SCRIPT, *arguments],
        stdout=subprocess.PIPE,
        stderr=sys.stderr,
        text=True,
        env=clean,
        check=True,
    )
    return done.stdout
