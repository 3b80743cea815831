"""What a call costs: the tokenizers, the price catalogue and the rate card, asked together."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from .domain.calibration import checked_route
from .domain.estimates import Count, Estimate
from .domain.expected_usage import NO_PIECES, Sound, dearest_usage
from .domain.keys import digest
from .domain.policy import HoldSize
from .domain.prices import Processing, override_for
from .domain.rates import PLAIN, card_at
from .domain.usage import Quality, Usage
from .errors import ConfigurationError, InvalidArgumentError, UnknownModelError, UnknownTierError
from .expecting import expected_pieces, expected_use, what_it_rests_on
from .learning import Learning
from .providers.tiers import asked_processing, asked_tier, served_processing
from .reaching import Reach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .domain.policy import Policy
    from .domain.prices import Price
    from .domain.rates import Charge, RateCard, Tariff, Workload
    from .domain.sketches import Quantile
    from .expecting import Request
    from .providers.readings import Reading


MOST_TARIFFS: Final = 1_000
"""Names of models whose tariff is remembered; whoever sends us more is not calling models."""


class Catalogue(Protocol):
    """Where prices come from."""

    def price(self, model: str, at: datetime, *, processing: Processing = Processing.STANDARD) -> Price:
        """
        The price of *model* at that time, for calls that are processed so.

        Raises:
            UnknownModelError: There is none: the standard price never stands in for another.
        """
        ...


class Tokens(Protocol):
    """Who counts."""

    def count_text(self, model: str, text: str) -> Count:
        """Tokens of a text."""
        ...

    def count_request(self, model: str, request: Request) -> Count:
        """Input tokens of a request, with all that frames it."""
        ...


class Pricing:
    """Estimates and charges for one platform; holds no connection and may be shared between threads."""

    def __init__(
        self,
        cards: Sequence[RateCard],
        policy: Policy,
        *,
        catalogue: Catalogue,
        tokens: Tokens,
        learning: Learning | None = None,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        """*learning* is what calls that were settled taught; left out, nothing is known of any."""
        if not cards:
            msg = "a platform has a rate card: leave it out for the bundled one"
            raise ConfigurationError(msg)
        self._cards = tuple(cards)
        self._policy = policy
        self._catalogue = catalogue
        self._tokens = tokens
        self.learning = learning or Learning()
        self._clock = clock or _utc_now
        self._tariffs: dict[tuple[str, Processing], Tariff] = {}

    @property
    def catalogue(self) -> Catalogue:
        """Where its prices come from."""
        return self._catalogue

    def now(self) -> datetime:
        """The time it goes by."""
        return self._clock()

    @property
    def card(self) -> RateCard:
        """The rate card in force now."""
        return self.card_at(self._clock())

    def card_at(self, at: datetime) -> RateCard:
        """The rate card in force at that time; a single one always is."""
        return self._cards[0] if len(self._cards) == 1 else card_at(self._cards, at)

    def estimate(
        self,
        model: str,
        request: Request,
        *,
        max_tokens: int | None = None,
        workload: Workload = PLAIN,
        route: str = "",
        quantile: Quantile | None = None,
        pieces: Mapping[str, int] = NO_PIECES,
    ) -> Estimate:
        """
        What a call is expected to cost and may cost at most.

        The upper bound counts every input token at the dearest rate it can have (a first request writes
        the cache), and the longest answer the request allows; if it does not say, the policy's assumption,
        or more if settled calls took more. It counts the searches and other calls of the provider's tools that
        the request turns on, and *pieces*, which the caller says. What is held is that, unless the policy or
        *quantile* says otherwise.

        Raises:
            UnknownModelError: No price or rate is known for the model, or none for how it is to be processed.
            UnknownTierError: The request asks for a service tier that is not known.
            InvalidArgumentError: The route cannot be one, or the request and the workload contradict each other.
        """
        workload = self.asked(model, request, workload)
        tariff = self._tariff(model, workload.processing)
        counted = self._tokens.count_request(model, request)
        size = quantile or self._policy.hold
        learnt = self.learning.outlook(
            model, checked_route(route), counted.tokens, None if isinstance(size, HoldSize) else size
        )
        beside = expected_pieces(tariff.price, model, request, pieces, self._policy.max_tool_calls)
        use = expected_use(
            tariff.price, request, counted, learnt, beside, self._policy, size=size, max_tokens=max_tokens
        )
        likely, worst, held = (tariff.charge(usage, workload) for usage in (use.likely, use.most, use.held))
        return Estimate(
            model=model,
            unit=tariff.unit,
            route=route,
            counted=counted.tokens,
            input=use.input,
            output_expected=use.output_expected,
            output_at_most=use.output_at_most,
            spoken=use.spoken and "output_audio" in tariff.price.rates,
            expected=likely.amount,
            at_most=worst.amount,
            hold=held.amount,
            cost_expected=likely.cost,
            cost_at_most=worst.cost,
            definition=tariff.definition,
            pieces=beside.most,
            notes=(
                *use.input.notes,
                *what_it_rests_on(learnt, size),
                *beside.notes,
                *_at_which_price(workload),
            ),
        )

    def charge(
        self, model: str, usage: Usage, workload: Workload = PLAIN, *, at: datetime | None = None
    ) -> Charge:
        """
        What *usage* of *model* costs, now or by what was in force *at* another time.

        Raises:
            UnknownModelError: No price or rate is known for the model, for how it was processed, or for a class
                that was used.
        """
        try:
            tariff = self._tariff(model, workload.processing, at)
        except UnknownModelError as unknown:
            pieces = usage.pieces()
            if usage.total or not pieces or unknown.missing != workload.processing.price_name:
                raise
            remedy = override_for(model, pieces, processing=workload.processing)
            raise UnknownModelError(model, f"price for {', '.join(sorted(pieces))}", remedy) from unknown
        return tariff.charge(usage, workload)

    def asked(self, model: str, request: Request, workload: Workload) -> Workload:
        """
        The workload of a call that is about to be sent: with the processing that the request asks for, if it does.

        Raises:
            UnknownTierError: It asks for a service tier that is not known.
            InvalidArgumentError: It asks for another processing than the workload, or is no request.
        """
        if not isinstance(request, str | Sequence | Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            msg = f"a request is a text, a list of messages or the whole body, not {request!r}"
            raise InvalidArgumentError(msg)
        tier, said = asked_tier(request), workload.processing
        if tier is None and said is Processing.STANDARD:
            return workload
        found = asked_processing(tier, self._charged_by(model), said)
        if found is Processing.UNKNOWN and self._policy.unpriced is None:
            raise UnknownTierError(model, tier or said)
        return replace(workload, processing=found)

    def served(self, model: str, workload: Workload, reading: Reading) -> Workload:
        """
        The workload of a call that was answered: with the processing that the answer says it had, if it does.

        Raises:
            UnknownTierError: It says a service tier that is not known, and there is no ceiling.
        """
        tier = reading.service_tier
        if tier is None:
            return workload
        found = served_processing(tier, self._charged_by(model), workload.processing)
        if found is Processing.UNKNOWN and self._policy.unpriced is None:
            raise UnknownTierError(model, tier, reading.raw)
        return replace(workload, processing=found)

    def count_broken_off(
        self, model: str, estimate: Estimate, text: str, known: Usage | None, *, sound: int = 0
    ) -> Usage:
        """
        The usage of a stream that ended early: what the provider said of the input, and *text*.

        Of an answer that is spoken that is the transcript, and *sound* its tokens of sound.
        """
        counted = Usage(
            output_text=self._tokens.count_text(model, text).tokens,
            output_audio=sound if estimate.spoken else 0,
            quality=Quality.PARTIAL_ESTIMATED,
            requests=0,
        )
        return (known or Usage(input_uncached=estimate.input.tokens)) + counted

    def reach(self, estimate: Estimate, workload: Workload, held: int) -> Reach:
        """
        How long an answer may become for which *held* micro-PT suffice, with the input that was estimated.

        All of an answer that is spoken counts as sound, its transcript too, as it does in the estimate.
        """
        tariff = self._tariff(estimate.model, workload.processing)
        sound = Sound(estimate.input.sound, estimate.spoken)

        def cost(output: int) -> int:
            usage = dearest_usage(tariff.price, estimate.input.high, output, sound, estimate.pieces)
            return tariff.charge(usage, workload).amount.micro

        return Reach(cost, lambda text: self._tokens.count_text(estimate.model, text).tokens, held)

    def unit_of(self, model: str) -> str:
        """
        The unit in which calls to *model* are charged.

        Raises:
            UnknownModelError: No price or rate is known for it.
        """
        return self._tariff(model, Processing.STANDARD).unit

    def unit_by_card(self, model: str) -> str:
        """
        The unit in which calls to *model* are charged once it has a price, whether or not it has one now.

        An empty text, if no rate is known for it either, and there is no ceiling.
        """
        with suppress(UnknownModelError):
            return self._tariff(model, Processing.STANDARD).unit
        with suppress(UnknownModelError):
            return self.card.rule(model).unit
        return ""

    def _charged_by(self, model: str) -> str:
        """Who charges for calls of *model*: they say what the name of a tier means."""
        try:
            return self._catalogue.price(model, self._clock()).provider
        except UnknownModelError:
            return model.partition("/")[0]

    def _tariff(self, model: str, processing: Processing, at: datetime | None = None) -> Tariff:
        """What *model* is rated by, now if left out; worked out again only when its price or the card changes."""
        at = at or self._clock()
        card, asked = self.card_at(at), (model, processing)
        try:
            price = price_for(self._catalogue, model, at, processing)
            known = self._tariffs.get(asked)
            if known and known.price is price and known.card_version == card.version:
                return known
            tariff = card.tariff(model, price)
        except UnknownModelError:
            ceiling = self._policy.unpriced
            if ceiling is None:
                raise
            at_cost = card.unit(ceiling.unit).at_cost  # bands go by tokens, whatever they cost
            return card.tariff_in(ceiling.unit, model, ceiling.price(model), method=at_cost)
        if len(self._tariffs) >= MOST_TARIFFS:
            self._tariffs.clear()
        self._tariffs[asked] = tariff
        return tariff


def price_for(catalogue: Catalogue, model: str, at: datetime, processing: Processing) -> Price:
    """
    The price of *model* for calls processed so, and no other, whatever the catalogue.

    Raises:
        UnknownModelError: There is none.
    """
    if processing is Processing.STANDARD:
        return catalogue.price(model, at)
    if processing is not Processing.UNKNOWN:
        found = catalogue.price(model, at, processing=processing)
        if found.processing is processing:
            return found
    raise UnknownModelError(model, processing.price_name)


def assumed(estimate: Estimate) -> Usage:
    """What a call is taken to have used that was answered without a usable word about it."""
    return Usage(
        input_uncached=estimate.input.tokens,
        output_text=0 if estimate.spoken else estimate.output_expected,
        output_audio=estimate.output_expected if estimate.spoken else 0,
        tool_calls={} if estimate.input.tokens or estimate.output_expected else estimate.pieces,
        quality=Quality.PARTIAL_ESTIMATED,
    )


def request_digest(
    model: str,
    request: Request,
    max_tokens: int | None,
    workload: Workload = PLAIN,
    pieces: Mapping[str, int] = NO_PIECES,
) -> bytes:
    """What identifies a request, so that another one under the same key is noticed."""
    body = json.dumps(request, sort_keys=True, default=repr)
    kind = (str(workload.complexity), str(workload.content), workload.retry_rate, workload.tool_calls)
    said = (fact for piece in sorted(pieces.items()) for fact in piece)
    return digest((model, max_tokens, body, *kind, str(workload.processing), *said), size=16)


def _at_which_price(workload: Workload) -> Iterator[str]:
    if workload.processing is not Processing.STANDARD:
        yield f"at the {workload.processing.price_name}"


def _utc_now() -> datetime:
    return datetime.now(UTC)
