"""`FakeStripe`: a Stripe on the loopback interface, with what a test does in a customer's or a bank's place."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from random import Random
from threading import Thread
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from .answering import Api
from .api import EXPANSIONS, VIEWS, routes
from .delivery import Delivery, Post, signature
from .faults import Fault, Faults
from .objects import checkout, disputes, listening, payment_methods, payouts, refunds, setup_intents
from .passage import catch_up, settle, settle_at_once
from .server import Server
from .settings import Settings
from .world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    import stripe

    from .values import Obj

T = TypeVar("T")


class Webhook(NamedTuple):
    """What a receiver is sent: a body, and the header that proves it."""

    body: bytes
    signature: str


class FakeStripe:
    """
    A stateful Stripe for tests: a context manager, or `start` and `stop`.

    Args:
        clock: The time of all that is on no test clock; signatures are stamped with it too.
        settings: How the account is set up: fees, tax, retries.
        seed: Of the ids, of shares of faults and of shuffled deliveries.
        background: Whether webhooks are sent by a thread as they come; otherwise by `deliver`.
        port: Where to listen; 0 for any that is free.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] | None = None,
        settings: Settings | None = None,
        seed: int = 0,
        background: bool = True,
        port: int = 0,
    ) -> None:
        self._world = World(
            settings or Settings(),
            clock or _wall,
            views=VIEWS,
            expansions=EXPANSIONS,
            seed=seed,
        )
        self._random = Random(seed)  # noqa: S311 - reproducible on purpose
        self._post = Post(self._world)
        self._world.announce = self._post.announce
        self._faults = Faults(seed)
        self._api = Api(self._world, routes(self._post.taken), self._faults)
        self._background = background
        self._port = port
        self._server: Server | None = None
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Listen, and begin to send webhooks."""
        self._server = Server(self._api, self._port)
        self._world.pages = self.url
        self._thread = Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        if self._background:
            self._post.start()
        return self

    def stop(self) -> None:
        """Stop listening and sending; the objects stay, for a look."""
        self._post.stop()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = self._thread = None

    @property
    def url(self) -> str:
        """Where it listens."""
        if self._server is None:
            raise RuntimeError("the fake is not running: use it as a context manager, or call start()")
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def client(self, key: str = "sk_test_fake", **options: Any) -> stripe.StripeClient:
        """Return a client of stripe-python that talks to this; *options* are its own."""
        from stripe import StripeClient

        return StripeClient(key, base_addresses={"api": self.url, "meter_events": self.url}, **options)

    # --- what happened ---

    @property
    def requests(self) -> list[tuple[str, str, Obj]]:
        """The requests so far: method, path and parameters."""
        return list(self._api.requests)

    def events(self, *kinds: str) -> list[Obj]:
        """Return the events so far, oldest first, or those of these types."""
        with self._world.lock:
            return [
                self._world.shown(row)
                for row in self._world.every("event")
                if not kinds or row["type"] in kinds
            ]

    def objects(self, kind: str, **where: Any) -> list[Obj]:
        """Return what there is of a kind such as ``"charge"``, oldest first, with these fields."""
        with self._world.lock:
            return [self._world.shown(row) for row in self._world.every(kind, **where)]

    # --- webhooks ---

    def listen(
        self,
        url: str,
        *,
        secret: str = "whsec_fake",
        events: Sequence[str] = ("*",),
        api_version: str | None = None,
        thin: bool = False,
    ) -> Obj:
        """Have events sent to *url*, as fat or as *thin* ones; returns the endpoint."""
        params: Obj = {"url": url, "enabled_events": list(events), "api_version": api_version}
        with self._world.lock:
            return self._world.shown(listening.listen(self._world, params, secret, thin=thin))

    def deliver(self, *, times: int = 1, shuffled: bool = False) -> list[Delivery]:
        """Send all webhooks that are open, due or not, each *times* over, in order unless *shuffled*."""
        return self._post.flush(times=times, shuffled=self._random if shuffled else None)

    def resend(self, event: str) -> None:
        """Send an event once more, as a duplicate."""
        with self._world.lock:
            self._post.announce(self._world.get("event", event))

    def fat(self, event: str, *, secret: str = "whsec_fake") -> Webhook:
        """Return an event as it is sent, signed."""
        return self._signed(event, secret, self._world.shown)

    def thin(self, event: str, *, secret: str = "whsec_fake") -> Webhook:
        """Return an event as a thin one, signed."""
        return self._signed(event, secret, listening.thin)

    def _signed(self, event: str, secret: str, shape: Callable[[Obj], Obj]) -> Webhook:
        with self._world.lock:
            body = json.dumps(shape(self._world.get("event", event)), indent=2).encode()
            return Webhook(body, signature(body, secret, self._world.now()))

    # --- what goes wrong ---

    def fail(
        self,
        *,
        times: int | None = 1,
        status: int | None = 500,
        headers: Mapping[str, str] | None = None,
        before: bool = True,
        method: str | None = None,
        prefix: str = "/",
        share: float = 1.0,
        latency: float = 0.0,
        kept: bool = False,
    ) -> Fault:
        """Let requests fail as a `Fault` with these arguments says; without any: the next one, with a 500."""
        fault = Fault(
            times=times,
            status=status,
            headers=headers or {},
            before=before,
            method=method,
            prefix=prefix,
            share=share,
            latency=latency,
            kept=kept,
        )
        return self._faults.add(fault)

    def outage(self) -> Fault:
        """Answer nothing but 503 until `recover`."""
        return self.fail(times=None, status=503)

    def recover(self) -> None:
        """Take all faults away."""
        self._faults.clear()

    # --- what customers and banks do ---

    def complete_checkout(
        self,
        session: str,
        payment_method: str = "pm_card_visa",
        *,
        email: str | None = None,
        name: str | None = None,
        address: Mapping[str, str] | None = None,
    ) -> Obj:
        """
        Pay a Checkout session as the customer would.

        Raises:
            RefusedError: The session is not open, or the payment was declined: then it stays open.
        """
        details: Obj = {"email": email, "name": name, "address": address}
        return self._act(
            lambda world: checkout.complete(
                world,
                world.get("checkout.session", session),
                payment_methods.named(world, payment_method),
                details,
            )
        )

    def expire_checkout(self, session: str) -> Obj:
        """Let a Checkout session run out of time."""
        return self._act(lambda world: checkout.expired(world, world.get("checkout.session", session)))

    def settle(self, payment_intent: str, *, paid: bool = True) -> Obj:
        """Let the bank answer for a payment that is processing, or the customer for one that asks for action."""

        def settled(world: World) -> Obj:
            intent = world.get("payment_intent", payment_intent)
            settle(world, intent, paid=paid)
            return intent

        return self._act(settled)

    def authenticate(self, intent: str, *, passed: bool = True) -> Obj:
        """Let the customer pass, or fail, the authentication that a payment or setup intent asks for."""
        if intent.startswith("seti_"):
            return self._act(lambda world: setup_intents.succeed(world, world.get("setup_intent", intent)))
        return self.settle(intent, paid=passed)

    def refund(self, charge: str, amount: int | None = None) -> Obj:
        """Refund a charge as from the dashboard."""
        return self._act(lambda world: refunds.refund(world, world.get("charge", charge), amount))

    def finish_refund(self, refund: str, *, succeeded: bool = True) -> Obj:
        """Let a refund arrive, or fail after all."""
        return self._act(
            lambda world: (refunds.succeed if succeeded else refunds.fail)(
                world, world.get("refund", refund)
            ),
            refund,
        )

    def dispute(
        self, charge: str, *, amount: int | None = None, reason: str = "fraudulent", inquiry: bool = False
    ) -> Obj:
        """Contest a charge as its card holder: as an *inquiry*, or with the money withdrawn at once."""
        return self._act(
            lambda world: disputes.dispute(
                world, world.get("charge", charge), amount=amount, reason=reason, inquiry=inquiry
            )
        )

    def escalate_dispute(self, dispute: str) -> Obj:
        """Let an inquiry become a chargeback."""
        return self._act(lambda world: disputes.escalate(world, world.get("dispute", dispute)), dispute)

    def close_dispute(self, dispute: str, status: str, *, reinstated: int | None = None) -> Obj:
        """Close a dispute as ``won``, ``lost`` or ``warning_closed``; *reinstated* is what comes back."""
        return self._act(
            lambda world: disputes.close(
                world, world.get("dispute", dispute), status, reinstated=reinstated
            ),
            dispute,
        )

    def pay_out(self, currency: str = "usd") -> Obj:
        """Pay out what is available, as Stripe does it daily: its rows can be listed by ``payout``."""
        return self._act(lambda world: payouts.automatic(world, currency))

    def finish_payout(self, payout: str, *, paid: bool = True) -> Obj:
        """Let a payout arrive, or fail, which may be after it had arrived."""
        return self._act(
            lambda world: (payouts.arrive if paid else payouts.fail)(world, world.get("payout", payout))
        )

    def catch_up(self) -> None:
        """Let happen what is due by now: bank answers, renewals, retries, sessions that expire."""
        with self._world.lock:
            catch_up(self._world)

    def _act(self, act: Callable[[World], Obj | None], identity: str | None = None) -> Obj:
        with self._world.lock:
            done = act(self._world)
            settle_at_once(self._world)
            return self._world.shown(done if done is not None else self._world.find(identity or "") or {})


def _wall() -> datetime:
    return datetime.now(UTC)
