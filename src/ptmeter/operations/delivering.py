"""
Delivering messages: take some, hand them over, note how that ended; each step a short transaction of its own.

The handing over lies between two transactions and in none. Whoever dies there has taken messages that nobody notes
anything of: they are due again when the lease ends, so they are delivered at least once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from inspect import isawaitable, iscoroutine
from typing import TYPE_CHECKING, Final

from ..domain.instants import long_before
from ..domain.keys import is_id
from ..domain.messages import MessageState
from ..errors import InvalidArgumentError, MessageNotFoundError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from typing_extensions import TypeAliasType

    from ..domain.messages import Backoff, Message
    from ..ports import Books

    Handler = TypeAliasType("Handler", Callable[[Message], object])
    AsyncHandler = TypeAliasType("AsyncHandler", Callable[[Message], Awaitable[object]])

PORTION: Final = 10
"""So many messages are taken at once: what a process that dies keeps from others for a while."""

DROPPED: Final = 500
"""So many messages are dropped in one transaction."""

KEPT: Final = timedelta(days=32)
"""How long a message stays at least once it was delivered: a month, whenever it begins."""

_LONGEST_PROBLEM: Final = 500
_LOST: Final = "every process that took it died, or took longer than the lease"


def hand_over(handle: Handler, message: Message) -> None:
    """
    Have a handler take *message*.

    Raises:
        InvalidArgumentError: It is asynchronous, and nobody here would wait for it: nothing of it has run.
    """
    taken = handle(message)
    if isawaitable(taken):
        if iscoroutine(taken):
            taken.close()
        msg = f"{handle!r} is asynchronous: deliver with AsyncMeter, or hand a plain function to Meter"
        raise InvalidArgumentError(msg)


async def hand_over_async(handle: AsyncHandler, message: Message) -> None:
    """Have a handler take *message*; one that turns out to be a plain function has done so when it returns."""
    taken: object = handle(message)
    if isawaitable(taken):
        await taken


@dataclass(frozen=True, slots=True)
class Taken:
    """Messages to hand over, and how many were found that never can be."""

    messages: Sequence[Message]
    dead: int


def take(books: Books, *, topics: Sequence[str], backoff: Backoff, limit: int) -> Taken:
    """Take up to *limit* messages that are due, of topics that begin so, for as long as the lease."""
    at = books.ledger.now()
    leased = books.outbox.lease(topics, at=at, until=at + backoff.lease, limit=limit)
    read = [found for found in leased if not isinstance(found, str)]
    fit = [found for found in read if found.attempts <= backoff.attempts]
    for worn in (found for found in read if found.attempts > backoff.attempts):
        books.outbox.save(replace(worn, due_at=None, problem=worn.problem or _LOST))
    return Taken(fit, dead=len(leased) - len(fit))


def finish(books: Books, message: Message) -> MessageState:
    """Note that a message was taken by its handler."""
    done = replace(message, due_at=None, delivered_at=books.ledger.now(), problem="")
    books.outbox.save(done, leased=message.attempts)
    return MessageState.DELIVERED


def fail(books: Books, message: Message, *, problem: str, backoff: Backoff, jitter: float) -> MessageState:
    """Note that a handler failed: it is tried again after a while, or dead."""
    due_at = backoff.next_attempt(message.attempts, books.ledger.now(), jitter)
    failed = replace(message, due_at=due_at, problem=problem[:_LONGEST_PROBLEM])
    books.outbox.save(failed, leased=message.attempts)
    return failed.state


def retry(books: Books, account: str, message: str) -> Message:
    """
    Have a message delivered again, with all its attempts before it, whatever has become of it.

    Raises:
        MessageNotFoundError: The account has none of that id.
    """
    found = books.outbox.find(account, message) if is_id(message) else None
    if found is None:
        raise MessageNotFoundError(account, message)
    again = replace(found, due_at=books.ledger.now(), delivered_at=None, attempts=0)
    books.outbox.save(again)
    return again


def prune(books: Books, *, older_than: timedelta, limit: int = DROPPED) -> int:
    """
    Drop up to *limit* messages that were delivered longer than that ago; returns how many.

    Raises:
        InvalidArgumentError: It is less than a month: a message that is there keeps the same from being told again.
    """
    if older_than < KEPT:
        msg = f"keep what was delivered for at least {KEPT.days} days, so that nothing is told twice in a month"
        raise InvalidArgumentError(msg)
    return books.outbox.forget(long_before(books.ledger.now(), older_than), limit=limit)


def listed(
    books: Books, *, state: MessageState | None, account: str | None, topic: str, limit: int
) -> tuple[Message, ...]:
    """
    Messages, the latest first.

    Raises:
        InvalidArgumentError: *limit* is not positive.
    """
    if limit < 1:
        msg = f"ask for at least one message, not {limit}"
        raise InvalidArgumentError(msg)
    return tuple(books.outbox.listed(state=state, account=account, topic=topic, limit=limit))
