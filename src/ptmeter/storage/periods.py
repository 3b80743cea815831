"""
Accounting periods on SQL, and the boundary that new wallets are opened behind.

A wallet that is being opened has no row to lock yet, so a close could miss it: opened before the boundary,
committed after the seal. Whoever opens one therefore shares a lock on the boundary's only row until it commits,
and whoever begins a close waits for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, case, exists, func, insert, or_, select, update

from ..domain.closings import Closing, LotMoves
from ..domain.instants import microseconds, moment
from ..domain.ledger import Kind, WalletId
from ..domain.periods import Period, PeriodEvent, PeriodState
from . import rows
from .statements import insert_new
from .tables import account, boundary, closing, period, wallet

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Row

    from ..domain.ledger import Wallet
    from ..domain.periods import PeriodReport

_BOUNDARY: Final = select(boundary.c.closed_until)
_SHARED: Final = _BOUNDARY.with_for_update(read=True)
_EXCLUSIVE: Final = _BOUNDARY.with_for_update()
_CLOSINGS: Final = select(closing, wallet.c.account, wallet.c.unit).join_from(
    closing, wallet, closing.c.wallet_id == wallet.c.wallet_id
)
_FIGURES: Final = (
    "available",
    "held",
    "spent",
    "owed",
    "issued",
    "lapsed",
    "adjusted",
    "frozen",
    "reversed",
)


def locked_boundary(connection: Connection, *, shared: bool) -> int:
    """The end of the latest period whose close began, in microseconds, which stays so until we commit."""
    locking = _SHARED if shared else _EXCLUSIVE
    found = connection.execute(locking).scalar()
    if found is None:
        new = insert_new(boundary, connection.dialect.name)
        connection.execute(new, {"id": 1, "closed_until": 0})
        found = connection.execute(locking).scalar_one()
    return found


class SqlPeriods:
    """Accounting periods inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def lock(self) -> None:
        """See `ports.Periods.lock`."""
        locked_boundary(self._connection, shared=False)

    def events(self) -> list[PeriodEvent]:
        """See `ports.Periods.events`."""
        query = select(period).order_by(period.c.ends_at, period.c.number)
        return [_event_from(row) for row in self._connection.execute(query)]

    def add(self, event: PeriodEvent) -> None:
        """See `ports.Periods.add`."""
        self._connection.execute(insert(period), _event_row(event))
        end = microseconds(event.period.end)
        if event.state is PeriodState.CLOSING:
            earlier = boundary.c.closed_until < end
            self._connection.execute(update(boundary).where(earlier).values(closed_until=end))

    def begun(self) -> datetime | None:
        """See `ports.Periods.begun`."""
        first = self._connection.execute(select(func.min(account.c.opened_at))).scalar()
        return None if first is None else moment(first)

    def unclosed(
        self, standing: PeriodReport, *, after: int | None = None, limit: int = 1_000
    ) -> list[Wallet]:
        """See `ports.Periods.unclosed`; a period closed again has its wallets behind the boundary already."""
        wanted = wallet.c.closed_until < microseconds(standing.end)
        if standing.revision > 1:
            before = _recorded(standing.name, standing.revision - 1)
            wanted = or_(wanted, and_(before, ~_recorded(standing.name, standing.revision)))
        query = select(wallet).where(wanted).order_by(wallet.c.wallet_id).limit(limit)
        if after is not None:
            query = query.where(wallet.c.wallet_id > after)
        return [rows.wallet_from(row) for row in self._connection.execute(query)]

    def lock_wallets(self, numbers: Sequence[int]) -> list[Wallet]:
        """See `ports.Periods.lock_wallets`."""
        query = select(wallet).where(wallet.c.wallet_id.in_(numbers)).order_by(wallet.c.wallet_id)
        found = self._connection.execute(query.with_for_update(key_share=True))
        return [rows.wallet_from(row) for row in found]

    def close(self, period: Period, closings: Sequence[tuple[int, Closing]]) -> None:
        """See `ports.Periods.close`."""
        if recorded := [_closing_row(number, each) for number, each in closings if each.seq]:
            self._connection.execute(insert(closing), recorded)
        end = microseconds(period.end)
        place = wallet.c.wallet_id.in_([number for number, _ in closings]) & (wallet.c.closed_until < end)
        booked_at = case((wallet.c.booked_at < end - 1, end - 1), else_=wallet.c.booked_at)
        self._connection.execute(update(wallet).where(place).values(closed_until=end, booked_at=booked_at))

    def closings(
        self,
        standing: PeriodReport,
        *,
        numbers: Sequence[int] | None = None,
        after: int | None = None,
        limit: int = 1_000,
    ) -> list[tuple[int, Closing]]:
        """See `ports.Periods.closings`."""
        query = _CLOSINGS.where(*_place(standing)).order_by(closing.c.wallet_id).limit(limit)
        if numbers is not None:
            query = query.where(closing.c.wallet_id.in_(numbers))
        if after is not None:
            query = query.where(closing.c.wallet_id > after)
        return [(row.wallet_id, _closing_from(row)) for row in self._connection.execute(query)]

    def count(self, standing: PeriodReport) -> int:
        """See `ports.Periods.count`."""
        query = select(func.count()).select_from(closing).where(*_place(standing))
        return self._connection.execute(query).scalar_one()

    def closings_of(self, wallet: Wallet) -> list[Closing]:
        """See `ports.Periods.closings_of`."""
        query = _CLOSINGS.where(closing.c.wallet_id == wallet.number)
        found = self._connection.execute(query.order_by(closing.c.period, closing.c.revision))
        return [_closing_from(row) for row in found]

    def bounds(self, end: datetime | None) -> bool:
        """See `ports.Periods.bounds`."""
        found = self._connection.execute(select(boundary.c.id, boundary.c.closed_until)).all()
        if end is None and not found:
            return True
        return [tuple(row) for row in found] == [(1, microseconds(end) if end else 0)]

    def strays(self) -> list[str]:
        """See `ports.Periods.strays`."""
        found: list[str] = []
        known = exists().where(wallet.c.wallet_id == closing.c.wallet_id)
        if row := self._connection.execute(select(closing).where(~known).limit(1)).first():
            found.append(f"ptm_closing has rows of wallet {row.wallet_id}, which does not exist")
        begun = exists().where(period.c.period == closing.c.period)
        if row := self._connection.execute(select(closing).where(~begun).limit(1)).first():
            found.append(f"ptm_closing has rows of {row.period}, which nobody began to close")
        return found


