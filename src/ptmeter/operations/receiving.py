"""
Receiving webhooks: keep an event, put its subject in line, and note how looking that up ended.

Looking it up lies between two transactions and in none. Whoever dies there has taken subjects that nobody notes
anything of: they are due again when the lease ends, and looked up again, which changes nothing if it was done.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from ..domain.checks import check_note
from ..domain.inbox import EventState, Intake, KeptEvent, Received
from ..domain.instants import long_before
from ..errors import ConflictError, EventNotFoundError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from ..domain.inbox import Event, Inboxes, Subject, Waiting
    from ..domain.messages import Backoff
    from ..ports import Books, Posting

KEPT: Final = timedelta(days=32)
"""How long an event stays at least: Stripe lists events for 30 days, and what is not there any more comes in again."""

_DROPPED: Final = 500
_LONGEST_PROBLEM: Final = 500
_LOST: Final = "every process that looked it up died, or took longer than the lease"
_ALTERED: Final = "it came before with something else to say, which is kept: who has the secret?"


@dataclass(frozen=True, slots=True)
class Task:
    """A subject to look up, taken *at* a time, and the events that wait for that: those that came before."""

    waiting: Waiting
    events: Sequence[str]
    at: datetime


def keep(books: Books, event: Event, *, parked: str, source: str, at: datetime) -> Posting[Received]:
    """
    Keep an event that came in *at* a time, *parked* if there is a reason to.

    What the others are about is put in line by whichever worker comes next.

    It posts nothing, and shares its transaction and its statements with whatever comes in at the same moment.
    """
    kept = KeptEvent(
        event=event,
        state=EventState.PARKED if parked else EventState.WAITING,
        received_at=at,
        source=source,
        problem=parked,
    )
    books.inbox.expect(kept)
    yield ()  # until all that came at this moment is expected
    if books.inbox.add(kept):
        return Received(Intake.PARKED if parked else Intake.STORED, event, parked)
    books.inbox.expect_again(event)
    yield ()  # until all that came again at this moment is expected
    same = books.inbox.again(event)
    return Received(Intake.DUPLICATE, event, "" if same else _ALTERED)


def take(books: Books, *, backoff: Backoff, limit: int) -> list[Task]:
    """Take up to *limit* subjects that are due for as long as the lease; what is worn out is dead."""
    at = books.ledger.now()
    books.inbox.line_up(at)
    tasks: list[Task] = []
    for waiting in books.inbox.lease(at=at, until=at + backoff.lease, limit=limit):
        task = Task(waiting, books.inbox.waiting(waiting.subject), at)
        if waiting.attempts > backoff.attempts:
            _put_away(books, task, EventState.DEAD, _LOST)
        elif not task.events:
            books.inbox.save(replace(waiting, due_at=None, attempts=0))
        else:
            tasks.append(task)
    return tasks


def apply(books: Books, task: Task, work: Callable[[Books], Posting[object]]) -> Posting[EventState]:
    """
    Do *work*, which follows from looking a subject up, and note that it is done; nothing if another did meanwhile.

    That settles its dead letters too, for it says how the subject is now. What came in since is looked up again: it
    may tell of something that happened after the looking up.
    """
    if not _is_ours(books, task):
        return EventState.WAITING
    yield from work(books)
    at = books.ledger.now()
    books.inbox.conclude(_told(books, task), EventState.APPLIED, at=at, problem="")
    _let_go(books, task)
    return EventState.APPLIED


def fail(books: Books, task: Task, *, problem: str, backoff: Backoff, jitter: float) -> EventState:
    """Note that the subject could not be looked up: it is tried again after a while, or dead."""
    due_at = backoff.next_attempt(task.waiting.attempts, books.ledger.now(), jitter)
    if due_at is None:
        return bury(books, task, problem=problem)
    if _is_ours(books, task):
        books.inbox.conclude(task.events, EventState.WAITING, at=None, problem=problem[:_LONGEST_PROBLEM])
        books.inbox.save(replace(task.waiting, due_at=due_at))
    return EventState.WAITING


def park(books: Books, task: Task, *, problem: str) -> EventState:
    """
    Note that the subject is of no concern here: its events are kept, and nothing is done about them.

    That settles its dead letters too, as in `apply`: nobody has to deal with what is of no concern.
    """
    if _is_ours(books, task):
        _put_away(books, replace(task, events=_told(books, task)), EventState.PARKED, problem)
    return EventState.PARKED


def bury(books: Books, task: Task, *, problem: str) -> EventState:
    """Note that looking the subject up again would not help: its events are dead letters."""
    if _is_ours(books, task):
        _put_away(books, task, EventState.DEAD, problem)
    return EventState.DEAD


def retry(books: Books, event: str) -> KeptEvent:
    """
    Have the subject of an event looked up again, with all its attempts before it, whatever has become of it.

    Raises:
        EventNotFoundError: There is none of that id.
        InvalidArgumentError: It is about nothing that could be looked up.
    """
    found = find(books, event)
    if found.event.subject is None:
        msg = f"event {event} is about nothing that ptmeter looks up: {found.problem}"
        raise InvalidArgumentError(msg)
    books.inbox.put_in_line(found.event.subject, books.ledger.now())
    waiting = books.inbox.lock(found.event.subject)
    assert waiting is not None
    books.inbox.save(replace(waiting, due_at=books.ledger.now(), attempts=0))
    books.inbox.conclude([event], EventState.WAITING, at=None, problem="")
    return find(books, event)


def resolve(books: Books, event: str, *, actor: str, reason: str) -> KeptEvent:
    """
    Note that somebody has dealt with a dead letter or a parked event by hand.

    Raises:
        EventNotFoundError: There is none of that id.
        ConflictError: It waits, or was applied.
        InvalidArgumentError: Nobody or nothing is named as actor or reason.
    """
    if not actor.strip() or not reason.strip():
        msg = "say who has dealt with the event (actor) and how (reason)"
        raise InvalidArgumentError(msg)
    check_note(reason)
    found = find(books, event)
    if found.event.subject is not None:
        books.inbox.lock(found.event.subject)
        found = find(books, event)
    if found.state not in (EventState.DEAD, EventState.PARKED):
        msg = (
            f"event {event} is {found.state.name.lower()}: only dead letters and parked events are resolved"
        )
        raise ConflictError(msg)
    at = books.ledger.now()
    books.inbox.conclude([event], EventState.RESOLVED, at=at, problem=reason, resolver=actor)
    return find(books, event)


def find(books: Books, event: str) -> KeptEvent:
    """
    The event of that id.

    Raises:
        EventNotFoundError: There is none.
    """
    found = books.inbox.find(event)
    if found is None:
        raise EventNotFoundError(event)
    return found


def listed(
    books: Books, *, state: EventState | None, kind: str, subject: Subject | None, limit: int
) -> tuple[KeptEvent, ...]:
    """
    Events, the latest first.

    Raises:
        InvalidArgumentError: *limit* is not positive.
    """
    if limit < 1:
        msg = f"ask for at least one event, not {limit}"
        raise InvalidArgumentError(msg)
    return tuple(books.inbox.listed(state=state, kind=kind, subject=subject, limit=limit))


def known(books: Books, *, events: Sequence[str]) -> set[str]:
    """Which of these events came in."""
    return books.inbox.known(events)


def prune(books: Books, *, older_than: timedelta, limit: int = _DROPPED) -> int:
    """
    Drop up to *limit* events that came in longer than that ago and are done with; returns how many.

    Raises:
        InvalidArgumentError: It is less than Stripe may list them again.
    """
    if older_than < KEPT:
        msg = f"keep events for at least {KEPT.days} days: Stripe lists them for 30, and they would come in again"
        raise InvalidArgumentError(msg)
    return books.inbox.forget(long_before(books.ledger.now(), older_than), limit=limit)


def now(books: Books) -> datetime:
    """The time by the ledger's clock, which says what was looked up before what."""
    return books.ledger.now()


def standing(books: Books) -> Inboxes:
    """How the inbox stands."""
    return books.inbox.standing()


def _is_ours(books: Books, task: Task) -> bool:
    """Whether the lease is still the one that the task was taken under; locks its subject."""
    now = books.inbox.lock(task.waiting.subject)
    return now is not None and now.lease == task.waiting.lease


def _told(books: Books, task: Task) -> list[str]:
    """The events that a look-up has settled: those that waited for it, and dead letters of the same subject."""
    dead = books.inbox.listed(state=EventState.DEAD, subject=task.waiting.subject)
    return [*task.events, *(kept.event.id for kept in dead)]


def _put_away(books: Books, task: Task, state: EventState, problem: str) -> None:
    at = books.ledger.now()
    books.inbox.conclude(task.events, state, at=at, problem=problem[:_LONGEST_PROBLEM])
    _let_go(books, task)


def _let_go(books: Books, task: Task) -> None:
    """Out of line, unless more has come in."""
    more = books.inbox.waiting(task.waiting.subject, limit=1)
    due = books.ledger.now() if more else None
    books.inbox.save(replace(task.waiting, due_at=due, attempts=0))
