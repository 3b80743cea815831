"""Price lists as commands read and write them: an export, a price file, or the installed catalogue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from ..domain.prices import Price, price_at
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from ..providers.prices import Listing

INSTALLED: Final = "installed"
"""What names the catalogue that is installed, where a file could be named."""

FORMAT: Final = "ptmeter-prices-1"


def export(listing: Listing, source: str) -> dict[str, Any]:
    """All prices with their history, exactly, as one JSON document."""
    return {
        "format": FORMAT,
        "source": source,
        "prices": {
            model: [json.loads(price.as_json()) for price in history]
            for model, history in sorted(listing.prices.items())
        },
        "refused": dict(sorted(listing.refused.items())),
    }


def read_list(name: str, at: datetime) -> dict[str, Price]:
    """
    The prices in force at a time, by their full name: of an export, a price file, or what is installed.

    Raises:
        ConfigurationError: There is no such file, or it is neither.
    """
    return {
        model: price
        for model, history in _histories(name).items()
        if (price := price_at(history, at)) is not None and price.rates
    }


def _histories(name: str) -> Mapping[str, tuple[Price, ...]]:
    from ..configuration import read_prices
    from ..providers.prices import GenaiPrices

    if name == INSTALLED:
        return GenaiPrices().everything().prices
    exported = _exported(Path(name))
    if exported is not None:
        return exported
    own: dict[str, tuple[Price, ...]] = {}
    for price in (price for history in read_prices(Path(name)).values() for price in history):
        own[price.full_name] = (*own.get(price.full_name, ()), price)
    return own


def _exported(path: Path) -> dict[str, tuple[Price, ...]] | None:
    """What an export holds; ``None`` if the file is none, or is not there, which `read_prices` says better."""
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(document, dict) or cast("dict[str, Any]", document).get("format") != FORMAT:
        return None
    exported: Any = cast("Any", document)
    try:
        return {
            model: tuple(Price.from_json(json.dumps(price)) for price in history)
            for model, history in exported["prices"].items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as damage:
        msg = f"{path}: expected an export of `ptmeter prices export`, and it is damaged: {damage!r}"
        raise ConfigurationError(msg) from damage
