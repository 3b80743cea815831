"""
Accounting months: which there are, how one is closed, and the hash that seals it.

A row belongs to the month it was booked in. Within a wallet booking times only grow, so a month is a range
of row numbers without holes, and closing it needs no more than a look at where it ends. Months are closed in
order, from the first on; what is known only later is booked now, with its own date as ``effective_at``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import MAXYEAR, UTC, datetime, timedelta
from enum import IntEnum
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from ..errors import (
    ApprovalMissingError,
    InvalidArgumentError,
    PeriodNotOverError,
    PeriodNotSealedError,
    PeriodOrderError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .closings import Closing

VERSION: Final = 1
"""The encoding's version: the first byte of what is hashed, and of the hash."""

SIZE: Final = 33
"""Bytes of a period's hash: the version and BLAKE2b-256."""

FIRST_YEAR: Final = 1970
"""Times are counted from here."""

_MONTH: Final = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")
_TICK: Final = timedelta(microseconds=1)


class PeriodState(IntEnum):
    """How far the close of a period has come."""

    OPEN = 0
    """Not begun."""
    CLOSING = 1
    """Its wallets are being recorded, while new rows go into the next period."""
    SEALED = 2
    """Every wallet is recorded, and the hash over all of them is known."""
    REOPENED = 3
    """The seal was withdrawn; closing it again records every wallet anew."""


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of time, from *start* up to and without *end*, in UTC."""

    name: str
    start: datetime
    end: datetime

    @property
    def last(self) -> datetime:
        """The last microsecond of it: no wallet that is closed has booked later, or books earlier."""
        return self.end - _TICK


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodEvent:
    """
    One thing that happened to a period: its close began, it was sealed, it was reopened.

    ``number`` counts the period's events from 1. ``wallets`` and ``hash`` are those of a seal.
    """

    period: Period
    number: int
    state: PeriodState
    at: datetime
    by: str
    approved_by: str = ""
    reason: str = ""
    wallets: int = 0
    hash: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodReport:
    """
    How a period stands, and how it came to.

    ``revision`` counts how often its close was begun. ``hash`` is the seal's, in hexadecimal: publish it, and
    nobody can change the month unnoticed. ``wallets`` is how many it covers. Both are empty unless sealed.
    """

    name: str
    start: datetime
    end: datetime
    state: PeriodState
    revision: int
    wallets: int
    hash: str
    history: tuple[PeriodEvent, ...]

    def __str__(self) -> str:
        if self.state is PeriodState.SEALED:
            return f"{self.name} is sealed: {self.wallets:,} wallets, {self.hash}"
        return f"{self.name} is {self.state.name.lower()}"


# --- months -----------------------------------------------------------------------------------


def month(name: str) -> Period:
    """
    The month of that name, such as ``2026-08``.

    Raises:
        InvalidArgumentError: It is no name of a month.
    """
    found = _MONTH.fullmatch(name)
    if found is None or not FIRST_YEAR <= int(found[1]) < MAXYEAR:
        msg = f"{name!r} is no month: write 2026-08"
        raise InvalidArgumentError(msg)
    return month_of(datetime(int(found[1]), int(found[2]), 1, tzinfo=UTC))


def month_of(at: datetime) -> Period:
    """The month in which *at* lies."""
    start = at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = (start + timedelta(days=31)).replace(day=1)
    return Period(f"{start.year:04}-{start.month:02}", start, end)


def following(period: Period) -> Period:
    """The month after *period*."""
    return month_of(period.end)


def booked_until(booked_at: datetime, closed_until: datetime | None) -> datetime:
    """A wallet's booking time: its last row's, or the last moment of what is closed if that is later."""
    return booked_at if closed_until is None else max(booked_at, closed_until - _TICK)


# --- how periods stand ------------------------------------------------------------------------


def report(period: Period, events: Iterable[PeriodEvent]) -> PeriodReport:
    """How *period* stands after *events*, of which those of other periods do not count."""
    history = tuple(sorted((e for e in events if e.period == period), key=lambda event: event.number))
    state = history[-1].state if history else PeriodState.OPEN
    sealed = state is PeriodState.SEALED
    return PeriodReport(
        name=period.name,
        start=period.start,
        end=period.end,
        state=state,
        revision=sum(event.state is PeriodState.CLOSING for event in history),
        wallets=history[-1].wallets if sealed else 0,
        hash=history[-1].hash.hex() if sealed else "",
        history=history,
    )


def reports(events: Sequence[PeriodEvent]) -> tuple[PeriodReport, ...]:
    """How all periods stand to which anything happened, in order."""
    periods = sorted(
        {event.period for event in events}, key=lambda period: (period.end, period.start, period.name)
    )
    return tuple(report(period, events) for period in periods)


def sealed_before(period: Period, events: Sequence[PeriodEvent]) -> PeriodReport | None:
    """The last sealed period before *period*."""
    found = [r for r in reports(events) if r.state is PeriodState.SEALED and r.end <= period.start]
    return found[-1] if found else None


def check_close(
    period: Period, events: Sequence[PeriodEvent], *, begun: datetime | None, now: datetime
) -> None:
    """
    Make sure that the close of *period* may begin, or go on.

    *begun* is when the ledger's first account was opened; without one, the first month is that of *now*.

    Raises:
        PeriodNotOverError: It is not over.
        PeriodOrderError: Another is to be closed first.
    """
    if now < period.end:
        raise PeriodNotOverError(period.name, period.end.isoformat())
    known = reports(events)
    unsealed = [each.name for each in known if each.state is not PeriodState.SEALED]
    if unsealed:
        first = unsealed[0]
    elif known:
        first = month_of(known[-1].end).name
    else:
        first = month_of(begun or now).name
    if period.name != first:
        raise PeriodOrderError(period.name, first)


def check_reopen(
    period: Period, events: Sequence[PeriodEvent], *, reason: str, by: str, approved_by: str
) -> None:
    """
    Make sure that the seal of *period* may be withdrawn.

    Raises:
        InvalidArgumentError: No reason is given, or nobody.
        ApprovalMissingError: Nobody else approved it.
        PeriodNotSealedError: There is no seal to withdraw.
        PeriodOrderError: A later period stands on this one.
    """
    check_person(by)
    check_person(approved_by)
    if not reason.strip():
        msg = "say why the period is reopened: it stays on record"
        raise InvalidArgumentError(msg)
    if _same_person(by, approved_by):
        raise ApprovalMissingError(by)
    require_sealed(period, events)
    later = [r for r in reports(events) if r.start >= period.end and r.state is not PeriodState.REOPENED]
    if later:
        raise PeriodOrderError(period.name, later[-1].name)


def require_sealed(period: Period, events: Iterable[PeriodEvent]) -> PeriodReport:
    """
    How *period* stands, if it is sealed.

    Raises:
        PeriodNotSealedError: It is not.
    """
    found = report(period, events)
    if found.state is not PeriodState.SEALED:
        raise PeriodNotSealedError(period.name, found.state.name.lower())
    return found


def check_person(name: str) -> None:
    """
    Make sure that *name* can be put on record as who did something.

    Raises:
        InvalidArgumentError: It is empty, too long, or not printable.
    """
    if not name.strip() or len(name) > LONGEST_PERSON or not name.isprintable():
        msg = f"say who, in 1 to {LONGEST_PERSON} printable characters, not {name!r}"
        raise InvalidArgumentError(msg)


LONGEST_PERSON: Final = 200


def _same_person(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


# --- the seal ---------------------------------------------------------------------------------


def seal(period: Period, previous: bytes, closings: Iterable[Closing]) -> tuple[bytes, int]:
    """
    The hash over all *closings* of a period, in their order, and how many there are.

    *previous* is the hash of the sealed period before, so that each seal covers all those before it. It needs
    no key: whoever can read the rows can compute it, and compare it with the one that was published.
    """
    hashed = blake2b(bytes([VERSION]) + _framed(period.name.encode()) + _framed(previous), digest_size=32)
    count = 0
    for closing in closings:
        hashed.update(_framed(closing.canonical()))
        count += 1
    hashed.update(count.to_bytes(8, "big"))
    return bytes([VERSION]) + hashed.digest(), count


def _framed(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part
