"""Checkout: where a customer pays for PT or begins a subscription, on a page of Stripe's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..domain.minor_units import minor
from ..domain.pt import PT, plain
from ..errors import InvalidArgumentError
from .customers import printed
from .reading import ACCOUNT, PREFIX, moment
from .requests import StripeRequest, given

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ..domain.pt import Money
    from ..domain.subscriptions import Interval
    from ..domain.top_up_sales import Quote
    from .endpoints import Stripe

Json: TypeAlias = "Mapping[str, Any]"

PLAN: Final = PREFIX + "plan"
INTERVAL: Final = PREFIX + "interval"
KEY: Final = PREFIX + "key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A page to send the customer to; ``amount`` is what is paid there before tax, with ``discount`` off already."""

    id: str
    url: str
    expires_at: datetime
    amount: Money
    discount: Money


def top_up(
    account: str,
    customer: str,
    amounts: Mapping[str, int],
    quote: Quote,
    stripe: Stripe,
    *,
    success_url: str,
    cancel_url: str,
    key: str,
    save_card: bool = False,
) -> StripeRequest:
    """
    A session to pay once, for so many micro-PT of each unit.

    What it is for is in the metadata of the session and of the payment: the payment alone is looked up later.

    Raises:
        InvalidArgumentError: An address is none.
    """
    said = metadata(account, amounts) | {KEY: key}
    params = given(
        mode="payment",
        customer=customer,
        line_items=[_line(unit, amounts[unit], part, stripe) for unit, part in quote.parts.items()],
        metadata=said,
        payment_intent_data=given(metadata=said, setup_future_usage="off_session" if save_card else None),
        invoice_creation=_invoice(stripe, said),
        **_pages(success_url, cancel_url),
        **_taxed(stripe),
    )
    return StripeRequest("checkout/sessions", params)


def subscription(
    account: str,
    customer: str,
    price: str,
    stripe: Stripe,
    *,
    plan: str,
    interval: Interval,
    success_url: str,
    cancel_url: str,
    key: str,
    trial_days: int | None = None,
    coupon: str | None = None,
) -> StripeRequest:
    """
    A session to begin a subscription; which plan it is for is in the subscription's metadata.

    Raises:
        InvalidArgumentError: An address is none.
    """
    said = {ACCOUNT: account, PLAN: plan, INTERVAL: str(interval)}
    params = given(
        mode="subscription",
        customer=customer,
        line_items=[{"price": price, "quantity": 1}],
        metadata={**said, KEY: key},
        subscription_data=given(metadata=said, trial_period_days=trial_days),
        discounts=[{"coupon": coupon}] if coupon else None,
        **_pages(success_url, cancel_url),
        **_taxed(stripe),
    )
    return StripeRequest("checkout/sessions", params)


def metadata(account: str, amounts: Mapping[str, int]) -> dict[str, str]:
    """What a payment says of itself: whose it is, and for how many PT of what."""
    return {ACCOUNT: account} | {PREFIX + unit: str(PT(micro).whole) for unit, micro in amounts.items()}


def checkout(session: Json, *, amount: Money, discount: Money) -> Checkout:
    """The session that Stripe opened."""
    return Checkout(
        id=session["id"],
        url=session["url"] or "",
        expires_at=moment(session["expires_at"]),
        amount=amount,
        discount=discount,
    )


def _line(unit: str, micro: int, price: Money, stripe: Stripe) -> dict[str, Any]:
    product = given(
        name=f"{plain(micro, 10**6)} {unit} PT", tax_code=stripe.automatic_tax and stripe.tax.code
    )
    data = given(
        currency=price.currency.lower(),
        product_data=product,
        tax_behavior=stripe.tax.behavior if stripe.automatic_tax else None,
    )
    return {"price_data": {**data, "unit_amount": minor(price)}, "quantity": 1}


def _taxed(stripe: Stripe) -> dict[str, Any]:
    """What computes the tax: by the address and tax number that the customer gives, which are kept."""
    if not stripe.automatic_tax:
        return {}
    return {
        "automatic_tax": {"enabled": True},
        "tax_id_collection": {"enabled": True},
        "customer_update": {"address": "auto", "name": "auto"},
        "billing_address_collection": "required",
    }


def _invoice(stripe: Stripe, said: Mapping[str, str]) -> dict[str, Any] | None:
    if not stripe.invoices.for_top_ups:
        return None
    return {"enabled": True, "invoice_data": {**printed(stripe.invoices), "metadata": dict(said)}}


def _pages(success_url: str, cancel_url: str) -> dict[str, str]:
    for url in (success_url, cancel_url):
        if not url.startswith(("https://", "http://")):
            msg = f"customers come back to an absolute address, https://…, not to {url!r}"
            raise InvalidArgumentError(msg)
    return {"success_url": success_url, "cancel_url": cancel_url}
