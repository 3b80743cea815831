"""Webhooks: who listens to what, and events on their way, signed, tried again until they are taken."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from threading import Condition, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from .objects.listening import thin

if TYPE_CHECKING:
    from random import Random

    from .values import Obj
    from .world import World

State = Literal["pending", "delivered", "failed"]


def signature(body: bytes, secret: str, at: int) -> str:
    """Return the ``Stripe-Signature`` of a *body* that is sent *at* this time, in Unix seconds."""
    digest = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


@dataclass(slots=True)
class Delivery:
    """One event on its way to one endpoint."""

    event: Obj
    endpoint: Obj
    due: float
    attempts: int = 0
    state: State = "pending"
    status: int | None = None
    """What the endpoint answered last; None if nothing came."""


class Post:
    """
    The deliveries of one world, sent by a thread of its own, or by `flush` in the caller's.

    Whether all endpoints took an event is what ``delivery_success`` of the list of events goes by.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._changed = Condition()
        self._open: list[Delivery] = []
        self._states: dict[str, list[Delivery]] = {}
        self._thread: Thread | None = None
        self._stopped = False
        self._sending = 0

    def announce(self, event: Obj) -> None:
        """Have *event* delivered to every endpoint that listens to its type."""
        delivered = [
            Delivery(event, endpoint, monotonic())
            for endpoint in self._world.every("webhook_endpoint", status="enabled")
            if listens(endpoint, event["type"])
        ]
        event["pending_webhooks"] = len(delivered)
        self._hand_in(delivered)

    def resend(self, event: Obj) -> None:
        """Deliver *event* once more to every endpoint that listens, as a duplicate."""
        self.announce(event)

    def taken(self, event: Obj) -> bool:
        """Whether every endpoint has taken *event*; so it is if there was none."""
        with self._changed:
            return all(delivery.state == "delivered" for delivery in self._states.get(event["id"], ()))

    def of(self, event: Obj) -> tuple[Delivery, ...]:
        """Return the deliveries of *event*."""
        with self._changed:
            return tuple(self._states.get(event["id"], ()))

    def start(self) -> None:
        """Begin to send in the background."""
        self._stopped = False
        self._thread = Thread(target=self._run, name="fake-stripe-webhooks", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop sending; what is on its way is waited for."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def flush(self, *, times: int = 1, shuffled: Random | None = None) -> list[Delivery]:
        """Send all that is open now, due or not, each *times* over; in the order of events unless *shuffled*."""
        with self._changed:
            taken, self._open = self._open, []
            self._changed.wait_for(lambda: not self._sending, timeout=self._world.settings.delivery_timeout)
        sent = [delivery for delivery in taken for _ in range(times)]
        if shuffled is not None:
            shuffled.shuffle(sent)
        for delivery in sent:
            self._send(delivery)
        return taken

    def _hand_in(self, deliveries: list[Delivery]) -> None:
        with self._changed:
            for delivery in deliveries:
                self._states.setdefault(delivery.event["id"], []).append(delivery)
            self._open += deliveries
            self._changed.notify_all()

    def _run(self) -> None:
        while (delivery := self._next()) is not None:
            self._send(delivery)
            with self._changed:
                self._sending -= 1
                self._changed.notify_all()

    def _next(self) -> Delivery | None:
        with self._changed:
            while not self._stopped:
                due = min(self._open, key=lambda delivery: delivery.due, default=None)
                if due is not None and due.due <= monotonic():
                    self._open.remove(due)
                    self._sending += 1
                    return due
                self._changed.wait(None if due is None else due.due - monotonic())
            return None

    def _send(self, delivery: Delivery) -> None:
        world = self._world
        with world.lock:
            body, at = self._body(delivery), world.now()
        delivery.attempts += 1
        delivery.status = post(
            delivery.endpoint["url"],
            body,
            signature(body, delivery.endpoint["_secret"], at),
            timeout=world.settings.delivery_timeout,
        )
        self._note(delivery)

    def _note(self, delivery: Delivery) -> None:
        delays = self._world.settings.delivery_delays
        taken = delivery.status is not None and delivery.status // 100 == 2
        with self._world.lock, self._changed:
            if taken:
                if delivery.state != "delivered":
                    delivery.event["pending_webhooks"] -= 1
                delivery.state = "delivered"
            elif delivery.state == "pending" and delivery not in self._open:
                if delivery.attempts > len(delays):
                    delivery.state = "failed"
                else:
                    delivery.due = monotonic() + delays[delivery.attempts - 1]
                    self._open.append(delivery)
                    self._changed.notify_all()

    def _body(self, delivery: Delivery) -> bytes:
        if delivery.endpoint["_thin"]:
            return json.dumps(thin(delivery.event), indent=2).encode()
        event = self._world.shown(delivery.event)
        event["api_version"] = delivery.endpoint["api_version"] or event["api_version"]
        return json.dumps(event, indent=2).encode()


def listens(endpoint: Obj, kind: str) -> bool:
    """Whether *endpoint* wants events of this type; there are some that only thin ones tell of."""
    wanted, only_thin = endpoint["enabled_events"], kind.startswith("v1.")
    if only_thin and not endpoint["_thin"]:
        return False
    name = kind if only_thin or not endpoint["_thin"] else f"v1.{kind}"
    return "*" in wanted or name in wanted


def post(url: str, body: bytes, signed: str, *, timeout: float) -> int | None:
    """Send a webhook; returns the answer's status, None if none came."""
    parts = urlsplit(url)
    kind: Any = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Stripe-Signature": signed,
        "User-Agent": "Stripe/1.0 (ptmeter's fake)",
    }
    connection = kind(parts.hostname, parts.port, timeout=timeout)
    try:
        connection.request(
            "POST", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), body, headers
        )
        return int(connection.getresponse().status)
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
