"""
Which mitigations margins call for: a pure rule over the lights of a window, with the figures in the reason.

Below its floor the platform closes the unit that costs most; under a red light it is used less, by the platform,
a plan or an account. Nothing is decided by a handful of calls, and nothing is closed that nobody used.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Final

from ..errors import ConfigurationError
from .arguments import check_fields
from .margins import Grouping, Light
from .mitigations import Mitigation, scope
from .rates import WHOLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .margins import Margin, MarginReport

AUTHOR: Final = "ptmeter"
"""Who applies what margins call for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MitigationTerms:
    """
    When margins call for mitigations of the unit that `MarginGoals` watches, and for which.

    Shares are in ten-thousandths: 4,000 is 40 %.
    """

    floor: int = 4_000
    """Below this gross margin of the whole platform the unit is closed to everybody."""

    closed_for: timedelta = timedelta(hours=12)
    """For how long."""

    share: int = 1_250
    """Under a red light, of the margin or of the unit's share, so much of a cycle's PT may be of the unit: by
    default half of what it is meant to be."""

    reduced_for: timedelta = timedelta(hours=24)
    """For how long."""

    by: tuple[Grouping, ...] = (Grouping.PLATFORM, Grouping.PLAN, Grouping.ACCOUNT)
    """Whose lights count."""

    calls: int = 100
    """What made fewer calls in the window proves nothing, and calls for nothing."""

    days: int = 1
    """How long the window is, if nobody says which: so many days in UTC, up to and with the present one."""

    def __post_init__(self) -> None:
        check_fields(self)
        if not 0 <= self.floor <= WHOLE or not 0 <= self.share <= WHOLE:
            msg = "floor and share of the mitigations lie between 0 and 10,000, which is all"
            raise ConfigurationError(msg)
        if min(self.closed_for, self.reduced_for) <= timedelta(0) or self.calls < 1 or self.days < 1:
            msg = "closed_for, reduced_for, calls and days of the mitigations must be positive"
            raise ConfigurationError(msg)
        if set(self.by) - {Grouping.PLATFORM, Grouping.PLAN, Grouping.ACCOUNT}:
            msg = "mitigations hold for the platform, plans and accounts: by is some of platform, plan, account"
            raise ConfigurationError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mitigated:
    """
    What the margins of the days in [since, until) called for, and what was done about it.

    ``called_for`` is all of it; ``standing`` are mitigations that were there before and do what was called for,
    so nothing was applied beside them; ``applied`` are those that were. ``calls`` is how many calls were charged
    in the window: without any, margins say nothing.
    """

    since: date
    until: date
    calls: int
    called_for: tuple[Mitigation, ...] = ()
    standing: tuple[Mitigation, ...] = ()
    applied: tuple[Mitigation, ...] = ()

    def __str__(self) -> str:
        days = window_text(self.since, self.until)
        if not self.calls:
            return f"no call was charged in {days}, so margins call for nothing"
        margins = f"the margins of {_count(self.calls, 'call')} in {days} call for"
        if not self.called_for:
            return f"{margins} nothing"
        return (
            f"{margins} {_count(len(self.called_for), 'mitigation')}: "
            f"{len(self.applied):,} applied, {len(self.standing):,} standing already"
        )


def called_for(
    reports: Iterable[MarginReport], terms: MitigationTerms, *, since: date, until: date, at: datetime
) -> list[Mitigation]:
    """
    What the margins of [since, until) call for at that time, for each scope the strictest.

    The key follows from the window, so for one window there is one mitigation of a scope, whatever its margin comes
    to be later.
    """
    found: dict[str, Mitigation] = {}
    for report in reports:
        for line in report.lines:
            for new in _of_line(line, report.by, terms, since, until, at):
                known = found.setdefault(new.scope, new)
                if new.share < known.share:
                    found[new.scope] = new
    return list(found.values())


def stands_in(standing: Iterable[Mitigation], new: Mitigation) -> Mitigation | None:
    """Which of those that hold does what *new* would, so that there are not two at once."""
    same = (each for each in standing if each.by == AUTHOR and each.unit == new.unit)
    return next((each for each in same if each.scope == new.scope and each.share <= new.share), None)


def window_text(since: date, until: date) -> str:
    """The days in [since, until), as people say them."""
    last = until - timedelta(days=1)
    return f"{since}" if last == since else f"{since} to {last}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _of_line(
    line: Margin, by: Grouping, terms: MitigationTerms, since: date, until: date, at: datetime
) -> Iterator[Mitigation]:
    whom = _scope(line, by)
    if whom is None or line.calls < terms.calls:
        return
    goals = line.goals
    made_of = f"revenue {line.revenue}, cost {line.cost}, {_count(line.calls, 'call')} in {window_text(since, until)}"
    said: list[tuple[int, timedelta, str]] = []
    if by is Grouping.PLATFORM and _is_below(line, terms.floor):
        said.append((0, terms.closed_for, f"{_margin_text(line)} is below {terms.floor / 100:g} %"))
    uses_unit = bool(line.charged.get(goals.burn_unit))
    if uses_unit and line.light is Light.RED:
        said.append(
            (terms.share, terms.reduced_for, f"{_margin_text(line)} is below {goals.yellow / 100:g} %")
        )
    if uses_unit and line.burn_light is Light.RED:
        most = goals.burn_yellow * goals.burn_target / WHOLE / 100
        burnt = f"{(line.burn or 0) / 100:g} % of the PT used are {goals.burn_unit}, more than {most:g} %"
        said.append((terms.share, terms.reduced_for, burnt))
    for share, lasts, why in said:
        yield Mitigation(
            key=f"margins {goals.burn_unit} {since} {until}",
            unit=goals.burn_unit,
            share=share,
            scope=whom,
            starts_at=at,
            ends_at=at + lasts,
            by=AUTHOR,
            reason=f"{why} ({made_of})",
        )


def _scope(line: Margin, by: Grouping) -> str | None:
    """For whom what a line calls for holds; for those on no plan there is no scope."""
    if by is Grouping.PLATFORM:
        return scope(None, None)
    if not line.name:
        return None
    return scope(None, line.name) if by is Grouping.PLAN else scope(line.name, None)


def _is_below(line: Margin, floor: int) -> bool:
    revenue, cost = line.revenue.nano, line.cost.nano
    return (revenue - cost) * WHOLE < floor * revenue if revenue > 0 else cost > 0


def _margin_text(line: Margin) -> str:
    return (
        "a gross margin of nothing" if line.share is None else f"a gross margin of {line.share / 100:g} %"
    )
