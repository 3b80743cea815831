"""
What becomes of a request that is counted, and how that is said over HTTP; it knows of no counter.

Headers are those of draft-ietf-httpapi-ratelimit-headers-06, and ``Retry-After`` of RFC 9110, 10.2.3, in seconds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import ceil
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from ..domain.visitors import network
from ..errors import ConfigurationError, RateLimitedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOO_MANY_REQUESTS: Final = 429
SERVICE_UNAVAILABLE: Final = 503

SECONDS: Final[Mapping[str, int]] = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}
"""Stretches of time by name."""


class Unanswered(StrEnum):
    """What becomes of a request when the counter does not answer."""

    ALLOW = "allow"
    """It passes: the page is there for everybody, and what costs PT is limited by the ledger."""
    REFUSE = "refuse"
    """It is refused, with status 503: nothing passes uncounted."""


class Window(NamedTuple):
    """So many requests in any stretch of so many seconds."""

    allowed: int
    seconds: int

    def __str__(self) -> str:
        return f"{self.allowed};w={self.seconds}"


class Answer(NamedTuple):
    """What to send back: status, headers, and a JSON document."""

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """
    The request may pass; as a condition it is true.

    ``remaining`` is how many more may now, in the window where fewest may, and ``reset_after`` in how many seconds
    the first of those that were counted in it counts no more. Both are ``None`` where the counter did not answer.
    """

    name: str
    windows: tuple[Window, ...]
    window: Window
    remaining: int | None = None
    reset_after: int | None = None

    def __bool__(self) -> Literal[True]:
        return True

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that tell a client how it stands; none where the counter did not answer."""
        if self.remaining is None or self.reset_after is None:
            return {}
        return _standing(self.windows, self.window, self.remaining, self.reset_after)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimited:
    """
    The request is one too many; as a condition it is false.

    ``window`` is the limit that refused, ``retry_at`` when one more may pass, and ``retry_after`` the seconds until
    then, at least 1. ``answered`` is false where the counter did not answer and that refuses.
    """

    name: str
    windows: tuple[Window, ...]
    window: Window
    retry_at: datetime
    retry_after: int
    answered: bool = True

    def __bool__(self) -> Literal[False]:
        return False

    @property
    def status(self) -> int:
        """The status to answer with: 429, or 503 where nobody could count."""
        return TOO_MANY_REQUESTS if self.answered else SERVICE_UNAVAILABLE

    @property
    def headers(self) -> Mapping[str, str]:
        """``Retry-After``, and how the client stands."""
        waiting = {"Retry-After": str(self.retry_after)}
        return waiting | (
            _standing(self.windows, self.window, 0, self.retry_after) if self.answered else {}
        )

    @property
    def error(self) -> RateLimitedError:
        """The same as an error."""
        return RateLimitedError(
            self.name,
            allowed=self.window.allowed,
            seconds=self.window.seconds,
            retry_at=self.retry_at,
            answered=self.answered,
            status=self.status,
            headers=self.headers,
        )

    @property
    def answer(self) -> Answer:
        """What to send back."""
        return answer_to(self.error)


def answer_to(error: RateLimitedError) -> Answer:
    """What to send back to who raised *error*, for a framework's own way to handle errors."""
    told = {
        "code": error.code,
        "message": str(error),
        "retry_at": error.retry_at.isoformat(timespec="seconds"),
    }
    headers = {**error.headers, "Content-Type": "application/json"}
    return Answer(error.status, headers, json.dumps({"error": told}))


def windows_of(limits: Mapping[str | timedelta, int]) -> tuple[Window, ...]:
    """
    Limits as they were typed, by ``second``, ``minute``, ``hour``, ``day`` or a stretch of time; the shortest first.

    Raises:
        ConfigurationError: There are none, a limit is not positive, or a stretch of time is no whole seconds.
    """
    found: dict[int, int] = {}
    for per, allowed in limits.items():
        seconds = SECONDS.get(per, 0) if isinstance(per, str) else per // timedelta(seconds=1)
        if seconds < 1 or (isinstance(per, timedelta) and per % timedelta(seconds=1)):
            msg = f"a limit is by {', '.join(SECONDS)} or whole seconds as a timedelta, not by {per!r}"
            raise ConfigurationError(msg)
        if type(allowed) is not int or allowed < 1:
            msg = f"a limit lets at least one request pass, not {allowed!r}"
            raise ConfigurationError(msg)
        found[seconds] = min(allowed, found.get(seconds, allowed))
    if not found:
        msg = "say how many requests in which time, such as {'minute': 60}"
        raise ConfigurationError(msg)
    return tuple(Window(found[seconds], seconds) for seconds in sorted(found))


def by_address(ip: str) -> str:
    """
    What to count whoever comes from *ip* as: the address, and of IPv6 only the network.

    Behind a proxy, hand over the address that your own proxy tells, not what a client claims.

    Raises:
        InvalidArgumentError: It is no IP address.
    """
    return f"ip:{network(ip)}"


def refused(
    name: str, windows: Sequence[Window], window: Window, *, reset: float, now: float, answered: bool = True
) -> RateLimited:
    """A request that is refused until *reset*, both in seconds since 1970."""
    after = max(1, ceil(reset - now))
    return RateLimited(
        name=name,
        windows=tuple(windows),
        window=window,
        retry_at=datetime.fromtimestamp(max(reset, now), UTC),
        retry_after=after,
        answered=answered,
    )


def _standing(
    windows: Sequence[Window], window: Window, remaining: int, reset_after: int
) -> dict[str, str]:
    return {
        "RateLimit-Limit": str(window.allowed),
        "RateLimit-Remaining": str(remaining),
        "RateLimit-Reset": str(reset_after),
        "RateLimit-Policy": ", ".join(map(str, windows)),
    }
