"""Between money as ptmeter counts it and whole minor units, as payments are made in."""

from __future__ import annotations

from .money import exponent
from .pt import NANO, Money, ceil_div


def minor(money: Money) -> int:
    """So many minor units of its currency, what is finer rounded up: ``Money.usd("0.015")`` are 2 cents."""
    return ceil_div(money.nano * 10 ** exponent(money.currency), NANO)


def of_minor(amount: int, currency: str) -> Money:
    """So many minor units of a currency, however its code is written."""
    return Money(amount * NANO // 10 ** exponent(currency), currency.upper())
