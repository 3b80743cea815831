"""
Write the sync twin of the async facade: ``_async/`` is written by hand, ``_sync/`` is its echo.

The rules below are words, not syntax: they hold for the thin facade, where nothing but the colour
differs, and they change docstrings and comments along with the code. Run ``make format`` after a
change of ``_async/``; ``make check`` runs this with ``--check``, which fails if a twin is stale.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

SOURCE, TARGET = "src/ptmeter/_async", "src/ptmeter/_sync"

HEADER = "# Generated from {source} by scripts/unasync.py: edit that file, then run `make format`.\n"

RULES = [
    # An article first, while the word after it still begins with a vowel: an AsyncMeter -> a Meter.
    (r"\b([Aa])n(\s+`*)(?=Async[A-Z]|async(?:hronous)?\b)", r"\1\2"),
    # Keywords.
    (r"\basync (?=def\b|with\b|for\b)", ""),
    (r"\bawait\s+(?=\S)", ""),
    # The protocol's own names.
    (r"\b__a(enter|exit|iter|next)__\b", r"__\1__"),
    (r"\bStopAsyncIteration\b", "StopIteration"),
    (r"\ba(close|iter|next)\b", r"\1"),
    # Names: AsyncIterator, asynccontextmanager, create_async_engine, drive_async, _async, async.
    (r"\b(_*)Async(?=[A-Z])", r"\1"),
    (r"\basynccontextmanager\b", "contextmanager"),
    (r"_async_", "_"),
    (r"(?<=\w)_async\b", ""),
    (r"\b_async\b", "_sync"),
    (
        r"\b([Aa])synchronous(ly)?\b",
        lambda found: f"{'S' if found[1] == 'A' else 's'}ynchronous{found[2] or ''}",
    ),
    (r"\basync\b", "sync"),
]


def to_sync(text: str) -> str:
    """Apply the rules to *text*, one after the other."""
    for pattern, replacement in RULES:
        text = re.sub(pattern, replacement, text)
    return text


def twin_of(source: str, target: str) -> str:
    """What *target* should hold: imports may change places with their names, so ruff sorts them again."""
    text = HEADER.format(source=source) + to_sync((ROOT / source).read_text(encoding="utf-8"))
    sorted_again = _ruff(["check", "--fix-only", "--quiet", "--select=I,RUF022"], text, target)
    return _ruff(["format", "--quiet"], sorted_again, target)


def main() -> int:
    """Write the twins, or with ``--check`` only name those that are stale."""
    parser = argparse.ArgumentParser(description="Write the sync twin of each async module.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a twin is stale")
    check: bool = parser.parse_args().check

    stale = 0
    for name in sorted(path.name for path in (ROOT / SOURCE).glob("*.py")):
        source, target = f"{SOURCE}/{name}", f"{TARGET}/{name}"
        wanted, path = twin_of(source, target), ROOT / target
        if path.exists() and path.read_text(encoding="utf-8") == wanted:
            continue
        stale += 1
        if check:
            print(f"stale: {target} is not what {source} says; run `make format`", file=sys.stderr)
        else:
            path.parent.mkdir(exist_ok=True)
            path.write_text(wanted, encoding="utf-8")
            print(f"wrote {target}")
    return 1 if check and stale else 0


def _ruff(arguments: list[str], text: str, name: str) -> str:
    command = [sys.executable, "-m", "ruff", *arguments, f"--stdin-filename={name}", "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, cwd=ROOT, check=False)  # noqa: S603 - ruff, on a file of ours
    if done.returncode:
        sys.exit(f"ruff cannot read what {name} would be:\n{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
