"""How many commands share a commit, seen from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import Engine, event

if TYPE_CHECKING:
    from collections.abc import Callable


class Commits:
    """
    Counts the commits of this process: what a run's commands divided by them is its batch size.

    The meter does not say how large its batches were; SQLAlchemy tells every listener of each commit.
    """

    def __init__(self, ready: Callable[[], Any] | None) -> None:
        """*ready* is passed on when the callers are."""
        self._ready = ready
        self.count = 0

    def __enter__(self) -> Self:
        event.listen(Engine, "commit", self._note)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(Engine, "commit", self._note)

    def begin(self) -> None:
        """Count from here: the callers are ready."""
        if self._ready:
            self._ready()
        self.count = 0

    def _note(self, _: object) -> None:
        self.count += 1
