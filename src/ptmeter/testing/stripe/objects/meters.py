"""Billing meters: usage is reported as events, once each, and summed up by customer and time."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final

from ..listing import page
from ..nouns import Call, Noun, Route, make, resource
from ..refusals import RefusedError, missing
from ..values import part

if TYPE_CHECKING:
    from ..values import Obj
    from ..world import World

METER: Final = Noun(
    kind="billing.meter",
    prefix="mtr_test",
    path="/v1/billing/meters",
    blank={
        "customer_mapping": {"event_payload_key": "stripe_customer_id", "type": "by_id"},
        "default_aggregation": {"formula": "sum"},
        "display_name": None,
        "event_name": None,
        "event_time_window": None,
        "status": "active",
        "status_transitions": {"deactivated_at": None},
        "updated": 0,
        "value_settings": {"event_payload_key": "value"},
    },
    takes=(
        *("customer_mapping", "default_aggregation", "display_name", "event_name", "event_time_window"),
        "value_settings",
    ),
    changes=("display_name",),
    needs=("default_aggregation", "display_name", "event_name"),
    filters=("status",),
)
EVENT: Final = Noun(
    kind="billing.meter_event",
    prefix="mevt",
    path="/v1/billing/meter_events",
    blank={"event_name": None, "identifier": None, "payload": {}, "timestamp": 0},
)
DAY: Final = 86_400
OLDEST: Final = 35 * DAY
AHEAD: Final = 5 * 60
WINDOWS: Final = {"hour": 3_600, "day": DAY}


def create(world: World, call: Call) -> Obj:
    """Make a meter; no two that are active may listen to the same name."""
    name = call.params.get("event_name")
    if world.every("billing.meter", event_name=name, status="active"):
        raise RefusedError(
            f"There is already an active meter with the event name {name}.",
            code="resource_already_exists",
            param="event_name",
        )
    meter = make(world, METER, call.params, updated=world.now())
    world.emit("billing.meter.created", meter)
    return meter


def deactivate(world: World, call: Call) -> Obj:
    """Let a meter take no more events."""
    return _switched(world, call.id, "inactive", world.now())


def reactivate(world: World, call: Call) -> Obj:
    """Let a meter take events again."""
    return _switched(world, call.id, "active", None)


def _switched(world: World, identity: str, status: str, at: int | None) -> Obj:
    meter = world.get("billing.meter", identity)
    meter |= {"status": status, "updated": world.now()}
    meter["status_transitions"]["deactivated_at"] = at
    world.emit(f"billing.meter.{'deactivated' if at else 'reactivated'}", meter)
    return meter


def report(world: World, call: Call) -> Obj:
    """
    Take one event. What Stripe only finds out later is told by a thin event: no meter, no customer, no number.

    Raises:
        RefusedError: Something is missing, the time is out of range, or the identifier was used within a day.
    """
    params, now = call.params, world.now()
    for name in ("event_name", "payload"):
        if not params.get(name):
            raise missing(name)
    at = _time(params.get("timestamp"), now)
    if at < now - OLDEST or at > now + AHEAD:
        raise RefusedError(
            "The timestamp must be within the past 35 days and no more than 5 minutes in the future.",
            param="timestamp",
        )
    identifier = params.get("identifier") or world.identity("mevt")
    for other in world.every("billing.meter_event", identifier=identifier):
        if other["created"] > now - DAY:
            raise RefusedError(f"An event already exists with identifier {identifier}.", param="identifier")
    event = make(
        world,
        EVENT,
        id=identifier,
        event_name=params["event_name"],
        identifier=identifier,
        payload={name: str(value) for name, value in params["payload"].items()},
        timestamp=at,
    )
    _check(world, event)
    return {name: value for name, value in event.items() if name != "id"}


def _time(given: object, now: int) -> int:
    if given is None:
        return now
    if isinstance(given, int):
        return given
    return int(datetime.fromisoformat(str(given)).timestamp())


def _check(world: World, event: Obj) -> None:
    [*meters] = world.every("billing.meter", event_name=event["event_name"], status="active")
    event["_meter"] = meters[0]["id"] if meters else None
    wrong = "" if meters else "no_meter"
    if meters:
        payload: dict[str, str] = event["payload"]
        customer = payload.get(meters[0]["customer_mapping"]["event_payload_key"])
        event["_customer"] = customer
        event["_value"] = _number(payload.get(meters[0]["value_settings"]["event_payload_key"]))
        if customer is None:
            wrong = "meter_event_no_customer_defined"
        elif world.find(customer) is None:
            wrong = "meter_event_customer_not_found"
        elif event["_value"] is None:
            wrong = "meter_event_invalid_value"
    if wrong:
        event["_meter_wrong"] = wrong
        _complain(world, event, wrong)


def _complain(world: World, event: Obj, wrong: str) -> None:
    kind = "no_meter_found" if wrong == "no_meter" else "error_report_triggered"
    about: Obj = (
        {"id": event["_meter"], "object": "billing.meter"}
        if event["_meter"]
        else {"object": "billing.meter"}
    )
    told = world.emit(f"v1.billing.meter.{kind}", about)
    told["_thin_data"] = {
        "developer_message_summary": "There is 1 invalid event",
        "reason": {
            "error_count": 1,
            "error_types": [
                {
                    "code": "no_meter" if wrong == "no_meter" else wrong,
                    "error_count": 1,
                    "sample_errors": [
                        {
                            "error_message": wrong.replace("_", " "),
                            "request": {"identifier": event["identifier"]},
                        }
                    ],
                }
            ],
        },
    }


def _number(text: str | None) -> Decimal | None:
    try:
        number = Decimal(text or "")
    except InvalidOperation:
        return None
    return number if number >= 0 and number == number.to_integral_value() else None


def used(world: World, meter: str | None, customer: str, start: int, end: int) -> int:
    """Return what a customer used of a meter in a stretch of time, its end not included."""
    found = [
        event
        for event in world.every("billing.meter_event")
        if event["_meter"] == meter
        and event.get("_customer") == customer
        and not event.get("_meter_wrong")
        and start <= event["timestamp"] < end
    ]
    if meter is None or not found:
        return 0
    match world.get("billing.meter", meter)["default_aggregation"]["formula"]:
        case "count":
            return len(found)
        case "last":
            return int(max(found, key=lambda event: event["timestamp"])["_value"])
        case _:
            return int(sum(event["_value"] for event in found))


def summaries(world: World, call: Call) -> Obj:
    """Sum up what a customer used, in one piece or by hours or days."""
    params = call.params
    for name in ("customer", "start_time", "end_time"):
        if params.get(name) is None:
            raise missing(name)
    meter = world.get("billing.meter", call.id)
    start, end = params["start_time"], params["end_time"]
    step = WINDOWS[params["value_grouping_window"]] if params.get("value_grouping_window") else end - start
    for name, bound in (("start_time", start), ("end_time", end)):
        if bound % (step if params.get("value_grouping_window") else 60):
            raise RefusedError(
                f"{name} must align with minute boundaries, or those of the window.", param=name
            )
    rows: list[Obj] = [
        {
            "id": f"mtrusg_{first}",
            "object": "billing.meter_event_summary",
            "aggregated_value": used(world, meter["id"], params["customer"], first, min(first + step, end)),
            "end_time": min(first + step, end),
            "livemode": False,
            "meter": meter["id"],
            "start_time": first,
        }
        for first in range(start, end, max(step, 1))
    ]
    return page([row for row in rows if row["aggregated_value"] or len(rows) == 1], params, call.path)


def adjust(world: World, call: Call) -> Obj:
    """Cancel an event by its identifier."""
    params = call.params
    identifier = part(params, "cancel").get("identifier")
    [*found] = world.every(
        "billing.meter_event", identifier=identifier, event_name=params.get("event_name")
    )
    for event in found:
        event["_deleted"] = True
    return {
        "object": "billing.meter_event_adjustment",
        "cancel": {"identifier": identifier},
        "event_name": params.get("event_name"),
        "livemode": False,
        "status": "complete" if found else "pending",
        "type": "cancel",
    }


def session(world: World, _call: Call) -> Obj:
    """Open a session for a stream of events."""
    return {
        "object": "v2.billing.meter_event_session",
        "id": world.identity("mes"),
        "authentication_token": "token_fake",
        "created": world.moment().isoformat(),
        "expires_at": world.moment().isoformat(),
        "livemode": False,
    }


def stream(world: World, call: Call) -> Obj:
    """Take many events."""
    for event in call.params.get("events") or ():
        report(world, Call(call.path, event))
    return {}


ROUTES: Final = (
    *resource(
        METER,
        create=create,
        deactivate=deactivate,
        reactivate=reactivate,
    ),
    Route("GET", f"{METER.path}/{{id}}/event_summaries", summaries),
    Route("POST", EVENT.path, report),
    Route("POST", "/v1/billing/meter_event_adjustments", adjust),
    Route("POST", "/v2/billing/meter_events", report),
    Route("POST", "/v2/billing/meter_event_session", session),
    Route("POST", "/v2/billing/meter_event_stream", stream),
)
