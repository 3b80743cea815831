"""
What Stripe says of a subscription, as the domain's value.

Which plan it is for is in the metadata of its price (``ptmeter_plan``), so that a change made in the customer portal
says it too, else in its own. Periods are read off the items, where they are since the version of 2025-03-31.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..domain.followed import Followed
from ..domain.movements import Outstanding
from ..domain.payments import portions
from ..domain.subscriptions import Interval
from ..errors import UnknownPaymentError
from . import schedules
from .checkout import PLAN
from .reading import ACCOUNT, Bought, account_in, metadata_of, moment
from .subjects import identifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

Json: TypeAlias = "Mapping[str, Any]"

_GOES_ON: Final = frozenset({"active", "trialing", "past_due", "unpaid", "paused"})
_KNOWN: Final = _GOES_ON | {"incomplete", "incomplete_expired", "canceled"}
_PAID: Final = frozenset({"paid", "void"})


def is_ours(document: Json) -> bool:
    """Whether a subscription says which plan of ours it is for."""
    return bool(_plan(document, _item(document)))


def followed(document: Json, seen_at: datetime) -> Followed:
    """
    A subscription with its latest invoice, as it stands.

    What is past due was paid for until its period began; so was one whose invoice is not paid yet.

    Raises:
        UnknownPaymentError: It says no account, an interval that is not ours, or a status that is not known.
    """
    name, status = document["id"], document["status"]
    item = _item(document)
    interval = item["price"]["recurring"]["interval"]
    if status not in _KNOWN or interval not in tuple(Interval):
        problem = (
            f"it is {status!r} and paid by the {interval}, which this version of ptmeter does not know"
        )
        raise UnknownPaymentError(name, problem)
    invoice: Json = document.get("latest_invoice") or {"status": "paid"}
    trial = status == "trialing"
    paid = trial or (status == "active" and invoice["status"] in _PAID)
    plan, ends = _plan(document, item), schedules.ends(document)
    return Followed(
        id=name,
        account=account_in(metadata_of(document), name),
        plan=plan,
        interval=Interval(interval),
        since=_since(item, invoice),
        pending=schedules.coming(document, plan, interval),
        anchor=moment(document["billing_cycle_anchor"]),
        paid_until=moment(item["current_period_end" if paid else "current_period_start"]),
        goes_on=status in _GOES_ON,
        is_paid=paid,
        is_trial=trial,
        ends_at=None if ends is None else moment(ends),
        seen_at=seen_at,
    )


def going_on(document: Json, others: Iterable[Json]) -> list[Json]:
    """
    Of a customer's subscriptions those that go on for the account of *document*, the latest last: that counts.

    Whichever of two is looked up, the account is on the same.
    """
    account = metadata_of(document).get(ACCOUNT)
    mine = [each for each in others if is_ours(each) and metadata_of(each).get(ACCOUNT) == account]
    if document["id"] not in {each["id"] for each in mine}:
        mine.append(document)
    found = [each for each in mine if each["status"] in _GOES_ON]
    return sorted(found, key=lambda each: (each["created"], each["id"]))


def of_invoice(invoice: Json) -> str:
    """The subscription that an invoice is for; empty if it is for something else."""
    parent: Json = invoice.get("parent") or {}
    details: Json = parent.get("subscription_details") or {}
    return details.get("subscription") or ""


def period_of(invoice: Json) -> int:
    """When the period begins that an invoice is for, in seconds: that of its latest line."""
    lines: list[Json] = invoice["lines"]["data"]
    return max((line["period"]["start"] for line in lines), default=invoice["period_start"])


def paid_on(invoice: Json, payments: Iterable[Json], *, account: str) -> dict[str, Bought]:
    """
    What each payment of an invoice is for, by its id: its part of the cycle, once all of the invoice is paid.

    Tax is spread over the whole invoice, of which a customer's balance may have paid some.
    """
    in_turn = sorted(payments, key=lambda each: (each["created"], each["id"]))
    cycle = moment(period_of(invoice)) if invoice["status"] == "paid" else None
    return {
        intent: Bought(
            account=account,
            tax=portion._replace(whole=max(portion.whole, invoice["total"])).of(tax_of(invoice)),
            cycle=cycle,
            portion=portion,
        )
        for each, portion in zip(in_turn, portions(each["amount_paid"] for each in in_turn), strict=True)
        if (intent := identifier(each["payment"].get("payment_intent")))
    }


def outstanding(invoice: Json, account: str) -> Outstanding:
    """How much of an invoice is still to be paid: nothing of one that is void, or that was given up."""
    times: Mapping[str, int | None] = invoice.get("status_transitions") or {}
    return Outstanding(
        invoice=invoice["id"],
        account=account,
        amount=invoice["amount_remaining"] if invoice["status"] == "open" else 0,
        currency=invoice["currency"],
        at=moment(max((at for at in times.values() if at), default=invoice["created"])),
    )


def tax_of(invoice: Json) -> int:
    """How much of an invoice is tax, in minor units."""
    taxes: list[Json] = invoice.get("total_taxes") or []
    return sum(each["amount"] for each in taxes)


def is_proration(line: Json) -> bool:
    """Whether a line of an invoice is a difference within a period."""
    parent: Json = line.get("parent") or {}
    details: Json = parent.get("subscription_item_details") or parent.get("invoice_item_details") or {}
    return bool(details.get("proration"))


def _since(item: Json, invoice: Json) -> datetime | None:
    """When the period began, if its invoice charges for it by the price that holds now."""
    start: int = item["current_period_start"]
    lines: Json = invoice.get("lines") or {"data": ()}
    for line in lines["data"]:
        if not is_proration(line) and (line["period"]["start"], _price(line)) == (
            start,
            item["price"]["id"],
        ):
            return moment(start)
    return None


def _price(line: Json) -> str:
    pricing: Json = line.get("pricing") or {}
    details: Json = pricing.get("price_details") or {}
    return identifier(details.get("price"))


def _item(document: Json) -> Json:
    return schedules.planned(document["items"]["data"])


def _plan(document: Json, item: Json) -> str:
    return metadata_of(item["price"]).get(PLAN) or metadata_of(document).get(PLAN, "")
