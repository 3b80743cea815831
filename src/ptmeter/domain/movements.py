"""
What a movement of money at Stripe is in the books.

Stripe's balance transactions alone say what money came and went: their sum is the
balance there, so the books' clearing side is too. What a movement means goes by its ``reporting_category``, for
``type`` gains values without notice (docs.stripe.com/reports/reporting-categories).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from .money import Side, entry
from .payments import Claim
from .pt import allocate

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime

    from .money import MoneyEntry, Movement
    from .payments import Dispute, PaymentRecord


def moved(movement: Movement, record: PaymentRecord) -> list[MoneyEntry]:
    """What a movement of that payment is in the books."""
    claim = record.claims.get(movement.source, Claim(stage=0))
    match movement.category:
        case "charge":
            shares = _split(movement.amount, record, unused=1, used=0)
        case "refund" | "refund_failure" | "partial_capture_reversal":
            shares = _split(movement.amount, record, *_parts(claim))
        case "dispute" | "dispute_reversal":
            shares = {Side.DISPUTE_HOLD: movement.amount}
        case _:
            shares = {Side.OTHER: movement.amount}
    found = [
        each
        for side, amount in shares.items()
        for each in _entry(movement, record, side.value, Side.CLEARING, side, amount)
    ]
    return found + _entry(movement, record, "fee", Side.FEES, Side.CLEARING, movement.fee)


def closing(
    dispute: Dispute,
    record: PaymentRecord,
    kept: int,
    booked: Iterable[MoneyEntry],
    *,
    currency: str,
    key: str,
) -> list[MoneyEntry]:
    """
    What a bank keeps for good: of PT that were there still it is no longer owed, of used ones it is lost.

    Some of it may be *booked* already, so this is what is missing on each side, or is too much there.
    """
    there: Counter[Side] = Counter()
    for each in booked:
        if each.debit is Side.DISPUTE_HOLD:
            there[each.credit] -= each.amount
        elif each.credit is Side.DISPUTE_HOLD:
            there[each.debit] += each.amount
    shares = _split(kept, record, *_parts(record.claims[dispute.id]), for_used=Side.DISPUTE_LOSS)
    return [
        each
        for side in sorted({*shares, *there})
        for each in entry(
            f"{key}:{side}",
            side,
            Side.DISPUTE_HOLD,
            shares.get(side, 0) - there[side],
            currency,
            dispute.at,
            account=record.account,
            reference=record.id,
        )
    ]


class Outstanding(NamedTuple):
    """How much of an invoice is still to be paid, in its currency's minor units, and since when that is so."""

    invoice: str
    account: str
    amount: int
    currency: str
    at: datetime


def receivable(invoice: Outstanding, booked: Collection[MoneyEntry]) -> list[MoneyEntry]:
    """
    What is missing of what an invoice is worth until it is paid, void or given up, beside what is *booked* of it.

    Nothing is lost with one that nobody pays, for what it was for was not given.
    """
    there = sum(each.amount if each.debit is Side.RECEIVABLE else -each.amount for each in booked)
    return entry(
        f"{invoice.invoice}:receivable:{len(booked) + 1}",
        Side.RECEIVABLE,
        Side.INVOICED,
        invoice.amount - there,
        invoice.currency,
        invoice.at,
        account=invoice.account,
        reference=invoice.invoice,
    )


def known(entries: Iterable[MoneyEntry]) -> set[str]:
    """The movements that entries are of: those that came to the balance at Stripe, or left it."""
    moved = (each for each in entries if Side.CLEARING in (each.debit, each.credit))
    return {each.key.rpartition(":")[0] for each in moved}


def to_bank(movement: Movement, payout: str) -> list[MoneyEntry]:
    """What went to the bank, or came back from there."""
    fee = (f"{movement.id}:fee", Side.FEES, Side.CLEARING, movement.fee)
    paid = (f"{movement.id}:bank", Side.BANK, Side.CLEARING, -movement.amount)
    rows = (paid, fee)
    return [each for row in rows for each in entry(*row, movement.currency, movement.at, reference=payout)]


def _split(
    amount: int, record: PaymentRecord, unused: int, used: int, *, for_used: Side = Side.REFUNDS
) -> dict[Side, int]:
    """An amount of the payment's money by what it was paid for: tax, PT that are left, and PT that were used."""
    size, sign = abs(amount), -1 if amount < 0 else 1
    tax, net = allocate(size, (record.tax, record.amount - record.tax)) if record.amount else (0, size)
    left, gone = allocate(net, (unused, used))
    return {Side.CREDITS: sign * left, Side.TAX: sign * tax, for_used: sign * gone}


def _parts(claim: Claim) -> tuple[int, int]:
    """How much of a claim's share was there still, and how much used or lapsed; all was there if it had none."""
    there, used, lapsed = claim.parts
    return (there, used + lapsed) if any(claim.parts) else (1, 0)


def _entry(
    movement: Movement, record: PaymentRecord, what: str, debit: Side, credit: Side, amount: int
) -> list[MoneyEntry]:
    return entry(
        f"{movement.id}:{what}",
        debit,
        credit,
        amount,
        movement.currency,
        movement.at,
        account=record.account,
        reference=record.id,
    )
