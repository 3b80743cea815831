"""Stores, which open books in a transaction, and what a use case that posts is."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from ..domain.commands import Linked
from ..domain.ledger import Outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .books import Books

T = TypeVar("T")

Posting: TypeAlias = Generator[Sequence[Linked], list[tuple[Outcome, ...]], T]
"""
A use case under way: it yields groups to post, is sent what came of them, and returns its value.

Handed to ``post`` it may share its transaction, so what it reads before it yields may be what another one of the
same batch is about to change. Who decides by rows of its own is run ``alone``.
"""


class Store(Protocol):
    """Opens books, synchronously."""

    def prepare(self, *, migrate: bool) -> None:
        """
        Make sure that the database keeps what it acknowledges and has our tables.

        Raises:
            UnsafeDurabilityError: It would lose acknowledged commits in a crash.
            SchemaOutdatedError: Its tables are missing or old, and *migrate* is off.
        """
        ...

    def run(self, work: Callable[[Books], T], /) -> T:
        """
        Carry out *work* in one transaction and commit it.

        *work* may run more than once (deadlock, lock timeout), so it has no effect but its writes.

        Raises:
            ContentionError: The database aborted it time and again.
            IndeterminateError: The connection was lost around COMMIT.
        """
        ...

    def post(self, account: str, work: Callable[[Books], Posting[T]], /) -> T:
        """
        Carry out *work* in a transaction that it may share with what others post at the same moment.

        What is posted for one *account* is carried out in the order in which it came. Whatever happens to
        the caller meanwhile, once begun it is carried out whole or not at all.

        Raises:
            LedgerBusyError: Too much is waiting already, or its turn did not come in time: nothing was done.
            ContentionError: The database aborted it time and again.
            IndeterminateError: The connection was lost around COMMIT, or no answer came in time.
        """
        ...

    def read(self, work: Callable[[Books], T], /) -> T:
        """Carry out *work* on one unchanging view of the database; it writes nothing."""
        ...

    def survey(self, work: Callable[[Books], T], /) -> T:
        """The same for *work* that reads all there is, however long it takes: nobody's patience ends it."""
        ...

    def joined(self, connection: Any) -> Store:
        """A store that works inside the transaction *connection* is in."""
        ...

    def close(self) -> None:
        """Give the connections back."""
        ...


class AsyncStore(Protocol):
    """Opens books, asynchronously; *work* is the same plain function."""

    def prepare(self, *, migrate: bool) -> Awaitable[None]:
        """See `Store.prepare`."""
        ...

    def run(self, work: Callable[[Books], T], /) -> Awaitable[T]:
        """See `Store.run`."""
        ...

    def post(self, account: str, work: Callable[[Books], Posting[T]], /) -> Awaitable[T]:
        """See `Store.post`."""
        ...

    def read(self, work: Callable[[Books], T], /) -> Awaitable[T]:
        """See `Store.read`."""
        ...

    def survey(self, work: Callable[[Books], T], /) -> Awaitable[T]:
        """See `Store.survey`."""
        ...

    def joined(self, connection: Any) -> AsyncStore:
        """See `Store.joined`."""
        ...

    def close(self) -> Awaitable[None]:
        """Give the connections back."""
        ...
