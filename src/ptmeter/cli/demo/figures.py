"""What the demonstration came to, read back from the ledger a page at a time."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..._sync import Meter
    from ...domain.audit import Report
    from ...domain.receipts import Entry
    from .workload import Customer, Ending, Planned

PAGE: Final = 2_000


@dataclass(slots=True)
class WalletFigures:
    """One account's PT in one unit, in micro-PT: what came in, and where it is."""

    customer: Customer
    unit: str
    granted: int = 0
    available: int = 0
    held: int = 0
    spent: int = 0
    expired: int = 0
    refused: int = 0


@dataclass(slots=True)
class ModelFigures:
    """One model's calls: tokens, provider cost in nano-dollars, and micro-PT."""

    model: str
    unit: str
    calls: int = 0
    tokens: int = 0
    cost: int = 0
    charged: int = 0


@dataclass(slots=True)
class Figures:
    """All that is shown at the end."""

    wallets: list[WalletFigures]
    models: list[ModelFigures]
    endings: Counter[Ending]
    report: Report
    top_ups: Counter[str] = field(default_factory=Counter[str])
    seconds: float = 0.0


def read_back(
    meter: Meter, customers: Sequence[Customer], units: Sequence[str], refused: Counter[tuple[str, str]]
) -> tuple[list[WalletFigures], list[ModelFigures]]:
    """Add up every account's statement."""
    models: dict[str, ModelFigures] = {}
    wallets: list[WalletFigures] = []
    for customer in customers:
        balance = meter.balance(customer.account)
        sums = _add_up(_entries(meter, customer.account), models)
        for unit in units:
            key = (customer.account, unit)
            if unit in balance.units or refused[key]:
                now = balance[unit]
                wallets.append(
                    WalletFigures(
                        customer,
                        unit,
                        granted=sums[unit, "grant"],
                        available=now.available.micro,
                        held=now.held.micro,
                        spent=now.spent.micro,
                        expired=sums[unit, "expire"],
                        refused=refused[key],
                    )
                )
    return wallets, sorted(models.values(), key=lambda each: (each.unit, each.model), reverse=True)


def refusals(
    calls: Sequence[Planned], endings: Sequence[Ending], units: dict[str, str]
) -> Counter[tuple[str, str]]:
    """How many calls of each account were refused, by the unit of their models."""
    return Counter(
        (call.customer.account, units[call.model])
        for call, ending in zip(calls, endings, strict=True)
        if ending in ("no_funds", "locked")
    )


def _entries(meter: Meter, account: str) -> Iterator[Entry]:
    after = None
    while True:
        page = meter.statement(account, after=after, limit=PAGE)
        yield from page.entries
        after = page.after
        if after is None:
            return


def _add_up(entries: Iterator[Entry], models: dict[str, ModelFigures]) -> Counter[tuple[str, str]]:
    """Sum amounts by unit and kind; what was charged goes to its model. No call here costs more than its hold."""
    sums: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        sums[entry.unit, entry.kind] += entry.amount.micro
        if entry.model is None or entry.usage is None or entry.cost is None:
            continue
        figures = models.setdefault(entry.model, ModelFigures(entry.model, entry.unit))
        figures.calls += 1
        figures.tokens += entry.usage.total
        figures.cost += entry.cost.nano
        figures.charged += entry.amount.micro
    return sums
