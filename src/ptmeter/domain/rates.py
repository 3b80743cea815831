"""
The rate card: how usage becomes PT, versioned, with an effective date.

A *banded* rate goes by the call's total tokens; a *cost-plus* rate by what the provider charges, plus a
buffer for what a price list does not show. Both are exact integers and round up once, to the card's step. What a
provider charges beside the tokens, such as for searches, may be added to bands at cost-plus, rounded up by itself.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from fnmatch import translate
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from ..errors import ConfigurationError, UnknownModelError, UnknownUnitError
from .arguments import check_fields
from .prices import Processing
from .pt import MICRO, PT, Money, ceil_div, round_up

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .prices import Price
    from .usage import Usage

WHOLE: Final = 10_000
"""Shares are counted in ten-thousandths: 1,500 is 15 %."""


class Complexity(StrEnum):
    """How much an agent adds to the prompt by itself."""

    SIMPLE = "simple"
    MODERATE = "moderate"
    COMPLEX = "complex"


class Content(StrEnum):
    """What is being moderated."""

    TEXT = "text"
    CODE = "code"
    MIXED = "mixed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """
    What a call's charge goes by beside its usage.

    All but ``processing`` is for the adaptive buffer; ``retry_rate`` is the measured share of retries, in
    ten-thousandths. ``processing`` is the price it is charged at: of a batch, flexibly, with priority. Left
    at ``standard`` it says nothing, and what the request asks for counts. ``routed`` says from which model the
    call was routed to this one, and why; nothing goes by it.
    """

    complexity: Complexity = Complexity.SIMPLE
    content: Content = Content.TEXT
    retry_rate: int = 0
    tool_calls: int = 0
    processing: Processing = Processing.STANDARD
    routed: str = ""

    def __post_init__(self) -> None:
        check_fields(self, Complexity, Content, Processing)


PLAIN: Final = Workload()


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """
    The share a cost-plus rate adds, in ten-thousandths: the sum of its parts, within *least* and *most*.

    Prompt bloat by complexity, retries by measured history, moderation by content, so much for each tool
    call up to a limit, and a constant for variance.
    """

    bloat: Mapping[Complexity, int]
    retries: tuple[int, int]
    moderation: Mapping[Content, int]
    tool_call: int
    tool_calls_at_most: int
    variance: int
    least: int
    most: int

    def share(self, workload: Workload) -> int:
        """The buffer for *workload*, in ten-thousandths."""
        low, high = self.retries
        parts = (
            self.bloat[workload.complexity],
            min(max(workload.retry_rate, low), high),
            self.moderation[workload.content],
            min(workload.tool_calls * self.tool_call, self.tool_calls_at_most),
            self.variance,
        )
        return min(max(sum(parts), self.least), self.most)


@dataclass(frozen=True, slots=True)
class Band:
    """Up to so many total tokens, a call costs so many micro-PT."""

    tokens: int
    amount: int


@dataclass(frozen=True, slots=True)
class Banded:
    """
    By total tokens; above the last band in proportion to it, rounded up to *step* micro-PT.

    *beside* is how what the provider charges beside the tokens is added: searches, pages, a fee by the request.
    Left out, it costs the account nothing of its own.
    """

    bands: tuple[Band, ...]
    step: int = MICRO
    beside: CostPlus | None = None

    def __post_init__(self) -> None:
        if not self.bands or any(low.tokens >= high.tokens for low, high in pairwise(self.bands)):
            msg = "bands must be in ascending order of tokens, and there must be one"
            raise ConfigurationError(msg)
        first = self.bands[0]
        rising = all(low.amount <= high.amount for low, high in pairwise(self.bands))
        if first.tokens <= 0 or first.amount <= 0 or not rising:
            msg = (
                "bands must be of positive amounts, and a longer call must not cost less than a shorter one"
            )
            raise ConfigurationError(msg)
        _check_step(self.step)

    def amount(self, total_tokens: int) -> int:
        """What a call of *total_tokens* costs, in micro-PT."""
        for band in self.bands:
            if total_tokens <= band.tokens:
                return band.amount
        last = self.bands[-1]
        return round_up(ceil_div(last.amount * total_tokens, last.tokens), self.step)


@dataclass(frozen=True, slots=True)
class CostPlus:
    """Provider cost × (1 + buffer) ÷ what one PT pays for, rounded up to *step* micro-PT."""

    buffer: Buffer
    step: int = MICRO

    def __post_init__(self) -> None:
        _check_step(self.step)

    def amount(self, cost: Money, pays_for: Money, workload: Workload) -> int:
        """
        What a call that costs us *cost* costs the account, in micro-PT.

        Raises:
            ConfigurationError: The cost is in another currency than what a PT pays for.
        """
        if cost.currency != pays_for.currency:
            msg = f"a price in {cost.currency} cannot be charged by a card in {pays_for.currency}"
            raise ConfigurationError(msg)
        marked_up = cost.nano * (WHOLE + self.buffer.share(workload)) * MICRO
        return round_up(ceil_div(marked_up, pays_for.nano * WHOLE), self.step)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRate:
    """One unit's rate: what one PT pays for, what it sells at, and the method unless a model has its own."""

    pays_for: Money
    sells_at: Money
    method: Banded | CostPlus

    def __post_init__(self) -> None:
        if self.pays_for.nano <= 0 or self.sells_at.nano < 0:
            msg = f"one PT must pay for something, not {self.pays_for}, and sell at no less than nothing"
            raise ConfigurationError(msg)

    @property
    def at_cost(self) -> CostPlus | None:
        """By what calls are charged that are charged by their cost, if the card says how: all, or what bands leave out."""
        return self.method if isinstance(self.method, CostPlus) else self.method.beside


