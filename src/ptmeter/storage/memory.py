"""
A ledger in memory, for tests and trials: the same door, the same planner, gone when the process ends.

It is honest about concurrency: one transaction at a time, others wait, a failed one leaves nothing. A
transaction never waits for anything but its turn, so the asynchronous store needs no lock of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from threading import RLock
from typing import TYPE_CHECKING, TypeVar

from ..errors import ConfigurationError
from ..operations.posting import alone, carried_out
from .memory_accounts import MemoryAccounts
from .memory_calibration import MemoryCalibrations
from .memory_inbox import MemoryInbox
from .memory_ledger import MemoryLedger, Tables
from .memory_mitigations import MemoryMitigations
from .memory_outbox import MemoryOutbox, MemoryTopUps
from .memory_payments import MemoryPayments
from .memory_periods import MemoryPeriods
from .memory_prices import MemoryCards, MemoryPrices
from .memory_quarantine import MemoryQuarantine
from .memory_referrals import MemoryReferrals
from .memory_rollups import MemoryRollups
from .memory_subscriptions import MemorySubscriptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..domain.policy import Policy
    from ..ports import Books, Posting

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class MemoryBooks:
    """The repositories inside one transaction on memory."""

    ledger: MemoryLedger
    accounts: MemoryAccounts
    subscriptions: MemorySubscriptions
    referrals: MemoryReferrals
    cards: MemoryCards
    calibration: MemoryCalibrations
    prices: MemoryPrices
    periods: MemoryPeriods
    outbox: MemoryOutbox
    top_ups: MemoryTopUps
    rollups: MemoryRollups
    quarantine: MemoryQuarantine
    inbox: MemoryInbox
    payments: MemoryPayments
    mitigations: MemoryMitigations
    chain_key: bytes


class MemoryStore:
    """A ledger in memory, synchronously."""

    def __init__(self, policy: Policy, clock: Callable[[], datetime] | None = None) -> None:
        self._tables = Tables()
        self._turn = RLock()
        given = clock or _utc_now
        self._clock = lambda: given().astimezone(UTC)  # local time shows an hour twice a year
        self._chain_key = policy.chain_key

    def prepare(self, *, migrate: bool) -> None:
        """There is nothing to set up."""

    def run(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.run`."""
        with self._turn:
            tables = self._tables.copy()
            value = carried_out(work(self._books(tables)))
            self._tables = tables
            return value

    def post(self, _account: str, work: Callable[[Books], Posting[T]], /) -> T:
        """See `ports.Store.post`."""
        return self.run(lambda books: alone(books, work))

    def read(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.read`."""
        with self._turn:
            return work(self._books(self._tables.copy()))

    def survey(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.survey`."""
        return self.read(work)

    def joined(self, connection: object) -> MemoryStore:
        """Memory has no transactions to join."""
        msg = f"a ledger in memory cannot join {connection!r}: open it on the application's database"
        raise ConfigurationError(msg)

    def close(self) -> None:
        """See `ports.Store.close`."""

    def _books(self, tables: Tables) -> MemoryBooks:
        ledger = MemoryLedger(tables, self._clock, self._chain_key)
        periods = MemoryPeriods(tables.closed, tables.wallets)
        return MemoryBooks(
            ledger,
            MemoryAccounts(tables.accounts),
            MemorySubscriptions(tables.subscriptions),
            MemoryReferrals(tables.referrals, self._clock),
            MemoryCards(tables.cards),
            MemoryCalibrations(tables.calibration),
            MemoryPrices(tables.prices, tables.journal),
            periods,
            MemoryOutbox(tables.outbox),
            MemoryTopUps(tables.top_ups),
            MemoryRollups(tables.rollups),
            MemoryQuarantine(tables.quarantine),
            MemoryInbox(tables.inbox),
            MemoryPayments(tables.payments),
            MemoryMitigations(tables.mitigations),
            self._chain_key,
        )


class AsyncMemoryStore:
    """A ledger in memory, asynchronously."""

    def __init__(self, policy: Policy, clock: Callable[[], datetime] | None = None) -> None:
        self._store = MemoryStore(policy, clock)

    async def prepare(self, *, migrate: bool) -> None:
        """There is nothing to set up."""

    async def run(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.run`."""
        return self._store.run(work)

    async def post(self, account: str, work: Callable[[Books], Posting[T]], /) -> T:
        """See `ports.Store.post`."""
        return self._store.post(account, work)

    async def read(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.read`."""
        return self._store.read(work)

    async def survey(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.survey`."""
        return await self.read(work)

    def joined(self, connection: object) -> AsyncMemoryStore:
        """Memory has no transactions to join."""
        self._store.joined(connection)
        return self

    async def close(self) -> None:
        """See `ports.AsyncStore.close`."""


def _utc_now() -> datetime:
    return datetime.now(UTC)
