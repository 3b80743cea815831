"""
What the operations need from the outside: books to read and write in one transaction, stores to open them.

A transaction is a plain function of `Books`. `Store.run` carries it out in one database transaction and
`AsyncStore.run` does the same with the same function, so no use case is written twice.

A use case that posts does not write itself: it *yields* the groups it wants posted and is sent their
outcomes. So whoever carries it out can put the groups of many callers through the door as one batch.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from .domain.ledger import Linked, Outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from datetime import datetime

    from .domain.closings import Closing
    from .domain.ledger import OpenHold, Posted, Transfer, Wallet, WalletId
    from .domain.periods import Period, PeriodEvent, PeriodReport
    from .domain.planner import Plan, State
    from .domain.prices import Price, PriceUse
    from .domain.rates import RateCard
    from .domain.summaries import Standing, Turnover

T = TypeVar("T")

Posting: TypeAlias = Generator[Sequence[Linked], list[tuple[Outcome, ...]], T]
"""A use case under way: it yields groups to post, is sent what came of them, and returns its value."""


class Ledger(Protocol):
    """The journal and what is derived from it."""

    def lock(self, batch: Sequence[Linked]) -> State:
        """
        Lock the batch's wallets, in one order for everybody, and read what `plan` may look at.

        Wallets that a grant or an adjustment names are opened if they do not exist.
        """
        ...

    def write(self, plan: Plan) -> None:
        """Write what `plan` decided on the state just locked."""
        ...

    def now(self) -> datetime:
        """The database's time: the only clock the ledger goes by."""
        ...

    def wallets(
        self,
        account: str | None = None,
        *,
        after: int | None = None,
        limit: int = 1_000,
        live: bool = False,
    ) -> list[Wallet]:
        """
        Wallets with their lots, of one account or all, by number, beginning after *after*.

        *live* leaves out the lots that are used up.
        """
        ...

    def journal(
        self,
        wallet: Wallet,
        *,
        after: int = 0,
        limit: int = 1_000,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Transfer]:
        """A wallet's transfers in order, beginning after number *after*; booked in [since, until)."""
        ...

    def standing(self, wallet: Wallet, moment: datetime) -> Standing:
        """What *wallet* had after the last transfer it booked before *moment*."""
        ...

    def turnover(self, wallet: Wallet, since: datetime, until: datetime) -> list[Turnover]:
        """What *wallet* booked in [since, until), added up by kind and by the price it was rated by."""
        ...

    def posted(self, account: str, ids: Sequence[bytes]) -> list[Posted]:
        """What earlier commands with these ids posted for *account*, as far as there are any, in that order."""
        ...

    def are_open(self, holds: Mapping[WalletId, bytes]) -> bool:
        """Whether all these holds, one in each wallet, are still open."""
        ...

    def open_holds(self, wallet: Wallet) -> list[OpenHold]:
        """The wallet's holds that nobody has resolved."""
        ...

    def due_holds(self, limit: int) -> list[OpenHold]:
        """Holds whose time is over, the oldest first."""
        ...

    def lapsing(self, limit: int) -> list[WalletId]:
        """Wallets with something left in an expired lot."""
        ...

    def forget_rejections(self, before: datetime) -> int:
        """Drop refusals older than *before*; returns how many."""
        ...

    def strays(self) -> list[str]:
        """Rows that belong to no wallet, one sentence for each kind found."""
        ...


class Accounts(Protocol):
    """Who is billed, and on which plan."""

    def exists(self, name: str) -> bool:
        """Whether the account has ever been given anything."""
        ...

    def plan_of(self, name: str) -> str | None:
        """The name of the account's plan, if it has one."""
        ...

    def set_plan(self, name: str, plan: str) -> None:
        """Put the account on a plan, opening it if need be."""
        ...

    def names(self, *, after: str = "", limit: int = 1_000) -> list[str]:
        """Account names in order, beginning after *after*."""
        ...


class Cards(Protocol):
    """The rate cards that debits were rated by, kept word for word."""

    def keep(self, card: RateCard) -> None:
        """Remember *card* under its version."""
        ...

    def find(self, version: str) -> str | None:
        """The card of that version, as JSON."""
        ...


class Prices(Protocol):
    """The prices that debits were rated by, kept word for word."""

    def keep(self, prices: Iterable[Price]) -> None:
        """Remember *prices* under their versions."""
        ...

    def find(self, versions: Iterable[str]) -> dict[str, Price]:
        """The prices of these versions, as far as they are known."""
        ...

    def uses(self) -> list[PriceUse]:
        """Every price that calls were rated by, with how many and the last; it reads the whole journal."""
        ...


