"""What stands on an invoice: lines of subscriptions, and invoice items that wait for the next one."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING, Any, Final

from ..listing import page
from ..nouns import Noun, make, resource
from ..refusals import RefusedError, missing
from ..values import copied, merge, part
from .totals import total

if TYPE_CHECKING:
    from ..nouns import Call
    from ..values import Obj
    from ..world import World

INVOICE_ITEM: Final = Noun(
    kind="invoiceitem",
    prefix="ii",
    path="/v1/invoiceitems",
    lacks=("created",),
    blank={
        "amount": 0,
        "currency": None,
        "customer": None,
        "customer_account": None,
        "date": 0,
        "description": None,
        "discountable": True,
        "discounts": [],
        "invoice": None,
        "metadata": {},
        "net_amount": 0,
        "parent": None,
        "period": None,
        "pricing": None,
        "proration": False,
        "quantity": 1,
        "quantity_decimal": "1",
        "tax_rates": [],
        "test_clock": None,
    },
    takes=("currency", "customer", "description", "discountable", "invoice", "metadata", "period"),
    changes=("amount", "description", "discountable", "metadata", "period"),
    needs=("customer",),
    filters=("customer", "invoice"),
)

LINE: Final[Obj] = {
    "object": "line_item",
    "amount": 0,
    "currency": None,
    "description": None,
    "discount_amounts": [],
    "discountable": True,
    "discounts": [],
    "invoice": None,
    "livemode": False,
    "metadata": {},
    "parent": None,
    "period": None,
    "pretax_credit_amounts": [],
    "pricing": None,
    "quantity": 1,
    "quantity_decimal": "1",
    "subscription": None,
    "subtotal": 0,
    "taxes": [],
}


def pricing(price: Obj | None, amount: int) -> Obj:
    """Return how an amount came about."""
    if price is None:
        return {"type": "price_details", "price_details": None, "unit_amount_decimal": str(amount)}
    return {
        "type": "price_details",
        "price_details": {"price": price["id"], "product": price["product"]},
        "unit_amount_decimal": price["unit_amount_decimal"],
    }


def cost(price: Obj, quantity: int) -> int:
    """Return what *quantity* of a price costs, in minor units, rounded half up."""
    whole = _tiered(price, quantity) if price.get("_tiers") else _unit(price) * quantity
    return int(whole.quantize(Decimal(1), ROUND_HALF_UP))


def _unit(price: Obj) -> Decimal:
    return Decimal(price.get("unit_amount_decimal") or price.get("unit_amount") or 0)


def _tiered(price: Obj, quantity: int) -> Decimal:
    """Graduated tiers charge each part at its own, volume tiers everything at the one that is reached."""
    charged, below = Decimal(0), 0
    for tier in price["_tiers"]:
        top: int | str | None = tier.get("up_to")
        bound = min(top, quantity) if isinstance(top, int) else quantity
        flat: int = tier.get("flat_amount") or 0
        if price["tiers_mode"] == "volume":
            if bound == quantity:
                return quantity * _unit(tier) + flat
        elif bound > below:
            charged += (bound - below) * _unit(tier) + flat
            below = bound
    return charged


def line_of_item(world: World, invoice: str, item: Obj) -> Obj:
    """Return the line that an invoice item becomes."""
    subscription = item["parent"] and item["parent"]["subscription_details"]["subscription"]
    same = (
        "amount",
        "currency",
        "description",
        "discountable",
        "period",
        "pricing",
        "quantity",
        "quantity_decimal",
    )
    return {
        **copied(LINE),
        **{name: copied(item[name]) for name in same},
        "id": world.identity("il"),
        "invoice": invoice,
        "metadata": dict(item["metadata"]),
        "parent": {
            "type": "invoice_item_details",
            "invoice_item_details": {
                "invoice_item": item["id"],
                "proration": item["proration"],
                "proration_details": {"credited_items": None},
                "subscription": subscription,
            },
            "subscription_item_details": None,
        },
        "subscription": subscription,
        "subtotal": item["amount"],
        "_price": item.get("_price"),
    }


def line_of_subscription(world: World, invoice: str, item: Obj, amount: int, **more: Any) -> Obj:
    """Return the line for a period of a subscription's item."""
    price = item["price"]
    product = world.get("product", price["product"], deleted=True)
    unit = f"{(price['unit_amount'] or 0) / 100:.2f} / {price['recurring']['interval']}"
    quantity = more.get("quantity", item.get("quantity") or 0)
    return {
        **copied(LINE),
        "id": world.identity("il"),
        "amount": amount,
        "currency": price["currency"],
        "description": f"{quantity} × {product['name']} (at {unit})",
        "invoice": invoice,
        "parent": {
            "type": "subscription_item_details",
            "invoice_item_details": None,
            "subscription_item_details": {
                "invoice_item": None,
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": item["subscription"],
                "subscription_item": item["id"],
            },
        },
        "period": {"start": item["current_period_start"], "end": item["current_period_end"]},
        "pricing": pricing(price, amount),
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subscription": item["subscription"],
        "subtotal": amount,
        "_price": price,
        **more,
    }


