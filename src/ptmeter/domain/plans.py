"""Plans and what they allow; a locked model says which plan opens it."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from ..errors import ConfigurationError, UnknownModelError, UnknownUnitError
from .limits import NO_LIMITS
from .rates import bare_name
from .top_up_sales import ANY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .flags import Flag
    from .limits import Limits
    from .pt import PT, Money
    from .rates import RateCard
    from .referral_terms import ReferralTerms
    from .top_up_sales import TopUpSales

ALERTS: Final = (8_000, 9_000, 10_000)
"""From which shares of an allowance on its user is told, in ten-thousandths, unless a plan says otherwise."""


@dataclass(frozen=True, slots=True)
class RollOver:
    """
    How much of what a cycle leaves unused goes on into the next: by unit, in ten-thousandths.

    ``annual_only``: only for those who pay by the year.
    """

    shares: Mapping[str, int]
    annual_only: bool = False


@dataclass(frozen=True, slots=True)
class Trial:
    """So many days for nothing, with PT of their own instead of the allowance."""

    days: int
    allowance: Mapping[str, PT]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """
    A tier: its price, what it gives each cycle, which models and features it opens, and what limits it.

    ``units`` are the units of PT whose models the plan opens; ``models`` may open single models besides,
    by pattern, as in a rate card. ``alerts`` are the shares of an allowance, in ten-thousandths, from which
    on its user is told; ``low_balance`` the micro-PT of a unit below which they are.
    """

    name: str
    price_per_month: Money
    price_per_year: Money | None
    allowance: Mapping[str, PT]
    units: frozenset[str]
    models: tuple[str, ...] = ()
    features: frozenset[str] = frozenset()
    agent_slots: int | None = None
    limits: Limits = NO_LIMITS
    roll_over: RollOver | None = None
    trial: Trial | None = None
    alerts: tuple[int, ...] = ALERTS
    low_balance: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def named_units(self) -> frozenset[str]:
        """Every unit that the plan says anything of."""
        trial, roll_over = self.trial, self.roll_over
        return self.units.union(
            self.allowance,
            (cap.unit for cap in self.limits.caps),
            self.limits.shares,
            roll_over.shares if roll_over else (),
            trial.allowance if trial else (),
            self.low_balance,
        )

    def opens(self, model: str, unit: str) -> bool:
        """Whether the plan includes *model*, which is charged in *unit*."""
        if unit in self.units:
            return True
        bare = bare_name(model)
        return any(fnmatchcase(bare, pattern) for pattern in self.models)


@dataclass(frozen=True, slots=True)
class Plans:
    """
    All plans of a platform, by name, and the flags of features that are let out little by little.

    ``referrals`` says what users earn for bringing others; there are no referrals where it is ``None``. ``top_ups``
    says how many PT may be bought at once, and what is off a large top-up.
    """

    by_name: Mapping[str, Plan]
    flags: Mapping[str, Flag] = field(default_factory=dict["str", "Flag"])
    downgrades: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """What may be sent to which models instead, in that order: by pattern, the first that matches counts."""
    referrals: ReferralTerms | None = None
    top_ups: TopUpSales = ANY
    written_at: Mapping[tuple[str, str], str] = field(
        default_factory=dict[tuple[str, str], str], compare=False, repr=False
    )
    """Where in the file a unit (``("unit", name)``) or a model of `downgrades` (``("model", name)``) stands first."""

    def check(self, card: RateCard, *, unpriced: bool = False) -> None:
        """
        Make sure that *card* has the units that are spoken of, and rules for the models to send to instead.

        *unpriced*: models that no rule matches are charged at a ceiling, so they need none.

        Raises:
            UnknownUnitError: There is no such unit; the message says where it stands.
            ConfigurationError: No rule matches a model; the message says where it stands.
        """
        for unit in sorted(self.units):
            try:
                card.unit(unit)
            except UnknownUnitError as problem:
                msg = f"{self._where('unit', unit)}{problem}"
                raise UnknownUnitError(msg) from None
        models = {each for instead in self.downgrades.values() for each in instead}
        for model in [] if unpriced else sorted(models):
            try:
                card.rule(model)
            except UnknownModelError as problem:
                msg = f"{self._where('model', model)}{problem}"
                raise ConfigurationError(msg) from None

    def _where(self, kind: str, name: str) -> str:
        place = self.written_at.get((kind, name))
        return f"{place}: " if place else ""

    @property
    def units(self) -> frozenset[str]:
        """Every unit that some plan says anything of, or that is earned by referrals."""
        earned = self.referrals.units if self.referrals else frozenset[str]()
        return earned.union(*(plan.named_units for plan in self.by_name.values()))

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

    def instead_of(self, model: str) -> tuple[str, ...]:
        """The models that a request for *model* may be sent to in its place, in order."""
        bare = bare_name(model)
        found = (models for pattern, models in self.downgrades.items() if fnmatchcase(bare, pattern))
        return next(found, ())

    def cheapest(self, model: str, unit: str) -> str | None:
        """The cheapest plan that opens *model*, if any."""
        return _cheapest(plan for plan in self.by_name.values() if plan.opens(model, unit))

    def cheapest_with(self, feature: str) -> str | None:
        """The cheapest plan that has *feature*, if any."""
        return _cheapest(plan for plan in self.by_name.values() if feature in plan.features)


def _cheapest(plans: Iterable[Plan]) -> str | None:
    best = min(plans, key=lambda plan: plan.price_per_month.nano, default=None)
    return best.name if best else None
