"""
What an account, or who runs the platform, should be told of payments: that one failed, or is disputed.

It is found while the books are brought in line with Stripe, and written in that transaction, once for each name: a
further attempt to take the money, or a further stage of a dispute, is told of anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from .keys import digest
from .messages import Message
from .minor_units import minor
from .payments import DisputeStage, RefundStage, is_old

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from .payments import Dispute, Payment, PaymentRecord, Refund
    from .top_ups import TopUp


class PaymentTopic(StrEnum):
    """What is told; the topic of its message."""

    FAILED = "payment.failed"
    """Money could not be taken: of an invoice, or for an automatic top-up."""
    ACTION_REQUIRED = "payment.action_required"
    """A bank asks for its customer, who has to confirm the payment."""
    NOT_INVOICED = "payment.not_invoiced"
    """An invoice cannot be finalized, so nobody will be asked to pay it."""
    DISPUTED = "payment.disputed"
    """A card holder contests a payment, or that has come to its next stage."""
    SUBSCRIBED_TWICE = "payment.subscribed_twice"
    """Several subscriptions of an account go on at Stripe, and each is charged for; it is on the latest."""
    REFUND_FAILED = "payment.refund_failed"
    """Money that was given back has come back, so it has to be given in another way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentNotice:
    """
    Something to tell *account* of a payment, or of what should have become one.

    ``about`` is its id at Stripe; ``turn`` tells it from what was told of the same before.
    """

    topic: PaymentTopic
    account: str
    about: str
    turn: str = ""
    facts: Mapping[str, object] = field(default_factory=dict[str, object])

    def message(self, at: datetime) -> Message:
        """The message that tells it."""
        return Message(
            id=digest((self.topic, self.account, self.about, self.turn)).hex(),
            account=self.account,
            topic=self.topic,
            facts=self.facts,
            noted_at=at,
            due_at=at,
        )


def of_claims(record: PaymentRecord, payment: Payment) -> Iterator[PaymentNotice]:
    """What there is to tell of a payment's disputes and refunds that the books have not heard of."""
    for each in payment.disputes:
        if _is_news(record, each):
            yield _disputed(payment, record.account, each)
    for each in payment.refunds:
        if each.stage is RefundStage.FAILED and _is_news(record, each):
            yield _refund_failed(payment, record.account, each)


def top_up_failed(top_up: TopUp, reason: str) -> PaymentNotice:
    """That an automatic top-up could not be paid; it is asked for again after its pause."""
    return PaymentNotice(
        topic=PaymentTopic.FAILED,
        account=top_up.account,
        about=top_up.id,
        facts={
            "top_up": top_up.id,
            "attempt": top_up.attempts,
            "amount": minor(top_up.price),
            "currency": top_up.price.currency.lower(),
            "reason": reason,
        },
    )


def _is_news(record: PaymentRecord, said: Refund | Dispute) -> bool:
    known = record.claims.get(said.id)
    return known is None or (known.stage != said.stage and not is_old(known, said))


def _disputed(payment: Payment, account: str, dispute: Dispute) -> PaymentNotice:
    return PaymentNotice(
        topic=PaymentTopic.DISPUTED,
        account=account,
        about=dispute.id,
        turn=dispute.stage.name,
        facts={
            "payment": payment.id,
            "dispute": dispute.id,
            "stage": dispute.stage.name.lower(),
            "amount": dispute.amount,
            "currency": payment.currency,
            "reason": dispute.reason,
            "respond_by": _answer_by(dispute),
        },
    )


def _answer_by(dispute: Dispute) -> str | None:
    undecided = dispute.stage in (DisputeStage.INQUIRY, DisputeStage.OPEN)
    return dispute.respond_by.isoformat() if undecided and dispute.respond_by else None


def _refund_failed(payment: Payment, account: str, refund: Refund) -> PaymentNotice:
    return PaymentNotice(
        topic=PaymentTopic.REFUND_FAILED,
        account=account,
        about=refund.id,
        facts={
            "payment": payment.id,
            "refund": refund.id,
            "amount": refund.amount,
            "currency": payment.currency,
            "reason": refund.problem,
        },
    )