def item(world: World, customer: Obj, amount: int, currency: str, **more: Any) -> Obj:
    """Keep an invoice item until an invoice takes it."""
    now = world.now(customer["test_clock"])
    fixed = {
        "amount": amount,
        "net_amount": amount,
        "currency": currency,
        "customer": customer["id"],
        "date": now,
        "period": {"start": now, "end": now},
        "pricing": pricing(more.get("_price"), amount),
        "test_clock": customer["test_clock"],
        **more,
    }
    made = make(world, INVOICE_ITEM, {"customer": customer["id"]}, **fixed)
    world.emit("invoiceitem.created", made)
    return made


def create(world: World, call: Call) -> Obj:
    """Make one: an amount, or a price and a quantity; for the next invoice, or for a draft that is named."""
    params = call.params
    if not params.get("customer"):
        raise missing("customer")
    customer = world.get("customer", params["customer"], "customer")
    named = params.get("price") or part(params, "pricing").get("price")
    price = world.get("price", named, "price") if named else None
    quantity = params.get("quantity") or 1
    unit = params.get("unit_amount") or params.get("unit_amount_decimal")
    amount = cost(price, quantity) if price else params.get("amount")
    if amount is None:
        amount = int(unit or 0) * quantity
    more = {
        name: copied(params[name]) for name in ("description", "discountable", "period") if params.get(name)
    }
    made = item(
        world,
        customer,
        amount,
        price["currency"] if price else params.get("currency") or world.settings.currency,
        **more,
        metadata={},
        quantity=quantity,
        quantity_decimal=str(quantity),
        _price=price,
    )
    merge(made, params, ("metadata",))
    if params.get("invoice"):
        _into(world, world.get("invoice", params["invoice"], "invoice"), made)
    return made


def _into(world: World, invoice: Obj, made: Obj) -> None:
    if invoice["status"] != "draft":
        raise RefusedError(
            "This invoice is no longer editable", code="invoice_not_editable", param="invoice"
        )
    made["invoice"] = invoice["id"]
    with world.changing(invoice, "invoice.updated"):
        invoice["lines"]["data"].append(line_of_item(world, invoice["id"], made))
        total(world, invoice)


def delete(world: World, call: Call) -> Obj:
    """Delete one that no finalized invoice has."""
    made = world.get("invoiceitem", call.id)
    if made["invoice"] and world.get("invoice", made["invoice"])["status"] != "draft":
        raise RefusedError("This invoice item is attached to an invoice that is no longer editable.")
    world.emit("invoiceitem.deleted", made)
    made["_deleted"] = True
    return made


def list_all(world: World, call: Call) -> Obj:
    """List them, those that still wait if ``pending`` says so."""
    params = call.params
    where = {name: params[name] for name in INVOICE_ITEM.filters if params.get(name)}
    rows = world.every("invoiceitem", **where)
    if params.get("pending") is not None:
        rows = [row for row in rows if (row["invoice"] is None) == params["pending"]]
    return page(rows, params, call.path)


ROUTES: Final = resource(INVOICE_ITEM, create=create, delete=delete, all=list_all)
