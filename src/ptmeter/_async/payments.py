"""Payments: what is asked of Stripe, and what the books say of what was paid."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..asking import typed
from ..domain.choices import one_of
from ..domain.inbox import Subject, SubjectKind
from ..domain.messages import TOP_UP
from ..domain.metered_usage import TOPIC
from ..domain.pt import NANO, Money, scaled
from ..domain.top_up_sales import ANY, quote
from ..errors import ConfigurationError, IdempotencyConflictError, InvalidArgumentError
from ..operations import purchasing, reporting_usage
from ..operations.posting import alone
from ..operations.reporting_usage import MeteredUnit, Reported
from ..stripe import checkout, customers, refunds
from ..stripe.refunds import CreditReason, CreditTo, RefundReason
from ..stripe.requests import StripeRequest, idempotency_key, setting_key
from ..stripe.subjects import identifier
from .billing import AsyncBilling
from .charging import charge, send_usage
from .gateway import AsyncGateway
from .lookups import AsyncLookups

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..domain.messages import Message
    from ..domain.money import Side, SideBalance
    from ..domain.payment_reports import PaymentReport
    from ..domain.pt import Whole
    from ..domain.top_ups import TopUp
    from ..operations.delivering import AsyncHandler
    from ..stripe.checkout import Checkout
    from ..stripe.customers import TaxId
    from ..stripe.refunds import CreditNote, StripeRefund
    from .platform import AsyncPlatform
    from .stripe_api import AsyncStripeApi

Json: TypeAlias = "Mapping[str, Any]"

_EPOCH: Final = date(1970, 1, 1)


@typed
class AsyncPayments(AsyncBilling):
    """
    What is asked of Stripe: ``meter.payments``.

    Nothing here moves PT, but for `refresh` and `charge`, which look a payment up: what Stripe did is heard of by
    `AsyncWebhooks`. No transaction is open during a request. What is created carries a key made of yours, by which
    Stripe does it once for a day; what could be done twice later is looked for first. All of it raises
    `StripeUnavailableError` (try again with the same key) and `StripeRefusedError`, and `ConfigurationError` on a meter
    without a key for Stripe.
    """

    def __init__(self, platform: AsyncPlatform, api: AsyncStripeApi) -> None:
        self._platform = platform
        self._gateway = AsyncGateway(platform, api)
        self._lookups = AsyncLookups(platform, api)

    # --- paying ---

    async def customer(
        self,
        account: str,
        *,
        email: str | None = None,
        name: str | None = None,
        tax_id: TaxId | None = None,
        address: Mapping[str, str] | None = None,
    ) -> str:
        """
        The id of the account's customer at Stripe, which is created when it is first asked for.

        The other arguments are told to Stripe; what is left out stays as it is. *address* goes by Stripe's names:
        ``line1``, ``line2``, ``city``, ``state``, ``postal_code``, ``country``.

        Raises:
            InvalidArgumentError: Nothing can be called so.
        """
        here = self._gateway
        found = await here.customer(account)
        at = (await here.known(account)).at
        if request := customers.update(found, email=email, name=name, address=address):
            await here.send(request, key=setting_key(request, at))
        if tax_id:
            known = await here.every(StripeRequest(f"customers/{found}/tax_ids"))
            if not customers.has_tax_id(known, tax_id):
                added = customers.add_tax_id(found, tax_id)
                await here.send(added, key=setting_key(added, at))
        return found

    async def checkout(
        self,
        account: str,
        *,
        success_url: str,
        cancel_url: str,
        key: str,
        save_card: bool = False,
        **amounts: Whole,
    ) -> Checkout:
        """
        Have PT paid for by Checkout: send the customer to the ``url`` of what is returned.

        They cost what the rate card sells them at, less what the plans take off large top-ups. They are granted once
        Stripe says that they are paid for.

        Args:
            account: Your own name for who is billed.
            success_url: Where the customer comes back to who has paid.
            cancel_url: Where the one comes back to who has not.
            key: Your own name for this purchase; the same opens the same session, for a day.
            save_card: Keep what is paid with, for automatic top-ups.
            amounts: Whole PT by unit, ``core=1_000``.

        Raises:
            InvalidArgumentError: The plans do not sell that many at once, or an address is none.
            IdempotencyConflictError: The key was used for another purchase.
            UnknownUnitError: The platform has no such unit.
        """
        here = self._gateway
        wanted = self._platform.micro(amounts)
        prices = {unit: self._platform.pricing.card.unit(unit).sells_at for unit in wanted}
        plans = self._platform.plans
        asked = quote(wanted, prices, plans.top_ups if plans else ANY)
        request = checkout.top_up(
            account,
            await here.customer(account),
            wanted,
            asked,
            here.stripe,
            success_url=success_url,
            cancel_url=cancel_url,
            key=key,
            save_card=save_card,
        )
        session = await here.once(request, "checkout", account, key)
        return checkout.checkout(session, amount=asked.amount, discount=asked.discount)

    async def portal(self, account: str, *, return_url: str) -> str:
        """Where the account looks after its cards, invoices and subscription at Stripe, for a few minutes."""
        here = self._gateway
        customer = await here.customer(account)
        request = customers.portal(customer, return_url)
        session = await here.send(request, key=setting_key(request, (await here.known(account)).at))
        return session["url"]

    async def charge(self, message: Message | TopUp) -> None:
        """
        Charge the account's saved card for an automatic top-up: a handler of ``top_up.requested`` for the outbox.

        What is paid at once is granted at once. A card that is declined, or whose bank asks for its holder, makes the
        top-up fail, and it is asked for again after its pause. However often it is delivered, it is charged once.

        Raises:
            StripeUnavailableError: Stripe did not answer: the outbox tries again.
            TopUpNotFoundError: Nobody asked for it.
        """
        await charge(self._gateway, self._lookups, message)

    @property
    def handlers(self) -> Mapping[str, AsyncHandler]:
        """What `AsyncOutbox.deliver` takes, to charge automatic top-ups and to send metered usage."""
        return {TOP_UP: self.charge, TOPIC: self.send_usage}

    # --- giving back ---

    async def refund(
        self,
        payment: str,
        *,
        key: str,
        amount: Money | Whole | None = None,
        reason: RefundReason | str = RefundReason.REQUESTED,
        **amounts: Whole,
    ) -> StripeRefund:
        """
        Give a payment's money back: all that is left of it, so much money, or what so many PT of it cost.

        The PT are taken back once Stripe is heard of, or `refresh` is asked. The same key gives back once, for ever.

        Raises:
            PaymentNotFoundError: The books have no payment of that id.
            InvalidArgumentError: The amount is not one of this payment.
            IdempotencyConflictError: The key was used for another amount of it.
            StripeRefusedError: There is not so much left of it, or it is disputed.
        """
        here = self._gateway
        record = await self._platform.read(partial(purchasing.record, payment=payment))
        if len(amounts) + (amount is not None) > 1:
            msg = (
                "say how much to refund in one way: amount=..., or PT of one unit, or neither for all of it"
            )
            raise InvalidArgumentError(msg)
        asked = None
        if amounts:
            asked = refunds.worth(record, self._platform.micro(amounts))
        elif amount is not None:
            asked = refunds.minor_of(_money(amount, record.currency), record.currency)
        request = refunds.create(payment, asked, reason=one_of(RefundReason, reason), key=key)
        there = await here.every(StripeRequest("refunds", {"payment_intent": payment}))
        made = refunds.made_before(there, key)
        if made and asked is not None and made["amount"] != asked:
            raise IdempotencyConflictError(record.account, key)
        made = made or await here.send(request, key=idempotency_key("refund", payment, key))
        return refunds.refunded(made, payment)

    async def credit_note(
        self,
        invoice: str,
        *,
        key: str,
        amount: Money | Whole | None = None,
        to: CreditTo | str = CreditTo.REFUND,
        reason: CreditReason | str | None = None,
        memo: str = "",
    ) -> CreditNote:
        """
        Credit an invoice, or so much of it, tax included.

        One that is not paid is owed less; of one that is, the money goes where *to* says. The same key credits once.

        Raises:
            InvalidArgumentError: The invoice was never finalized or is void, or there is nothing left to credit.
            StripeRefusedError: There is no such invoice, or not so much left of it.
        """
        request = await self._credit(invoice, amount, to, reason, memo, key)
        there = await self._gateway.every(StripeRequest("credit_notes", {"invoice": invoice}))
        made = refunds.made_before(there, key)
        name = idempotency_key("credit_note", invoice, key)
        return refunds.credit_note(made or await self._gateway.send(request, key=name), invoice)

    async def preview_credit_note(
        self,
        invoice: str,
        *,
        amount: Money | Whole | None = None,
        to: CreditTo | str = CreditTo.REFUND,
    ) -> CreditNote:
        """What a credit note would be; raises what `credit_note` raises, and changes nothing."""
        request = await self._credit(invoice, amount, to, None, "", "")
        return refunds.previewed(await self._gateway.get(refunds.credit_preview(request)), invoice)

    # --- what the books say ---

    async def refresh(self, payment: str) -> PaymentReport:
        """
        Look a payment up at Stripe now, and bring the books in line with it as a webhook would.

        Raises:
            InvalidArgumentError: That is the name of no payment.
            PaymentNotFoundError: It is not paid, so the books have nothing to say of it.
            UnknownPaymentError: Nobody here can be given PT for it.
            ForeignPaymentError: It says nothing of ptmeter.
            StripeRefusedError: There is no such payment.
        """
        if not payment.startswith("pi_"):
            msg = (
                f"a payment is named pi_…, not {payment!r}: of a Checkout session it is the payment_intent"
            )
            raise InvalidArgumentError(msg)
        work = await self._lookups.look_up_now(Subject(SubjectKind.PAYMENT, _id(payment)))
        await self._platform.run(partial(alone, work=work))
        return await self.find(payment)

    async def find(self, payment: str) -> PaymentReport:
        """
        What the books say of a payment (``pi_…``).

        Raises:
            PaymentNotFoundError: They have none of that id.
        """
        return await self._platform.read(partial(purchasing.find, payment=payment))

    async def list(self, *, account: str | None = None, limit: int = 100) -> tuple[PaymentReport, ...]:
        """
        Payments, the latest first.

        Raises:
            InvalidArgumentError: *limit* is not positive.
        """
        return await self._platform.read(partial(purchasing.listed, account=account, limit=limit))

    async def balances(self) -> Mapping[tuple[str, Side], SideBalance]:
        """What each side of the money has come to, in minor units, by currency; it reads all entries."""
        return await self._platform.survey(purchasing.sides)

    # --- usage that is billed afterwards ---

    async def report_usage(self, *, portion: int = 200) -> Reported:
        """
        Write down what was charged in `Stripe.metered` units and not reported yet, as messages; run it every hour.

        However many run at once, and however often, each micro-PT is reported once. `send_usage` sends the messages.

        Raises:
            ConfigurationError: No unit is billed afterwards.
        """
        metered = self._gateway.stripe.metered
        units = {
            unit: MeteredUnit(each.event, (each.since - _EPOCH).days) for unit, each in metered.items()
        }
        if not units:
            msg = "no unit is billed afterwards: open the meter with stripe=Stripe(metered={...})"
            raise ConfigurationError(msg)
        done, after = Reported(), None
        while True:
            scan = partial(reporting_usage.scan, units=units, after=after, limit=portion)
            part, after = await self._platform.run(scan)
            done = done.plus(part)
            if after is None:
                return done

    async def send_usage(self, message: Message) -> None:
        """
        Send a report to the billing meter: a handler of ``stripe.meter_event`` for the outbox.

        Stripe knows it by the message's id for a day; one that was tried before that is not sent again by itself.

        Raises:
            StripeUnavailableError: Stripe did not answer: the outbox tries again.
            StripeRefusedError: It is older than the 35 days that Stripe takes.
            InvalidArgumentError: Nobody can say whether Stripe has it.
        """
        await send_usage(self._gateway, message)

    async def _credit(
        self,
        invoice: str,
        amount: Money | Whole | None,
        to: CreditTo | str,
        reason: CreditReason | str | None,
        memo: str,
        key: str,
    ) -> StripeRequest:
        document = await self._gateway.get(StripeRequest(f"invoices/{_id(invoice)}"))
        currency: str = document["currency"]
        asked = None if amount is None else refunds.minor_of(_money(amount, currency), currency)
        return refunds.credit(
            document,
            amount=asked,
            to=one_of(CreditTo, to),
            reason=None if reason is None else one_of(CreditReason, reason),
            memo=memo,
            key=key,
        )


def _money(amount: Money | Whole, currency: str) -> Money:
    if isinstance(amount, Money):
        return amount
    return Money(scaled(amount, NANO, currency.upper()), currency.upper())


def _id(name: str) -> str:
    if not identifier(name):
        msg = f"{name!r} is no id of Stripe's"
        raise InvalidArgumentError(msg)
    return name
