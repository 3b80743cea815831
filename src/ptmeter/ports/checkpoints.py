"""What is kept of a ledger outside its database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..domain.checkpoints import Checkpoint, Marked, Opening, PeriodMark


class Checkpoints(Protocol):
    """Signed checkpoints that are kept outside the database, and were proved to be what was signed."""

    @property
    def last(self) -> Checkpoint:
        """The latest checkpoint."""
        ...

    @property
    def opening(self) -> Opening:
        """How the latest checkpoint begins."""
        ...

    @property
    def periods(self) -> Iterator[tuple[int, PeriodMark]]:
        """What they have of the accounting periods, each with its checkpoint's number, the earliest first."""
        ...

    def wallets(self, *, latest: bool = False) -> Iterator[tuple[int, list[Marked]]]:
        """
        The marks of each wallet behind its number, in the order of the numbers.

        *latest*: only those of the last checkpoint.
        """
        ...
