"""One transaction from begin to commit, the same body for both colours, and what its failures mean."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ..errors import (
    ContentionError,
    IndeterminateError,
    InvariantError,
    PeriodClosedError,
    StorageError,
    UnavailableError,
)
from ..operations.posting import carried_out
from . import dialects

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from sqlalchemy import Connection

T = TypeVar("T")


def transact(connection: Connection, work: Callable[[Connection], T]) -> T:
    """Carry out *work* between begin and commit; whatever goes wrong before the commit leaves nothing."""
    try:
        return _transact(connection, work)
    except Exception:
        raise
    except BaseException:
        # Cut off in the middle (cancelled, interrupted), perhaps of a BEGIN the driver knows nothing of:
        # nobody else gets this connection, and the server rolls back what it was doing.
        connection.invalidate()
        raise


def _transact(connection: Connection, work: Callable[[Connection], T]) -> T:
    try:
        transaction = connection.begin()
        try:
            dialects.begin(connection)
            value = carried_out(work(connection))
        except Exception:
            transaction.rollback()
            raise
    except DBAPIError as error:
        raise translated(error) from error
    try:
        transaction.commit()
    except DBAPIError as error:
        if dialects.is_disconnect(error):
            raise IndeterminateError from error
        raise translated(error) from error
    return value


@contextmanager
def errors_translated() -> Generator[None]:
    """For what may go wrong before a transaction begins."""
    try:
        yield
    except DBAPIError as error:
        if isinstance(error, OperationalError) and not dialects.is_disconnect(error):
            raise _unreachable(_said(error)) from error
        raise translated(error) from error
    except OSError as error:  # asyncpg lets it through
        raise _unreachable(str(error)) from error
    except PoolTimeoutError as error:
        msg = f"no connection became free: {error}"
        raise ContentionError(msg) from error


def _unreachable(said: str) -> UnavailableError:
    return UnavailableError(
        f"the database cannot be reached: {said}: check the URL, and that the server runs"
    )


def translated(error: DBAPIError) -> StorageError | InvariantError | PeriodClosedError:
    """What a driver's error means to the caller; before a commit a lost connection has lost nothing."""
    if "ptm_period_closed" in str(error.orig):
        return PeriodClosedError(_said(error))
    if dialects.is_contention(error) or dialects.is_disconnect(error):
        return ContentionError(f"the database gave the transaction up: {_said(error)}")
    if isinstance(error, IntegrityError):
        return InvariantError(f"the database refused what the planner decided: {_said(error)}")
    return StorageError(f"the database failed: {_said(error)}")


def _said(error: DBAPIError) -> str:
    """The first line of what the driver said; the rest is advice for administrators, and chained."""
    return str(error.orig).strip().partition("\n")[0]
