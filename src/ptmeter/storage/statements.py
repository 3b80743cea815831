"""Every statement of the write path, built once per store: building one anew costs more than running it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import (
    bindparam,
    literal,
    literal_column,
    null,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite

from ..domain.ledger import Kind
from .columns import Body, Int64
from .prepared import Prepared
from .tables import account, lot, open_hold, price, rate_card, rejection, transfer, wallet
from .writing import Writer

if TYPE_CHECKING:
    from sqlalchemy import BindParameter, ColumnElement, Executable, Insert, Label, Table


_NOW = {
    "postgresql": "(extract(epoch from clock_timestamp()) * 1000000)::bigint",
    "mysql": "timestampdiff(microsecond, '1970-01-01', utc_timestamp(6))",
    "mariadb": "timestampdiff(microsecond, '1970-01-01', utc_timestamp(6))",
}

HOLD: Final = "hold"
LOT: Final = "lot"
KNOWN: Final = "known"
"""What a row of `Statements.read` is."""


class Locked(NamedTuple):
    """A row of `Statements.lock_one`: a wallet in the order of its columns, and the time."""

    wallet_id: int
    available: int
    held: int
    spent: int
    owed: int
    credit_limit: int
    seq: int
    booked_at: int
    closed_until: int
    head: bytes
    state: int
    account: str
    unit: str
    now: int | None


class Found(NamedTuple):
    """A row of `Statements.read`; what does not apply to its kind is 0 or ``None``."""

    what: str
    wallet_id: int
    number: int
    amount: int
    expires_at: int
    id: bytes
    allocations: str | None
    remaining: int
    held: int
    priority: int


completion = transfer.alias("completion")


class Statements:
    """The write path's statements for one database, with bind parameters for what varies."""

    def __init__(self, dialect: str) -> None:
        now = self._now(dialect)
        self.now = select(now)
        lock = select(wallet, now).order_by(wallet.c.wallet_id).with_for_update(key_share=True)
        self.lock_one = Prepared(
            lock.where(wallet.c.account == bindparam("account"), wallet.c.unit == bindparam("unit")),
            row=Locked._make,
        )
        self.lock_many = lock.where(
            tuple_(wallet.c.account, wallet.c.unit).in_(bindparam("names", expanding=True))
        )
        ids: BindParameter[Any] = bindparam("ids", expanding=True)
        self.read = Prepared(_read(ids), lists=("ids", "wallets", "holds"), row=Found._make)
        self.posted = (
            select(transfer, completion.c.amount, completion.c.available_after, completion.c.held_after)
            .select_from(transfer.outerjoin(completion, _completes()))
            .where(transfer.c.transfer_id.in_(ids))
        )
        self.rejected = select(rejection).where(rejection.c.transfer_id.in_(ids))
        self.holds = select(open_hold).where(open_hold.c.hold_id.in_(ids))
        self.resolved = _resolved(ids)

        self.writer = Writer()
        self.open_account = insert_new(account, dialect)
        self.open_wallet = insert_new(wallet, dialect)
        self.keep_price = insert_new(price, dialect)
        self.keep_card = insert_new(rate_card, dialect)

    @staticmethod
    def _now(dialect: str) -> Label[Any]:
        """The server's time in microseconds; SQLite has no server, so its caller reads the clock."""
        text = _NOW.get(dialect)
        return literal_column(text, Int64).label("now") if text else null().label("now")


def _read(ids: BindParameter[Any]) -> Any:
    """
    All that a batch may look at once its wallets are locked, in one round trip.

    Open holds it names and those of its wallets that are due, the wallets' live lots, and which of its
    ids are known already.
    """
    wallets: BindParameter[Any] = bindparam("wallets", expanding=True)
    named: BindParameter[Any] = bindparam("holds", expanding=True)
    due = open_hold.c.wallet_id.in_(wallets) & (open_hold.c.expires_at <= bindparam("at"))
    none = literal_column("NULL", Body)
    zero = literal_column("0", Int64)
    a_hold, a_lot, a_known = (literal(what, literal_execute=True) for what in (HOLD, LOT, KNOWN))
    holds = select(
        a_hold.label("what"),
        open_hold.c.wallet_id,
        open_hold.c.number,
        open_hold.c.amount,
        open_hold.c.expires_at,
        open_hold.c.hold_id.label("id"),
        open_hold.c.allocations,
        zero.label("remaining"),
        zero.label("held"),
        zero.label("priority"),
    ).where(open_hold.c.hold_id.in_(named) | due)
    lots = select(
        a_lot,
        *(lot.c.wallet_id, lot.c.number, lot.c.granted, lot.c.expires_at, none, none),
        *(lot.c.remaining, lot.c.held, lot.c.priority),
    ).where(lot.c.wallet_id.in_(wallets), (lot.c.remaining > 0) | (lot.c.held > 0))
    known = (
        select(
            a_known,
            *(table.c.wallet_id, zero, zero, none, table.c.transfer_id, none, zero, zero, zero),
        ).where(table.c.transfer_id.in_(ids))
        for table in (transfer, rejection)
    )
    return union_all(holds, lots, *known)


def insert_new(table: Table, dialect: str) -> Insert:
    """Insert a row unless it is there: what it says never changes, so the first one is as good."""
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    if dialect == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    return mysql.insert(table).prefix_with("IGNORE")


def _completes() -> ColumnElement[bool]:
    """A settle's overage: the debit that completes it."""
    return (
        (completion.c.wallet_id == transfer.c.wallet_id)
        & (completion.c.completes == transfer.c.seq)
        & (completion.c.kind == int(Kind.DEBIT))
        & (transfer.c.kind == int(Kind.SETTLE))
    )


def _resolved(ids: BindParameter[Any]) -> Executable:
    """How holds that are no longer open were resolved, and whether that was completed since."""
    resolution = transfer.alias("resolution")
    late = transfer.alias("late")
    return (
        select(
            transfer.c.wallet_id,
            transfer.c.transfer_id,
            resolution.c.kind,
            resolution.c.seq,
            late.c.seq.label("late"),
        )
        .select_from(
            transfer.join(
                resolution,
                (resolution.c.wallet_id == transfer.c.wallet_id)
                & (resolution.c.completes == transfer.c.seq),
            ).outerjoin(
                late,
                (late.c.wallet_id == transfer.c.wallet_id) & (late.c.completes == resolution.c.seq),
            )
        )
        .where(transfer.c.transfer_id.in_(ids), transfer.c.kind == int(Kind.HOLD))
    )
