"""
Every error ptmeter raises on purpose, and what to do about each.

    PtmeterError
    ├── InvalidArgumentError (ValueError)   UnknownModelError · UnknownTierError · UnknownUnitError
    │                                       · ConfigurationError · CheckpointInvalidError
    ├── NotFoundError (LookupError)         AccountNotFoundError · HoldNotFoundError
    │                                       · SubscriptionNotFoundError · MessageNotFoundError
    │                                       · TopUpNotFoundError · MitigationNotFoundError
    ├── RefusedError                        InsufficientFundsError · ModelLockedError · AccountFrozenError
    │                                       · LimitError · ApprovalMissingError · TrialUsedError
    │                                       · ReferralRefusedError · RateLimitedError
    ├── ConflictError                       IdempotencyConflictError · HoldNotPendingError
    │                                       · PeriodNotOverError · PeriodOrderError · PeriodNotSealedError
    │                                       · PeriodClosedError · CheckpointMismatchError
    │                                       · SubscriptionExistsError · TopUpNotOpenError
    │                                       · QuarantineResolvedError · MitigationOverError
    ├── UsageError                          UsageMissingError · UsageInconsistentError
    ├── StorageError                        ContentionError · LedgerBusyError · IndeterminateError
    │                                       · UnavailableError · SchemaOutdatedError · UnsafeDurabilityError
    └── InvariantError                      UnreadableRowError

Each class has a stable ``code`` for scripts and logs, says in ``retryable`` whether the same call
may succeed later unchanged, and carries its facts as attributes.
"""

from __future__ import annotations

from .arguments import (
    AccountNotFoundError,
    CheckpointInvalidError,
    ConfigurationError,
    HoldNotFoundError,
    InvalidArgumentError,
    MessageNotFoundError,
    MitigationNotFoundError,
    NotFoundError,
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

__all__ = [
    "AccountFrozenError",
    "AccountNotFoundError",
    "ApprovalMissingError",
    "CheckpointInvalidError",
    "CheckpointMismatchError",
    "ConfigurationError",
    "ConflictError",
    "ContentionError",
    "HoldNotFoundError",
    "HoldNotPendingError",
    "IdempotencyConflictError",
    "IndeterminateError",
    "InsufficientFundsError",
    "InvalidArgumentError",
    "InvariantError",
    "LedgerBusyError",
    "LimitError",
    "MessageNotFoundError",
    "MitigationNotFoundError",
    "MitigationOverError",
    "ModelLockedError",
    "NotFoundError",
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
    "StorageError",
    "SubscriptionExistsError",
    "SubscriptionNotFoundError",
    "TopUpNotFoundError",
    "TopUpNotOpenError",
    "TrialUsedError",
    "UnavailableError",
    "UnknownModelError",
    "UnknownTierError",
    "UnknownUnitError",
    "UnreadableRowError",
    "UnsafeDurabilityError",
    "UsageError",
    "UsageInconsistentError",
    "UsageMissingError",
]
