# Generated from src/ptmeter/_async/webhooks.py by scripts/unasync.py: edit that file, then run `make format`.
"""Webhooks: taking events in, working them off, and what to do about those that failed."""

from __future__ import annotations

import json
import logging
from collections import Counter
from datetime import timedelta
from functools import partial
from random import random
from typing import TYPE_CHECKING, Any, Final

from ..asking import typed
from ..domain.inbox import EventState, Intake, Received, Worked, parking, state_named
from ..domain.messages import Backoff
from ..errors import (
    ConfigurationError,
    EventInvalidError,
    ForeignPaymentError,
    InvalidArgumentError,
    PtmeterError,
    SignatureInvalidError,
)
from ..operations import receiving
from ..operations.posting import alone
from ..stripe.endpoints import API_VERSION, verified
from ..stripe.events import read_event
from ..stripe.reading import last_of
from .lookups import Lookups

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from ..domain.inbox import Event, Inboxes, KeptEvent, Subject
    from ..operations.receiving import Task
    from ..stripe.endpoints import Endpoint, Stripe
    from .platform import Platform
    from .stripe_api import StripeApi

_log: Final = logging.getLogger("ptmeter.webhooks")

LOOK_UPS: Final = Backoff(attempts=8, first=timedelta(seconds=5), longest=timedelta(hours=6))
"""How often and how soon a subject is looked up again."""

_UNDELIVERED: Final = timedelta(days=30)
"""How far Stripe's list of events goes back (docs.stripe.com/api/events/list)."""