@dataclass(frozen=True, slots=True)
class ModelRule:
    """Models whose name matches *pattern* (``*`` and ``?`` as in file names) are charged in *unit*."""

    pattern: str
    unit: str
    method: Banded | CostPlus | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What a call costs the account and us, and by which price and card that was found."""

    model: str
    unit: str
    amount: PT
    cost: Money
    price: Price
    card_version: str
    workload: Workload = PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """One model's price, unit and method together: all that its calls are rated by."""

    model: str
    unit: str
    rate: UnitRate
    method: Banded | CostPlus
    price: Price
    card_version: str
    definition: str
    """What one PT of the unit is."""

    def charge(self, usage: Usage, workload: Workload = PLAIN) -> Charge:
        """
        What *usage* costs the account and us.

        Raises:
            UnknownModelError: The price lacks a class that was used, or bands of tokens would rate what has none.
        """
        cost = self.price.cost(usage)
        match self.method:
            case Banded() as banded:
                amount = self._banded(banded, usage, workload)
            case CostPlus() as cost_plus:
                amount = cost_plus.amount(cost, self.rate.pays_for, workload)
        return Charge(
            model=self.model,
            unit=self.unit,
            amount=PT(amount),
            cost=cost,
            price=self.price,
            card_version=self.card_version,
            workload=workload,
        )

    def _banded(self, banded: Banded, usage: Usage, workload: Workload) -> int:
        """By the band of the tokens, unless there are none but pieces, and what is added beside them."""
        pieces_alone = usage.pieces() and not usage.total
        if banded.beside is None:
            if pieces_alone:
                raise UnknownModelError(self.model, f"cost-plus rate for {', '.join(usage.pieces())}")
            return banded.amount(usage.total)
        beside = banded.beside.amount(self.price.cost_beside_tokens(usage), self.rate.pays_for, workload)
        return beside if pieces_alone else banded.amount(usage.total) + beside


@dataclass(frozen=True, slots=True, kw_only=True)
class RateCard:
    """
    The units of a platform, and which models are charged in which.

    The first rule that matches a model counts. A model no rule matches is refused, never free.
    """

    name: str
    effective_from: datetime
    units: Mapping[str, UnitRate]
    models: tuple[ModelRule, ...]
    source: Mapping[str, Any] = field(repr=False, compare=False)
    version: str = field(init=False, compare=False)
    _matching: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for rule in self.models:
            if rule.unit not in self.units:
                msg = f"rule {rule.pattern!r} charges in {rule.unit!r}, which is not a unit of the card"
                raise ConfigurationError(msg)
        digest = blake2b(self.as_json().encode(), digest_size=8).hexdigest()
        object.__setattr__(self, "version", digest)
        # One group for each rule: the first that matches is found in one go, however long the card is.
        groups = "|".join(f"({translate(rule.pattern)})" for rule in self.models)
        object.__setattr__(self, "_matching", re.compile(groups or r"(?!)"))

    def as_json(self) -> str:
        """The card as it was configured, canonically: equal cards give equal text."""
        return json.dumps(self.source, sort_keys=True, separators=(",", ":"))

    def rule(self, model: str) -> ModelRule:
        """
        The rule for *model*.

        Raises:
            UnknownModelError: No rule matches it.
        """
        match = self._matching.match(bare_name(model))
        if match is None or match.lastindex is None:
            raise UnknownModelError(model, "rate")
        return self.models[match.lastindex - 1]

    def unit(self, name: str) -> UnitRate:
        """
        The rate of a unit.

        Raises:
            UnknownUnitError: The platform has no such unit.
        """
        rate = self.units.get(name)
        if rate is None:
            msg = f"there is no unit {name!r}: the units are {', '.join(sorted(self.units))}"
            raise UnknownUnitError(msg)
        return rate

    def tariff(self, model: str, price: Price) -> Tariff:
        """
        What calls of *model* are rated by, at *price*.

        Raises:
            UnknownModelError: No rule matches it.
        """
        rule = self.rule(model)
        return self.tariff_in(rule.unit, model, price, method=rule.method)

    def tariff_in(
        self, unit: str, model: str, price: Price, *, method: Banded | CostPlus | None = None
    ) -> Tariff:
        """The same in a unit of one's choice, by its method unless another is given."""
        rate = self.unit(unit)
        return Tariff(
            model=model,
            unit=unit,
            rate=rate,
            method=method or rate.method,
            price=price,
            card_version=self.version,
            definition=self.definition(unit),
        )

    def rate(self, model: str, usage: Usage, price: Price, workload: Workload = PLAIN) -> Charge:
        """
        What *usage* of *model* costs in PT.

        Raises:
            UnknownModelError: No rule matches the model, or the price lacks a class that was used.
        """
        return self.tariff(model, price).charge(usage, workload)

    def definition(self, unit: str) -> str:
        """What one PT of *unit* is, in a sentence: shown wherever PT are."""
        rate = self.unit(unit)
        return f"1 {unit} PT pays for about {rate.pays_for} of provider cost and sells at {rate.sells_at}"


def bare_name(model: str) -> str:
    """The name of a model as patterns see it: without its provider, in lower case."""
    return model.rpartition("/")[2].lower()


def card_at(cards: tuple[RateCard, ...], at: datetime) -> RateCard:
    """
    The card in force at *at*.

    Raises:
        ConfigurationError: No card had begun.
    """
    begun = [card for card in cards if card.effective_from <= at]
    if not begun:
        msg = f"no rate card is in force at {at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        raise ConfigurationError(msg)
    return max(begun, key=lambda card: card.effective_from)


def _check_step(step: int) -> None:
    if step <= 0:
        msg = f"amounts are rounded up to a positive step, not to {step} micro-PT"
        raise ConfigurationError(msg)
