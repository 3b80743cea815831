"""The repository of calls that wait for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from ..domain.quarantine import Quarantined, QuarantineState


class Quarantine(Protocol):
    """Calls that were answered and could not be charged, until a person has decided about them and after it."""

    def keep(self, call: Quarantined) -> None:
        """Write a call down, unless one of its account and key is there."""
        ...

    def lock(self, account: str, key: str) -> Quarantined | None:
        """Let nobody else decide about this call before this transaction ends, and read it."""
        ...

    def find(self, account: str, key: str) -> Quarantined | None:
        """The call, if it is there."""
        ...

    def resolve(self, call: Quarantined) -> None:
        """Write what was decided about a call just locked."""
        ...

    def page(
        self,
        state: QuarantineState | None,
        *,
        after: tuple[datetime, bytes] | None = None,
        limit: int = 100,
    ) -> list[Quarantined]:
        """Calls in that state or in any, the oldest first, beginning after that time and `call_id`."""
        ...

    def backlog(self) -> tuple[int, datetime | None]:
        """How many calls are open, and since when the oldest is."""
        ...
