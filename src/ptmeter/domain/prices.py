"""
What the provider charges, at a moment: integer rates per token class, with context-window tiers.

Rates are pico-units of the currency per token, so a list price in dollars per million tokens is exact
to six decimals: US$0.15 per million is 150,000 pico-dollars a token. A cost is summed exactly and
rounded once, half up, to the nano-unit.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..errors import InvalidArgumentError, UnknownModelError
from .arguments import check_fields, check_rates
from .pt import Money
from .usage import TOKEN_CLASSES, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PICO_PER_NANO: Final = 1_000

LISTED_BY: Final[Mapping[str, tuple[str, int]]] = {"audio_second": ("audio_hour", 3_600)}
"""Pieces that are counted in one unit and listed in another, and how many of the one are one of the other."""

UNPRICED: Final = "unpriced"
"""The provider and the source of a stand-in price, by which models without one are charged."""

ALWAYS: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The effective date of a price that has no known beginning."""


class Processing(StrEnum):
    """
    How a provider processes a call, where it charges another price for it.

    Whose word for it means which of these is in `ptmeter.providers.tiers`, with the sources.
    """

    STANDARD = "standard"
    """As it is when nothing else is asked for; for a workload also: nothing was said."""
    BATCH = "batch"
    """Handed in as a batch and answered within a day."""
    FLEX = "flex"
    """When there is room, for less."""
    PRIORITY = "priority"
    """Before others, for more."""
    FAST = "fast"
    """By more hardware, for more."""
    ULTRAFAST = "ultrafast"
    """OpenAI's fastest; no price of it is in the catalogue that ships, so it takes one of your own."""
    UNKNOWN = "unknown"
    """A service tier that is not known here: it has no price, and is charged at `Policy.unpriced` or not at all."""

    @property
    def price_name(self) -> str:
        """What its price is called: ``price``, ``batch price``."""
        return "price" if self is Processing.STANDARD else f"{self} price"


