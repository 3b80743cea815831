"""What counts requests: the library ``limits`` on memory or Redis, how one request is counted, and what if nobody answers."""

from __future__ import annotations

import logging
from math import ceil
from time import time
from typing import TYPE_CHECKING, Any, Final, Literal

from ..domain.keys import digest
from ..errors import ConfigurationError
from .rate_outcomes import Allowed, RateLimited, Unanswered, Window, refused

try:
    from limits import RateLimitItemPerSecond
    from limits.aio.storage import MemoryStorage as AsyncMemoryStorage
    from limits.aio.storage import RedisStorage as AsyncRedisStorage
    from limits.storage import MemoryStorage, RedisStorage
    from redis import ConnectionPool
    from redis.asyncio import ConnectionPool as AsyncConnectionPool
    from redis.asyncio.retry import Retry as AsyncRetry
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as RedisConnectionError
    from redis.exceptions import RedisError
    from redis.retry import Retry
except ImportError as missing:
    _MSG = "rate limits need the packages limits and redis: pip install 'ptmeter[limits]'"
    raise ImportError(_MSG, name=missing.name) from missing

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence
    from datetime import timedelta

Ask = tuple[Literal["test", "hit", "get_window_stats"], RateLimitItemPerSecond]
"""What to ask the counter of a window."""

FAILURES: Final = (RedisError, OSError, TimeoutError)
"""What it means that a counter does not answer."""

_NAME_BYTES: Final = 16

_log: Final = logging.getLogger("ptmeter.web")


def identity(name: str) -> str:
    """What a name is counted under: a hash, so that neither addresses nor keys stand in Redis."""
    return digest(("rate", name), size=_NAME_BYTES).hex()


def hitting(name: str, windows: Sequence[Window]) -> Generator[Ask, Any, Allowed | RateLimited]:
    """
    Count one request in every window, or in none if one of them is full.

    The counter is asked window by window, so of requests at the very same moment one that is refused by a longer
    window may have been counted in a shorter one; never do more pass than may.
    """
    items = [(window, RateLimitItemPerSecond(window.allowed, window.seconds)) for window in windows]
    asks: list[tuple[Literal["test", "hit"], Window, RateLimitItemPerSecond]] = [
        *(("test", window, item) for window, item in items[1:]),
        *(("hit", window, item) for window, item in items),
    ]
    for ask, window, item in asks:
        if not (yield ask, item):
            reset, _ = yield "get_window_stats", item
            return refused(name, windows, window, reset=reset, now=time())
    standings: list[tuple[int, float, Window]] = []
    for window, item in items:
        reset, remaining = yield "get_window_stats", item
        standings.append((max(0, remaining), reset, window))
    remaining, reset, window = min(standings)
    return Allowed(
        name=name,
        windows=tuple(windows),
        window=window,
        remaining=remaining,
        reset_after=max(1, ceil(reset - time())),
    )


class Outage:
    """Whether the counter is silent, and until when nobody asks it: each would wait for it in vain."""

    def __init__(self, unanswered: Unanswered, pause: timedelta, ticks: Callable[[], float]) -> None:
        self._unanswered = unanswered
        self._pause = pause.total_seconds()
        self._ticks = ticks
        self._until: float | None = None

    @property
    def lasts(self) -> bool:
        """Whether it did not answer just now."""
        return self._until is not None and self._ticks() < self._until

    def begins(self, problem: Exception) -> None:
        """Note that it did not answer."""
        if self._until is None:
            what = (
                "requests pass uncounted"
                if self._unanswered is Unanswered.ALLOW
                else "requests are refused"
            )
            _log.warning("what counts requests does not answer, so %s: %s", what, problem)
        self._until = self._ticks() + self._pause

    def is_over(self) -> None:
        """Note that it answers."""
        if self._until is not None:
            self._until = None
            _log.warning("what counts requests answers again")

    def outcome(self, name: str, windows: Sequence[Window]) -> Allowed | RateLimited:
        """What becomes of a request meanwhile."""
        if self._unanswered is Unanswered.ALLOW:
            return Allowed(name=name, windows=tuple(windows), window=windows[0])
        now = time()
        return refused(name, windows, windows[0], reset=now + self._pause, now=now, answered=False)


# --- where they are counted -------------------------------------------------------------------


def storage(
    url: str, patience: timedelta, prefix: str
) -> tuple[MemoryStorage | RedisStorage, Callable[[], None]]:
    """
    Where requests are counted, and what gives its connections back.

    Raises:
        ConfigurationError: The URL names nothing that can count.
    """
    if _is_memory(url):
        return MemoryStorage(), _nothing
    retry = Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
    pool: Any = ConnectionPool.from_url(url, retry=retry, **_waiting(patience))  # pyright: ignore[reportUnknownMemberType]
    return RedisStorage(url, connection_pool=pool, key_prefix=prefix), pool.disconnect


def async_storage(
    url: str, patience: timedelta, prefix: str
) -> tuple[AsyncMemoryStorage | AsyncRedisStorage, Callable[[], Any]]:
    """
    The same for `AsyncRates`.

    Raises:
        ConfigurationError: The URL names nothing that can count.
    """
    if _is_memory(url):
        return AsyncMemoryStorage(), _nothing
    retry = AsyncRetry(NoBackoff(), 1, supported_errors=(RedisConnectionError,))
    pool: Any = AsyncConnectionPool.from_url(url, retry=retry, **_waiting(patience))  # pyright: ignore[reportUnknownMemberType]
    made = AsyncRedisStorage(
        f"async+{url}", implementation="redispy", key_prefix=prefix, connection_pool=pool
    )
    return made, pool.disconnect


def _is_memory(url: str) -> bool:
    if url == "memory://":
        return True
    if url.startswith(("redis://", "rediss://")):
        return False
    msg = "requests are counted in memory:// or at redis://host:6379/0 (rediss:// with TLS)"
    raise ConfigurationError(msg)


def _waiting(patience: timedelta) -> dict[str, float]:
    seconds = patience.total_seconds()
    return {"socket_timeout": seconds, "socket_connect_timeout": seconds}


def _nothing() -> None:
    """Memory has no connections."""
