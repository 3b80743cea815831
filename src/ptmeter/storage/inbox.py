"""
The inbox: an event is a row under Stripe's id for it, its subject a row that workers take in turns.

A subject is leased as a message of the outbox is, by moving the time it is due to the lease's end. Who takes it
locks its row, and so does who puts it in line: an event that comes in while its subject is being looked up either
is seen by who finishes that, or puts the subject in line again.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, func, not_, select, update

from ..domain.inbox import DONE, Event, EventState, Inboxes, KeptEvent, Subject, SubjectKind, Waiting
from ..domain.instants import microseconds, moment
from .inbox_tables import task as line
from .inbox_tables import webhook
from .rows import id_from, id_row, names_its_row
from .statements import insert_new, inserted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row

_JOB: Final = f"{SubjectKind.JOB}:"


class SqlInbox:
    """Webhook events inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._expected: dict[str, dict[str, Any]] = {}
        self._new: set[str] = set()
        self._came_again: list[Event] = []
        self._digests: dict[str, bytes] = {}

    def expect(self, event: KeptEvent) -> None:
        """See `ports.Inbox.expect`."""
        self._expected.setdefault(event.event.id, _row(event))

    def add(self, event: KeptEvent) -> bool:
        """See `ports.Inbox.add`; all that is expected is written with it."""
        self.expect(event)
        rows, self._expected = list(self._expected.values()), {}
        if event.event.id not in self._new:
            self._new |= self._added(rows)
        new = event.event.id in self._new
        self._new.discard(event.event.id)  # what is the same again came again
        return new

    def _added(self, rows: list[dict[str, Any]]) -> set[str]:
        """Write events, but for those that are there; returns the ids of those that were not."""
        statement = insert_new(webhook, self._connection.dialect.name)
        if not self._connection.dialect.insert_returning:
            return {row["event_id"] for row in rows if inserted(self._connection, webhook, row)}
        written = self._connection.execute(statement.returning(webhook.c.event_id), rows)
        return set(written.scalars())

    def line_up(self, at: datetime, *, limit: int = 1_000) -> int:
        """See `ports.Inbox.line_up`."""
        new = (webhook.c.state == int(EventState.WAITING)) & (webhook.c.lined == 0)
        query = select(webhook.c.event_id, webhook.c.subject, webhook.c.received_at).where(new)
        query = query.order_by(webhook.c.received_at)
        found = self._connection.execute(query.limit(limit).with_for_update(skip_locked=True)).all()
        since = {row.subject: moment(row.received_at) for row in reversed(found)}
        for text in sorted(since):
            self.put_in_line(_subject_from(text), min(since[text], at))
        if found:
            these = update(webhook).where(webhook.c.event_id.in_([row.event_id for row in found]))
            self._connection.execute(these.values(lined=1))
        return len(found)

    def expect_again(self, event: Event) -> None:
        """See `ports.Inbox.expect_again`."""
        self._came_again.append(event)

    def again(self, event: Event) -> bool:
        """See `ports.Inbox.again`; one that was dropped meanwhile is as good as the same."""
        if self._came_again:
            self._count(self._came_again)
            self._came_again = []
        return self._digests.get(event.id, event.digest) == event.digest

    def _count(self, events: Sequence[Event]) -> None:
        """Count events that came again, locked in the order of their ids: those alike in one statement."""
        this = webhook.c.event_id
        kept = select(this, webhook.c.digest).where(this.in_({event.id for event in events}))
        rows = self._connection.execute(kept.order_by(this).with_for_update())
        self._digests |= {row.event_id: id_from(row.digest) for row in rows}
        came = Counter(event.id for event in events)
        other = Counter(event.id for event in events if self._digests.get(event.id) != event.digest)
        alike: defaultdict[tuple[int, int], list[str]] = defaultdict(list)
        for name, times in came.items():
            alike[times, other[name]].append(name)
        for (times, altered), names in alike.items():
            more = {
                "deliveries": webhook.c.deliveries + times,
                "altered": webhook.c.altered + altered,
            }
            self._connection.execute(update(webhook).where(this.in_(names)).values(more))

    def put_in_line(self, subject: Subject, at: datetime) -> None:
        """See `ports.Inbox.put_in_line`."""
        due = microseconds(at)
        if not inserted(
            self._connection, line, {"task": str(subject), "due_at": due, "attempts": 0, "lease": 0}
        ):
            idle = update(line).where(line.c.task == str(subject), line.c.due_at.is_(None))
            self._connection.execute(idle.values(due_at=due, attempts=0))

    def lease(self, *, at: datetime, until: datetime, limit: int, jobs: bool = False) -> list[Waiting]:
        """See `ports.Inbox.lease`; on SQLite the transaction holds the only lock there is."""
        is_job = func.substr(line.c.task, 1, len(_JOB)) == _JOB
        due = (
            select(line)
            .where(line.c.due_at <= microseconds(at), is_job if jobs else not_(is_job))
            .order_by(line.c.due_at)
            .limit(limit)
        )
        taken: list[Waiting] = []
        for row in self._connection.execute(due.with_for_update(skip_locked=True)).all():
            found = _waiting_from(row)
            leased = replace(found, due_at=until, attempts=found.attempts + 1, lease=found.lease + 1)
            self.save(leased)
            taken.append(leased)
        return taken

    def lock(self, subject: Subject) -> Waiting | None:
        """See `ports.Inbox.lock`."""
        query = select(line).where(line.c.task == str(subject)).with_for_update()
        row = self._connection.execute(query).first()
        return None if row is None else _waiting_from(row)

    def save(self, changed: Waiting) -> None:
        """See `ports.Inbox.save`."""
        due = None if changed.due_at is None else microseconds(changed.due_at)
        this = update(line).where(line.c.task == str(changed.subject))
        self._connection.execute(this.values(due_at=due, attempts=changed.attempts, lease=changed.lease))

    def waiting(self, subject: Subject, *, limit: int = 1_000) -> list[str]:
        """See `ports.Inbox.waiting`."""
        query = select(webhook.c.event_id).where(
            webhook.c.subject == str(subject), webhook.c.state == int(EventState.WAITING)
        )
        first = query.order_by(webhook.c.received_at, webhook.c.event_id).limit(limit)
        return list(self._connection.execute(first).scalars())

    def conclude(
        self,
        events: Sequence[str],
        state: EventState,
        *,
        at: datetime | None,
        problem: str,
        resolver: str = "",
    ) -> None:
        """See `ports.Inbox.conclude`."""
        these = update(webhook).where(webhook.c.event_id.in_(events))
        done = {"state": int(state), "done_at": None if at is None else microseconds(at)}
        self._connection.execute(these.values(**done, problem=problem or None, resolver=resolver or None))

    def find(self, event: str) -> KeptEvent | None:
        """See `ports.Inbox.find`."""
        row = self._connection.execute(select(webhook).where(webhook.c.event_id == event)).first()
        return None if row is None else _kept_from(row)

    def listed(
        self,
        *,
        state: EventState | None = None,
        kind: str = "",
        subject: Subject | None = None,
        limit: int = 100,
    ) -> list[KeptEvent]:
        """See `ports.Inbox.listed`."""
        query = select(webhook).where(func.substr(webhook.c.type, 1, len(kind)) == kind)
        if state is not None:
            query = query.where(webhook.c.state == int(state))
        if subject is not None:
            query = query.where(webhook.c.subject == str(subject))
        latest = query.order_by(webhook.c.received_at.desc(), webhook.c.event_id).limit(limit)
        return [_kept_from(row) for row in self._connection.execute(latest)]

    def known(self, events: Sequence[str]) -> set[str]:
        """See `ports.Inbox.known`."""
        query = select(webhook.c.event_id).where(webhook.c.event_id.in_(events))
        return set(self._connection.execute(query).scalars())

    def forget(self, before: datetime, *, limit: int) -> int:
        """See `ports.Inbox.forget`; what others are dropping at this moment is passed over."""
        done = webhook.c.state.in_([int(state) for state in DONE])
        old = select(webhook.c.event_id).where(done, webhook.c.received_at < microseconds(before))
        found = self._connection.execute(old.limit(limit).with_for_update(skip_locked=True))
        names = list(found.scalars())
        self._connection.execute(delete(webhook).where(webhook.c.event_id.in_(names)))
        return len(names)

    def standing(self) -> Inboxes:
        """See `ports.Inbox.standing`."""
        query = select(webhook.c.state, func.count(), func.min(webhook.c.received_at)).group_by(
            webhook.c.state
        )
        found = {
            EventState(state): (count, first) for state, count, first in self._connection.execute(query)
        }
        oldest = {state: moment(first) for state, (_, first) in found.items()}
        return Inboxes(
            {state: count for state, (count, _) in sorted(found.items())},
            oldest.get(EventState.WAITING),
            oldest.get(EventState.DEAD),
        )


