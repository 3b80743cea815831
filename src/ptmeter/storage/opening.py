"""From what the caller has (a URL, an engine, nothing) to a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .memory import AsyncMemoryStore, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Connection, Engine
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from ..domain.policy import Policy
    from .store import AsyncSqlStore, SqlStore

    __all__ = ["AsyncConnection", "AsyncEngine", "Connection", "Engine"]

MEMORY: Final = "memory://"


def open_store(
    target: str | Engine, policy: Policy, clock: Callable[[], datetime] | None
) -> SqlStore | MemoryStore:
    """A store for the synchronous meter."""
    if target == MEMORY:
        return MemoryStore(policy, clock)
    from .engine import new_engine  # noqa: PLC0415 - SQLAlchemy is slow to import
    from .store import SqlStore  # noqa: PLC0415

    return SqlStore(new_engine(target), policy, clock)


def open_store_async(
    target: str | AsyncEngine, policy: Policy, clock: Callable[[], datetime] | None
) -> AsyncSqlStore | AsyncMemoryStore:
    """A store for the asynchronous meter."""
    if target == MEMORY:
        return AsyncMemoryStore(policy, clock)
    from .engine import new_engine_async  # noqa: PLC0415 - SQLAlchemy is slow to import
    from .store import AsyncSqlStore  # noqa: PLC0415

    return AsyncSqlStore(new_engine_async(target), policy, clock)
