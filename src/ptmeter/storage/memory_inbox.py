"""Webhook events, in memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..domain.inbox import DONE, EventState, Inboxes, KeptEvent, SubjectKind, Waiting

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ..domain.inbox import Event, Subject


@dataclass(slots=True)
class InboxTables:
    """Events by id, and subjects in line. Values are immutable, so a shallow copy is a snapshot."""

    events: dict[str, KeptEvent] = field(default_factory=dict[str, KeptEvent])
    line: dict[str, Waiting] = field(default_factory=dict[str, Waiting])

    def __copy__(self) -> InboxTables:
        return InboxTables(dict(self.events), dict(self.line))


class MemoryInbox:
    """Webhook events inside one transaction on memory, which holds the only lock there is."""

    def __init__(self, tables: InboxTables) -> None:
        self._events = tables.events
        self._line = tables.line

    def expect(self, event: KeptEvent) -> None:
        """See `ports.Inbox.expect`; nothing is gained by it here."""

    def add(self, event: KeptEvent) -> bool:
        """See `ports.Inbox.add`."""
        return self._events.setdefault(event.event.id, event) is event

    def line_up(self, at: datetime, *, limit: int = 1_000) -> int:
        """See `ports.Inbox.line_up`; what is in line already stays where it is."""
        waiting = [kept for kept in self._events.values() if kept.state is EventState.WAITING]
        waiting.sort(key=lambda kept: kept.received_at, reverse=True)
        since = {kept.event.subject: kept.received_at for kept in waiting if kept.event.subject}
        new = sorted(since.keys() - self._lined())[:limit]
        for subject in new:
            self.put_in_line(subject, min(since[subject], at))
        return len(new)

    def _lined(self) -> set[Subject]:
        return {each.subject for each in self._line.values() if each.due_at}

    def expect_again(self, event: Event) -> None:
        """See `ports.Inbox.expect_again`; nothing is gained by it here."""

    def again(self, event: Event) -> bool:
        """See `ports.Inbox.again`."""
        found = self._events[event.id]
        same = found.event.digest == event.digest
        self._events[event.id] = replace(
            found, deliveries=found.deliveries + 1, altered=found.altered + (not same)
        )
        return same

    def put_in_line(self, subject: Subject, at: datetime) -> None:
        """See `ports.Inbox.put_in_line`."""
        found = self._line.get(str(subject), Waiting(subject=subject, due_at=None))
        if found.due_at is None:
            self.save(replace(found, due_at=at, attempts=0))

    def lease(self, *, at: datetime, until: datetime, limit: int, jobs: bool = False) -> list[Waiting]:
        """See `ports.Inbox.lease`."""
        wanted = (w for w in self._line.values() if (w.subject.kind is SubjectKind.JOB) is jobs)
        due = sorted((w.due_at, str(w.subject)) for w in wanted if w.due_at and w.due_at <= at)
        found = [self._line[name] for _, name in due[:limit]]
        taken = [replace(w, due_at=until, attempts=w.attempts + 1, lease=w.lease + 1) for w in found]
        for each in taken:
            self.save(each)
        return taken

    def lock(self, subject: Subject) -> Waiting | None:
        """See `ports.Inbox.lock`."""
        return self._line.get(str(subject))

    def save(self, changed: Waiting) -> None:
        """See `ports.Inbox.save`."""
        self._line[str(changed.subject)] = changed

    def waiting(self, subject: Subject, *, limit: int = 1_000) -> list[str]:
        """See `ports.Inbox.waiting`."""
        found = self.listed(state=EventState.WAITING, subject=subject, limit=len(self._events))
        first = sorted(found, key=lambda kept: (kept.received_at, kept.event.id))
        return [kept.event.id for kept in first[:limit]]

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
        for name in events:
            self._events[name] = replace(
                self._events[name], state=state, done_at=at, problem=problem, resolver=resolver
            )

    def find(self, event: str) -> KeptEvent | None:
        """See `ports.Inbox.find`."""
        return self._events.get(event)

    def listed(
        self,
        *,
        state: EventState | None = None,
        kind: str = "",
        subject: Subject | None = None,
        limit: int = 100,
    ) -> list[KeptEvent]:
        """See `ports.Inbox.listed`."""
        found = [
            kept
            for kept in self._events.values()
            if (state is None or kept.state is state)
            and kept.event.type.startswith(kind)
            and (subject is None or kept.event.subject == subject)
        ]
        found.sort(key=lambda kept: kept.event.id)
        found.sort(key=lambda kept: kept.received_at, reverse=True)
        return found[:limit]

    def known(self, events: Sequence[str]) -> set[str]:
        """See `ports.Inbox.known`."""
        return self._events.keys() & set(events)

    def forget(self, before: datetime, *, limit: int) -> int:
        """See `ports.Inbox.forget`."""
        old = [k.event.id for k in self._events.values() if k.state in DONE and k.received_at < before]
        for name in old[:limit]:
            del self._events[name]
        return len(old[:limit])

    def standing(self) -> Inboxes:
        """See `ports.Inbox.standing`."""
        counts = Counter(kept.state for kept in self._events.values())

        def oldest(state: EventState) -> datetime | None:
            return min((k.received_at for k in self._events.values() if k.state is state), default=None)

        return Inboxes(dict(sorted(counts.items())), oldest(EventState.WAITING), oldest(EventState.DEAD))
