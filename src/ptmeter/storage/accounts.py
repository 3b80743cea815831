"""Who is billed, and on which plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import bindparam, exists, func, literal, or_, select, update

from ..domain.accounts import DEEPEST, path
from ..domain.instants import microseconds
from .account_rows import account_from, account_row
from .columns import Int64
from .tables import account, wallet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from sqlalchemy import Connection

    from ..domain.accounts import Account, Path
    from .paths import Paths
    from .statements import Statements

_PLAN = select(account.c.plan).where(account.c.account == bindparam("account"))


class SqlAccounts:
    """Accounts inside one transaction."""

    def __init__(
        self, connection: Connection, statements: Statements, now: Callable[[], datetime], paths: Paths
    ) -> None:
        self._connection = connection
        self._sql = statements
        self._now = now
        self._paths = paths

    def exists(self, name: str) -> bool:
        """See `ports.Accounts.exists`."""
        return self._connection.execute(_PLAN, {"account": name}).first() is not None

    def plan_of(self, name: str) -> str | None:
        """See `ports.Accounts.plan_of`."""
        return self._connection.execute(_PLAN, {"account": name}).scalar()

    def set_plan(self, name: str, plan: str | None) -> None:
        """See `ports.Accounts.set_plan`."""
        self.open(name)
        self._connection.execute(update(account).where(account.c.account == name).values(plan=plan))

    def open(self, name: str) -> None:
        """See `ports.Accounts.open`."""
        opened = {"account": name, "opened_at": microseconds(self._now())}
        self._connection.execute(self._sql.open_account, opened)

    def payer(self, name: str) -> str:
        """See `ports.Accounts.payer`."""
        return self._paths.payer(self._connection, name)

    def former_payers(self, name: str) -> tuple[str, ...]:
        """See `ports.Accounts.former_payers`."""
        return self._paths.former_payers(self._connection, name)

    def forget(self, name: str) -> None:
        """See `ports.Accounts.forget`."""
        self._paths.forget(self._paths.above(self._connection, {name}))

    def find(self, names: Iterable[str]) -> dict[str, Account]:
        """See `ports.Accounts.find`."""
        query = select(account).where(account.c.account.in_(list(names)))
        return {row.account: account_from(row) for row in self._connection.execute(query)}

    def path(self, name: str) -> Path:
        """See `ports.Accounts.path`."""
        return path(name, self._paths.read(self._connection, {name}, self.find))

    def lock(self, names: Iterable[str]) -> dict[str, Account]:
        """See `ports.Accounts.lock`."""
        return locked(self._connection, self._sql, names)

    def below(self, name: str, *, after: str = "", limit: int = 1_000) -> list[Account]:
        """See `ports.Accounts.below`."""
        query = select(account).where(account.c.parent == name, account.c.account > after)
        found = self._connection.execute(query.order_by(account.c.account).limit(limit))
        return [account_from(row) for row in found]

    def levels_below(self, name: str) -> int:
        """See `ports.Accounts.levels_below`; no tree is much deeper than it may be, not even one in a circle."""
        here = select(account.c.account.label("name"), literal(0, Int64).label("level"))
        tree = here.where(account.c.account == name).cte("tree", recursive=True)
        next_level = select(account.c.account, tree.c.level + 1).where(tree.c.level <= 2 * DEEPEST)
        tree = tree.union_all(next_level.join_from(tree, account, account.c.parent == tree.c.name))
        return self._connection.execute(select(func.max(tree.c.level))).scalar() or 0

    def tallied(self, *, after: str = "", limit: int = 1_000) -> list[Account]:
        """See `ports.Accounts.tallied`."""
        counted = or_(account.c.tally.is_not(None), account.c.placed_at.is_not(None))
        query = select(account).where(counted, account.c.account > after)
        found = self._connection.execute(query.order_by(account.c.account).limit(limit))
        return [account_from(row) for row in found]

    def topping_up(self, *, after: str = "", limit: int = 1_000) -> list[Account]:
        """See `ports.Accounts.topping_up`."""
        query = select(account).where(account.c.top_ups.is_not(None), account.c.account > after)
        found = self._connection.execute(query.order_by(account.c.account).limit(limit))
        return [account_from(row) for row in found]

    def save(self, changed: Account) -> None:
        """See `ports.Accounts.save`."""
        self.open(changed.name)
        this = update(account).where(account.c.account == changed.name)
        self._connection.execute(this.values(account_row(changed)))
        self._paths.forget([changed.name])

    def names(self, *, after: str = "", limit: int = 1_000) -> list[str]:
        """See `ports.Accounts.names`."""
        query = select(account.c.account).where(account.c.account > after)
        return list(self._connection.execute(query.order_by(account.c.account).limit(limit)).scalars())

    def missing(self, limit: int) -> list[str]:
        """See `ports.Accounts.missing`."""
        known = exists().where(account.c.account == wallet.c.account)
        query = select(wallet.c.account).distinct().where(~known).order_by(wallet.c.account)
        return list(self._connection.execute(query.limit(limit)).scalars())


def locked(connection: Connection, statements: Statements, names: Iterable[str]) -> dict[str, Account]:
    """Lock these accounts, in one order for everybody, and read them."""
    found = statements.lock_accounts.fetch(connection, {"names": sorted(set(names))})
    return {row.account: account_from(row) for row in found}
