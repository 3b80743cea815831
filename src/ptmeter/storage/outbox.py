"""
The outbox: messages that were written with what they tell of, leased by whoever delivers them.

A message that is due is leased by moving the time it is due to the lease's end, so a process that dies lets go of it
by itself. The number of attempts tells leases apart: who comes back too late changes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, func, or_, select, update

from ..domain.instants import microseconds
from ..domain.messages import MessageState
from ..errors import UnreadableRowError
from .message_rows import message_from, message_row
from .rows import id_row
from .statements import inserted
from .tables import outbox

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row

    from ..domain.messages import Message

_STATES: dict[MessageState, ColumnElement[bool]] = {
    MessageState.PENDING: and_(outbox.c.delivered_at.is_(None), outbox.c.due_at.is_not(None)),
    MessageState.DELIVERED: outbox.c.delivered_at.is_not(None),
    MessageState.DEAD: and_(outbox.c.delivered_at.is_(None), outbox.c.due_at.is_(None)),
}


class SqlOutbox:
    """Messages inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, messages: Sequence[Message]) -> int:
        """See `ports.Outbox.add`."""
        return sum(inserted(self._connection, outbox, message_row(each)) for each in messages)

    def lease(
        self, topics: Sequence[str], *, at: datetime, until: datetime, limit: int
    ) -> list[Message | str]:
        """See `ports.Outbox.lease`; on SQLite the transaction holds the only lock there is."""
        wanted = or_(*(_begins(each) for each in topics))
        query = (
            select(outbox)
            .where(outbox.c.delivered_at.is_(None), outbox.c.due_at <= microseconds(at), wanted)
            .order_by(outbox.c.due_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return [self._lease(row, until) for row in self._connection.execute(query).all()]

    def find(self, account: str, name: str) -> Message | None:
        """See `ports.Outbox.find`."""
        row = self._connection.execute(select(outbox).where(*_named(account, name))).first()
        return message_from(row) if row else None

    def save(self, changed: Message, *, leased: int | None = None) -> bool:
        """See `ports.Outbox.save`."""
        names = ("due_at", "delivered_at", "attempts", "problem")
        row = message_row(changed)
        this = update(outbox).where(*_named(changed.account, changed.id))
        if leased is not None:
            this = this.where(outbox.c.attempts == leased, outbox.c.delivered_at.is_(None))
        done = self._connection.execute(this.values({name: row[name] for name in names}))
        return done.rowcount == 1

    def forget(self, before: datetime, *, limit: int) -> int:
        """See `ports.Outbox.forget`; what others are dropping at this moment is passed over."""
        old = select(outbox.c.account, outbox.c.message_id).where(
            outbox.c.delivered_at < microseconds(before)
        )
        found = self._connection.execute(old.limit(limit).with_for_update(skip_locked=True)).all()
        for row in found:
            this = and_(outbox.c.account == row.account, outbox.c.message_id == row.message_id)
            self._connection.execute(delete(outbox).where(this))
        return len(found)

    def listed(
        self,
        *,
        state: MessageState | None = None,
        account: str | None = None,
        topic: str = "",
        limit: int = 100,
    ) -> list[Message]:
        """See `ports.Outbox.listed`."""
        query = select(outbox).where(_begins(topic))
        if state is not None:
            query = query.where(_STATES[state])
        if account is not None:
            query = query.where(outbox.c.account == account)
        latest = query.order_by(outbox.c.noted_at.desc(), outbox.c.account, outbox.c.message_id)
        return [message_from(row) for row in self._connection.execute(latest.limit(limit))]

    def _lease(self, row: Row[Any], until: datetime) -> Message | str:
        """The message, now leased; one that cannot be read is dead, or it would be in the way for ever."""
        try:
            found = message_from(row)
        except UnreadableRowError as problem:
            this = and_(outbox.c.account == row.account, outbox.c.message_id == row.message_id)
            dead = update(outbox).where(this).values(due_at=None, problem=str(problem))
            self._connection.execute(dead)
            return str(problem)
        leased = replace(found, due_at=until, attempts=found.attempts + 1)
        self.save(leased)
        return leased


def _named(account: str, name: str) -> tuple[ColumnElement[bool], ...]:
    return outbox.c.account == account, outbox.c.message_id == id_row(bytes.fromhex(name))


def _begins(topic: str) -> ColumnElement[bool]:
    """How a topic begins, letter by letter; SQLite's LIKE would take capitals for small ones."""
    return func.substr(outbox.c.topic, 1, len(topic)) == topic
