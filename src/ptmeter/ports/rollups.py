"""What wallets were charged, added up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from ..domain.ledger import Wallet
    from ..domain.margins import Grouping, Sum
    from ..domain.rollups import Bucket, Figures


class Rollups(Protocol):
    """What wallets were charged, day by day, added up in the transactions that charged them."""

    def of(self, wallet: Wallet) -> dict[Bucket, Figures]:
        """A wallet's roll-ups."""
        ...

    def sums(self, by: Grouping, since: int | None, until: int | None) -> list[Sum]:
        """Roll-ups of days in [since, until), since 1970, by group, unit and currency."""
        ...
