"""Payouts: the balance on its way to a bank account; automatic ones can be itemised, those by hand cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..nouns import Noun, make, resource
from ..refusals import RefusedError
from . import balance

if TYPE_CHECKING:
    from ..nouns import Call
    from ..values import Obj
    from ..world import World

PAYOUT: Final = Noun(
    kind="payout",
    prefix="po",
    path="/v1/payouts",
    blank={
        "amount": 0,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": 0,
        "automatic": False,
        "balance_transaction": None,
        "currency": None,
        "description": None,
        "destination": "ba_fake",
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "metadata": {},
        "method": "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "not_applicable",
        "reversed_by": None,
        "source_type": "card",
        "statement_descriptor": None,
        "status": "pending",
        "trace_id": None,
        "type": "bank_account",
    },
    takes=(
        "amount",
        "currency",
        "description",
        "metadata",
        "method",
        "source_type",
        "statement_descriptor",
    ),
    changes=("metadata",),
    needs=("amount", "currency"),
    filters=("status",),
)
DAY: Final = 86_400


def create(world: World, call: Call) -> Obj:
    """Pay out an amount by hand, as far as it is available."""
    params = call.params
    available, _ = balance.balances(world).get(str(params.get("currency")), (0, 0))
    if (params.get("amount") or 0) > available:
        raise RefusedError(
            "You have insufficient funds in your Stripe account for this transfer.",
            code="balance_insufficient",
        )
    return _created(world, params)


def automatic(world: World, currency: str) -> Obj:
    """
    Pay out all that is available, as Stripe does it every day.

    Raises:
        RefusedError: Nothing is.
    """
    rows = [
        row
        for row in world.every("balance_transaction", currency=currency)
        if row["available_on"] <= world.now() and row["_payout"] is None and row["type"] != "payout"
    ]
    amount = sum(row["net"] for row in rows)
    if amount <= 0:
        raise RefusedError(f"There is nothing available in {currency}.", code="balance_insufficient")
    wanted = {"amount": amount, "currency": currency, "description": "STRIPE PAYOUT"}
    payout = _created(world, wanted, automatic=True, reconciliation_status="in_progress")
    for row in rows:
        row["_payout"] = payout["id"]
    return payout


def _created(world: World, params: Obj, **fixed: Any) -> Obj:
    payout = make(world, PAYOUT, params, arrival_date=world.now() + 2 * DAY, **fixed)
    moved = balance.move(world, payout, -payout["amount"], kind="payout", at_once=True)
    payout["balance_transaction"] = moved["id"]
    world.emit("payout.created", payout)
    return payout


def arrive(world: World, payout: Obj) -> Obj:
    """Let one arrive; an automatic one can be reconciled from then on."""
    if payout["status"] not in {"pending", "in_transit"}:
        raise RefusedError(f"This payout has a status of {payout['status']}: it cannot arrive.")
    payout |= {"status": "paid"}
    world.emit("payout.paid", payout)
    if payout["automatic"]:
        payout["reconciliation_status"] = "completed"
        world.emit("payout.reconciliation_completed", payout)
    return payout


def fail(world: World, payout: Obj, code: str = "account_closed") -> Obj:
    """Let one fail, which may be after it was paid: the money comes back."""
    back = balance.move(
        world, payout, payout["amount"], kind="payout_failure", category="payout_reversal", at_once=True
    )
    payout |= {
        "status": "failed",
        "failure_balance_transaction": back["id"],
        "failure_code": code,
        "failure_message": "The bank account has been closed.",
    }
    world.emit("payout.failed", payout)
    return payout


def cancel(world: World, call: Call) -> Obj:
    """Take back one that is pending."""
    payout = world.get("payout", call.id)
    if payout["status"] != "pending" or payout["automatic"]:
        raise RefusedError("Only pending payouts that were created by hand can be canceled.")
    back = balance.move(
        world, payout, payout["amount"], kind="payout_cancel", category="payout_reversal", at_once=True
    )
    payout |= {"status": "canceled", "failure_balance_transaction": back["id"]}
    world.emit("payout.canceled", payout)
    return payout


ROUTES: Final = resource(PAYOUT, create=create, cancel=cancel)
