"""Balance transactions: each movement of the account's money, with Stripe's fee; and the balance they add up to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..listing import page
from ..nouns import Noun, Route, make, resource

if TYPE_CHECKING:
    from ..nouns import Call
    from ..values import Obj
    from ..world import World

DAY: Final = 86_400

BALANCE_TRANSACTION: Final = Noun(
    kind="balance_transaction",
    prefix="txn",
    path="/v1/balance_transactions",
    lacks=("livemode",),
    blank={
        "amount": 0,
        "available_on": 0,
        "balance_type": "payments",
        "currency": None,
        "description": None,
        "exchange_rate": None,
        "fee": 0,
        "fee_details": [],
        "net": 0,
        "reporting_category": "charge",
        "source": None,
        "status": "pending",
        "type": "charge",
        "_payout": None,
    },
)


def move(
    world: World,
    source: Obj,
    amount: int,
    *,
    kind: str,
    category: str = "",
    fee: int = 0,
    at_once: bool = False,
) -> Obj:
    """Note that *amount* moved because of *source*; ``net`` is what is left of it after the fee."""
    now = world.now()
    details = {"amount": fee, "application": None, "currency": source["currency"], "type": "stripe_fee"}
    return make(
        world,
        BALANCE_TRANSACTION,
        amount=amount,
        available_on=now if at_once else now + world.settings.pending_days * DAY,
        currency=source["currency"],
        description=source.get("description"),
        fee=fee,
        fee_details=[{**details, "description": "Stripe processing fees"}] if fee else [],
        net=amount - fee,
        reporting_category=category or kind,
        source=source["id"],
        type=kind,
    )


def fee_of(world: World, amount: int) -> int:
    """Return what Stripe keeps of a charge, in minor units, rounded half up."""
    return (amount * world.settings.fee_basis_points + 5_000) // 10_000 + world.settings.fee_fixed


def view(world: World, row: Obj) -> Obj:
    """Show whether the money is available by now."""
    return {"status": "available" if row["available_on"] <= world.now() else "pending"}


def balances(world: World) -> dict[str, tuple[int, int]]:
    """Return what is available and what is pending, by currency."""
    sums: dict[str, tuple[int, int]] = {}
    for row in world.every("balance_transaction"):
        available, pending = sums.get(row["currency"], (0, 0))
        ready = row["available_on"] <= world.now()
        sums[row["currency"]] = (available + ready * row["net"], pending + (not ready) * row["net"])
    return sums


def retrieve(world: World, _call: Call) -> Obj:
    """Show the balance."""
    return _shown(world)


def _shown(world: World) -> Obj:
    sums = balances(world) or {world.settings.currency: (0, 0)}
    columns = [
        [
            {"amount": pair[place], "currency": name, "source_types": {"card": pair[place]}}
            for name, pair in sums.items()
        ]
        for place in (0, 1)
    ]
    return {
        "object": "balance",
        "available": columns[0],
        "connect_reserved": [{"amount": 0, "currency": name} for name in sums],
        "livemode": False,
        "pending": columns[1],
    }


def list_all(world: World, call: Call) -> Obj:
    """List them, of one payout, source, type or currency if that is asked for."""
    params = call.params
    where = {name: params[name] for name in ("currency", "source", "type") if params.get(name)}
    rows = world.every("balance_transaction", **where)
    if payout := params.get("payout"):
        world.get("payout", payout, "payout")
        rows = [row for row in rows if payout in {row["_payout"], row["source"]}]
    return page(rows, params, call.path)


def tell(world: World) -> None:
    """Say that there is money available."""
    world.emit("balance.available", _shown(world))


ROUTES: Final = (
    Route("GET", "/v1/balance", retrieve),
    *resource(BALANCE_TRANSACTION, create=None, update=None, all=list_all),
)
