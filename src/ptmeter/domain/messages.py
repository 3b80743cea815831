"""
Messages: what is to be told to the outside, kept until somebody has taken it.

A message is written in the transaction of what it tells of, and delivered afterwards: at least once, for whoever
takes it may be gone before that is noted. Its id is the same each time, so a receiver can tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from ..errors import ConfigurationError, InvalidArgumentError
from .alerts import Notice
from .arguments import check_fields
from .keys import digest
from .top_ups import TopUp

if TYPE_CHECKING:
    from datetime import datetime

Handler = TypeVar("Handler", bound=Callable[..., Any])

Facts: TypeAlias = "Notice | TopUp | Mapping[str, object]"
"""What a message says; of a topic that is not known here, the JSON object as it was written."""

TOP_UP: Final = "top_up.requested"
"""The topic of a top-up that is asked for."""


class MessageState(StrEnum):
    """What has become of a message."""

    PENDING = "pending"
    """It is to be delivered, now or later."""
    DELIVERED = "delivered"
    """A handler has taken it."""
    DEAD = "dead"
    """It was tried as often as it may be, or cannot be read: it waits for somebody to retry it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """
    Something to tell, and how far it has got.

    ``attempts`` counts those that were begun, with the one under way; ``problem`` is why the last one failed;
    ``due_at`` is when it is tried next.
    """

    id: str
    account: str
    topic: str
    facts: Facts
    noted_at: datetime
    due_at: datetime | None
    delivered_at: datetime | None = None
    attempts: int = 0
    problem: str = ""

    @property
    def state(self) -> MessageState:
        """What has become of it."""
        if self.delivered_at:
            return MessageState.DELIVERED
        return MessageState.PENDING if self.due_at else MessageState.DEAD


def message(facts: Notice | TopUp) -> Message:
    """The message that tells of *facts*, as it is written down at first."""
    match facts:
        case Notice():
            name, topic, at = facts.id.hex(), f"alert.{facts.alert}", facts.at
        case TopUp():
            name, topic, at = digest(("message", TOP_UP, facts.id)).hex(), TOP_UP, facts.requested_at
    return Message(id=name, account=facts.account, topic=topic, facts=facts, noted_at=at, due_at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """
    How often and how soon a message is tried again: after *first*, then twice as long each time, up to *longest*.

    Raises:
        ConfigurationError: There is no attempt, or a time is not positive.
    """

    attempts: int = 10
    """So many attempts in all; then the message is dead."""
    first: timedelta = timedelta(seconds=30)
    longest: timedelta = timedelta(hours=6)
    lease: timedelta = timedelta(minutes=5)
    """How long a message that was taken is nobody else's: longer than ten handlers take."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.attempts < 1 or min(self.first, self.longest, self.lease) <= timedelta(0):
            msg = "a message is tried at least once, and again after some time"
            raise ConfigurationError(msg)

    def next_attempt(self, attempts: int, at: datetime, jitter: float) -> datetime | None:
        """
        When to try again after so many attempts; ``None`` for never.

        *jitter* from 0 to 1 takes up to half of the pause away, so that what failed together is not tried together.
        """
        if attempts >= self.attempts:
            return None
        doublings = min(attempts - 1, 32)
        pause = min(self.first * 2**doublings, self.longest)
        return at + pause * (1 - jitter / 2)


@dataclass(frozen=True, slots=True)
class Delivered:
    """How many messages were delivered, failed and are to be tried again, and failed for good."""

    delivered: int = 0
    failed: int = 0
    dead: int = 0


def handlers_of(handler: Handler | Mapping[str, Handler]) -> Mapping[str, Handler]:
    """
    Who takes which messages, by how their topics begin; one that takes all does so of topics that begin anyhow.

    Raises:
        InvalidArgumentError: It is no handler, and no mapping of some.
    """
    handlers = {"": handler} if callable(handler) else handler
    good = isinstance(handlers, Mapping) and all(map(callable, handlers.values()))  # pyright: ignore[reportUnnecessaryIsInstance]
    if not good:
        msg = 'a handler is a function of one message, or a mapping of some by topic: {"payment.": tell}'
        raise InvalidArgumentError(msg)
    return handlers


def route(topic: str, prefixes: Mapping[str, object]) -> str | None:
    """The longest of *prefixes* that the topic begins with."""
    return max((each for each in prefixes if topic.startswith(each)), key=len, default=None)
