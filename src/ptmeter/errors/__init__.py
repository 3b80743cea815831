"""
Every error ptmeter raises on purpose, and what to do about each.

    PtmeterError
    ├── InvalidArgumentError (ValueError)   UnknownModelError · UnknownTierError · UnknownUnitError
    │                                       · ConfigurationError · CheckpointInvalidError
    ├── NotFoundError (LookupError)         AccountNotFoundError · HoldNotFoundError
    │                                       · SubscriptionNotFoundError · MessageNotFoundError
    │                                       · TopUpNotFoundError · LotNotFoundError
    │                                       · EventNotFoundError · PaymentNotFoundError
    │                                       · MitigationNotFoundError
    ├── RefusedError                        InsufficientFundsError · ModelLockedError · AccountFrozenError
    │                                       · LimitError · ApprovalMissingError · TrialUsedError
    │                                       · ReferralRefusedError · RateLimitedError
    ├── ConflictError                       IdempotencyConflictError · HoldNotPendingError
    │                                       · PeriodNotOverError · PeriodOrderError · PeriodNotSealedError
    │                                       · PeriodClosedError · CheckpointMismatchError
    │                                       · SubscriptionExistsError · TopUpNotOpenError
    │                                       · QuarantineResolvedError · NotFrozenError
    │                                       · MitigationOverError · PaidThroughStripeError
    ├── UsageError                          UsageMissingError · UsageInconsistentError
    ├── StorageError                        ContentionError · LedgerBusyError · IndeterminateError
    │                                       · UnavailableError · SchemaOutdatedError · UnsafeDurabilityError
    ├── StripeError                         SignatureInvalidError · EventInvalidError
    │                                       · StripeUnavailableError · StripeRefusedError
    │                                       · UnknownPaymentError · ForeignPaymentError
    │                                       · ClockBehindError · OvertakenError
    │                                       · UsageRefusedError
    └── InvariantError                      UnreadableRowError

Each class has a stable ``code`` for scripts and logs, says in ``retryable`` whether the same call
may succeed later unchanged, and carries its facts as attributes.
"""

from __future__ import annotations

from .arguments import (
    AccountNotFoundError,
    CheckpointInvalidError,
    ConfigurationError,
    EventNotFoundError,
    HoldNotFoundError,
    InvalidArgumentError,
    LotNotFoundError,
    MessageNotFoundError,
    MitigationNotFoundError,
    NotFoundError,
    PaymentNotFoundError,
    SubscriptionNotFoundError,
    TopUpNotFoundError,
    UnknownModelError,
    UnknownTierError,
    UnknownUnitError,
)
from .base import PtmeterError
from .conflicts import (
    CheckpointMismatchError,
    ConflictError,
    HoldNotPendingError,
    IdempotencyConflictError,
    MitigationOverError,
    NotFrozenError,
    PaidThroughStripeError,
    PeriodClosedError,
    PeriodNotOverError,
    PeriodNotSealedError,
    PeriodOrderError,
    QuarantineResolvedError,
    SubscriptionExistsError,
    TopUpNotOpenError,
)
from .failures import (
    ContentionError,
    IndeterminateError,
    InvariantError,
    LedgerBusyError,
    SchemaOutdatedError,
    StorageError,
    UnavailableError,
    UnreadableRowError,
    UnsafeDurabilityError,
    UsageError,
    UsageInconsistentError,
    UsageMissingError,
)
from .refusals import (
    AccountFrozenError,
    ApprovalMissingError,
    InsufficientFundsError,
    LimitError,
    ModelLockedError,
    RateLimitedError,
    ReferralRefusedError,
    RefusedError,
    TrialUsedError,
)
from .stripe import (
    ClockBehindError,
    EventInvalidError,
    ForeignPaymentError,
    OvertakenError,
    SignatureInvalidError,
    StripeError,
    StripeRefusedError,
    StripeUnavailableError,
    UnknownPaymentError,
    UsageRefusedError,
)

__all__ = [
    "AccountFrozenError",
    "AccountNotFoundError",
    "ApprovalMissingError",
    "CheckpointInvalidError",
    "CheckpointMismatchError",
    "ClockBehindError",
    "ConfigurationError",
    "ConflictError",
    "ContentionError",
    "EventInvalidError",
    "EventNotFoundError",
    "ForeignPaymentError",
    "HoldNotFoundError",
    "HoldNotPendingError",
    "IdempotencyConflictError",
    "IndeterminateError",
    "InsufficientFundsError",
    "InvalidArgumentError",
    "InvariantError",
    "LedgerBusyError",
    "LimitError",
    "LotNotFoundError",
    "MessageNotFoundError",
    "MitigationNotFoundError",
    "MitigationOverError",
    "ModelLockedError",
    "NotFoundError",
    "NotFrozenError",
    "OvertakenError",
    "PaidThroughStripeError",
    "PaymentNotFoundError",
    "PeriodClosedError",
    "PeriodNotOverError",
    "PeriodNotSealedError",
    "PeriodOrderError",
    "PtmeterError",
    "QuarantineResolvedError",
    "RateLimitedError",
    "ReferralRefusedError",
    "RefusedError",
    "SchemaOutdatedError",
    "SignatureInvalidError",
    "StorageError",
    "StripeError",
    "StripeRefusedError",
    "StripeUnavailableError",
    "SubscriptionExistsError",
    "SubscriptionNotFoundError",
    "TopUpNotFoundError",
    "TopUpNotOpenError",
    "TrialUsedError",
    "UnavailableError",
    "UnknownModelError",
    "UnknownPaymentError",
    "UnknownTierError",
    "UnknownUnitError",
    "UnreadableRowError",
    "UnsafeDurabilityError",
    "UsageError",
    "UsageInconsistentError",
    "UsageMissingError",
    "UsageRefusedError",
]
