"""The repository of webhook events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ..domain.inbox import Event, EventState, Inboxes, KeptEvent, Subject, Waiting


class Inbox(Protocol):
    """Events as they came in, and the subjects in line because of them."""

    def expect(self, event: KeptEvent) -> None:
        """Say that an event will be added in this transaction, so that it is written together with others."""
        ...

    def add(self, event: KeptEvent) -> bool:
        """Keep an event; ``False`` if one of its id is there, which is left as it is."""
        ...

    def line_up(self, at: datetime, *, limit: int = 1_000) -> int:
        """Put what waiting events are about in line, of up to *limit* that came since; returns how many."""
        ...

    def expect_again(self, event: Event) -> None:
        """Have an event counted that came again, with the next that `again` asks for."""
        ...

    def again(self, event: Event) -> bool:
        """Count all that is expected to have come again; whether this one has the same to say as at first."""
        ...

    def put_in_line(self, subject: Subject, at: datetime) -> None:
        """Have a subject taken from *at* on, unless it is in line already."""
        ...

    def lease(self, *, at: datetime, until: datetime, limit: int, jobs: bool = False) -> list[Waiting]:
        """Take up to *limit* subjects, or jobs, that are due, until the lease ends."""
        ...

    def lock(self, subject: Subject) -> Waiting | None:
        """Let nobody else put that subject in line or take it before this transaction ends, and read it."""
        ...

    def save(self, changed: Waiting) -> None:
        """Write what has become of a subject just locked."""
        ...

    def waiting(self, subject: Subject, *, limit: int = 1_000) -> list[str]:
        """The ids of events that wait for that subject, those first that came first."""
        ...

    def conclude(
        self,
        events: Sequence[str],
        state: EventState,
        *,
        at: datetime | None,
        problem: str,
        resolver: str = "",
    ) -> None:
        """Write what has become of events."""
        ...

    def find(self, event: str) -> KeptEvent | None:
        """The event of that id."""
        ...

    def listed(
        self,
        *,
        state: EventState | None = None,
        kind: str = "",
        subject: Subject | None = None,
        limit: int = 100,
    ) -> list[KeptEvent]:
        """Events, the latest first: of a state, of types that begin so, of a subject."""
        ...

    def known(self, events: Sequence[str]) -> set[str]:
        """Which of these came in."""
        ...

    def forget(self, before: datetime, *, limit: int) -> int:
        """Drop up to *limit* events that came before that and that nothing is to be done about; returns how many."""
        ...

    def standing(self) -> Inboxes:
        """How many there are of each state, and since when the oldest waits and is dead."""
        ...
