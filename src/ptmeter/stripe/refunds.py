"""Refunds and credit notes: giving money back, whole or in part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from ..domain.minor_units import minor, of_minor
from ..domain.money import coin
from ..domain.pt import PT
from ..errors import InvalidArgumentError
from .checkout import KEY
from .reading import metadata_of, refund
from .requests import StripeRequest, given

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..domain.payments import PaymentRecord, RefundStage
    from ..domain.pt import Money

Json: TypeAlias = "Mapping[str, Any]"


class RefundReason(StrEnum):
    """Why a payment is refunded, as far as Stripe wants to know."""

    REQUESTED = "requested_by_customer"
    DUPLICATE = "duplicate"
    FRAUDULENT = "fraudulent"
    """Stripe then refuses this card from now on."""


class CreditReason(StrEnum):
    """Why an invoice is credited, as it stands on the credit note."""

    DUPLICATE = "duplicate"
    FRAUDULENT = "fraudulent"
    ORDER_CHANGE = "order_change"
    UNSATISFACTORY = "product_unsatisfactory"


class CreditTo(StrEnum):
    """Where the money of a paid invoice goes that is credited."""

    REFUND = "refund_amount"
    """Back to where it came from."""
    BALANCE = "credit_amount"
    """To the customer's balance at Stripe, which the next invoice draws on."""
    OUTSIDE = "out_of_band_amount"
    """Nowhere by Stripe: it was given back in another way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeRefund:
    """A refund at Stripe; the books follow once it is heard of there."""

    id: str
    payment: str
    amount: Money
    stage: RefundStage


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditNote:
    """A credit note, or what one would be: then ``id`` and ``number`` are empty."""

    id: str
    number: str
    invoice: str
    amount: Money
    tax: Money
    status: str
    pdf: str = ""


def worth(record: PaymentRecord, amounts: Mapping[str, int]) -> int:
    """
    How much of a payment's money so many micro-PT stand for, in minor units, rounded down.

    Rounded down, because of what is refunded the PT are taken back that it stands for: never more than was said.

    Raises:
        InvalidArgumentError: The payment brought other PT, or of several units; or that many are worth nothing.
    """
    ((unit, micro),) = amounts.items()
    granted = record.granted.get(unit, 0)
    if len(record.granted) > 1:
        msg = (
            f"payment {record.id} brought PT of several units, whose shares of it a refund takes together: "
            "say the amount of money instead"
        )
        raise InvalidArgumentError(msg)
    if not 0 < micro <= granted:
        msg = f"payment {record.id} brought {PT(granted)} {unit}, so {PT(micro)} of it cannot be refunded"
        raise InvalidArgumentError(msg)
    least = coin(record.currency)
    if amount := record.amount * micro // (granted * least) * least:
        return amount
    msg = f"{PT(micro)} {unit} of payment {record.id} are worth less than the smallest coin of it"
    raise InvalidArgumentError(msg)


def create(payment: str, amount: int | None, *, reason: RefundReason, key: str) -> StripeRequest:
    """A refund of so many minor units, or of all that is left."""
    params = given(payment_intent=payment, amount=amount, reason=str(reason), metadata={KEY: key})
    return StripeRequest("refunds", params)


def made_before(documents: Iterable[Json], key: str) -> Json | None:
    """What was made under the caller's key, however long ago: Stripe's own memory of keys lasts a day."""
    return next((each for each in documents if metadata_of(each).get(KEY) == key), None)


def refunded(document: Json, payment: str) -> StripeRefund:
    """The refund that Stripe made."""
    found, _ = refund({**document, "balance_transaction": None, "failure_balance_transaction": None})
    amount = of_minor(found.amount, document["currency"])
    return StripeRefund(id=found.id, payment=payment, amount=amount, stage=found.stage)


def credit(
    invoice: Json, *, amount: int | None, to: CreditTo, reason: CreditReason | None, memo: str, key: str
) -> StripeRequest:
    """
    A credit note over so much of an invoice, tax included, or over all that was not credited yet.

    On one that is not paid it lowers what is owed; on one that is, the money goes where *to* says.

    Raises:
        InvalidArgumentError: The invoice is a draft or void, or there is nothing left to credit.
    """
    name, status = invoice["id"], invoice["status"]
    if status not in {"open", "paid", "uncollectible"}:
        msg = f"invoice {name} is {status}: a credit note is for one that was finalized and stands"
        raise InvalidArgumentError(msg)
    credited = _already(invoice)
    sum_ = invoice["total"] - credited if amount is None else amount
    if sum_ <= 0:
        msg = f"there is nothing of invoice {name} to credit: {credited} of {invoice['total']} were"
        raise InvalidArgumentError(msg)
    where = {str(to): sum_} if status == "paid" else {}
    params = given(
        invoice=name, amount=sum_, reason=reason and str(reason), memo=memo, metadata={KEY: key}, **where
    )
    return StripeRequest("credit_notes", params)


def credit_preview(request: StripeRequest) -> StripeRequest:
    """What that credit note would be."""
    return StripeRequest("credit_notes/preview", request.params)


def credit_note(document: Json, invoice: str) -> CreditNote:
    """The credit note that Stripe made, or would make."""
    currency: str = document["currency"]
    taxes: Iterable[Json] = document.get("total_taxes") or ()
    return CreditNote(
        id=document.get("id") or "",
        number=document.get("number") or "",
        invoice=invoice,
        amount=of_minor(document["total"], currency),
        tax=of_minor(sum(each["amount"] for each in taxes), currency),
        status=document.get("status") or "",
        pdf=document.get("pdf") or "",
    )


def previewed(document: Json, invoice: str) -> CreditNote:
    """The credit note that Stripe would make: what it is called meanwhile names nothing."""
    return replace(credit_note(document, invoice), id="", number="", pdf="")


def minor_of(amount: Money, currency: str) -> int:
    """
    An amount in minor units of the currency that something was paid in.

    Raises:
        InvalidArgumentError: It is in another currency, is not whole in it, or nothing.
    """
    found = minor(amount)
    if amount.currency != currency.upper() or of_minor(found, currency) != amount or found <= 0:
        msg = f"{amount} is no amount of {currency.upper()} that can be given back"
        raise InvalidArgumentError(msg)
    return found


def _already(invoice: Json) -> int:
    before: int = invoice.get("pre_payment_credit_notes_amount") or 0
    after: int = invoice.get("post_payment_credit_notes_amount") or 0
    return before + after
