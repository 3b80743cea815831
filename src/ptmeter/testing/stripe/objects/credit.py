"""What Stripe owes a customer, or the customer Stripe: a balance that invoices draw on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..nouns import Noun, make

if TYPE_CHECKING:
    from ..values import Obj
    from ..world import World

CREDIT: Final = Noun(
    kind="customer_balance_transaction",
    prefix="cbtxn",
    path="/v1/customers/{id}/balance_transactions",
    blank={
        "amount": 0,
        "checkout_session": None,
        "credit_note": None,
        "currency": None,
        "customer": None,
        "customer_account": None,
        "description": None,
        "ending_balance": 0,
        "invoice": None,
        "metadata": {},
        "type": "adjustment",
    },
    takes=("amount", "currency", "description", "metadata"),
)


def adjust(world: World, customer: Obj, amount: int, currency: str, **more: Any) -> Obj:
    """Move a customer's balance: what is negative is credit."""
    customer["balance"] += amount
    customer["currency"] = customer["currency"] or currency
    return make(
        world,
        CREDIT,
        amount=amount,
        currency=currency,
        customer=customer["id"],
        ending_balance=customer["balance"],
        **more,
    )
