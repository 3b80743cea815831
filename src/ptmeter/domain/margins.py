"""
Margins: what was earned, what that cost, and whether it is enough, as lights.

Money is counted in nano-units and shares in ten-thousandths, so a light never depends on how something was
rounded. What earns how much, and when, is said in `rollups`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, assert_never

from ..errors import ConfigurationError, InvalidArgumentError
from .arguments import check_fields
from .pt import PT, Money
from .rates import WHOLE
from .rollups import NOTHING, Figures

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .rollups import Bucket

PLATFORM: Final = "platform"
"""What the platform's own line is called."""

_EPOCH: Final = date(1970, 1, 1)


class Grouping(StrEnum):
    """By what margins are told apart."""

    PLATFORM = "platform"
    """Not at all: one line for everything."""
    PLAN = "plan"
    """By the plan that who asked was on when it was charged; empty for none."""
    ACCOUNT = "account"
    """By whose PT were used."""
    MODEL = "model"
    """By model; empty for what was charged for no call."""
    DAY = "day"
    """By the day of booking, in UTC."""


class Light(StrEnum):
    """Whether a figure is as it should be."""

    GREEN = "green"
    YELLOW = "yellow"
    RED = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginGoals:
    """
    From where on a margin is good, and how much of all PT may be of the unit that costs most.

    Shares are in ten-thousandths: 6,500 is 65 %.
    """

    green: int = 6_500
    """From this share of revenue on, a gross margin is green."""

    yellow: int = 5_000
    """From this share on it is yellow, and below red."""

    burn_unit: str = "advanced"
    """The unit whose share in the PT used is watched."""

    burn_target: int = 2_500
    """How large that share is meant to be."""

    burn_green: int = 9_000
    """Below this part of its target the share is green."""

    burn_yellow: int = 11_000
    """Up to this part of its target it is yellow, and above red."""

    def __post_init__(self) -> None:
        check_fields(self)
        if not 0 <= self.yellow <= self.green <= WHOLE or not 0 < self.burn_target <= WHOLE:
            msg = (
                "of the goals, yellow must not be above green, and shares lie between 0 and 10,000, "
                "which is all"
            )
            raise ConfigurationError(msg)
        if not 0 <= self.burn_green <= self.burn_yellow:
            msg = "of the goals, burn_green must not be above burn_yellow"
            raise ConfigurationError(msg)

    def margin_light(self, revenue: int, cost: int) -> Light | None:
        """The light of a gross margin; none while there is neither revenue nor cost."""
        if revenue <= 0:
            return Light.RED if revenue or cost else None
        gross = (revenue - cost) * WHOLE
        if gross >= self.green * revenue:
            return Light.GREEN
        return Light.YELLOW if gross >= self.yellow * revenue else Light.RED

    def burn_light(self, part: int, whole: int) -> Light | None:
        """The light of *part* micro-PT of the watched unit among *whole*; none while nothing was used."""
        if whole <= 0:
            return None
        burnt, target = part * WHOLE * WHOLE, self.burn_target * whole
        if burnt < self.burn_green * target:
            return Light.GREEN
        return Light.YELLOW if burnt <= self.burn_yellow * target else Light.RED


