"""The prices and rate cards that debits were rated by, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..domain.prices import PriceUse
from ..domain.rerating import call_of
from ..domain.rollups import sells_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from ..domain.audit import Finding
    from ..domain.ledger import Transfer, WalletId
    from ..domain.prices import Price
    from ..domain.pt import Money
    from ..domain.rates import RateCard


class MemoryPrices:
    """Prices inside one transaction on memory; those on the rows of *journal* are kept by the rows."""

    def __init__(self, kept: dict[str, Price], journal: Mapping[WalletId, tuple[Transfer, ...]]) -> None:
        self._kept = kept
        self._journal = journal

    def keep(self, prices: Iterable[Price]) -> None:
        """See `ports.Prices.keep`."""
        self._kept.update((price.version, price) for price in prices)

    def find(self, versions: Iterable[str]) -> dict[str, Price]:
        """See `ports.Prices.find`."""
        known = {use.price.version: use.price for use in self.uses()} | self._kept
        return {version: known[version] for version in versions if version in known}

    def uses(self) -> list[PriceUse]:
        """See `ports.Prices.uses`."""
        found: dict[Price, list[datetime]] = {}
        for row in (row for rows in self._journal.values() for row in rows):
            if event := call_of(row):
                found.setdefault(event.price, []).append(row.booked_at)
        return [PriceUse(price, len(times), max(times)) for price, times in found.items()]


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
