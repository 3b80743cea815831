"""The repositories inside one transaction, and what opens them on a connection."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from tenacity import retry_if_exception_type, stop_after_attempt, stop_before_delay
from tenacity.wait import wait_random_exponential

from ..domain.policy import Durability
from ..errors import ContentionError
from . import dialects, schema
from .accounts import SqlAccounts
from .calibration import SqlCalibrations
from .cards import PriceShelf, SqlCards, Versions
from .inbox import SqlInbox
from .ledger import SqlLedger
from .mitigations import SqlMitigations
from .outbox import SqlOutbox
from .paths import Paths
from .payments import SqlPayments
from .periods import SqlPeriods
from .quarantine import SqlQuarantine
from .referrals import SqlReferrals
from .rollups import SqlRollups
from .statements import Statements
from .subscriptions import SqlSubscriptions
from .top_ups import SqlTopUps
from .transactions import transact

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from ..domain.policy import Policy
    from ..ports import Books

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SqlBooks:
    """The repositories inside one transaction."""

    ledger: SqlLedger
    accounts: SqlAccounts
    subscriptions: SqlSubscriptions
    referrals: SqlReferrals
    cards: SqlCards
    calibration: SqlCalibrations
    prices: PriceShelf
    periods: SqlPeriods
    outbox: SqlOutbox
    top_ups: SqlTopUps
    rollups: SqlRollups
    quarantine: SqlQuarantine
    inbox: SqlInbox
    payments: SqlPayments
    mitigations: SqlMitigations
    chain_key: bytes


class Binder:
    """Opens books on a connection: what the stores of both colours and a joined one share."""

    def __init__(self, dialect: str, policy: Policy, clock: Callable[[], datetime] | None) -> None:
        self._statements = Statements(dialect)
        self._seen = Versions()
        self._paths = Paths()
        given = _system_clock if clock is None and dialect == "sqlite" else clock
        self._clock = given and (lambda: given().astimezone(UTC))  # local time shows an hour twice a year
        self.policy = policy
        self.lanes = 1 if dialect == "sqlite" else policy.lanes

    def books(self, connection: Connection, *, joined: bool = False) -> SqlBooks:
        """The books of the transaction that *connection* is in; nothing is learnt from a *joined* one."""
        seen = self._seen.apart() if joined else self._seen
        shelf = PriceShelf(connection, self._statements, seen)
        key = self.policy.chain_key
        paths = Paths() if joined else self._paths
        ledger = SqlLedger(
            connection, self._statements, shelf, clock=self._clock, chain_key=key, paths=paths
        )
        return SqlBooks(
            ledger,
            SqlAccounts(connection, self._statements, ledger.now, paths),
            SqlSubscriptions(connection, ledger.now),
            SqlReferrals(connection, ledger.now),
            SqlCards(connection, self._statements, seen),
            SqlCalibrations(connection, ledger.now),
            shelf,
            SqlPeriods(connection),
            SqlOutbox(connection),
            SqlTopUps(connection, self._statements.recent_top_ups),
            SqlRollups(connection),
            SqlQuarantine(connection),
            SqlInbox(connection),
            SqlPayments(connection),
            SqlMitigations(connection),
            key,
        )

    def carry_out(self, connection: Connection, work: Callable[[Books], T]) -> T:
        """Carry out *work* in a transaction of its own."""
        return transact(connection, lambda c: work(self.books(c)))

    def view(self, connection: Connection, work: Callable[[Books], T]) -> T:
        """Carry out *work* on one unchanging view of the books."""
        return self.carry_out(dialects.snapshot(connection), work)

    def survey(self, connection: Connection, work: Callable[[Books], T]) -> T:
        """Carry out *work* on one unchanging view, of which it reads whole tables."""
        return transact(dialects.snapshot(connection), lambda c: work(self.books(dialects.plan_freely(c))))

    def make_ready(self, connection: Connection, *, migrate: bool) -> None:
        """Check that the database keeps what it acknowledges, and that its tables are ours."""
        if self.policy.durability is Durability.STRICT:
            dialects.check_durability(connection)
        schema.ensure(connection, migrate=migrate or connection.dialect.name == "sqlite")

    def retrying(self, colour: type[Any], seconds: float) -> Any:
        """Try again, sooner at first, what the database gave up, for as many *seconds* as anybody waits."""
        return colour(
            retry=retry_if_exception_type(ContentionError),
            wait=wait_random_exponential(multiplier=0.002, max=0.5),
            stop=stop_after_attempt(max(1, self.policy.attempts - 1))
            | stop_before_delay(max(0.0, seconds)),
            reraise=True,
        )


def _system_clock() -> datetime:
    """SQLite runs in this process: its clock is ours."""
    return datetime.now(UTC)
