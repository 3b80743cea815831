"""The repository of mitigations: those that hold now, and all that ever did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ..domain.mitigations import Mitigation


class Mitigations(Protocol):
    """What was ever applied, kept for ever; an undo is written beside it."""

    def add(self, new: Mitigation, fingerprint: bytes) -> bool:
        """Write a mitigation down, unless one of its id is there; returns whether it was written."""
        ...

    def find(self, name: str) -> Mitigation | None:
        """The mitigation of that id."""
        ...

    def asked(self, name: str) -> bytes | None:
        """The fingerprint of what was asked when it was applied."""
        ...

    def lock(self, name: str) -> Mitigation | None:
        """Lock the mitigation of that id, and read it."""
        ...

    def undo(self, changed: Mitigation) -> None:
        """Write who undid a mitigation just locked, when and why."""
        ...

    def holding(self, scopes: Sequence[str], at: datetime) -> list[Mitigation]:
        """Those of any of *scopes* that hold at that time; found by scope, however many others there are."""
        ...

    def listed(
        self, *, at: datetime | None = None, before: tuple[datetime, str] | None = None, limit: int = 100
    ) -> list[Mitigation]:
        """All, or those that hold at a time, the last to begin first, beginning behind that time and id *before*."""
        ...

    def lock_margins(self) -> None:
        """Let nobody else decide by margins before this transaction ends."""
        ...
