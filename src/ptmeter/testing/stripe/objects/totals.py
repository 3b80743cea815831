"""An invoice added up: lines, discounts, tax, and what a customer's balance pays of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..values import part
from . import tax
from .discounts import off

if TYPE_CHECKING:
    from ..values import Obj
    from ..world import World


def total(world: World, invoice: Obj) -> None:
    """Add a draft up: discounts are taken off first, line by line, and tax is put on what is left."""
    lines: list[Obj] = invoice["lines"]["data"]
    customer = world.get("customer", invoice["customer"], deleted=True)
    automatic = invoice["automatic_tax"]
    if automatic["enabled"]:
        automatic |= {
            "liability": {"type": "self"},
            "provider": "stripe",
            "status": tax.status(customer["address"]),
        }
    _discount(world, invoice, lines)
    for line in lines:
        _tax(world, invoice, line)

    taxes = [each for line in lines for each in line["taxes"]]
    subtotal = sum(line["amount"] for line in lines)
    discounted = sum(each["amount"] for each in invoice["total_discount_amounts"])
    whole = subtotal - discounted + tax.on_top(taxes)
    invoice |= {
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - (tax.total(taxes) - tax.on_top(taxes)),
        "total": whole,
        "total_excluding_tax": whole - tax.total(taxes),
        "total_taxes": _summed(taxes),
    }
    balance(invoice, customer["balance"])


def balance(invoice: Obj, owed: int) -> int:
    """Set what is due once a customer's balance is drawn on; returns the balance that is left."""
    due = max(invoice["total"] + owed, 0) if invoice["total"] > 0 else 0
    after = owed + invoice["total"] - due
    invoice |= {
        "starting_balance": owed,
        "amount_due": due,
        "amount_remaining": due - invoice["amount_paid"],
    }
    return after


def _discount(world: World, invoice: Obj, lines: list[Obj]) -> None:
    given: dict[str, int] = {}
    for line in lines:
        line["discount_amounts"] = []
    for discount in invoice["_discounts"]:
        coupon = world.get("coupon", discount["source"]["coupon"], deleted=True)
        left: int | None = coupon["amount_off"]
        for line in lines:
            taken = sum(each["amount"] for each in line["discount_amounts"])
            if not line["discountable"] or line["amount"] <= taken:
                continue
            amount = (
                off(world, discount, line["amount"] - taken)
                if left is None
                else min(left, line["amount"] - taken)
            )
            left = None if left is None else left - amount
            line["discount_amounts"].append({"amount": amount, "discount": discount["id"]})
            given[discount["id"]] = given.get(discount["id"], 0) + amount
    invoice["total_discount_amounts"] = [
        {"amount": amount, "discount": name} for name, amount in given.items()
    ]


def _tax(world: World, invoice: Obj, line: Obj) -> None:
    net = line["amount"] - sum(each["amount"] for each in line["discount_amounts"])
    behavior = part(line, "_price").get("tax_behavior")
    line["taxes"] = []
    if invoice["automatic_tax"]["status"] == "complete" and invoice["automatic_tax"]["enabled"]:
        line["taxes"] = [tax.computed(world, net, behavior)]
    elif not invoice["automatic_tax"]["enabled"]:
        line["taxes"] = [tax.by_hand(rate, net) for rate in invoice["default_tax_rates"]]


def _summed(taxes: list[Obj]) -> list[Obj]:
    sums: dict[tuple[str, str], Obj] = {}
    for each in taxes:
        key = (each["tax_rate_details"]["tax_rate"], each["tax_behavior"])
        if key in sums:
            sums[key]["amount"] += each["amount"]
            sums[key]["taxable_amount"] += each["taxable_amount"]
        else:
            sums[key] = dict(each)
    return list(sums.values())
