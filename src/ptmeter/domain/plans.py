"""Plans and what they allow; a locked model says which plan opens it."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from .limits import NO_LIMITS, Limits
from .rates import bare_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .pt import PT, Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    A tier: its price, what it gives each cycle, and which models it opens.

    ``units`` are the units of PT whose models the plan opens; ``models`` may open single models besides,
    by pattern, as in a rate card.
    """

    name: str
    price_per_month: Money
    price_per_year: Money | None
    allowance: Mapping[str, PT]
    units: frozenset[str]
    models: tuple[str, ...] = ()
    limits: Limits = NO_LIMITS
    alerts: tuple[int, ...] = (8_000, 9_000, 10_000)
    low_balance: Mapping[str, int] = field(default_factory=dict[str, int])

    def opens(self, model: str, unit: str) -> bool:
        """Whether the plan includes *model*, which is charged in *unit*."""
        if unit in self.units:
            return True
        bare = bare_name(model)
        return any(fnmatchcase(bare, pattern) for pattern in self.models)


@dataclass(frozen=True, slots=True)
class Plans:
    """All plans of a platform, by name."""

    by_name: Mapping[str, Plan]

    @property
    def units(self) -> frozenset[str]:
        """Every unit that some plan gives or opens."""
        named = (plan.units | plan.allowance.keys() for plan in self.by_name.values())
        return frozenset(unit for units in named for unit in units)

    def find(self, name: str) -> Plan:
        """
        The plan called *name*.

        Raises:
            ConfigurationError: There is none.
        """
        plan = self.by_name.get(name)
        if plan is None:
            msg = f"there is no plan {name!r}: the plans are {', '.join(self.by_name)}"
            raise ConfigurationError(msg)
        return plan

    def cheapest(self, model: str, unit: str) -> str | None:
        """The cheapest plan that opens *model*, if any."""
        opening = [plan for plan in self.by_name.values() if plan.opens(model, unit)]
        best = min(opening, key=lambda plan: plan.price_per_month.nano, default=None)
        return best.name if best else None
