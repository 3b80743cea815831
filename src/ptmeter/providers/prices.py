"""
What the providers charge, from the genai-prices package, as integers and with nothing assumed.

The package is imported when a price is first asked for, and each model is looked up once. Its prices
are exact decimals in dollars per million tokens; ours are whole pico-dollars per token, and a price
that would have to be rounded to become one is refused. So is a model that is not listed, or listed
without a price per token: calling it would be free (LiteLLM #12337, PR #36561), and what is free has
to be said so, by an override with rates of zero.

How a call is processed has a price of its own, or none: where the catalogue lists no price of a batch, of
flexible or of priority processing, the standard one does not take its place. What such a price does not
name costs what it does otherwise (a read from the cache, at Gemini's batches), as genai-prices decides.
"""

from __future__ import annotations

import threading
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, time
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, NamedTuple

from ..domain.prices import ALWAYS, Price, Processing, Tier, full_name, price_at
from ..errors import ConfigurationError, InvalidArgumentError, UnknownModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from genai_prices.types import (
        ConditionalPrice,
        ModelInfo,
        ModelPrice,
        PriceVariant,
        Provider,
        TieredPrices,
    )

FALLBACKS: Final[Mapping[str, tuple[str, ...]]] = {
    "input_uncached": ("input_text_mtok", "input_mtok"),
    "input_cache_read": ("cache_read_mtok", "input_mtok"),
    "input_cache_read_audio": (
        "cache_audio_read_mtok",
        "cache_read_mtok",
        "input_audio_mtok",
        "input_mtok",
    ),
    "input_cache_read_image": (
        "cache_image_read_mtok",
        "cache_read_mtok",
        "input_image_mtok",
        "input_mtok",
    ),
    "input_cache_write_5m": ("cache_write_5m_mtok", "cache_write_mtok", "input_mtok"),
    "input_cache_write_1h": ("cache_write_1h_mtok", "cache_write_mtok", "input_mtok"),
    "input_audio": ("input_audio_mtok", "input_mtok"),
    "input_image": ("input_image_mtok", "input_mtok"),
    "output_text": ("output_text_mtok", "output_mtok"),
    "output_reasoning": ("output_reasoning_mtok", "output_mtok"),
    "output_audio": ("output_audio_mtok", "output_mtok"),
    "output_image": ("output_image_mtok", "output_mtok"),
}
"""Which listed price a token class has: the first that is listed, from the particular to the general."""

TOOLS: Final[Mapping[str, str]] = {
    "web_search": "web_searches_kcount",
    "file_search": "storage_searches_kcount",
    "x_search": "social_searches_kcount",
    "code_execution": "code_executions_kcount",
}
"""What is listed per thousand calls of a provider's own tool."""

FREE_TOOLS: Final[Mapping[str, tuple[str, ...]]] = {"anthropic": ("web_fetch",)}
"""Tools the provider says it does not charge for beyond their tokens (platform.claude.com, web fetch)."""

CONTEXTS: Final[Mapping[Processing, Mapping[str, str]]] = {
    Processing.BATCH: {"processing": "batch"},
    Processing.FLEX: {"service_tier": "flex"},
    Processing.PRIORITY: {"service_tier": "priority"},
    Processing.FAST: {"service_tier": "fast", "speed": "fast"},
    Processing.ULTRAFAST: {"service_tier": "ultrafast"},
}
"""What the catalogue calls each way of processing: the context that its price variants are chosen by."""

SHIFT: Final = 6
"""Dollars per million tokens to pico-dollars each, and per thousand calls to nano-dollars each: × 10⁶."""

MOST_NAMES: Final = 4_096
"""How many names are remembered: a name may come from a user, and any suffix may fit one model."""


class Listing(NamedTuple):
    """
    Price histories by name, and for those that cannot be exact integers, why.

    A name is ``provider/model``, with the processing in brackets unless it is the standard one.
    """

    prices: Mapping[str, tuple[Price, ...]]
    refused: Mapping[str, str]


