"""The request contradicts something already recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import PtmeterError

if TYPE_CHECKING:
    from decimal import Decimal


class ConflictError(PtmeterError):
    """The request contradicts something already recorded."""

    code = "conflict"


class IdempotencyConflictError(ConflictError):
    """The key was used before with other arguments: use a new key for a new request."""

    code = "idempotency_conflict"

    def __init__(self, account: str, key: str) -> None:
        self.account = account
        self.key = key
        super().__init__(
            f"key {key!r} of account {account!r} was used before with other arguments: "
            f"a new request needs a new key"
        )


class HoldNotPendingError(ConflictError):
    """The hold was already settled, voided or (for a void) expired; nothing is left of it to move."""

    code = "hold_not_pending"

    def __init__(self, account: str, key: str) -> None:
        self.account = account
        self.key = key
        super().__init__(f"the hold of account {account!r} under key {key!r} is already resolved")


class NotFrozenError(ConflictError):
    """Less of the lot is frozen than was to be given back or taken back: ``frozen`` says how much, in PT."""

    code = "not_frozen"

    def __init__(self, account: str, unit: str, lot: int, *, frozen: Decimal, required: Decimal) -> None:
        self.account = account
        self.unit = unit
        self.lot = lot
        self.frozen = frozen
        self.required = required
        super().__init__(
            f"of lot {lot} of account {account!r} {frozen.normalize():f} {unit} PT are frozen, "
            f"not {required.normalize():f}"
        )


class PaidThroughStripeError(ConflictError):
    """A subscription is paid through Stripe, which would go on charging for it: have it changed there."""

    code = "paid_through_stripe"

    def __init__(self, account: str) -> None:
        self.account = account
        super().__init__(
            f"the subscription of {account!r} is paid through Stripe, which would not hear of this: "
            "use meter.payments.change(...) or meter.payments.cancel(...)"
        )


class SubscriptionExistsError(ConflictError):
    """The account has a subscription that goes on: change it, or cancel it first; ``plan`` is its plan."""

    code = "subscription_exists"

    def __init__(self, account: str, plan: str) -> None:
        self.account = account
        self.plan = plan
        super().__init__(
            f"account {account!r} has a subscription to {plan!r} already: change it, or cancel it"
        )


class PeriodNotOverError(ConflictError):
    """The period has not ended yet by the database's clock: close it once it has."""

    code = "period_not_over"

    def __init__(self, period: str, ends_at: str) -> None:
        self.period = period
        self.ends_at = ends_at
        super().__init__(f"{period} is not over before {ends_at}: close it then")


class PeriodOrderError(ConflictError):
    """Periods are closed in order and reopened in the opposite one: ``first`` names whose turn it is."""

    code = "period_order"

    def __init__(self, period: str, first: str) -> None:
        self.period = period
        self.first = first
        super().__init__(f"it is not the turn of {period}: {first} comes first")


class PeriodNotSealedError(ConflictError):
    """The period is not sealed, so there is nothing to reopen and nothing final to report: close it."""

    code = "period_not_sealed"

    def __init__(self, period: str, state: str, begins: str = "") -> None:
        self.period = period
        self.state = state
        told = f"{period} is {state}, not sealed: close it first"
        if begins:
            told = f"{period} was over before the ledger began: the first month to report on is {begins}"
        super().__init__(told)


class PeriodClosedError(ConflictError):
    """The database refused a row booked in a closed period: book it now, and say when it took effect."""

    code = "period_closed"


class CheckpointMismatchError(ConflictError):
    """The ledger is not the one that a signed checkpoint describes, or was changed since: verify it."""

    code = "checkpoint_mismatch"

    def __init__(self, number: int, problem: str) -> None:
        self.number = number
        self.problem = problem
        super().__init__(
            f"checkpoint {number} does not describe this ledger, {problem}: it is of another ledger, or this one "
            f"was changed; run `ptmeter verify --checkpoints`"
        )


class TopUpNotOpenError(ConflictError):
    """
    The top-up was paid already: by another payment, which ``key`` names, or it cannot fail any more.

    Nothing was granted. If money came in twice, give it back, or grant PT for it with `meter.funds.grant`.
    """

    code = "top_up_not_open"

    def __init__(self, top_up: str, key: str) -> None:
        self.top_up, self.key = top_up, key
        super().__init__(f"top-up {top_up!r} was paid already by {key!r}")


class QuarantineResolvedError(ConflictError):
    """It was decided otherwise about the call in quarantine, and that stands: correct it with an adjustment."""

    code = "quarantine_resolved"

    def __init__(self, account: str, key: str, state: str, resolver: str) -> None:
        self.account = account
        self.key = key
        self.state = state
        self.resolver = resolver
        super().__init__(f"call {key!r} of account {account!r} was {state} by {resolver!r} already")


class MitigationOverError(ConflictError):
    """The mitigation has ended or was undone, so nothing is left of it to undo; apply another to change what holds."""

    code = "mitigation_over"

    def __init__(self, mitigation: str, problem: str) -> None:
        self.mitigation = mitigation
        super().__init__(f"mitigation {mitigation!r} {problem}: nothing is left of it to undo")
