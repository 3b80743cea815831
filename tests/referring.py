"""Referrals once more, as naively as can be: a list of what happened, and everything counted anew from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from typing import Any, Final

SELLS_AT: Final = Fraction("0.01")
"""US$ that a core PT sells at, on the bundled card."""

TIERS: Final = ((0, Fraction(20, 100), 0), (2, Fraction(25, 100), 100), (4, Fraction(35, 100), 500))
"""From how many on, the share, and the bonus in core PT."""

PLANS: Final[dict[str, Any]] = {
    "plans": {"pro": {"price_per_month": 10, "allowance": {"core": 1}, "units": ["core"]}},
    "referrals": {
        "referrer": {
            "kind": "pt",
            "unit": "core",
            "tiers": [
                {
                    "at_least": least,
                    "share": f"{share * 100}%",
                    **({"bonus": {"core": bonus}} if bonus else {}),
                }
                for least, share, bonus in TIERS
            ],
        },
        "referred": {"kind": "discount", "tiers": [{"share": "10%", "bonus": {"advanced": 5}}]},
        "new_within": "30 d",
        "bounds": {
            "card": {"most": 1},
            "ip": {"most": 3, "within": "24 h"},
            "code": {"most": 4, "within": "24 h"},
        },
    },
}


@dataclass
class Deal:
    """One referral: whose, by whom, what was paid and refunded in cents, and what the referrer's lot has."""

    account: str
    referrer: str
    paid: int = 0
    refunded: int = 0
    given: int = 0
    taken: int = 0
    short: int = 0
    left: int = 0


@dataclass
class NaiveReferrals:
    """Everything that happened, in order; micro-PT."""

    deals: list[Deal] = field(default_factory=list[Deal])

    def of(self, account: str) -> Deal | None:
        return next((deal for deal in self.deals if deal.account == account), None)

    def use(self, account: str, referrer: str) -> str | None:
        """Why not, if not."""
        if account == referrer:
            return "own_code"
        if self.of(account):
            return "already_referred"
        theirs = self.of(referrer)
        if theirs and theirs.referrer == account:
            return "mutual"
        self.deals.append(Deal(account, referrer))
        return None

    def pay(self, account: str, cents: int) -> None:
        deal = self.of(account)
        if deal is None or deal.paid:
            return
        count = sum(
            1 for each in self.deals if each.referrer == deal.referrer and 0 < each.paid > each.refunded
        )
        _, share, bonus = [tier for tier in TIERS if tier[0] <= count][-1]
        deal.paid = cents
        deal.given = deal.left = floor(Fraction(cents, 100) * share / SELLS_AT * 10**6) + bonus * 10**6

    def refund(self, account: str, cents: int) -> None:
        """*cents* in all, of what the account paid."""
        deal = self.of(account)
        if deal is None or cents <= deal.refunded:
            return
        deal.refunded = cents
        kept = floor(Fraction(deal.given * (deal.paid - cents), deal.paid))
        due = deal.given - kept - deal.taken - deal.short
        got = min(due, deal.left)
        deal.taken, deal.short, deal.left = deal.taken + got, deal.short + due - got, deal.left - got

    def spend(self, referrer: str, amount: int) -> int:
        """Use up to *amount* of what the referrer was given, the oldest first; returns how much that was."""
        used = 0
        for deal in self.by_payment(referrer):
            part = min(deal.left, amount - used)
            deal.left -= part
            used += part
        return used

    order: list[str] = field(default_factory=list[str])
    """Accounts in the order of their first payments."""

    def by_payment(self, referrer: str) -> list[Deal]:
        paid = [self.of(account) for account in self.order]
        return [deal for deal in paid if deal and deal.referrer == referrer]
