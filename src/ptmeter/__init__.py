"""
Meter LLM usage in prepaid Platform Tokens and bill for it, on your own database.

The names below are all there is to import; each is loaded when it is first used, so that importing
ptmeter stays fast and loads no SDK, no database driver and no price list.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ptmeter.homes import HOMES as _HOMES  # absolute: what is relative here is public

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
    from .domain.inbox import EventState, Inboxes, Intake, KeptEvent, Received, Worked
    from .domain.ledger import Overage
    from .domain.limits import Limits
    from .domain.margin_mitigations import Mitigated, MitigationTerms
    from .domain.margins import Grouping, Light, Margin, MarginGoals, MarginReport
    from .domain.messages import Backoff, Delivered, Message, MessageState
    from .domain.mitigations import Mitigation
    from .domain.money import Side, SideBalance
    from .domain.payment_reports import ClaimKind, ClaimReport, PaymentReport
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
    from .domain.top_up_sales import TopUpSales, VolumeDiscount
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
        ClockBehindError,
        ConfigurationError,
        ConflictError,
        ContentionError,
        EventInvalidError,
        EventNotFoundError,
        ForeignPaymentError,
        HoldNotFoundError,
        HoldNotPendingError,
        IdempotencyConflictError,
        IndeterminateError,
        InsufficientFundsError,
        InvalidArgumentError,
        InvariantError,
        LedgerBusyError,
        LimitError,
        LotNotFoundError,
        MessageNotFoundError,
        MitigationNotFoundError,
        MitigationOverError,
        ModelLockedError,
        NotFoundError,
        NotFrozenError,
        OvertakenError,
        PaidThroughStripeError,
        PaymentNotFoundError,
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
        SignatureInvalidError,
        StorageError,
        StripeError,
        StripeRefusedError,
        StripeUnavailableError,
        SubscriptionExistsError,
        SubscriptionNotFoundError,
        TopUpNotFoundError,
        TopUpNotOpenError,
        TrialUsedError,
        UnavailableError,
        UnknownModelError,
        UnknownPaymentError,
        UnknownTierError,
        UnknownUnitError,
        UnreadableRowError,
        UnsafeDurabilityError,
        UsageError,
        UsageInconsistentError,
        UsageMissingError,
        UsageRefusedError,
    )
    from .operations.alerting import Scanned
    from .operations.reporting_usage import Reported
    from .operations.topping_up import Asked
    from .providers.prices import GenaiPrices
    from .providers.tokens import Tokenizers
    from .providers.usage import Reading, Shape, UsageStream, read_usage
    from .stripe.billing import ChangePreview, PreviewLine, Proration, StripeSubscription
    from .stripe.catalogue import SyncedPlans
    from .stripe.checkout import Checkout
    from .stripe.customers import TaxId
    from .stripe.endpoints import Endpoint, Stripe
    from .stripe.refunds import CreditNote, CreditReason, CreditTo, RefundReason, StripeRefund
    from .stripe.settings import Invoices, Metered, Tax

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
    "ChangePreview",
    "Charge",
    "Checkout",
    "Checkpoint",
    "CheckpointInvalidError",
    "CheckpointMismatchError",
    "ClaimKind",
    "ClaimReport",
    "ClockBehindError",
    "Complexity",
    "ConfigurationError",
    "ConflictError",
    "Content",
    "ContentionError",
    "Count",
    "CreditNote",
    "CreditReason",
    "CreditTo",
    "Delivered",
    "Discount",
    "Durability",
    "Endpoint",
    "Entitlement",
    "Entry",
    "Estimate",
    "EventInvalidError",
    "EventNotFoundError",
    "EventState",
    "Finding",
    "Flag",
    "ForeignPaymentError",
    "GenaiPrices",
    "Granted",
    "Grouping",
    "Headroom",
    "Hold",
    "HoldNotFoundError",
    "HoldNotPendingError",
    "HoldSize",
    "IdempotencyConflictError",
    "Inboxes",
    "IndeterminateError",
    "InsufficientFundsError",
    "Intake",
    "Interval",
    "InvalidArgumentError",
    "InvariantError",
    "Invoices",
    "KeptEvent",
    "LedgerBusyError",
    "Light",
    "Limit",
    "LimitError",
    "Limits",
    "LotNotFoundError",
    "Margin",
    "MarginGoals",
    "MarginReport",
    "Message",
    "MessageNotFoundError",
    "MessageState",
    "Meter",
    "Metered",
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
    "NotFrozenError",
    "Notice",
    "OpenHolds",
    "OutOfFunds",
    "Outcome",
    "Overage",
    "OvertakenError",
    "Page",
    "PaidThroughStripeError",
    "PaymentNotFoundError",
    "PaymentReport",
    "PeriodClosedError",
    "PeriodNotOverError",
    "PeriodNotSealedError",
    "PeriodOrderError",
    "PeriodReport",
    "Plan",
    "Plans",
    "Policy",
    "PreviewLine",
    "Price",
    "PriceChange",
    "PriceCheck",
    "PriceUse",
    "Processing",
    "Proration",
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
    "Received",
    "Referral",
    "ReferralRefusal",
    "ReferralRefusedError",
    "ReferralState",
    "ReferralStats",
    "ReferralTerms",
    "RefundReason",
    "RefusedError",
    "Report",
    "Reported",
    "Rerating",
    "Reward",
    "RewardKind",
    "RollForward",
    "RollOver",
    "Route",
    "Scanned",
    "SchemaOutdatedError",
    "Shape",
    "Side",
    "SideBalance",
    "SignatureInvalidError",
    "SigningKey",
    "Status",
    "StorageError",
    "Stripe",
    "StripeError",
    "StripeRefund",
    "StripeRefusedError",
    "StripeSubscription",
    "StripeUnavailableError",
    "Subscribed",
    "Subscription",
    "SubscriptionExistsError",
    "SubscriptionNotFoundError",
    "Summary",
    "SyncedPlans",
    "Tax",
    "TaxId",
    "Tier",
    "Tokenizers",
    "TopUp",
    "TopUpNotFoundError",
    "TopUpNotOpenError",
    "TopUpSales",
    "TopUpState",
    "TopUpTerms",
    "Trial",
    "TrialBalance",
    "TrialUsedError",
    "UnavailableError",
    "UnitBalance",
    "UnknownModelError",
    "UnknownPaymentError",
    "UnknownTierError",
    "UnknownUnitError",
    "UnpricedModel",
    "UnreadableRowError",
    "UnsafeDurabilityError",
    "Usage",
    "UsageError",
    "UsageInconsistentError",
    "UsageMissingError",
    "UsageRefusedError",
    "UsageStream",
    "VolumeDiscount",
    "When",
    "Worked",
    "Workload",
    "read_plans",
    "read_prices",
    "read_rate_card",
    "read_usage",
    "reference_card",
    "reference_plans",
]

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
