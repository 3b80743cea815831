"""What settled calls taught, in memory."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from ..domain.calibration import Habits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..domain.calibration import Topic


class MemoryCalibrations:
    """What settled calls taught, inside one transaction on memory: as text, which nobody changes in place."""

    def __init__(self, kept: dict[Topic, str]) -> None:
        self._kept = kept

    def lock(self, topics: Sequence[Topic]) -> dict[Topic, Habits]:
        """See `ports.Calibrations.lock`; the transaction holds the only lock there is."""
        known = {topic: self._kept.get(topic) for topic in topics}
        return {topic: Habits.from_json(text) if text else Habits() for topic, text in known.items()}

    def write(self, habits: Mapping[Topic, Habits]) -> None:
        """See `ports.Calibrations.write`."""
        for topic, each in habits.items():
            self._kept.pop(topic, None)
            self._kept[topic] = each.as_json()

    def read(self, limit: int = 1_000) -> dict[Topic, Habits]:
        """See `ports.Calibrations.read`; what changed last was put in last."""
        latest = islice(reversed(self._kept.items()), limit)
        return {topic: Habits.from_json(text) for topic, text in latest}