@dataclass(frozen=True, slots=True)
class Tier:
    """Other rates for the *whole* request once its input exceeds *above* tokens (cache included)."""

    above: int
    rates: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """
    One model's price list from *effective_from* on, for calls that are processed in one way.

    ``rates`` and the tiers' rates hold pico-units per token by class; ``tools`` and ``request`` hold
    nano-units per call, or whatever the piece is: a page, an hour of sound. ``source`` says where the figures
    come from, with its version.
    """

    provider: str
    model: str
    source: str
    rates: Mapping[str, int]
    tiers: tuple[Tier, ...] = ()
    tools: Mapping[str, int] = field(default_factory=dict[str, int])
    request: int = 0
    currency: str = "USD"
    effective_from: datetime = ALWAYS
    processing: Processing = Processing.STANDARD
    version: str = field(init=False, repr=False, compare=False)
    """A name for exactly these figures: the digest of the canonical JSON, 16 hex digits."""

    def __post_init__(self) -> None:
        check_fields(self)
        for rates in (self.rates, self.tools, *(tier.rates for tier in self.tiers)):
            check_rates(rates, self.model)
        for rates in (self.rates, *(tier.rates for tier in self.tiers)):
            if unknown := set(rates) - set(TOKEN_CLASSES):
                msg = f"{self.model}: {sorted(unknown)} are not token classes"
                raise InvalidArgumentError(msg)
        amounts = [*self.rates.values(), *self.tools.values(), self.request]
        if min(amounts, default=0) < 0 or any(min(t.rates.values(), default=0) < 0 for t in self.tiers):
            msg = f"{self.model}: a price cannot be negative"
            raise InvalidArgumentError(msg)
        if any(low.above >= high.above for low, high in pairwise(self.tiers)):
            msg = f"{self.model}: tiers must be in ascending order"
            raise InvalidArgumentError(msg)
        if self.processing is Processing.UNKNOWN:
            msg = f"{self.model}: a service tier that is not known has no price"
            raise InvalidArgumentError(msg)
        version = blake2b(self.as_json().encode(), digest_size=8).hexdigest()
        object.__setattr__(self, "version", version)

    def __hash__(self) -> int:
        return hash(self.version)

    @property
    def is_ceiling(self) -> bool:
        """Whether it stands in for a price that is not known."""
        return self.provider == UNPRICED

    @property
    def is_empty(self) -> bool:
        """Whether it names no rate for any token and no amount for any piece."""
        return not self.rates and not any(self.tools.values())

    @property
    def adds_pieces(self) -> bool:
        """Whether it names pieces alone: it is laid over whatever price there is for the tokens."""
        return not self.rates and bool(self.tools)

    @property
    def full_name(self) -> str:
        """Who charges it for what: ``openai/gpt-4o-mini``, ``openai/gpt-4o-mini (batch)``."""
        return full_name(self.provider, self.model, self.processing)

    def cost(self, usage: Usage) -> Money:
        """
        What the provider charges for *usage*.

        Raises:
            UnknownModelError: The usage has a token class or a piece for which there is no price.
        """
        rates = self._rates_for(usage.input_total)
        try:
            pico = sum(rates[name] * count for name, count in usage.tokens().items())
        except KeyError as missing:
            raise UnknownModelError(self.model, f"price for {missing.args[0]}") from None
        return self._money(pico + self._pico_for_all_pieces(usage), usage)

    def cost_beside_tokens(self, usage: Usage) -> Money:
        """
        What the provider charges for *usage* beside its tokens: for the pieces and by the request.

        Raises:
            UnknownModelError: There is no price for one of the pieces.
        """
        return self._money(self._pico_for_all_pieces(usage), usage)

    def priced_pieces(self) -> frozenset[str]:
        """The pieces that have a price, by the names they are counted under."""
        counted = {piece for piece, (listed, _) in LISTED_BY.items() if listed in self.tools}
        return frozenset(counted | self.tools.keys())

    def as_json(self) -> str:
        """The price as canonical JSON: equal prices give equal text."""
        facts: dict[str, Any] = {
            "provider": self.provider,
            "model": self.model,
            "source": self.source,
            "currency": self.currency,
            "effective_from": self.effective_from.isoformat(),
            "rates": dict(self.rates),
            "tiers": [{"above": tier.above, "rates": dict(tier.rates)} for tier in self.tiers],
            "tools": dict(self.tools),
            "request": self.request,
        }
        if self.processing is not Processing.STANDARD:  # so that every other price keeps its version
            facts["processing"] = str(self.processing)
        return json.dumps(facts, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Price:
        """Read back what `as_json` wrote."""
        facts = json.loads(text)
        facts["effective_from"] = datetime.fromisoformat(facts["effective_from"])
        facts["processing"] = Processing(facts.get("processing", Processing.STANDARD))
        facts["tiers"] = tuple(Tier(tier["above"], tier["rates"]) for tier in facts["tiers"])
        return cls(**facts)

    def _money(self, pico: int, usage: Usage) -> Money:
        rounded = (pico + PICO_PER_NANO // 2) // PICO_PER_NANO
        return Money(rounded + self.request * usage.requests, self.currency)

    def _pico_for_all_pieces(self, usage: Usage) -> int:
        pieces = usage.pieces()
        if missing := sorted(set(pieces) - self.priced_pieces()):
            names = ", ".join(missing)
            remedy = override_for(self.model, missing, provider=self.provider, processing=self.processing)
            raise UnknownModelError(self.model, f"price for {names}", remedy)
        return sum(self._pico_for_pieces(name, count) for name, count in pieces.items())

    def _pico_for_pieces(self, name: str, count: int) -> int:
        """Pico-units, without the fraction of one that only pieces listed otherwise have: it decides no rounding."""
        listed, pieces = LISTED_BY.get(name, (name, 1))
        if name in self.tools or listed not in self.tools:
            listed, pieces = name, 1
        return self.tools[listed] * count * PICO_PER_NANO // pieces

    def _rates_for(self, input_total: int) -> Mapping[str, int]:
        rates = self.rates
        for tier in self.tiers:
            if input_total > tier.above:
                rates = tier.rates
        return rates


class PriceUse(NamedTuple):
    """A price that calls were rated by: how many were, and when the last of them was booked."""

    price: Price
    calls: int
    last_at: datetime


def full_name(provider: str, model: str, processing: Processing) -> str:
    """What the price of a model is called among all prices: nothing is said of what is standard."""
    name = f"{provider}/{model}"
    return name if processing is Processing.STANDARD else f"{name} ({processing})"


def override_for(
    model: str,
    pieces: Iterable[str],
    *,
    provider: str = "",
    processing: Processing = Processing.STANDARD,
) -> str:
    """What to write into the price file so that *pieces* have a price, but for the amounts, which are not known."""
    known = provider not in ("", UNPRICED)
    price: dict[str, Any] = {} if known or "/" in model else {"provider": "WHO_CHARGES_IT"}
    if processing is not Processing.STANDARD:
        price["processing"] = str(processing)
    price["usd_per_tool_call"] = dict.fromkeys(sorted(pieces), "US_DOLLARS_FOR_ONE")
    name = f"{provider}/{model}" if known else model
    line = json.dumps({"prices": {name: [price]}})
    return f"price it by an override, {line}"


def laid_over(history: Sequence[Price], pieces: Sequence[Price]) -> tuple[Price, ...]:
    """
    A price history with what *pieces* name from their dates on; without one, *pieces* are all there is.

    A price that names nothing stays so: what one of its tokens costs is not known, and neither is that it is nothing.
    """
    if not pieces or not history:
        return tuple(history or pieces)
    merged: list[Price] = []
    for since in sorted({price.effective_from for price in (*history, *pieces)}):
        price, own = price_at(history, since), price_at(pieces, since)
        if price is None:
            continue
        if own and not price.is_empty:
            tools, request = {**price.tools, **own.tools}, own.request or price.request
            source = f"{price.source}; {own.source}"
            price = replace(price, source=source, tools=tools, request=request, effective_from=since)
        if price not in merged:
            merged.append(price)
    return tuple(merged)


def price_at(history: Sequence[Price], at: datetime) -> Price | None:
    """The price in force at *at*: the latest that had begun, or ``None`` before the first."""
    begun = [price for price in history if price.effective_from <= at]
    return max(begun, key=lambda price: price.effective_from, default=None)
