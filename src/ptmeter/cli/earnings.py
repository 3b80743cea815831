"""What PT that were charged sell at, and what share of that their cost leaves."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from ..domain.pt import MICRO, Money
from ..domain.rates import WHOLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..domain.rates import RateCard


def sales_value(charged: Mapping[str, int], card: RateCard) -> Money | None:
    """
    What micro-PT by unit sell at, rounded once to the nano-unit.

    ``None`` if nothing was charged, a unit is not on the card, or units sell in different currencies.
    """
    prices = {unit: card.units[unit].sells_at for unit in charged if unit in card.units}
    currencies = {price.currency for price in prices.values()}
    if len(currencies) != 1 or len(prices) < len(charged):
        return None
    exact = sum(micro * prices[unit].nano for unit, micro in charged.items())
    return Money((exact + MICRO // 2) // MICRO, currencies.pop())


def margin(sales: Money | None, cost: Mapping[str, int]) -> Decimal | None:
    """The share of *sales* that *cost* (nano-units by currency) leaves, to four decimals; if it has one."""
    if sales is None or not sales.nano or set(cost) - {sales.currency}:
        return None
    left = sales.nano - sum(cost.values())
    share = (2 * left * WHOLE + sales.nano) // (2 * sales.nano)
    return Decimal(share).scaleb(-4)
