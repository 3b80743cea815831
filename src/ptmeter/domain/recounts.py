"""A tally counted into the windows that hold now, from what was used."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from .accounts import calendar
from .instants import microseconds
from .tallies import Used
from .windows import Every, window

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from .accounts import Path
    from .tallies import Tally


def windows_from(path: Path, at: datetime) -> datetime:
    """When the first of the windows began that hold now for the first account on *path*."""
    anchor, zone = calendar(path)
    return min(window(at, every=every, anchor=anchor, zone=zone).start for every in Every)


def recounted(path: Path, uses: Iterable[tuple[str, int, datetime]], at: datetime) -> Tally:
    """The tally of the first account on *path*, with what was used, of which unit and when, in its windows now."""
    anchor, zone = calendar(path)
    windows = {every: window(at, every=every, anchor=anchor, zone=zone) for every in Every}
    amounts: Counter[tuple[str, Every]] = Counter()
    units = {used.unit for used in path[0].tally.used}
    for unit, amount, when in uses:
        units.add(unit)
        for every, (start, end) in windows.items():
            if start <= when < end:
                amounts[unit, every] += amount
    used = tuple(
        Used(unit, every, microseconds(start), microseconds(end), amounts[unit, every])
        for unit in sorted(units)
        for every, (start, end) in windows.items()
    )
    return replace(path[0].tally, used=used)
