"""The request was understood and refused; nothing was moved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import PtmeterError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from decimal import Decimal
    from enum import StrEnum


class RefusedError(PtmeterError):
    """The request was understood and refused; nothing was moved."""

    code = "refused"


class InsufficientFundsError(RefusedError):
    """The wallet has less available than the call may cost, both in whole PT: top up, or ask for less."""

    code = "insufficient_funds"

    def __init__(self, account: str, unit: str, *, available: Decimal, required: Decimal) -> None:
        self.account = account
        self.unit = unit
        self.available = available
        self.required = required
        super().__init__(
            f"account {account!r} has {available:f} {unit} PT available and {required:f} are required: "
            f"top up, or ask for less"
        )


class ModelLockedError(RefusedError):
    """The account's plan does not include the model; ``opens_with`` names the cheapest that does."""

    code = "model_locked"

    def __init__(self, model: str, plan: str, opens_with: str | None) -> None:
        self.model = model
        self.plan = plan
        self.opens_with = opens_with
        remedy = f"plan {opens_with!r} opens it" if opens_with else "no plan opens it"
        super().__init__(f"model {model!r} is not part of plan {plan!r}: {remedy}")


class LimitError(RefusedError):
    """
    A limit of the account, or of one above it, is reached: try again at ``retry_at``, or have it raised.

    ``limit`` says which (``pace``, ``concurrent``, ``cap``, ``spend_cap``, ``hard_cap``, ``burn_rate``), ``scope``
    whose it is and ``what`` what it counts. ``allowed`` and ``used`` are requests, calls, whole PT or money, and so
    is ``asked``, what the call would have added: less may fit now, where PT or money are limited.
    Without ``retry_at`` waiting does not help.
    """

    code = "limit_reached"
    retryable = True

    def __init__(
        self,
        account: str,
        limit: str,
        *,
        scope: str,
        what: str,
        allowed: Decimal | int,
        used: Decimal | int,
        retry_at: datetime | None,
        asked: Decimal | int = 1,
    ) -> None:
        self.account = account
        self.limit = limit
        self.scope = scope
        self.what = what
        self.allowed = allowed
        self.used = used
        self.retry_at = retry_at
        self.asked = asked
        counted = f": {used:,} of {allowed:,} {what} used" if what else ""
        if limit in ("cap", "spend_cap", "hard_cap"):
            counted += f", {asked:,} asked for, {max(allowed - used, 0):,} would fit now"
        when = f"try again at {retry_at:%Y-%m-%d %H:%M:%S} UTC" if retry_at else "waiting does not help"
        super().__init__(f"account {account!r} has reached the limit {limit} of {scope!r}{counted}; {when}")


class AccountFrozenError(RefusedError):
    """The wallet is frozen or closed: it takes no new holds or debits until it is reopened."""

    code = "account_frozen"

    def __init__(self, account: str, unit: str) -> None:
        self.account = account
        self.unit = unit
        super().__init__(f"the {unit} wallet of account {account!r} is not open for spending")


class ApprovalMissingError(RefusedError):
    """What was asked for takes two persons, and both names were the same: have somebody else approve it."""

    code = "approval_missing"

    def __init__(self, by: str) -> None:
        self.by = by
        super().__init__(f"{by!r} cannot approve it too: this takes a second person")


class TrialUsedError(RefusedError):
    """The account has had a trial already, and has one only once: subscribe without."""

    code = "trial_used"

    def __init__(self, account: str) -> None:
        self.account = account
        super().__init__(f"account {account!r} has had its trial already: subscribe without one")


class ReferralRefusedError(RefusedError):
    """The account may not use the referral code; ``reason`` says why: an unknown code, its own, one too many and so on."""

    code = "referral_refused"

    def __init__(self, account: str, reason: StrEnum) -> None:
        self.account = account
        self.reason = reason
        super().__init__(f"account {account!r} may not use the referral code: {reason.replace('_', ' ')}")


class RateLimitedError(RefusedError):
    """
    Too many requests in too short a time, counted outside of the ledger: try again at ``retry_at``.

    ``name`` is who asked; it is in no message, for it may be a secret. ``answered`` is false where what counts did not
    answer, and that refuses. ``status`` and ``headers`` are what to answer with over HTTP.
    """

    code = "rate_limited"
    retryable = True

    def __init__(
        self,
        name: str,
        *,
        allowed: int,
        seconds: int,
        retry_at: datetime,
        answered: bool,
        status: int,
        headers: Mapping[str, str],
    ) -> None:
        self.name = name
        self.allowed = allowed
        self.seconds = seconds
        self.retry_at = retry_at
        self.answered = answered
        self.status = status
        self.headers = headers
        many = f"more than {allowed:,} requests in {seconds:,} seconds"
        what = many if answered else "requests cannot be counted at the moment"
        super().__init__(f"{what}: try again at {retry_at:%Y-%m-%d %H:%M:%S} UTC")
