"""What settled calls taught, a row for each model and route; locked by whoever adds to it, for a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, select, tuple_, update

from ..domain.calibration import Habits, Topic
from ..domain.instants import microseconds
from .statements import insert_new
from .tables import calibration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection

_IS = (calibration.c.model == bindparam("a_model")) & (calibration.c.route == bindparam("a_route"))
_CHANGE = (
    update(calibration).where(_IS).values(body=bindparam("new_body"), changed_at=bindparam("new_time"))
)


class SqlCalibrations:
    """What settled calls taught, inside one transaction."""

    def __init__(self, connection: Connection, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._now = now

    def lock(self, topics: Sequence[Topic]) -> dict[Topic, Habits]:
        """See `ports.Calibrations.lock`; rows that are missing are made, so that there is one to lock."""
        found = self._locked(topics)
        if missing := [topic for topic in topics if topic not in found]:
            new = {"changed_at": microseconds(self._now()), "body": Habits().as_json()}
            insert = insert_new(calibration, self._connection.dialect.name)
            self._connection.execute(insert, [{**topic._asdict(), **new} for topic in missing])
            found |= self._locked(missing)
        return found

    def write(self, habits: Mapping[Topic, Habits]) -> None:
        """See `ports.Calibrations.write`."""
        now = microseconds(self._now())
        rows = [
            {"a_model": topic.model, "a_route": topic.route, "new_body": each.as_json(), "new_time": now}
            for topic, each in sorted(habits.items(), key=lambda item: item[0])
        ]
        if rows:
            self._connection.execute(_CHANGE, rows)

    def read(self, limit: int = 1_000) -> dict[Topic, Habits]:
        """See `ports.Calibrations.read`."""
        query = select(calibration.c.model, calibration.c.route, calibration.c.body)
        latest = query.order_by(calibration.c.changed_at.desc(), calibration.c.model, calibration.c.route)
        rows = self._connection.execute(latest.limit(limit))
        return {Topic(model, route): Habits.from_json(body) for model, route, body in rows}

    def _locked(self, topics: Sequence[Topic]) -> dict[Topic, Habits]:
        columns = (calibration.c.model, calibration.c.route)
        query = (
            select(*columns, calibration.c.body)
            .where(tuple_(*columns).in_([tuple(topic) for topic in topics]))
            .order_by(*columns)
            .with_for_update()
        )
        rows = self._connection.execute(query)
        return {Topic(model, route): Habits.from_json(body) for model, route, body in rows}
