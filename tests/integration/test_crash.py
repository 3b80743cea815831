"""
Processes that are killed at any moment: what was acknowledged is there, the rest is done wholly or not at all.

Two workers hold and settle and note each answer in a file; then both get SIGKILL. (The database stays up: what
it keeps through a crash of its own is its business, which is why its settings are checked.)
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from time import sleep
from typing import TYPE_CHECKING

import pytest
from tests.integration import jobs
from tests.integration.fleet import Fleet
from tests.integration.wiring import meter_on, servers

from ptmeter import PT, HoldNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.backends import Backend

FUNDS = 1_000_000
WORKERS = 2


@pytest.fixture
def doomed() -> Iterator[Fleet]:
    """Two processes that will not see the end."""
    fleet = Fleet(WORKERS)
    yield fleet
    fleet.stop()


def acknowledged_until_killed(fleet: Fleet, url: str, log: Path, *, too_early: bool = False) -> list[str]:
    """Let the workers begin, kill them in the middle of something, and return what they had noted."""
    with meter_on(url) as meter:
        meter.funds.grant("acme", source="test", key="g", core=FUNDS)
    orders = [(jobs.call_until_killed, url, str(log), f"w{n}", too_early) for n in range(WORKERS)]
    fleet.send(orders)
    while not log.exists() or log.stat().st_size < 1_000:
        sleep(0.01)
    sleep(Random(url).random() / 5)
    fleet.stop()
    return log.read_text().splitlines()


def lost(url: str, notes: list[str]) -> list[str]:
    """What was acknowledged and is not there."""
    missing: list[str] = []
    with meter_on(url) as meter:
        found = {entry.id for entry in entries(meter)}
        for note in notes:
            verb, _, key = note.partition(" ")
            try:
                hold = meter.find_hold("acme", key=key)
            except HoldNotFoundError:
                missing.append(note)
                continue
            if verb == "settled" and not meter.settle(hold, key=key, core=1).replayed:
                missing.append(note)
        assert found
    return missing
