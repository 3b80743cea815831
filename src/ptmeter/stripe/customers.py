"""Customers: who an account is at Stripe, where it pays from, and where it looks after its subscription."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .reading import ACCOUNT
from .requests import StripeRequest, given
from .subjects import identifier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .settings import Invoices


class TaxId(NamedTuple):
    """A customer's tax number: Stripe's type for it, such as ``eu_vat``, and the number."""

    type: str
    value: str


def create(account: str) -> StripeRequest:
    """
    A customer that says whose it is, and nothing else.

    The same for whoever asks for it, so that of two that ask at once Stripe makes one.
    """
    return StripeRequest("customers", {"metadata": {ACCOUNT: account}})


def update(
    customer: str,
    *,
    email: str | None = None,
    name: str | None = None,
    address: Mapping[str, str] | None = None,
    invoices: Invoices | None = None,
) -> StripeRequest | None:
    """What is now known of a customer; nothing to ask if that is nothing."""
    params = given(
        email=email,
        name=name,
        address=address and dict(address),
        invoice_settings=invoices and printed(invoices),
    )
    return StripeRequest(f"customers/{customer}", params) if params else None


def add_tax_id(customer: str, tax_id: TaxId) -> StripeRequest:
    """A tax number of a customer, besides those it has."""
    return StripeRequest(f"customers/{customer}/tax_ids", {"type": tax_id.type, "value": tax_id.value})


def has_tax_id(known: Sequence[Mapping[str, Any]], tax_id: TaxId) -> bool:
    """Whether a customer has that number already, however it is spaced."""
    return any(
        each["type"] == tax_id.type and _bare(each["value"]) == _bare(tax_id.value) for each in known
    )


def printed(invoices: Invoices) -> dict[str, Any]:
    """What stands on invoices, as Stripe takes it."""
    fields = [{"name": name, "value": value} for name, value in invoices.fields.items()]
    return given(footer=invoices.footer, custom_fields=fields)


def portal(customer: str, return_url: str) -> StripeRequest:
    """A session of the customer portal."""
    return StripeRequest("billing_portal/sessions", {"customer": customer, "return_url": return_url})


def default_payment_method(customer: Mapping[str, Any]) -> str:
    """What a customer pays with, if it has said so."""
    settings: Mapping[str, Any] = customer.get("invoice_settings") or {}
    return identifier(settings.get("default_payment_method") or customer.get("default_source"))


def _bare(value: str) -> str:
    return "".join(value.split()).upper()
