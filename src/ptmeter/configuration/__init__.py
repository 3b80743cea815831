"""
Rate cards, plans and price overrides as people write them: JSON, or YAML where PyYAML is installed.

Every reader takes the path of a file or a mapping of what would be in it, and refuses what does not hold
together with one `ConfigurationError` that names the file, the line and the place of each problem: first
of those that one field has by itself, then of those between fields.
The conventions are the same everywhere:

* Amounts of PT and US dollars are text or whole numbers: ``"0.001"``, ``19``. A number with a decimal point
  is refused, for it would have been rounded to a binary fraction before anybody could look.
* Shares are text: ``"15%"``, to two decimals. How long something takes is text: ``"30 min"``, ``"24 h"``.
* Times are text: a date, which begins at midnight UTC, or a time with its offset.
* Names of models are patterns in lower case, without their provider; ``*`` and ``?`` as in file names.
* A field that is not known is refused. Remarks go into ``notes``, a list of texts.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from ..errors import InvariantError
from . import cards, documents
from . import plans as _plans
from . import prices as _prices

if TYPE_CHECKING:
    from ..domain.plans import Plans
    from ..domain.prices import Price
    from ..domain.rates import RateCard
    from .documents import Document, Source

__all__ = [
    "bundled_text",
    "kept_card",
    "read_plans",
    "read_prices",
    "read_rate_card",
    "reference_card",
    "reference_plans",
]


def read_rate_card(source: Source) -> RateCard:
    """
    Read a rate card; its version is the hash of all that is written in it.

    The fields are ``name``, ``effective_from``, ``notes``, ``units``, ``buffer`` and ``models``; the bundled
    ``reference/rate_card.json`` shows them all. A unit's ``method``, ``banded`` or ``cost_plus``, holds
    for its models unless their rule has one of its own. The first rule with a pattern that matches counts.

    Raises:
        ConfigurationError: The card does not hold together, or the file cannot be read.
    """
    return cards.card(documents.read(source, "rate card"))


def kept_card(version: str, text: str) -> RateCard:
    """
    Read a rate card back as it was kept with the debits that it rated.

    Raises:
        ConfigurationError: It was not read from a card file, but put together in code.
        InvariantError: It is not what it was.
    """
    found = cards.card(documents.from_json(f"rate card {version}", text))
    if found.version != version:
        msg = f"rate card {version} is not what it was: its content gives {found.version}"
        raise InvariantError(msg)
    return found


def read_plans(source: Source) -> Plans:
    """
    Read the plans of a platform: ``plans``, by name, as in the bundled ``reference/plans.json``.

    Raises:
        ConfigurationError: The plans do not hold together, or the file cannot be read.
    """
    return _plans.plans(documents.read(source, "plans"))


def read_prices(source: Source) -> dict[str, tuple[Price, ...]]:
    """
    Read price overrides: ``prices``, by model, each a list of prices with their dates.

    A price has ``effective_from`` (always, if left out), ``provider`` (unless the model is written as
    ``provider/model``), ``usd_per_million_tokens`` by token class, ``tiers`` of other rates ``above`` so
    many input tokens, ``usd_per_tool_call`` by tool and ``usd_per_request``. A class that is not named is
    refused when it is used, except cache reads and reasoning, which then cost what other input and output
    do. A price of nothing has to say ``free: true``.

    Raises:
        ConfigurationError: The prices do not hold together, or the file cannot be read.
    """
    return _prices.prices(documents.read(source, "prices"))


def reference_card() -> RateCard:
    """The bundled rate card: core and advanced PT, banded, and which models are charged in which."""
    return cards.card(_bundled("rate_card.json"))


def reference_plans() -> Plans:
    """The bundled plans, from freemium to enterprise."""
    return _plans.plans(_bundled("plans.json"))


def bundled_text(name: str) -> str:
    """The text of a bundled file: ``plans.json`` or ``rate_card.json``."""
    return (resources.files("ptmeter") / "reference" / name).read_text(encoding="utf-8")


def _bundled(name: str) -> Document:
    return documents.from_json(f"ptmeter/reference/{name}", bundled_text(name))
