"""
Mutation testing: break the ledger in one place after the other, and see whether a test notices.

Every mutant (`mutants.py`) is written into a copy of the package and tested by those tests that are there to find
it, in a process of its own. A mutant that passes them has survived: a test is missing, or nothing that it changes
can be seen, which `equivalent.toml` has to say, with the reason. Exits with 1 if one survives without.

What was killed is remembered beside the copy, so a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import shutil
import sys
import tomllib
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple

from scripts.mutants import Mutant, mutants

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).resolve().parent.parent
EQUIVALENT: Final = ROOT / "scripts" / "equivalent.toml"
PACKAGE: Final = Path("src/ptmeter")
WORK: Final = ROOT / "build" / "mutants"
LOG: Final = WORK / "pytest.txt"

EXAMPLES: Final = tuple(f"tests/unit/domain/test_{each}.py" for each in ("planner", "disputes", "members"))
CASES: Final = ("--noconftest", *EXAMPLES, "-m", "not slow")
PLAYS: Final = ("--noconftest", "tests/unit/domain/test_planner.py", "-k", "naive")
LIMITS: Final = ("--noconftest", "tests/unit/domain/test_limits.py", "-k", "not refuses_somebody")
PUBLIC: Final = (
    *("-p", "anyio.pytest_plugin", "tests/contract", "tests/facade"),
    *("-k", "memory and not async"),
)
PLANNER: Final = (CASES, PLAYS, LIMITS, PUBLIC)

SCHEMA: Final = (
    *("tests/integration/test_migrations.py", "tests/integration/test_guards.py"),
    "tests/integration/test_closed_periods.py::test_the_database_refuses_a_row_in_a_closed_month",
)
DATABASES: Final = (
    (*SCHEMA, "-k", "a_script_says or (would and sqlite)"),
    (*SCHEMA, "-k", "not postgres and not mysql and not processes and not wheel"),
    (*SCHEMA, "-k", "(postgres or mysql) and not processes"),
)

POSTINGS: Final = (
    "tests/unit/test_postings.py",
    "tests/contract/test_store.py",
    "-k",
    "test_postings or memory",
)
LANES: Final = ("tests/unit/storage/test_lanes.py",)
SIMULATOR: Final = (
    "tests/simulator/test_simulator.py",
    "-k",
    "nothing_goes_wrong[0] or nothing_goes_wrong[50]",
)

TARGETS: Final = {
    "domain/lots.py": (("--noconftest", "tests/unit/domain/test_lots.py"), *PLANNER),
    "domain/keys.py": (("--noconftest", "tests/unit/domain/test_keys.py"),),
    "domain/chain.py": (("--noconftest", "tests/unit/domain/test_chain.py"),),
    "domain/checks.py": (("--noconftest", "tests/unit/domain/test_commands.py"),),
    "domain/commands.py": (("--noconftest", "tests/unit/domain/test_commands.py"), *PLANNER),
    "domain/ledger.py": (("--noconftest", "tests/unit/domain/test_commands.py"), *PLANNER),
    "domain/moves.py": PLANNER,
    "domain/execution.py": PLANNER,
    "domain/planner.py": PLANNER,
    "domain/admission.py": (("--noconftest", "tests/unit/domain/test_admission.py"), LIMITS, PUBLIC),
    "domain/tallying.py": (LIMITS, PUBLIC),
    "operations/posting.py": (POSTINGS, LANES, SIMULATOR),
    "storage/lanes.py": (LANES, SIMULATOR),
    "storage/tables.py": DATABASES,
    "storage/migrations/versions/0001_ledger.py": DATABASES,
}
"""What is mutated, and what pytest is asked for to notice it: first what is fast, then the rest."""

GUARDS_ALONE: Final = frozenset({"storage/tables.py", "storage/migrations/versions/0001_ledger.py"})
"""Of these, only what refuses a row is mutated: the rest is names of columns, which Alembic compares."""

SCRIPTS: Final = 200
"""So many scripts the planner's property plays to a mutant."""

PATIENCE: Final = 6
"""A mutant that takes so many times as long as what is not broken, and more, runs in circles: it is noticed."""
SETTING_UP: Final = 10.0
"""Seconds beside it, for a machine that is busy."""

PYTEST: Final = (
    *("-x", "-q", "--no-header", "--tb=line", "-p", "no:cacheprovider"),
    *("-o", "addopts=--import-mode=importlib --strict-markers"),
)
"""Without plug-ins, whose loading would take most of the time."""


class Change(NamedTuple):
    """What a mutant is known by: the function it is in, and its lines before and after."""

    where: str
    before: str
    after: str
    nth: int = 0
    """If a function has the same line more than once: how many of them come before."""

    def __str__(self) -> str:
        """As it is shown to whoever has to find a test for it."""
        return f"{self.where}\n  - {self.before}\n  + {self.after}"


class Score(NamedTuple):
    """How many mutants of a file there are, and what became of them."""

    name: str
    mutants: int
    guards: int
    survivors: list[Mutant]
    equivalent: int
    seconds: float

    def __str__(self) -> str:
        """As a line of the table."""
        total, lost = self.mutants - self.equivalent, len(self.survivors)
        held = sum(mutant.guard for mutant in self.survivors)
        return (
            f"{self.name:24} {total - lost:5} of {total:4} killed, {self.equivalent:2} equivalent; "
            f"of guards {self.guards - held} of {self.guards}; {self.seconds:.0f} s"
        )


