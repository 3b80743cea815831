"""Reporting usage that is billed afterwards: what was charged and not told yet becomes messages in the outbox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from ..domain.metered_usage import by_day, report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..domain.ledger import Wallet
    from ..domain.metered_usage import UsageReport
    from ..ports import Books


@dataclass(frozen=True, slots=True)
class MeteredUnit:
    """The event by which a unit's usage is reported, and the first day (since 1970, UTC) of which it is."""

    event: str
    since: int


@dataclass(frozen=True, slots=True)
class Reported:
    """How many reports were written, of how many micro-PT in sum, and how many wallets have no customer."""

    reports: int = 0
    micro: int = 0
    without_customer: int = 0

    def plus(self, other: Reported) -> Reported:
        """Both together."""
        return Reported(
            self.reports + other.reports,
            self.micro + other.micro,
            self.without_customer + other.without_customer,
        )


def scan(
    books: Books, *, units: Mapping[str, MeteredUnit], after: int | None, limit: int
) -> tuple[Reported, int | None]:
    """
    Report the usage of up to *limit* wallets, by number, beginning after *after*; the last number if there may be more.

    A wallet whose account is nobody at Stripe is not reported: it is once it is somebody.
    """
    wallets = books.ledger.wallets(after=after, limit=limit, live=True)
    done = Reported()
    for wallet in wallets:
        if wallet.id.unit in units:
            done = done.plus(_report(books, wallet, units[wallet.id.unit]))
    return done, wallets[-1].number if len(wallets) == limit else None


def _report(books: Books, wallet: Wallet, unit: MeteredUnit) -> Reported:
    charged = by_day(books.rollups.of(wallet), unit.since)
    if not charged:
        return Reported()
    if books.payments.customer(wallet.id.account) is None:
        return Reported(without_customer=1)

    def earlier(name: str) -> Mapping[str, Any] | None:
        found = books.outbox.find(wallet.id.account, name)
        return cast("Mapping[str, Any]", found.facts) if found else None

    due = [found for day, micro in charged.items() if (found := report(wallet.id, day, micro, earlier))]
    return _written(books, due, unit.event)


def _written(books: Books, due: list[UsageReport], event: str) -> Reported:
    at = books.ledger.now()
    written = [each for each in due if books.outbox.add([each.message(event, at)])]
    return Reported(len(written), sum(each.amount for each in written))
