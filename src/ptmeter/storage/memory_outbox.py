"""What is to be told, and top-ups, in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..domain.top_ups import RECENT, TopUpState

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ..domain.messages import Message, MessageState
    from ..domain.top_ups import TopUp


class MemoryOutbox:
    """Messages inside one transaction on memory."""

    def __init__(self, messages: dict[tuple[str, str], Message]) -> None:
        self._messages = messages

    def add(self, messages: Sequence[Message]) -> int:
        """See `ports.Outbox.add`."""
        new = {(m.account, m.id): m for m in messages if (m.account, m.id) not in self._messages}
        self._messages.update(new)
        return len(new)

    def lease(
        self, topics: Sequence[str], *, at: datetime, until: datetime, limit: int
    ) -> list[Message | str]:
        """See `ports.Outbox.lease`; the transaction holds the only lock there is."""
        due = sorted(
            (m.due_at, m.account, m.id)
            for m in self._messages.values()
            if m.due_at and m.due_at <= at and m.topic.startswith(tuple(topics))
        )
        leased: list[Message | str] = []
        for _, account, name in due[:limit]:
            found = self._messages[account, name]
            taken = replace(found, due_at=until, attempts=found.attempts + 1)
            self.save(taken)
            leased.append(taken)
        return leased

    def find(self, account: str, name: str) -> Message | None:
        """See `ports.Outbox.find`."""
        return self._messages.get((account, name))

    def save(self, changed: Message, *, leased: int | None = None) -> bool:
        """See `ports.Outbox.save`."""
        found = self._messages[changed.account, changed.id]
        if leased is not None and (found.attempts != leased or found.delivered_at):
            return False
        self._messages[changed.account, changed.id] = changed
        return True

    def forget(self, before: datetime, *, limit: int) -> int:
        """See `ports.Outbox.forget`."""
        old = [
            place
            for place, found in self._messages.items()
            if found.delivered_at and found.delivered_at < before
        ]
        for place in old[:limit]:
            del self._messages[place]
        return len(old[:limit])

    def listed(
        self,
        *,
        state: MessageState | None = None,
        account: str | None = None,
        topic: str = "",
        limit: int = 100,
    ) -> list[Message]:
        """See `ports.Outbox.listed`."""
        found = [
            m
            for m in self._messages.values()
            if state in (None, m.state) and account in (None, m.account) and m.topic.startswith(topic)
        ]
        return sorted(found, key=lambda m: m.noted_at, reverse=True)[:limit]


class MemoryTopUps:
    """Top-ups inside one transaction on memory."""

    def __init__(self, top_ups: dict[str, TopUp]) -> None:
        self._top_ups = top_ups

    def find(self, name: str) -> TopUp | None:
        """See `ports.TopUps.find`."""
        return self._top_ups.get(name)

    def lock(self, name: str) -> TopUp | None:
        """See `ports.TopUps.lock`; the transaction holds the only lock there is."""
        return self.find(name)

    def recent(self, account: str, at: datetime) -> Sequence[TopUp]:
        """See `ports.TopUps.recent`."""
        return [
            t
            for t in self._top_ups.values()
            if t.account == account
            and (
                t.requested_at > at - RECENT
                or t.state is TopUpState.OPEN
                or (t.cools_until and t.cools_until > at)
            )
        ]

    def add(self, new: TopUp) -> None:
        """See `ports.TopUps.add`."""
        self._top_ups[new.id] = new

    def save(self, changed: TopUp) -> None:
        """See `ports.TopUps.save`."""
        self._top_ups[changed.id] = changed

    def paid(self, *, after: str | None = None, limit: int = 1_000) -> list[TopUp]:
        """See `ports.TopUps.paid`; ids are ordered as the signed integers they are elsewhere."""
        found = [t for t in self._top_ups.values() if t.state is TopUpState.PAID]
        found.sort(key=lambda t: _signed(t.id))
        return [t for t in found if after is None or _signed(t.id) > _signed(after)][:limit]

    def listed(
        self, *, account: str | None = None, state: TopUpState | None = None, limit: int = 100
    ) -> list[TopUp]:
        """See `ports.TopUps.listed`."""
        found = [
            t for t in self._top_ups.values() if account in (None, t.account) and state in (None, t.state)
        ]
        return sorted(found, key=lambda t: t.requested_at, reverse=True)[:limit]


def _signed(name: str) -> int:
    return int.from_bytes(bytes.fromhex(name), "big", signed=True)
