"""
What an account has under way and has used: the counts that limits go by.

A tally is kept with its account, in the transaction that moves the PT. It has no job that resets it: a window
is a function of anchor, zone and time, and what lies outside of it does not count. What is held counts until
the minute in which its hold expires, whether anybody has booked that or not.

Everything in it follows from the journal: requests and what is held from holds, what is used from settles and
debits, each by the account that asked (`Transfer.member`) and all accounts above it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Final, NamedTuple

from .instants import microseconds, moment
from .limits import STEPS, BurnStep
from .windows import Every, window

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .limits import Burn

BURN_HOURS: Final = 72
"""How far back a burn rate looks, in hours."""

_SECOND: Final = 1_000_000
_MINUTE: Final = 60 * _SECOND
_HOUR: Final = 60 * _MINUTE


class Calendar(NamedTuple):
    """Where windows begin, and by whose clock."""

    anchor: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    zone: tzinfo = UTC


class Asked(NamedTuple):
    """How many requests there were in a step of a pace: the steps count from 1970."""

    per: int
    step: int
    requests: int


class Held(NamedTuple):
    """
    How many calls are under way, and how much of a unit is held, until a minute since 1970.

    What extends a call may be held for longer than that call's first hold, so there may be PT and no calls.
    """

    unit: str
    minute: int
    calls: int
    amount: int


class Used(NamedTuple):
    """How much of a unit was used in a window, which is from *start* up to *end* in microseconds since 1970."""

    unit: str
    every: Every
    start: int
    end: int
    amount: int


class Burnt(NamedTuple):
    """How much of a unit was used in an hour since 1970."""

    unit: str
    hour: int
    amount: int


class Waits(NamedTuple):
    """Until when a burn rate lets nobody in, and how often it has since a cycle began; in microseconds."""

    until: int = 0
    since: int = 0
    crossings: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The counts of one account, of what it and those below it do. Amounts are micro-PT."""

    asked: tuple[Asked, ...] = ()
    held: tuple[Held, ...] = ()
    used: tuple[Used, ...] = ()
    burnt: tuple[Burnt, ...] = ()
    waits: Waits = field(default=Waits())

    # --- what is in it ---

    def requests(self, per: timedelta, at: datetime) -> int:
        """How many requests there were in the last sixty steps of *per*, with the one under way."""
        return sum(each.requests for each in self._asked_within(per, at))

    def next_request_at(self, per: timedelta, at: datetime, most: int) -> datetime:
        """When fewer than *most* requests will be left of those within *per*, if no other comes."""
        left = self.requests(per, at)
        length = _step_length(per)
        for each in self._asked_within(per, at):
            left -= each.requests
            if left < most:
                return moment((each.step + STEPS) * length)
        return at

    def calls(self, at: datetime) -> int:
        """How many calls are under way."""
        return sum(each.calls for each in self._held_at(at))

    def next_call_at(self, at: datetime) -> datetime:
        """When the first of the calls under way is given up, if none ends before."""
        return moment(min(each.minute for each in self._held_at(at) if each.calls) * _MINUTE)

    def holds(self, at: datetime) -> bool:
        """Whether anything is held, of any unit."""
        return bool(self._held_at(at))

    def amount_held(self, unit: str, at: datetime) -> int:
        """How much of a unit is held."""
        return sum(each.amount for each in self._held_at(at) if each.unit == unit)

    def amount_used(self, unit: str, every: Every, at: datetime) -> int:
        """How much of a unit was used in the window that holds *at*."""
        now = microseconds(at)
        return sum(u.amount for u in self.used if u.unit == unit and u.every is every and now < u.end)

    def amount_burnt(self, at: datetime, unit: str | None = None) -> int:
        """How much was used in the last 72 hours, with the one under way: of a unit, or of all together."""
        first = microseconds(at) // _HOUR - BURN_HOURS
        return sum(b.amount for b in self.burnt if b.hour > first and unit in (None, b.unit))

    @property
    def latest(self) -> datetime:
        """Where the latest step, hour or window begins in which anything was counted."""
        steps = [each.step * each.per * _SECOND // STEPS for each in self.asked]
        hours = [each.hour * _HOUR for each in self.burnt]
        return moment(max(*steps, *hours, *(each.start for each in self.used), 0, 0))

    @property
    def waits_until(self) -> datetime:
        """Until when a burn rate that was crossed lets nobody in."""
        return moment(self.waits.until)

    # --- what comes to it ---

    def with_request(self, pers: Iterable[timedelta], at: datetime) -> Tally:
        """The tally with one request more, counted for each pace there is."""
        asked: list[Asked] = []
        for per in pers:
            step = microseconds(at) // _step_length(per)
            recent = list(self._asked_within(per, at))
            if (
                recent and recent[-1].step >= step
            ):  # a clock that steps back: the latest step stays the latest
                last = recent.pop()
                asked += [*recent, last._replace(requests=last.requests + 1)]
            else:
                asked += [*recent, Asked(_seconds(per), step, 1)]
        return replace(self, asked=tuple(asked))

    def with_hold(
        self, unit: str, amount: int, expires_at: datetime, at: datetime, *, calls: int = 1
    ) -> Tally:
        """The tally with so much more held: for one call more under way, or for none, which extends one."""
        return replace(self, held=_changed(self._held_at(at), unit, _minute(expires_at), calls, amount))

    def without_hold(
        self, unit: str, amount: int, expires_at: datetime, at: datetime, *, calls: int = 1
    ) -> Tally:
        """The tally with that held no more; what was held until a minute that is over is out of it already."""
        minute = _minute(expires_at)
        live = self._held_at(at)
        if not any(each.unit == unit and each.minute == minute for each in live):
            return self
        return replace(self, held=_changed(live, unit, minute, -calls, -amount))

    def with_use(self, unit: str, amount: int, calendar: Calendar, at: datetime) -> Tally:
        """The tally with so much more used."""
        others = tuple(each for each in self.used if each.unit != unit)
        mine = {each.every: each for each in self.used if each.unit == unit}
        used = (_used(mine.get(every), unit, every, calendar, at) for every in Every)
        return replace(
            self,
            used=(*others, *(each._replace(amount=each.amount + amount) for each in used)),
            burnt=self._burnt_with(unit, amount, at),
        )

    def with_waits(self, burn: Burn, reached: BurnStep, cycle: int, at: datetime) -> Tally:
        """The tally with a wait begun, for so many times as long as there were crossings in the cycle."""
        crossings = 1 + (self.waits.crossings if self.waits.since == cycle else 0)
        over = microseconds(at + reached.wait * min(crossings, burn.repeats))
        until = -(-over // _SECOND) * _SECOND  # a full second, so that it is over when it is said to be
        return replace(self, waits=Waits(max(until, self.waits.until), cycle, crossings))

    # --- as it is kept ---

    def as_json(self) -> str:
        """The tally as a short text."""
        facts = (self.asked, self.held, self.used, self.burnt, self.waits)
        return json.dumps(facts, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | None) -> Tally:
        """Read back what `as_json` wrote; nothing is the tally of who has done nothing yet."""
        if not text:
            return NOTHING
        asked, held, used, burnt, waits = json.loads(text)
        return cls(
            asked=tuple(Asked(*each) for each in asked),
            held=tuple(Held(*each) for each in held),
            used=tuple(Used(unit, Every(every), *rest) for unit, every, *rest in used),
            burnt=tuple(Burnt(*each) for each in burnt),
            waits=Waits(*waits),
        )

    def _asked_within(self, per: timedelta, at: datetime) -> tuple[Asked, ...]:
        seconds, first = _seconds(per), microseconds(at) // _step_length(per) - STEPS
        return tuple(each for each in self.asked if each.per == seconds and each.step > first)

    def _held_at(self, at: datetime) -> tuple[Held, ...]:
        minute = microseconds(at) // _MINUTE
        return tuple(each for each in self.held if each.minute > minute)

    def _burnt_with(self, unit: str, amount: int, at: datetime) -> tuple[Burnt, ...]:
        hour = microseconds(at) // _HOUR
        kept = [each for each in self.burnt if each.hour > hour - BURN_HOURS]
        mine = [each for each in kept if each.unit == unit]
        if mine and mine[-1].hour >= hour:
            place = kept.index(mine[-1])
            kept[place] = mine[-1]._replace(amount=mine[-1].amount + amount)
        else:
            kept.append(Burnt(unit, hour, amount))
        return tuple(kept)


NOTHING: Final = Tally()
"""The tally of an account that has done nothing yet."""


def _changed(held: tuple[Held, ...], unit: str, minute: int, calls: int, amount: int) -> tuple[Held, ...]:
    """What is held, with so many calls and so much more of a unit until a minute, or less."""
    for place, each in enumerate(held):
        if each.unit == unit and each.minute == minute:
            after = Held(unit, minute, each.calls + calls, each.amount + amount)
            return (*held[:place], *((after,) if after.amount else ()), *held[place + 1 :])
    return (*held, Held(unit, minute, calls, amount))


def _used(before: Used | None, unit: str, every: Every, calendar: Calendar, at: datetime) -> Used:
    """The window that holds *at*: the one there is, unless it is over; a clock that steps back stays in it."""
    if before and microseconds(at) < before.end:
        return before
    start, end = window(at, every=every, anchor=calendar.anchor, zone=calendar.zone)
    return Used(unit, every, microseconds(start), microseconds(end), 0)


def _minute(expires_at: datetime) -> int:
    """The minute in which a hold is counted last, to the end of it."""
    return microseconds(expires_at) // _MINUTE + 1


def _seconds(per: timedelta) -> int:
    return per // timedelta(seconds=1)


def _step_length(per: timedelta) -> int:
    return _seconds(per) * _SECOND // STEPS
