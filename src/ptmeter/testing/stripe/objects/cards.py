"""Stripe's test cards and accounts: what a payment with each of them comes to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

Outcome = Literal["succeeds", "declined", "action", "processing"]
"""What confirming a payment comes to at once."""


@dataclass(frozen=True, slots=True)
class Means:
    """A card or an account to pay with, and its fate."""

    last4: str = "4242"
    brand: str = "visa"
    kind: str = "card"
    outcome: Outcome = "succeeds"
    code: str | None = None
    decline_code: str | None = None
    attaches: bool = True
    """Whether it can be saved for a customer; a charge may fail all the same."""
    dispute: str | None = None
    """The reason of the dispute that follows a payment."""
    inquiry: bool = False
    available: bool = False
    """Whether the money skips the pending balance."""
    refund: Literal["succeeds", "pending", "fails"] = "succeeds"
    later: Literal["succeeds", "fails"] = "succeeds"
    """What becomes of a payment that is processing, or that the customer has authenticated."""
    after: int | None = 0
    """Seconds until then; None if a test says when."""


def _declined(last4: str, code: str, decline_code: str | None = None, *, attaches: bool = False) -> Means:
    return Means(last4, outcome="declined", code=code, decline_code=decline_code, attaches=attaches)


def _delayed(
    kind: str, last4: str, after: int = 0, later: Literal["succeeds", "fails"] = "succeeds"
) -> Means:
    return Means(last4, "", kind, outcome="processing", after=after, later=later)


MEANS: Final = {
    "visa": Means(),
    "visa_debit": Means("5556"),
    "mastercard": Means("4444", "mastercard"),
    "amex": Means("8431", "amex"),
    "discover": Means("9424", "discover"),
    "bypassPending": Means("0077", available=True),
    "chargeDeclined": _declined("0002", "card_declined", "generic_decline"),
    "chargeDeclinedInsufficientFunds": _declined("9995", "card_declined", "insufficient_funds"),
    "chargeDeclinedLostCard": _declined("9987", "card_declined", "lost_card"),
    "chargeDeclinedStolenCard": _declined("9979", "card_declined", "stolen_card"),
    "chargeDeclinedFraudulent": _declined("0019", "card_declined", "fraudulent"),
    "chargeDeclinedExpiredCard": _declined("0069", "expired_card"),
    "chargeDeclinedIncorrectCvc": _declined("0127", "incorrect_cvc"),
    "chargeDeclinedProcessingError": _declined("0119", "processing_error"),
    "chargeCustomerFail": _declined("0341", "card_declined", "generic_decline", attaches=True),
    "createDispute": Means("0259", dispute="fraudulent"),
    "createDisputeProductNotReceived": Means("2685", dispute="product_not_received"),
    "createDisputeInquiry": Means("1976", dispute="general", inquiry=True),
    "authenticationRequired": Means("3184", outcome="action"),
    "authenticationRequiredChargeDeclinedInsufficientFunds": Means("3063", outcome="action", later="fails"),
    "threeDSecure2Required": Means("3220", outcome="action"),
    "threeDSecureRequired": Means("3220", outcome="action"),
    "refundFail": Means("5126", refund="fails"),
    "pendingRefund": Means("7726", refund="pending"),
}
"""Cards, by what ``pm_card_`` and ``tok_`` are followed by."""

NUMBERS: Final = {
    "4242424242424242": "visa",
    "4000056655665556": "visa_debit",
    "5555555555554444": "mastercard",
    "4000000000000077": "bypassPending",
    "4000000000000002": "chargeDeclined",
    "4000000000009995": "chargeDeclinedInsufficientFunds",
    "4000000000009987": "chargeDeclinedLostCard",
    "4000000000009979": "chargeDeclinedStolenCard",
    "4000000000000069": "chargeDeclinedExpiredCard",
    "4000000000000127": "chargeDeclinedIncorrectCvc",
    "4000000000000119": "chargeDeclinedProcessingError",
    "4000000000000341": "chargeCustomerFail",
    "4000000000000259": "createDispute",
    "4000000000002685": "createDisputeProductNotReceived",
    "4000000000001976": "createDisputeInquiry",
    "4000002760003184": "authenticationRequired",
    "4000000000003220": "threeDSecure2Required",
    "4000000000005126": "refundFail",
    "4000000000007726": "pendingRefund",
}

MINUTES: Final = 180
"""Seconds that the accounts which are settled late take."""

IBANS: Final = {
    "AT611904300234573201": _delayed("sepa_debit", "3201"),
    "AT321904300235473204": _delayed("sepa_debit", "3204", MINUTES),
    "AT861904300235473202": _delayed("sepa_debit", "3202", later="fails"),
    "AT051904300235473205": _delayed("sepa_debit", "3205", MINUTES, "fails"),
    "AT591904300235473203": replace(_delayed("sepa_debit", "3203"), dispute="debit_not_authorized"),
    "IT60X0542811101000000123456": _delayed("sepa_debit", "3456", later="fails"),
    "DE89370400440532013000": _delayed("sepa_debit", "3000"),
}

ACCOUNTS: Final = {
    "usBankAccount_success": _delayed("us_bank_account", "6789"),
    "usBankAccount_processing": _delayed("us_bank_account", "9000", MINUTES),
    "usBankAccount_insufficientFunds": _delayed("us_bank_account", "2227", later="fails"),
}
"""Accounts at US banks, by what ``pm_`` is followed by."""


def means(token: str) -> Means | None:
    """Return what a test token or the id of a test payment method stands for."""
    for start in ("pm_card_", "tok_"):
        name = token.removeprefix(start)
        if name != token:
            return MEANS.get(name) or MEANS.get(name.removeprefix("visa_"))
    return ACCOUNTS.get(token.removeprefix("pm_"))
