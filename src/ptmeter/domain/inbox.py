"""
The inbox: webhook events as they came in, and the subjects that are looked up because of them.

An event is a hint. It is kept, and its subject is put in line; whoever takes the subject looks it up at Stripe
and brings the books in line with what it finds there, once for all events that were waiting. So it makes no
difference in which order events come, how often, or whether one between two others is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import InvalidArgumentError

if TYPE_CHECKING:
    from datetime import datetime


class SubjectKind(StrEnum):
    """What is looked up."""

    PAYMENT = "payment"
    CHARGE = "charge"
    REFUND = "refund"
    DISPUTE = "dispute"
    SESSION = "session"
    INVOICE = "invoice"
    SUBSCRIPTION = "subscription"
    PAYOUT = "payout"
    USAGE_REPORT = "usage_report"
    """What a billing meter says of usage that it could not count; by the event's own id."""
    JOB = "job"
    """Nothing at Stripe: something that is to be done now and then."""


class Subject(NamedTuple):
    """Something at Stripe, by its id there; or a job, by its name."""

    kind: SubjectKind
    id: str

    def __str__(self) -> str:
        """As it is kept and shown."""
        return f"{self.kind}:{self.id}"


class EventState(IntEnum):
    """What has become of an event."""

    WAITING = 0
    """Its subject is to be looked up, now or later."""
    APPLIED = 1
    """Its subject was looked up after it had come, and the books say what was found."""
    PARKED = 2
    """Nothing is done about it: it is of no concern here, or it cannot be read safely; ``problem`` says which."""
    DEAD = 3
    """A dead letter: looking its subject up failed for good, for the reason in ``problem``."""
    RESOLVED = 4
    """Somebody has dealt with the dead letter."""


def state_named(state: EventState | str) -> EventState:
    """
    The state of that name, such as ``dead``.

    Raises:
        InvalidArgumentError: There is none.
    """
    names = {each.name.lower(): each for each in EventState}
    if isinstance(state, EventState):
        return state
    if state not in names:
        msg = f"{state!r} is none of {', '.join(names)}"
        raise InvalidArgumentError(msg)
    return names[state]


DONE: Final = frozenset({EventState.APPLIED, EventState.PARKED, EventState.RESOLVED})
"""States in which nothing is to be done about an event any more."""


class Intake(StrEnum):
    """What became of an event when it came in; whichever it is, Stripe need not send it again."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    """It came before."""
    PARKED = "parked"
    """It is kept, and nothing is done about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event as Stripe sent it; ``digest`` tells what it is about from anything else under its id."""

    id: str
    type: str
    api_version: str
    created: datetime
    livemode: bool
    account: str
    subject: Subject | None
    body: bytes = field(repr=False)
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEvent:
    """
    An event in the inbox, and what has become of it.

    ``deliveries`` counts how often it came, ``altered`` how often with something else to say: the first is kept.
    ``source`` is how it came: by webhook, or because somebody asked Stripe for what was missing.
    """

    event: Event
    state: EventState
    received_at: datetime
    source: str
    done_at: datetime | None = None
    problem: str = ""
    deliveries: int = 1
    altered: int = 0
    resolver: str = ""


@dataclass(frozen=True, slots=True)
class Received:
    """What became of an event that came in."""

    outcome: Intake
    event: Event
    problem: str = ""
    """Why it was parked, or what is wrong with it although it came before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """
    A subject in line.

    ``due_at`` is when it may be taken, which is the end of the lease once it is; ``None`` when nothing waits.
    ``lease`` counts how often it was taken, so that who comes back too late changes nothing.
    """

    subject: Subject
    due_at: datetime | None
    attempts: int = 0
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Worked:
    """How many subjects are in the books, are to be tried again, are dead letters, and are of no concern here."""

    applied: int = 0
    failed: int = 0
    dead: int = 0
    parked: int = 0


@dataclass(frozen=True, slots=True)
class Inboxes:
    """How the inbox stands: events by state, and since when the oldest waits or is dead."""

    counts: dict[EventState, int]
    oldest_waiting: datetime | None = None
    oldest_dead: datetime | None = None


def parking(event: Event, *, livemodes: frozenset[bool], newest: str) -> str:
    """
    Why nothing is to be done about an event, empty if there is something to do.

    *newest* is the version of Stripe's API that is read here. An older one is no problem, because amounts are never
    read off the event; what a newer one means by it nobody here knows.
    """
    if event.livemode not in livemodes:
        return f"it is {'live' if event.livemode else 'a test'}, and the endpoint is not"
    if event.account:
        return f"it is of the connected account {event.account}, and those are not followed"
    if event.api_version[:10] > newest[:10]:
        return (
            f"its API version {event.api_version} is newer than {newest}, which this version of ptmeter reads: "
            f"create the endpoint with that version, or update ptmeter, and replay the event"
        )
    if event.subject is None:
        return f"nothing is done about events of type {event.type}"
    return ""
