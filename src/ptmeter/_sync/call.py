# Generated from src/ptmeter/_async/call.py by scripts/unasync.py: edit that file, then run `make format`.
"""One call to a model, from hold to receipt."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Self, TypeVar

from ..asking import typed
from ..domain.usage import Usage
from ..draining import drain, stop
from ..errors import (
    HoldNotPendingError,
    RefusedError,
    UsageError,
    UsageInconsistentError,
    UsageMissingError,
)
from ..operations import holding, metering
from ..pricing import assumed
from ..providers.readings import Reading, unread
from ..providers.usage import UsageStream, read_usage
from .extension import Extension
from .quarantine import rated, set_aside

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType

    from ..domain.estimates import Estimate
    from ..domain.rates import Workload
    from ..domain.receipts import Hold, Receipt
    from ..providers.usage import Shape
    from .platform import Platform

Chunk = TypeVar("Chunk")


@typed
class Call:
    """
    One call to a model, from hold to receipt; made by `Meter.call`.

    ``estimate`` is known at once, ``hold`` inside the block, ``receipt`` after it. ``problem`` is what was
    wrong with the usage the provider reported, if anything was.
    """

    def __init__(
        self,
        platform: Platform,
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
        self._chunks: Iterator[object] | None = None
        self._extension: Extension | None = None
        self._reading: Reading | None = None
        self.account = account
        self.model = estimate.model
        self.estimate = estimate
        self.hold: Hold | None = None
        self.receipt: Receipt | None = None
        self.problem: UsageError | None = None

    def record(self, response: object, *, shape: Shape | str | None = None) -> None:
        """
        Take the usage from the provider's answer: an SDK object, its dictionary or JSON, or a `Usage`.

        *shape* names the wire shape of the answer, if its keys should not be asked. If no usage can be
        taken the error leaves the block; record a `Usage` of your own to charge what you take to be right.
        The call is charged at the price of the service tier that the answer says it was served with, else at
        that of the workload.

        Raises:
            UsageMissingError: The answer has no usage, which is not the same as zero: the call is charged
                for what was expected of it.
            UsageInconsistentError: Its token counts do not add up: nothing is charged, the hold stays, and the
                call waits for a person; see `Quarantine`.
        """
        try:
            self._reading, self.problem = reading_of(response, shape), None
        except UsageMissingError as missing:
            self.problem = UsageMissingError(
                f"{missing}; unless you record a Usage, the call is charged for what was expected of it"
            )
            raise self.problem from None
        except UsageError as problem:
            self.problem = problem
            raise

    def stream(self, chunks: Iterable[Chunk], *, shape: Shape | str | None = None) -> Iterator[Chunk]:
        """
        Pass a streamed answer through, reading its usage on the way.

        Ask the provider for it (OpenAI: ``stream_options={"include_usage": True}``). If the block is left
        before the stream has ended, it is read on for a while (``Policy.drain_for``). A stream without
        usage is charged for the text that arrived, and the receipt says so.

        When the text outruns the hold, more is held; ``Policy.out_of_funds`` says what happens when nothing is
        left, or when a cap allows no more.

        Raises:
            InsufficientFundsError: Nothing is left to hold more, and the policy cuts the answer off.
            LimitError: A cap allows no more, and the policy cuts the answer off.
        """
        stream = self._stream = UsageStream(shape)
        rest = self._chunks = iter(chunks)
        extension = self._extension = self._extensible()
        for chunk in rest:
            stream.feed(chunk)
            try:
                extension.keep_up(stream)
            except RefusedError:
                self._chunks = None  # nothing more is wanted of it
                stop(chunks)
                raise
            yield chunk

    def _extensible(self) -> Extension:
        assert self.hold is not None
        unit = self.estimate.unit
        held = self.hold.amounts[unit].micro // self.hold.multiples.get(unit, 1)
        reach = self._platform.pricing.reach(self.estimate, self._workload, held)
        return Extension(self._platform, self.hold, unit, reach)

    @property
    def _more(self) -> Sequence[Hold]:
        """What was held while the answer was written."""
        return self._extension.holds if self._extension else ()

    def __enter__(self) -> Self:
        begin = partial(
            holding.begin_call,
            account=self.account,
            estimate=self.estimate,
            key=self._key,
            ttl=self._platform.policy.hold_ttl,
            request=self._request,
            rules=self._platform.rules,
        )
        self.hold = self._platform.post(self.account, self._key, begin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        rest, stream = self._chunks, self._stream
        wanted = self._reading is None and not isinstance(error, KeyboardInterrupt | SystemExit)
        if rest is None or stream is None or stream.usage_seen or not wanted:
            self._end(error)
        else:
            self._platform.endings.see_through(self._read_on_and_end(rest, stream, error))

    def _read_on_and_end(
        self, rest: Iterator[object], stream: UsageStream, error: BaseException | None
    ) -> None:
        policy = self._platform.policy
        seconds = policy.drain_for.total_seconds()
        drain(rest, stream, seconds=seconds, most=policy.drain_chunks)
        self._end(error)

    def _end(self, error: BaseException | None) -> None:
        reading = self._measured()
        if isinstance(self.problem, UsageInconsistentError) and reading is None:
            self._set_aside(self.problem)
        elif reading is not None:
            self._settle(reading)
        elif error is not None:
            self._void()
        else:
            msg = f"{self._nothing}; the hold stays until it expires, and can still be settled"
            raise UsageMissingError(msg)
        self._raise_problem(error)

    @property
    def _nothing(self) -> str:
        """What to do about a call of which there is nothing to charge."""
        if self._stream is None:
            way = "pass the answer to call.record() or call.stream()"
            return f"nothing was recorded for call {self._key!r}: {way}"
        return (
            f"the stream of call {self._key!r} brought no usage and no text: its chunks are what the provider "
            f"streams, as the SDK's objects, as dictionaries or JSON, or as text or bytes off the wire; "
            f"a whole answer goes to call.record()"
        )

    def _measured(self) -> Reading | None:
        """
        What is to be charged, if it is known, and in ``problem`` what was wrong with what the provider said.

        An answer whose usage is missing was given all the same: what can be counted here is charged, marked
        as such, so that the call is neither free nor forgotten. Counts that contradict each other are
        charged to nobody: which of them is right takes somebody who looks at them.
        """
        if self._reading is not None:
            return self._reading
        text, sound, known, tier = "", 0, None, None
        if self._stream is not None:
            tier = self._stream.service_tier
            try:
                return self._stream.reading()
            except UsageMissingError:
                text, sound = self._stream.text, self._stream.sound
                known = self._known_input(self._stream)
            except UsageInconsistentError as inconsistent:
                self.problem = inconsistent
        if isinstance(self.problem, UsageInconsistentError):
            return None
        if text or sound or known:
            pricing = self._platform.pricing
            counted = pricing.count_broken_off(self.model, self.estimate, text, known, sound=sound)
            return unread(counted, tier)
        return unread(assumed(self.estimate), tier) if self.problem else None

    def _known_input(self, stream: UsageStream) -> Usage | None:
        """The input the provider has told; one that contradicts itself is no better than none."""
        try:
            return stream.input_usage
        except UsageInconsistentError as inconsistent:
            self.problem = inconsistent
            return None

    def _set_aside(self, problem: UsageInconsistentError) -> None:
        set_aside(
            self._platform,
            self.account,
            key=self._key,
            model=self.model,
            problem=problem,
            workload=self._workload,
            payload=problem.payload,
            hold=self.hold,
            more=self._more,
            route=self.estimate.route,
        )

    def _raise_problem(self, error: BaseException | None) -> None:
        """Raise what was wrong, or leave word of it on the error that leaves the block anyway."""
        if self.problem is None or self.problem is error:
            return
        if error is None:
            raise self.problem
        if self.receipt is None:
            error.add_note("\n".join([str(self.problem), *self.problem.__notes__]))

    def _settle(self, reading: Reading) -> None:
        assert self.hold is not None
        charge = rated(
            self._platform,
            self.account,
            key=self._key,
            model=self.model,
            workload=self._workload,
            reading=reading,
            hold=self.hold,
            more=self._more,
            route=self.estimate.route,
        )
        finish = partial(
            metering.settle_extended,
            held=self.hold,
            amounts={charge.unit: charge.amount.micro},
            key=self._key,
            overage=self._platform.policy.overage,
            charge=charge,
            usage=reading.usage,
            card=self._platform.pricing.card,
            estimate=self.estimate,
            rules=self._platform.rules,
            more=self._more,
        )
        self.receipt = self._platform.post(self.hold.payer, self._key, finish)

    def _void(self) -> None:
        assert self.hold is not None
        try:
            give_back = partial(metering.void, held=self.hold, key=self._key, more=self._more)
            self.receipt = self._platform.post(self.hold.payer, self._key, give_back)
        except HoldNotPendingError:
            return  # it expired meanwhile: the PT are back already, and the block's own error goes on


def reading_of(response: object, shape: Shape | str | None = None) -> Reading:
    """What a provider's answer says, or the usage given, of which no provider has said anything."""
    return unread(response) if isinstance(response, Usage) else read_usage(response, shape=shape)
