"""Subscriptions that are paid through Stripe: what it says of one now, which ours follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from .subscriptions import Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """
    A subscription, as Stripe says it is now.

    ``anchor`` is when its cycles begin, ``paid_until`` the end of the period that was paid last, or of the trial.
    """

    id: str
    account: str
    plan: str
    interval: Interval
    anchor: datetime
    paid_until: datetime
    seen_at: datetime
    """When the looking up began, by the ledger's clock."""
    goes_on: bool
    """Whether there is something to be had for it: it was paid for once, or is on trial, and has not ended."""
    is_paid: bool = True
    """Whether nothing is open: a change of plan is made once it is paid for."""
    is_trial: bool = False
    ends_at: datetime | None = None
    """When it will end, if somebody has cancelled it."""
