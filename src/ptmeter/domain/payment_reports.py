"""A payment as the books have it, for those who read: what it brought, and what was claimed back of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from .minor_units import of_minor
from .payments import DisputeStage, RefundStage
from .pt import PT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from .payments import Amounts, Claim, PaymentRecord
    from .pt import Money

_REFUNDS: Final = ("re_", "pyr_")
"""How the ids of refunds begin at Stripe, of cards and of other means; all other claims are disputes."""


class ClaimKind(StrEnum):
    """What claims money back."""

    REFUND = "refund"
    DISPUTE = "dispute"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimReport:
    """
    A refund or a dispute: how far it is, how much money it is about, and what it has done to the PT.

    ``owed`` are those of the PT taken back that had been used up, of all units together.
    """

    id: str
    kind: ClaimKind
    stage: str
    amount: Money
    taken: Mapping[str, PT]
    frozen: Mapping[str, PT]
    lapsed: Mapping[str, PT]
    """Of its share of the PT, those that had lapsed: nothing is taken or owed for them."""
    owed: PT


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentReport:
    """
    A payment: ``amount`` includes ``tax``; ``granted`` is what PT it brought.

    ``refunded`` is the money that went back, ``disputed`` what banks hold or keep; ``taken`` the PT that were taken
    back for either, ``frozen`` those that nobody can use until a dispute is decided, and ``owed`` those that had been
    used up when they were taken back, of all units together.
    """

    id: str
    account: str
    amount: Money
    tax: Money
    at: datetime
    granted: Mapping[str, PT]
    refunded: Money
    disputed: Money
    taken: Mapping[str, PT]
    frozen: Mapping[str, PT]
    owed: PT
    claims: tuple[ClaimReport, ...]


def payment_report(record: PaymentRecord) -> PaymentReport:
    """What the books say of a payment."""
    claims = tuple(_claim(name, claim, record.currency) for name, claim in sorted(record.claims.items()))
    refunded = sum(each.amount for name, each in record.claims.items() if _is_refunded(name, each))
    disputed = sum(each.amount for name, each in record.claims.items() if _is_disputed(name, each))
    return PaymentReport(
        id=record.id,
        account=record.account,
        amount=of_minor(record.amount, record.currency),
        tax=of_minor(record.tax, record.currency),
        at=record.at,
        granted=_amounts(record.granted),
        refunded=of_minor(refunded, record.currency),
        disputed=of_minor(disputed, record.currency),
        taken=_total(each.taken for each in claims),
        frozen=_total(each.frozen for each in claims),
        owed=PT(sum(each.owed.micro for each in claims)),
        claims=claims,
    )


def _claim(name: str, claim: Claim, currency: str) -> ClaimReport:
    kind = _kind(name)
    stage = RefundStage(claim.stage) if kind is ClaimKind.REFUND else DisputeStage(claim.stage)
    return ClaimReport(
        id=name,
        kind=kind,
        stage=stage.name.lower(),
        amount=of_minor(claim.amount, currency),
        taken=_amounts(claim.taken),
        frozen=_amounts(claim.frozen),
        lapsed=_amounts(claim.lapsed),
        owed=PT(claim.parts[1] if claim.taken else 0),
    )


def _kind(name: str) -> ClaimKind:
    return ClaimKind.REFUND if name.startswith(_REFUNDS) else ClaimKind.DISPUTE


def _is_refunded(name: str, claim: Claim) -> bool:
    return _kind(name) is ClaimKind.REFUND and claim.stage == RefundStage.MADE


def _is_disputed(name: str, claim: Claim) -> bool:
    return _kind(name) is ClaimKind.DISPUTE and claim.stage in (DisputeStage.OPEN, DisputeStage.LOST)


def _amounts(amounts: Amounts) -> dict[str, PT]:
    return {unit: PT(micro) for unit, micro in amounts.items() if micro}


def _total(parts: Iterable[Mapping[str, PT]]) -> dict[str, PT]:
    total: dict[str, PT] = {}
    for part in parts:
        for unit, amount in part.items():
            total[unit] = total.get(unit, PT(0)) + amount
    return total
