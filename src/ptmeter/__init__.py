"""
Meter LLM usage in prepaid Platform Tokens and bill for it, on your own database.

The names below are all there is to import; each is loaded when it is first used, so that importing
ptmeter stays fast and loads no SDK, no database driver and no price list.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._async import AsyncCall, AsyncMeter
    from ._sync import Call, Meter
    from .checkpoints.keys import PublicKey, SigningKey
    from .configuration import (
        read_plans,
        read_prices,
        read_rate_card,
        reference_card,
        reference_plans,
    )
    from .domain.accounting import RollForward, TrialBalance
    from .domain.accounts import Account
    from .domain.admission import Limit
    from .domain.alerts import Alert, Notice
    from .domain.audit import Finding, Report
    from .domain.calibration import Calibration
    from .domain.checkpoints import Checkpoint
    from .domain.entitlements import Entitlement
    from .domain.estimates import Count, Estimate, Method
    from .domain.flags import Flag
    from .domain.forecasts import Ahead
    from .domain.headroom import Headroom
    from .domain.ledger import Overage
    from .domain.limits import Limits
    from .domain.margin_mitigations import Mitigated, MitigationTerms
    from .domain.margins import Grouping, Light, Margin, MarginGoals, MarginReport
    from .domain.messages import Backoff, Delivered, Message, MessageState
    from .domain.mitigations import Mitigation
    from .domain.periods import PeriodReport
    from .domain.plans import Plan, Plans, RollOver, Trial
    from .domain.policy import Ceiling, Durability, HoldSize, OutOfFunds, Policy
    from .domain.price_changes import ModelPrices, PriceChange, PriceCheck
    from .domain.prices import Price, PriceUse, Processing, Tier
    from .domain.pt import PT, Money
    from .domain.quarantine import Backlog, Quarantined, QuarantinePage, QuarantineState
    from .domain.rates import Charge, Complexity, Content, RateCard, Workload
    from .domain.receipts import (
        Balance,
        Entry,
        Granted,
        Hold,
        OpenHolds,
        Page,
        Receipt,
        UnitBalance,
    )
    from .domain.referral_terms import ReferralTerms, RewardKind
    from .domain.referrals import Referral, ReferralRefusal, ReferralState, ReferralStats, Reward
    from .domain.rerating import AccountChange, Basis, ModelChange, Rerating
    from .domain.routing import Outcome, Route
    from .domain.sketches import Quantile
    from .domain.subscriptions import Discount, Interval, Status, Subscribed, Subscription, When
    from .domain.summaries import ModelUse, Summary
    from .domain.top_up_terms import TopUpTerms
    from .domain.top_ups import TopUp, TopUpState
    from .domain.unpriced import UnpricedModel
    from .domain.usage import Quality, Usage
    from .errors import (
        AccountFrozenError,
        AccountNotFoundError,
        ApprovalMissingError,
        CheckpointInvalidError,
        CheckpointMismatchError,
        ConfigurationError,
        ConflictError,
        ContentionError,
        HoldNotFoundError,
        HoldNotPendingError,
        IdempotencyConflictError,
        IndeterminateError,
        InsufficientFundsError,
        InvalidArgumentError,
        InvariantError,
        LedgerBusyError,
        LimitError,
        MessageNotFoundError,
        MitigationNotFoundError,
        MitigationOverError,
        ModelLockedError,
        NotFoundError,
        PeriodClosedError,
        PeriodNotOverError,
        PeriodNotSealedError,
        PeriodOrderError,
        PtmeterError,
        QuarantineResolvedError,
        RateLimitedError,
        ReferralRefusedError,
        RefusedError,
        SchemaOutdatedError,
        StorageError,
        SubscriptionExistsError,
        SubscriptionNotFoundError,
        TopUpNotFoundError,
        TopUpNotOpenError,
        TrialUsedError,
        UnavailableError,
        UnknownModelError,
        UnknownTierError,
        UnknownUnitError,
        UnreadableRowError,
        UnsafeDurabilityError,
        UsageError,
        UsageInconsistentError,
        UsageMissingError,
    )
    from .operations.alerting import Scanned
    from .operations.topping_up import Asked
    from .providers.prices import GenaiPrices
    from .providers.tokens import Tokenizers
    from .providers.usage import Reading, Shape, UsageStream, read_usage

__all__ = [
    "PT",
    "Account",
    "AccountChange",
    "AccountFrozenError",
    "AccountNotFoundError",
    "Ahead",
    "Alert",
    "ApprovalMissingError",
    "Asked",
    "AsyncCall",
    "AsyncMeter",
    "Backlog",
    "Backoff",
    "Balance",
    "Basis",
    "Calibration",
    "Call",
    "Ceiling",
    "Charge",
    "Checkpoint",
    "CheckpointInvalidError",
    "CheckpointMismatchError",
    "Complexity",
    "ConfigurationError",
    "ConflictError",
    "Content",
    "ContentionError",
    "Count",
    "Delivered",
    "Discount",
    "Durability",
    "Entitlement",
    "Entry",
    "Estimate",
    "Finding",
    "Flag",
    "GenaiPrices",
    "Granted",
    "Grouping",
    "Headroom",
    "Hold",
    "HoldNotFoundError",
    "HoldNotPendingError",
    "HoldSize",
    "IdempotencyConflictError",
    "IndeterminateError",
    "InsufficientFundsError",
    "Interval",
    "InvalidArgumentError",
    "InvariantError",
    "LedgerBusyError",
    "Light",
    "Limit",
    "LimitError",
    "Limits",
    "Margin",
    "MarginGoals",
    "MarginReport",
    "Message",
    "MessageNotFoundError",
    "MessageState",
    "Meter",
    "Method",
    "Mitigated",
    "Mitigation",
    "MitigationNotFoundError",
    "MitigationOverError",
    "MitigationTerms",
    "ModelChange",
    "ModelLockedError",
    "ModelPrices",
    "ModelUse",
    "Money",
    "NotFoundError",
    "Notice",
    "OpenHolds",
    "OutOfFunds",
    "Outcome",
    "Overage",
    "Page",
    "PeriodClosedError",
    "PeriodNotOverError",
    "PeriodNotSealedError",
    "PeriodOrderError",
    "PeriodReport",
    "Plan",
    "Plans",
    "Policy",
    "Price",
    "PriceChange",
    "PriceCheck",
    "PriceUse",
    "Processing",
    "PtmeterError",
    "PublicKey",
    "Quality",
    "Quantile",
    "QuarantinePage",
    "QuarantineResolvedError",
    "QuarantineState",
    "Quarantined",
    "RateCard",
    "RateLimitedError",
    "Reading",
    "Receipt",
    "Referral",
    "ReferralRefusal",
    "ReferralRefusedError",
    "ReferralState",
    "ReferralStats",
    "ReferralTerms",
    "RefusedError",
    "Report",
    "Rerating",
    "Reward",
    "RewardKind",
    "RollForward",
    "RollOver",
    "Route",
    "Scanned",
    "SchemaOutdatedError",
    "Shape",
    "SigningKey",
    "Status",
    "StorageError",
    "Subscribed",
    "Subscription",
    "SubscriptionExistsError",
    "SubscriptionNotFoundError",
    "Summary",
    "Tier",
    "Tokenizers",
    "TopUp",
    "TopUpNotFoundError",
    "TopUpNotOpenError",
    "TopUpState",
    "TopUpTerms",
    "Trial",
    "TrialBalance",
    "TrialUsedError",
    "UnavailableError",
    "UnitBalance",
    "UnknownModelError",
    "UnknownTierError",
    "UnknownUnitError",
    "UnpricedModel",
    "UnreadableRowError",
    "UnsafeDurabilityError",
    "Usage",
    "UsageError",
    "UsageInconsistentError",
    "UsageMissingError",
    "UsageStream",
    "When",
    "Workload",
    "read_plans",
    "read_prices",
    "read_rate_card",
    "read_usage",
    "reference_card",
    "reference_plans",
]

_HOMES = {
    "_async": ("AsyncCall", "AsyncMeter"),
    "_sync": ("Call", "Meter"),
    "checkpoints.keys": ("PublicKey", "SigningKey"),
    "configuration": (
        "read_plans",
        "read_prices",
        "read_rate_card",
        "reference_card",
        "reference_plans",
    ),
    "domain.accounting": ("RollForward", "TrialBalance"),
    "domain.alerts": ("Alert", "Notice"),
    "domain.forecasts": ("Ahead",),
    "domain.messages": ("Backoff", "Delivered", "Message", "MessageState"),
    "domain.top_up_terms": ("TopUpTerms",),
    "domain.top_ups": ("TopUp", "TopUpState"),
    "operations.alerting": ("Scanned",),
    "operations.topping_up": ("Asked",),
    "domain.audit": ("Finding", "Report"),
    "domain.checkpoints": ("Checkpoint",),
    "domain.calibration": ("Calibration",),
    "domain.accounts": ("Account",),
    "domain.admission": ("Limit",),
    "domain.headroom": ("Headroom",),
    "domain.limits": ("Limits",),
    "domain.mitigations": ("Mitigation",),
    "domain.margin_mitigations": ("Mitigated", "MitigationTerms"),
    "domain.routing": ("Outcome", "Route"),
    "domain.margins": ("Grouping", "Light", "Margin", "MarginGoals", "MarginReport"),
    "domain.entitlements": ("Entitlement",),
    "domain.estimates": ("Count", "Estimate", "Method"),
    "domain.flags": ("Flag",),
    "domain.ledger": ("Overage",),
    "domain.periods": ("PeriodReport",),
    "domain.plans": ("Plan", "Plans", "RollOver", "Trial"),
    "domain.policy": ("Ceiling", "Durability", "HoldSize", "OutOfFunds", "Policy"),
    "domain.price_changes": ("ModelPrices", "PriceChange", "PriceCheck"),
    "domain.prices": ("Price", "PriceUse", "Processing", "Tier"),
    "domain.pt": ("PT", "Money"),
    "domain.quarantine": ("Backlog", "QuarantinePage", "QuarantineState", "Quarantined"),
    "domain.rates": ("Charge", "Complexity", "Content", "RateCard", "Workload"),
    "domain.receipts": (
        "Balance",
        "Entry",
        "Granted",
        "Hold",
        "OpenHolds",
        "Page",
        "Receipt",
        "UnitBalance",
    ),
    "domain.referral_terms": ("ReferralTerms", "RewardKind"),
    "domain.referrals": ("Referral", "ReferralRefusal", "ReferralState", "ReferralStats", "Reward"),
    "domain.rerating": ("AccountChange", "Basis", "ModelChange", "Rerating"),
    "domain.subscriptions": ("Discount", "Interval", "Status", "Subscribed", "Subscription", "When"),
    "domain.summaries": ("ModelUse", "Summary"),
    "domain.sketches": ("Quantile",),
    "domain.unpriced": ("UnpricedModel",),
    "domain.usage": ("Quality", "Usage"),
    "providers.prices": ("GenaiPrices",),
    "providers.tokens": ("Tokenizers",),
    "providers.usage": ("Reading", "Shape", "UsageStream", "read_usage"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names} | {
    name: "errors" for name in __all__ if name.endswith("Error")
}


def __getattr__(name: str) -> object:
    if name == "__version__":
        return import_module("importlib.metadata").version("ptmeter")
    home = _HOME_OF.get(name)
    if home is None:
        msg = f"module 'ptmeter' has no attribute {name!r}"
        raise AttributeError(msg)
    value: object = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
