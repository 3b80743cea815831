"""
Selling top-ups: how many PT may be bought at once, and how much less a large one costs.

A price is what the rate card says that a PT sells at. What is off goes by the list price of the whole top-up, and is
the share of the highest step that it reaches, rounded down to what can be charged: whoever pays never gets a discount that
was not promised, and never pays more than was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..errors import InvalidArgumentError
from .arguments import check_fields
from .minor_units import minor, of_minor
from .money import coin
from .pt import MICRO, PT, Money, allocate, ceil_div
from .rates import WHOLE

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class VolumeDiscount:
    """A top-up that lists at so much or more costs so much less, in ten-thousandths."""

    at_least: Money
    share: int

    def __post_init__(self) -> None:
        check_fields(self, Money)


@dataclass(frozen=True, slots=True, kw_only=True)
class TopUpSales:
    """
    What top-ups are sold.

    ``minimum`` and ``maximum`` are PT of each unit that is bought; ``least`` and ``most`` are what a whole top-up may
    list at; ``discounts`` are in the order of what they begin at.
    """

    minimum: PT | None = None
    maximum: PT | None = None
    least: Money | None = None
    most: Money | None = None
    discounts: tuple[VolumeDiscount, ...] = ()

    def __post_init__(self) -> None:
        check_fields(self, PT, Money)


ANY: Final = TopUpSales()
"""As many as you like, at the list price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What a top-up costs before tax: the list price, what is off it, and what of the rest is for which unit."""

    listed: Money
    discount: Money
    parts: Mapping[str, Money]

    @property
    def amount(self) -> Money:
        """What there is to pay."""
        return self.listed - self.discount


def quote(amounts: Mapping[str, int], prices: Mapping[str, Money], sales: TopUpSales) -> Quote:
    """
    What so many micro-PT of each unit cost, in whole minor units.

    Raises:
        InvalidArgumentError: That many are not sold at once, or the units sell in several currencies.
    """
    listed = {unit: ceil_div(micro * prices[unit].nano, MICRO) for unit, micro in amounts.items()}
    currencies = {prices[unit].currency for unit in amounts}
    if len(currencies) != 1:
        msg = f"buy them one by one: they sell in {' and '.join(sorted(currencies))}"
        raise InvalidArgumentError(msg)
    total = Money(sum(listed.values()), currencies.pop())
    _check(amounts, total, sales)
    currency, least = total.currency, coin(total.currency)
    whole = minor(total)
    off = whole * _share(of_minor(whole, currency), sales) // (WHOLE * least) * least
    parts = allocate((whole - off) // least, list(listed.values()))
    return Quote(
        listed=of_minor(whole, currency),
        discount=of_minor(off, currency),
        parts={unit: of_minor(part * least, currency) for unit, part in zip(listed, parts, strict=True)},
    )


def _share(total: Money, sales: TopUpSales) -> int:
    reached = [each.share for each in sales.discounts if each.at_least.nano <= total.nano]
    return reached[-1] if reached else 0


def _check(amounts: Mapping[str, int], total: Money, sales: TopUpSales) -> None:
    for unit, micro in amounts.items():
        if sales.minimum and micro < sales.minimum.micro:
            _refuse(f"at least {sales.minimum} of a unit are bought at once, not {PT(micro)} {unit}")
        if sales.maximum and micro > sales.maximum.micro:
            _refuse(f"at most {sales.maximum} of a unit are bought at once, not {PT(micro)} {unit}")
    if not total.nano:
        _refuse("there is nothing to pay: give them with meter.funds.grant(...) instead")
    for bound, sign in ((sales.least, -1), (sales.most, 1)):
        if bound and bound.currency == total.currency and (total.nano - bound.nano) * sign > 0:
            _refuse(f"a top-up is of {'at least' if sign < 0 else 'at most'} {bound}, not {total}")


def _refuse(problem: str) -> None:
    raise InvalidArgumentError(problem)
