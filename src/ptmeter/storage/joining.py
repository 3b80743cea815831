"""Working inside the caller's own transaction: what is done in it stands or falls with the caller's commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import false, update
from sqlalchemy.exc import DBAPIError

from ..errors import ConfigurationError
from ..operations.posting import alone
from . import dialects
from .tables import wallet
from .transactions import translated

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection

    from ..ports import Books, Posting
    from .books import Binder

T = TypeVar("T")


class JoinedStore:
    """
    The caller's own transaction: what is done in it stands or falls with the caller's commit.

    Nothing is retried here: a database that aborts the transaction has aborted the caller's part too.
    """

    def __init__(self, connection: Connection, binder: Binder) -> None:
        self._connection = connection
        self._binder = binder

    def run(self, work: Callable[[Books], T], /) -> T:
        """Carry out *work* in the caller's transaction; the caller commits."""
        return join(self._connection, lambda c: work(self._binder.books(c, joined=True)))

    def post(self, _account: str, work: Callable[[Books], Posting[T]], /) -> T:
        """Carry out *work* in the caller's transaction, by itself."""
        return self.run(lambda books: alone(books, work))

    def read(self, work: Callable[[Books], T], /) -> T:
        """Carry out *work* on what the caller's transaction sees."""
        return self.run(work)

    def survey(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.survey`."""
        return self.read(work)

    def prepare(self, *, migrate: bool) -> None:
        """The store this one belongs to was prepared when it was opened, or is when it is next used."""

    def joined(self, connection: Connection) -> JoinedStore:
        """Join another transaction."""
        return JoinedStore(connection, self._binder)

    def close(self) -> None:
        """Leave the connection to its owner."""


class AsyncJoinedStore:
    """See `JoinedStore`."""

    def __init__(self, connection: AsyncConnection, binder: Binder) -> None:
        self._connection = connection
        self._binder = binder

    async def run(self, work: Callable[[Books], T], /) -> T:
        """Carry out *work* in the caller's transaction; the caller commits."""
        return await self._connection.run_sync(join, lambda c: work(self._binder.books(c, joined=True)))

    async def post(self, _account: str, work: Callable[[Books], Posting[T]], /) -> T:
        """Carry out *work* in the caller's transaction, by itself."""
        return await self.run(lambda books: alone(books, work))

    async def read(self, work: Callable[[Books], T], /) -> T:
        """Carry out *work* on what the caller's transaction sees."""
        return await self.run(work)

    async def survey(self, work: Callable[[Books], T], /) -> T:
        """See `ports.Store.survey`."""
        return await self.read(work)

    async def prepare(self, *, migrate: bool) -> None:
        """See `JoinedStore.prepare`."""

    def joined(self, connection: AsyncConnection) -> AsyncJoinedStore:
        """Join another transaction."""
        return AsyncJoinedStore(connection, self._binder)

    async def close(self) -> None:
        """Leave the connection to its owner."""


def join(connection: Connection, work: Callable[[Connection], T]) -> T:
    """Carry out *work* inside the transaction the caller has begun."""
    try:
        _check_joined(connection)
        return work(connection)
    except DBAPIError as error:
        raise translated(error) from error


def _check_joined(connection: Connection) -> None:
    """Make sure that the caller's transaction is one to decide in; SQLite's write lock is taken first."""
    if not connection.in_transaction():
        msg = "joined() needs a connection inside a transaction: use it within engine.begin()"
        raise ConfigurationError(msg)
    dialect = connection.dialect.name
    if dialect == "sqlite":
        connection.execute(update(wallet).where(false()).values(state=0))
    if dialects.in_autocommit(connection):
        msg = (
            "joined() needs a transaction, and this connection commits each statement by itself: "
            "open it without isolation_level='AUTOCOMMIT'"
        )
        raise ConfigurationError(msg)
    if dialect in dialects.MYSQL and connection.get_isolation_level() != "READ COMMITTED":
        msg = (
            "a joined transaction must be at READ COMMITTED, or it would decide on an old view: "
            "open it with execution_options(isolation_level='READ COMMITTED')"
        )
        raise ConfigurationError(msg)
