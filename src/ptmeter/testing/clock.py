"""A clock that stands still until it is turned."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Clock:
    """Pass it as ``clock=`` to a store or to `Meter.open`, and `turn` it; it may go back, as clocks do."""

    def __init__(self, start: datetime = NOON) -> None:
        self._now = start

    def __call__(self) -> datetime:
        """Return what it shows."""
        return self._now

    def turn(self, by: timedelta) -> datetime:
        """Move the clock and return what it shows."""
        self._now += by
        return self._now
