"""Every statement of the write path, built once per store: building one anew costs more than running it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import (
    bindparam,
    cast,
    func,
    literal,
    literal_column,
    null,
    select,
    union_all,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite

from ..domain.ledger import SETS_ASIDE, Kind
from .arrays import ArrayWriter
from .asked import Where, among_few, among_many, few, many, one_parameter
from .columns import Body, Int64
from .places import Spanned, place, span
from .prepared import Prepared
from .tables import account, lot, open_hold, price, rate_card, rejection, transfer, wallet
from .top_ups import recent_statement
from .writing import Writer

if TYPE_CHECKING:
    from sqlalchemy import Connection, Executable, FromClause, Insert, Label, Table

    from .asked import Among, Finder


_NOW = {
    "postgresql": "(extract(epoch from clock_timestamp()) * 1000000)::bigint",
    "mysql": "timestampdiff(microsecond, '1970-01-01', utc_timestamp(6))",
    "mariadb": "timestampdiff(microsecond, '1970-01-01', utc_timestamp(6))",
}

HOLD: Final = "hold"
LOT: Final = "lot"
KNOWN: Final = "known"
SEAT: Final = "seat"
"""What a row of `Statements.read_few` or `Statements.read_many` is."""


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
    state: int
    head: bytes
    account: str
    unit: str
    now: int | None


class Found(NamedTuple):
    """A row of `Statements.read_few` or `Statements.read_many`; what does not apply is 0 or ``None``."""

    what: str
    wallet_id: int
    number: int
    amount: int
    expires_at: int
    id: Any
    allocations: str | None
    remaining: int
    held: int
    priority: int
    member: str | None
    frozen: int
    extends: int | None


class Seat(NamedTuple):
    """A row of `Statements.lock_accounts`: an account in the order of its columns."""

    account: str
    opened_at: int
    anchor: int | None
    placed_at: int | None
    pooled: int
    overflow: int
    parent: str | None
    plan: str | None
    zone: str | None
    former: str | None
    terms: str | None
    top_ups: str | None
    tally: str | None


completion = transfer.alias("completion")

HAS_SOMETHING: Final = (lot.c.remaining > 0) | (lot.c.held > 0) | (lot.c.frozen > 0)
"""What makes a lot live."""


class Statements:
    """The write path's statements for one database, with bind parameters for what varies."""

    def __init__(self, dialect: str) -> None:
        self.dialect = dialect
        now = self._now(dialect)
        self.now = select(now)
        lock = select(wallet, now).order_by(wallet.c.wallet_id).with_for_update(key_share=True)
        self.lock_one = Prepared(lock.where(wallet.c.wallet_id == bindparam("wallet")), row=Locked._make)
        wallets, expanded = among_many("wallets", dialect), () if one_parameter(dialect) else ("wallets",)
        self.lock_many = Prepared(lock.where(wallets(wallet.c.wallet_id)), lists=expanded, row=Locked._make)
        few_ids, few_holds = few("ids", Where.ACCOUNT), few("holds", Where.WALLET)
        read = partial(_read, few_ids, few_holds, among_few("wallets"))
        lists = ("accounts", "ids", "wallets", "holds")
        self.read_few = Prepared(read(), lists=lists, row=Found._make)
        ids, holds = many("ids", Where.ACCOUNT, dialect), many("holds", Where.WALLET, dialect)
        self.read_many = Prepared(_read(ids, holds, wallets), lists=expanded, row=Found._make)
        self.posted = _posted(ids)
        self.rejected = ids(_whole, rejection, "transfer_id")
        self.holds = holds(_whole, open_hold, "hold_id")
        self.resolved = _resolved(holds)

        self.place = Prepared(place())
        self.span = Prepared(span(), row=Spanned._make)
        of_names = account.c.account.in_(bindparam("names", expanding=True))
        accounts = select(account).where(of_names).order_by(account.c.account)
        lock_accounts = accounts.with_for_update(key_share=True)
        self.lock_accounts = Prepared(lock_accounts, lists=("names",), row=Seat._make)
        self.read_few_locking = (
            Prepared(read(_seats(lock_accounts)), lists=(*lists, "names"), row=Found._make)
            if dialect == "postgresql"
            else None
        )
        self.writer = (
            ArrayWriter()
            if dialect == "postgresql"
            else Writer(partial(insert_new, dialect=dialect), partial(add_up, dialect=dialect))
        )
        self.recent_top_ups = recent_statement()
        self.open_account = insert_new(account, dialect)
        self.open_wallet = insert_new(wallet, dialect)
        self.keep_price = insert_new(price, dialect)
        self.keep_card = insert_new(rate_card, dialect)

    @staticmethod
    def _now(dialect: str) -> Label[Any]:
        """The server's time in microseconds; SQLite has no server, so its caller reads the clock."""
        text = _NOW.get(dialect)
        return literal_column(text, Int64).label("now") if text else null().label("now")


