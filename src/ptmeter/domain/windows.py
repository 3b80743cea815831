"""
Windows of time: days, weeks, months and years that begin at an anchor, by the clock on somebody's wall.

A window is a function of anchor, zone and time. There is no job that resets anything at midnight: who asks
what was used this month asks for the window that holds now, and sums what lies in it.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import NamedTuple


class Every(StrEnum):
    """How long a window is."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class Window(NamedTuple):
    """A stretch of time, from *start* up to and without *end*, in UTC."""

    start: datetime
    end: datetime


def window(at: datetime, *, every: Every, anchor: datetime, zone: tzinfo = UTC) -> Window:
    """
    The window that holds *at*; one begins at *anchor*, and the others follow on either side.

    They begin at the same time by the clock in *zone*, summer and winter. Where a month has no such day it is
    its last one: anchored on the 31st, windows begin on the 28th of February and on the 31st of March.
    """
    local, first = at.astimezone(zone), anchor.astimezone(zone)
    match every:
        case Every.DAY:
            number = (local.date() - first.date()).days
        case Every.WEEK:
            number = (local.date() - first.date()).days // 7
        case Every.MONTH:
            number = 12 * (local.year - first.year) + local.month - first.month
        case Every.YEAR:
            number = local.year - first.year
    while _start(number, every, first, zone) > at:
        number -= 1
    while _start(number + 1, every, first, zone) <= at:
        number += 1
    return Window(_start(number, every, first, zone), _start(number + 1, every, first, zone))


def _start(number: int, every: Every, first: datetime, zone: tzinfo) -> datetime:
    """When the window of that number begins: so many days or months after the first, by the wall's clock."""
    wall = first.replace(tzinfo=None)
    if every in {Every.DAY, Every.WEEK}:
        wall += timedelta(days=number * (7 if every is Every.WEEK else 1))
    else:
        months = wall.month - 1 + number * (12 if every is Every.YEAR else 1)
        year, month = wall.year + months // 12, months % 12 + 1
        wall = wall.replace(year=year, month=month, day=min(wall.day, monthrange(year, month)[1]))
    return wall.replace(tzinfo=zone).astimezone(UTC)
