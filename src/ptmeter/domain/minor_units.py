"""Between money as ptmeter counts it and whole minor units, as payments are made in."""

from __future__ import annotations

from .money import coin, exponent
from .pt import NANO, Money, ceil_div


def minor(money: Money) -> int:
    """
    So many minor units of its currency as can be charged, what is finer rounded up.

    ``Money.usd("0.015")`` are 2 cents, and 1.234 Kuwaiti dinar 1,240 thousandths, for those are charged by the ten.
    """
    least = coin(money.currency)
    return ceil_div(money.nano * 10 ** exponent(money.currency), NANO * least) * least


def of_minor(amount: int, currency: str) -> Money:
    """So many minor units of a currency, however its code is written."""
    return Money(amount * NANO // 10 ** exponent(currency), currency.upper())
