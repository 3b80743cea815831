"""Playing the calls: what an application does with a meter, in several threads at once."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from ...errors import InsufficientFundsError, ModelLockedError
from .workload import MAX_TOKENS, Ending

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..._sync import Meter
    from .workload import Customer, Planned

THREADS: Final = 8

ABANDONED_FOR: Final = timedelta(seconds=1)
"""How long a hold waits whose application has died."""

TOP_UPS: Final = {"core": 500, "advanced": 100}
"""What a paying customer buys when a call is refused for want of PT."""

TOP_UP_EXPIRES: Final = timedelta(days=365)


class ProviderError(Exception):
    """The provider has broken down."""


class Application:
    """An application with a few customers: it makes their calls, and sells them PT when they run out."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._selling = Lock()
        self._sold: Counter[tuple[str, str]] = Counter()

    @property
    def top_ups(self) -> Counter[str]:
        """How many top-ups each account bought."""
        bought: Counter[str] = Counter()
        for (account, _), count in self._sold.items():
            bought[account] += count
        return bought

    def subscribe(self, customers: Sequence[Customer]) -> None:
        """Put the customers on their plans; the allowance lapses when the month is over."""
        until = datetime.now(UTC) + timedelta(days=30)
        for customer in customers:
            self._meter.plans.assign(
                customer.account, customer.plan, key=f"plan:{customer.account}", until=until
            )

    def play(self, calls: Sequence[Planned], advance: Callable[[int], None]) -> list[Ending]:
        """Make all calls, several at a time; returns how each ended."""

        def play_one(call: Planned) -> Ending:
            try:
                return self.make(call)
            finally:
                advance(1)

        with ThreadPoolExecutor(THREADS, thread_name_prefix="application") as threads:
            try:
                return list(threads.map(play_one, calls))
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise

    def make(self, call: Planned) -> Ending:
        """Make one call. A customer who pays buys more when the PT are used up, and asks again."""
        attempt = 1
        while True:
            sold = self._sold.copy()
            try:
                return self._send(call, key=f"call:{call.number}:{attempt}")
            except ModelLockedError:
                return Ending.LOCKED
            except InsufficientFundsError as refused:
                if call.customer.plan == "freemium":
                    return Ending.NO_FUNDS
                self._sell(call.customer.account, refused.unit, sold)
                attempt += 1  # a refusal is remembered under its key

    def _send(self, call: Planned, *, key: str) -> Ending:
        if call.ending is Ending.ABANDONED:
            return self._die_with(call, key=key)
        try:
            with self._meter.call(
                call.customer.account,
                model=call.model,
                messages=call.messages(),
                key=key,
                max_tokens=MAX_TOKENS,
            ) as metered:
                metered.record(_answer(call))
        except ProviderError:
            return Ending.FAILED
        return Ending.ANSWERED

    def _die_with(self, call: Planned, *, key: str) -> Ending:
        estimate = self._meter.estimate(call.model, call.messages(), max_tokens=MAX_TOKENS)
        amount = {estimate.unit: estimate.hold.whole}
        self._meter.hold(call.customer.account, key=key, ttl=ABANDONED_FOR, **amount)
        return Ending.ABANDONED

    def _sell(self, account: str, unit: str, before: Counter[tuple[str, str]]) -> None:
        """Sell one top-up, unless another thread has sold one since the call was refused."""
        with self._selling:
            number = self._sold[account, unit]
            if number > before[account, unit]:
                return
            self._meter.funds.grant(
                account,
                source="top-up",
                key=f"payment:{account}:{unit}:{number + 1}",
                expires_at=datetime.now(UTC) + TOP_UP_EXPIRES,
                **{unit: TOP_UPS[unit]},
            )
            self._sold[account, unit] += 1


def _answer(call: Planned) -> dict[str, Any]:
    """Stand in for the provider."""
    if call.ending is Ending.FAILED:
        raise ProviderError
    return call.answer()
