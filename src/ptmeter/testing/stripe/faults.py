"""Faults on purpose: errors, dropped connections, slowness and outages, for some requests or all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

DROP: Final = 0
"""The status of a fault that closes the connection without an answer."""

ERRORS: Final = {
    400: ("invalid_request_error", None, "Invalid request."),
    401: ("invalid_request_error", None, "Invalid API Key provided."),
    402: ("card_error", "card_declined", "Your card was declined."),
    409: ("invalid_request_error", "lock_timeout", "This object cannot be accessed right now."),
    429: ("invalid_request_error", "rate_limit", "Request rate limit exceeded."),
}


@dataclass(slots=True, kw_only=True)
class Fault:
    """
    What goes wrong with the requests it meets.

    Args:
        times: How many it meets; None for as long as it is there.
        status: The answer's HTTP status; `DROP` closes the connection instead.
        headers: The answer's further headers, such as ``Retry-After``.
        before: Whether the request is refused unexecuted; otherwise it is carried out, and only the answer is lost.
        method: Only requests with this method.
        prefix: Only paths that begin so.
        share: Only this share of those, by chance.
        latency: Seconds until the answer; with a *status* of None that is all.
        kept: Whether the answer is kept under the request's idempotency key and given again to every retry, as
            Stripe does with a 500 once it has begun to execute.
    """

    times: int | None = 1
    status: int | None = 500
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    before: bool = True
    method: str | None = None
    prefix: str = "/"
    share: float = 1.0
    latency: float = 0.0
    kept: bool = False
    met: int = 0
    """How many it has met."""

    def meets(self, method: str, path: str, random: Random) -> bool:
        """Whether it strikes this request; if so, it is counted."""
        if self.times is not None and self.met >= self.times:
            return False
        if self.method not in {None, method} or not path.startswith(self.prefix):
            return False
        if self.share < 1.0 and random.random() >= self.share:
            return False
        self.met += 1
        return True

    def error(self) -> dict[str, object]:
        """Return the body of its answer."""
        status = self.status or 500
        kind, code, message = ERRORS.get(status, ("api_error", None, "An unknown error occurred."))
        return {"error": {"type": kind, "message": message} | ({"code": code} if code else {})}


class Faults:
    """The faults that are set up, struck in the order in which they were."""

    def __init__(self, seed: int) -> None:
        self._lock = Lock()
        self._random = Random(seed)  # noqa: S311 - reproducible on purpose
        self._set: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Set one up."""
        with self._lock:
            self._set.append(fault)
        return fault

    def clear(self) -> None:
        """Take all of them away."""
        with self._lock:
            self._set.clear()

    def of(self, method: str, path: str) -> Fault | None:
        """Return what strikes a request, if anything does."""
        with self._lock:
            return next((fault for fault in self._set if fault.meets(method, path, self._random)), None)
