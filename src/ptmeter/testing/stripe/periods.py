"""Billing periods: where one that is anchored somewhere ends, and what share of it is left."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta

DAYS = {"day": 1, "week": 7}
MONTHS = {"month": 1, "year": 12}


def end(anchor: int, start: int, interval: str, count: int) -> int:
    """
    Return when the period that begins at *start* ends, in Unix seconds.

    Months are counted from the *anchor*, so that the 31st comes back after a shorter month.
    """
    if interval in DAYS:
        length = int(timedelta(days=DAYS[interval] * count).total_seconds())
        return anchor + ((start - anchor) // length + 1) * length
    step = MONTHS[interval] * count
    first, at = datetime.fromtimestamp(anchor, UTC), datetime.fromtimestamp(start, UTC)
    passed = (at.year - first.year) * 12 + at.month - first.month
    months = max(passed // step, 0) * step
    while (reached := _later(first, months)) <= at:
        months += step
    return int(reached.timestamp())


def _later(moment: datetime, months: int) -> datetime:
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))


def share(amount: int, *, start: int, end: int, at: int) -> int:
    """Return what of *amount* falls on the time from *at* to the end of a period, rounded half up."""
    whole, left = end - start, max(min(end - at, end - start), 0)
    return (2 * amount * left + whole) // (2 * whole) if whole else 0
