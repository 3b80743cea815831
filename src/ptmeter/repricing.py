"""What calls recorded long ago would be charged by a catalogue: each at its own time, by a card."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import InvariantError, UnknownModelError
from .pricing import MOST_TARIFFS, price_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from .domain.ledger import UsageEvent
    from .domain.prices import Price, Processing
    from .domain.rates import Charge, RateCard, Tariff
    from .pricing import Catalogue


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
        listed = listed_price(self._catalogue, event.price, at, event.workload.processing)
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


def listed_price(
    catalogue: Catalogue, price: Price, at: datetime, processing: Processing | None = None
) -> Price:
    """
    What *catalogue* has at that time for the model of *price*, for calls processed as that price is for.

    Only a price of the same provider counts, whatever the catalogue makes of the provider's name: it takes
    ``anthropic-us`` for Anthropic, which charges less. A ceiling stands in for a price that nobody had, and whatever
    the *processing* of a call, so that has to be said.

    Raises:
        UnknownModelError: It has none.
    """
    sought = processing or price.processing
    if price.is_ceiling:
        return price_for(catalogue, price.model, at, sought)
    for name in (f"{price.provider}/{price.model}", price.model):  # an override may be under the bare name
        try:
            found = price_for(catalogue, name, at, sought)
        except UnknownModelError:
            continue
        if found.provider == price.provider:
            return found
    name = f"{price.provider}/{price.model}"
    raise UnknownModelError(name, sought.price_name)