# --- between rows and values ------------------------------------------------------------------


def _row(kept: KeptEvent) -> dict[str, Any]:
    event = kept.event
    return {
        "event_id": event.id,
        "received_at": microseconds(kept.received_at),
        "created_at": microseconds(event.created),
        "done_at": None if kept.done_at is None else microseconds(kept.done_at),
        "digest": id_row(event.digest),
        "deliveries": kept.deliveries,
        "altered": kept.altered,
        "state": int(kept.state),
        "lined": 0,
        "livemode": int(event.livemode),
        "type": event.type,
        "source": kept.source,
        "api_version": event.api_version or None,
        "account": event.account or None,
        "subject": None if event.subject is None else str(event.subject),
        "body": event.body.decode(),
        "problem": kept.problem or None,
        "resolver": kept.resolver or None,
    }


@names_its_row("ptm_webhook", "event_id")
def _kept_from(row: Row[Any]) -> KeptEvent:
    event = Event(
        id=row.event_id,
        type=row.type,
        api_version=row.api_version or "",
        created=moment(row.created_at),
        livemode=bool(row.livemode),
        account=row.account or "",
        subject=None if row.subject is None else _subject_from(row.subject),
        body=row.body.encode(),
        digest=id_from(row.digest),
    )
    return KeptEvent(
        event=event,
        state=EventState(row.state),
        received_at=moment(row.received_at),
        source=row.source,
        done_at=None if row.done_at is None else moment(row.done_at),
        problem=row.problem or "",
        deliveries=row.deliveries,
        altered=row.altered,
        resolver=row.resolver or "",
    )


@names_its_row("ptm_task", "task")
def _waiting_from(row: Row[Any]) -> Waiting:
    due = None if row.due_at is None else moment(row.due_at)
    return Waiting(subject=_subject_from(row.task), due_at=due, attempts=row.attempts, lease=row.lease)


def _subject_from(text: str) -> Subject:
    kind, _, name = text.partition(":")
    return Subject(SubjectKind(kind), name)
