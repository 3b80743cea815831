# Generated from src/ptmeter/_async/top_ups.py by scripts/unasync.py: edit that file, then run `make format`.
"""Accounts that top themselves up: ``meter.top_ups``."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from ..asking import typed
from ..domain.pt import NANO, PT, Money, scaled
from ..domain.top_up_terms import TopUpTerms
from ..operations import topping_up
from ..operations.posting import alone
from ..operations.topping_up import Asked

if TYPE_CHECKING:
    from ..domain.pt import Whole
    from ..domain.receipts import Granted
    from ..domain.top_ups import TopUp, TopUpState
    from .platform import Platform


@typed
class TopUps:
    """Accounts that top themselves up: ``meter.top_ups``."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def set(
        self,
        account: str,
        *,
        unit: str,
        below: Whole,
        amount: Whole,
        per_month: Whole,
        cool_down: timedelta = timedelta(hours=24),
    ) -> TopUp | None:
        """
        Have an account ask for PT of a unit whenever it has too few left; returns what that asks for at once.

        The debit that leaves less than *below* asks, with the message ``top_up.requested`` in the outbox, for as
        often *amount* as there have to be *below* again. One is open at a time: until it is `paid` or has
        `failed` no other is asked for, and after a failure not for a while.

        Args:
            account: Whose PT are used; for members of a team that is the team.
            unit: The unit of PT.
            below: Whole PT: ask when fewer are left. What is held is left, until it is used.
            amount: Whole PT at a time.
            per_month: How much money may be asked for in a month of the account's, by what PT sell at.
            cool_down: How long nothing is asked for after a failure, twice as long after two in a row, and so on
                up to four times.

        Raises:
            AccountNotFoundError: There is no such account.
            UnknownUnitError: The platform has no such unit.
            ConfigurationError: An amount is not positive, or the meter was opened without plans.
        """
        currency = self._platform.pricing.card.unit(unit).sells_at.currency
        terms = TopUpTerms(
            below=PT.of(below, "below"),
            amount=PT.of(amount, "amount"),
            per_month=Money(scaled(per_month, NANO, currency, "per_month"), currency),
            cool_down=cool_down,
        )
        change = partial(
            topping_up.set_terms, account=account, unit=unit, terms=terms, rules=self._platform.need_plans()
        )
        return self._platform.run(change)

    def stop(self, account: str, *, unit: str) -> None:
        """
        Have an account ask for PT of a unit no more; what it has asked for stays open.

        Raises:
            AccountNotFoundError: There is no such account.
        """
        change = partial(
            topping_up.set_terms, account=account, unit=unit, terms=None, rules=self._platform.need_plans()
        )
        self._platform.run(change)

    def paid(self, top_up: str, *, key: str) -> Granted:
        """
        Grant what was asked for, because its money came in; *key* names the payment, and grants once.

        Raises:
            TopUpNotFoundError: Nobody asked for a top-up of that id.
            TopUpNotOpenError: Another payment has paid it; nothing was granted.
            IdempotencyConflictError: PT were granted for that payment before, and not by this top-up.
        """
        found = self.find(top_up)
        grant = partial(topping_up.paid, top_up=found, key=key)
        return self._platform.run(partial(alone, work=grant))  # it decides by its row before it posts

    def failed(self, top_up: str, *, reason: str) -> TopUp:
        """
        Note that the money did not come in: nothing is asked for until the pause is over.

        Raises:
            TopUpNotFoundError: Nobody asked for a top-up of that id.
            TopUpNotOpenError: It was paid.
        """
        return self._platform.run(partial(topping_up.failed, top_up=top_up, reason=reason))

    def scan(self, *, portion: int = 100) -> Asked:
        """
        Ask where no debit does: for accounts that cannot use anything any more, or whose PT lapsed.

        Run it every few minutes or hours, so that an account whose last top-up failed is not stuck.

        Raises:
            ConfigurationError: The meter was opened without plans.
        """
        asked, after = Asked(), ""
        while True:
            ask = partial(topping_up.scan, rules=self._platform.need_plans(), after=after, limit=portion)
            part = self._platform.run(ask)
            asked = Asked(asked.accounts + part.accounts, asked.top_ups + part.top_ups)
            if part.after is None:
                return asked
            after = part.after

    def find(self, top_up: str) -> TopUp:
        """
        The top-up of that id.

        Raises:
            TopUpNotFoundError: There is none.
        """
        return self._platform.read(partial(topping_up.find, top_up=top_up))

    def list(
        self, *, account: str | None = None, state: TopUpState | None = None, limit: int = 100
    ) -> tuple[TopUp, ...]:
        """
        Top-ups, the latest first.

        Raises:
            InvalidArgumentError: *limit* is not positive.
        """
        find = partial(topping_up.listed, account=account, state=state, limit=limit)
        return self._platform.read(find)
