"""Tax: the flat rate of automatic tax where an address is known, and rates set by hand."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..values import Obj
    from ..world import World

HUNDRED = Decimal(100)


def status(address: Obj | None) -> str:
    """Return the status of automatic tax for who lives there: without a country it cannot be computed."""
    return "complete" if address and address.get("country") else "requires_location_inputs"


def within(amount: int, percent: Decimal, *, inclusive: bool) -> int:
    """Return the tax on *amount*, in minor units, rounded half up: on top of it, or as a part of it."""
    share = percent / (HUNDRED + percent) if inclusive else percent / HUNDRED
    return int((amount * share).quantize(Decimal(1), ROUND_HALF_UP))


def computed(world: World, amount: int, behavior: str | None) -> Obj:
    """Return automatic tax on *amount*, as a line's entry of ``taxes``."""
    inclusive = behavior == "inclusive"
    owed = within(amount, world.settings.tax_percent, inclusive=inclusive)
    return entry(owed, amount, inclusive=inclusive, rate=None)


def by_hand(rate: Obj, amount: int) -> Obj:
    """Return the tax that a tax rate puts on *amount*."""
    owed = within(amount, Decimal(str(rate["percentage"])), inclusive=rate["inclusive"])
    return entry(owed, amount, inclusive=rate["inclusive"], rate=rate["id"])


def entry(owed: int, amount: int, *, inclusive: bool, rate: str | None) -> Obj:
    """Return one entry of ``taxes``, as lines and totals have it since basil."""
    return {
        "amount": owed,
        "tax_behavior": "inclusive" if inclusive else "exclusive",
        "tax_rate_details": {"tax_rate": rate or "txr_automatic"},
        "taxability_reason": "standard_rated" if owed else "not_collecting",
        "taxable_amount": amount - owed if inclusive else amount,
        "type": "tax_rate_details",
    }


def on_top(taxes: list[Obj]) -> int:
    """Return what *taxes* add to a subtotal that holds the inclusive ones already."""
    return sum(each["amount"] for each in taxes if each["tax_behavior"] == "exclusive")


def total(taxes: list[Obj]) -> int:
    """Return all of them."""
    return sum(each["amount"] for each in taxes)
