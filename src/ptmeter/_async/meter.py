"""The meter: estimate, hold, settle, void, call, record, balance, and the namespaces."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Self

from ..asking import typed
from ..domain.policy import Policy
from ..domain.rates import PLAIN, RateCard
from ..domain.sketches import Quantile
from ..errors import UsageInconsistentError
from ..operations import holding, metering, recording, sweeping
from ..operations.posting import post_batch
from ..pricing import Pricing, request_digest
from ..providers.prices import GenaiPrices
from ..providers.tokens import Tokenizers
from ..storage.opening import open_store_async
from ..stripe.endpoints import Stripe
from .accounts import AsyncAccounts
from .alerts import AsyncAlerts
from .calibration import AsyncCalibrations
from .call import AsyncCall, reading_of
from .checkpoints import AsyncCheckpoints
from .funds import AsyncFunds
from .margins import AsyncMargins
from .mitigations import AsyncMitigations
from .outbox import AsyncOutbox
from .payments import AsyncPayments
from .periods import AsyncPeriods
from .platform import AsyncPlatform
from .prices import AsyncPrices
from .quarantine import AsyncQuarantine, rated, set_aside
from .reading import AsyncReading
from .referrals import AsyncReferrals
from .stripe_api import AsyncStripeApi
from .subscriptions import AsyncSubscriptions
from .top_ups import AsyncTopUps
from .webhooks import AsyncWebhooks
from .worker import AsyncWorker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime, timedelta
    from types import TracebackType

    from ..domain.commands import Linked
    from ..domain.estimates import Estimate
    from ..domain.ledger import Outcome, Overage
    from ..domain.plans import Plans
    from ..domain.pt import Whole
    from ..domain.rates import Workload
    from ..domain.receipts import Hold, Receipt
    from ..operations.sweeping import Swept
    from ..pricing import Catalogue, Request, Tokens
    from ..providers.usage import Shape
    from ..storage.engine import AsyncConnection, AsyncEngine


@typed
class AsyncMeter(AsyncReading):
    """
    Meters LLM usage in prepaid Platform Tokens, on your own database.

    Amounts are keyword arguments named by their unit, in whole PT: ``core=10``, ``core="7.25"``; a float
    is a `TypeError`. Every verb that moves PT takes a ``key``, your own name for the request: the same
    key with the same arguments returns the first result again, for ever (a refusal: for a day), and with
    other arguments raises `IdempotencyConflictError`.
    """

    def __init__(self, platform: AsyncPlatform, stripe: AsyncStripeApi | None = None) -> None:
        """Most callers want `AsyncMeter.open`."""
        self._platform = platform
        self.funds = AsyncFunds(platform)
        self.plans = AsyncSubscriptions(platform)
        self.periods = AsyncPeriods(platform)
        self.checkpoints = AsyncCheckpoints(platform)
        self.calibration = AsyncCalibrations(platform)
        self.prices = AsyncPrices(platform)
        self.outbox, self.alerts = AsyncOutbox(platform), AsyncAlerts(platform)
        self.top_ups = AsyncTopUps(platform)
        self.quarantine = AsyncQuarantine(platform)
        self.accounts = AsyncAccounts(platform)
        self.margins, self.mitigations = AsyncMargins(platform), AsyncMitigations(platform)
        self.referrals = AsyncReferrals(platform)
        self._stripe = stripe or AsyncStripeApi(Stripe())
        self.webhooks = AsyncWebhooks(platform, self._stripe)
        self.payments = AsyncPayments(platform, self._stripe)
        self.worker = AsyncWorker(
            platform,
            webhooks=self.webhooks,
            payments=self.payments,
            outbox=self.outbox,
            plans=self.plans,
            alerts=self.alerts,
            top_ups=self.top_ups,
        )

    @classmethod
    def open(
        cls,
        target: str | AsyncEngine,
        *,
        card: RateCard | Sequence[RateCard] | None = None,
        plans: Plans | None = None,
        catalogue: Catalogue | None = None,
        tokens: Tokens | None = None,
        policy: Policy | None = None,
        stripe: Stripe | None = None,
        migrate: bool = False,
        clock: Callable[[], datetime] | None = None,
    ) -> Self:
        """
        Open a meter on a database.

        A new SQLite file is set up at first use; a server asks for ``ptmeter migrate``, once, unless
        *migrate* is true. Nothing is connected to before the first use.

        Args:
            target: ``sqlite:///pt.db``, ``postgresql://…``, ``mysql://…``, ``memory://`` or an engine.
            card: The rate card, or several with their effective dates; the bundled reference card if left
                out.
            plans: Which models each plan opens; left out, every account may use every model.
            catalogue: Where prices come from; the genai-prices package if left out.
            tokens: Who counts tokens; tiktoken with bundled ranks if left out.
            policy: What the platform decides for itself.
            stripe: How the platform is set up at Stripe, if money comes in through it.
            migrate: Whether to bring the tables up to date.
            clock: The time to go by instead of the database's; for tests.

        Raises:
            ConfigurationError: The URL names no database or driver that is known here.
            UnknownUnitError: A plan speaks of a unit that the rate card has not.
            ConfigurationError: No rule of it matches a model that the plans send requests to instead.
        """
        policy = policy or Policy()
        pricing = Pricing(
            _cards(card),
            policy,
            catalogue=catalogue or GenaiPrices(),
            tokens=tokens or Tokenizers(),
            clock=clock,
        )
        if plans:
            plans.check(pricing.card, unpriced=policy.unpriced is not None)
        store = open_store_async(target, policy, clock)
        return cls(
            AsyncPlatform(store, pricing, policy, plans, migrate=migrate),
            AsyncStripeApi(stripe or Stripe()),
        )

    async def __aenter__(self) -> Self:
        await self._platform.make_ready()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Give the database connections back, once the calls that are being ended have been."""
        await self._platform.endings.close()
        await self._platform.keep_learning()
        await self._platform.store.close()
        await self._stripe.aclose()

    def joined(self, connection: AsyncConnection) -> AsyncMeter:
        """
        This meter inside the transaction that *connection* is in: it stands or falls with your commit.

        Do not hold such a transaction open during a call to a model: it keeps the wallet locked.
        """
        here = self._platform
        store = here.store.joined(connection)
        platform = AsyncPlatform(store, here.pricing, here.policy, here.plans, joined=True)
        return AsyncMeter(platform, self._stripe)

    # --- a call ---

    def estimate(
        self,
        model: str,
        request: Request,
        *,
        max_tokens: int | None = None,
        workload: Workload = PLAIN,
        route: str = "",
        quantile: Whole | Quantile | None = None,
        pieces: Mapping[str, int] | None = None,
    ) -> Estimate:
        """
        What sending *request* (text, chat messages or a request body) to *model* will cost.

        Args:
            model: As sent to the provider.
            request: What is to be sent.
            max_tokens: The longest answer, if the request does not say.
            workload: What a cost-plus rate's buffer goes by, and the price to go by: of a batch, or flexible.
                What the request's own ``service_tier`` or ``speed`` asks for need not be said again.
            route: Your own name for this kind of call; estimates learn from settled calls of the same route.
            quantile: How many of such calls the hold is to suffice for, in percent, instead of what the
                policy says: 50 to 99.9.
            pieces: What will be charged by the piece, by name, where the request does not tell: the pages of a
                document (``{"ocr_page": 12}``), the seconds of a recording (``audio_second``), how many searches.

        Raises:
            UnknownModelError: No price or rate is known for the model, or none for how it is to be processed.
            UnknownTierError: The request asks for a service tier that is not known.
            InvalidArgumentError: The route or the quantile cannot be one, or the request asks for one processing
                and the workload for another.
        """
        return self._platform.pricing.estimate(
            model,
            request,
            max_tokens=max_tokens,
            workload=workload,
            route=route,
            quantile=None if quantile is None else Quantile.of(quantile),
            pieces=pieces or {},
        )

    def call(
        self,
        account: str,
        *,
        model: str,
        messages: Request,
        key: str,
        max_tokens: int | None = None,
        workload: Workload = PLAIN,
        route: str = "",
        quantile: Whole | Quantile | None = None,
        pieces: Mapping[str, int] | None = None,
    ) -> AsyncCall:
        """
        Hold what a call may cost while you send it, and charge what it did cost afterwards.

        Use it as a context manager and `record` the answer inside: the call is settled on the way out,
        or given back whole if the block raised before anything was recorded. See `estimate` for *route*,
        *quantile* and *pieces*.
        """
        estimate = self.estimate(
            model,
            messages,
            max_tokens=max_tokens,
            workload=workload,
            route=route,
            quantile=quantile,
            pieces=pieces,
        )
        return AsyncCall(
            self._platform,
            account,
            key,
            estimate,
            self._platform.pricing.asked(model, messages, workload),
            request_digest(model, messages, max_tokens, workload, pieces or {}),
        )

    async def hold(self, account: str, *, key: str, ttl: timedelta | None = None, **amounts: Whole) -> Hold:
        """
        Set PT aside until they are settled, voided or *ttl* has passed.

        Raises:
            InsufficientFundsError: Less is available; nothing was held.
            AccountNotFoundError: The account was never given anything.
            IdempotencyConflictError: The key was used with other arguments.
        """
        place = partial(
            holding.hold,
            account=account,
            amounts=self._platform.micro(amounts),
            key=key,
            ttl=self._platform.policy.hold_ttl if ttl is None else ttl,
            rules=self._platform.rules,
        )
        return await self._platform.post(account, key, place)

    async def find_hold(self, account: str, *, key: str) -> Hold:
        """
        The hold placed under *key*, to settle it from another process.

        Raises:
            HoldNotFoundError: There is none.
        """
        units = list(self._platform.pricing.card.units)
        return await self._platform.read(partial(holding.find_hold, account=account, units=units, key=key))

    async def settle(
        self, hold: Hold, *, key: str, overage: Overage | None = None, **amounts: Whole
    ) -> Receipt:
        """
        Charge what a call really cost; what is left of the hold becomes available again.

        More than was held is charged as *overage* says, and a hold that expired meanwhile is charged
        late: the call was answered, so it is paid for.

        Raises:
            HoldNotPendingError: The hold was settled or voided before.
            IdempotencyConflictError: The key was used with other arguments.
        """
        finish = partial(
            metering.settle,
            held=hold,
            amounts=self._platform.micro(amounts),
            key=key,
            overage=overage or self._platform.policy.overage,
            rules=self._platform.rules,
        )
        return await self._platform.post(hold.payer, key, finish)

    async def void(self, hold: Hold, *, key: str) -> Receipt:
        """
        Give a hold back whole: the call failed.

        Raises:
            HoldNotPendingError: The hold was settled, voided or expired before.
        """
        return await self._platform.post(hold.payer, key, partial(metering.void, held=hold, key=key))

    async def record(
        self,
        account: str,
        *,
        model: str,
        response: object,
        key: str,
        workload: Workload = PLAIN,
        shape: Shape | str | None = None,
    ) -> Receipt:
        """
        Charge a call that was made without a hold, from the provider's answer (or a `Usage`).

        *shape* names the wire shape of the answer, if its keys should not be asked. It is charged at the price
        of the service tier that the answer says it was served with, else at that of the workload. A call that
        costs 0 PT is kept all the same. Nothing was estimated, so it teaches the estimator nothing.

        Raises:
            UsageMissingError: The answer has no usage.
            UsageInconsistentError: Its token counts do not add up; nothing was charged, and the call waits for
                a person; see `AsyncQuarantine`.
            UnknownModelError: No price or rate is known for the model, or none for how it was processed; the call
                waits for a person too, if the model's unit is known.
            UnknownTierError: It was served with a service tier that is not known; the call waits likewise.
            InsufficientFundsError: Less is available and the overage policy forbids owing; or nothing at all is,
                for a call that costs 0 PT.
        """
        try:
            reading = reading_of(response, shape)
        except UsageInconsistentError as problem:
            await set_aside(
                self._platform,
                account,
                key=key,
                model=model,
                problem=problem,
                workload=workload,
                payload=problem.payload,
            )
            raise
        charge = await rated(
            self._platform, account, key=key, model=model, workload=workload, reading=reading
        )
        work = partial(
            recording.record,
            account=account,
            key=key,
            overage=self._platform.policy.overage,
            charge=charge,
            usage=reading.usage,
            card=self._platform.pricing.card,
            rules=self._platform.rules,
        )
        return await self._platform.post(account, key, work)

    async def sweep(self, *, limit: int = 500) -> Swept:
        """Book holds and lots whose time is over; run it now and then, nothing depends on when."""
        return await self._platform.run(partial(sweeping.sweep, limit=limit))

    async def post(self, batch: Sequence[Linked]) -> list[tuple[Outcome, ...]]:
        """The door itself: carry out linked groups of commands in one transaction, in order."""
        work = partial(post_batch, batch=batch, card=self._platform.pricing.card)
        first = next((command.wallet.account for group in batch for command in group), "")
        return await self._platform.post(first, None, work)


def _cards(card: RateCard | Sequence[RateCard] | None) -> Sequence[RateCard]:
    if card is None:
        from ..configuration import reference_card

        return (reference_card(),)
    return (card,) if isinstance(card, RateCard) else card
