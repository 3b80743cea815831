"""Disputes: inquiries that take nothing, and chargebacks that do; answered, accepted, won and lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..nouns import Noun, make, resource
from ..refusals import RefusedError
from ..values import merge
from . import balance

if TYPE_CHECKING:
    from ..nouns import Call
    from ..values import Obj
    from ..world import World

EVIDENCE: Final = dict.fromkeys(
    (
        *(
            "access_activity_log",
            "billing_address",
            "cancellation_policy",
            "cancellation_policy_disclosure",
        ),
        *("cancellation_rebuttal", "customer_communication", "customer_email_address", "customer_name"),
        *("customer_purchase_ip", "customer_signature", "duplicate_charge_documentation"),
        *("duplicate_charge_explanation", "duplicate_charge_id", "product_description", "receipt"),
        *("refund_policy", "refund_policy_disclosure", "refund_refusal_explanation", "service_date"),
        *("service_documentation", "shipping_address", "shipping_carrier", "shipping_date"),
        *("shipping_documentation", "shipping_tracking_number", "uncategorized_file", "uncategorized_text"),
    )
)

DISPUTE: Final = Noun(
    kind="dispute",
    prefix="dp",
    path="/v1/disputes",
    blank={
        "amount": 0,
        "balance_transactions": [],
        "charge": None,
        "currency": None,
        "enhanced_eligibility_types": [],
        "evidence": {**EVIDENCE, "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": None,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": False,
        "metadata": {},
        "payment_intent": None,
        "payment_method_details": None,
        "reason": "general",
        "status": "needs_response",
    },
    changes=("evidence", "metadata"),
    filters=("charge", "payment_intent"),
    event="charge.dispute",
)
WEEK: Final = 7 * 86_400
OPEN: Final = frozenset(
    {"needs_response", "under_review", "warning_needs_response", "warning_under_review"}
)


def dispute(
    world: World, row: Obj, *, amount: int | None = None, reason: str = "fraudulent", inquiry: bool = False
) -> Obj:
    """Contest a charge, or *amount* of it. An inquiry moves no money; a chargeback takes it, with a fee."""
    made = make(
        world,
        DISPUTE,
        amount=row["amount"] - row["amount_refunded"] if amount is None else amount,
        charge=row["id"],
        currency=row["currency"],
        is_charge_refundable=inquiry,
        payment_intent=row["payment_intent"],
        payment_method_details={
            "type": "card",
            "card": {
                "brand": "visa",
                "case_type": "inquiry" if inquiry else "chargeback",
                "network": "visa",
                "network_reason_code": "10.4",
            },
        },
        reason=reason,
        status="warning_needs_response" if inquiry else "needs_response",
    )
    made["evidence_details"]["due_by"] = world.now() + WEEK
    world.emit("charge.dispute.created", made)
    if not inquiry:
        _withdraw(world, made, row)
    return made


def escalate(world: World, made: Obj) -> None:
    """Let an inquiry become a chargeback."""
    with world.changing(made, "charge.dispute.updated"):
        made |= {"status": "needs_response", "is_charge_refundable": False}
        made["payment_method_details"]["card"]["case_type"] = "chargeback"
    _withdraw(world, made, world.get("charge", made["charge"]))


def _withdraw(world: World, made: Obj, row: Obj) -> None:
    row["disputed"] = True
    moved = balance.move(
        world,
        made,
        -made["amount"],
        kind="adjustment",
        category="dispute",
        fee=world.settings.dispute_fee,
        at_once=True,
    )
    made["balance_transactions"].append(moved)
    world.emit("charge.dispute.funds_withdrawn", made)


def close(world: World, made: Obj, status: str, *, reinstated: int | None = None) -> None:
    """
    Close one as ``won``, ``lost`` or ``warning_closed``.

    What was withdrawn comes back if it is won; *reinstated* says how much, which may be a part even if it is lost.
    """
    if made["status"] not in OPEN:
        raise RefusedError(f"This dispute is already closed ({made['status']}).")
    took = bool(made["balance_transactions"])
    back = reinstated if reinstated is not None else made["amount"] * (status == "won")
    made["status"] = status if took else "warning_closed"
    world.emit("charge.dispute.updated", made, {"status": "under_review"})
    world.emit("charge.dispute.closed", made)
    if took and back:
        fee = -world.settings.dispute_fee if world.settings.dispute_fee_returned else 0
        moved = balance.move(
            world, made, back, kind="adjustment", category="dispute_reversal", fee=fee, at_once=True
        )
        made["balance_transactions"].append(moved)
        world.emit("charge.dispute.funds_reinstated", made)


def update(world: World, call: Call) -> Obj:
    """Take evidence, and hand it to the bank if it is submitted."""
    made = world.get("dispute", call.id)
    if made["status"] not in OPEN:
        raise RefusedError("This dispute is already closed.")
    with world.changing(made, "charge.dispute.updated"):
        merge(made, call.params, DISPUTE.changes)
        if call.params.get("evidence"):
            made["evidence_details"]["has_evidence"] = True
        if call.params.get("submit", "evidence" in call.params):
            made["evidence_details"]["submission_count"] += 1
            made["status"] = made["status"].replace("needs_response", "under_review")
    text = made["evidence"]["uncategorized_text"]
    if text in {"winning_evidence", "losing_evidence"} and made["status"] in OPEN:
        close(world, made, "won" if text.startswith("win") else "lost")
    return made


def accept(world: World, call: Call) -> Obj:
    """Accept one: it is lost."""
    made = world.get("dispute", call.id)
    close(world, made, "lost")
    return made


ROUTES: Final = resource(DISPUTE, create=None, update=update, close=accept)
