"""What a fake Stripe goes by: the account's country, fees, taxes and schedules."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

API_VERSION = "2026-10-28.endive"
"""The version that objects have the shape of, unless `Settings` says otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the account is set up. Amounts are in minor units; times in seconds or days, as named."""

    api_version: str = API_VERSION
    """Stamped on events. Shapes are those of basil and later, whatever it says."""

    country: str = "US"
    currency: str = "usd"

    fee_basis_points: int = 290
    """Share of a charge that Stripe keeps, in hundredths of a percent."""
    fee_fixed: int = 30
    dispute_fee: int = 1500
    dispute_fee_returned: bool = False
    """Whether the fee of a dispute comes back when it is won."""

    tax_percent: Decimal = Decimal(0)
    """The flat rate that automatic tax charges wherever an address is known."""

    balance_later: bool = False
    """Whether a charge has its balance transaction only with ``charge.updated``, after ``charge.succeeded``."""

    pending_days: int = 2
    """How long money of a charge is pending before it is available."""

    retry_days: tuple[int, ...] = (3, 5, 7)
    """Days after a failed payment of a subscription's invoice at which it is tried again."""
    after_retries: Literal["canceled", "unpaid", "past_due"] = "canceled"
    """What becomes of a subscription when the last try has failed."""

    delivery_delays: tuple[float, ...] = (0.1, 0.5, 2, 10, 60)
    """Seconds before a webhook that was not answered with 2xx is sent again; after the last it has failed."""
    delivery_timeout: float = 10.0
    """Seconds a receiver has for its answer."""