class Sum(NamedTuple):
    """Roll-ups of one group, unit and currency, added up."""

    name: str
    unit: str
    currency: str
    figures: Figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """
    One line: what was earned in one currency, what it cost, and what of that is left.

    ``charged`` is what was used, by unit, and ``unvalued`` those of them whose price nobody knows: charged for no
    call, out of a lot of which nobody said what was paid. They are in no revenue.
    """

    name: str
    calls: int
    charged: Mapping[str, PT]
    unvalued: Mapping[str, PT]
    revenue: Money
    cost: Money
    goals: MarginGoals = field(repr=False)

    @property
    def gross(self) -> Money:
        """The gross margin: what the cost leaves of the revenue."""
        return self.revenue - self.cost

    @property
    def share(self) -> int | None:
        """The gross margin in ten-thousandths of the revenue, rounded down; ``None`` without revenue."""
        return self.gross.nano * WHOLE // self.revenue.nano if self.revenue.nano > 0 else None

    @property
    def light(self) -> Light | None:
        """Whether the margin is enough; ``None`` while there is neither revenue nor cost."""
        return self.goals.margin_light(self.revenue.nano, self.cost.nano)

    @property
    def burn(self) -> int | None:
        """The share of the watched unit in the PT used, in ten-thousandths, rounded down."""
        part, whole = self._burnt()
        return part * WHOLE // whole if whole > 0 else None

    @property
    def burn_light(self) -> Light | None:
        """Whether that share is as planned; ``None`` while nothing was used."""
        return self.goals.burn_light(*self._burnt())

    def _burnt(self) -> tuple[int, int]:
        part = self.charged.get(self.goals.burn_unit, PT(0)).micro
        return part, sum(amount.micro for amount in self.charged.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginReport:
    """
    The margins of the days in [since, until), line by line, and of all of them together.

    Lines come by name if they are days, else the largest revenue first. A platform that charges in two
    currencies has two lines of each name, and two totals.
    """

    by: Grouping
    since: date | None
    until: date | None
    lines: tuple[Margin, ...]
    totals: tuple[Margin, ...]


def margins(
    sums: Iterable[Sum], by: Grouping, *, since: date | None, until: date | None, goals: MarginGoals
) -> MarginReport:
    """What roll-ups come to."""
    grouped: defaultdict[tuple[str, str], defaultdict[str, Figures]] = defaultdict(_by_unit)
    whole: defaultdict[tuple[str, str], defaultdict[str, Figures]] = defaultdict(_by_unit)
    for name, unit, currency, figures in sums:
        for into, called in ((grouped, name), (whole, PLATFORM)):
            units = into[called, currency]
            units[unit] = units[unit].plus(figures)
    lines = [_margin(*key, units, goals) for key, units in grouped.items()]
    lines.sort(key=lambda line: (0 if by is Grouping.DAY else -line.revenue.nano, line.name))
    totals = [_margin(*key, units, goals) for key, units in sorted(whole.items())]
    return MarginReport(by=by, since=since, until=until, lines=tuple(lines), totals=tuple(totals))


def group_of(bucket: Bucket, by: Grouping) -> str:
    """In which group a roll-up is."""
    match by:
        case Grouping.PLATFORM:
            return PLATFORM
        case Grouping.PLAN:
            return bucket.plan
        case Grouping.ACCOUNT:
            return bucket.wallet.account
        case Grouping.MODEL:
            return bucket.model
        case Grouping.DAY:
            return day_name(bucket.day)
        case _:
            assert_never(by)


def day_name(day: int) -> str:
    """A day since 1970, such as ``2026-08-31``."""
    return (_EPOCH + timedelta(days=day)).isoformat()


def day_number(day: date) -> int:
    """
    The days from 1970 to *day*.

    Raises:
        InvalidArgumentError: It is a moment, which may lie on two days, by whose clock it is.
    """
    if type(day) is not date:
        msg = f"margins are kept by days in UTC: give a date, such as date(2026, 8, 1), not {day!r}"
        raise InvalidArgumentError(msg)
    return (day - _EPOCH).days


def _by_unit() -> defaultdict[str, Figures]:
    return defaultdict(lambda: NOTHING)


def _margin(name: str, currency: str, units: Mapping[str, Figures], goals: MarginGoals) -> Margin:
    total = NOTHING
    for figures in units.values():
        total = total.plus(figures)
    return Margin(
        name=name,
        calls=total.calls,
        charged={unit: PT(figures.amount) for unit, figures in sorted(units.items())},
        unvalued={unit: PT(f.unvalued) for unit, f in sorted(units.items()) if f.unvalued},
        revenue=Money(total.revenue, currency),
        cost=Money(total.cost, currency),
        goals=goals,
    )
