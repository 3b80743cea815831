"""Options and fixtures of the soak tests; what they found is printed at the end, whether or not they passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.soak.fleet import Clients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_said: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cycles", type=int, default=45, help="crashes of each kind of server, in all")
    parser.addoption("--failovers", type=int, default=4, help="promotions of a standby")
    parser.addoption("--rounds", type=int, default=10_000, help="races for one hold")
    parser.addoption("--operations", type=int, default=20_000, help="operations in a recorded history")


def number(request: pytest.FixtureRequest, option: str) -> int:
    given = request.config.getoption(option)
    assert isinstance(given, int)
    return given


@pytest.fixture
def cycles(request: pytest.FixtureRequest) -> int:
    return number(request, "--cycles")


@pytest.fixture
def failovers(request: pytest.FixtureRequest) -> int:
    return number(request, "--failovers")


@pytest.fixture
def rounds(request: pytest.FixtureRequest) -> int:
    return number(request, "--rounds")


@pytest.fixture
def operations(request: pytest.FixtureRequest) -> int:
    return number(request, "--operations")


@pytest.fixture
def say(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Report a figure at the end of the run."""
    return lambda what: _said.append(f"{request.node.name}: {what}")


@pytest.fixture
def clients(tmp_path: Path) -> Iterator[Clients]:
    """Client processes, which end with the test."""
    fleet = Clients(tmp_path)
    yield fleet
    fleet.kill()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _said:
        terminalreporter.section("what the soak found")
    for line in _said:
        terminalreporter.line(line)
