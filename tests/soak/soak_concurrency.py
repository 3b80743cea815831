"""Many races for a hold, and many recorded histories, on every database in both colours."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from tests import history, races
from tests.integration.wiring import SQL_DRIVERS, in_a_thread, params, servers, through

from ptmeter.domain.ledger import Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.backends import Backend, Driver

    from ptmeter.testing import Clock

AT_ONCE = 1_000
"""Operations of one history: the model counts everything anew, so it takes the square of their number."""


@pytest.mark.parametrize("driver", params(SQL_DRIVERS))
def soak_races_for_a_hold(
    driver: Driver,
    rounds: int,
    backend_of: Callable[[str], Backend],
    clock: Clock,
    say: Callable[[str], None],
) -> None:
    """In thousands of races each hold ends once, and everybody is told so; the drivers share the rounds."""
    url = through(driver, backend_of(driver.backend).empty())
    mine = -(-rounds // len(SQL_DRIVERS))

    raced = in_a_thread(lambda: races.run(url, clock, rounds=mine, asynchronous=driver.asynchronous))

    won = races.check(url, raced)
    say(f"{won.total()} races, won by { ({kind.name: won[kind] for kind in sorted(won)}) }")
    assert mine == won.total()
    assert {Kind.SETTLE, Kind.VOID, Kind.EXPIRE} == {*won}


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def soak_histories(
    name: str, operations: int, backend_of: Callable[[str], Backend], say: Callable[[str], None]
) -> None:
    """Callers in threads and tasks are told what the naive ledger says; the databases share the operations."""
    url, seen = backend_of(name).empty(), Counter[str]()
    for number in range(max(1, operations // 3 // AT_ONCE)):
        recorded = history.record(url, prefix=f"h{number}", operations=AT_ONCE, threads=3, tasks=3)
        seen += history.check(recorded)

    say(str(dict(seen)))
    assert {"changes", "refusals", "replays"} == {*seen}
