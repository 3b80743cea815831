"""Calls that were answered and could not be charged: set aside when they end, seen and decided about here."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, TypeAlias

from ..asking import typed
from ..domain.prices import Processing
from ..domain.quarantine import Decision, QuarantineState
from ..errors import InvalidArgumentError, UnknownModelError, UnknownTierError, UsageInconsistentError
from ..operations import quarantining
from ..providers.readings import unread
from ..providers.usage import read_usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..domain.ledger import Overage
    from ..domain.quarantine import Backlog, Quarantined, QuarantinePage
    from ..domain.rates import Charge, Workload
    from ..domain.receipts import Hold, Receipt
    from ..domain.usage import Usage
    from ..providers.readings import Reading
    from ..providers.usage import Shape
    from .platform import AsyncPlatform

Problem: TypeAlias = UsageInconsistentError | UnknownTierError | UnknownModelError
"""Why a call that was answered cannot be charged."""

LOG: Final = logging.getLogger("ptmeter")
"""Where a usage that was set aside is reported, with the counts as they came: they hold no text."""


@typed
class AsyncQuarantine:
    """
    Calls that were answered and that nobody is charged for yet: ``meter.quarantine``.

    A call gets there when it ends, or when it is recorded, if its usage contradicts itself or if no price is known
    for how it was processed. It waits for a person to look at what the provider sent. Its hold expires meanwhile
    like any other; it can be settled all the same.
    """

    def __init__(self, platform: AsyncPlatform) -> None:
        self._platform = platform

    async def list(
        self,
        *,
        state: QuarantineState | None = QuarantineState.OPEN,
        after: str | None = None,
        limit: int = 100,
    ) -> QuarantinePage:
        """
        Calls in quarantine, the oldest first, a page at a time; those that are decided too if *state* says so.

        Pass a page's ``after`` on to get the next one. ``state=None`` lists all.

        Raises:
            InvalidArgumentError: *after* did not come from such a page, or *limit* is not positive.
        """
        return await self._platform.read(partial(quarantining.page, state=state, after=after, limit=limit))

    async def find(self, account: str, *, key: str) -> Quarantined:
        """
        The call that was begun, or recorded, under *key*, however it stands.

        Raises:
            NotFoundError: No such call is in quarantine.
        """
        return await self._platform.read(partial(quarantining.find, account=account, key=key))

    async def backlog(self) -> Backlog:
        """How many calls wait for a decision, and since when the oldest does: what to be alerted by."""
        return await self._platform.read(quarantining.backlog)

    async def settle(
        self,
        account: str,
        *,
        key: str,
        actor: str,
        reason: str,
        usage: Usage | None = None,
        response: object = None,
        shape: Shape | str | None = None,
        processing: Processing | str | None = None,
        overage: Overage | None = None,
    ) -> Receipt:
        """
        Charge a call what you take to be right: a *usage* of your own, or that of a corrected *response*.

        It is rated by the price and the card that were in force when the call came, and booked now. Its hold is
        settled, or late if it expired; a team's PT are the team's still. The charge and the decision are one
        transaction. The same usage and processing again return what they came to the first time, whoever says so and
        why: the first to decide stays on record.

        Args:
            account: Whose call it is.
            key: The key that the call was begun, or recorded, under.
            actor: Who decides, for the record.
            reason: Why, for the record.
            usage: The usage to charge.
            response: The provider's answer, put right, instead.
            shape: Its wire shape, if its keys should not be asked.
            processing: At which price. As the response says if left out, else as was asked for; a call that was
                answered with a tier that is not known has to be told.
            overage: What to do if it cost more than was held; as the policy says if left out.

        Raises:
            NotFoundError: No such call is in quarantine.
            QuarantineResolvedError: It was decided otherwise before.
            HoldNotPendingError: Its hold was settled or voided by hand since: then dismiss it.
            IdempotencyConflictError: It was recorded again since, with another usage: then dismiss it.
            InsufficientFundsError: Less is available and the overage policy forbids owing.
            UsageError: The response has no usage, or one that contradicts itself too.
            UnknownModelError: No price or rate of the call's time is known for the model as it was processed.
            UnknownTierError: The response says a service tier that is not known: say the processing.
            ConfigurationError: The account uses the PT of another, and the meter has no plans.
            InvalidArgumentError: A usage and a response were given, or neither; no actor, reason or processing is
                named, or none that can be; or it would be charged nothing.
        """
        reading = _reading(usage, response, shape)
        said = _processing(processing) or await self._served(account, key, reading)
        work = partial(
            quarantining.settle,
            account=account,
            key=key,
            decision=Decision(usage=reading.usage, by=actor, reason=reason, processing=said),
            rate=self._rate,
            card_at=self._platform.pricing.card_at,
            overage=overage or self._platform.policy.overage,
            rules=self._platform.rules,
        )
        return await self._platform.run(work)

    async def dismiss(self, account: str, *, key: str, actor: str, reason: str) -> Quarantined:
        """
        Charge a call to nobody for good; its hold is given back at once if it is still open.

        Raises:
            NotFoundError: No such call is in quarantine.
            QuarantineResolvedError: It was settled before.
            InvalidArgumentError: Nobody or nothing is named as actor or reason.
        """
        decision = Decision(usage=None, by=actor, reason=reason)
        return await self._platform.run(
            partial(quarantining.dismiss, account=account, key=key, decision=decision)
        )

    async def _served(self, account: str, key: str, reading: Reading) -> Processing | None:
        """How the call was processed, if its answer says so; its model, which tells the words, never changes."""
        if reading.service_tier is None:
            return None
        call = await self.find(account, key=key)
        return self._platform.pricing.served(call.model, call.workload, reading).processing

    def _rate(self, call: Quarantined, usage: Usage, workload: Workload) -> Charge:
        return self._platform.pricing.charge(call.model, usage, workload, at=call.received_at)


async def rated(
    platform: AsyncPlatform,
    account: str,
    *,
    key: str,
    model: str,
    workload: Workload,
    reading: Reading,
    hold: Hold | None = None,
    more: Sequence[Hold] = (),
    route: str = "",
) -> Charge:
    """
    What an answered call is charged; one that no price is known for is put into quarantine.

    Raises:
        UnknownTierError: It was served with a service tier that is not known.
        UnknownModelError: No price or rate is known for the model, or none for how it was processed.
    """
    served = replace(workload, processing=Processing.UNKNOWN)
    try:
        served = platform.pricing.served(model, workload, reading)
        return platform.pricing.charge(model, reading.usage, served)
    except (UnknownTierError, UnknownModelError) as problem:
        await set_aside(
            platform,
            account,
            key=key,
            model=model,
            problem=problem,
            workload=served,
            payload=reading.raw,
            hold=hold,
            more=more,
            route=route,
        )
        raise


async def set_aside(
    platform: AsyncPlatform,
    account: str,
    *,
    key: str,
    model: str,
    problem: Problem,
    workload: Workload,
    payload: object,
    hold: Hold | None = None,
    more: Sequence[Hold] = (),
    route: str = "",
) -> None:
    """
    Put a call into quarantine, and say so where the error is seen and where an operator looks.

    *payload* is what the provider sent, *workload* how it was processed if that is known, and *more* was held for it
    while it was written. If that fails, whatever the reason, the call's own *problem* is not hidden by it: the failure is logged, noted on it, and its cause if it
    has none.
    """
    whose = f"the call under key {key!r} of account {account!r} to {model}"
    LOG.error("%s; nothing was charged for %s; the provider sent %r", problem, whose, payload)
    try:
        unit = platform.pricing.unit_by_card(model) if hold is None else next(iter(hold.amounts))
        work = partial(
            quarantining.keep,
            account=account,
            key=key,
            unit=unit,
            model=model,
            route=route,
            held=None if hold is None else hold.amounts[unit],
            payer=None if hold is None else hold.payer,
            workload=workload,
            more=tuple(each.key for each in more),
            problem=problem.problem if isinstance(problem, UsageInconsistentError) else str(problem),
            payload=payload,
        )
        await platform.run(work)
    except Exception as failure:
        LOG.exception("%s could not be put into quarantine", whose)
        problem.__cause__ = problem.__cause__ or failure
        problem.add_note(
            f"nothing was charged for {whose}, which could not be put into quarantine: {failure}"
        )
        return
    problem.add_note(
        f"nothing was charged for {whose}: it is in quarantine until somebody settles or dismisses it "
        f"(meter.quarantine, `ptmeter quarantine`)"
    )


def _reading(usage: Usage | None, response: object, shape: Shape | str | None) -> Reading:
    if (usage is None) is (response is None):
        msg = "say what to charge: a usage, or a response to read one from, and not both"
        raise InvalidArgumentError(msg)
    return unread(usage) if usage is not None else read_usage(response, shape=shape)


def _processing(name: Processing | str | None) -> Processing | None:
    if name is None or name in tuple(Processing):
        return None if name is None else Processing(name)
    msg = f"no call is processed {name!r}: take one of {', '.join(Processing)}"
    raise InvalidArgumentError(msg)
