"""Windows of time follow from an anchor, a zone and the time, and leave no gap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptmeter.domain.windows import Every, window

BERLIN = ZoneInfo("Europe/Berlin")
TIMES = st.integers(20 * 365, 90 * 365 * 86_400).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))


@given(TIMES, TIMES, st.sampled_from(Every), st.sampled_from([UTC, BERLIN, ZoneInfo("Asia/Kathmandu")]))
def test_every_moment_is_in_one_window(
    at: datetime, anchor: datetime, every: Every, zone: ZoneInfo
) -> None:
    """A window holds its moment, and the next one begins where it ends."""
    found = window(at, every=every, anchor=anchor, zone=zone)

    assert found.start <= at < found.end
    assert found.end == window(found.end, every=every, anchor=anchor, zone=zone).start
    tick = timedelta(microseconds=1)
    assert found.start == window(found.start - tick, every=every, anchor=anchor, zone=zone).end


@given(TIMES, st.sampled_from(Every))
def test_a_window_begins_at_its_anchor(anchor: datetime, every: Every) -> None:
    """The anchor itself is the beginning of a window."""
    assert anchor == window(anchor, every=every, anchor=anchor).start


@pytest.mark.parametrize(
    ("at", "start", "end"),
    [
        ("2026-02-10", "2026-01-31", "2026-02-28"),
        ("2026-02-28", "2026-02-28", "2026-03-31"),
        ("2025-12-01", "2025-11-30", "2025-12-31"),
    ],
)
def test_a_short_month_takes_its_last_day(at: str, start: str, end: str) -> None:
    """Anchored on the 31st, a month's window begins on the last day where there is no 31st, and only there."""
    anchor = datetime(2026, 1, 31, tzinfo=UTC)
    found = window(datetime.fromisoformat(f"{at}T00:00Z"), every=Every.MONTH, anchor=anchor)

    assert [start, end] == [f"{each:%Y-%m-%d}" for each in found]


def test_midnight_is_that_of_the_zone() -> None:
    """A day in Berlin has 23 hours when summer time begins, and both ends are midnight there."""
    anchor = datetime(2026, 1, 1, tzinfo=BERLIN)
    found = window(datetime(2026, 3, 29, 12, tzinfo=BERLIN), every=Every.DAY, anchor=anchor, zone=BERLIN)

    assert timedelta(hours=23) == found.end - found.start
    assert [0, 0] == [each.astimezone(BERLIN).hour for each in found]
