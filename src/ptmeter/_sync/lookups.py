# Generated from src/ptmeter/_async/lookups.py by scripts/unasync.py: edit that file, then run `make format`.
"""
Looking a subject up at Stripe: requests, no transaction, and in the end what is to be done in one.

Whatever an event was about, it comes to a payment as a whole, an invoice, a subscription or a payout; each is
fetched with all that belongs to it, so that the books can be brought in line with it at once.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from ..domain.inbox import Subject, SubjectKind
from ..domain.payments import sold_for
from ..errors import UnknownPaymentError
from ..operations import following, paying
from ..stripe import reading, subscriptions
from ..stripe.subjects import identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from ..domain.payments import Payment
    from ..ports import Books, Posting
    from .platform import Platform
    from .stripe_api import StripeApi

Json: TypeAlias = "Mapping[str, Any]"

Work: TypeAlias = "Callable[[Books], Posting[object]]"
"""What is to be done in the books."""

_NO_SESSION: Json = {}

_EXPAND_INTENT = ["latest_charge.balance_transaction"]
_EXPAND_REFUND = ["data.balance_transaction", "data.failure_balance_transaction"]


class Lookups:
    """Looks subjects up."""

    def __init__(self, platform: Platform, api: StripeApi) -> None:
        self._platform = platform
        self._api = api

    def look_up(self, subject: Subject) -> Work:
        """
        What is to be done because of how a subject is now.

        Raises:
            StripeError: It cannot be asked for, or read, or nobody knows whose it is.
        """
        match subject.kind:
            case SubjectKind.PAYMENT:
                return self._payment(subject.id)
            case SubjectKind.CHARGE:
                return self._payment_of(self._api.get(f"charges/{subject.id}"))
            case SubjectKind.REFUND:
                return self._payment_of(self._api.get(f"refunds/{subject.id}"))
            case SubjectKind.DISPUTE:
                return self._payment_of(self._api.get(f"disputes/{subject.id}"))
            case SubjectKind.SESSION:
                return self._session(self._api.get(f"checkout/sessions/{subject.id}"))
            case SubjectKind.INVOICE:
                return self._invoice(subject.id)
            case SubjectKind.SUBSCRIPTION:
                return self._subscription(subject.id)
            case SubjectKind.PAYOUT:
                return self._payout(subject.id)
            case _:
                return paying.nothing

    def _payment_of(self, part: Json) -> Work:
        """The payment that a charge, a refund or a dispute belongs to."""
        name = identifier(part.get("payment_intent"))
        if name:
            return self._payment(name)
        problem = "it has no payment intent: it was not asked for through ptmeter"
        raise UnknownPaymentError(part["id"], problem)

    def _session(self, session: Json) -> Work:
        if name := identifier(session.get("payment_intent")):
            return self._payment(name)
        if not reading.is_free(session):
            return paying.nothing
        return self._settle(reading.free_payment(session, units=self._platform.pricing.card.units))

    def _payment(self, name: str) -> Work:
        intent = self._api.get(f"payment_intents/{name}", expand=_EXPAND_INTENT)
        metadata = reading.metadata_of(intent)
        if intent["status"] != "succeeded":
            return self._unpaid(intent, metadata)
        session = self._session_of(name)
        said = metadata if reading.says_what(metadata) else reading.metadata_of(session)
        if not reading.says_what(said) and (invoice := self._invoice_of(name)):
            return self._invoice(invoice)
        return self._settled(intent, said, tax=reading.tax_of(session))

    def _settled(self, intent: Json, said: Json, *, tax: int, cycle: datetime | None = None) -> Work:
        """A payment with all that was claimed back of it, to be settled in the books."""
        name = intent["id"]
        found = reading.payment(
            intent,
            said,
            tax=tax,
            refunds=self._api.every("refunds", payment_intent=name, expand=_EXPAND_REFUND),
            disputes=self._api.every("disputes", payment_intent=name),
            units=self._platform.pricing.card.units,
            cycle=cycle,
        )
        return self._settle(found)

    def _settle(self, payment: Payment) -> Work:
        prices = {name: unit.sells_at for name, unit in self._platform.pricing.card.units.items()}
        return partial(paying.settle, payment=payment, paid=sold_for(payment, prices))

    def _unpaid(self, intent: Json, metadata: Json) -> Work:
        """An automatic top-up whose payment failed pauses; anything else that is not paid changes nothing."""
        error: Json = intent.get("last_payment_error") or {}
        failed = intent["status"] == "canceled" or (intent["status"] == "requires_payment_method" and error)
        top_up = metadata.get(reading.TOP_UP)
        if not failed or not top_up:
            return paying.nothing
        reason = error.get("message") or intent.get("cancellation_reason") or intent["status"]
        return partial(paying.top_up_failed, top_up=top_up, reason=reason)

    def _session_of(self, intent: str) -> Json:
        """The Checkout session that led to a payment, if one did."""
        page = self._api.get("checkout/sessions", payment_intent=intent, limit=1)
        found: list[Json] = page["data"]
        return found[0] if found else _NO_SESSION

    def _invoice(self, name: str) -> Work:
        """The subscription that an invoice is for, as it stands, and then the invoice's payment."""
        invoice = self._api.get(f"invoices/{name}")
        subscription = subscriptions.of_invoice(invoice)
        if not subscription:
            return paying.nothing
        document, follow = self._followed(subscription)
        if document is None:
            return paying.nothing
        paid = self._api.every("invoice_payments", invoice=name, status="paid")
        settled = [
            self._settled(
                self._api.get(f"payment_intents/{intent}", expand=_EXPAND_INTENT),
                reading.metadata_of(document),
                tax=subscriptions.tax_of(invoice),
                cycle=reading.moment(subscriptions.period_of(invoice)),
            )
            for each in paid
            if (intent := identifier(each["payment"].get("payment_intent")))
        ]
        return partial(paying.one_by_one, works=[follow, *settled])

    def _invoice_of(self, intent: str) -> str:
        """The invoice that a payment was for, if it was for one."""
        of = {"type": "payment_intent", "payment_intent": intent}
        page = self._api.get("invoice_payments", payment=of, limit=1)
        found: list[Json] = page["data"]
        return identifier(found[0]["invoice"]) if found else ""

    def _subscription(self, name: str) -> Work:
        _, follow = self._followed(name)
        return follow

    def _followed(self, name: str) -> tuple[Json | None, Work]:
        """A subscription that is for a plan of ours, and what it takes to follow it."""
        document = self._api.get(f"subscriptions/{name}", expand=["latest_invoice"])
        rules = self._platform.rules
        if rules is None or not subscriptions.is_ours(document):
            return None, paying.nothing
        theirs = subscriptions.followed(self._standing(document))
        return document, partial(following.follow, theirs=theirs, rules=rules)

    def _standing(self, document: Json) -> Json:
        """The subscription that its account is on: if another began later and goes on, that says so."""
        found = self._api.every(
            "subscriptions",
            customer=identifier(document["customer"]),
            status="all",
            expand=["data.latest_invoice"],
        )
        return subscriptions.standing(document, found)

    def _payout(self, name: str) -> Work:
        expand = ["balance_transaction", "failure_balance_transaction"]
        payout = self._api.get(f"payouts/{name}", expand=expand)
        return partial(
            paying.paid_out, payout=name, movements=reading.movements(name, *map(payout.get, expand))
        )
