# Generated from src/ptmeter/_async/stripe_api.py by scripts/unasync.py: edit that file, then run `make format`.
"""Asking Stripe: one request after the other, tried again where that helps, answered with plain JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from ..errors import StripeUnavailableError
from ..stripe import schedules
from ..stripe.client import answer, connect, place, translated, wait
from ..stripe.reading import last_of
from ..stripe.subjects import identifier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..stripe.client import Connection
    from ..stripe.endpoints import Stripe


class StripeApi:
    """
    Stripe's API, by the SDK's client, without its objects.

    What is written carries an idempotency key of ours, so that what is tried again, now or after a crash, is done
    once. A request is tried again after a lost connection, 409, 429 and 5xx, unless Stripe says not to; after as
    long as it asks for (``Retry-After``), which the SDK would not do.
    """

    def __init__(self, stripe: Stripe) -> None:
        self.settings = stripe
        self._connections: dict[object, Connection] = {}

    def check(self) -> None:
        """
        Make sure that Stripe can be asked at all, before anything is taken up that needs it.

        Raises:
            ConfigurationError: The meter has no key for Stripe, or there is nothing to send requests with.
        """
        self._connect()

    def get(self, path: str, **params: Any) -> Mapping[str, Any]:
        """
        Read something, below ``/v1/`` unless *path* begins with a slash.

        Raises:
            StripeUnavailableError: Stripe did not answer, or asks to try later.
            StripeRefusedError: It will not answer that.
            ConfigurationError: The meter has no key for Stripe.
        """
        return self._send("get", path, params, {})

    def post(self, path: str, *, key: str, **params: Any) -> Mapping[str, Any]:
        """
        Write something, once for that *key*; raises what `get` raises.

        Stripe remembers a key for a day; who tries again later has to look first.
        """
        return self._send("post", path, params, {"idempotency_key": key})

    def delete(self, path: str, **params: Any) -> Mapping[str, Any]:
        """Delete something; raises what `get` raises."""
        return self._send("delete", path, params, {})

    def every(self, path: str, **params: Any) -> list[Mapping[str, Any]]:
        """All of a list, page after page; raises what `get` raises."""
        found: list[Mapping[str, Any]] = []
        more: str | bool | None = True
        while more:
            page = self.get(path, **{"limit": 100, **params})
            found += page["data"]
            params["starting_after"] = more = last_of(page)
        return found

    def with_schedule(self, subscription: Mapping[str, Any]) -> Mapping[str, Any]:
        """A subscription with the schedule that manages it whole, if one does; raises what `get` raises."""
        name = identifier(subscription.get("schedule"))
        if not name:
            return subscription
        request = schedules.find(name)
        return {**subscription, "schedule": self.get(request.path, **request.params)}

    def _send(
        self, method: str, path: str, params: dict[str, Any], options: dict[str, Any]
    ) -> Mapping[str, Any]:
        client = self._connect().client
        retrying = Retrying(
            retry=retry_if_exception_type(StripeUnavailableError),
            wait=wait,
            stop=stop_after_attempt(self.settings.attempts),
            reraise=True,
        )

        def once() -> Mapping[str, Any]:
            with translated():
                given = client.raw_request(method, urljoin("/v1/", path), **params, **options)
                return answer(given.body)

        return retrying(once)

    def _connect(self) -> Connection:
        """The connection of this event loop; a loop that is over has left its own to nobody."""
        here = place()
        if here not in self._connections:
            self._connections[here] = connect(self.settings)
        return self._connections[here]

    def close(self) -> None:
        """Close the connections of this event loop."""
        if connection := self._connections.pop(place(), None):
            connection.http.close()
