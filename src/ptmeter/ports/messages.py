"""The repositories of what is to be told, and of what was asked for because there was too little."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ..domain.messages import Message, MessageState
    from ..domain.top_ups import TopUp, TopUpState


class Outbox(Protocol):
    """Messages: written with what they tell of, delivered afterwards."""

    def add(self, messages: Sequence[Message]) -> int:
        """Write messages down, unless they are there already; returns how many were not."""
        ...

    def lease(
        self, topics: Sequence[str], *, at: datetime, until: datetime, limit: int
    ) -> list[Message | str]:
        """
        Take messages that are due at *at* and whose topics begin with one of *topics*, the longest due first.

        Each is due again *until* then, with one attempt more. One that cannot be read is dead from then on, and
        comes as the problem there was. What others are taking at this moment is passed over.
        """
        ...

    def find(self, account: str, name: str) -> Message | None:
        """The message of that id."""
        ...

    def save(self, changed: Message, *, leased: int | None = None) -> bool:
        """
        Write what has become of a message.

        *leased*: only if it was last taken as that attempt, and is not delivered; returns whether it was.
        """
        ...

    def forget(self, before: datetime, *, limit: int) -> int:
        """Drop up to *limit* messages that were delivered before that; returns how many there were."""
        ...

    def listed(
        self,
        *,
        state: MessageState | None = None,
        account: str | None = None,
        topic: str = "",
        limit: int = 100,
    ) -> list[Message]:
        """Messages, the latest first; *topic* is how theirs begins."""
        ...


class TopUps(Protocol):
    """Top-ups, one open at a time for an account and unit."""

    def find(self, name: str) -> TopUp | None:
        """The top-up of that id."""
        ...

    def lock(self, name: str) -> TopUp | None:
        """Lock the top-up of that id, and read it."""
        ...

    def recent(self, account: str, at: datetime) -> Sequence[TopUp]:
        """The account's top-ups that the next may depend on: see `top_ups.due`."""
        ...

    def add(self, new: TopUp) -> None:
        """Write a top-up down."""
        ...

    def save(self, changed: TopUp) -> None:
        """Write what has become of a top-up just locked."""
        ...

    def paid(self, *, after: str | None = None, limit: int = 1_000) -> list[TopUp]:
        """Those that were paid, by id as the database orders it, beginning after that one."""
        ...

    def listed(
        self, *, account: str | None = None, state: TopUpState | None = None, limit: int = 100
    ) -> list[TopUp]:
        """Top-ups, the latest first."""
        ...
