"""What this process has learnt from settled calls, shared by its threads, and what of it is not kept yet."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final

from .domain.calibration import Calibration
from .domain.usage import Quality

if TYPE_CHECKING:
    from .domain.calibration import Bound
    from .domain.receipts import Receipt
    from .domain.sketches import Quantile

KEEP_EVERY: Final = 100
"""Settled calls after which what they taught is written to the database. A crash forgets so many at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """
    What a call like those settled before is likely to take, and stays within; ``None`` where too little is known.

    ``…_at_most`` is the most that calls of its route took, and 0 if none is known; ``…_within`` is by the
    quantile that was asked for.
    """

    input: Bound | None = None
    output: Bound | None = None
    input_at_most: int = 0
    output_at_most: int = 0
    input_within: Bound | None = None
    output_within: Bound | None = None


class Learning:
    """
    What is known of calls, here and by what the database keeps, and what was learnt since that was written.

    May be shared between threads.
    """

    def __init__(self, known: Calibration | None = None) -> None:
        """Begin with what is *known*, or with nothing."""
        self._known = known or Calibration()
        self._fresh = Calibration()
        self._due = KEEP_EVERY
        self._turn = Lock()

    @property
    def is_due(self) -> bool:
        """Whether so much was learnt that it is to be kept in the database."""
        return self._fresh.calls >= self._due

    def learn(self, receipt: Receipt) -> None:
        """
        Take note of what a call took, if it was estimated before and the provider has said.

        A receipt that was replayed has taught us already, and a count of our own teaches nothing.
        """
        estimate, usage = receipt.estimate, receipt.usage
        if estimate is None or usage is None or receipt.replayed or usage.quality is not Quality.EXACT:
            return
        with self._turn:
            for calibration in (self._known, self._fresh):
                calibration.learn(
                    estimate.model,
                    estimate.route,
                    counted=estimate.counted,
                    used=usage.input_total,
                    answered=usage.output_total,
                )

    def outlook(self, model: str, route: str, counted: int, quantile: Quantile | None) -> Outlook:
        """What a call of *counted* input tokens is likely to take, and what *quantile* of them stay within."""
        with self._turn:
            known = self._known.calls_like(model, route, counted)
            return Outlook(
                input=known.likely_input(),
                output=known.likely_output(),
                input_at_most=known.input_at_most(),
                output_at_most=known.output_at_most(),
                input_within=quantile and known.input_within(quantile),
                output_within=quantile and known.output_within(quantile),
            )

    def take_fresh(self) -> Calibration:
        """What was learnt since the last time, to be kept; `give_back` what could not be."""
        with self._turn:
            fresh, self._fresh, self._due = self._fresh, Calibration(), KEEP_EVERY
            return fresh

    def give_back(self, fresh: Calibration) -> None:
        """Take back what could not be kept; it is due again after as many calls as ever."""
        with self._turn:
            fresh.merge(self._fresh)
            self._fresh = fresh
            self._due = fresh.calls + KEEP_EVERY

    def take_in(self, kept: Calibration) -> None:
        """
        Know what the database keeps, of this process and all others, and what was learnt since.

        *kept* belongs to this object from now on.
        """
        with self._turn:
            for topic, habits in self._fresh.habits.items():
                if topic in kept.habits:
                    kept.habits[topic].merge(habits)
            self._known.habits |= kept.habits
