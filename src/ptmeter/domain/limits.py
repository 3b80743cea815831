"""
What an account may do: limits as values, each with a name by which a refusal says which one it was.

A plan has limits, and so may any account below the one that is on the plan: a member's cap under its
team's. Whatever is left out is not limited. Shares are in ten-thousandths, amounts in micro-PT.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from ..errors import ConfigurationError, InvalidArgumentError
from .pt import PT, Money
from .rates import WHOLE
from .windows import Every

if TYPE_CHECKING:
    from .pt import Whole

STEPS: Final = 60
"""A pace is counted in sixtieths of its time: a minute by seconds, an hour by minutes."""

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, order=True)
class Pace:
    """
    So many requests within any stretch of *per*, to a sixtieth of it.

    The stretch slides: there is no moment at which twice as many fit in.
    """

    per: timedelta
    requests: int

    def __post_init__(self) -> None:
        if self.requests < 0:
            msg = f"a pace allows 0 requests or more, not {self.requests}"
            raise ConfigurationError(msg)
        if self.per < timedelta(seconds=STEPS) or self.per % timedelta(seconds=STEPS):
            msg = f"a pace is per whole minutes, not per {self.per}"
            raise ConfigurationError(msg)


@dataclass(frozen=True, slots=True)
class Cap:
    """So many micro-PT of a unit in each window, of what is used and what is held together."""

    unit: str
    every: Every
    amount: int

    def __post_init__(self) -> None:
        if self.amount < 0:
            msg = f"a cap of {self.unit} a {self.every} allows 0 PT or more, not {PT(self.amount)}"
            raise ConfigurationError(msg)


@dataclass(frozen=True, slots=True)
class SpendCap:
    """So much money in each window, by what the PT that are used and held sell at."""

    every: Every
    amount: Money

    def __post_init__(self) -> None:
        if self.amount.nano < 0:
            msg = f"a cap of money a {self.every} allows 0 or more, not {self.amount}"
            raise ConfigurationError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """
    How much of a cycle's PT may be of this unit: shares of all that the plan gives in a cycle.

    From *soft* on there is a warning. Beyond *hard* it is refused or, if the account has agreed to it,
    charged at *overflow* times the rate; ``None`` refuses whoever agreed.
    """

    unit: str
    soft: int | None = None
    hard: int | None = None
    overflow: int | None = None

    def __post_init__(self) -> None:
        shares = [share for share in (self.soft, self.hard) if share is not None]
        if not all(0 <= share <= WHOLE for share in shares) or shares != sorted(shares):
            msg = f"shares of {self.unit} are between 0 and 100 %, the soft one at most the hard one"
            raise ConfigurationError(msg)
        if self.overflow is not None and not 1 <= self.overflow <= MOST_MULTIPLE:
            msg = f"overflow is charged at 1 to {MOST_MULTIPLE} times the rate, not {self.overflow}"
            raise ConfigurationError(msg)


MOST_MULTIPLE: Final = 100
"""The dearest an overflow may be, in multiples of the rate."""


@dataclass(frozen=True, slots=True)
class BurnStep:
    """Whoever burns more than *share* of a cycle's PT within 72 hours waits so long."""

    share: int
    wait: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Burn:
    """
    How fast a cycle's PT may be used: within any 72 hours, to the hour.

    Crossing a step begins its wait; from *warn* on there is a warning. Each further crossing in the same
    cycle waits as many times as long as there were crossings, up to *repeats* times.
    """

    warn: int | None = None
    steps: tuple[BurnStep, ...] = ()
    repeats: int = 4

    def __post_init__(self) -> None:
        rising = all(low.share < high.share and low.wait <= high.wait for low, high in pairwise(self.steps))
        if not rising or any(step.share <= 0 or step.wait <= timedelta(0) for step in self.steps):
            msg = "steps of a burn rate are positive and rise: a higher share does not wait shorter"
            raise ConfigurationError(msg)
        if self.repeats < 1:
            msg = f"a wait is multiplied at least once, not {self.repeats} times"
            raise ConfigurationError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """All that one account is limited by; what is empty or ``None`` is not limited."""

    paces: tuple[Pace, ...] = ()
    concurrent: int | None = None
    caps: tuple[Cap, ...] = ()
    spend: tuple[SpendCap, ...] = ()
    shares: Mapping[str, Share] = field(default_factory=dict[str, Share])
    burn: Burn | None = None

    def __post_init__(self) -> None:
        if self.concurrent is not None and self.concurrent < 0:
            msg = f"concurrent: 0 calls or more may be under way at once, not {self.concurrent}"
            raise ConfigurationError(msg)
        object.__setattr__(self, "paces", tuple(sorted(self.paces)))


NO_LIMITS: Final = Limits()


ONE_QUESTION: Final[Mapping[timedelta, int]] = {24 * HOUR: 1}
"""What an anonymous visitor may ask."""


def own_limits(
    *,
    requests: Mapping[timedelta, int] | None = None,
    concurrent: int | None = None,
    caps: Mapping[str, Mapping[Every | str, Whole]] | None = None,
    spend: Mapping[Every | str, Whole] | None = None,
) -> Limits:
    """
    Limits as they are typed: amounts in whole PT and dollars, windows by their names.

    Raises:
        InvalidArgumentError: A window or an amount is none.
    """
    for per, most in (requests or {}).items():
        if not isinstance(per, timedelta) or type(most) is not int:  # pyright: ignore[reportUnnecessaryIsInstance]
            msg = f"requests are so many in a stretch of time, {{timedelta(hours=1): 20}}, not {{{per!r}: {most!r}}}"
            raise InvalidArgumentError(msg)
    for unit, theirs in (caps or {}).items():
        if not isinstance(theirs, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            msg = f'caps are PT by unit and window, {{{unit!r}: {{"month": 100}}}}, not {{{unit!r}: {theirs!r}}}'
            raise InvalidArgumentError(msg)
    return Limits(
        paces=tuple(Pace(per, most) for per, most in (requests or {}).items()),
        concurrent=concurrent,
        caps=tuple(
            Cap(unit, _every(every), PT.of(amount, f"caps[{unit!r}][{every!r}]").micro)
            for unit, theirs in (caps or {}).items()
            for every, amount in theirs.items()
        ),
        spend=tuple(
            SpendCap(_every(every), Money.usd(amount, f"spend[{every!r}]"))
            for every, amount in (spend or {}).items()
        ),
    )


def _every(name: str) -> Every:
    try:
        return Every(name)
    except ValueError:
        msg = f"{name!r} is no window: use {', '.join(Every)}"
        raise InvalidArgumentError(msg) from None
