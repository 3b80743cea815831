"""What wallets were charged, added up by day: read in one query, however many wallets there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import func, literal, select

from ..domain.margins import Grouping, Sum, day_name
from ..domain.rollups import Bucket, Figures
from .rows import names_its_row
from .tables import rollup, wallet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import ColumnElement, Connection, Row

    from ..domain.ledger import Wallet, WalletId


class SqlRollups:
    """Roll-ups inside one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def of(self, wallet: Wallet) -> dict[Bucket, Figures]:
        """See `ports.Rollups.of`."""
        query = select(rollup).where(rollup.c.wallet_id == wallet.number)
        found = self._connection.execute(query).all()
        return dict(_rollup_from(row, wallet.id) for row in found)

    def sums(self, by: Grouping, since: int | None, until: int | None) -> list[Sum]:
        """See `ports.Rollups.sums`."""
        group = _GROUPS[by]
        figures = [func.sum(rollup.c[name]).label(name) for name in Figures._fields]
        query = (
            select(group, wallet.c.unit, rollup.c.currency, *figures)
            .join_from(rollup, wallet, wallet.c.wallet_id == rollup.c.wallet_id)
            .group_by(*(() if by is Grouping.PLATFORM else (group,)), wallet.c.unit, rollup.c.currency)
        )
        if since is not None:
            query = query.where(rollup.c.day >= since)
        if until is not None:
            query = query.where(rollup.c.day < until)
        return [_sum_from(row, by) for row in self._connection.execute(query)]


_GROUPS: Final[Mapping[Grouping, ColumnElement[Any]]] = {
    Grouping.PLATFORM: literal("platform", literal_execute=True),
    Grouping.PLAN: rollup.c.plan,
    Grouping.ACCOUNT: wallet.c.account,
    Grouping.MODEL: rollup.c.model,
    Grouping.DAY: rollup.c.day,
}


def rollup_row(wallet_id: int, bucket: Bucket, figures: Figures) -> dict[str, Any]:
    """What is to be added to a roll-up, or begins one."""
    place = {"model": bucket.model, "plan": bucket.plan, "currency": bucket.currency}
    return {"wallet_id": wallet_id, "day": bucket.day, **place, **figures._asdict()}


@names_its_row("ptm_rollup", "wallet_id", "day", "model", "plan", "currency")
def _rollup_from(row: Row[Any], wallet: WalletId) -> tuple[Bucket, Figures]:
    bucket = Bucket(wallet, row.day, row.model, row.plan, row.currency)
    return bucket, Figures(*(getattr(row, name) for name in Figures._fields))


def _sum_from(row: Row[Any], by: Grouping) -> Sum:
    """A group's figures, which the database may say in decimals."""
    name = day_name(row[0]) if by is Grouping.DAY else str(row[0])
    figures = (int(getattr(row, each)) for each in Figures._fields)
    return Sum(name, row.unit, row.currency, Figures(*figures))
