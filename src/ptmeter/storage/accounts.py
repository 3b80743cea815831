"""Who is billed, and on which plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, exists, select, update

from ..domain.chain import microseconds
from .tables import account, wallet

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection

    from .statements import Statements

_PLAN = select(account.c.plan).where(account.c.account == bindparam("account"))


class SqlAccounts:
    """Accounts inside one transaction."""

    def __init__(self, connection: Connection, statements: Statements, now: Callable[[], datetime]) -> None:
        self._connection = connection
        self._sql = statements
        self._now = now

    def exists(self, name: str) -> bool:
        """See `ports.Accounts.exists`."""
        return self._connection.execute(_PLAN, {"account": name}).first() is not None

    def plan_of(self, name: str) -> str | None:
        """See `ports.Accounts.plan_of`."""
        return self._connection.execute(_PLAN, {"account": name}).scalar()

    def set_plan(self, name: str, plan: str | None) -> None:
        """See `ports.Accounts.set_plan`."""
        self._connection.execute(
            self._sql.open_account, {"account": name, "opened_at": microseconds(self._now())}
        )
        self._connection.execute(update(account).where(account.c.account == name).values(plan=plan))

    def names(self, *, after: str = "", limit: int = 1_000) -> list[str]:
        """See `ports.Accounts.names`."""
        query = select(account.c.account).where(account.c.account > after)
        return list(self._connection.execute(query.order_by(account.c.account).limit(limit)).scalars())

    def missing(self, limit: int) -> list[str]:
        """See `ports.Accounts.missing`."""
        known = exists().where(account.c.account == wallet.c.account)
        query = select(wallet.c.account).distinct().where(~known).order_by(wallet.c.account)
        return list(self._connection.execute(query.limit(limit)).scalars())
