"""Jobs: what is to be done now and then, by whichever worker gets to it first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from .inbox import Subject, SubjectKind

LEASE: Final = timedelta(minutes=10)
"""How long a job that was taken is nobody else's: longer than one takes."""

SECOND: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do, and how often. Each is safe to do twice: a lease only saves the work."""

    name: str
    every: timedelta

    @property
    def subject(self) -> Subject:
        """What stands for it in line."""
        return Subject(SubjectKind.JOB, self.name)


@dataclass(frozen=True, slots=True)
class Round:
    """What a worker did in one round: subjects looked up, messages handed over, jobs done, and jobs that failed."""

    looked_up: int = 0
    delivered: int = 0
    done: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()

    @property
    def busy(self) -> bool:
        """Whether there may be more of the same."""
        return bool(self.looked_up or self.delivered)
