"""What is sold: products, prices, the plans of old, and tax rates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..listing import page
from ..nouns import Noun, make, remove, resource
from ..refusals import RefusedError, missing
from ..values import copied, merge

if TYPE_CHECKING:
    from ..nouns import Call
    from ..values import Obj
    from ..world import World

_PRODUCT: Final = (
    *("active", "default_price", "description", "images", "marketing_features", "metadata", "name"),
    *("package_dimensions", "shippable", "statement_descriptor", "tax_code", "unit_label", "url"),
)

PRODUCT: Final = Noun(
    kind="product",
    prefix="prod",
    path="/v1/products",
    blank={
        "active": True,
        "default_price": None,
        "description": None,
        "images": [],
        "marketing_features": [],
        "metadata": {},
        "name": None,
        "package_dimensions": None,
        "shippable": None,
        "statement_descriptor": None,
        "tax_code": None,
        "type": "service",
        "unit_label": None,
        "updated": 0,
        "url": None,
    },
    takes=(*_PRODUCT, "type"),
    changes=_PRODUCT,
    needs=("name",),
    filters=("active",),
)

_PRICE: Final = ("active", "lookup_key", "metadata", "nickname", "tax_behavior")

PRICE: Final = Noun(
    kind="price",
    prefix="price",
    path="/v1/prices",
    blank={
        "active": True,
        "billing_scheme": "per_unit",
        "currency": None,
        "custom_unit_amount": None,
        "lookup_key": None,
        "metadata": {},
        "nickname": None,
        "product": None,
        "recurring": None,
        "tax_behavior": "unspecified",
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time",
        "unit_amount": None,
        "unit_amount_decimal": None,
    },
    takes=(*_PRICE, "billing_scheme", "currency", "product", "tiers", "tiers_mode", "transform_quantity"),
    changes=_PRICE,
    needs=("currency",),
    filters=("active", "currency", "product", "type"),
)
RECURRING: Final = {
    "interval": "month",
    "interval_count": 1,
    "meter": None,
    "trial_period_days": None,
    "usage_type": "licensed",
}

PLAN: Final = Noun(
    kind="plan", prefix="plan", path="/v1/plans", blank={}, changes=("active", "metadata", "nickname")
)

TAX_RATE: Final = Noun(
    kind="tax_rate",
    prefix="txr",
    path="/v1/tax_rates",
    blank={
        "active": True,
        "country": None,
        "description": None,
        "display_name": None,
        "effective_percentage": None,
        "flat_amount": None,
        "inclusive": False,
        "jurisdiction": None,
        "jurisdiction_level": None,
        "metadata": {},
        "percentage": 0,
        "rate_type": "percentage",
        "state": None,
        "tax_type": None,
    },
    takes=(
        *("active", "country", "description", "display_name", "inclusive", "jurisdiction", "metadata"),
        *("percentage", "state", "tax_type"),
    ),
    changes=("active", "country", "description", "display_name", "jurisdiction", "metadata", "tax_type"),
    needs=("display_name", "percentage", "inclusive"),
    filters=("active", "inclusive"),
)


def create_product(world: World, call: Call) -> Obj:
    """Make a product, with its first price if one comes along."""
    params = call.params
    product = make(world, PRODUCT, params, id=params.get("id"), updated=world.now())
    world.emit("product.created", product)
    if params.get("default_price_data"):
        price = priced(world, {**params["default_price_data"], "product": product["id"]})
        product["default_price"] = price["id"]
    return product


def update_product(world: World, call: Call) -> Obj:
    """Update a product."""
    product = world.get("product", call.id)
    with world.changing(product, "product.updated"):
        merge(product, call.params, PRODUCT.changes)
        product["updated"] = world.now()
    return product


def delete_product(world: World, call: Call) -> Obj:
    """Delete a product that has no price."""
    product = world.get("product", call.id)
    if world.every("price", product=product["id"]):
        raise RefusedError("This product cannot be deleted because it has one or more user-created prices.")
    return remove(world, PRODUCT, product)


def priced(world: World, params: Obj) -> Obj:
    """Make a price, and its product if ``product_data`` says which."""
    product = params.get("product")
    if product is None and params.get("product_data"):
        product = make(world, PRODUCT, params["product_data"], updated=world.now())["id"]
    if product is None:
        raise missing("product")
    world.get("product", product, "product")
    if params.get("recurring") and not params["recurring"].get("interval"):
        raise missing("recurring[interval]")
    amount = params.get("unit_amount")
    if amount is None and params.get("unit_amount_decimal") is None and not params.get("tiers"):
        raise missing("unit_amount")
    recurring: Any = {**RECURRING, **params["recurring"]} if params.get("recurring") else None
    price = make(world, PRICE, params, product=product, recurring=recurring)
    decimal = params.get("unit_amount_decimal") or (None if amount is None else str(amount))
    if amount is None and decimal is not None and "." not in decimal:
        amount = int(decimal)
    price["_tiers"] = price.pop("tiers", None)
    price |= {
        "type": "recurring" if recurring else "one_time",
        "unit_amount": amount,
        "unit_amount_decimal": decimal,
    }
    world.emit("price.created", price)
    return price


def create_price(world: World, call: Call) -> Obj:
    """Make a price; a ``lookup_key`` moves to it if ``transfer_lookup_key`` says so."""
    key = call.params.get("lookup_key")
    for other in world.every("price", lookup_key=key) if key else ():
        if not call.params.get("transfer_lookup_key"):
            raise RefusedError(
                f"A price (`{other['id']}`) already uses that lookup key.", param="lookup_key"
            )
        other["lookup_key"] = None
    return priced(world, call.params)


def list_prices(world: World, call: Call) -> Obj:
    """List prices, those of some lookup keys if that is asked for."""
    params = call.params
    where = {name: params[name] for name in PRICE.filters if params.get(name) is not None}
    rows = world.every("price", **where)
    if keys := params.get("lookup_keys"):
        rows = [row for row in rows if row["lookup_key"] in keys]
    return page(rows, params, call.path)


def create_plan(world: World, call: Call) -> Obj:
    """Make a plan, which is a recurring price under an older name."""
    params = call.params
    product = params.get("product")
    wanted = {
        "currency": params.get("currency"),
        "unit_amount": params.get("amount"),
        "recurring": {
            "interval": params.get("interval"),
            "interval_count": params.get("interval_count", 1),
        },
        "nickname": params.get("nickname"),
        "metadata": params.get("metadata"),
        **({"product_data": product} if isinstance(product, dict) else {"product": product}),
    }
    price = priced(world, {name: value for name, value in wanted.items() if value is not None})
    plan = world.add(plan_of(price))
    world.emit("plan.created", plan)
    return plan


def plan_of(price: Obj) -> Obj:
    """Return the plan that a recurring price is as well."""
    recurring = price["recurring"] or RECURRING
    same = (
        "id",
        "active",
        "billing_scheme",
        "created",
        "currency",
        "livemode",
        "nickname",
        "product",
        "tiers_mode",
    )
    return {
        **{name: price[name] for name in same},
        "object": "plan",
        "amount": price["unit_amount"],
        "amount_decimal": price["unit_amount_decimal"],
        "metadata": dict(price["metadata"]),
        "transform_usage": None,
        **recurring,
    }


def tiers(world: World, price: Obj) -> Obj | None:
    """Return the tiers of a price, for ``expand[]=tiers``."""
    return copied(world.get("price", price["id"])["_tiers"])


EXPANSIONS: Final = {("price", "tiers"): tiers}
ROUTES: Final = (
    *resource(PRODUCT, create=create_product, update=update_product, delete=delete_product),
    *resource(PRICE, create=create_price, all=list_prices),
    *resource(
        PLAN, create=create_plan, delete=lambda world, call: remove(world, PLAN, world.get("plan", call.id))
    ),
    *resource(TAX_RATE),
)