class GenaiPrices:
    """
    The price list of the genai-prices package, with overrides that come before it.

    An override holds for the name it is given under and, if that is the catalogue's own name of a
    model, for every other way to write it: one for ``gpt-4o-mini`` also holds for
    ``openai/gpt-4o-mini`` and ``gpt-4o-mini-2024-07-18``. It takes the place of the prices for the same
    processing, and of no others. An instance may be used from many threads.

    Args:
        overrides: Prices by model; each history may have any number of effective dates.
    """

    def __init__(self, overrides: Mapping[str, Sequence[Price]] | None = None) -> None:
        self._overrides: dict[tuple[str, Processing], tuple[Price, ...]] = {}
        self._found: dict[tuple[str, str | None, Processing], tuple[Price, ...]] = {}
        self._lock = threading.Lock()
        for model, history in (overrides or {}).items():
            if not history:
                msg = f"the override for {model!r} has no price: give it one, with rates of zero if it is free"
                raise ConfigurationError(msg)
            for price in sorted(history, key=lambda price: price.effective_from):
                place = (model, price.processing)
                self._overrides[place] = (*self._overrides.get(place, ()), price)

    def prices(
        self, model: str, *, provider: str | None = None, processing: Processing = Processing.STANDARD
    ) -> tuple[Price, ...]:
        """
        Return the dated price history of a model, oldest first.

        Args:
            model: Its name as one writes it: ``gpt-4o-mini``, ``openai/gpt-4o-mini``, with a date.
            provider: Who serves it, if the name alone does not say so or another than its maker does.
            processing: How its calls are processed; it may have begun to have a price long after the model did.

        Raises:
            UnknownModelError: No price per token is known for it.
            ConfigurationError: A listed price is finer than a pico-dollar per token: override it.
        """
        names = (f"{provider}/{model}", model)
        if own := next(filter(None, (self._overrides.get((name, processing)) for name in names)), None):
            return own
        asked = (model, provider, processing)
        if found := self._found.get(asked):
            return found
        with self._lock:
            if asked not in self._found:
                if len(self._found) >= MOST_NAMES:
                    self._found.clear()
                self._found[asked] = self._look_up(model, provider, processing)
            return self._found[asked]

    def price(
        self,
        model: str,
        at: datetime,
        *,
        provider: str | None = None,
        processing: Processing = Processing.STANDARD,
    ) -> Price:
        """
        Return the price of a model in force at *at*, for calls that are processed so.

        Raises:
            UnknownModelError: No price per token is known for it, or none yet at that time.
            ConfigurationError: A listed price is finer than a pico-dollar per token: override it.
            InvalidArgumentError: The time has no time zone.
        """
        if at.tzinfo is None:
            msg = f"{at} has no time zone, and prices change at midnight UTC: use datetime.now(UTC)"
            raise InvalidArgumentError(msg)
        found = price_at(self.prices(model, provider=provider, processing=processing), at)
        if found is None or not found.rates:
            raise UnknownModelError(model, processing.price_name)
        return found

    def everything(self) -> Listing:
        """All that is listed, with the overrides in its place; it takes seconds."""
        from genai_prices.data import providers

        prices: dict[str, tuple[Price, ...]] = {}
        refused: dict[str, str] = {}
        for provider in providers:
            for info in provider.models:
                for processing in (Processing.STANDARD, *CONTEXTS):
                    try:
                        history = tuple(_history(provider, info, processing))
                    except ConfigurationError as problem:
                        refused[full_name(provider.id, info.id, processing)] = str(problem)
                        continue
                    if any(price.rates for price in history):
                        prices[full_name(provider.id, info.id, processing)] = history
        for history in self._overrides.values():
            prices[history[0].full_name] = history
        return Listing(prices, refused)

    def _look_up(self, model: str, provider: str | None, processing: Processing) -> tuple[Price, ...]:
        listed = _find(model, provider)
        if listed is None:
            raise UnknownModelError(model, processing.price_name)
        host, info = listed
        if own := self._overrides.get((f"{host.id}/{info.id}", processing)):
            return own
        if (own := self._overrides.get((info.id, processing))) and _find(info.id, None) == listed:
            return own
        history = tuple(_history(host, info, processing))
        if not any(price.rates for price in history):
            raise UnknownModelError(model, processing.price_name)
        return history


