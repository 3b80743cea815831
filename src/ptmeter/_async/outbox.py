"""What is to be told: ``meter.outbox``."""

from __future__ import annotations

import logging
from collections import Counter
from functools import partial
from random import random
from typing import TYPE_CHECKING, Final

from ..asking import typed
from ..domain.messages import Backoff, Delivered, MessageState, handlers_of, route
from ..errors import InvalidArgumentError
from ..operations import delivering

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from ..domain.messages import Message
    from ..operations.delivering import AsyncHandler
    from .platform import AsyncPlatform

_log: Final = logging.getLogger("ptmeter.outbox")


@typed
class AsyncOutbox:
    """What is to be told: ``meter.outbox``."""

    def __init__(self, platform: AsyncPlatform) -> None:
        self._platform = platform

    async def deliver(
        self,
        handler: AsyncHandler | Mapping[str, AsyncHandler],
        *,
        limit: int = 100,
        backoff: Backoff | None = None,
        jitter: Callable[[], float] = random,
    ) -> Delivered:
        """
        Hand messages that are due to *handler*, up to *limit*; run it every few seconds, from as many places as you like.

        No transaction is open while the handler has a message. It has taken the message when it returns; what it
        raises makes the message wait and be tried again, and in the end dead. A message is delivered at least
        once: a process may die before it has noted that it was. In no particular order.

        Args:
            handler: Takes one message. Or several by how their topics begin (``{"alert.": tell, "top_up.": charge}``):
                the longest that fits has it, and what fits none is left alone.
            limit: How many messages at most.
            backoff: How often and how soon what failed is tried again, and how long a handler may take.
            jitter: From 0 to 1: how much of half a pause is taken off, so that not all is tried at once.

        Raises:
            InvalidArgumentError: There is no handler, or the meter is inside a transaction of yours.
        """
        handlers = handlers_of(handler)
        self._check(handlers, limit)
        backoff = backoff or Backoff()
        ended: Counter[MessageState] = Counter()
        while (left := limit - ended.total()) > 0:
            take = partial(
                delivering.take,
                topics=list(handlers),
                backoff=backoff,
                limit=min(left, delivering.PORTION),
            )
            taken = await self._platform.run(take)
            ended[MessageState.DEAD] += taken.dead
            for message in taken.messages:
                handle = handlers[route(message.topic, handlers) or ""]
                ended[await self._hand_over(message, handle, backoff, jitter)] += 1
            if not taken.messages and not taken.dead:
                break
        counted = (
            ended[state] for state in (MessageState.DELIVERED, MessageState.PENDING, MessageState.DEAD)
        )
        return Delivered(*counted)

    async def list(
        self,
        *,
        state: MessageState | None = None,
        account: str | None = None,
        topic: str = "",
        limit: int = 100,
    ) -> tuple[Message, ...]:
        """
        Messages, the latest first: of a state, of an account, of topics that begin so.

        Raises:
            InvalidArgumentError: *limit* is not positive.
        """
        find = partial(delivering.listed, state=state, account=account, topic=topic, limit=limit)
        return await self._platform.read(find)

    async def retry(self, account: str, message: str) -> Message:
        """
        Have a message delivered again, with all its attempts before it: one that is dead, or waits, or was delivered.

        Raises:
            MessageNotFoundError: The account has none of that id.
        """
        return await self._platform.run(partial(delivering.retry, account=account, message=message))

    async def prune(self, *, older_than: timedelta) -> int:
        """
        Drop messages that were delivered longer than that ago, and say how many; what waits or is dead stays.

        It takes 500 at a time, so it may run beside everything else. The same again drops no more, so it needs no key.

        Raises:
            InvalidArgumentError: It is less than 32 days: while a message is there, the same is not told again, such as
                what a job that looks ahead finds every day.
        """
        dropped = 0
        while more := await self._platform.run(partial(delivering.prune, older_than=older_than)):
            dropped += more
        return dropped

    def _check(self, handlers: Mapping[str, AsyncHandler], limit: int) -> None:
        problem = None
        if self._platform.joined:
            problem = (
                "deliver messages outside of a transaction: with the meter, not with meter.joined(...)"
            )
        if not handlers or limit < 1:
            problem = "deliver needs a handler, and at least one message to give it"
        if problem:
            raise InvalidArgumentError(problem)

    async def _hand_over(
        self, message: Message, handle: AsyncHandler, backoff: Backoff, jitter: Callable[[], float]
    ) -> MessageState:
        try:
            await delivering.hand_over_async(handle, message)
        except Exception as error:  # noqa: BLE001 - whatever it was, the message is to be tried again
            problem = f"{type(error).__name__}: {error}"
            _log.warning("message %s of %r was not delivered: %s", message.id, message.account, problem)
            fail = partial(
                delivering.fail, message=message, problem=problem, backoff=backoff, jitter=jitter()
            )
            return await self._platform.run(fail)
        return await self._platform.run(partial(delivering.finish, message=message))
