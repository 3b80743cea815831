"""
Where the money is: entries of two sides, in whole minor units of one currency, each under a business key.

An entry moves an amount from its credit side to its debit side, as bookkeepers write it (Dr debit, Cr credit). Its key
names the fact that it records, such as a refund by Stripe's own id for it, so the fact is recorded once however often
and in whatever way one hears of it. Nothing is ever changed: what turns out otherwise is a further fact.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime


_WITHOUT_MINOR_UNITS: Final = frozenset(
    [
        "bif",
        "clp",
        "djf",
        "gnf",
        "jpy",
        "kmf",
        "krw",
        "mga",
        "pyg",
        "rwf",
        "vnd",
        "vuv",
        "xaf",
        "xof",
        "xpf",
    ]
)
_THOUSANDTHS: Final = frozenset(["bhd", "iqd", "jod", "kwd", "lyd", "omr", "tnd"])
"""Currencies as Stripe counts them: docs.stripe.com/currencies, "Zero-decimal" and "Three-decimal currencies".

UGX has no minor units and is counted in hundredths all the same, as ISK is ("Special cases").
"""

_WHOLE_ONLY: Final = frozenset(["isk", "ugx"])


class Side(StrEnum):
    """Where money can be, or what it is owed for."""

    CLEARING = "stripe_clearing"
    """At Stripe, to be paid out (an asset)."""
    BANK = "bank"
    """Paid out (an asset)."""
    CREDITS = "credits"
    """What customers have paid for and not used (a liability)."""
    TAX = "tax_payable"
    """Tax that was charged (a liability)."""
    FEES = "stripe_fees"
    """What Stripe keeps (an expense)."""
    REFUNDS = "refunds"
    """Money given back for PT that were used already (contra revenue)."""
    DISPUTE_HOLD = "dispute_hold"
    """Withdrawn by a bank, and not decided yet (an asset)."""
    DISPUTE_LOSS = "dispute_loss"
    """Lost for PT that were used already (an expense)."""
    RECEIVABLE = "receivable"
    """Invoiced and not paid (an asset)."""
    INVOICED = "invoiced"
    """What was invoiced and not paid, so that nothing is owed for it yet (a liability)."""
    OTHER = "other"
    """What Stripe moved for a reason that is not known here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MoneyEntry:
    """One movement of money; ``amount`` is positive, in the currency's minor units."""

    key: str
    debit: Side
    credit: Side
    amount: int
    currency: str
    at: datetime
    """When it happened, by Stripe's account."""
    account: str = ""
    reference: str = ""
    """What it belongs to at Stripe: a payment, an invoice, a payout."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """
    A balance transaction: money that came to the balance at Stripe, or left it, in its currency's minor units.

    ``amount`` is signed and includes ``fee``, which Stripe keeps of it; ``source`` is the object it is for.
    """

    id: str
    category: str
    amount: int
    fee: int
    currency: str
    source: str
    at: datetime


class SideBalance(NamedTuple):
    """What has come to a side, and gone from it, in one currency."""

    debited: int
    credited: int

    @property
    def net(self) -> int:
        """Debits less credits."""
        return self.debited - self.credited


def entry(
    key: str,
    debit: Side,
    credit: Side,
    amount: int,
    currency: str,
    at: datetime,
    *,
    account: str = "",
    reference: str = "",
) -> list[MoneyEntry]:
    """The entry, or none for nothing; a negative amount goes the other way."""
    if amount < 0:
        debit, credit, amount = credit, debit, -amount
    if not amount:
        return []
    return [
        MoneyEntry(
            key=key,
            debit=debit,
            credit=credit,
            amount=amount,
            currency=currency,
            at=at,
            account=account,
            reference=reference,
        )
    ]


def exponent(currency: str) -> int:
    """How many decimal places the currency's minor units are."""
    code = currency.lower()
    return 0 if code in _WITHOUT_MINOR_UNITS else 3 if code in _THOUSANDTHS else 2


def coin(currency: str) -> int:
    """
    How many minor units the least is that can be charged; every charge is a multiple of it.

    Thousandths are charged by the ten, and currencies that are counted in hundredths they do not have by the hundred
    (docs.stripe.com/currencies, "Three-decimal currencies" and "Special cases").
    """
    code = currency.lower()
    return 10 if code in _THOUSANDTHS else 100 if code in _WHOLE_ONLY else 1


def balances(entries: Iterable[MoneyEntry]) -> Mapping[tuple[str, Side], SideBalance]:
    """What each side has come to, by currency."""
    found: dict[tuple[str, Side], list[int]] = defaultdict(lambda: [0, 0])
    for each in entries:
        found[each.currency, each.debit][0] += each.amount
        found[each.currency, each.credit][1] += each.amount
    return {place: SideBalance(*both) for place, both in sorted(found.items())}


def check_same(kept: MoneyEntry, said: MoneyEntry) -> None:
    """
    Make sure that a fact heard of again is the fact that was recorded.

    Raises:
        InvariantError: It has another amount or other sides: one of the two is wrong.
    """
    facts = ("debit", "credit", "amount", "currency", "account")
    if any(getattr(kept, name) != getattr(said, name) for name in facts):
        msg = f"{said.key} was recorded as {kept}, and is now said to be {said}"
        raise InvariantError(msg)
