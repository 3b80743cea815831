"""
What the providers charge, from the genai-prices package, as integers and with nothing assumed.

The package is imported when a price is first asked for, and each model is looked up once. Its prices
are exact decimals in dollars per million tokens; ours are whole pico-dollars per token, and a price
that would have to be rounded to become one is refused. So is a model that is not listed, or listed
without any price: calling it would be free (LiteLLM #12337, PR #36561), and what is free has to be said
so, by an override with rates of zero. One that is listed by the page or by the hour alone has a price for
those, and none for tokens.

How a listed price becomes one of ours is in `listed_prices`, and what is documented of pieces that it does not
list in `listed_pieces`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, NamedTuple

from ..domain.prices import ALWAYS, Price, Processing, full_name, laid_over, price_at
from ..errors import ConfigurationError, InvalidArgumentError, UnknownModelError
from .listed_pieces import with_pieces
from .listed_prices import CONTEXTS, listed_history

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from genai_prices.types import ModelInfo, Provider

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
    processing, and of no others. One that names pieces alone is laid over those prices instead: the tokens cost
    what they did. An instance may be used from many threads.

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
            UnknownModelError: No price is known for it.
            ConfigurationError: A listed price is finer than a pico-dollar per token: override it.
        """
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
            UnknownModelError: No price is known for it, or none yet at that time.
            ConfigurationError: A listed price is finer than a pico-dollar per token: override it.
            InvalidArgumentError: The time has no time zone.
        """
        if at.tzinfo is None:
            msg = f"{at} has no time zone, and prices change at midnight UTC: use datetime.now(UTC)"
            raise InvalidArgumentError(msg)
        found = price_at(self.prices(model, provider=provider, processing=processing), at)
        if found is None or found.is_empty:
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
                        history = with_pieces(tuple(listed_history(provider, info, processing)))
                    except ConfigurationError as problem:
                        refused[full_name(provider.id, info.id, processing)] = str(problem)
                        continue
                    if not all(price.is_empty for price in history):
                        prices[full_name(provider.id, info.id, processing)] = history
        for history in self._overrides.values():
            name = history[0].full_name
            prices[name] = _overridden(prices.get(name, ()), history)
        return Listing(prices, refused)

    def _look_up(self, model: str, provider: str | None, processing: Processing) -> tuple[Price, ...]:
        names = (f"{provider}/{model}", model)
        own = next(filter(None, (self._overrides.get((name, processing)) for name in names)), ())
        if _is_whole(own):
            return _overridden((), own)
        history: tuple[Price, ...] = ()
        if listed := _find(model, provider):
            host, info = listed
            own = own or self._overrides.get((f"{host.id}/{info.id}", processing), ())
            bare = () if own else self._overrides.get((info.id, processing), ())
            own = bare if bare and _find(info.id, None) == listed else own
            if not _is_whole(own):
                history = _listed(host, info, processing, own)
        history = _overridden(() if all(price.is_empty for price in history) else history, own)
        if not history:
            raise UnknownModelError(model, processing.price_name)
        return history


def _listed(
    host: Provider, info: ModelInfo, processing: Processing, own: tuple[Price, ...]
) -> tuple[Price, ...]:
    """What is listed; nothing, if that cannot be charged and *own* was written to take its place."""
    try:
        return with_pieces(tuple(listed_history(host, info, processing)))
    except ConfigurationError:
        if all(price.adds_pieces for price in own):
            raise
        return ()


def _overridden(listed: tuple[Price, ...], own: tuple[Price, ...]) -> tuple[Price, ...]:
    """What is listed until *own* begins, or with it laid over where that names pieces alone."""
    whole = tuple(price for price in own if not price.adds_pieces)
    before = tuple(each for each in listed if not whole or each.effective_from < whole[0].effective_from)
    return laid_over(before + whole, tuple(price for price in own if price.adds_pieces))


def _is_whole(own: tuple[Price, ...]) -> bool:
    """Whether nothing that is listed can ever matter beside it."""
    return any(not price.adds_pieces and price.effective_from <= ALWAYS for price in own)


def _find(model: str, provider: str | None) -> tuple[Provider, ModelInfo] | None:
    """
    Return the catalogue's entry for a name: the one that is called so, or by the catalogue's own rules.

    Without a provider they are those for LiteLLM's names, which take a known ``provider/`` prefix off. They do not
    find every entry by its own name, such as ``aws/regional.amazon.nova-2-lite-v1:0``.
    """
    from genai_prices.data import providers
    from genai_prices.data_snapshot import DataSnapshot

    host_id, _, model_id = (model if provider is None else f"{provider}/{model}").partition("/")
    for host in providers:
        if host.id == host_id:
            for info in host.models:
                if info.id == model_id:
                    return host, info
    names = (model,) if provider is None else (model, model.partition("/")[2])
    for name in filter(None, names):
        # A snapshot remembers every name it was ever asked for: one for each search costs nothing.
        snapshot = DataSnapshot(providers, from_auto_update=False)
        try:
            return snapshot.find_provider_model(name, None, provider or "litellm", None)
        except LookupError:
            continue
    return None
