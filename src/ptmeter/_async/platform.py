"""One platform: its store, its pricing, its policy and plans; what all verbs share."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from ..domain.admission import Rules
from ..domain.pt import PT
from ..domain.receipts import Receipt
from ..draining import AsyncEndings
from ..errors import ConfigurationError, IndeterminateError, InvalidArgumentError, PtmeterError
from ..operations import calibrating

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..domain.plans import Plans
    from ..domain.policy import Policy
    from ..domain.pt import Whole
    from ..ports import AsyncStore, Books, Posting
    from ..pricing import Pricing

T = TypeVar("T")

_log: Final = logging.getLogger("ptmeter.calibration")


class AsyncPlatform:
    """Carries out operations on the store, which is made ready at the first."""

    def __init__(
        self,
        store: AsyncStore,
        pricing: Pricing,
        policy: Policy,
        plans: Plans | None,
        *,
        migrate: bool = False,
        joined: bool = False,
    ) -> None:
        """*joined*: whether the store is somebody's own transaction, which is not ours to prolong."""
        self.store = store
        self.pricing = pricing
        self.policy = policy
        self.plans = plans
        self.endings = AsyncEndings()
        self._migrate = migrate
        self._joined = joined
        self._ready = joined

    @property
    def joined(self) -> bool:
        """Whether it works inside somebody's own transaction."""
        return self._joined

    @property
    def rules(self) -> Rules | None:
        """What decides whether a call may be made; nothing does on a platform without plans."""
        if self.plans is None:
            return None
        return Rules(plans=self.plans, sells_at=self.sells_at)

    @property
    def sells_at(self) -> dict[str, int]:
        """What one PT of each unit sells at, in nano-units of money."""
        return {name: unit.sells_at.nano for name, unit in self.pricing.card.units.items()}

    def need_plans(self) -> Rules:
        """
        What decides, on a platform where something does.

        Raises:
            ConfigurationError: It was opened without plans.
        """
        if (rules := self.rules) is None:
            msg = "this meter has no plans: open it with Meter.open(url, plans=...)"
            raise ConfigurationError(msg)
        return rules

    async def make_ready(self) -> None:
        """Check the database, set it up if that was asked for, and recall what calls have taught; once."""
        if not self._ready:
            await self.store.prepare(migrate=self._migrate)
            await self._recall_learning()
            self._ready = True

    async def run(self, work: Callable[[Books], T | PtmeterError]) -> T:
        """Carry *work* out in one transaction; raise what it refused once that is committed."""
        await self.make_ready()
        value = await self.store.run(work)
        if isinstance(value, PtmeterError):
            raise value
        return value

    async def post(
        self, account: str, key: str | None, work: Callable[[Books], Posting[T | PtmeterError]]
    ) -> T:
        """Carry *work* out with what others post at the same moment; raise what it refused."""
        await self.make_ready()
        try:
            value = await self.store.post(account, work)
        except IndeterminateError as lost:
            raise IndeterminateError(key) from lost
        if isinstance(value, PtmeterError):
            raise value
        if isinstance(value, Receipt):
            await self._learn(value)
        return value

    async def keep_learning(self) -> None:
        """
        Write down what was learnt from settled calls, in a short transaction of its own.

        The calls are charged already, so a database that does not answer, or has a row that cannot be
        read, is no error of theirs: it is logged, and tried again after as many calls as ever.
        """
        learning = self.pricing.learning
        fresh = learning.take_fresh()
        if not fresh.habits:
            return
        try:
            kept = await self.store.run(partial(calibrating.keep, fresh=fresh))
        except PtmeterError as problem:
            learning.give_back(fresh)
            _log.warning("what %d settled calls taught could not be kept: %s", fresh.calls, problem)
            return
        learning.take_in(kept)

    async def _recall_learning(self) -> None:
        """Know what calls have taught; a row that cannot be read must not keep anybody from being billed."""
        try:
            kept = await self.store.read(calibrating.recall)
        except InvalidArgumentError as problem:
            _log.warning("what settled calls taught cannot be read, so estimates begin anew: %s", problem)
            return
        self.pricing.learning.take_in(kept)

    async def _learn(self, receipt: Receipt) -> None:
        learning = self.pricing.learning
        learning.learn(receipt)
        if learning.is_due and not self._joined:
            await self.keep_learning()

    async def read(self, work: Callable[[Books], T]) -> T:
        """Carry *work* out on one unchanging view."""
        await self.make_ready()
        return await self.store.read(work)

    async def read_or_raise(self, work: Callable[[Books], T | PtmeterError]) -> T:
        """The same for what may come to an error."""
        value = await self.read(work)
        if isinstance(value, PtmeterError):
            raise value
        return value

    async def survey(self, work: Callable[[Books], T]) -> T:
        """Carry *work* out on one unchanging view, however long it takes."""
        await self.make_ready()
        return await self.store.survey(work)

    def micro(self, amounts: Mapping[str, Whole]) -> dict[str, int]:
        """
        Amounts as they were typed, in whole PT by unit, as the ledger counts them.

        Raises:
            UnknownUnitError: The platform has no such unit.
            TypeError: An amount is a float.
            InvalidArgumentError: There is none.
        """
        if not amounts:
            example = min(self.pricing.card.units)
            msg = f"say how many PT of which unit, such as {example}=10"
            raise InvalidArgumentError(msg)
        for unit in amounts:
            self.pricing.card.unit(unit)
        return {unit: PT.of(amount, unit).micro for unit, amount in amounts.items()}