def _read(ids: Finder, named: Finder, wallets: Among, *besides: Any) -> Any:
    """
    All that a batch may look at once its wallets are locked, in one round trip; *besides* are branches more.

    Open holds it names and those of its wallets that are due, the wallets' live lots, and which of its
    ids are known already, in whichever wallet of their accounts.
    """
    due = wallets(open_hold.c.wallet_id) & (open_hold.c.expires_at <= bindparam("at"))
    none = literal_column("NULL", Body)
    zero = literal_column("0", Int64)
    a_hold, a_lot, a_known = (literal(what, literal_execute=True) for what in (HOLD, LOT, KNOWN))

    def holds(table: FromClause, source: FromClause) -> Any:
        columns = (
            a_hold.label("what"),
            table.c.wallet_id,
            table.c.number,
            table.c.amount,
            table.c.expires_at,
            table.c.hold_id.label("id"),
            table.c.allocations,
            zero.label("remaining"),
            zero.label("held"),
            zero.label("priority"),
            table.c.member,
            zero.label("frozen"),
            table.c.extends,
        )
        return select(*columns).select_from(source)

    def known(table: FromClause, source: FromClause) -> Any:
        columns = (
            a_known,
            table.c.wallet_id,
            zero,
            zero,
            zero,
            table.c.transfer_id,
            none,
            zero,
            zero,
            zero,
            none,
            zero,
            zero,
        )
        return select(*columns).select_from(source)

    lots = select(
        a_lot,
        *(lot.c.wallet_id, lot.c.number, lot.c.granted, lot.c.expires_at, lot.c.paid, none),
        *(lot.c.remaining, lot.c.held, lot.c.priority, none, lot.c.frozen, zero),
    ).where(wallets(lot.c.wallet_id), HAS_SOMETHING)
    return union_all(
        named(holds, open_hold, "hold_id"),
        holds(open_hold, open_hold).where(due),
        lots,
        *(ids(known, table, "transfer_id") for table in (transfer, rejection)),
        *besides,
    )


def _seats(lock_accounts: Any) -> Any:
    """
    Accounts, locked by the statement that reads; see `_read`, whose branch it is.

    All that is read beside them is the locked wallets' own, so it does not matter that it is seen as it was before
    an account was waited for. An account's row is seen as its last holder left it (PostgreSQL manual, 13.2.1).
    """
    none, zero = literal_column("NULL", Body), literal_column("0", Int64)
    whole = cast(func.row_to_json(literal_column("seats")), Body)
    columns = (literal(SEAT, literal_execute=True), *[zero] * 5, whole, *[zero] * 3, none, zero, zero)
    return select(*columns).select_from(lock_accounts.subquery("seats"))


def insert_new(table: Table, dialect: str) -> Insert:
    """Insert a row unless it is there: what it says never changes, so the first one is as good."""
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing()
    if dialect == "sqlite":
        return sqlite.insert(table).on_conflict_do_nothing()
    return mysql.insert(table).prefix_with("IGNORE")


def inserted(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Insert a row unless it is there; whether it was not."""
    done = connection.execute(insert_new(table, connection.dialect.name), row, execution_options=_COUNTED)
    return done.rowcount == 1


_COUNTED: Final = {"preserve_rowcount": True}


def add_up(table: Table, dialect: str) -> Insert:
    """Insert a row, or add its figures, which are all that is not its key, to those of the one that is there."""
    figures = [column.name for column in table.columns if not column.primary_key]
    if dialect == "sqlite":
        new = sqlite.insert(table)
        sums = {name: table.c[name] + new.excluded[name] for name in figures}
        return new.on_conflict_do_update(index_elements=[*table.primary_key.columns], set_=sums)
    more = mysql.insert(table)
    return more.on_duplicate_key_update({name: table.c[name] + more.inserted[name] for name in figures})


def _whole(table: FromClause, source: FromClause) -> Executable:
    return select(*table.c).select_from(source)


def _posted(ids: Finder) -> Executable:
    """What was posted under ids, and a settle's overage: the debit that completes it."""

    def posted(table: FromClause, source: FromClause) -> Any:
        overage = (
            (completion.c.wallet_id == table.c.wallet_id)
            & (completion.c.completes == table.c.seq)
            & (completion.c.kind == int(Kind.DEBIT))
            & (table.c.kind == int(Kind.SETTLE))
        )
        beyond = (completion.c.amount, completion.c.available_after, completion.c.held_after)
        found = select(*table.c, wallet.c.account, wallet.c.unit, *beyond)
        return found.select_from(source.outerjoin(completion, overage))

    return ids(posted, transfer, "transfer_id")


def _resolved(holds: Finder) -> Executable:
    """How holds that are no longer open were resolved, and whether that was completed since."""
    resolution = transfer.alias("resolution")
    late = transfer.alias("late")

    def resolved(table: FromClause, source: FromClause) -> Any:
        completing = (resolution.c.wallet_id == table.c.wallet_id) & (resolution.c.completes == table.c.seq)
        since = (late.c.wallet_id == table.c.wallet_id) & (late.c.completes == resolution.c.seq)
        resolved_by = (resolution.c.kind, resolution.c.seq)
        columns = (table.c.wallet_id, table.c.transfer_id, table.c.member, *resolved_by)
        return (
            select(*columns, late.c.seq.label("late"))
            .select_from(source.join(resolution, completing).outerjoin(late, since))
            .where(table.c.kind.in_([int(kind) for kind in sorted(SETS_ASIDE)]))
        )

    return holds(resolved, transfer, "transfer_id")
