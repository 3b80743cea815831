"""What wallets were charged, added up by day, in memory."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from ..domain.margins import Sum, group_of
from ..domain.rollups import Figures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..domain.ledger import Wallet
    from ..domain.margins import Grouping
    from ..domain.rollups import Bucket


class MemoryRollups:
    """Roll-ups inside one transaction on memory."""

    def __init__(self, kept: Mapping[Bucket, Figures]) -> None:
        self._kept = kept

    def of(self, wallet: Wallet) -> dict[Bucket, Figures]:
        """See `ports.Rollups.of`."""
        return {bucket: figures for bucket, figures in self._kept.items() if bucket.wallet == wallet.id}

    def sums(self, by: Grouping, since: int | None, until: int | None) -> list[Sum]:
        """See `ports.Rollups.sums`."""
        found: defaultdict[tuple[str, str, str], Figures] = defaultdict(Figures)
        for bucket, figures in self._kept.items():
            if (since is None or bucket.day >= since) and (until is None or bucket.day < until):
                key = (group_of(bucket, by), bucket.wallet.unit, bucket.currency)
                found[key] = found[key].plus(figures)
        return [Sum(*key, figures) for key, figures in found.items()]