def run_tests(arguments: Sequence[str], folder: Path) -> None:
    """Run pytest on the copy in *folder*; the exit code of the process is pytest's."""
    with LOG.open("w") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    os.chdir(folder)
    source = str(folder / "src")
    sys.path[:0] = [source]
    os.environ |= {"PYTHONPATH": source, "PTMETER_SEQUENCES": str(SCRIPTS), "CI": "1"}
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"

    import pytest
    from hypothesis import Phase, settings

    # The same examples for every mutant, and the first that fails is enough.
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutants", phases=phases, database=None, derandomize=True, deadline=None)
    settings.load_profile("mutants")
    sys.exit(pytest.main([*arguments, *PYTEST]))


class Laboratory:
    """A copy of the package and its tests, in which one file at a time is another."""

    def __init__(self) -> None:
        self._folder = WORK / "copy"
        shutil.rmtree(self._folder, ignore_errors=True)
        for name in ("src", "tests"):
            shutil.copytree(ROOT / name, self._folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", self._folder)
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(
            ["pytest", "hypothesis", "hypothesis.strategies", "sqlalchemy"]
        )
        self._written = 0
        self.patience: float | None = None
        """Seconds for each of the runs; as long as it takes unless said."""

    def passes(self, name: str, source: bytes) -> bool:
        """Whether its tests pass when the file *name* is *source*."""
        path = self._folder / PACKAGE / name
        original = path.read_bytes()
        self._write(path, source)
        try:
            return all(map(self._pass, TARGETS[name]))
        finally:
            self._write(path, original)

    def _pass(self, tests: Sequence[str]) -> bool:
        process = self._processes.Process(target=run_tests, args=(tests, self._folder))
        process.start()
        process.join(self.patience)
        if process.is_alive():
            process.kill()
            process.join()
        if process.exitcode in {4, 5}:  # pytest was asked for what is not there
            sys.exit(LOG.read_text())
        return process.exitcode == 0

    def _write(self, path: Path, source: bytes) -> None:
        """Each time with another date, or Python would run what it compiled before."""
        path.write_bytes(source)
        self._written += 1
        os.utime(path, (self._written, self._written))


class Memory:
    """
    What was killed in earlier runs of the same file, to the letter.

    The tests may have changed since, so a score to be stated comes from a run with ``--afresh``.
    """

    def __init__(self, *, afresh: bool) -> None:
        self._path = WORK / "killed.txt"
        self._known = set[str]()
        if afresh:
            self._path.unlink(missing_ok=True)
        elif self._path.exists():
            self._known = set(self._path.read_text().split())

    def has(self, source: bytes, change: Change) -> bool:
        """Whether a test noticed this mutant of the file *source* before."""
        return _digest(source, change) in self._known

    def keep(self, source: bytes, change: Change) -> None:
        """Remember that a test notices it."""
        with self._path.open("a") as file:
            file.write(f"{_digest(source, change)}\n")


def _digest(source: bytes, change: Change) -> str:
    return hashlib.sha256(source + json.dumps(change).encode()).hexdigest()


def hunt(name: str, laboratory: Laboratory, memory: Memory) -> Score:
    """Test every mutant of a file, and print those that survive."""
    source, started = (ROOT / PACKAGE / name).read_bytes(), monotonic()
    found, excused = changes(source), equivalents(name)
    if name in GUARDS_ALONE:
        found = {change: mutant for change, mutant in found.items() if _refuses(mutant)}
    if stale := excused - found.keys():
        sys.exit(f"{EQUIVALENT.name} has what is no mutant of {name} any more: {stale}")
    laboratory.patience = None
    if not laboratory.passes(name, source):
        sys.exit(f"{LOG.read_text()}\n{name} fails its tests as it is")
    laboratory.patience = PATIENCE * (monotonic() - started) + SETTING_UP
    survivors: list[Mutant] = []
    for number, (change, mutant) in enumerate(found.items(), 1):
        if change in excused or memory.has(source, change):
            continue
        _progress(f"{name} {number}/{len(found)}, {len(survivors)} survived")
        if not laboratory.passes(name, mutant.applied(source)):
            memory.keep(source, change)
            continue
        survivors.append(mutant)
        _progress("")
        print(f"{name}:{mutant.line(source)} {change}", flush=True)
    guards = sum(mutant.guard for mutant in found.values())
    return Score(name, len(found), guards, survivors, len(excused), monotonic() - started)


def _refuses(mutant: Mutant) -> bool:
    """Whether it weakens what the database refuses: a constraint, or what makes a trigger."""
    return mutant.guard or mutant.text in {"pass", "*()"}


def changes(source: bytes) -> dict[Change, Mutant]:
    """All mutants of a file, each under the name that it has whatever line it moves to."""
    named: dict[Change, Mutant] = {}
    for mutant in mutants(source):
        change = Change(mutant.where, *mutant.shown(source))
        while change in named:
            change = change._replace(nth=change.nth + 1)
        named[change] = mutant
    return named


def equivalents(name: str) -> set[Change]:
    """The mutants of a file of which no test can tell; each entry says why."""
    listed = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8")).get(name, [])
    if unexplained := [entry for entry in listed if not entry.pop("why", "")]:
        sys.exit(f"{EQUIVALENT.name} does not say why nothing is changed by {unexplained}")
    return {Change(**entry) for entry in listed}


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def main() -> int:
    """Hunt, and print the score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="FILE", help=f"any of {', '.join(TARGETS)}")
    parser.add_argument("--afresh", action="store_true", help="forget what was killed in earlier runs")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - TARGETS.keys():
        parser.error(f"nobody said how to test {', '.join(sorted(unknown))}")
    WORK.mkdir(parents=True, exist_ok=True)
    laboratory, memory = Laboratory(), Memory(afresh=arguments.afresh)
    scores = [hunt(name, laboratory, memory) for name in arguments.names or TARGETS]
    _progress("")
    print(*scores, sep="\n")
    return any(score.survivors for score in scores)


if __name__ == "__main__":
    sys.exit(main())
