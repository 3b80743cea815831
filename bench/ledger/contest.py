"""What a contestant is, what it says about itself, and taking turns."""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from .callers import Timing


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a reader must know of a figure before he compares it with another."""

    backend: str
    durability: str
    callers: int
    processes: int = 1
    wallets: int = 1
    checks: str = "on"
    """Who makes sure that nobody spends what is not there: ``on``, ``CHECK only`` or ``none``."""


class Course(NamedTuple):
    """A contestant's database, set up: run for so many seconds; say at the end what is wrong."""

    run: Callable[[float], Timing]
    verify: Callable[[], str]
    """An empty text if all adds up."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One way to post, by name."""

    name: str
    about: About
    open: Callable[[], AbstractContextManager[Course]]


@dataclass(slots=True)
class Standing:
    """What was measured of a contestant so far."""

    contestant: Contestant
    timings: list[Timing] = field(default_factory=list)
    fsyncs: list[float] = field(default_factory=list)
    problem: str = ""
    skipped: str = ""

    @property
    def rates(self) -> list[float]:
        """Commands per second, round by round."""
        return [timing.rate for timing in self.timings]

    @property
    def rate(self) -> float:
        """The median round's commands per second."""
        return statistics.median(self.rates) if self.timings else 0.0

    def quantile(self, q: float, step: int | None = None) -> float:
        """The latency in seconds below which the share *q* of commands lies; the median over rounds."""
        found = [timing.quantile(q, step) for timing in self.timings]
        return statistics.median(found) if found else 0.0

    @property
    def batch(self) -> float | None:
        """How many commands a commit carried on average, if somebody counted."""
        commits = sum(timing.commits for timing in self.timings)
        return sum(timing.commands for timing in self.timings) / commits if commits else None

    @property
    def fsync(self) -> float:
        """The median over rounds of a write's fdatasync, in seconds, just before each."""
        return statistics.median(self.fsyncs) if self.fsyncs else 0.0


class Unavailable(Exception):  # noqa: N818 - a reason to skip, not an error
    """Why a contestant cannot run here."""


def compete(
    contestants: Sequence[Contestant],
    *,
    rounds: int,
    seconds: float,
    fsync: Callable[[], float],
    told: Callable[[str], None],
) -> list[Standing]:
    """Let *contestants* take turns for *rounds* rounds of *seconds* each, then verify every one."""
    standings = [Standing(contestant) for contestant in contestants]
    with ExitStack() as stack:
        courses: list[tuple[Standing, Course]] = []
        for standing in standings:
            told(f"setting up {standing.contestant.name}")
            try:
                courses.append((standing, stack.enter_context(standing.contestant.open())))
            except Unavailable as reason:
                standing.skipped = str(reason)
            except Exception as error:  # noqa: BLE001 - it stands in the table, in red
                standing.problem = f"failed: {error!r}"
        for turn in range(1, rounds + 1):
            for standing, course in courses:
                told(f"round {turn} of {rounds}: {standing.contestant.name}")
                standing.fsyncs.append(fsync())
                try:
                    standing.timings.append(course.run(seconds))
                except Exception as error:  # noqa: BLE001 - it stands in the table, in red
                    standing.problem = f"failed: {error!r}"
        for standing, course in courses:
            told(f"verifying {standing.contestant.name}")
            try:
                standing.problem = standing.problem or course.verify()
            except Exception as error:  # noqa: BLE001 - as above
                standing.problem = f"not verified: {error!r}"
    return standings
