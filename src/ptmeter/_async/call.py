"""One call to a model, from hold to receipt."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

from ..domain.usage import Usage
from ..errors import HoldNotPendingError, UsageError, UsageMissingError
from ..operations import metering
from ..pricing import assumed
from ..providers.usage import UsageStream, read_usage

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator
    from types import TracebackType

    from ..domain.estimates import Estimate
    from ..domain.rates import Workload
    from ..domain.receipts import Hold, Receipt
    from .platform import AsyncPlatform

Chunk = TypeVar("Chunk")


class AsyncCall:
    """
    One call to a model, from hold to receipt; made by `AsyncMeter.call`.

    ``estimate`` is known at once, ``hold`` inside the block, ``receipt`` after it.
    """

    def __init__(
        self,
        platform: AsyncPlatform,
        account: str,
        key: str,
        estimate: Estimate,
        workload: Workload,
        request: bytes,
    ) -> None:
        self._platform = platform
        self._key = key
        self._workload = workload
        self._request = request
        self._stream: UsageStream | None = None
        self._usage: Usage | None = None
        self._problem: UsageError | None = None
        self.account = account
        self.model = estimate.model
        self.estimate = estimate
        self.hold: Hold | None = None
        self.receipt: Receipt | None = None

    def record(self, response: object) -> None:
        """
        Take the usage from the provider's answer: an SDK object, its dictionary or JSON, or a `Usage`.

        If it cannot be taken the error leaves the block, and the call is charged for what was expected of
        it; record a `Usage` of your own to charge something else.

        Raises:
            UsageMissingError: The answer has no usage, which is not the same as zero.
            UsageInconsistentError: Its token counts do not add up.
        """
        try:
            self._usage = usage_of(response)
        except UsageError as problem:
            self._problem = problem
            raise

    async def stream(self, chunks: AsyncIterable[Chunk]) -> AsyncIterator[Chunk]:
        """
        Pass a streamed answer through, reading its usage on the way.

        Ask the provider for it (OpenAI: ``stream_options={"include_usage": True}``). A stream that ends
        without it is charged for the text that arrived, and the receipt says so.
        """
        stream = self._stream = UsageStream()
        async for chunk in chunks:
            stream.feed(chunk)
            yield chunk

    async def __aenter__(self) -> Self:
        begin = partial(
            metering.begin_call,
            account=self.account,
            estimate=self.estimate,
            key=self._key,
            ttl=self._platform.policy.hold_ttl,
            request=self._request,
            plans=self._platform.plans,
        )
        self.hold = await self._platform.post(self.account, self._key, begin)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        usage, problem = self._measured()
        if usage is not None:
            await self._settle(usage)
        elif error is not None:
            await self._void()
        else:
            msg = (
                f"nothing was recorded for call {self._key!r}: pass the answer to call.record() or "
                f"call.stream(); the hold stays until it expires, and can still be settled"
            )
            raise UsageMissingError(msg)
        if problem is not None and error is None:
            raise problem

    def _measured(self) -> tuple[Usage | None, UsageError | None]:
        """
        What is to be charged, and what was wrong with what the provider said.

        An answer whose usage is missing or does not add up was given all the same: what can be counted
        here is charged, marked as such, so that the call is neither free nor forgotten.
        """
        if self._usage is not None:
            return self._usage, None
        problem = self._problem
        text, known = "", None
        if self._stream is not None:
            try:
                return self._stream.reading().usage, None
            except UsageMissingError:
                text, known = self._stream.text, self._stream.input_usage
            except UsageError as inconsistent:
                text, problem = self._stream.text, inconsistent
        if text or known:
            counted = self._platform.pricing.count_broken_off(self.model, self.estimate, text, known)
            return counted, problem
        return (assumed(self.estimate) if problem else None), problem

    async def _settle(self, usage: Usage) -> None:
        assert self.hold is not None
        charge = self._platform.pricing.charge(self.model, usage, self._workload)
        finish = partial(
            metering.settle,
            held=self.hold,
            amounts={charge.unit: charge.amount.micro},
            key=self._key,
            overage=self._platform.policy.overage,
            charge=charge,
            usage=usage,
            card=self._platform.pricing.card,
            estimate=self.estimate,
        )
        self.receipt = await self._platform.post(self.account, self._key, finish)

    async def _void(self) -> None:
        assert self.hold is not None
        try:
            give_back = partial(metering.void, held=self.hold, key=self._key)
            self.receipt = await self._platform.post(self.account, self._key, give_back)
        except HoldNotPendingError:
            return  # it expired meanwhile: the PT are back already, and the block's own error goes on


def usage_of(response: object) -> Usage:
    """The usage in a provider's answer, or the one given."""
    return response if isinstance(response, Usage) else read_usage(response).usage
