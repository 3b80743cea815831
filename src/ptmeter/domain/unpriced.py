"""Calls that were charged at a ceiling for want of a price, by model: a queue that rating again works off."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from .prices import ALWAYS
from .pt import PT, Money
from .rerating import Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .rerating import Rated

EVERY_UNPRICED: Final = Span(since=ALWAYS, until=datetime.max.replace(tzinfo=UTC), unpriced=True)
"""All calls that were ever charged at a ceiling."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpricedModel:
    """
    One model's calls that were charged at a ceiling (`Ceiling`) for want of a price.

    ``unrated`` of them have no price or rate in the catalogue yet; ``ready`` have one and come to something
    else by it, so `rerate` with ``unpriced=True`` mends them. The others are as they should be. ``charged`` is
    what accounts were charged in all, corrections included, by unit, and ``parked`` that of the calls which
    still wait; ``cost`` is what the calls cost at the ceiling.
    """

    model: str
    calls: int
    unrated: int
    ready: int
    charged: Mapping[str, PT]
    parked: Mapping[str, PT]
    cost: Money
    first_at: datetime
    last_at: datetime

    @property
    def priced(self) -> bool:
        """Whether the catalogue has a price by now for each of them."""
        return not self.unrated

    @property
    def waiting(self) -> int:
        """How many still want a price, or to be rated again by it."""
        return self.unrated + self.ready


@dataclass(slots=True)
class _Sum:
    calls: int = 0
    unrated: int = 0
    ready: int = 0
    charged: Counter[str] = field(default_factory=Counter[str])
    parked: Counter[str] = field(default_factory=Counter[str])
    cost: int = 0
    times: list[datetime] = field(default_factory=list[datetime])


class UnpricedTally:
    """Adds the calls up page by page, so that none is kept."""

    def __init__(self) -> None:
        self._models: defaultdict[tuple[str, str], _Sum] = defaultdict(_Sum)

    def add(self, rated: Iterable[Rated], *, unrated: Iterable[Rated]) -> None:
        """Count calls that could be rated again, and some that could not."""
        for each in rated:
            self._add(each, waits=bool(each.more)).ready += bool(each.more)
        for each in unrated:
            self._add(each, waits=True).unrated += 1

    def result(self) -> tuple[UnpricedModel, ...]:
        """What they come to, by model."""
        return tuple(
            UnpricedModel(
                model=model,
                calls=found.calls,
                unrated=found.unrated,
                ready=found.ready,
                charged={unit: PT(amount) for unit, amount in sorted(found.charged.items())},
                parked={unit: PT(found.parked[unit]) for unit in sorted(found.charged)},
                cost=Money(found.cost, currency),
                first_at=min(found.times),
                last_at=max(found.times),
            )
            for (model, currency), found in sorted(self._models.items())
        )

    def _add(self, each: Rated, *, waits: bool) -> _Sum:
        found = self._models[each.event.price.model, each.event.cost.currency]
        found.calls += 1
        found.cost += each.event.cost.nano
        found.charged.update(each.so_far)
        if waits:
            found.parked.update(each.so_far)
        times = (*found.times, each.row.booked_at)
        found.times = [min(times), max(times)]
        return found
