"""
What the genai-prices package lists for a model, as dated prices of our own: integers, with nothing rounded.

Its prices are exact decimals in dollars per million tokens, per thousand pieces and per hour; ours are whole
pico-dollars per token and nano-dollars per piece or hour. One that would have to be rounded is refused.

How a call is processed has a price of its own, or none: where the catalogue lists no price of a batch, of
flexible or of priority processing, the standard one does not take its place. What such a price does not
name costs what it does otherwise (a read from the cache, at Gemini's batches), as genai-prices decides.
"""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, time
from decimal import Decimal
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from ..domain.prices import ALWAYS, Price, Processing, Tier
from ..errors import ConfigurationError

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
    "ocr_page": "input_document_kpages",
    "ocr_annotated_page": "input_annotated_document_kpages",
    "search_unit": "rerank_searches_kcount",
}
"""What is listed per thousand calls of a provider's own tool, or pages."""

CHARACTERS: Final[Mapping[str, str]] = {"character": "input_mchars"}
"""What is listed per million characters."""

HOURS: Final[Mapping[str, tuple[str, ...]]] = {"audio_hour": ("input_audio_hours", "audio_hours")}
"""What is listed by the hour: the first that is listed, from the particular to the general."""

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

THOUSANDTH: Final = 3
"""Dollars per million characters to nano-dollars each: × 10³."""

NANO: Final = 9
"""Dollars to nano-dollars: × 10⁹."""


def listed_history(provider: Provider, model: ModelInfo, processing: Processing) -> Iterator[Price]:
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
    tools |= {name: _whole(where, *_first(listed, keys), shift=NANO) for name, keys in HOURS.items()}
    tools |= {
        name: _whole(where, key, getattr(listed, key), THOUSANDTH) for name, key in CHARACTERS.items()
    }
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
        key, found = _first(listed, keys)
        rate = _whole(where, key, _at_size(found, input_total))
        if rate is not None:
            rates[name] = rate
    return rates


def _first(listed: ModelPrice, keys: Sequence[str]) -> tuple[str, Decimal | TieredPrices | None]:
    """Return the first of *keys* that is listed, with what it is listed at; the last, if none is."""
    return next(
        ((key, price) for key in keys if (price := getattr(listed, key)) is not None), (keys[-1], None)
    )


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


def _whole(where: str, key: str, amount: Decimal | TieredPrices | None, shift: int = SHIFT) -> int | None:
    if amount is None:
        return None
    if not isinstance(amount, Decimal):
        msg = f"{where}: {key} depends on the size of the request, which only a price per token may: override it"
        raise ConfigurationError(msg)
    scaled = amount.scaleb(shift)
    if scaled != int(scaled):
        unit = "pico-dollar per token" if key.endswith("_mtok") else "nano-dollar per piece"
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
