"""Purchasing: what the books know before Stripe is asked for something, and what they are told of it after."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from ..domain.checks import check_name
from ..domain.money import balances
from ..domain.payment_reports import payment_report
from ..domain.subscriptions import Status
from ..errors import (
    InvalidArgumentError,
    PaymentNotFoundError,
    SubscriptionExistsError,
    TrialUsedError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ..domain.money import Side, SideBalance
    from ..domain.payment_reports import PaymentReport
    from ..domain.payments import PaymentRecord
    from ..ports import Books


class Known(NamedTuple):
    """What an account is at Stripe, if it is anything, and the time."""

    customer: str | None
    at: datetime


def known(books: Books, *, account: str) -> Known:
    """
    What an account is at Stripe.

    Raises:
        InvalidArgumentError: Nothing can be called so.
    """
    check_name(account)
    return Known(books.payments.customer(account), books.ledger.now())


def remember(books: Books, *, account: str, customer: str) -> str:
    """Remember who an account is at Stripe; of two that are told of, the first is."""
    return books.payments.name_customer(account, customer)


def may_subscribe(books: Books, *, account: str, trial: bool) -> None:
    """
    Make sure that a subscription can begin, before anybody is sent to pay for it.

    Raises:
        SubscriptionExistsError: The account has one that goes on.
        TrialUsedError: It has had a trial already.
    """
    earlier = books.subscriptions.find(account)
    if earlier is None:
        return
    if replace(earlier, at=books.ledger.now()).status is not Status.ENDED:
        raise SubscriptionExistsError(account, earlier.plan)
    if trial and earlier.trial_end:
        raise TrialUsedError(account)


def record(books: Books, *, payment: str) -> PaymentRecord:
    """
    A payment as the books have it.

    Raises:
        PaymentNotFoundError: They have none of that id.
    """
    found = books.payments.find(payment)
    if found is None:
        raise PaymentNotFoundError(payment)
    return found


def find(books: Books, *, payment: str) -> PaymentReport:
    """What the books say of a payment; raises what `record` raises."""
    return payment_report(record(books, payment=payment))


def listed(books: Books, *, account: str | None, limit: int) -> tuple[PaymentReport, ...]:
    """
    Payments, the latest first.

    Raises:
        InvalidArgumentError: *limit* is not positive.
    """
    if limit < 1:
        msg = f"ask for at least one payment, not {limit}"
        raise InvalidArgumentError(msg)
    return tuple(payment_report(each) for each in books.payments.listed(account=account, limit=limit))


def sides(books: Books) -> Mapping[tuple[str, Side], SideBalance]:
    """What each side of the money has come to, by currency."""
    return balances(books.payments.entries())
