"""Coupons, the promotion codes that lead to them, and the discounts that customers and subscriptions have of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..nouns import Noun, deleting, make, resource
from ..refusals import RefusedError, unknown
from ..values import part

if TYPE_CHECKING:
    from ..nouns import Call
    from ..values import Obj
    from ..world import World

COUPON: Final = Noun(
    kind="coupon",
    prefix="co",
    path="/v1/coupons",
    blank={
        "amount_off": None,
        "currency": None,
        "duration": "once",
        "duration_in_months": None,
        "max_redemptions": None,
        "metadata": {},
        "name": None,
        "percent_off": None,
        "redeem_by": None,
        "times_redeemed": 0,
        "valid": True,
    },
    takes=(
        *(
            "amount_off",
            "currency",
            "duration",
            "duration_in_months",
            "max_redemptions",
            "metadata",
            "name",
        ),
        *("percent_off", "redeem_by"),
    ),
    changes=("metadata", "name"),
)

PROMOTION_CODE: Final = Noun(
    kind="promotion_code",
    prefix="promo",
    path="/v1/promotion_codes",
    blank={
        "active": True,
        "code": None,
        "customer": None,
        "customer_account": None,
        "expires_at": None,
        "max_redemptions": None,
        "metadata": {},
        "promotion": None,
        "restrictions": {
            "first_time_transaction": False,
            "minimum_amount": None,
            "minimum_amount_currency": None,
        },
        "times_redeemed": 0,
    },
    takes=("active", "code", "customer", "expires_at", "max_redemptions", "metadata", "restrictions"),
    changes=("active", "metadata", "restrictions"),
    filters=("active", "code", "customer"),
)

DISCOUNT: Final = Noun(
    kind="discount",
    prefix="di",
    path="/v1/discounts",
    lacks=("created", "livemode"),
    blank={
        "checkout_session": None,
        "customer": None,
        "customer_account": None,
        "end": None,
        "invoice": None,
        "invoice_item": None,
        "promotion_code": None,
        "source": None,
        "start": None,
        "subscription": None,
        "subscription_item": None,
    },
    event="customer.discount",
)

MONTH: Final = 30 * 86_400


def create_coupon(world: World, call: Call) -> Obj:
    """Make a coupon of a share or of an amount, under the id that is asked for."""
    params = call.params
    if (params.get("percent_off") is None) == (params.get("amount_off") is None):
        raise RefusedError("Must pass either percent_off or amount_off.", param="percent_off")
    coupon = make(world, COUPON, params, id=params.get("id"))
    world.emit("coupon.created", coupon)
    return coupon


def create_promotion_code(world: World, call: Call) -> Obj:
    """Make a code for a coupon, which old versions name directly."""
    params = call.params
    identity = part(params, "promotion").get("coupon") or params.get("coupon")
    coupon = world.get("coupon", str(identity), "coupon")
    code = make(world, PROMOTION_CODE, params, promotion={"type": "coupon", "coupon": coupon["id"]})
    code["code"] = code["code"] or code["id"][-8:]
    world.emit("promotion_code.created", code)
    return code


def redeemed(world: World, wanted: Obj, **owner: Any) -> Obj:
    """Make a discount of a coupon or of a promotion code."""
    promotion = None
    identity = wanted.get("coupon")
    if wanted.get("promotion_code"):
        promotion = world.get("promotion_code", wanted["promotion_code"], "promotion_code")
        promotion["times_redeemed"] += 1
        identity = promotion["promotion"]["coupon"]
    coupon = world.get("coupon", str(identity), "coupon")
    if not coupon["valid"]:
        raise unknown("coupon", coupon["id"], "coupon", status=400)
    coupon["times_redeemed"] += 1
    if coupon["max_redemptions"] is not None and coupon["times_redeemed"] >= coupon["max_redemptions"]:
        coupon["valid"] = False
    now = world.now(owner.pop("test_clock", None))
    months = coupon["duration_in_months"]
    return make(
        world,
        DISCOUNT,
        source={"type": "coupon", "coupon": coupon["id"]},
        promotion_code=promotion and promotion["id"],
        start=now,
        end=now + months * MONTH if months else None,
        **owner,
    )


def give(world: World, customer: Obj, coupon: str | None) -> None:
    """Give a customer the discount of *coupon*, in place of the one there was; None takes it away."""
    old = customer["discount"]
    if old is not None and coupon is None:
        customer["discount"] = None
        world.emit("customer.discount.deleted", old)
    elif coupon is not None:
        new = redeemed(
            world, {"coupon": coupon}, customer=customer["id"], test_clock=customer["test_clock"]
        )
        customer["discount"] = new
        world.emit("customer.discount.updated" if old else "customer.discount.created", new)


def take_from_customer(world: World, call: Call) -> Obj:
    """Take a customer's discount away."""
    customer = world.get("customer", call.id)
    discount = customer["discount"]
    if discount is None:
        raise RefusedError("This customer has no active discount.", status=404, code="resource_missing")
    give(world, customer, None)
    return {"object": "discount", "id": discount["id"], "deleted": True, "customer": customer["id"]}


def off(world: World, discount: Obj, amount: int) -> int:
    """Return what *discount* takes off an *amount*, in minor units, rounded half up; never more than there is."""
    coupon = world.get("coupon", discount["source"]["coupon"], deleted=True)
    if coupon["amount_off"] is not None:
        return min(coupon["amount_off"], max(amount, 0))
    share = round(coupon["percent_off"] * 1000)
    return (max(amount, 0) * share + 50_000) // 100_000


ROUTES: Final = (
    *resource(COUPON, create=create_coupon, delete=deleting(COUPON)),
    *resource(PROMOTION_CODE, create=create_promotion_code),
)
