"""Mitigations: what was ever applied, a row for each; locked by whoever undoes it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, or_, select, update

from ..domain.instants import microseconds, moment
from ..domain.mitigations import Mitigation, mitigation_id
from ..errors import InvariantError
from .mitigation_tables import mitigation
from .periods import locked_boundary
from .rows import id_from, id_row, names_its_row
from .statements import inserted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Row


class SqlMitigations:
    """Mitigations inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, new: Mitigation, fingerprint: bytes) -> bool:
        """See `ports.Mitigations.add`."""
        row = {**_row(new), "fingerprint": id_row(fingerprint)}
        return inserted(self._connection, mitigation, row)

    def find(self, name: str) -> Mitigation | None:
        """See `ports.Mitigations.find`."""
        row = self._connection.execute(select(mitigation).where(_named(name))).first()
        return None if row is None else _mitigation_from(row)

    def asked(self, name: str) -> bytes | None:
        """See `ports.Mitigations.asked`."""
        found = self._connection.execute(select(mitigation.c.fingerprint).where(_named(name))).scalar()
        return None if found is None else id_from(found)

    def lock(self, name: str) -> Mitigation | None:
        """See `ports.Mitigations.lock`."""
        row = self._connection.execute(select(mitigation).where(_named(name)).with_for_update()).first()
        return None if row is None else _mitigation_from(row)

    def undo(self, changed: Mitigation) -> None:
        """See `ports.Mitigations.undo`."""
        row = _row(changed)
        written = {name: row[name] for name in ("undone_at", "undone_by", "undone_because")}
        self._connection.execute(update(mitigation).where(_named(changed.id)).values(written))

    def holding(self, scopes: Sequence[str], at: datetime) -> list[Mitigation]:
        """See `ports.Mitigations.holding`."""
        query = select(mitigation).where(mitigation.c.scope.in_(scopes), _holds(at))
        return [_mitigation_from(row) for row in self._connection.execute(query)]

    def listed(
        self, *, at: datetime | None = None, before: tuple[datetime, str] | None = None, limit: int = 100
    ) -> list[Mitigation]:
        """See `ports.Mitigations.listed`."""
        begun, number = mitigation.c.starts_at, mitigation.c.mitigation_id
        query = select(mitigation).order_by(begun.desc(), number.desc()).limit(limit)
        if at is not None:
            query = query.where(_holds(at))
        if before is not None:
            then, last = microseconds(before[0]), id_row(bytes.fromhex(before[1]))
            query = query.where((begun < then) | (begun == then) & (number < last))
        return [_mitigation_from(row) for row in self._connection.execute(query)]

    def lock_margins(self) -> None:
        """
        See `ports.Mitigations.lock_margins`.

        There is no row of its own to lock before the first was ever applied, so it is the one that closing a month
        locks: for the moment nobody opens a wallet either.
        """
        locked_boundary(self._connection, shared=False)


def _named(name: str) -> ColumnElement[bool]:
    return mitigation.c.mitigation_id == id_row(bytes.fromhex(name))


def _holds(at: datetime) -> ColumnElement[bool]:
    now, undone = microseconds(at), mitigation.c.undone_at
    open_still = or_(undone.is_(None), undone > now)
    return and_(mitigation.c.starts_at <= now, mitigation.c.ends_at > now, open_still)


# --- between rows and values ------------------------------------------------------------------


@names_its_row("ptm_mitigation", "mitigation_id")
def _mitigation_from(row: Row[Any]) -> Mitigation:
    key = json.loads(row.request_key)
    if row.mitigation_id != id_row(mitigation_id(row.scope, key)):
        msg = f"its id is not that of scope {row.scope!r} and key {key!r}"
        raise InvariantError(msg)
    return Mitigation(
        key=key,
        unit=row.unit,
        share=row.share,
        scope=row.scope,
        starts_at=moment(row.starts_at),
        ends_at=moment(row.ends_at),
        by=row.author,
        reason=row.reason,
        undone_at=None if row.undone_at is None else moment(row.undone_at),
        undone_by=row.undone_by or "",
        undone_because=row.undone_because or "",
    )


def _row(found: Mitigation) -> dict[str, Any]:
    return {
        "mitigation_id": id_row(mitigation_id(found.scope, found.key)),
        "starts_at": microseconds(found.starts_at),
        "ends_at": microseconds(found.ends_at),
        "undone_at": None if found.undone_at is None else microseconds(found.undone_at),
        "share": found.share,
        "scope": found.scope,
        "unit": found.unit,
        "author": found.by,
        "undone_by": found.undone_by or None,
        "request_key": json.dumps(found.key),  # a key may have characters that no database takes
        "reason": found.reason,
        "undone_because": found.undone_because or None,
    }
