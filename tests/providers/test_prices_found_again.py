"""A call is rated again at a price of its own provider's, or not at all, whatever the catalogue makes of a name."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ptmeter import GenaiPrices, Price, UnknownModelError, read_prices
from ptmeter.repricing import listed_price

AT = datetime(2026, 11, 22, 12, tzinfo=UTC)
RATES = {"input_uncached": 3, "output_text": 15}


@pytest.fixture(scope="module")
def listed() -> GenaiPrices:
    return GenaiPrices()


def test_every_price_of_the_catalogue_is_found_again_as_itself(listed: GenaiPrices) -> None:
    """Of each model and processing: by the name it has on a debit comes the same price, and none of another's."""
    found: list[bool] = []
    for history in listed.everything().prices.values():
        in_force = [price for price in history if price.effective_from <= AT]
        found += [price == listed_price(listed, price, AT) for price in in_force[-1:] if not price.is_empty]

    assert len(found) > 2_000
    assert all(found)


@pytest.mark.parametrize("provider", ["anthropic-us", "us", "my-openai", "azure-eu"])
@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "gpt-4o", "gemini-2.5-pro"])
def test_a_route_that_lost_its_price_has_none(provider: str, model: str, listed: GenaiPrices) -> None:
    """What was charged at an override is not charged at the maker's price once that is gone, though names are alike."""
    own = read_prices({"prices": {f"{provider}/{model}": [{"usd_per_million_tokens": RATES}]}})
    overridden = GenaiPrices(own)
    charged = overridden.price(f"{provider}/{model}", AT)

    assert charged == listed_price(overridden, charged, AT)
    with pytest.raises(UnknownModelError, match=f"no price is known for model '{provider}/{model}'"):
        listed_price(listed, charged, AT)


def test_a_bare_name_counts_if_its_price_says_whose_it_is() -> None:
    """An override under a model's name alone is of the provider it names; another's, or the maker's, is not taken."""
    line: dict[str, Any] = {"provider": "house", "usd_per_million_tokens": RATES}
    prices = GenaiPrices(read_prices({"prices": {"gpt-4o": [line]}}))
    charged = prices.price("gpt-4o", AT)

    assert ("house", "gpt-4o") == (charged.provider, charged.model)
    assert charged == listed_price(prices, charged, AT)
    for other in ("openai", "acme"):
        with pytest.raises(UnknownModelError):
            listed_price(prices, replace(charged, provider=other), AT)


def test_the_catalogue_alone_would_take_that_of_another(listed: GenaiPrices) -> None:
    """Positive control: by its own rules the name of a route is one of Anthropic's models, for less."""
    taken = listed.price("anthropic-us/claude-sonnet-4-5", AT)

    assert "anthropic" == taken.provider
    charged = Price(provider="anthropic-us", model=taken.model, source="own", rates=taken.rates)
    with pytest.raises(UnknownModelError):
        listed_price(listed, charged, AT)
