"""Top-ups: a row for each that was asked for, locked by whoever says what became of it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import bindparam, insert, literal_column, or_, select, update

from ..domain.instants import microseconds
from ..domain.top_ups import RECENT, TopUpState
from .message_rows import state_row, top_up_from, top_up_row
from .prepared import Prepared
from .rows import id_row
from .tables import top_up

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Select

    from ..domain.top_ups import TopUp

_OPEN = state_row(TopUpState.OPEN)


class TopUpRow(NamedTuple):
    """A row of `recent`: a top-up in the order of its columns."""

    top_up_id: int
    amount: int
    price: int
    requested_at: int
    cool_down: int
    done_at: int | None
    cools_until: int | None
    attempts: int
    state: int
    account: str
    unit: str
    open_unit: str | None
    currency: str
    payment: str | None
    problem: str | None


_RECENT = select(top_up).where(
    top_up.c.account.in_(bindparam("names", expanding=True)),
    or_(
        top_up.c.requested_at > bindparam("since"),
        top_up.c.state == literal_column(str(_OPEN)),
        top_up.c.cools_until > bindparam("at"),
    ),
)


def recent_statement() -> Prepared:
    """What `recent` asks; it is part of the write path of accounts that top up, so it is compiled once."""
    return Prepared(_RECENT, lists=("names",), row=TopUpRow._make)


def recent(
    statement: Prepared, connection: Connection, accounts: Collection[str], at: datetime
) -> Mapping[str, Sequence[TopUp]]:
    """The top-ups of these accounts that the next may depend on: open, cooling down, or of the last month."""
    asked = {"names": sorted(accounts), "since": microseconds(at - RECENT), "at": microseconds(at)}
    found: defaultdict[str, list[TopUp]] = defaultdict(list)
    for row in statement.fetch(connection, asked):
        found[row.account].append(top_up_from(row))
    return found


class SqlTopUps:
    """Top-ups inside one transaction."""

    def __init__(self, connection: Connection, recent: Prepared) -> None:
        """*recent* is `recent_statement`."""
        self._connection = connection
        self._recent = recent

    def find(self, name: str) -> TopUp | None:
        """See `ports.TopUps.find`."""
        return self._first(_named(name))

    def lock(self, name: str) -> TopUp | None:
        """See `ports.TopUps.lock`."""
        return self._first(_named(name).with_for_update())

    def recent(self, account: str, at: datetime) -> Sequence[TopUp]:
        """See `ports.TopUps.recent`."""
        return recent(self._recent, self._connection, [account], at).get(account, ())

    def add(self, new: TopUp) -> None:
        """See `ports.TopUps.add`."""
        self._connection.execute(insert(top_up).values(top_up_row(new)))

    def save(self, changed: TopUp) -> None:
        """See `ports.TopUps.save`."""
        values = top_up_row(changed)
        this = top_up.c.top_up_id == values.pop("top_up_id")
        self._connection.execute(update(top_up).where(this).values(values))

    def paid(self, *, after: str | None = None, limit: int = 1_000) -> list[TopUp]:
        """See `ports.TopUps.paid`."""
        query = select(top_up).where(top_up.c.state == state_row(TopUpState.PAID))
        if after is not None:
            query = query.where(top_up.c.top_up_id > id_row(bytes.fromhex(after)))
        return [
            top_up_from(row)
            for row in self._connection.execute(query.order_by(top_up.c.top_up_id).limit(limit))
        ]

    def listed(
        self, *, account: str | None = None, state: TopUpState | None = None, limit: int = 100
    ) -> list[TopUp]:
        """See `ports.TopUps.listed`."""
        query = select(top_up).order_by(top_up.c.requested_at.desc(), top_up.c.top_up_id).limit(limit)
        if account is not None:
            query = query.where(top_up.c.account == account)
        if state is not None:
            query = query.where(top_up.c.state == state_row(state))
        return [top_up_from(row) for row in self._connection.execute(query)]

    def _first(self, query: Select[tuple[object, ...]]) -> TopUp | None:
        row = self._connection.execute(query).first()
        return top_up_from(row) if row else None


def _named(name: str) -> Select[tuple[object, ...]]:
    return select(top_up).where(top_up.c.top_up_id == id_row(bytes.fromhex(name)))