def _find(model: str, provider: str | None) -> tuple[Provider, ModelInfo] | None:
    """
    Return the catalogue's entry for a name, matched by the catalogue's own rules.

    Without a provider they are those for LiteLLM's names, which take a known ``provider/`` prefix off.
    """
    from genai_prices.data import providers
    from genai_prices.data_snapshot import DataSnapshot

    names = (model,) if provider is None else (model, model.partition("/")[2])
    for name in filter(None, names):
        # A snapshot remembers every name it was ever asked for: one for each search costs nothing.
        snapshot = DataSnapshot(providers, from_auto_update=False)
        try:
            return snapshot.find_provider_model(name, None, provider or "litellm", None)
        except LookupError:
            continue
    return None


def _history(provider: Provider, model: ModelInfo, processing: Processing) -> Iterator[Price]:
    """
    Return one price for each time at which the listed price for that processing changes.

    Several may be in force at one date, by time of day. The provider's clock decides which, and not
    ours at settlement, so each class is taken at its dearest, and ``source`` says so.
    """
    from genai_prices.types import ConditionalPrice, ModelPrice, StartDateConstraint

    listed = model.prices
    entries = [ConditionalPrice(prices=listed)] if isinstance(listed, ModelPrice) else listed
    variants = _variants(provider, model, processing)
    dates = {
        datetime.combine(entry.constraint.start_date, time(tzinfo=UTC))
        for entry in (*entries, *variants)
        if isinstance(entry.constraint, StartDateConstraint)
    }
    for since in sorted({ALWAYS, *dates}):
        if processing is Processing.STANDARD:
            found = list(_in_force(entries, since))
        elif begun := [one for one in variants if one.constraint is None or one.constraint.active(since)]:
            found = [_overlaid(one, begun) for one in _in_force(entries, since)]
        else:
            continue
        yield _dearest([_price(provider, model, one, since, processing) for one in found])


def _variants(provider: Provider, model: ModelInfo, processing: Processing) -> list[PriceVariant]:
    """Return what the provider lists for that processing; another's model is listed for no other than the standard."""
    from genai_prices.types import TimeOfDateConstraint

    context = CONTEXTS.get(processing, {})
    if not any(model is one for one in provider.models):
        return []
    found = [
        one
        for one in model.price_variants or ()
        if all(context.get(name) == value for name, value in one.when.items())
    ]
    if any(isinstance(one.constraint, TimeOfDateConstraint) for one in found):
        msg = (
            f"{provider.id}/{model.id}: the {processing.price_name} depends on the time of day: override it"
        )
        raise ConfigurationError(msg)
    return found


def _overlaid(standard: ModelPrice, variants: Sequence[PriceVariant]) -> ModelPrice:
    """Return the standard price with what the variants list in its place: of each the first, as genai-prices decides."""
    resolved = copy(standard)
    for variant in reversed(variants):
        listed = {key: price for key, price in vars(variant.prices).items() if price is not None}
        vars(resolved).update(listed)
    return resolved


def _in_force(entries: Sequence[ConditionalPrice], at: datetime) -> Iterator[ModelPrice]:
    """Return the prices of the day of *at*: later entries come before earlier ones, the first is the last resort."""
    from genai_prices.types import TimeOfDateConstraint

    for entry in reversed(entries):
        if isinstance(entry.constraint, TimeOfDateConstraint):
            yield entry.prices
        elif entry.constraint is None or entry.constraint.active(at):
            yield entry.prices
            return
    yield entries[0].prices


