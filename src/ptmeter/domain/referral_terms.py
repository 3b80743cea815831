"""On what terms referrals are rewarded, and how many of them pass before somebody looks: what a plan file says."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from .pt import PT, Money

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

HUNDREDTH: Final = Money(10_000_000)
"""A reward in money is a whole number of these, unless the terms say otherwise."""


class RewardKind(StrEnum):
    """What a reward is given in."""

    PT = "pt"
    """A lot of PT in the wallet of who is rewarded."""
    DISCOUNT = "discount"
    """Money off what they are to pay."""
    CASH = "cash"
    """Money that is paid out to them."""


@dataclass(frozen=True, slots=True)
class RewardTier:
    """
    What each referral earns from so many on.

    ``share`` is that of the referred payment, in ten-thousandths; ``bonus`` PT by unit, in every kind of reward.
    ``at_least`` counts the referrals that were rewarded before and still are.
    """

    at_least: int
    share: int
    bonus: Mapping[str, PT] = field(default_factory=dict[str, PT])


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardTerms:
    """
    What one side of a referral earns: by tiers, rising, the first from nothing on.

    ``unit`` is that of PT; a share of a payment becomes as many PT of it as the payment's currency buys.
    """

    kind: RewardKind
    tiers: tuple[RewardTier, ...]
    unit: str | None = None
    expires_after: timedelta | None = None

    def tier(self, count: int) -> RewardTier:
        """The tier of whoever has *count* referrals that were rewarded."""
        return next(tier for tier in reversed(self.tiers) if tier.at_least <= count)

    @property
    def units(self) -> frozenset[str]:
        """Every unit that something is earned in."""
        own = [self.unit] if self.unit else []
        return frozenset(own).union(*(tier.bonus for tier in self.tiers))


@dataclass(frozen=True, slots=True)
class Bound:
    """No more than so many within a stretch of time, or ever."""

    most: int
    within: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """
    What makes a referral look bought rather than made; what is left out is not looked at.

    ``card`` and ``ip`` bound the accounts that one card, one address was seen with, referrers and referred alike;
    ``code`` the uses of one code.
    """

    card: Bound | None = None
    ip: Bound | None = None
    code: Bound | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralTerms:
    """
    Who is rewarded for a referral, with what, and within which bounds.

    An account is new for ``new_within`` from the first that was booked for it; for ever, if that is ``None``.
    ``step`` is what a reward in money is rounded down to.
    """

    referrer: RewardTerms | None = None
    referred: RewardTerms | None = None
    new_within: timedelta | None = None
    bounds: Bounds = Bounds()
    step: Money = HUNDREDTH

    @property
    def units(self) -> frozenset[str]:
        """Every unit that something is earned in."""
        return frozenset[str]().union(*(side.units for side in (self.referrer, self.referred) if side))
