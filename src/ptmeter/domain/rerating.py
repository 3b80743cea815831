"""
Rating recorded calls again: what each would be charged, and the corrections that make it so.

Nothing that is recorded changes. A call that was charged too much or too little is corrected by a row of
its own, booked now under the call's date, as often as need be: the corrections of a call are counted from
0, and what the account has been charged for it so far is the row's amount and all of them together. So a
correction is decided by where the books stand: made twice it is nothing the second time, and rating by the
old price again gives back what the new one took.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from ..errors import InvalidArgumentError
from .checks import check_span
from .commands import Adjust
from .keys import fingerprint, transfer_id
from .ledger import Kind, UsageEvent, wallet_id
from .periods import check_person
from .pt import PT, Money
from .usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from .commands import Command, Linked
    from .ledger import Posted, Transfer
    from .prices import Price
    from .rates import Charge


class Basis(StrEnum):
    """By what recorded calls are rated again."""

    CATALOGUE = "catalogue"
    """The price that the meter's catalogue has now for the time of each call."""
    FIRST = "first"
    """What each call was charged at first: all corrections are taken back."""


MOST_WALLETS = 2
"""A correction takes from one wallet or gives to it, or moves from one unit to another."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """
    Which calls are rated again: those booked in [since, until).

    Of one *account* and one *model* if they are named; *unpriced* ones are those that were charged at a
    ceiling (`Ceiling`) for want of a price.
    """

    since: datetime
    until: datetime
    account: str | None = None
    model: str | None = None
    unpriced: bool = False

    def __post_init__(self) -> None:
        check_span(self.since, self.until)

    def has(self, event: UsageEvent) -> bool:
        """Whether a call of the span's time is one of those."""
        price = event.price
        if self.unpriced and not price.is_ceiling:
            return False
        return self.model in (None, price.model, f"{price.provider}/{price.model}")


class Authority(NamedTuple):
    """Who has calls rated again, and why; it stays on the journal."""

    by: str
    reason: str


def authority(by: str, reason: str) -> Authority:
    """
    Who and why, for the record.

    Raises:
        InvalidArgumentError: There is no name, or no reason.
    """
    check_person(by)
    if not reason.strip():
        msg = "say why calls are rated again: it stays on the journal"
        raise InvalidArgumentError(msg)
    return Authority(by.strip(), reason.strip())


@dataclass(frozen=True, slots=True)
class Rated:
    """
    A recorded call, what the account was charged for it so far, and what it comes to now.

    ``so_far`` is in micro-PT by unit; ``corrections`` counts those made before. ``charge`` is ``None`` where
    the corrections are to be taken back: then the call comes to what it was charged at first, ``first``.
    """

    row: Transfer
    event: UsageEvent
    first: int
    so_far: Mapping[str, int]
    corrections: int
    charge: Charge | None

    @property
    def comes_to(self) -> Mapping[str, int]:
        """What the account is to be charged in all, in micro-PT by unit."""
        if self.charge is None:
            return {self.row.wallet.unit: self.first}
        return {self.charge.unit: self.charge.amount.micro}

    @property
    def more(self) -> dict[str, int]:
        """What is to be charged beyond what was, in micro-PT by unit; negative for what is given back."""
        units = sorted({*self.so_far, *self.comes_to})
        deltas = {unit: self.comes_to.get(unit, 0) - self.so_far.get(unit, 0) for unit in units}
        return {unit: delta for unit, delta in deltas.items() if delta}

    @property
    def price(self) -> Price:
        """The price it is rated by now."""
        return self.charge.price if self.charge else self.event.price

    @property
    def card_version(self) -> str:
        """The rate card it is rated by now."""
        return self.charge.card_version if self.charge else self.event.card_version

    @property
    def cost(self) -> Money:
        """What the provider charges for it by that price."""
        return self.charge.cost if self.charge else self.event.cost

    def commands(self, who: Authority) -> Linked:
        """The correction: linked, so that a call is never between two units."""
        return tuple(
            self._command(place, unit, delta, who) for place, (unit, delta) in enumerate(self.more.items())
        )

    def _command(self, place: int, unit: str, delta: int, who: Authority) -> Command:
        account, number = self.row.wallet.account, self.corrections
        facts = (unit, delta, self.price.version, self.card_version)
        key = f"{self.row.wallet.unit}:{self.row.seq}:{number}"
        return Adjust(
            wallet=wallet_id(account, unit),
            id=correction_id(self.row, number, place),
            fingerprint=fingerprint(account, "rerate", key, *facts),
            amount=-delta,
            note=self._note(who),
            effective_at=self.row.effective_at,
            usage=self._rated_by(unit),
            plan=self.row.plan,
        )

    def _rated_by(self, unit: str) -> UsageEvent:
        """By what a correction was rated, without tokens; what is given back sold at what its own card says."""
        card = self.event.card_version if unit == self.row.wallet.unit else self.card_version
        nothing = Money(0, self.price.currency)
        return UsageEvent(usage=Usage(requests=0), price=self.price, card_version=card, cost=nothing)

    def _note(self, who: Authority) -> str:
        old, new = self.event, self
        return (
            f"rated again ({self.corrections + 1}): {self.row.wallet.unit} transfer {self.row.seq}, "
            f"{_written(self.so_far)} -> {_written(self.comes_to)}; "
            f"price {old.price.version} -> {new.price.version}, card {old.card_version} -> {new.card_version}; "
            f"{who.by}: {who.reason}"
        )


