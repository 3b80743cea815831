"""Commands for webhooks: what came in, what has become of it, and what to do about dead letters."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ..domain.inbox import EventState
from ..domain.policy import Durability
from . import options
from .failures import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._sync import Meter
    from ..domain.inbox import KeptEvent

T = TypeVar("T")

_STATES = {state.name.lower(): state for state in EventState}

State = Annotated[
    str | None, typer.Option("--state", metavar="STATE", help=f"Of this state only: {', '.join(_STATES)}.")
]
Type = Annotated[str, typer.Option("--type", help="How their types begin, such as charge.dispute.")]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="So many at most.")]
Id = Annotated[
    str, typer.Argument(metavar="ID", help="The event, as Stripe and `ptmeter webhooks list` name it.")
]
Actor = Annotated[str, typer.Option("--actor", help="Who has dealt with it.")]
Reason = Annotated[str, typer.Option("--reason", help="How.")]
Days = Annotated[int, typer.Option("--days", min=1, max=30, help="How far to go back.")]
Age = Annotated[int, typer.Option("--days", metavar="N", min=1, help="Since they came in.")]
All = Annotated[bool, typer.Option("--all", help="What was delivered too, as a sweep does.")]


def list_(
    *,
    db: options.Database,
    state: State = None,
    type_: Type = "",
    limit: Limit = 100,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """List webhook events, the latest first: what has become of each, and why it failed or was parked."""
    from .writing import number, safe, screen, table, time_text, write_json

    wanted = _state(state)
    found = _on_ledger(
        db, durability, lambda meter: meter.webhooks.list(state=wanted, kind=type_, limit=limit)
    )
    if as_json:
        write_json({"events": [_document(event) for event in found]})
        return ExitCode.OK
    made = table("webhooks", "id", "~type", "about", "state", ">times", "~received at", "~problem")
    for each in found:
        about = str(each.event.subject) if each.event.subject else None
        texts = (
            safe(text) for text in (each.event.id, each.event.type, about or "", each.state.name.lower())
        )
        made.add_row(
            *texts, number(each.deliveries), time_text(each.received_at), safe(each.problem) or None
        )
    screen().print(made)
    return ExitCode.OK


def show(
    event: Id,
    *,
    db: options.Database,
    durability: options.Survival = Durability.STRICT,
) -> int:
    """Show an event as Stripe sent it, and what has become of it, as one document."""
    from .writing import write_json

    found = _on_ledger(db, durability, lambda meter: meter.webhooks.find(event))
    write_json(_document(found) | {"body": json.loads(found.event.body)})
    return ExitCode.OK


def retry(
    event: Id,
    *,
    db: options.Database,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    Have what an event is about looked up again, whatever has become of it.

    Replaying does nothing twice. The next worker takes it.
    """
    return _changed(db, durability, lambda meter: meter.webhooks.retry(event), as_json=as_json)


def resolve(
    event: Id,
    *,
    db: options.Database,
    actor: Actor,
    reason: Reason,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """Note that a dead letter, or a parked event, was dealt with by hand."""
    return _changed(
        db,
        durability,
        lambda meter: meter.webhooks.resolve(event, actor=actor, reason=reason),
        as_json=as_json,
    )


def backlog(
    *,
    db: options.Database,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """Show how many events there are of each state, and since when the oldest waits or is dead."""
    from .writing import number, screen, table, time_text, write_json

    found = _on_ledger(db, durability, lambda meter: meter.webhooks.backlog())
    oldest = {EventState.WAITING: found.oldest_waiting, EventState.DEAD: found.oldest_dead}
    if as_json:
        counts = {state.name.lower(): found.counts.get(state, 0) for state in EventState}
        since = {state.name.lower(): at and at.isoformat() for state, at in oldest.items()}
        write_json({"counts": counts, "oldest": since})
        return ExitCode.OK
    made = table("webhooks", "state", ">events", "~oldest")
    for state in EventState:
        at = oldest.get(state)
        made.add_row(state.name.lower(), number(found.counts.get(state, 0)), time_text(at) if at else None)
    screen().print(made)
    return ExitCode.OK


def catch_up(
    *,
    db: options.Database,
    key: options.StripeKey,
    days: Days = 3,
    every: All = False,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """Ask Stripe for events that did not get through, and take them in as if they had been sent."""
    from .writing import screen, write_json

    options.must_exist(db)
    with options.open_stripe(db, options.policy(durability), key) as meter:
        found = meter.webhooks.catch_up(since=timedelta(days=days), undelivered=not every)
    if as_json:
        write_json({str(outcome): count for outcome, count in sorted(found.items())})
    else:
        told = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(found.items())) or "no events"
        screen().print(told, highlight=False)
    return ExitCode.OK


def prune(
    *,
    db: options.Database,
    days: Age = 90,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    Drop events that came in so many days ago or longer and are done with.

    What waits or is dead stays. At least 32 days: Stripe lists events for 30.
    """
    from .writing import counted, screen, write_json

    dropped = _on_ledger(
        db, durability, lambda meter: meter.webhooks.prune(older_than=timedelta(days=days))
    )
    if as_json:
        write_json({"dropped": dropped})
    else:
        screen().print(f"{counted(dropped, 'event')} dropped", highlight=False)
    return ExitCode.OK


COMMANDS = (
    (list_, ("ptmeter webhooks list --state dead", "ptmeter webhooks list --type charge.dispute. --json")),
    (show, ("ptmeter webhooks show evt_1PqJ3x",)),
    (retry, ("ptmeter webhooks retry evt_1PqJ3x",)),
    (resolve, ('ptmeter webhooks resolve evt_1PqJ3x --actor ann --reason "refunded by hand"',)),
    (backlog, ("ptmeter webhooks backlog --json",)),
    (catch_up, ("ptmeter webhooks catch-up --days 7", "ptmeter webhooks catch-up --all")),
    (prune, ("ptmeter webhooks prune --days 60",)),
)
"""Every command, with examples of it."""


def _state(name: str | None) -> EventState | None:
    if name is None:
        return None
    if name not in _STATES:
        msg = f"there is no state {name!r}: take one of {', '.join(_STATES)}"
        raise typer.BadParameter(msg, param_hint="--state")
    return _STATES[name]


def _changed(db: str, durability: Durability, work: Callable[[Meter], KeptEvent], *, as_json: bool) -> int:
    from .writing import screen, write_json

    found = _on_ledger(db, durability, work)
    if as_json:
        write_json(_document(found))
    else:
        screen().print(f"{found.event.id} is {found.state.name.lower()}", highlight=False)
    return ExitCode.OK


def _on_ledger(db: str, durability: Durability, work: Callable[[Meter], T]) -> T:
    options.must_exist(db)
    with options.open_meter(db, options.rate_card(None), options.policy(durability)) as meter:
        return work(meter)


def _document(kept: KeptEvent) -> dict[str, Any]:
    event = kept.event
    return {
        "id": event.id,
        "type": event.type,
        "about": str(event.subject) if event.subject else None,
        "state": kept.state.name.lower(),
        "source": kept.source,
        "api_version": event.api_version or None,
        "created": event.created.isoformat(),
        "received_at": kept.received_at.isoformat(),
        "done_at": kept.done_at and kept.done_at.isoformat(),
        "deliveries": kept.deliveries,
        "altered": kept.altered,
        "problem": kept.problem or None,
        "resolver": kept.resolver or None,
    }
