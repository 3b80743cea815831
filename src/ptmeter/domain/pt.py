"""
PT and money as integers: exact in, exact out, rounded only where the caller says which way.

A `PT` counts micro-PT and a `Money` counts nano-units of its currency (a billionth of a dollar), the
smallest steps the ledger and the provider's price lists need. Neither accepts a ``float``: 0.1 has no
binary representation, and other people's money is no place to find out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final, Self, TypeAlias

from ..errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

MICRO = 1_000_000
"""micro-PT in one PT."""

NANO = 1_000_000_000
"""Nano-units in one unit of a currency."""

LARGEST = 2**62
"""No amount reaches this many micro-PT or nano-units: it keeps every sum of two inside 64 bits."""

MOST_DIGITS = 30
"""Before or behind the point: what has more is refused before an integer of its size is made."""

UNIT_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
"""What a unit of PT may be called: it becomes a keyword argument."""

Whole: TypeAlias = "int | str | Decimal"
"""How a person writes an amount: whole PT (or whole dollars), exactly."""


@dataclass(frozen=True, slots=True, order=True)
class PT:
    """An amount of Platform Tokens in one unit, counted in micro-PT."""

    micro: int

    def __post_init__(self) -> None:
        _check_whole(self.micro, "micro-PT")

    @classmethod
    def of(cls, amount: Whole | PT, name: str = "") -> PT:
        """
        Read an amount in whole PT: ``PT.of(10)``, ``PT.of("7.25")``; an error calls it by its *name*.

        Raises:
            TypeError: The amount is a ``float`` or a ``bool``.
            InvalidArgumentError: The amount is not a number, finer than one micro-PT, or too large.
        """
        return amount if isinstance(amount, PT) else cls(scaled(amount, MICRO, "PT", name))

    def __add__(self, other: PT) -> PT:
        return PT(self.micro + other.micro)

    def __sub__(self, other: PT) -> PT:
        return PT(self.micro - other.micro)

    def __neg__(self) -> PT:
        return PT(-self.micro)

    def __bool__(self) -> bool:
        return self.micro != 0

    def __str__(self) -> str:
        return f"{plain(self.micro, MICRO)} PT"

    @property
    def whole(self) -> Decimal:
        """The amount in whole PT, exactly."""
        return Decimal(plain(self.micro, MICRO).replace(",", ""))


@dataclass(frozen=True, slots=True, order=True)
class Money:
    """An amount of a currency, counted in nano-units (0.000000001 of it)."""

    nano: int
    currency: str = "USD"

    def __post_init__(self) -> None:
        _check_whole(self.nano, "nano-units")

    @classmethod
    def usd(cls, amount: Whole, name: str = "") -> Self:
        """
        Read an amount in whole US dollars: ``Money.usd("0.01")``; an error calls it by its *name*.

        Raises:
            TypeError: The amount is a ``float`` or a ``bool``.
            InvalidArgumentError: The amount is not a number, finer than a nano-dollar, or too large.
        """
        return cls(scaled(amount, NANO, "US dollars", name))

    def __add__(self, other: Money) -> Money:
        return Money(self.nano + other._in(self.currency), self.currency)

    def __sub__(self, other: Money) -> Money:
        return Money(self.nano - other._in(self.currency), self.currency)

    def __str__(self) -> str:
        symbol = "US$" if self.currency == "USD" else f"{self.currency} "
        return f"{'-' if self.nano < 0 else ''}{symbol}{plain(abs(self.nano), NANO)}"

    def _in(self, currency: str) -> int:
        if self.currency != currency:
            msg = f"{self.currency} and {currency} do not add up: convert one of them first"
            raise InvalidArgumentError(msg)
        return self.nano


def scaled(amount: Whole, scale: int, what: str, name: str = "") -> int:
    """
    Return *amount* × *scale* as an integer, refusing whatever would have to be rounded.

    *what* it is an amount of and the *name* of the argument are for the errors.

    Decimal arithmetic takes no part in it: that rounds to the precision of the thread's context.

    Raises:
        TypeError: The amount is a ``float`` or a ``bool``.
        InvalidArgumentError: The amount is not a number, finer than 1/*scale*, or too large.
    """
    named = f"{name}: " if name else ""
    if isinstance(amount, bool) or not isinstance(amount, int | str | Decimal):  # pyright: ignore[reportUnnecessaryIsInstance]
        given = type(amount).__name__
        msg = f'{named}{what} are given as int, str or Decimal, not {given}: write "7.25" for 7.25'
        raise TypeError(msg)
    value = amount * scale if isinstance(amount, int) else _exactly(amount, scale)
    if value is None:
        msg = f"{named}{amount!r} is no number of {what} in steps of {plain(1, scale)}"
        raise InvalidArgumentError(msg)
    if abs(value) >= LARGEST:
        msg = f"{named}this many {what} are more than the ledger can count, which is {LARGEST // scale:,}"
        raise InvalidArgumentError(msg)
    return value


def plain(value: int, scale: int) -> str:
    """Write *value* / *scale* exactly, with no trailing zeros and no exponent."""
    sign = "-" if value < 0 else ""
    whole, rest = divmod(abs(value), scale)
    digits = f"{rest:0{len(str(scale)) - 1}d}".rstrip("0")
    return f"{sign}{whole:,}{'.' if digits else ''}{digits}"


def ceil_div(value: int, divisor: int) -> int:
    """Divide and round up, exactly."""
    return -(-value // divisor)


def round_up(value: int, step: int) -> int:
    """The smallest multiple of *step* that is not below *value*."""
    return ceil_div(value, step) * step


def allocate(total: int, weights: Sequence[int]) -> tuple[int, ...]:
    """
    Split *total* in proportion to *weights*; the parts always sum to *total*.

    Each part is rounded down and what is left goes to the largest remainders, earlier ones first.

    Raises:
        InvalidArgumentError: There are no weights, one is negative, or all are zero.
    """
    if not weights or min(weights) < 0 or not sum(weights):
        msg = "weights must be non-negative and not all zero"
        raise InvalidArgumentError(msg)
    whole = sum(weights)
    parts = [total * weight // whole for weight in weights]
    remainders = [total * weight % whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda index: -remainders[index])
    for index in order[: total - sum(parts)]:
        parts[index] += 1
    return tuple(parts)


RESERVED: Final = frozenset(
    {"account", "expires_at", "hold", "key", "overage", "paid", "priority", "reason", "source", "ttl"}
    | {"amount", "cancel_url", "interval", "plan", "save_card", "success_url", "top_up"}
)
"""Keywords that the meter's verbs take beside the units, and what payments note in the same place."""


def unit_name(name: str) -> str:
    """
    Return *name* if a unit of PT may be called so.

    Raises:
        InvalidArgumentError: It is not lower-case letters, digits and underscores, over 32 long, or the
            name of something else that the meter's verbs take.
    """
    if name in RESERVED:
        msg = f"{name!r} cannot name a unit: it is a keyword of its own in meter.hold(..., core=10)"
        raise InvalidArgumentError(msg)
    if not UNIT_NAME.fullmatch(name):
        msg = f"{name!r} cannot name a unit: use up to 32 lower-case letters, digits and underscores"
        raise InvalidArgumentError(msg)
    return name


def _exactly(amount: str | Decimal, scale: int) -> int | None:
    """Return the product if it is whole; one far too large comes out as `LARGEST`."""
    try:
        exact = Decimal(amount)
    except InvalidOperation:
        return None
    if not exact.is_finite():
        return None
    if exact and abs(exact.adjusted()) > MOST_DIGITS:
        return LARGEST if exact.adjusted() > 0 else None
    numerator, denominator = exact.as_integer_ratio()
    value, rest = divmod(numerator * scale, denominator)
    return None if rest else value


def _check_whole(value: object, what: str) -> None:
    if type(value) is not int:
        msg = f"{what} are counted in whole numbers, not {type(value).__name__}"
        raise TypeError(msg)
