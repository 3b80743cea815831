"""Accounting periods in memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from ..domain.closings import Closing
    from ..domain.ledger import Wallet, WalletId
    from ..domain.periods import Period, PeriodEvent, PeriodReport


@dataclass(slots=True)
class ClosedTables:
    """What closing has written. Values are immutable, so a shallow copy is a snapshot."""

    events: list[PeriodEvent] = field(default_factory=list["PeriodEvent"])
    closings: dict[tuple[str, int, int], Closing] = field(
        default_factory=dict[tuple[str, int, int], "Closing"]
    )
    first: datetime | None = None

    def __copy__(self) -> ClosedTables:
        return ClosedTables(self.events.copy(), self.closings.copy(), self.first)

    @property
    def boundary(self) -> datetime | None:
        """The end of the latest period whose close began."""
        return max((event.period.end for event in self.events), default=None)


class MemoryPeriods:
    """Accounting periods inside one transaction on memory, which holds the only lock there is."""

    def __init__(self, tables: ClosedTables, wallets: dict[WalletId, Wallet]) -> None:
        self._tables = tables
        self._wallets = wallets

    def lock(self) -> None:
        """See `ports.Periods.lock`."""

    def events(self) -> list[PeriodEvent]:
        """See `ports.Periods.events`."""
        return sorted(self._tables.events, key=lambda event: (event.period.end, event.number))

    def add(self, event: PeriodEvent) -> None:
        """See `ports.Periods.add`."""
        self._tables.events.append(event)

    def begun(self) -> datetime | None:
        """See `ports.Periods.begun`."""
        return self._tables.first

    def unclosed(
        self, standing: PeriodReport, *, after: int | None = None, limit: int = 1_000
    ) -> list[Wallet]:
        """See `ports.Periods.unclosed`."""
        name, revision, closings = standing.name, standing.revision, self._tables.closings
        return [
            wallet
            for wallet in self._by_number()
            if (after is None or wallet.number > after)
            and (name, revision, wallet.number) not in closings
            and (
                wallet.closed_until is None
                or wallet.closed_until < standing.end
                or (name, revision - 1, wallet.number) in closings
            )
        ][:limit]

    def lock_wallets(self, numbers: Sequence[int]) -> list[Wallet]:
        """See `ports.Periods.lock_wallets`."""
        return [wallet for wallet in self._by_number() if wallet.number in set(numbers)]

    def close(self, period: Period, closings: Sequence[tuple[int, Closing]]) -> None:
        """See `ports.Periods.close`."""
        for number, closing in closings:
            if closing.seq:
                self._tables.closings[closing.period, closing.revision, number] = closing
            wallet = self._wallets[closing.wallet]
            if wallet.closed_until is None or wallet.closed_until < period.end:
                booked_at = max(wallet.booked_at, period.last)
                self._wallets[wallet.id] = replace(wallet, closed_until=period.end, booked_at=booked_at)

    def closings(
        self,
        standing: PeriodReport,
        *,
        numbers: Sequence[int] | None = None,
        after: int | None = None,
        limit: int = 1_000,
    ) -> list[tuple[int, Closing]]:
        """See `ports.Periods.closings`."""
        found = [
            (number, closing)
            for (name, revision, number), closing in sorted(
                self._tables.closings.items(), key=lambda item: item[0]
            )
            if (name, revision) == (standing.name, standing.revision)
            and (numbers is None or number in numbers)
            and (after is None or number > after)
        ]
        return found[:limit]

    def count(self, standing: PeriodReport) -> int:
        """See `ports.Periods.count`."""
        return len(self.closings(standing, limit=len(self._tables.closings)))

    def closings_of(self, wallet: Wallet) -> list[Closing]:
        """See `ports.Periods.closings_of`."""
        theirs = [c for (_, _, number), c in self._tables.closings.items() if number == wallet.number]
        return sorted(theirs, key=lambda closing: (closing.period, closing.revision))

    def bounds(self, end: datetime | None) -> bool:
        """See `ports.Periods.bounds`; the boundary is not kept here but looked up."""
        return self._tables.boundary == end

    def strays(self) -> list[str]:
        """See `ports.Periods.strays`; nothing goes astray here."""
        return []

    def _by_number(self) -> list[Wallet]:
        return sorted(self._wallets.values(), key=lambda wallet: wallet.number)
