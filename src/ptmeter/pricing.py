"""What a call costs: the tokenizers, the price catalogue and the rate card, asked together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from .domain.calibration import checked_route
from .domain.estimates import Count, Estimate
from .domain.keys import digest
from .domain.policy import HoldSize
from .domain.rates import PLAIN, card_at
from .domain.usage import Quality, Usage
from .errors import InvalidArgumentError, InvariantError, UnknownModelError
from .learning import Learning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .domain.calibration import Bound
    from .domain.ledger import UsageEvent
    from .domain.policy import Policy
    from .domain.prices import Price
    from .domain.rates import Charge, RateCard, Tariff, Workload
    from .domain.sketches import Quantile
    from .learning import Outlook

    Request = str | Sequence[Mapping[str, Any]] | Mapping[str, Any]
    """What is sent to a model: text, chat messages, or the whole body of the request."""


OUTPUT_LIMITS: Final = ("max_completion_tokens", "max_output_tokens", "max_tokens")
"""Where requests say how long the answer may be: OpenAI chat, OpenAI responses, Anthropic and others."""

MOST_TARIFFS: Final = 1_000
"""Names of models whose tariff is remembered; whoever sends us more is not calling models."""


class Catalogue(Protocol):
    """Where prices come from."""

    def price(self, model: str, at: datetime) -> Price:
        """
        The price of *model* at that time.

        Raises:
            UnknownModelError: There is none.
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
        self._cards = tuple(cards)
        self._policy = policy
        self._catalogue = catalogue
        self._tokens = tokens
        self.learning = learning or Learning()
        self._clock = clock or _utc_now
        self._tariffs: dict[str, Tariff] = {}

    @property
    def catalogue(self) -> Catalogue:
        """Where its prices come from."""
        return self._catalogue

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
    ) -> Estimate:
        """
        What a call is expected to cost and may cost at most.

        The upper bound counts every input token at the dearest rate it can have (a first request writes
        the cache), and the longest answer the request allows; if it does not say, the policy's assumption,
        or more if settled calls took more. What is held is that, unless the policy or *quantile*
        says otherwise.

        Raises:
            UnknownModelError: No price or rate is known for the model.
            InvalidArgumentError: The route cannot be one.
        """
        tariff = self._tariff(model)
        counted = self._tokens.count_request(model, request)
        stated = _checked("max_tokens", max_tokens) if max_tokens is not None else _output_limit(request)
        size = quantile or self._policy.hold
        learnt = self.learning.outlook(
            model, checked_route(route), counted.tokens, None if isinstance(size, HoldSize) else size
        )
        count = _corrected(counted, learnt)
        assumed_limit = max(self._policy.max_output_tokens, learnt.output_at_most)
        longest = stated or max(assumed_limit, _tokens(learnt.output_within, 0))
        expected = min(_tokens(learnt.output, self._policy.expected_output_tokens), longest)
        likely = tariff.charge(Usage(input_uncached=count.tokens, output_text=expected), workload)
        worst = tariff.charge(_dearest(tariff.price, count.high, longest), workload)
        held = worst if size is not HoldSize.EXPECTED else likely
        if learnt.output_within:
            read, answered = _tokens(learnt.input_within, count.high), learnt.output_within.tokens
            held = tariff.charge(_dearest(tariff.price, read, min(answered, longest)), workload)
        return Estimate(
            model=model,
            unit=tariff.unit,
            route=route,
            counted=counted.tokens,
            input=count,
            output_expected=expected,
            output_at_most=longest,
            expected=likely.amount,
            at_most=worst.amount,
            hold=held.amount,
            cost_expected=likely.cost,
            cost_at_most=worst.cost,
            definition=tariff.definition,
            notes=(*count.notes, *_what_it_rests_on(learnt, size)),
        )

    def charge(
        self, model: str, usage: Usage, workload: Workload = PLAIN, *, at: datetime | None = None
    ) -> Charge:
        """
        What *usage* of *model* costs, now or by what was in force *at* another time.

        Raises:
            UnknownModelError: No price or rate is known for the model, or for a class that was used.
        """
        return self._tariff(model, at).charge(usage, workload)

    def unit_of(self, model: str) -> str:
        """
        The unit that calls of *model* are charged in.

        Raises:
            UnknownModelError: No price or rate is known for the model.
        """
        return self._tariff(model).unit

    def count_broken_off(self, model: str, estimate: Estimate, text: str, known: Usage | None) -> Usage:
        """The usage of a stream that ended early: what the provider said of the input, and *text*."""
        output = self._tokens.count_text(model, text).tokens
        counted = Usage(output_text=output, quality=Quality.PARTIAL_ESTIMATED, requests=0)
        return (known or Usage(input_uncached=estimate.input.tokens)) + counted

    def _tariff(self, model: str, at: datetime | None = None) -> Tariff:
        """What *model* is rated by, now if left out; worked out again only when its price or the card changes."""
        at = at or self._clock()
        card = self.card_at(at)
        try:
            price = self._catalogue.price(model, at)
            known = self._tariffs.get(model)
            if known and known.price is price and known.card_version == card.version:
                return known
            tariff = card.tariff(model, price)
        except UnknownModelError:
            ceiling = self._policy.unpriced
            if ceiling is None:
                raise
            return card.tariff_in(ceiling.unit, model, ceiling.price(model))
        if len(self._tariffs) >= MOST_TARIFFS:
            self._tariffs.clear()
        self._tariffs[model] = tariff
        return tariff


