"""The billing portal: its configurations, and the sessions that lead a customer there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..nouns import Noun, Route, make, resource
from ..refusals import missing
from ..values import merge

if TYPE_CHECKING:
    from ..nouns import Call
    from ..values import Obj
    from ..world import World

_TAKES: Final = ("business_profile", "default_return_url", "features", "login_page", "metadata", "name")

CONFIGURATION: Final = Noun(
    kind="billing_portal.configuration",
    prefix="bpc",
    path="/v1/billing_portal/configurations",
    blank={
        "active": True,
        "application": None,
        "business_profile": {"headline": None, "privacy_policy_url": None, "terms_of_service_url": None},
        "default_return_url": None,
        "features": {
            "customer_update": {"allowed_updates": [], "enabled": False},
            "invoice_history": {"enabled": True},
            "payment_method_update": {"enabled": False, "payment_method_configuration": None},
            "subscription_cancel": {
                "cancellation_reason": {"enabled": False, "options": []},
                "enabled": False,
                "mode": "at_period_end",
                "proration_behavior": "none",
            },
            "subscription_update": {
                "billing_cycle_anchor": None,
                "default_allowed_updates": [],
                "enabled": False,
                "proration_behavior": "none",
                "schedule_at_period_end": {"conditions": []},
                "trial_update_behavior": "end_trial",
            },
        },
        "is_default": False,
        "login_page": {"enabled": False, "url": None},
        "metadata": {},
        "name": None,
        "updated": 0,
    },
    takes=_TAKES,
    changes=(*_TAKES, "active"),
    needs=("features",),
    filters=("active", "is_default"),
)

SESSION: Final = Noun(
    kind="billing_portal.session",
    prefix="bps",
    path="/v1/billing_portal/sessions",
    blank={
        "configuration": None,
        "customer": None,
        "customer_account": None,
        "flow": None,
        "locale": None,
        "on_behalf_of": None,
        "return_url": None,
        "url": None,
    },
    takes=("configuration", "customer", "locale", "return_url"),
)


def configure(world: World, call: Call) -> Obj:
    """Make a configuration; the first one is the default."""
    default = not world.every("billing_portal.configuration")
    made = make(world, CONFIGURATION, call.params, updated=world.now(), is_default=default)
    world.emit("billing_portal.configuration.created", made)
    return made


def update(world: World, call: Call) -> Obj:
    """Update a configuration."""
    made = world.get("billing_portal.configuration", call.id)
    with world.changing(made, "billing_portal.configuration.updated"):
        merge(made, call.params, CONFIGURATION.changes)
    return made


def open_session(world: World, call: Call) -> Obj:
    """Lead a customer to the portal, to a part of it if ``flow_data`` says so."""
    params: Any = call.params
    if not params.get("customer"):
        raise missing("customer")
    world.get("customer", params["customer"], "customer")
    chosen = params.get("configuration")
    if chosen is None:
        found = world.every("billing_portal.configuration", is_default=True)
        default = found[0] if found else make(world, CONFIGURATION, {"features": {}}, is_default=True)
        chosen = default["id"]
    world.get("billing_portal.configuration", chosen, "configuration")
    session = make(world, SESSION, params, configuration=chosen, flow=params.get("flow_data"))
    session["url"] = f"https://billing.stripe.com/p/session/{session['id']}"
    world.emit("billing_portal.session.created", session)
    return session


ROUTES: Final = (
    *resource(CONFIGURATION, create=configure, update=update),
    Route("POST", SESSION.path, open_session),
)
