"""
What differs between two price lists: models that came, went or cost something else, class by class.

Only figures are compared. Where they come from, and since when they hold, makes no difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from ..errors import UnknownModelError
from .usage import TOKEN_CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from .prices import Price, PriceUse


class PriceChange(NamedTuple):
    """
    One figure of a price list that is not what it was; ``None`` where there is none.

    ``what`` is a token class, with ``above`` so many input tokens if it is not 0: then the figures are pico-units
    per token. Or it is ``request`` or ``tool`` and a name: then they are nano-units per call.
    """

    what: str
    above: int
    old: int | None
    new: int | None

    @property
    def percent(self) -> Decimal | None:
        """By how much it rose, in per cent to one decimal; ``None`` where one of them is nothing."""
        if not self.old or self.new is None:
            return None
        return (Decimal(100 * (self.new - self.old)) / self.old).quantize(Decimal("0.1"))

    @property
    def per_token(self) -> bool:
        """Whether the figures are pico-units per token."""
        return self.what in TOKEN_CLASSES


class ModelPrices(NamedTuple):
    """A model whose price differs: as it was and is, of which ``None`` is for not listed, and all that changed."""

    model: str
    old: Price | None
    new: Price | None
    changes: tuple[PriceChange, ...]


def changes(old: Price, new: Price) -> tuple[PriceChange, ...]:
    """Every figure that differs; one in another currency differs altogether."""
    before, after = _figures(old), _figures(new)
    return tuple(
        PriceChange(what, above, before.get((what, above)), after.get((what, above)))
        for what, above in sorted({*before, *after}, key=_place)
        if old.currency != new.currency or before.get((what, above)) != after.get((what, above))
    )


def differences(old: Mapping[str, Price], new: Mapping[str, Price]) -> tuple[ModelPrices, ...]:
    """The models of two price lists that are not the same in both, by name."""
    found: list[ModelPrices] = []
    for model in sorted({*old, *new}):
        before, after = old.get(model), new.get(model)
        differ = changes(before, after) if before and after else ()
        if differ or before is None or after is None:
            found.append(ModelPrices(model, before, after, differ))
    return tuple(found)


# --- the prices that calls were rated by, beside those there are ------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceCheck:
    """
    How the prices that calls were rated by stand beside the catalogue at a time.

    ``missing`` are models of the ledger that have no price any more: a call to one is refused. ``changed`` are
    those whose price is not that of their last call. ``unpriced`` counts the calls, by model, that were charged
    at a ceiling and whose model still has no price; ``ready`` those whose model has one now, so that rating them
    again puts them right. ``models`` is how many were looked at.
    """

    at: datetime
    models: int
    missing: tuple[PriceUse, ...]
    changed: tuple[ModelPrices, ...]
    unpriced: Mapping[str, int]
    ready: int

    @property
    def clean(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.missing or self.changed or self.unpriced or self.ready)


def compared(
    last: Mapping[str, PriceUse], listed: Callable[[Price], Price]
) -> tuple[tuple[PriceUse, ...], tuple[ModelPrices, ...]]:
    """
    The uses whose model is not listed any more, and the models that cost something else now.

    *listed* finds what a price has become; it raises `UnknownModelError` where there is none.
    """
    missing: list[PriceUse] = []
    changed: list[ModelPrices] = []
    for name, use in last.items():
        try:
            now = listed(use.price)
        except UnknownModelError:
            missing.append(use)
            continue
        if differ := changes(use.price, now):
            changed.append(ModelPrices(name, use.price, now, differ))
    return tuple(missing), tuple(changed)


def last_uses(uses: list[PriceUse]) -> dict[str, PriceUse]:
    """The last use of each model and processing, by their full name, with the calls of all of them."""
    last: dict[str, PriceUse] = {}
    for use in sorted(uses, key=lambda use: use.last_at):
        name = use.price.full_name
        calls = use.calls + (last[name].calls if name in last else 0)
        last[name] = use._replace(calls=calls)
    return dict(sorted(last.items()))


def _figures(price: Price) -> dict[tuple[str, int], int]:
    sizes = [(0, price.rates), *((tier.above, tier.rates) for tier in price.tiers)]
    figures = {(name, above): rate for above, rates in sizes for name, rate in rates.items()}
    figures |= {(f"tool {name}", 0): amount for name, amount in price.tools.items()}
    return figures | ({("request", 0): price.request} if price.request else {})


def _place(figure: tuple[str, int]) -> tuple[int, int, str]:
    what, above = figure
    return (above, TOKEN_CLASSES.index(what) if what in TOKEN_CLASSES else len(TOKEN_CLASSES), what)
