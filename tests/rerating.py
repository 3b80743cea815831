"""What the tests of rating calls again share: a price list that can be changed, a card, and a few calls."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ptmeter import Price, Processing, UnknownModelError, Usage, read_rate_card

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ptmeter import RateCard

BUFFER = {
    "bloat": {"simple": "15%", "moderate": "20%", "complex": "25%"},
    "retries": {"least": "5%", "most": "15%"},
    "moderation": {"text": "3%", "code": "5%", "mixed": "8%"},
    "tool_calls": {"each": "2%", "at_most": "10%"},
    "variance": "7%",
    "total": {"least": "33%", "most": "68%"},
}


def price(model: str, rate: int) -> Price:
    """A price of so many pico-dollars for each token in, and four times that for each out."""
    rates = {"input_uncached": rate, "input_cache_read": rate // 2, "output_text": 4 * rate}
    return Price(provider="acme", model=model, source="list", rates=rates)


class PriceList:
    """A catalogue that can be changed: pico-dollars per token, by model, and as ``model_batch`` for its batches."""

    def __init__(self, **rates: int) -> None:
        self.rates: Mapping[str, int] = rates

    def price(self, model: str, at: datetime, *, processing: Processing = Processing.STANDARD) -> Price:
        name = model.removeprefix("acme/")
        key = name if processing is Processing.STANDARD else f"{name}_{processing}"
        if key not in self.rates:
            raise UnknownModelError(model, processing.price_name)
        return replace(price(name, self.rates[key]), processing=processing)


def card(*, large_in: str = "core", step: str = "0.01", method: str = "cost_plus") -> RateCard:
    """A card by cost plus a buffer, but for ``banded`` models; ``large`` is charged in *large_in*."""
    bands = [{"tokens": 1_000, "pt": 1}, {"tokens": 5_000, "pt": 3}]
    unit: dict[str, Any] = {
        "pays_for": "0.001",
        "sells_at": "0.01",
        "method": method,
        "step": step,
        "bands": bands,
    }
    return read_rate_card(
        {
            "name": "house",
            "effective_from": "2020-01-01",
            "units": {"core": unit, "advanced": unit},
            "buffer": BUFFER,
            "models": [
                {"patterns": ["banded"], "unit": "core", "method": "banded"},
                {"patterns": ["large"], "unit": large_in},
                {"patterns": ["*"], "unit": "core"},
            ],
        }
    )


def used(tokens: int, cached: int = 0, output: int = 100) -> Usage:
    """A usage."""
    return Usage(input_uncached=tokens, input_cache_read=cached, output_text=output)
