"""
Usage that is billed afterwards: what of a day's charges was reported, and what is still to be.

A report says by how much a day's charges have grown since the report before it. Its id follows from the wallet, the
day and its number in the row of that day's reports, so two that compute the same report write one message. What was
reported is in these messages and nowhere else.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from .instants import moment
from .keys import digest
from .messages import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from .ledger import WalletId
    from .rollups import Bucket, Figures

TOPIC: Final = "stripe.meter_event"
"""The topic of a report."""

_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """So many micro-PT more were charged on a day (since 1970, UTC), which are *total* with those reported before."""

    wallet: WalletId
    day: int
    number: int
    amount: int
    total: int

    @property
    def id(self) -> str:
        """The id of its message, and the identifier of the event at Stripe."""
        return report_id(self.wallet, self.day, self.number)

    def message(self, event: str, at: datetime) -> Message:
        """The message that reports it, as an event of that name; dated within its day."""
        start = moment(self.day * 86_400_000_000)
        when = min(max(at, start), start + _DAY - timedelta(seconds=1))
        facts = {
            "event": event,
            "unit": self.wallet.unit,
            "day": self.day,
            "number": self.number,
            "amount": self.amount,
            "total": self.total,
            "timestamp": int(when.timestamp()),
        }
        return Message(
            id=self.id, account=self.wallet.account, topic=TOPIC, facts=facts, noted_at=at, due_at=at
        )


def report_id(wallet: WalletId, day: int, number: int) -> str:
    """The id of the report with that number of a wallet's day."""
    return digest((TOPIC, wallet.account, wallet.unit, day, number)).hex()


def by_day(buckets: Mapping[Bucket, Figures], since: int) -> dict[int, int]:
    """The micro-PT that a wallet was charged on each day from *since* on."""
    found: defaultdict[int, int] = defaultdict(int)
    for bucket, figures in buckets.items():
        if bucket.day >= since:
            found[bucket.day] += figures.amount
    return dict(sorted(found.items()))


def report(
    wallet: WalletId, day: int, charged: int, earlier: Callable[[str], Mapping[str, Any] | None]
) -> UsageReport | None:
    """
    What is still to be reported of a day; nothing, if that is all.

    *earlier* finds what a message of that id says.
    """
    number, total = 0, 0
    while (said := earlier(report_id(wallet, day, number))) is not None:
        number, total = number + 1, said["total"]
    if charged == total:
        return None
    return UsageReport(wallet=wallet, day=day, number=number, amount=charged - total, total=charged)
