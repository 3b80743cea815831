"""Mitigations, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ..domain.mitigations import Mitigation


class MemoryMitigations:
    """Mitigations inside one transaction on memory, which holds the only lock there is."""

    def __init__(self, kept: dict[str, tuple[Mitigation, bytes]]) -> None:
        self._kept = kept

    def add(self, new: Mitigation, fingerprint: bytes) -> bool:
        """See `ports.Mitigations.add`."""
        return self._kept.setdefault(new.id, (new, fingerprint))[0] is new

    def find(self, name: str) -> Mitigation | None:
        """See `ports.Mitigations.find`."""
        found = self._kept.get(name)
        return None if found is None else found[0]

    def asked(self, name: str) -> bytes | None:
        """See `ports.Mitigations.asked`."""
        found = self._kept.get(name)
        return None if found is None else found[1]

    def lock(self, name: str) -> Mitigation | None:
        """See `ports.Mitigations.lock`."""
        return self.find(name)

    def undo(self, changed: Mitigation) -> None:
        """See `ports.Mitigations.undo`."""
        self._kept[changed.id] = changed, self._kept[changed.id][1]

    def holding(self, scopes: Sequence[str], at: datetime) -> list[Mitigation]:
        """See `ports.Mitigations.holding`."""
        return [each for each, _ in self._kept.values() if each.scope in scopes and each.is_active(at)]

    def listed(
        self, *, at: datetime | None = None, before: tuple[datetime, str] | None = None, limit: int = 100
    ) -> list[Mitigation]:
        """See `ports.Mitigations.listed`; ids are ordered as the signed integers they are elsewhere."""
        found = [each for each, _ in self._kept.values() if at is None or each.is_active(at)]
        found.sort(key=lambda each: _order(each.starts_at, each.id), reverse=True)
        return [
            each for each in found if before is None or _order(each.starts_at, each.id) < _order(*before)
        ][:limit]

    def lock_margins(self) -> None:
        """See `ports.Mitigations.lock_margins`."""


def _order(at: datetime, name: str) -> tuple[datetime, int]:
    return at, int.from_bytes(bytes.fromhex(name), "big", signed=True)
