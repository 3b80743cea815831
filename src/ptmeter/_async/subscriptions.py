"""Plans: subscriptions to them, and putting an account on one by hand."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..asking import typed
from ..domain import subscriptions
from ..domain.choices import one_of
from ..domain.subscriptions import Interval, Renewed, When
from ..errors import PtmeterError, StorageError
from ..operations import subscribing
from ..operations.posting import alone

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ..domain.pt import Money
    from ..domain.receipts import Granted
    from ..domain.subscriptions import Discount, Subscribed, Subscription
    from ..ports import Books, Posting
    from .platform import AsyncPlatform


@typed
class AsyncSubscriptions:
    """
    Plans: ``meter.plans``.

    A subscription gives its plan's allowance in every cycle. A cycle is a month from the anchor, by the clock in
    a zone: anchored on the 31st, cycles begin on the 28th of February and on the 31st of March. What is left of
    an allowance lapses at the cycle's end, except for what the plan rolls over. What is paid for it is what the
    cycle costs, which is earned as it is used.
    """

    def __init__(self, platform: AsyncPlatform) -> None:
        self._platform = platform

    async def subscribe(
        self,
        account: str,
        plan: str,
        *,
        key: str,
        interval: Interval | str = Interval.MONTH,
        anchor: datetime | None = None,
        zone: str = "UTC",
        trial: bool = False,
        discount: Discount | None = None,
    ) -> Subscribed:
        """
        Begin a subscription, and grant the cycle that holds now.

        Args:
            account: Your own name for who is billed.
            plan: The plan's name.
            key: Your own name for the request, such as the id of the checkout.
            interval: How often it is paid, ``month`` or ``year``; PT are granted by the month either way.
            anchor: When cycles begin, now if left out; in the past for a subscription that was begun elsewhere.
            zone: Whose clock says when a day begins, such as ``Europe/Berlin``.
            trial: Begin with the plan's trial and its PT; the cycles follow it. An account has one once.
            discount: What is off the price, and until when.

        Raises:
            SubscriptionExistsError: The account has one that goes on.
            TrialUsedError: It has had a trial already.
            InvalidArgumentError: The plan has no trial, or an argument cannot be what it is.
            ConfigurationError: The meter has no such plan, or the plan no price for a year.
        """
        rules = self._platform.need_plans()
        begin = partial(
            subscribing.subscribe,
            account=account,
            rules=rules,
            plan=rules.plans.find(plan),
            interval=one_of(Interval, interval),
            anchor=anchor,
            zone=zone,
            trial=trial,
            discount=discount,
            key=key,
        )
        return await self._carry_out(begin)

    async def change(
        self,
        account: str,
        plan: str,
        *,
        key: str,
        interval: Interval | str | None = None,
        when: When | str | None = None,
    ) -> Subscribed:
        """
        Go on with another plan or interval.

        Left out, *when* is ``now`` for a plan that costs more a month, and otherwise ``period_end``: the end of
        the month or year that is paid for. At once, the difference of the allowances is granted pro rata to what
        is left of the cycle, rounded down to the micro-PT, as paid for by the same share of the difference of what
        the cycle costs; nothing is taken away. It takes back a cancellation.

        Raises:
            SubscriptionNotFoundError: The account has none that goes on.
            PaidThroughStripeError: It is paid through Stripe: `AsyncPayments.change` changes it there.
            ConfigurationError: The meter has no such plan, or the plan no price for a year.
        """
        rules = self._platform.need_plans()
        go_on = partial(
            subscribing.change,
            account=account,
            rules=rules,
            plan=rules.plans.find(plan),
            interval=None if interval is None else one_of(Interval, interval),
            when=None if when is None else one_of(When, when),
            key=key,
        )
        return await self._carry_out(partial(subscribing.by_hand, account=account, work=go_on))

    async def cancel(self, account: str, *, key: str, when: When | str = When.PERIOD_END) -> Subscribed:
        """
        End a subscription, when what is paid for ends or ``now``; what was granted stays until it lapses.

        Once it has ended the account is on no plan. To have it go on with a plan that costs nothing, `change`
        to that instead.

        Raises:
            SubscriptionNotFoundError: The account has none that goes on.
            PaidThroughStripeError: It is paid through Stripe: `AsyncPayments.cancel` ends it there.
        """
        end = partial(
            subscribing.cancel,
            account=account,
            rules=self._platform.need_plans(),
            when=one_of(When, when),
            key=key,
        )
        return await self._carry_out(partial(subscribing.by_hand, account=account, work=end))

    async def renew(self, account: str) -> Subscribed:
        """
        Grant every cycle that has begun and was not granted yet, carry out a change or the end that has come.

        The cycle is the key: run twice, days late or at two places at once, it gives the same.

        Raises:
            SubscriptionNotFoundError: The account never had one.
        """
        rules = self._platform.need_plans()
        return await self._carry_out(partial(subscribing.renew, account=account, rules=rules))

    async def renew_due(self, *, limit: int = 500) -> Renewed:
        """
        Renew all subscriptions for which there is something to do, *limit* at a time, each by itself.

        One that cannot be renewed, such as that to a plan which is no more, keeps no other from it. It is
        named, and tried again next time.
        """
        self._platform.need_plans()
        renewed: list[str] = []
        failures: dict[str, PtmeterError] = {}
        after = ""
        while names := await self._platform.read(partial(subscribing.due, after=after, limit=limit)):
            for name in names:
                try:
                    await self.renew(name)
                    renewed.append(name)
                except StorageError:
                    raise
                except PtmeterError as failure:
                    failures[name] = failure
            after = names[-1]
        return Renewed(tuple(renewed), failures)

    async def find(self, account: str) -> Subscription:
        """
        The account's subscription, as it stands now; ended, if it was.

        Raises:
            SubscriptionNotFoundError: It never had one.
        """
        return await self._platform.read(partial(subscribing.find, account=account))

    def price(self, subscription: Subscription, *, at: datetime | None = None) -> Money:
        """
        What the month or year costs that holds *at*, with the discount; nothing in a trial and after the end.

        Raises:
            ConfigurationError: The meter has no such plan.
        """
        plans = self._platform.need_plans().plans
        return subscriptions.price(subscription, plans, at or subscription.at)

    async def assign(self, account: str, plan: str, *, key: str, until: datetime | None = None) -> Granted:
        """
        Put an account on a plan and grant its allowance once, which lapses at *until*: no subscription.

        It is for platforms that have cycles of their own and call it in each, with the cycle in the key. What is
        paid for the allowance is the plan's price for a month.

        Raises:
            ConfigurationError: The meter was opened without plans, or has none of that name.
        """
        rules = self._platform.need_plans()
        join = partial(
            subscribing.assign,
            account=account,
            rules=rules,
            plan=rules.plans.find(plan),
            until=until,
            key=key,
        )
        return await self._platform.post(account, key, join)

    async def _carry_out(self, work: Callable[[Books], Posting[Subscribed | PtmeterError]]) -> Subscribed:
        """In a transaction of its own: what is decided rests on a row that nobody may change meanwhile."""
        return await self._platform.run(partial(alone, work=work))
