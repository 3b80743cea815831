"""Calls in quarantine, a row for each account and key; locked by whoever decides about one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, select, update

from ..domain.instants import microseconds, moment
from ..domain.pt import PT
from ..domain.quarantine import Quarantined, QuarantineState, call_id
from ..errors import InvariantError
from .rows import id_from, id_row, names_its_row
from .statements import insert_new
from .tables import quarantine
from .usage_rows import workload_from, workload_row

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection, Row

_DECIDED: Final = ("state", "resolved_at", "decision", "payer", "resolver", "reason")


class SqlQuarantine:
    """Calls in quarantine inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def keep(self, call: Quarantined) -> None:
        """See `ports.Quarantine.keep`."""
        self._connection.execute(insert_new(quarantine, self._connection.dialect.name), _row(call))

    def lock(self, account: str, key: str) -> Quarantined | None:
        """See `ports.Quarantine.lock`."""
        row = self._connection.execute(_one(account, key).with_for_update()).first()
        return None if row is None else _call_from(row)

    def find(self, account: str, key: str) -> Quarantined | None:
        """See `ports.Quarantine.find`."""
        row = self._connection.execute(_one(account, key)).first()
        return None if row is None else _call_from(row)

    def resolve(self, call: Quarantined) -> None:
        """See `ports.Quarantine.resolve`."""
        row = _row(call)
        decided = {name: row[name] for name in _DECIDED}
        this = (quarantine.c.account == call.account) & (quarantine.c.call_id == row["call_id"])
        self._connection.execute(update(quarantine).where(this).values(decided))

    def page(
        self,
        state: QuarantineState | None,
        *,
        after: tuple[datetime, bytes] | None = None,
        limit: int = 100,
    ) -> list[Quarantined]:
        """See `ports.Quarantine.page`."""
        received, number = quarantine.c.received_at, quarantine.c.call_id
        query = select(quarantine).order_by(received, number).limit(limit)
        if state is not None:
            query = query.where(quarantine.c.state == int(state))
        if after is not None:
            at, last = microseconds(after[0]), id_row(after[1])
            query = query.where((received > at) | (received == at) & (number > last))
        return [_call_from(row) for row in self._connection.execute(query)]

    def backlog(self) -> tuple[int, datetime | None]:
        """See `ports.Quarantine.backlog`."""
        query = select(func.count(), func.min(quarantine.c.received_at))
        count, oldest = self._connection.execute(
            query.where(quarantine.c.state == int(QuarantineState.OPEN))
        ).one()
        return count, None if oldest is None else moment(oldest)


def _one(account: str, key: str) -> Any:
    place = (quarantine.c.account == account) & (quarantine.c.call_id == id_row(call_id(account, key)))
    return select(quarantine).where(place)


# --- between rows and values ------------------------------------------------------------------


@names_its_row("ptm_quarantine", "account", "call_id")
def _call_from(row: Row[Any]) -> Quarantined:
    key = json.loads(row.call_key)
    if row.call_id != id_row(call_id(row.account, key)):
        msg = f"its id is not that of account {row.account!r} and key {key!r}"
        raise InvariantError(msg)
    state = QuarantineState(row.state)
    decided = (row.resolved_at, row.decision, row.resolver, row.reason)
    if (state is QuarantineState.OPEN) is not all(each is None for each in decided) or (
        state is not QuarantineState.OPEN and None in decided
    ):
        msg = f"it is {state.name.lower()}, which does not go with who decided about it"
        raise InvariantError(msg)
    if (row.payer is None) is not (row.held is None and state is not QuarantineState.SETTLED):
        msg = f"it is {state.name.lower()}, which does not go with whose PT that took"
        raise InvariantError(msg)
    more = tuple(json.loads(row.more or "[]"))
    if not all(each.startswith(f"{key}#more") for each in more):
        msg = f"holds were placed for it under {more}, which are not keys of its own"
        raise InvariantError(msg)
    return Quarantined(
        account=row.account,
        key=key,
        unit=row.unit,
        model=row.model,
        route=row.route,
        held=None if row.held is None else PT(row.held),
        payer=row.payer,
        workload=workload_from(row.workload),
        more=more,
        problem=row.problem,
        payload=row.payload,
        received_at=moment(row.received_at),
        state=state,
        resolved_at=None if row.resolved_at is None else moment(row.resolved_at),
        resolver=row.resolver or "",
        reason=row.reason or "",
        decision=b"" if row.decision is None else id_from(row.decision),
    )


def _row(call: Quarantined) -> dict[str, Any]:
    return {
        "account": call.account,
        "call_id": id_row(call_id(call.account, call.key)),
        "received_at": microseconds(call.received_at),
        "held": None if call.held is None else call.held.micro,
        "resolved_at": None if call.resolved_at is None else microseconds(call.resolved_at),
        "decision": id_row(call.decision) if call.decision else None,
        "state": int(call.state),
        "call_key": json.dumps(call.key),  # a key may have characters that no database takes
        "unit": call.unit,
        "model": call.model,
        "route": call.route,
        "payer": call.payer,
        "problem": call.problem,
        "payload": call.payload,
        "workload": workload_row(call.workload),
        "more": json.dumps(call.more) if call.more else None,
        "resolver": call.resolver or None,
        "reason": call.reason or None,
    }
