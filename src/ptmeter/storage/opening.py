"""From what the caller has (a URL, an engine, nothing) to a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .memory import AsyncMemoryStore, MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from ..domain.policy import Policy
    from .store import AsyncSqlStore, SqlStore

MEMORY: Final = "memory://"


def open_store(
    target: str | Engine, policy: Policy, clock: Callable[[], datetime] | None
) -> SqlStore | MemoryStore:
    """A store for the synchronous meter."""
    if target == MEMORY:
        return MemoryStore(policy, clock)
    from .engine import new_engine
    from .store import SqlStore

    return SqlStore(new_engine(target), policy, clock, owned=isinstance(target, str))


def open_store_async(
    target: str | AsyncEngine, policy: Policy, clock: Callable[[], datetime] | None
) -> AsyncSqlStore | AsyncMemoryStore:
    """A store for the asynchronous meter."""
    if target == MEMORY:
        return AsyncMemoryStore(policy, clock)
    from .engine import new_engine_async
    from .store import AsyncSqlStore

    return AsyncSqlStore(new_engine_async(target), policy, clock, owned=isinstance(target, str))
