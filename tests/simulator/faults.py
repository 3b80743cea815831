"""What goes wrong in a run, and how often: drawn anew for each seed, some of it not at all and some of it much."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import timedelta
from typing import TYPE_CHECKING

from ptmeter import Policy

if TYPE_CHECKING:
    from random import Random


@dataclass(slots=True, kw_only=True)
class Faults:
    """Chances from 0 to 1, unless they say so; `stop` ends them all."""

    slow: float = 0
    """That a leg of a transaction takes ``pause`` seconds in the mean, instead of ``latency``."""
    unreachable: float = 0
    """That there is no connection to be had."""
    aborted: float = 0
    """That the database gives a transaction up, before or after its statements."""
    unsent: float = 0
    """That COMMIT never arrives."""
    unanswered: float = 0
    """That COMMIT takes effect, and nobody hears of it."""
    kills: float = 0
    """Processes killed in the whole run."""
    steps: float = 0
    """Steps of the database's clock by an hour, to and fro, in the whole run."""
    leavings: float = 0
    """That a caller leaves before the answer."""
    desertions: float = 0
    """That a caller does not ask again what became of an ambiguous request, until all is calm."""
    repeats: float = 0
    """That a request is sent more than once."""
    contradictions: float = 0
    """That a key is used for something else."""
    latency: float = 0.002
    """Seconds that a leg takes in the mean."""
    pause: float = 1.0
    """Seconds that a slow leg takes in the mean."""

    def stop(self) -> None:
        """From now on the database answers, quickly, and nobody is killed."""
        for field in fields(self):
            if field.name not in {"latency", "pause"}:
                setattr(self, field.name, 0.0)
        self.latency = 0.002

    def __str__(self) -> str:
        shown = {field.name: getattr(self, field.name) for field in fields(self)}
        return ", ".join(f"{name} {value:.2g}" for name, value in shown.items() if value)


def draw_faults(random: Random) -> Faults:
    """One run's faults."""

    def some(most: float, least: float = 0.01) -> float:
        return random.choice((0.0, least * (most / least) ** random.random()))

    return Faults(
        slow=some(0.3),
        unreachable=some(0.2),
        aborted=some(0.6),
        unsent=some(0.3),
        unanswered=some(0.3),
        kills=some(30, 1),
        steps=some(20, 1),
        leavings=some(0.3),
        desertions=some(0.5),
        repeats=some(0.4),
        contradictions=some(0.3),
        latency=random.choice((0.0, 0.002, 0.05)),
        pause=random.choice((0.5, 5.0, 60.0)),
    )


def draw_policy(random: Random) -> Policy:
    """What the platform of one run has decided: small batches, short queues, little patience, or the usual."""
    return Policy(
        hold_ttl=timedelta(seconds=random.choice((2, 30, 900))),
        attempts=random.choice((1, 3, 12)),
        patience=timedelta(seconds=random.choice((1, 5, 30))),
        queue=random.choice((2, 10, 10_000)),
        batch=random.choice((1, 2, 500)),
        lanes=random.choice((1, 2, 3)),
        chain_key=random.choice((b"", b"simulated")),
    )
