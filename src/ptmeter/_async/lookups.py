"""
Looking a subject up at Stripe: requests, no transaction, and in the end what is to be done in one.

Whatever an event was about, it comes to a payment as a whole, an invoice, a subscription or a payout; each is
fetched with all that belongs to it, so that the books can be brought in line with it at once.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..domain.inbox import Subject, SubjectKind
from ..domain.payments import sold_for
from ..errors import ForeignPaymentError, StripeRefusedError, UsageRefusedError
from ..operations import following, paying, receiving
from ..stripe import metering, notices, reading, subscriptions
from ..stripe.subjects import identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from ..domain.payments import Payment
    from ..ports import Books, Posting
    from ..stripe.reading import Bought
    from .platform import AsyncPlatform
    from .stripe_api import AsyncStripeApi

Json: TypeAlias = "Mapping[str, Any]"

Work: TypeAlias = "Callable[[Books], Posting[object]]"
"""What is to be done in the books."""

_NO_SESSION: Json = {}
_NOT_FOUND: Final = 404

_EXPAND_INTENT = ["latest_charge.balance_transaction"]
_EXPAND_REFUND = ["data.balance_transaction", "data.failure_balance_transaction"]


class AsyncLookups:
    """Looks subjects up."""

    def __init__(self, platform: AsyncPlatform, api: AsyncStripeApi) -> None:
        self._platform = platform
        self._api = api

    async def look_up(self, subject: Subject, at: datetime) -> Work:
        """
        What is to be done because of how a subject is now; *at* is when the looking up began, by the ledger's clock.

        Raises:
            StripeError: It cannot be asked for, or read, or nobody knows whose it is.
            UsageRefusedError: It is the report of a billing meter: somebody has to see to it.
            ConfigurationError: It is for a plan, and the meter was opened without plans.
        """
        match subject.kind:
            case SubjectKind.PAYMENT:
                return await self._payment(subject.id, at)
            case SubjectKind.CHARGE:
                return await self._payment_of(await self._api.get(f"charges/{subject.id}"), at)
            case SubjectKind.REFUND:
                return await self._payment_of(await self._api.get(f"refunds/{subject.id}"), at)
            case SubjectKind.DISPUTE:
                return await self._payment_of(await self._api.get(f"disputes/{subject.id}"), at)
            case SubjectKind.SESSION:
                return await self._session(await self._api.get(f"checkout/sessions/{subject.id}"), at)
            case SubjectKind.INVOICE:
                return await self._invoice(subject.id, at)
            case SubjectKind.SUBSCRIPTION:
                return await self._subscription(subject.id, at)
            case SubjectKind.PAYOUT:
                return await self._payout(subject.id)
            case SubjectKind.USAGE_REPORT:
                report = await self._api.get(f"/v2/core/events/{subject.id}")
                raise UsageRefusedError(*metering.refused(report))
            case _:
                return paying.nothing

    async def look_up_now(self, subject: Subject) -> Work:
        """The same for somebody who asks by himself."""
        return await self.look_up(subject, await self._platform.read(receiving.now))

    async def _payment_of(self, part: Json, at: datetime) -> Work:
        """The payment that a charge, a refund or a dispute belongs to."""
        name = identifier(part.get("payment_intent"))
        if name:
            return await self._payment(name, at)
        problem = "it has no payment intent, so it was not asked for through ptmeter"
        raise ForeignPaymentError(part["id"], problem)

    async def _session(self, session: Json, at: datetime) -> Work:
        if name := identifier(session.get("payment_intent")):
            return await self._payment(name, at)
        if not reading.is_free(session):
            return paying.nothing
        if not reading.says_what(reading.metadata_of(session)):
            raise ForeignPaymentError(session["id"], f"its metadata has no {reading.ACCOUNT}")
        return self._settle(reading.free_payment(session, units=self._platform.pricing.card.units))

    async def _payment(self, name: str, at: datetime) -> Work:
        intent = await self._api.get(f"payment_intents/{name}", expand=_EXPAND_INTENT)
        metadata = reading.metadata_of(intent)
        if intent["status"] != "succeeded":
            return self._unpaid(intent, metadata)
        session = await self._session_of(name)
        said = metadata if reading.says_what(metadata) else reading.metadata_of(session)
        if reading.says_what(said):
            units = self._platform.pricing.card.units
            return await self._settled(
                intent, reading.bought(intent, said, tax=reading.tax_of(session), units=units)
            )
        if invoice := await self._invoice_of(name):
            return await self._invoice(invoice, at)
        raise ForeignPaymentError(name, f"neither it nor its Checkout session has {reading.ACCOUNT}")

    async def _settled(self, intent: Json, bought: Bought) -> Work:
        """A payment with all that was claimed back of it, to be settled in the books."""
        name = intent["id"]
        found = reading.payment(
            intent,
            bought,
            refunds=await self._api.every("refunds", payment_intent=name, expand=_EXPAND_REFUND),
            disputes=await self._api.every("disputes", payment_intent=name),
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

    async def _session_of(self, intent: str) -> Json:
        """The Checkout session that led to a payment, if one did."""
        page = await self._api.get("checkout/sessions", payment_intent=intent, limit=1)
        found: list[Json] = page["data"]
        return found[0] if found else _NO_SESSION

    async def _invoice(self, name: str, at: datetime) -> Work:
        """The subscription that an invoice is for, as it stands, and then the invoice's payments."""
        invoice = await self._invoice_there(name)
        if not (subscription := subscriptions.of_invoice(invoice)):
            if reading.says_what(reading.metadata_of(invoice)):
                return paying.nothing  # its payment says all that there is to do
            raise ForeignPaymentError(name, "it is not for a subscription")
        document, follow = await self._followed(subscription, at)
        account = reading.account_in(reading.metadata_of(document), subscription)
        works = [follow, *await self._told(invoice, account)]
        works.append(partial(paying.invoiced, invoice=subscriptions.outstanding(invoice, account)))
        paid = await self._api.every("invoice_payments", invoice=name, status="paid")
        for payment, bought in subscriptions.paid_on(invoice, paid, account=account).items():
            intent = await self._api.get(f"payment_intents/{payment}", expand=_EXPAND_INTENT)
            works.append(await self._settled(intent, bought))
        return partial(paying.one_by_one, works=works)

    async def _told(self, invoice: Json, account: str) -> list[Work]:
        """What the account should be told of an invoice that is not paid."""
        if notice := notices.not_finalized(invoice, account):
            return [partial(paying.told, notice=notice)]
        if not notices.was_tried(invoice):
            return []
        page = await self._api.get("invoice_payments", invoice=invoice["id"], status="open", limit=1)
        asked = [each["payment"]["payment_intent"] for each in page["data"]]
        intents = [await self._api.get(f"payment_intents/{identifier(each)}") for each in asked if each]
        return [partial(paying.told, notice=notices.not_paid(invoice, intents, account))]

    async def _invoice_there(self, name: str) -> Json:
        try:
            return await self._api.get(f"invoices/{name}")
        except StripeRefusedError as refused:
            if refused.status != _NOT_FOUND:
                raise
            problem = "Stripe has no such invoice: it was a draft that is deleted, or the key is another account's"
            raise ForeignPaymentError(name, problem) from refused

    async def _invoice_of(self, intent: str) -> str:
        """The invoice that a payment was for, if it was for one."""
        of = {"type": "payment_intent", "payment_intent": intent}
        page = await self._api.get("invoice_payments", payment=of, limit=1)
        found: list[Json] = page["data"]
        return identifier(found[0]["invoice"]) if found else ""

    async def _subscription(self, name: str, at: datetime) -> Work:
        _, follow = await self._followed(name, at)
        return follow

    async def _followed(self, name: str, at: datetime) -> tuple[Json, Work]:
        """A subscription that is for a plan of ours, and what it takes to follow it."""
        document = await self._api.get(f"subscriptions/{name}", expand=["latest_invoice"])
        if not subscriptions.is_ours(document):
            raise ForeignPaymentError(name, f"neither it nor its price has {subscriptions.PLAN}")
        rules = self._platform.need_plans()
        customer = identifier(document["customer"])
        found = await self._api.every(
            "subscriptions", customer=customer, status="all", expand=["data.latest_invoice"]
        )
        going_on = subscriptions.going_on(document, found)
        current = await self._api.with_schedule(going_on[-1] if going_on else document)
        followed = subscriptions.followed(current, at)
        works: list[Work] = [partial(following.follow, theirs=followed, rules=rules)]
        if notice := notices.subscribed_twice(going_on, followed.account):
            works.append(partial(paying.told, notice=notice))
        return document, partial(paying.one_by_one, works=works)

    async def _payout(self, name: str) -> Work:
        expand = ["balance_transaction", "failure_balance_transaction"]
        payout = await self._api.get(f"payouts/{name}", expand=expand)
        return partial(
            paying.paid_out, payout=name, movements=reading.movements(name, *map(payout.get, expand))
        )