def _recorded(name: str, revision: int) -> Any:
    return exists().where(
        closing.c.wallet_id == wallet.c.wallet_id,
        closing.c.period == name,
        closing.c.revision == revision,
    )


def _place(standing: PeriodReport) -> tuple[Any, Any]:
    return closing.c.period == standing.name, closing.c.revision == standing.revision


# --- between rows and values ------------------------------------------------------------------


@rows.names_its_row("ptm_period", "period", "number")
def _event_from(row: Row[Any]) -> PeriodEvent:
    return PeriodEvent(
        period=Period(row.period, moment(row.starts_at), moment(row.ends_at)),
        number=row.number,
        state=PeriodState(row.state),
        at=moment(row.noted_at),
        by=row.actor,
        approved_by=row.approver or "",
        reason=row.reason or "",
        wallets=row.wallets or 0,
        hash=bytes(row.hash or b""),
    )


def _event_row(event: PeriodEvent) -> dict[str, Any]:
    sealed = event.state is PeriodState.SEALED
    return {
        "period": event.period.name,
        "number": event.number,
        "state": int(event.state),
        "starts_at": microseconds(event.period.start),
        "ends_at": microseconds(event.period.end),
        "noted_at": microseconds(event.at),
        "actor": event.by,
        "approver": event.approved_by or None,
        "reason": event.reason or None,
        "wallets": event.wallets if sealed else None,
        "hash": event.hash if sealed else None,
    }


@rows.names_its_row("ptm_closing", "wallet_id", "revision", "period")
def _closing_from(row: Row[Any]) -> Closing:
    return Closing(
        wallet=WalletId(row.account, row.unit),
        period=row.period,
        revision=row.revision,
        seq=row.seq,
        booked_at=None if row.booked_at is None else moment(row.booked_at),
        head=bytes(row.head),
        lots=_lots_from(row.lots),
        **{name: getattr(row, name) for name in _FIGURES},
    )


def _closing_row(number: int, closed: Closing) -> dict[str, Any]:
    return {
        "wallet_id": number,
        "revision": closed.revision,
        "period": closed.period,
        "seq": closed.seq,
        "booked_at": None if closed.booked_at is None else microseconds(closed.booked_at),
        "head": closed.head,
        "lots": _lots_row(closed.lots),
        **{name: getattr(closed, name) for name in _FIGURES},
    }


def _lots_from(value: str | None) -> tuple[LotMoves, ...]:
    lots: list[LotMoves] = []
    for part in value.split(";") if value else ():
        number, since, kind, *figures = map(int, part.split(":"))
        lots.append(LotMoves(number, moment(since), Kind(kind), *figures))
    return tuple(lots)


def _lots_row(lots: tuple[LotMoves, ...]) -> str | None:
    """Each lot's figures in the order of `LotMoves`, as ``1:1767225600000000:1:0:25:0:0:0:0:75:0:0``."""
    written = [(lot.number, microseconds(lot.since), int(lot.kind), *lot[3:]) for lot in lots]
    return ";".join(":".join(map(str, figures)) for figures in written) or None
