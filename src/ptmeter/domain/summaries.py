"""What an account's wallets went through in a span of time: a month's figures without its rows."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from .accounting import Movement
from .ledger import Kind
from .pt import PT, Money

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from .prices import Price

WHOLE = "all"
"""The age of a summary's lots: any."""


class Standing(NamedTuple):
    """What a wallet had at a moment, in micro-PT."""

    available: int = 0
    held: int = 0
    frozen: int = 0


class Turnover(NamedTuple):
    """A wallet's transfers of one kind that were rated by one price, added up; ``None`` is for no price."""

    kind: Kind
    price: Price | None
    calls: int
    amount: int
    cost: int


class Span(NamedTuple):
    """What a wallet had before a span of time, what it booked in it, and what it had at its end."""

    opening: Standing
    turnovers: Sequence[Turnover]
    closing: Standing


class ModelUse(NamedTuple):
    """What the calls of one model came to: how many there were, what was charged, and what they cost."""

    unit: str
    model: str
    calls: int
    charged: PT
    cost: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """
    What an account was given and charged in [since, until), by unit, and by the models it was charged for.

    A unit's figures tie: opening, and what came in, less what went out, is its closing.
    """

    account: str
    since: datetime
    until: datetime
    units: Mapping[str, Movement]
    models: tuple[ModelUse, ...]


def movement(unit: str, span: Span) -> Movement:
    """One wallet's figures, from what it had before to what it has at the end."""
    opening, turnovers, closing = span
    sums: defaultdict[Kind, int] = defaultdict(int)
    for turnover in turnovers:
        sums[turnover.kind] += turnover.amount
    return Movement(
        unit,
        WHOLE,
        opening=PT(sum(opening)),
        granted=PT(sums[Kind.GRANT]),
        adjusted=PT(sums[Kind.ADJUST_UP] - sums[Kind.ADJUST_DOWN]),
        lent=PT(sums[Kind.ADVANCE] - sums[Kind.REPAY]),
        charged=PT(sums[Kind.SETTLE] + sums[Kind.DEBIT]),
        lapsed=PT(sums[Kind.LAPSE]),
        reversed=PT(sums[Kind.REVERSE]),
        available=PT(closing.available),
        held=PT(closing.held),
        frozen=PT(closing.frozen),
    )


def model_uses(unit: str, turnovers: Iterable[Turnover]) -> list[ModelUse]:
    """What each model came to, the dearest first; a model priced in two currencies comes twice."""
    sums: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for turnover in turnovers:
        if turnover.price and turnover.kind not in (Kind.ADJUST_UP, Kind.ADJUST_DOWN):
            charged = turnover.amount if turnover.kind in (Kind.SETTLE, Kind.DEBIT) else 0
            used = sums[turnover.price.model, turnover.price.currency]
            for place, more in enumerate((turnover.calls, charged, turnover.cost)):
                used[place] += more
    uses = [
        ModelUse(unit, model, calls, PT(charged), Money(cost, currency))
        for (model, currency), (calls, charged, cost) in sums.items()
    ]
    return sorted(uses, key=lambda use: (-use.charged.micro, use.model, use.cost.currency))
