"""
How often somebody may ask, where no ledger is needed: so many requests a minute or hour, by visitor, address or key.

They are counted in this process or, for several of them, in Redis, by the library ``limits``, in windows that
move: in no stretch of that length do more requests pass. Limits that guard PT are the ledger's, and hold without
any of this. Needs the extra ``limits``.
"""

from __future__ import annotations

from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Self

from .rate_counters import (
    FAILURES,
    Outage,
    async_storage,
    hitting,
    identity,
    storage,
)
from .rate_outcomes import (
    Allowed,
    Answer,
    RateLimited,
    Unanswered,
    Window,
    answer_to,
    by_address,
    windows_of,
)

try:
    from limits.aio.strategies import MovingWindowRateLimiter as AsyncMovingWindow
    from limits.strategies import MovingWindowRateLimiter
except ImportError as missing:
    _MSG = "rate limits need the packages limits and redis: pip install 'ptmeter[limits]'"
    raise ImportError(_MSG, name=missing.name) from missing

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

__all__ = [
    "Allowed",
    "Answer",
    "AsyncRates",
    "RateLimited",
    "Rates",
    "Unanswered",
    "Window",
    "answer_to",
    "by_address",
]

PATIENCE: Final = timedelta(milliseconds=250)
PAUSE: Final = timedelta(seconds=1)
PREFIX: Final = "ptmeter:rates"


class Rates:
    """Limits on how often a name may ask; threads may share one, and processes one Redis."""

    def __init__(
        self,
        counter: MovingWindowRateLimiter,
        windows: tuple[Window, ...],
        outage: Outage,
        close: Callable[[], None],
    ) -> None:
        """Most callers want `Rates.open`."""
        self._counter = counter
        self._windows = windows
        self._outage = outage
        self._close = close

    @classmethod
    def open(
        cls,
        url: str,
        limits: Mapping[str | timedelta, int],
        *,
        unanswered: Unanswered = Unanswered.ALLOW,
        patience: timedelta = PATIENCE,
        pause: timedelta = PAUSE,
        prefix: str = PREFIX,
        ticks: Callable[[], float] = monotonic,
    ) -> Self:
        """
        Open limits; nothing is connected to before the first request.

        Args:
            url: ``memory://`` for this process alone, or ``redis://host:6379/0`` (``rediss://`` with TLS).
            limits: So many requests by ``second``, ``minute``, ``hour``, ``day`` or a timedelta of whole seconds.
            unanswered: Whether requests pass or are refused while Redis does not answer. They pass by default: what
                costs PT is limited by the ledger all the same.
            patience: How long a request waits for Redis.
            pause: How long Redis is not asked again once it did not answer.
            prefix: How the keys in Redis begin; those with the same prefix, name and limit are counted together.
            ticks: A clock that only goes on, by which *pause* is measured; for tests.

        Raises:
            ConfigurationError: The URL names nothing that can count, or a limit cannot be one.
        """
        windows = windows_of(limits)
        kept, close = storage(url, patience, prefix)
        return cls(MovingWindowRateLimiter(kept), windows, Outage(unanswered, pause, ticks), close)

    def hit(self, name: str) -> Allowed | RateLimited:
        """
        Count a request of *name*, if one more may pass; the answer is true if it does.

        A name is whatever is to be counted together, such as ``by_address(ip)`` or ``"key:" + key``; it is kept as a
        hash. A request that is refused is not counted.
        """
        if self._outage.lasts:
            return self._outage.outcome(name, self._windows)
        steps, answer, counted = hitting(name, self._windows), None, identity(name)
        try:
            while True:
                verb, item = steps.send(answer)
                answer = getattr(self._counter, verb)(item, counted)
        except StopIteration as done:
            self._outage.is_over()
            return done.value
        except FAILURES as problem:
            self._outage.begins(problem)
            return self._outage.outcome(name, self._windows)

    def hit_or_raise(self, name: str) -> Allowed:
        """
        The same for who would rather have an error.

        Raises:
            RateLimitedError: It is one too many, or Redis does not answer and that refuses.
        """
        if found := self.hit(name):
            return found
        raise found.error

    def close(self) -> None:
        """Give the connections back."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncRates:
    """Limits on how often a name may ask: `Rates` for who awaits, counted together with it in one Redis."""

    def __init__(
        self,
        counter: AsyncMovingWindow,
        windows: tuple[Window, ...],
        outage: Outage,
        close: Callable[[], Any],
    ) -> None:
        """Most callers want `AsyncRates.open`."""
        self._counter = counter
        self._windows = windows
        self._outage = outage
        self._close = close

    @classmethod
    def open(
        cls,
        url: str,
        limits: Mapping[str | timedelta, int],
        *,
        unanswered: Unanswered = Unanswered.ALLOW,
        patience: timedelta = PATIENCE,
        pause: timedelta = PAUSE,
        prefix: str = PREFIX,
        ticks: Callable[[], float] = monotonic,
    ) -> Self:
        """
        Open limits; see `Rates.open`.

        Raises:
            ConfigurationError: The URL names nothing that can count, or a limit cannot be one.
        """
        windows = windows_of(limits)
        kept, close = async_storage(url, patience, prefix)
        return cls(AsyncMovingWindow(kept), windows, Outage(unanswered, pause, ticks), close)

    async def hit(self, name: str) -> Allowed | RateLimited:
        """Count a request of *name*, if one more may pass; see `Rates.hit`."""
        if self._outage.lasts:
            return self._outage.outcome(name, self._windows)
        steps, answer, counted = hitting(name, self._windows), None, identity(name)
        try:
            while True:
                try:
                    verb, item = steps.send(answer)
                except StopIteration as done:
                    self._outage.is_over()
                    return done.value
                answer = await getattr(self._counter, verb)(item, counted)
        except FAILURES as problem:
            self._outage.begins(problem)
            return self._outage.outcome(name, self._windows)

    async def hit_or_raise(self, name: str) -> Allowed:
        """
        The same for who would rather have an error.

        Raises:
            RateLimitedError: It is one too many, or Redis does not answer and that refuses.
        """
        if found := await self.hit(name):
            return found
        raise found.error

    async def aclose(self) -> None:
        """Give the connections back."""
        closing = self._close()
        if closing is not None:
            await closing

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
