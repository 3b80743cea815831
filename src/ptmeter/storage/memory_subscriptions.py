"""Subscriptions, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from ..domain.subscriptions import Subscribed, Subscription


@dataclass(slots=True)
class SubscriptionTables:
    """What there is of subscriptions. Values are immutable, so a shallow copy is a snapshot."""

    standing: dict[str, Subscription] = field(default_factory=dict[str, "Subscription"])
    noted: dict[tuple[str, bytes], tuple[bytes, Subscribed]] = field(
        default_factory=dict[tuple[str, bytes], tuple[bytes, "Subscribed"]]
    )

    def __copy__(self) -> SubscriptionTables:
        return SubscriptionTables(dict(self.standing), dict(self.noted))


class MemorySubscriptions:
    """Subscriptions inside one transaction on memory."""

    def __init__(self, tables: SubscriptionTables) -> None:
        self._tables = tables

    def open(self, account: str) -> None:
        """See `ports.Subscriptions.open`; the transaction holds the only lock there is."""

    def lock(self, account: str) -> Subscription | None:
        """See `ports.Subscriptions.lock`."""
        return self._tables.standing.get(account)

    def find(self, account: str) -> Subscription | None:
        """See `ports.Subscriptions.find`."""
        return self._tables.standing.get(account)

    def save(self, changed: Subscription) -> None:
        """See `ports.Subscriptions.save`."""
        self._tables.standing[changed.account] = changed

    def due(self, at: datetime, *, after: str = "", limit: int = 1_000) -> list[str]:
        """See `ports.Subscriptions.due`."""
        standing = self._tables.standing.items()
        found = [name for name, each in standing if each.due_at is not None and each.due_at <= at]
        return sorted(name for name in found if name > after)[:limit]

    def noted(self, account: str, request: bytes) -> tuple[bytes, Subscribed] | None:
        """See `ports.Subscriptions.noted`."""
        return self._tables.noted.get((account, request))

    def note(self, account: str, request: bytes, fingerprint: bytes, done: Subscribed) -> None:
        """See `ports.Subscriptions.note`."""
        self._tables.noted[account, request] = (fingerprint, done)
