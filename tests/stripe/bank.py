"""A model of what Stripe says of one payment: what customers and banks do to it, and the money that this moves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ptmeter.domain.money import Movement
from ptmeter.domain.payments import Dispute, DisputeStage, Payment, Refund, RefundStage

if TYPE_CHECKING:
    from datetime import datetime

CONTESTED = frozenset({DisputeStage.OPEN, DisputeStage.LOST})


@dataclass
class Charge:
    """A payment that succeeded, and all that is claimed back of it."""

    name: str
    account: str
    offer: dict[str, int]
    amount: int
    tax: int
    at: datetime
    refunds: dict[str, Refund] = field(default_factory=dict[str, Refund])
    disputes: dict[str, Dispute] = field(default_factory=dict[str, Dispute])
    movements: list[Movement] = field(default_factory=list[Movement])

    def __post_init__(self) -> None:
        self._move(f"ch_{self.name}", "charge", self.amount, fee=30)

    def seen(self) -> Payment:
        """What Stripe says of it now."""
        return Payment(
            id=f"pi_{self.name}",
            account=self.account,
            offer=self.offer,
            amount=self.amount,
            tax=self.tax,
            currency="usd",
            at=self.at,
            refunds=tuple(self.refunds.values()),
            disputes=tuple(self.disputes.values()),
            movements=tuple(self.movements),
        )

    # --- what is given back ---

    @property
    def refundable(self) -> int:
        """How much may be given back yet: nothing of what a bank has withdrawn."""
        if any(each.stage in CONTESTED for each in self.disputes.values()):
            return 0
        return self.amount - sum(
            each.amount for each in self.refunds.values() if each.stage is not RefundStage.FAILED
        )

    def refund(self, amount: int, *, asks: bool = False) -> None:
        """Give some of it back; at once, unless it *asks* something of the customer."""
        name = f"re_{self.name}_{len(self.refunds) + 1}"
        stage = RefundStage.ASKED if asks else RefundStage.MADE
        self.refunds[name] = Refund(id=name, amount=amount, stage=stage, at=self.at)
        if not asks:
            self._move(name, "refund", -amount)

    def make(self, name: str) -> None:
        """Have the customer answer what a refund asks."""
        self.refunds[name] = replace(self.refunds[name], stage=RefundStage.MADE)
        self._move(name, "refund", -self.refunds[name].amount)

    def fail(self, name: str) -> None:
        """Have a refund come back."""
        made = self.refunds[name].stage is RefundStage.MADE
        self.refunds[name] = replace(self.refunds[name], stage=RefundStage.FAILED)
        if made:
            self._move(name, "refund_failure", self.refunds[name].amount)

    # --- what is contested ---

    def dispute(self, amount: int, *, inquiry: bool = False) -> None:
        """Contest some of it."""
        name = f"dp_{self.name}_{len(self.disputes) + 1}"
        self.disputes[name] = Dispute(id=name, amount=amount, stage=DisputeStage.INQUIRY, at=self.at)
        if not inquiry:
            self.escalate(name)

    def escalate(self, name: str) -> None:
        """Have an inquiry become a chargeback: the money is withdrawn."""
        self._stage(name, DisputeStage.OPEN)
        self._move(name, "dispute", -self.disputes[name].amount, fee=1_500)

    def win(self, name: str) -> None:
        """Have the bank give it back, which may be after it had decided otherwise."""
        self._stage(name, DisputeStage.WON)
        self._move(name, "dispute_reversal", self._withdrawn(name))

    def lose(self, name: str) -> None:
        """Have the bank keep it."""
        self._stage(name, DisputeStage.LOST)

    def reinstate(self, name: str, amount: int) -> None:
        """Have the bank give a part of what it keeps back; the dispute is lost for the rest."""
        self._move(name, "dispute_reversal", amount)
        self.disputes[name] = replace(self.disputes[name], amount=self._withdrawn(name))

    def _withdrawn(self, name: str) -> int:
        return -sum(each.amount for each in self.movements if each.source == name)

    def _stage(self, name: str, stage: DisputeStage) -> None:
        self.disputes[name] = replace(self.disputes[name], stage=stage)

    def _move(self, source: str, category: str, amount: int, fee: int = 0) -> None:
        if amount:
            name = f"txn_{self.name}_{len(self.movements) + 1}"
            self.movements.append(
                Movement(
                    id=name,
                    category=category,
                    amount=amount,
                    fee=fee,
                    currency="usd",
                    source=source,
                    at=self.at,
                )
            )

    # --- what it comes to ---

    @property
    def gone(self) -> int:
        """How much of the money is given back or lost for good."""
        refunded = sum(each.amount for each in self.refunds.values() if each.stage is RefundStage.MADE)
        lost = sum(each.amount for each in self.disputes.values() if each.stage is DisputeStage.LOST)
        return min(self.amount, refunded + lost)

    @property
    def contested(self) -> int:
        """How much a bank has withdrawn and not decided about."""
        return sum(self._withdrawn(n) for n, d in self.disputes.items() if d.stage is DisputeStage.OPEN)
