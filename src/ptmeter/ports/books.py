"""The repositories inside one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from ..domain.audit import Finding
    from ..domain.batches import Plan, State
    from ..domain.calibration import Habits, Topic
    from ..domain.closings import Closing
    from ..domain.commands import Linked
    from ..domain.ledger import OpenHold, Posted, Transfer, Wallet, WalletId
    from ..domain.periods import Period, PeriodEvent, PeriodReport
    from ..domain.prices import Price, PriceUse
    from ..domain.pt import Money
    from ..domain.rates import RateCard
    from ..domain.subscriptions import Subscribed, Subscription
    from ..domain.summaries import Span
    from .accounts import Accounts
    from .inbox import Inbox
    from .messages import Outbox, TopUps
    from .mitigations import Mitigations
    from .payments import Payments
    from .quarantine import Quarantine
    from .referrals import Referrals
    from .rollups import Rollups


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

    def lapsed(self, wallet: Wallet, lot: int) -> int:
        """How many micro-PT of a lot have lapsed; it reads what was booked since the lot came in."""
        ...

    def taken_back(self, wallet: Wallet, lot: int) -> list[Transfer]:
        """The transfers that took back what was of a lot, in order; it reads as much."""
        ...

    def span(self, wallet: Wallet, since: datetime, until: datetime) -> Span:
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

    def hold_queue(self) -> tuple[int, datetime | None]:
        """How many holds are open, and when the first of them is due."""
        ...

    def unpriced(self, *, after: tuple[int, int] | None = None, limit: int = 1_000) -> list[Transfer]:
        """
        Transfers that were rated by a ceiling, by wallet number and number, beginning after those two.

        They are found without reading others.
        """
        ...

    def strays(self) -> list[str]:
        """Rows that belong to no wallet or no transfer, or lack, one sentence for each kind found."""
        ...


class Subscriptions(Protocol):
    """Who is on which plan, cycle after cycle, and the requests that brought that about."""

    def open(self, account: str) -> None:
        """Make sure that there is something to lock for the account."""
        ...

    def lock(self, account: str) -> Subscription | None:
        """Lock the account's subscription and read it, as it stood when it was written."""
        ...

    def find(self, account: str) -> Subscription | None:
        """The account's subscription, as it stood when it was written."""
        ...

    def save(self, changed: Subscription) -> None:
        """Write a subscription just locked."""
        ...

    def due(self, at: datetime, *, after: str = "", limit: int = 1_000) -> list[str]:
        """Accounts by name, beginning after *after*, for whose subscriptions there is something to do."""
        ...

    def noted(self, account: str, request: bytes) -> tuple[bytes, Subscribed] | None:
        """What was asked under an id before, as a fingerprint, and what it came to."""
        ...

    def note(self, account: str, request: bytes, fingerprint: bytes, done: Subscribed) -> None:
        """Remember what was asked and what it came to."""
        ...


class Cards(Protocol):
    """The rate cards that debits were rated by, kept word for word."""

    def keep(self, card: RateCard) -> None:
        """Remember *card* under its version."""
        ...

    def find(self, version: str) -> str | None:
        """The card of that version, as JSON."""
        ...

    def selling(self, version: str) -> Mapping[str, Money]:
        """What one PT of each unit sells at by the card of that version; nothing, if it is not there."""
        ...

    def altered(self) -> list[Finding]:
        """Prices and rate cards that are not what they were when they were kept."""
        ...

    def missing(self) -> list[Finding]:
        """Rate cards that debits were rated by and that are not there."""
        ...


class Calibrations(Protocol):
    """What settled calls taught of models and routes; it never decides about money."""

    def lock(self, topics: Sequence[Topic]) -> dict[Topic, Habits]:
        """Lock these topics, in one order for everybody, and read what is known of them; nothing, if new."""
        ...

    def write(self, habits: Mapping[Topic, Habits]) -> None:
        """Write what is known now of topics just locked."""
        ...

    def read(self, limit: int = 1_000) -> dict[Topic, Habits]:
        """What is known of all topics, of those first that changed last."""
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

    def bounds(self, end: datetime | None) -> bool:
        """Whether new wallets are opened behind *end*, and behind nothing else; ``None`` for the beginning."""
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
    def subscriptions(self) -> Subscriptions:
        """Who is on which plan, cycle after cycle."""
        ...

    @property
    def referrals(self) -> Referrals:
        """Who used whose code."""
        ...

    @property
    def cards(self) -> Cards:
        """The rate cards that were used."""
        ...

    @property
    def calibration(self) -> Calibrations:
        """What settled calls taught."""
        ...

    @property
    def rollups(self) -> Rollups:
        """What was charged, added up by day."""
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
    def outbox(self) -> Outbox:
        """What is to be told."""
        ...

    @property
    def top_ups(self) -> TopUps:
        """What was asked for because there was too little."""
        ...

    @property
    def quarantine(self) -> Quarantine:
        """The calls that wait for a person."""
        ...

    @property
    def inbox(self) -> Inbox:
        """The webhook events that came in."""
        ...

    @property
    def payments(self) -> Payments:
        """What was paid, and where the money is."""
        ...

    @property
    def mitigations(self) -> Mitigations:
        """What is done for a while because margins are thin."""
        ...

    @property
    def chain_key(self) -> bytes:
        """The key of the hash chain, kept outside the database; empty for none."""
        ...