def _price(
    provider: Provider, model: ModelInfo, listed: ModelPrice, since: datetime, processing: Processing
) -> Price:
    where = f"{provider.id}/{model.id}"
    starts = sorted({tier.start for tiered in _tiered(listed) for tier in tiered.tiers})
    tools = {name: _whole(where, key, getattr(listed, key)) for name, key in TOOLS.items()}
    return Price(
        provider=provider.id,
        model=model.id,
        source=source(),
        rates=_rates(where, listed, 0),
        tiers=tuple(Tier(start, _rates(where, listed, start + 1)) for start in starts),
        tools=dict.fromkeys(FREE_TOOLS.get(provider.id, ()), 0)
        | {name: cost for name, cost in tools.items() if cost is not None},
        request=_whole(where, "requests_kcount", listed.requests_kcount) or 0,
        effective_from=since,
        processing=processing,
    )


@cache
def source() -> str:
    """The package with its version, which takes a search of the disk to find out."""
    return f"genai-prices {version('genai-prices')}"


def _rates(where: str, listed: ModelPrice, input_total: int) -> dict[str, int]:
    """Return the pico-dollars per token of each class in a request with so much input."""
    rates: dict[str, int] = {}
    for name, keys in FALLBACKS.items():
        key, found = next(((k, p) for k in keys if (p := getattr(listed, k)) is not None), (name, None))
        rate = _whole(where, key, _at_size(found, input_total))
        if rate is not None:
            rates[name] = rate
    return rates


def _at_size(listed: Decimal | TieredPrices | None, input_total: int) -> Decimal | None:
    """Return the price for a request of a size: the last tier it is *above*, as genai-prices decides."""
    if listed is None or isinstance(listed, Decimal):
        return listed
    reached = [tier.price for tier in listed.tiers if input_total > tier.start]
    return reached[-1] if reached else listed.base


def _tiered(listed: ModelPrice) -> Iterable[TieredPrices]:
    from genai_prices.types import TieredPrices

    keys = {key for keys in FALLBACKS.values() for key in keys}
    return [price for key in sorted(keys) if isinstance(price := getattr(listed, key), TieredPrices)]


def _whole(where: str, key: str, amount: Decimal | TieredPrices | None) -> int | None:
    if amount is None:
        return None
    if not isinstance(amount, Decimal):
        msg = f"{where}: {key} depends on the size of the request, which only a price per token may: override it"
        raise ConfigurationError(msg)
    scaled = amount.scaleb(SHIFT)
    if scaled != int(scaled):
        unit = "pico-dollar per token" if key.endswith("_mtok") else "nano-dollar per call"
        msg = f"{where}: {key} is listed as US${amount}, which is finer than a {unit}: override it"
        raise ConfigurationError(msg)
    return int(scaled)


def _dearest(prices: Sequence[Price]) -> Price:
    """Return the price that is, in each class and at each size, the dearest of those in force in turn."""
    if len(prices) == 1:
        return prices[0]
    starts = sorted({tier.above for price in prices for tier in price.tiers})
    return replace(
        prices[0],
        source=f"{prices[0].source}, dearest time of day",
        rates=_maxima(price.rates for price in prices),
        tiers=tuple(
            Tier(start, _maxima(_rates_above(price, start) for price in prices)) for start in starts
        ),
        tools=_maxima(price.tools for price in prices),
        request=max(price.request for price in prices),
    )


def _rates_above(price: Price, start: int) -> Mapping[str, int]:
    reached = [tier.rates for tier in price.tiers if tier.above <= start]
    return reached[-1] if reached else price.rates


def _maxima(amounts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    most: dict[str, int] = {}
    for one in amounts:
        most |= {name: max(amount, most.get(name, 0)) for name, amount in one.items()}
    return most