def call_of(row: Transfer) -> UsageEvent | None:
    """The call that a row was charged for, if it was; a correction says by what it was rated, and is no call."""
    return None if row.kind in (Kind.ADJUST_UP, Kind.ADJUST_DOWN) else row.usage


def correction_id(row: Transfer, number: int, place: int) -> bytes:
    """The id of a command of a call's correction *number*; the same for everybody who makes it."""
    account, unit = row.wallet
    return transfer_id(account, "rerate", f"{unit}:{row.seq}", str(number), str(place))


def charged_by(correction: Posted) -> int:
    """What a correction charged, in micro-PT; negative if it gave back."""
    transfer = correction.transfer
    return -transfer.amount if transfer.kind is Kind.ADJUST_UP else transfer.amount


# --- what it comes to ---------------------------------------------------------------------------


class ModelChange(NamedTuple):
    """
    One model's calls in one unit: how many, charged so far and rated again, and their cost likewise.

    ``cost`` is what is frozen on the rows; it stays there, and ``cost_again`` is only reported.
    """

    unit: str
    model: str
    calls: int
    charged: PT
    charged_again: PT
    cost: Money
    cost_again: Money


class AccountChange(NamedTuple):
    """What one account is charged beyond what it was, in one unit, and for how many calls."""

    account: str
    unit: str
    calls: int
    amount: PT


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerating:
    """
    What rating the calls of a span again comes to.

    ``differing`` is how many of the calls come to something else than was charged, ``accounts`` the changes, ``refused`` those of them that could not be made: for want of PT, or because
    somebody else corrected the call at that moment. ``unrated`` are calls of models, by name, that have no
    price or rate, and stay as they are. ``posted`` is how many corrections are on the journal now.
    """

    span: Span
    calls: int
    differing: int
    posted: int
    models: tuple[ModelChange, ...]
    accounts: tuple[AccountChange, ...]
    refused: tuple[AccountChange, ...]
    unrated: Mapping[str, int]


@dataclass(slots=True)
class Tally:
    """Adds up a span page by page, so that no call is kept."""

    calls: int = 0
    differing: int = 0
    posted: int = 0
    unrated: Counter[str] = field(default_factory=Counter[str])
    _models: defaultdict[tuple[str, str, str], list[int]] = field(
        default_factory=lambda: defaultdict(lambda: [0] * 5)
    )
    _accounts: defaultdict[tuple[str, str], list[int]] = field(
        default_factory=lambda: defaultdict(lambda: [0, 0])
    )
    _refused: defaultdict[tuple[str, str], list[int]] = field(
        default_factory=lambda: defaultdict(lambda: [0, 0])
    )

    def add(self, rated: Iterable[Rated]) -> None:
        """Count calls that were rated again."""
        for each in rated:
            self.calls += 1
            self.differing += bool(each.more)
            model = each.event.price.model
            self._add_model(each.row.wallet.unit, model, each.event.cost, (1, 0, 0), each.cost)
            for unit, amount in each.so_far.items():
                self._add_model(unit, model, each.event.cost, (0, amount, 0))
            for unit, amount in each.comes_to.items():
                self._add_model(unit, model, each.event.cost, (0, 0, amount))
            _add_changes(self._accounts, each)

    def refuse(self, refused: Iterable[Rated]) -> None:
        """Count corrections that could not be made."""
        for each in refused:
            _add_changes(self._refused, each)

    def result(self, span: Span) -> Rerating:
        """What it comes to, in order."""
        models = [
            ModelChange(
                unit,
                model,
                calls,
                PT(so_far),
                PT(again),
                Money(cost, currency),
                Money(cost_again, currency),
            )
            for (unit, model, currency), (calls, so_far, again, cost, cost_again) in self._models.items()
        ]
        return Rerating(
            span=span,
            calls=self.calls,
            differing=self.differing,
            posted=self.posted,
            models=tuple(sorted(models, key=lambda each: (each.unit, each.model, each.cost.currency))),
            accounts=_changes(self._accounts),
            refused=_changes(self._refused),
            unrated=dict(sorted(self.unrated.items())),
        )

    def _add_model(
        self,
        unit: str,
        model: str,
        cost: Money,
        figures: tuple[int, int, int],
        cost_again: Money | None = None,
    ) -> None:
        sums = self._models[unit, model, cost.currency]
        for place, figure in enumerate(figures):
            sums[place] += figure
        if cost_again is not None:
            sums[3] += cost.nano
            self._models[unit, model, cost_again.currency][4] += cost_again.nano


def _add_changes(sums: defaultdict[tuple[str, str], list[int]], rated: Rated) -> None:
    for unit, delta in rated.more.items():
        change = sums[rated.row.wallet.account, unit]
        change[0] += 1
        change[1] += delta


def _changes(sums: Mapping[tuple[str, str], list[int]]) -> tuple[AccountChange, ...]:
    return tuple(
        AccountChange(account, unit, calls, PT(amount))
        for (account, unit), (calls, amount) in sorted(sums.items())
    )


def _written(amounts: Mapping[str, int]) -> str:
    return ", ".join(f"{PT(amount)} {unit}" for unit, amount in sorted(amounts.items())) or "nothing"
