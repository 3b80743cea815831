"""Prices: what recorded calls would be charged by others, and the corrections that follow."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

from ..asking import typed
from ..domain.price_changes import PriceCheck, compared, last_uses
from ..domain.prices import ALWAYS
from ..domain.rerating import Basis, Span, Tally, authority
from ..domain.unpriced import EVERY_UNPRICED, UnpricedTally
from ..operations import reading, rerating
from ..repricing import Repricing, listed_price

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ..domain.rates import RateCard
    from ..domain.rerating import Authority, Rerating
    from ..domain.unpriced import UnpricedModel
    from .platform import AsyncPlatform


@typed
class AsyncPrices:
    """
    Prices, after the fact: ``meter.prices``.

    A call keeps the price it was charged by for ever. When that price was wrong, the call is rated again:
    what it should have been charged is worked out by the catalogue as it is now, for the time of the call,
    and the difference is posted now, as a correction that names the call.
    """

    def __init__(self, platform: AsyncPlatform) -> None:
        self._platform = platform

    async def preview(
        self,
        *,
        since: datetime,
        until: datetime,
        account: str | None = None,
        model: str | None = None,
        unpriced: bool = False,
        basis: Basis = Basis.CATALOGUE,
        card: RateCard | None = None,
    ) -> Rerating:
        """
        What `rerate` would come to; nothing is posted.

        Raises:
            InvalidArgumentError: A time has no zone, or *until* is not after *since*.
            ConfigurationError: The card that calls were rated by was put together in code: give one.
        """
        span = Span(since=since, until=until, account=account, model=model, unpriced=unpriced)
        return await self._rate(span, basis, card, None)

    async def rerate(
        self,
        *,
        since: datetime,
        until: datetime,
        reason: str,
        by: str,
        account: str | None = None,
        model: str | None = None,
        unpriced: bool = False,
        basis: Basis = Basis.CATALOGUE,
        card: RateCard | None = None,
    ) -> Rerating:
        """
        Rate the calls booked in [since, until) again, and post what they come to beyond what was charged.

        Each correction is booked now, in the open month, under the date of its call; the call's own row stays
        as it is, with its price and its cost. What is given back becomes a lot of its own that never expires.
        What is charged needs PT available: where there are too few it is refused, reported, and can be made
        up for a day later.

        It works in pages, each in a transaction of its own. Stopped and run again it goes on, and run once more
        it finds nothing to do, for it is decided by what was charged so far; so it needs no key.

        Args:
            since: Calls booked at this time or later.
            until: And before it.
            reason: Why; it stays on the journal.
            by: Who has it done, for the record.
            account: Only this account's calls.
            model: Only this model's, by the name its price has: ``gpt-4o-mini`` or ``openai/gpt-4o-mini``.
            unpriced: Only calls that were charged at `Policy.unpriced` for want of a price.
            basis: By the catalogue, or by what was charged at first, which takes all corrections back.
            card: The rate card; left out, each call keeps the one it was rated by.

        Raises:
            InvalidArgumentError: A time has no zone, *until* is not after *since*, or nobody or nothing is named
                as author or reason.
            ConfigurationError: The card that calls were rated by was put together in code: give one.
        """
        span = Span(since=since, until=until, account=account, model=model, unpriced=unpriced)
        return await self._rate(span, basis, card, authority(by, reason))

    async def check(self) -> PriceCheck:
        """
        Compare the prices that calls were rated by with the catalogue as it is now; see `PriceCheck`.

        It reads the whole journal, and holds nobody up.

        Raises:
            ConfigurationError: A card or a price does not hold together.
        """
        at, uses = await self._platform.survey(reading.price_uses)
        last = last_uses([use for use in uses if not use.price.is_ceiling])
        missing, changed = compared(last, partial(listed_price, self._platform.pricing.catalogue, at=at))
        unpriced: Mapping[str, int] = {}
        ready = 0
        if any(use.price.is_ceiling for use in uses):
            waiting = await self.preview(since=ALWAYS, until=at + timedelta(seconds=1), unpriced=True)
            unpriced, ready = waiting.unrated, waiting.differing
        return PriceCheck(
            at=at,
            models=len(last),
            missing=missing,
            changed=changed,
            unpriced=unpriced,
            ready=ready,
        )

    async def unpriced(self) -> tuple[UnpricedModel, ...]:
        """
        The models whose calls were charged at a ceiling for want of a price, and what `rerate` would mend.

        Where the calls are is kept apart from the journal, so it reads those and no others, with what corrected
        them, a thousand at a time and each on an unchanging view. With no such call it is one query. Call by
        call it works out what rating again would come to: a million of them take minutes.

        Raises:
            ConfigurationError: The card that calls were rated by was put together in code.
        """
        from ..configuration import kept_card

        here, tally = self._platform, UnpricedTally()
        rate = Repricing(here.pricing.catalogue, kept_card)
        place: rerating.Place | None = rerating.START
        while place is not None:
            page = await here.survey(partial(rerating.draft, span=EVERY_UNPRICED, rate=rate, place=place))
            tally.add(page.rated, unrated=page.unrated)
            place = page.next
        return tally.result()

    async def _rate(
        self, span: Span, basis: Basis, card: RateCard | None, who: Authority | None
    ) -> Rerating:
        from ..configuration import kept_card

        here, tally = self._platform, Tally()
        rate = Repricing(here.pricing.catalogue, kept_card, card) if basis is Basis.CATALOGUE else None
        place: rerating.Place | None = rerating.START
        while place is not None:
            page = await here.survey(partial(rerating.draft, span=span, rate=rate, place=place))
            if who and page.corrections:
                post = partial(rerating.correct, corrections=page.corrections, who=who, card=card)
                refused = await here.run(post)
                tally.refuse(refused)
                tally.posted += len(page.corrections) - len(refused)
            tally.add(page.rated)
            tally.unrated.update(each.event.price.model for each in page.unrated)
            place = page.next
        return tally.result(span)
