"""Plans that are paid through Stripe: their prices, beginning a subscription, changing and ending it."""

from __future__ import annotations

from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..asking import typed
from ..domain.choices import one_of
from ..domain.minor_units import of_minor
from ..domain.renewals import takes_effect
from ..domain.subscriptions import Interval, When
from ..domain.windows import Every, window
from ..errors import (
    ConfigurationError,
    InvalidArgumentError,
    StripeRefusedError,
    SubscriptionExistsError,
    SubscriptionNotFoundError,
)
from ..operations import purchasing
from ..stripe import billing, catalogue, checkout, schedules
from ..stripe.billing import Proration
from ..stripe.reading import tax_of
from ..stripe.requests import StripeRequest, idempotency_key, repeated_key, setting_key

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ..domain.plans import Plan, Plans
    from ..domain.subscriptions import Discount
    from ..stripe.billing import ChangePreview, StripeSubscription
    from ..stripe.catalogue import PlanPrice, SyncedPlans
    from ..stripe.checkout import Checkout
    from .gateway import AsyncGateway

Json: TypeAlias = "Mapping[str, Any]"

_NOT_FOUND: Final = 404


@typed
class AsyncBilling:
    """The verbs of `AsyncPayments` that are about plans."""

    _gateway: AsyncGateway

    async def sync_plans(self) -> SyncedPlans:
        """
        Have a product at Stripe for each plan that costs something, and a price for each interval it is sold at.

        Run it whenever the plans have changed. What is there already is left alone; where a price has changed a new one
        is made, for Stripe changes none, and who has subscribed at the old one stays on it until he is changed.

        Raises:
            ConfigurationError: The meter was opened without plans.
            StripeRefusedError: Stripe will not have such a price.
        """
        here = self._gateway
        wanted = [
            each for each in catalogue.prices_of(self._plans()) if each.name not in here.stripe.prices
        ]
        found = await self._found(wanted)
        prices, created = dict(here.stripe.prices), list[str]()
        for each in wanted:
            there = found.get(each.lookup_key)
            if there is None or not catalogue.is_same(each, there, here.stripe):
                there = await self._created(each, there)
                created.append(each.name)
            prices[each.name] = there["id"]
        return catalogue.SyncedPlans(prices, tuple(created))

    async def subscribe(
        self,
        account: str,
        plan: str,
        interval: Interval | str = Interval.MONTH,
        *,
        success_url: str,
        cancel_url: str,
        key: str,
        trial: bool = False,
        discount: Discount | None = None,
    ) -> Checkout:
        """
        Have a subscription paid for and begun by Checkout: send the customer to the ``url`` of what is returned.

        Nothing is granted here. Stripe's events say when it has begun.

        Args:
            account: Your own name for who is billed.
            plan: The plan's name.
            interval: How often it is paid, ``month`` or ``year``.
            success_url: Where the customer comes back to who has paid.
            cancel_url: Where the one comes back to who has not.
            key: Your own name for this purchase; the same opens the same session, for a day.
            trial: Begin with the plan's trial. An account has one once.
            discount: What is off every month or year that begins before its end, such as for founding members.

        Raises:
            SubscriptionExistsError: The account has one that goes on: `change` that.
            TrialUsedError: It has had a trial already.
            InvalidArgumentError: The plan has no trial, or an address is none.
            ConfigurationError: There is no such plan, it costs nothing, or Stripe has no price of it yet.
        """
        here = self._gateway
        chosen, every = self._plans().find(plan), one_of(Interval, interval)
        days = _trial_days(chosen) if trial else None
        at = await self._free(account, trial=trial)
        price = await self._price(chosen, every)
        customer = await here.customer(account)
        request = checkout.subscription(
            account,
            customer,
            price,
            here.stripe,
            plan=plan,
            interval=every,
            success_url=success_url,
            cancel_url=cancel_url,
            key=key,
            trial_days=days,
            coupon=await self._coupon(discount, at) if discount else None,
        )
        session = await here.once(request, "subscribe", account, key)
        details: Json = session.get("total_details") or {}
        return checkout.checkout(
            session,
            amount=of_minor((session["amount_total"] or 0) - tax_of(session), session["currency"]),
            discount=of_minor(details.get("amount_discount") or 0, session["currency"]),
        )

    async def subscription(self, account: str) -> StripeSubscription:
        """
        What Stripe says now of the account's subscription.

        Raises:
            SubscriptionNotFoundError: It has none there that goes on.
        """
        return billing.subscription(await self._current(account))

    async def preview_change(
        self,
        account: str,
        plan: str,
        interval: Interval | str = Interval.MONTH,
        *,
        proration: Proration | str = Proration.NEXT_INVOICE,
        when: When | str | None = None,
    ) -> ChangePreview:
        """
        What the next invoice would be if the subscription went on with another plan; changes nothing.

        Left out, *when* is what `change` takes it for. Of a change that is to come there is no difference to pay.

        Raises:
            SubscriptionNotFoundError: The account has none at Stripe that goes on.
            ConfigurationError: There is no such plan, it costs nothing, or Stripe has no price of it yet.
        """
        here, chosen = self._gateway, self._plans().find(plan)
        found = await self._current(account)
        price = await self._price(chosen, one_of(Interval, interval))
        known = await here.known(account)
        at = int(known.at.timestamp())
        later = self._when(found, chosen, when) is When.PERIOD_END
        difference = Proration.NONE if later else one_of(Proration, proration)
        asked = billing.preview(found, price, difference, at)
        return billing.previewed(await here.send(asked, key=setting_key(asked, known.at)), at)

    async def change(
        self,
        account: str,
        plan: str,
        interval: Interval | str = Interval.MONTH,
        *,
        key: str,
        proration: Proration | str = Proration.NEXT_INVOICE,
        at: datetime | None = None,
        when: When | str | None = None,
    ) -> StripeSubscription:
        """
        Go on with another plan or interval; it takes back a cancellation, and a change that was to come.

        Left out, *when* is ``now`` for a plan that costs more a month, and otherwise ``period_end``: the end of the
        month or year that is paid for, as with `meter.plans.change`. A change that is to come waits at Stripe, in a
        subscription schedule; changed to the plan that it is on, nothing is to come any more.

        What is to be paid at once and is not leaves the plan as it was. The books follow Stripe's events.

        Args:
            account: Your own name for who is billed.
            plan: The plan's name.
            interval: How often it is paid, ``month`` or ``year``.
            key: Your own name for the request.
            proration: What becomes of what is paid for already, if it changes now.
            at: To which second the difference is computed: that of a preview, so that it comes to the same.
            when: ``now`` or ``period_end``.

        Raises:
            SubscriptionNotFoundError: The account has none at Stripe that goes on.
            ConfigurationError: There is no such plan, it costs nothing, or Stripe has no price of it yet.
            StripeRefusedError: The difference was to be paid at once, and the card was declined.
        """
        found, chosen, every = (
            await self._current(account),
            self._plans().find(plan),
            one_of(Interval, interval),
        )
        price = await self._price(chosen, every)
        if self._when(found, chosen, when) is When.PERIOD_END:
            if price == billing.price_of(found):
                return billing.subscription(await self._stay(found, account, key))
            return await self._change_later(found, price, plan, every, account, key)
        await self._release(found)
        request = billing.change(
            found,
            price,
            plan=plan,
            interval=every,
            proration=one_of(Proration, proration),
            at=None if at is None else int(at.timestamp()),
        )
        return await self._send(request, "change", account, key)

    async def cancel(
        self, account: str, *, key: str, when: When | str = When.PERIOD_END
    ) -> StripeSubscription:
        """
        End a subscription when what is paid for ends, or ``now``; nothing is given back by that.

        It takes back a change that was to come.

        Raises:
            SubscriptionNotFoundError: The account has none at Stripe that goes on.
        """
        ends = one_of(When, when)
        found = await self._current(account)
        await self._release(found)
        if ends is When.PERIOD_END:
            return await self._send(billing.end_with_period(found, ends=True), "cancel", account, key)
        return billing.subscription(await self._gateway.delete(f"subscriptions/{found['id']}"))

    async def resume(self, account: str, *, key: str) -> StripeSubscription:
        """
        Let a subscription go on as it is that was to end with what is paid for, or to change then.

        Raises:
            SubscriptionNotFoundError: The account has none at Stripe that goes on: one that has ended is begun anew.
        """
        found = await self._current(account)
        await self._release(found)
        return await self._send(billing.end_with_period(found, ends=False), "resume", account, key)

    # --- what is to come ---

    def _when(self, found: Json, plan: Plan, when: When | str | None) -> When:
        if when is not None:
            return one_of(When, when)
        return takes_effect(self._plans(), billing.subscription(found).plan, plan)

    async def _change_later(
        self, found: Json, price: str, plan: str, interval: Interval, account: str, key: str
    ) -> StripeSubscription:
        """By the schedule there is, or by a new one: begun once and not finished, it is there already."""
        here, schedule = self._gateway, schedules.managing(found)
        if schedule is None:
            found = await self._stay(found, account, key)  # a schedule made of one that ends would end it
            schedule = await here.send(
                schedules.create(found), key=idempotency_key("schedule", account, key)
            )
        request = billing.later(found, schedule, price, plan=plan, interval=interval)
        changed = await here.send(request, key=repeated_key(request, "change", account, key))
        return billing.subscription({**found, "schedule": changed})

    async def _stay(self, found: Json, account: str, key: str) -> Json:
        """Take back whatever was to come."""
        await self._release(found)
        if schedules.ends(found) is None:
            return {**found, "schedule": None}
        name = idempotency_key("stay", account, key)
        return await self._gateway.send(billing.end_with_period(found, ends=False), key=name)

    async def _release(self, found: Json) -> None:
        """Have no schedule manage it, for Stripe refuses to end one that is managed."""
        if schedule := schedules.managing(found):
            request = schedules.release(schedule)
            await self._gateway.send(request, key=idempotency_key("release", schedule["id"]))

    # --- what they share ---

    def _plans(self) -> Plans:
        return self._gateway.platform.need_plans().plans

    async def _send(self, request: StripeRequest, verb: str, account: str, key: str) -> StripeSubscription:
        return billing.subscription(await self._gateway.once(request, verb, account, key))

    async def _free(self, account: str, *, trial: bool) -> datetime:
        """Make sure that a subscription can begin, by the books and by Stripe, which knows of one sooner; the time."""
        here = self._gateway
        await here.platform.read(partial(purchasing.may_subscribe, account=account, trial=trial))
        known = await here.known(account)
        if current := await self._at_stripe(known.customer, account):
            raise SubscriptionExistsError(account, billing.subscription(current).plan)
        return known.at

    async def _current(self, account: str) -> Json:
        known = await self._gateway.known(account)
        current = await self._at_stripe(known.customer, account)
        if current is None:
            raise SubscriptionNotFoundError(account)
        return await self._gateway.with_schedule(current)

    async def _at_stripe(self, customer: str | None, account: str) -> Json | None:
        found = await self._gateway.every(billing.find(customer)) if customer else []
        return billing.current(found, account)

    async def _price(self, plan: Plan, interval: Interval) -> str:
        wanted = catalogue.price_of(plan, interval)
        if wanted is None:
            msg = (
                f"plan {plan.name!r} costs nothing by the {interval}, so there is nothing to pay: "
                "see meter.plans.subscribe(...)"
            )
            raise ConfigurationError(msg)
        stripe = self._gateway.stripe
        if wanted.name in stripe.prices:
            return stripe.prices[wanted.name]
        found = (await self._found([wanted])).get(wanted.lookup_key)
        if found is None or not catalogue.is_same(wanted, found, stripe):
            msg = (
                f"Stripe has no price for {wanted.name} at {wanted.amount}: run meter.payments.sync_plans()"
            )
            raise ConfigurationError(msg)
        return found["id"]

    async def _found(self, wanted: list[PlanPrice]) -> dict[str, Json]:
        """Prices at Stripe by their lookup keys."""
        found: dict[str, Json] = {}
        for start in range(0, len(wanted), catalogue.AT_ONCE):
            page = await self._gateway.get(catalogue.find(wanted[start : start + catalogue.AT_ONCE]))
            found |= {each["lookup_key"]: each for each in page["data"]}
        return found

    async def _created(self, wanted: PlanPrice, before: Json | None) -> Json:
        here, product = self._gateway, catalogue.product(wanted.plan, self._gateway.stripe)
        await self._there(f"products/{product.params['id']}", product)
        behavior = here.stripe.tax.behavior if here.stripe.automatic_tax else ""
        replaced = before["id"] if before else ""
        name = idempotency_key("price", wanted.lookup_key, str(wanted.amount), behavior, replaced)
        return await here.send(catalogue.price(wanted, here.stripe), key=name)

    async def _coupon(self, discount: Discount, at: datetime) -> str | None:
        """The coupon for what is off; none if that is over."""
        months, start = 0, at
        while start < discount.until:
            months, start = months + 1, window(start, every=Every.MONTH, anchor=at, zone=UTC).end
        if not months:
            return None
        name = catalogue.coupon_id(discount.share, months)
        await self._there(f"coupons/{name}", catalogue.coupon(discount.share, months))
        return name

    async def _there(self, path: str, request: StripeRequest) -> None:
        """Have something with an id of our own: look, and create it if it is not there."""
        try:
            await self._gateway.get(StripeRequest(path))
        except StripeRefusedError as error:
            if error.status != _NOT_FOUND:
                raise
            await self._gateway.send(request, key=idempotency_key("create", path))


def _trial_days(plan: Plan) -> int:
    if plan.trial is None:
        msg = f"plan {plan.name!r} has no trial"
        raise InvalidArgumentError(msg)
    return plan.trial.days
