"""What was earned by what was used, and what somebody says was paid for what is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..domain.margins import Grouping, MarginReport, day_number, margins
from ..domain.pt import Money
from ..domain.rollups import SOLD_IN
from ..errors import InvalidArgumentError

if TYPE_CHECKING:
    from datetime import date

    from ..domain.margins import MarginGoals
    from ..domain.pt import Whole
    from ..ports import Books


def report(
    books: Books, *, by: Grouping | str, since: date | None, until: date | None, goals: MarginGoals
) -> MarginReport:
    """
    The margins of the days in [since, until), from one query over the roll-ups.

    Raises:
        InvalidArgumentError: *by* is no grouping, a day is no date, or none is left between the two.
    """
    if by not in tuple(Grouping):
        msg = f"margins are told apart by {', '.join(Grouping)}, not by {by!r}"
        raise InvalidArgumentError(msg)
    first, end = (None if day is None else day_number(day) for day in (since, until))
    if first is not None and end is not None and first >= end:
        msg = f"no day is left from {since} on and before {until}: until is the day after the last"
        raise InvalidArgumentError(msg)
    sums = books.rollups.sums(Grouping(by), first, end)
    return margins(sums, Grouping(by), since=since, until=until, goals=goals)


def dollars(paid: Whole | Money) -> int:
    """
    What somebody says was paid, in nano-dollars.

    Raises:
        TypeError: It is a float.
        InvalidArgumentError: It is negative or not in dollars.
    """
    paid = paid if isinstance(paid, Money) else Money.usd(paid)
    if paid.currency != SOLD_IN or paid.nano < 0:
        msg = f"what was paid is an amount of {SOLD_IN} that is not negative, not {paid}"
        raise InvalidArgumentError(msg)
    return paid.nano
