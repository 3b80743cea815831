"""Calls in quarantine, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..domain.quarantine import QuarantineState, call_id

if TYPE_CHECKING:
    from datetime import datetime

    from ..domain.quarantine import Quarantined


class MemoryQuarantine:
    """Calls in quarantine inside one transaction on memory, which holds the only lock there is."""

    def __init__(self, calls: dict[tuple[str, bytes], Quarantined]) -> None:
        self._calls = calls

    def keep(self, call: Quarantined) -> None:
        """See `ports.Quarantine.keep`."""
        self._calls.setdefault(_place(call), call)

    def lock(self, account: str, key: str) -> Quarantined | None:
        """See `ports.Quarantine.lock`."""
        return self.find(account, key)

    def find(self, account: str, key: str) -> Quarantined | None:
        """See `ports.Quarantine.find`."""
        return self._calls.get((account, call_id(account, key)))

    def resolve(self, call: Quarantined) -> None:
        """See `ports.Quarantine.resolve`."""
        self._calls[_place(call)] = call

    def page(
        self,
        state: QuarantineState | None,
        *,
        after: tuple[datetime, bytes] | None = None,
        limit: int = 100,
    ) -> list[Quarantined]:
        """See `ports.Quarantine.page`; ids are ordered as the signed integers they are elsewhere."""
        found = sorted((call for call in self._calls.values() if state in (None, call.state)), key=_order)
        start = after and (after[0], _signed(after[1]))
        return [call for call in found if start is None or _order(call) > start][:limit]

    def backlog(self) -> tuple[int, datetime | None]:
        """See `ports.Quarantine.backlog`."""
        waiting = [call.received_at for call in self._calls.values() if call.state is QuarantineState.OPEN]
        return len(waiting), min(waiting, default=None)


def _place(call: Quarantined) -> tuple[str, bytes]:
    return call.account, call_id(call.account, call.key)


def _order(call: Quarantined) -> tuple[datetime, int]:
    return call.received_at, _signed(call_id(call.account, call.key))


def _signed(name: bytes) -> int:
    return int.from_bytes(name, "big", signed=True)