class Periods(Protocol):
    """Accounting periods: what happened to each, and what closing one recorded of every wallet."""

    def lock(self) -> None:
        """Let nobody else begin, seal or reopen a period, nor open a wallet, before this transaction ends."""
        ...

    def events(self) -> list[PeriodEvent]:
        """All that happened to all periods."""
        ...

    def add(self, event: PeriodEvent) -> None:
        """Note an event. Once a close has begun, new wallets are opened as closed up to its end."""
        ...

    def begun(self) -> datetime | None:
        """When the first account was opened."""
        ...

    def unclosed(
        self, standing: PeriodReport, *, after: int | None = None, limit: int = 1_000
    ) -> list[Wallet]:
        """Wallets that the close under way has not recorded, by number, without lots."""
        ...

    def lock_wallets(self, numbers: Sequence[int]) -> list[Wallet]:
        """Lock these wallets, in one order for everybody, and read them, without lots."""
        ...

    def close(self, period: Period, closings: Sequence[tuple[int, Closing]]) -> None:
        """
        Write the closings of the wallets with these numbers, and let them book nothing earlier.

        A wallet without a row before the boundary is only bound, not written: what is recorded follows from
        the journal alone.
        """
        ...

    def closings(
        self,
        standing: PeriodReport,
        *,
        numbers: Sequence[int] | None = None,
        after: int | None = None,
        limit: int = 1_000,
    ) -> list[tuple[int, Closing]]:
        """What was recorded, of these wallets or of all, each with its wallet's number, in that order."""
        ...

    def count(self, standing: PeriodReport) -> int:
        """How many wallets were recorded."""
        ...

    def closings_of(self, wallet: Wallet) -> list[Closing]:
        """Every closing of a wallet, by period and revision."""
        ...

    def strays(self) -> list[str]:
        """Closings that belong to no wallet or to no period, one sentence for each kind found."""
        ...


class Books(Protocol):
    """The repositories inside one transaction."""

    @property
    def ledger(self) -> Ledger:
        """The journal and what is derived from it."""
        ...

    @property
    def accounts(self) -> Accounts:
        """Who is billed."""
        ...

    @property
    def cards(self) -> Cards:
        """The rate cards that were used."""
        ...

    @property
    def prices(self) -> Prices:
        """The prices that were used."""
        ...

    @property
    def periods(self) -> Periods:
        """The accounting periods."""
        ...

    @property
    def chain_key(self) -> bytes:
        """The key of the hash chain, kept outside the database; empty for none."""
        ...


class Store(Protocol):
    """Opens books, synchronously."""

    def prepare(self, *, migrate: bool) -> None:
        """
        Make sure that the database keeps what it acknowledges and has our tables.

        Raises:
            UnsafeDurabilityError: It would lose acknowledged commits in a crash.
            SchemaOutdatedError: Its tables are missing or old, and *migrate* is off.
        """
        ...

    def run(self, work: Callable[[Books], T], /) -> T:
        """
        Carry out *work* in one transaction and commit it.

        *work* may run more than once (deadlock, lock timeout), so it has no effect but its writes.

        Raises:
            ContentionError: The database aborted it time and again.
            IndeterminateError: The connection was lost around COMMIT.
        """
        ...

    def post(self, account: str, work: Callable[[Books], Posting[T]], /) -> T:
        """
        Carry out *work* in a transaction that it may share with what others post at the same moment.

        What is posted for one *account* is carried out in the order in which it came. Whatever happens to
        the caller meanwhile, once begun it is carried out whole or not at all.

        Raises:
            LedgerBusyError: Too much is waiting already, or its turn did not come in time: nothing was done.
            ContentionError: The database aborted it time and again.
            IndeterminateError: The connection was lost around COMMIT, or no answer came in time.
        """
        ...

    def read(self, work: Callable[[Books], T], /) -> T:
        """Carry out *work* on one unchanging view of the database; it writes nothing."""
        ...

    def survey(self, work: Callable[[Books], T], /) -> T:
        """The same for *work* that reads all there is, however long it takes: nobody's patience ends it."""
        ...

    def joined(self, connection: Any) -> Store:
        """A store that works inside the transaction *connection* is in."""
        ...

    def close(self) -> None:
        """Give the connections back."""
        ...


class AsyncStore(Protocol):
    """Opens books, asynchronously; *work* is the same plain function."""

    def prepare(self, *, migrate: bool) -> Awaitable[None]:
        """See `Store.prepare`."""
        ...

    def run(self, work: Callable[[Books], T], /) -> Awaitable[T]:
        """See `Store.run`."""
        ...

    def post(self, account: str, work: Callable[[Books], Posting[T]], /) -> Awaitable[T]:
        """See `Store.post`."""
        ...

    def read(self, work: Callable[[Books], T], /) -> Awaitable[T]:
        """See `Store.read`."""
        ...

    def survey(self, work: Callable[[Books], T], /) -> Awaitable[T]:
        """See `Store.survey`."""
        ...

    def joined(self, connection: Any) -> AsyncStore:
        """See `Store.joined`."""
        ...

    def close(self) -> Awaitable[None]:
        """Give the connections back."""
        ...