class Repricing:
    """
    What calls recorded long ago would be charged by a catalogue.

    Each is rated by the price that the catalogue has for the time of the call, and by *card* or, left out,
    by the card it was rated by at first. A model is known by the name its price has.
    """

    def __init__(
        self, catalogue: Catalogue, read_card: Callable[[str, str], RateCard], card: RateCard | None = None
    ) -> None:
        self._catalogue = catalogue
        self._read_card = read_card
        self._card = card
        self._cards: dict[str, RateCard] = {}
        self._tariffs: dict[tuple[str, str, str], Tariff] = {}

    def __call__(self, event: UsageEvent, at: datetime, find_card: Callable[[str], str | None]) -> Charge:
        """
        What the call of *event*, which happened at that time, is charged.

        Raises:
            UnknownModelError: No price or rate is known for the model, or for a class that was used.
            ConfigurationError: The card it was rated by is not kept as a card file: give one.
        """
        card = self._card or self._first_card(event.card_version, find_card)
        listed = listed_price(self._catalogue, event.price, at)
        asked = (card.version, event.price.model, listed.version)
        if asked not in self._tariffs:
            if len(self._tariffs) >= MOST_TARIFFS:
                self._tariffs.clear()
            self._tariffs[asked] = card.tariff(event.price.model, listed)
        return self._tariffs[asked].charge(event.usage, event.workload)

    def _first_card(self, version: str, find_card: Callable[[str], str | None]) -> RateCard:
        if version not in self._cards:
            kept = find_card(version)
            if kept is None:
                msg = (
                    f"the rate card {version}, by which calls were rated, is not kept: run `ptmeter verify`"
                )
                raise InvariantError(msg)
            self._cards[version] = self._read_card(version, kept)
        return self._cards[version]


def listed_price(catalogue: Catalogue, price: Price, at: datetime) -> Price:
    """
    What *catalogue* has at that time for the model of *price*.

    Raises:
        UnknownModelError: It has none.
    """
    if not price.is_ceiling:
        try:
            return catalogue.price(f"{price.provider}/{price.model}", at)
        except UnknownModelError:  # an override under the model's bare name: its price says whose it is
            found = catalogue.price(price.model, at)
            if found.provider == price.provider:
                return found
            raise
    return catalogue.price(price.model, at)


def assumed(estimate: Estimate) -> Usage:
    """What a call is taken to have used that was answered without a usable word about it."""
    return Usage(
        input_uncached=estimate.input.tokens,
        output_text=estimate.output_expected,
        quality=Quality.PARTIAL_ESTIMATED,
    )


def request_digest(
    model: str, request: Request, max_tokens: int | None, workload: Workload = PLAIN
) -> bytes:
    """What identifies a request, so that another one under the same key is noticed."""
    body = json.dumps(request, sort_keys=True, default=repr)
    kind = (str(workload.complexity), str(workload.content), workload.retry_rate, workload.tool_calls)
    return digest((model, max_tokens, body, *kind), size=16)


def _output_limit(request: Request) -> int | None:
    if not isinstance(request, Mapping):
        return None
    named = ((name, request[name]) for name in OUTPUT_LIMITS if request.get(name) is not None)
    return next((_checked(name, limit) for name, limit in named), None)


def _checked(name: str, limit: object) -> int:
    if type(limit) is not int or limit <= 0:
        msg = f"{name} must be a positive whole number of tokens, not {limit!r}"
        raise InvalidArgumentError(msg)
    return limit


def _corrected(counted: Count, learnt: Outlook) -> Count:
    """The count as settled calls have corrected it; its bound is never lowered, for it is to err high."""
    tokens = _tokens(learnt.input, counted.tokens)
    return replace(
        counted,
        tokens=tokens,
        high=max(counted.high, tokens, learnt.input_at_most, _tokens(learnt.input_within, 0)),
    )


def _tokens(bound: Bound | None, otherwise: int) -> int:
    return otherwise if bound is None else bound.tokens


def _what_it_rests_on(learnt: Outlook, size: HoldSize | Quantile) -> Iterator[str]:
    """Sentences about the calls that the figures were learnt from, or about the want of them."""
    if learnt.output:
        yield f"the answer is expected to be as long as those of {learnt.output.calls:,} calls settled before"
    if isinstance(size, HoldSize):
        return
    if learnt.output_within:
        calls = learnt.output_within.calls
        yield f"the hold is what {size} of calls stay within, by {calls:,} calls settled before"
    else:
        yield (
            f"the hold is the most the call can cost: it takes {size.calls_needed:,} settled calls of its "
            f"route to know what {size} of them stay within"
        )


def _dearest(price: Price, tokens: int, output: int) -> Usage:
    rates = price.rates
    writes = rates.get("input_cache_write_5m", 0) > rates.get("input_uncached", 0)
    return (
        Usage(input_cache_write_5m=tokens, output_text=output)
        if writes
        else Usage(input_uncached=tokens, output_text=output)
    )


def _utc_now() -> datetime:
    return datetime.now(UTC)
