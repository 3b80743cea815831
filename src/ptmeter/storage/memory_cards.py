"""The rate cards that debits were rated by, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..domain.rollups import sells_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..domain.audit import Finding
    from ..domain.pt import Money
    from ..domain.rates import RateCard


class MemoryCards:
    """Rate cards inside one transaction on memory."""

    def __init__(self, cards: dict[str, str]) -> None:
        self._cards = cards

    def keep(self, card: RateCard) -> None:
        """See `ports.Cards.keep`."""
        self._cards.setdefault(card.version, card.as_json())

    def find(self, version: str) -> str | None:
        """See `ports.Cards.find`."""
        return self._cards.get(version)

    def selling(self, version: str) -> Mapping[str, Money]:
        """See `ports.Cards.selling`."""
        return sells_at(self._cards.get(version, ""))

    def altered(self) -> list[Finding]:
        """See `ports.Cards.altered`; nobody gets at what is in memory."""
        return []

    def missing(self) -> list[Finding]:
        """See `ports.Cards.missing`; a card is kept with the debit here."""
        return []
