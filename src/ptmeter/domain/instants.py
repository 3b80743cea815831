"""Times as whole microseconds since 1970 in UTC, exactly: what is hashed, stored and counted by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 in UTC, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(microseconds: int) -> datetime:
    """The aware UTC time that many microseconds after 1970."""
    return _EPOCH + timedelta(microseconds=microseconds)


def long_before(at: datetime, by: timedelta) -> datetime:
    """So much earlier than *at*, or the first moment that there is."""
    try:
        return at - by
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