@typed
class Webhooks:
    """
    What Stripe says happened: ``meter.webhooks``.

    `receive` keeps an event and is done, in one short transaction; `work` looks up what the events that wait are
    about, and brings the books in line with what it finds. Whoever takes requests calls the first, and a worker the
    second (``ptmeter worker``). What Stripe did not get through to us, `catch_up` asks for.
    """

    def __init__(self, platform: Platform, api: StripeApi) -> None:
        self._platform = platform
        self._api = api
        self._lookups = Lookups(platform, api)

    @property
    def settings(self) -> Stripe:
        """How the platform is set up at Stripe."""
        return self._api.settings

    def receive(self, body: bytes | bytearray | memoryview, headers: Mapping[str, str]) -> Received:
        """
        Keep an event that has come in; answer 200 once this returns, whatever it returns.

        Answer 400 to a `StripeError`, and 503 to a `StorageError`: then Stripe sends it again. Nothing is kept of
        what has no good signature.

        Args:
            body: The bytes of the request, as they came: not parsed, and not written anew.
            headers: The headers of the request.

        Raises:
            SignatureInvalidError: Nobody can say that Stripe sent it.
            EventInvalidError: It is signed, and no event.
            StorageError: It could not be kept.
            ConfigurationError: The meter has no endpoint.
        """
        at = self._platform.pricing.now()
        found, signed = self._verified(body, headers, at)
        livemodes = frozenset(endpoint.livemode for endpoint in signed)
        return self._keep(found, livemodes, source="webhook", at=at)

    def work(
        self, *, limit: int = 100, backoff: Backoff | None = None, jitter: Callable[[], float] = random
    ) -> Worked:
        """
        Look up what is due, up to *limit* subjects; run it every second, from as many places as you like.

        No transaction is open while Stripe is asked. A subject is looked up by one at a time. What cannot be asked
        for now is tried again after a while; what cannot be understood, or was tried too often, is a dead letter; what says
        nothing of ptmeter is parked.

        Raises:
            InvalidArgumentError: *limit* is not positive, or the meter is inside a transaction of yours.
            ConfigurationError: The meter has no key for Stripe.
        """
        self._check(limit)
        backoff = backoff or LOOK_UPS
        ended: Counter[EventState] = Counter()
        while ended.total() < limit:  # one at a time, so that each has the whole of its lease
            tasks = self._platform.run(partial(receiving.take, backoff=backoff, limit=1))
            if not tasks:
                break
            ended[self._look_up(tasks[0], backoff, jitter)] += 1
        states = (EventState.APPLIED, EventState.WAITING, EventState.DEAD, EventState.PARKED)
        return Worked(*map(ended.__getitem__, states))

    def catch_up(
        self, *, since: timedelta = timedelta(days=3), undelivered: bool = True
    ) -> Counter[Intake]:
        """
        Ask Stripe for events of the last while and take them in as if they had been sent; run it every few minutes.

        Args:
            since: How far to go back; Stripe keeps events for 30 days.
            undelivered: Only what Stripe did not get through to an endpoint; else all, as a nightly sweep does.

        Raises:
            InvalidArgumentError: *since* is not more than nothing, or more than 30 days.
            StripeUnavailableError: Stripe did not answer; what came in before that is kept.
            StripeRefusedError: It will not list its events.
        """
        if not timedelta(0) < since <= _UNDELIVERED:
            msg = f"Stripe keeps events for {_UNDELIVERED.days} days, so it cannot be asked for {since}"
            raise InvalidArgumentError(msg)
        at = self._platform.pricing.now()
        begin = int((at - since).timestamp())
        params: dict[str, Any] = {"created": {"gte": begin}}
        if undelivered:
            params["delivery_success"] = False
        outcomes: Counter[Intake] = Counter()
        more: str | bool | None = True
        while more:
            page = self._api.get("events", limit=100, **params)
            known = self._known(page["data"])
            outcomes[Intake.DUPLICATE] += len(known)
            for document in page["data"]:
                if document["id"] not in known and (received := self._listed(document, at)):
                    outcomes[received.outcome] += 1
            params["starting_after"] = more = last_of(page)
        return +outcomes

    def list(
        self,
        *,
        state: EventState | str | None = None,
        kind: str = "",
        subject: Subject | None = None,
        limit: int = 100,
    ) -> tuple[KeptEvent, ...]:
        """
        Events, the latest first: of a state, of types that begin as *kind* does, about a subject.

        Raises:
            InvalidArgumentError: *limit* is not positive, or there is no such state.
        """
        wanted = None if state is None else state_named(state)
        find = partial(receiving.listed, state=wanted, kind=kind, subject=subject, limit=limit)
        return self._platform.read(find)

    def find(self, event: str) -> KeptEvent:
        """
        An event, with its body and what has become of it.

        Raises:
            EventNotFoundError: None of that id has come in.
        """
        return self._platform.read(partial(receiving.find, event=event))

    def backlog(self) -> Inboxes:
        """How many events there are of each state, and since when the oldest waits or is dead: what to watch."""
        return self._platform.read(receiving.standing)

    def retry(self, event: str) -> KeptEvent:
        """
        Have what an event is about looked up again, whatever has become of it: a replay does nothing twice.

        Raises:
            EventNotFoundError: None of that id has come in.
            InvalidArgumentError: It is about nothing that is looked up here.
        """
        return self._platform.run(partial(receiving.retry, event=event))

    def resolve(self, event: str, *, actor: str, reason: str) -> KeptEvent:
        """
        Note that a dead letter, or a parked event, was dealt with by hand.

        Raises:
            EventNotFoundError: None of that id has come in.
            ConflictError: It waits, or was applied.
            InvalidArgumentError: Nobody or nothing is named as actor or reason.
        """
        return self._platform.run(partial(receiving.resolve, event=event, actor=actor, reason=reason))

    def prune(self, *, older_than: timedelta) -> int:
        """
        Drop events that came in longer than that ago, and say how many; what waits or is a dead letter stays.

        It takes 500 at a time, so it may run beside everything else. The same again drops no more, so it needs no key.

        Raises:
            InvalidArgumentError: It is less than 32 days: Stripe lists events for 30, and `catch_up` would take them in
                again.
        """
        dropped = 0
        while more := self._platform.run(partial(receiving.prune, older_than=older_than)):
            dropped += more
        return dropped

    # --- taking in ---

    def _verified(
        self, body: bytes | bytearray | memoryview, headers: Mapping[str, str], at: datetime
    ) -> tuple[Event, Sequence[Endpoint]]:
        """The event, and the endpoints whose secrets it was signed with."""
        endpoints = self._api.settings.receiving
        if not endpoints:
            msg = "the meter has no webhook endpoint: open it with stripe=Stripe(endpoints=Endpoint(...))"
            raise ConfigurationError(msg)
        if not isinstance(body, bytes | bytearray | memoryview):  # pyright: ignore[reportUnnecessaryIsInstance]
            msg = f"a webhook is received as the bytes that came, not as {type(body).__name__}"
            raise InvalidArgumentError(msg)
        size, most = memoryview(body).nbytes, max(each.largest_body for each in endpoints)
        if size > most:
            msg = f"it has {size:,} bytes, and more than {most:,} are not hashed"
            raise SignatureInvalidError(msg)
        content = bytes(body)
        header = next(
            (value for name, value in headers.items() if name.lower() == "stripe-signature"), None
        )
        signed = verified(content, header, endpoints, at=at)
        return read_event(content), signed

    def _known(self, documents: Sequence[Mapping[str, Any]]) -> set[str]:
        """Which events of Stripe's list came in already; that they are listed is no further delivery."""
        names = [document["id"] for document in documents]
        return self._platform.read(partial(receiving.known, events=names))

    def _listed(self, document: Mapping[str, Any], at: datetime) -> Received | None:
        """An event out of Stripe's list, kept; one that cannot be read keeps none of the others away."""
        try:
            event = read_event(json.dumps(document).encode())
        except EventInvalidError as error:
            _log.error("event %s is in Stripe's list and cannot be read: %s", document.get("id"), error)
            return None
        return self._keep(event, self._api.settings.livemodes, source="sweep", at=at)

    def _keep(self, event: Event, livemodes: frozenset[bool], *, source: str, at: datetime) -> Received:
        parked = parking(event, livemodes=livemodes, newest=API_VERSION)
        work = partial(receiving.keep, event=event, parked=parked, source=source, at=at)
        received = self._platform.post(event.id, None, work)
        if received.problem and event.subject is not None:
            _log.warning("event %s (%s): %s", event.id, event.type, received.problem)
        return received

    # --- working off ---

    def _look_up(self, task: Task, backoff: Backoff, jitter: Callable[[], float]) -> EventState:
        subject = task.waiting.subject
        try:
            work = self._lookups.look_up(subject, task.at)
            apply = partial(alone, work=partial(receiving.apply, task=task, work=work))
            return self._platform.run(apply)
        except ForeignPaymentError as error:
            return self._platform.run(partial(receiving.park, task=task, problem=error.problem))
        except Exception as error:  # noqa: BLE001 - whatever it was, it must not keep the others from their turn
            problem = f"{type(error).__name__}: {error}"
            if _may_pass(error):
                _log.warning("%s could not be looked up, and will be again: %s", subject, problem)
                fail = partial(receiving.fail, task=task, problem=problem, backoff=backoff, jitter=jitter())
                return self._platform.run(fail)
            foreign = not isinstance(error, PtmeterError)  # where that came from, nobody has said yet
            _log.error("%s is a dead letter: %s", subject, problem, exc_info=foreign)
            return self._platform.run(partial(receiving.bury, task=task, problem=problem))

    def _check(self, limit: int) -> None:
        if self._platform.joined or limit < 1:
            msg = "work off webhooks outside of a transaction, at least one at a time"
            raise InvalidArgumentError(msg)
        self._api.check()


def _may_pass(error: Exception) -> bool:
    """Whether the same may go well later, by itself."""
    return isinstance(error, PtmeterError) and error.retryable
