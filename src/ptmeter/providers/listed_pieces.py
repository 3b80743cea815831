"""
What providers charge for pieces that the genai-prices package has units for, or none, and no price yet.

Each price is what the provider documents, with the page it is from and the date from which that says it holds;
one without a date has been the only one there was. Where the catalogue lists a price of the piece for the model by
now, that counts and what is here does not.

Not here, for the reports do not say what is billed or the provider does not say what it costs: Google Maps
from Gemini 3 on (billed by the query, and an answer tells only that there was one), Cohere's searches (its price
page has no price for one of them), OpenAI's code interpreter (billed by the container and not by the call).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from ..domain.prices import ALWAYS, Price, laid_over

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MILLI: Final = 1_000_000
"""Nano-dollars in a thousandth of a dollar: a dollar for a thousand pieces is that much for one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """What pieces cost at a provider, in nano-dollars each, for the models whose name matches."""

    provider: str
    models: str
    source: str
    tools: Mapping[str, int]
    effective_from: datetime = ALWAYS


DOCUMENTED: Final = (
    Pieces(
        provider="x-ai",
        models=r"grok-.+",
        source="docs.x.ai, Models and Pricing of 21 October 2025: Live Search",
        tools={"live_search_source": 25 * MILLI},
    ),
    Pieces(
        provider="x-ai",
        models=r"grok-.+",
        source="docs.x.ai, Pricing: Tool Invocation Costs; Release Notes of 19 November 2025",
        tools={
            "web_search": 5 * MILLI,
            "x_search": 5 * MILLI,
            "code_execution": 5 * MILLI,
            "file_search": 5 * MILLI // 2,
            "live_search_source": 25 * MILLI,
        },
        effective_from=datetime(2025, 11, 19, tzinfo=UTC),
    ),
    Pieces(
        provider="google",
        models=r"gemini-2\.5-.+",
        source="ai.google.dev, Gemini Developer API pricing: Grounding with Google Maps",
        tools={"maps_grounding": 25 * MILLI},
    ),
)
"""Where several are for the same model, the later one takes the place of the earlier."""


def with_pieces(history: Sequence[Price]) -> tuple[Price, ...]:
    """A price history of the catalogue, with the pieces that are documented and that it does not list itself."""
    if not history:
        return ()
    first = history[0]
    listed = {name for price in history for name in price.tools}
    documented = [
        Price(
            provider=first.provider,
            model=first.model,
            source=pieces.source,
            rates={},
            tools=tools,
            effective_from=pieces.effective_from,
            processing=first.processing,
        )
        for pieces in DOCUMENTED
        if pieces.provider == first.provider
        and re.fullmatch(pieces.models, first.model)
        and (tools := {name: cost for name, cost in pieces.tools.items() if name not in listed})
    ]
    return laid_over(history, documented)
