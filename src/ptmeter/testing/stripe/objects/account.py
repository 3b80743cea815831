"""The account itself, as far as a client asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..nouns import Noun, Route, make, resource

if TYPE_CHECKING:
    from ..nouns import Call
    from ..values import Obj
    from ..world import World

ACCOUNT: Final = Noun(
    kind="account",
    prefix="acct",
    path="/v1/accounts",
    lacks=("livemode",),
    blank={
        "business_profile": {"mcc": None, "name": None, "support_email": None, "url": None},
        "business_type": None,
        "capabilities": {"card_payments": "active", "transfers": "active"},
        "charges_enabled": True,
        "controller": {"type": "account"},
        "country": "US",
        "default_currency": "usd",
        "details_submitted": True,
        "email": "owner@example.com",
        "external_accounts": {
            "object": "list",
            "data": [],
            "has_more": False,
            "url": "/v1/accounts/external_accounts",
        },
        "future_requirements": {"currently_due": [], "disabled_reason": None, "errors": []},
        "metadata": {},
        "payouts_enabled": True,
        "requirements": {"currently_due": [], "disabled_reason": None, "errors": []},
        "settings": {"payouts": {"schedule": {"delay_days": 2, "interval": "daily"}}},
        "tos_acceptance": {"date": None, "ip": None, "user_agent": None},
        "type": "standard",
    },
    takes=("business_type", "country", "email", "metadata", "type"),
    changes=("business_profile", "business_type", "email", "metadata"),
)


def own(world: World, _call: Call) -> Obj:
    """Show the account whose key is used."""
    found = world.find("acct_fake")
    settings = world.settings
    return found or make(
        world, ACCOUNT, id="acct_fake", country=settings.country, default_currency=settings.currency
    )


ROUTES: Final = (Route("GET", "/v1/account", own), *resource(ACCOUNT))
