"""
Processes that are killed at any moment: what was acknowledged is there, the rest is done wholly or not at all.

A worker holds and settles in three threads and notes each answer in a file; then it gets SIGKILL. (The database
stays up: what it keeps through a crash of its own is its business, which is why its settings are checked.)
"""

from __future__ import annotations

from random import Random
from time import sleep
from typing import TYPE_CHECKING

import pytest
from tests.integration import jobs
from tests.integration.fleet import Fleet
from tests.integration.wiring import clean, meter_on, query, servers

from ptmeter import PT
from ptmeter.domain.keys import transfer_id
from ptmeter.storage.rows import id_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.backends import Backend

FUNDS = 1_000_000
WORKERS = 1


@pytest.fixture
def doomed() -> Iterator[Fleet]:
    """A process that will not see the end."""
    fleet = Fleet(WORKERS)
    yield fleet
    fleet.stop()


def acknowledged_until_killed(fleet: Fleet, url: str, log: Path, *, too_early: bool = False) -> list[str]:
    """Let the worker begin, kill it in the middle of something, and return what it had noted."""
    with meter_on(url) as meter:
        meter.funds.grant("acme", source="test", key="g", core=FUNDS)
    orders = [(jobs.call_until_killed, url, str(log), f"{log.name}{n}", too_early) for n in range(WORKERS)]
    fleet.send(orders)
    while not log.exists() or log.stat().st_size < 600:
        sleep(0.01)
    sleep(Random(f"{url} {log.name}").random() / 5)
    fleet.stop()
    return log.read_text().splitlines()


def lost(url: str, notes: list[str]) -> list[str]:
    """What was acknowledged and is not on the journal."""
    verbs = {"held": "hold", "settled": "settle"}
    there = {id_from(name) for (name,) in query(url, "SELECT transfer_id FROM ptm_transfer")}
    said = [(note, *note.split(" ")) for note in notes]
    return [note for note, verb, key in said if transfer_id("acme", verbs[verb], key) not in there]


@pytest.mark.slow
@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_what_was_acknowledged_survives_the_process(
    name: str, backend_of: Callable[[str], Backend], doomed: Fleet, tmp_path: Path
) -> None:
    """Nothing acknowledged is lost, nothing is half done, and what was under way ends well when asked again."""
    url = backend_of(name).empty()

    notes = acknowledged_until_killed(doomed, url, tmp_path / "notes")

    assert [] == lost(url, notes)
    assert clean(url)
    keys = {note.split(" ")[1] for note in notes}
    with meter_on(url) as meter:
        for key in sorted(keys):
            placed = meter.hold("acme", key=key, core=2)
            meter.settle(placed, key=key, core=1)
        core, (left,) = meter.balance("acme").core, query(url, "SELECT count(*) FROM ptm_open_hold")[0]
    assert PT.of(len(keys)) == core.spent
    assert left <= 3 * WORKERS  # holds that were placed and never acknowledged: one for each thread at most
    assert PT.of(2 * left) == core.held
    assert clean(url)


@pytest.mark.slow
@pytest.mark.sqlite
def test_acknowledging_too_early_is_noticed(sqlite_url: str, tmp_path: Path) -> None:
    """The control: a worker that says so before it has done it loses some of what it said, sooner or later."""

    def loses(turn: int) -> bool:
        fleet = Fleet(WORKERS)
        try:
            notes = acknowledged_until_killed(fleet, sqlite_url, tmp_path / f"notes{turn}", too_early=True)
        finally:
            fleet.stop()
        return bool(lost(sqlite_url, notes))

    assert any(loses(turn) for turn in range(10))
