"""Test clocks: simulated time for some customers and all that is theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ..nouns import Noun, make, remove, resource
from ..periods import end as period_end
from ..refusals import RefusedError, missing
from .standing import end

if TYPE_CHECKING:
    from ..nouns import Call
    from ..values import Obj
    from ..world import World

TEST_CLOCK: Final = Noun(
    kind="test_helpers.test_clock",
    prefix="clock",
    path="/v1/test_helpers/test_clocks",
    blank={
        "deletes_after": 0,
        "frozen_time": 0,
        "name": None,
        "status": "ready",
        "status_details": {},
    },
    takes=("frozen_time", "name"),
    needs=("frozen_time",),
)
MONTH: Final = 30 * 86_400


def create(world: World, call: Call) -> Obj:
    """Make a clock that stands still."""
    clock = make(world, TEST_CLOCK, call.params, deletes_after=world.now() + MONTH)
    world.emit("test_helpers.test_clock.created", clock)
    return clock


def advance(world: World, call: Call) -> Obj:
    """
    Begin to advance a clock: it is ``advancing``, and ready once this request is answered.

    Raises:
        RefusedError: It goes back, or by more than two intervals of its shortest subscription.
    """
    clock, to = world.get("test_helpers.test_clock", call.id), call.params.get("frozen_time")
    if to is None:
        raise missing("frozen_time")
    if to <= clock["frozen_time"]:
        raise RefusedError("The frozen_time must be after the clock's current one.", param="frozen_time")
    for subscription in world.every("subscription", test_clock=clock["id"]):
        if subscription["status"] not in {"canceled", "incomplete_expired"} and to > _furthest(
            clock, subscription
        ):
            raise RefusedError(
                "You cannot advance a test clock more than two intervals from its current frozen time, based on the "
                "shortest subscription interval.",
                param="frozen_time",
            )
    clock |= {
        "status": "advancing",
        "status_details": {"advancing": {"target_frozen_time": to}},
        "_target": to,
    }
    world.watched.append(clock)
    world.emit("test_helpers.test_clock.advancing", clock)
    return clock


def _furthest(clock: Obj, subscription: Obj) -> int:
    ends: list[int] = []
    for item in subscription["items"]["data"]:
        recurring, at = item["price"]["recurring"], clock["frozen_time"]
        for _ in range(2):
            at = period_end(clock["frozen_time"], at, recurring["interval"], recurring["interval_count"])
        ends.append(at)
    return min(ends)


def ready(world: World, clock: Obj) -> None:
    """Say that a clock has arrived."""
    clock |= {"status": "ready", "status_details": {}, "frozen_time": clock.pop("_target")}
    world.emit("test_helpers.test_clock.ready", clock)


def delete(world: World, call: Call) -> Obj:
    """Delete a clock, with its customers and their subscriptions."""
    clock = world.get("test_helpers.test_clock", call.id)
    for subscription in world.every("subscription", test_clock=clock["id"]):
        if subscription["status"] not in {"canceled", "incomplete_expired"}:
            end(world, subscription)
    for customer in world.every("customer", test_clock=clock["id"]):
        world.emit("customer.deleted", customer)
        customer["_deleted"] = True
    return remove(world, TEST_CLOCK, clock)


ROUTES: Final = resource(TEST_CLOCK, create=create, update=None, delete=delete, advance=advance)
