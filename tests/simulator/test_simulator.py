"""
Runs of the simulator: many seeds in which nothing may go wrong, and broken parts with which something must.

A failure names its seed, and prints the command that runs it again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.simulator.broken import CONTROLS
from tests.simulator.loop import Stuck, VirtualLoop
from tests.simulator.simulation import Parts, Result, simulate

ROOT = Path(__file__).parents[2]

SEEDS = 500
IN_ONE_TEST = 50


def complaint(result: Result) -> str:
    """What went wrong, what happened before, and the command that shows it again."""
    again = f"python -m tests.simulator --seed {result.seed} --steps {result.steps} --trace"
    return "\n".join([*result.trace[-20:], f"{result.violation}", f"replay: {again}"])


@pytest.mark.parametrize("first", range(0, SEEDS, IN_ONE_TEST))
def test_nothing_goes_wrong(first: int) -> None:
    """
    Whatever fails, the books are right and no answer is wrong; once it fails no more, everything is resolved.

    The run comes across all of it: deaths, ambiguous commits, late settles, advances, conflicts, shared commits.
    """
    seen: Counter[str] = Counter()
    for seed in range(first, first + IN_ONE_TEST):
        result = simulate(seed)
        assert result.violation is None, complaint(result)
        seen += result.seen

    rare = {"kills", "clock steps", "shared commits", "row ADVANCE", "row EXPIRE", "row LAPSE", "row REPAY"}
    assert set() == (rare | {"row FREEZE", "row UNFREEZE", "row REVERSE"}) - {*seen}
    assert {"hold IndeterminateError", "hold LedgerBusyError", "hold Killed", "hold Left"} <= {*seen}


@pytest.mark.parametrize("name", CONTROLS)
def test_what_is_broken_is_noticed(name: str) -> None:
    """The control: with a broken part something goes wrong within a stated number of seeds."""
    parts, seeds = CONTROLS[name]

    assert any(simulate(seed, parts=parts).violation for seed in range(seeds))


def test_a_seed_says_it_all() -> None:
    """One seed has one trace, to the byte, in whatever process and after whatever else it is run."""
    command = [sys.executable, "-m", "tests.simulator", "--seed", "7", "--trace"]
    hashing = [os.environ | {"PYTHONHASHSEED": seed} for seed in ("1", "2")]
    told = [subprocess.run(command, cwd=ROOT, env=env, capture_output=True, check=True) for env in hashing]
    traces = [run.stdout.decode().rpartition("all is well")[0] for run in told]

    simulate(8)
    here = "\n".join(simulate(7).trace)

    assert traces[0]
    assert traces[0] == traces[1] == here.rpartition("all is well")[0]


def test_a_violation_is_reported_with_its_seed() -> None:
    """Whoever reads a failure has the command that shows it again."""
    result = simulate(0, parts=CONTROLS["acknowledges before it commits"][0])

    assert "nothing of it is committed" in complaint(result)
    assert "--seed 0 --steps 40 --trace" in complaint(result)


def test_seeds_differ() -> None:
    """Another seed is another run."""
    assert simulate(1, steps=5).trace != simulate(2, steps=5).trace


def test_parts_are_sound_unless_said() -> None:
    """A run without broken parts is the one with the sound ones."""
    assert simulate(3, steps=5).trace == simulate(3, steps=5, parts=Parts()).trace


def test_waiting_for_nothing_is_noticed() -> None:
    """Somebody who waits for what never comes does not wait for ever."""
    from random import Random

    loop = VirtualLoop(Random(0))

    async def wait() -> None:
        await loop.create_future()

    with pytest.raises(Stuck, match="never comes"):
        loop.run(wait(), until=10, turns=10)
