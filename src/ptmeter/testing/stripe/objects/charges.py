"""Charges: what a payment intent, or an invoice through one, took from a card or an account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..nouns import Noun, make, resource
from ..values import copied, rows_of
from . import balance, payment_methods

if TYPE_CHECKING:
    from ..values import Obj
    from ..world import World
    from .cards import Means

CHARGE: Final = Noun(
    kind="charge",
    prefix="ch",
    path="/v1/charges",
    blank={
        "amount": 0,
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": payment_methods.BILLING,
        "calculated_statement_descriptor": None,
        "captured": False,
        "currency": None,
        "customer": None,
        "description": None,
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "metadata": {},
        "on_behalf_of": None,
        "outcome": None,
        "paid": False,
        "payment_intent": None,
        "payment_method": None,
        "payment_method_details": None,
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "pending",
        "transfer_data": None,
        "transfer_group": None,
    },
    changes=("description", "fraud_details", "metadata", "receipt_email", "shipping", "transfer_group"),
    filters=("customer", "payment_intent"),
)

_OUTCOME: Final = {
    "advice_code": None,
    "network_advice_code": None,
    "network_decline_code": None,
    "network_status": "approved_by_network",
    "reason": None,
    "risk_level": "normal",
    "risk_score": 20,
    "seller_message": "Payment complete.",
    "type": "authorized",
}
_CARD: Final = {
    "amount_authorized": None,
    "authorization_code": None,
    "extended_authorization": {"status": "disabled"},
    "incremental_authorization": {"status": "unavailable"},
    "installments": None,
    "mandate": None,
    "multicapture": {"status": "unavailable"},
    "network": "visa",
    "network_token": {"used": False},
    "network_transaction_id": None,
    "overcapture": {"status": "unavailable", "maximum_amount_capturable": 0},
    "three_d_secure": None,
    "transaction_link_id": None,
}


def charge(world: World, intent: Obj, method: Obj, status: str, *, captured: bool = True) -> Obj:
    """Make the charge of a confirmed payment intent; money moves once it has succeeded and is captured."""
    found: Means = method["_means"]
    shared = ("amount", "currency", "customer", "description", "metadata", "receipt_email", "shipping")
    more: Obj = {name: copied(intent[name]) for name in shared}
    shown: Obj = payment_methods.details(found) | (copied(_CARD) if found.kind == "card" else {})
    return make(
        world,
        CHARGE,
        **more,
        billing_details=copied(method["billing_details"]),
        captured=captured and status != "failed",
        outcome=copied(_OUTCOME),
        paid=status != "failed",
        payment_intent=intent["id"],
        payment_method=method["id"],
        payment_method_details={"type": found.kind, found.kind: shown},
        status=status,
        _means=found,
    )


def fail(row: Obj, code: str, decline_code: str | None, message: str) -> None:
    """Mark a charge as failed."""
    row |= {
        "status": "failed",
        "paid": False,
        "captured": False,
        "failure_code": code,
        "failure_message": message,
    }
    row["outcome"] |= {
        "network_status": "declined_by_network",
        "reason": decline_code or code,
        "seller_message": "The bank did not return any further details with this decline.",
        "type": "issuer_declined",
    }


def collect(world: World, row: Obj, amount: int | None = None) -> Obj:
    """Move the money of a charge, or *amount* of it, less the fee."""
    found: Means = row["_means"]
    taken = row["amount"] if amount is None else amount
    row |= {"captured": True, "amount_captured": taken, "status": "succeeded", "paid": True}
    kind, fee = ("charge" if found.kind == "card" else "payment"), balance.fee_of(world, taken)
    moved = balance.move(world, row, taken, kind=kind, category="charge", fee=fee, at_once=found.available)
    row["_moved"] = moved["id"]
    if world.settings.balance_later:
        world.watched.append(row)
    else:
        row["balance_transaction"] = moved["id"]
    if found.available:
        balance.tell(world)
    return row


def book(world: World, row: Obj) -> None:
    """Show the balance transaction of a charge that had none yet."""
    with world.changing(row, "charge.updated"):
        row["balance_transaction"] = row["_moved"]


def refunds(world: World, row: Obj) -> Obj:
    """Return the refunds of a charge, for ``expand[]=refunds``."""
    found = world.every("refund", charge=row["id"])
    return rows_of([world.shown(each) for each in reversed(found)], f"/v1/charges/{row['id']}/refunds")


EXPANSIONS: Final = {("charge", "refunds"): refunds}
ROUTES: Final = resource(CHARGE, create=None)
