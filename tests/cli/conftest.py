"""Fixtures of the command's tests: a way to run it in this process, and a ledger to run it on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from ptmeter import Meter
from ptmeter.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Result:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document on stdout."""
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The problem on stderr, as a script reads it: the last line, after whatever was reported before."""
        return json.loads(self.err.splitlines()[-1])["error"]


class Run(Protocol):
    """Runs ``ptmeter`` with these arguments."""

    def __call__(self, *arguments: str) -> Result: ...


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of whoever runs the tests has a say in them."""
    for name in ("PTMETER_DB", "PTMETER_CHAIN_KEY", "PTMETER_DURABILITY", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def ptmeter(*arguments: str) -> Result:
        capsys.readouterr()
        code = main(arguments)
        written = capsys.readouterr()
        return Result(code, written.out, written.err)

    return ptmeter


@pytest.fixture
def db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of a file that is not there yet; PTMETER_DB names it."""
    url = f"sqlite:///{tmp_path / 'pt.db'}"
    monkeypatch.setenv("PTMETER_DB", url)
    return url


@pytest.fixture
def meter(db: str) -> Iterator[Meter]:
    """The ledger behind ``db``, in which acme has 100 core PT and 5 advanced."""
    with Meter.open(db) as opened:
        opened.funds.grant("acme", core=100, advanced=5, source="trial", key="trial:acme")
        yield opened
