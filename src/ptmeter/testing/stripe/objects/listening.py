"""Webhook endpoints, and the events that were sent to them, fat and thin."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from ..listing import page
from ..nouns import Noun, Route, make, resource
from ..refusals import RefusedError, missing
from ..values import merge

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..nouns import Call
    from ..values import Obj
    from ..world import World

ENDPOINT: Final = Noun(
    kind="webhook_endpoint",
    prefix="we",
    path="/v1/webhook_endpoints",
    blank={
        "api_version": None,
        "application": None,
        "description": None,
        "enabled_events": [],
        "metadata": {},
        "status": "enabled",
        "url": None,
        "_thin": False,
    },
    takes=("api_version", "description", "enabled_events", "metadata", "url"),
    changes=("description", "enabled_events", "metadata", "url"),
    needs=("url", "enabled_events"),
)
EVENT: Final = Noun(kind="event", prefix="evt", path="/v1/events", blank={})


def create(world: World, call: Call) -> Obj:
    """Register an endpoint: its secret is shown this once."""
    endpoint = listen(world, call.params)
    return {**endpoint, "secret": endpoint["_secret"]}


def listen(world: World, params: Obj, secret: str | None = None, *, thin: bool = False) -> Obj:
    """Register an endpoint with a *secret*, or with one of its own."""
    if not str(params.get("url") or "http://").startswith(("http://", "https://")):
        raise RefusedError("Invalid URL: An explicit scheme (such as https) must be provided.", param="url")
    if not params.get("enabled_events"):
        raise missing("enabled_events")
    return make(world, ENDPOINT, params, _secret=secret or f"whsec_{secrets.token_hex(16)}", _thin=thin)


def update(world: World, call: Call) -> Obj:
    """Update an endpoint; its API version stays."""
    endpoint = world.get("webhook_endpoint", call.id)
    merge(endpoint, call.params, ENDPOINT.changes)
    if call.params.get("disabled") is not None:
        endpoint["status"] = "disabled" if call.params["disabled"] else "enabled"
    return endpoint


def delete(world: World, call: Call) -> Obj:
    """Delete an endpoint; Stripe has no event for it."""
    endpoint = world.get("webhook_endpoint", call.id)
    endpoint["_deleted"] = True
    return endpoint


def list_events(taken: Callable[[Obj], bool]) -> Any:
    """Return the verb that lists events, by type and by whether all endpoints have *taken* them."""

    def list_all(world: World, call: Call) -> Obj:
        params = call.params
        kinds = params.get("types") or ([params["type"]] if params.get("type") else [])
        rows = [row for row in world.every("event") if not kinds or _matches(row["type"], kinds)]
        if (wanted := params.get("delivery_success")) is not None:
            rows = [row for row in rows if taken(row) == wanted]
        return page(rows, params, call.path)

    return list_all


def _matches(kind: str, wanted: list[str]) -> bool:
    return any(kind == each or (each.endswith("*") and kind.startswith(each[:-1])) for each in wanted)


def thin(event: Obj) -> Obj:
    """Return *event* as a thin one: what happened to which object, and nothing of the object."""
    obj = event["data"]["object"]
    related = {"id": obj["id"], "type": obj["object"], "url": place_of(obj)} if obj.get("id") else None
    return {
        "id": event["id"],
        "object": "v2.core.event",
        "type": event["type"] if event["type"].startswith("v") else f"v1.{event['type']}",
        "created": datetime.fromtimestamp(event["created"], UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "livemode": event["livemode"],
        "related_object": related,
        "context": None,
        "reason": None,
        "snapshot_event": event["id"],
        **({"data": event["_thin_data"]} if event.get("_thin_data") else {}),
    }


def place_of(obj: Obj) -> str:
    """Return the path at which *obj* is found."""
    kind = str(obj["object"])
    plural = {"invoiceitem": "invoiceitems", "balance": "balance"}
    return f"/v1/{plural.get(kind, kind.replace('.', '/') + 's')}/{obj['id']}"


def retrieve_thin(world: World, call: Call) -> Obj:
    """Show one event as a thin one."""
    return thin(world.get("event", call.id))


ROUTES: Final = (
    *resource(ENDPOINT, create=create, update=update, delete=delete),
    *resource(EVENT, create=None, update=None, all=None),
    Route("GET", "/v2/core/events/{id}", retrieve_thin),
)
