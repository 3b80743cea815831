"""
Payments: what Stripe says of one now, what the books say of it, and the steps that lead from the one to the other.

It goes by states, not by events. A payment is looked at as a whole, with all its refunds and disputes, and `steps`
says what is missing in the books. So it comes to the same however often one looks, in whatever order things are heard
of, and whether or not anything was seen in between.

What holds for every payment: of the PT it brought, no more are taken back than there were; what is frozen is
unfrozen before it is taken back; the refunds that were made and the disputes that are lost take the PT that all their
money stands for, rounded down over all of them together, so that all of the money takes all of the PT. If one of them
is undone, the others take what it leaves to them. Of a lot that has lapsed nothing is taken, and nothing is owed for
it: who is given money back for PT that lapsed unused has had nothing for it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum
from itertools import accumulate, pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from ..errors import InvariantError
from .minor_units import of_minor
from .selling import divide

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from datetime import datetime

    from .money import Movement
    from .pt import Money

Amounts: TypeAlias = "Mapping[str, int]"
"""Micro-PT by unit."""

NONE: Amounts = MappingProxyType({})


class Portion(NamedTuple):
    """What of an invoice one of its payments paid: its money from so much up to so much, of so much in all."""

    before: int
    after: int
    whole: int

    def of(self, amount: int) -> int:
        """What of an amount that was got for all the money was got for this; all portions add up to it."""
        return amount * self.after // self.whole - amount * self.before // self.whole

    def of_lapsed(self, lapsed: int, *, kept: int, own: int) -> int:
        """
        What of a lot has lapsed for this payment.

        Of what nobody had used, a portion was this one's: of what *lapsed*, and of what was *kept* from that, as frozen
        or taken back for any of its payments. If so much of that was its *own*, the rest of its portion has lapsed.
        """
        return max(0, min(self.of(lapsed + kept) - own, lapsed))


ALL: Final = Portion(0, 1, 1)


def portions(paid: Iterable[int]) -> list[Portion]:
    """Which portions payments are of what they paid together; of nothing, each is nothing."""
    ends = list(accumulate(paid, initial=0))
    return [Portion(before, after, ends[-1] or 1) for before, after in pairwise(ends)]


class RefundStage(IntEnum):
    """How far a refund is; it never goes back."""

    ASKED = 0
    """It needs something of the customer: no money has moved."""
    MADE = 1
    """The money has left, and may yet come back."""
    FAILED = 2
    """The money has come back, or never left."""


class DisputeStage(IntEnum):
    """How far a dispute is; it goes back only between the last two, if a bank changes its mind."""

    INQUIRY = 0
    """Somebody asks: no money has moved."""
    OPEN = 1
    """The bank has withdrawn the money, and nothing is decided."""
    WON = 2
    LOST = 3


class ClaimKind(StrEnum):
    """What claims money back."""

    REFUND = "refund"
    DISPUTE = "dispute"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """A refund, as Stripe says it is now; the amount is in the payment's minor units."""

    id: str
    amount: int
    stage: RefundStage
    at: datetime
    problem: str = ""
    """Why it failed, if it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """A dispute, as Stripe says it is now: how much of the payment's amount it keeps for now, or for good."""

    id: str
    amount: int
    stage: DisputeStage
    at: datetime
    reason: str = ""
    """What the card holder says."""
    respond_by: datetime | None = None
    """Until when evidence is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """
    A payment that succeeded, as Stripe says it is now.

    ``offer`` is what PT it was made for; ``amount`` includes ``tax``, both in minor units of ``currency``.
    """

    id: str
    account: str
    offer: Amounts
    amount: int
    tax: int
    currency: str
    at: datetime
    top_up: str = ""
    """The automatic top-up that it pays, if it does."""
    cycle: datetime | None = None
    """When the cycle of a plan begins that it paid for, once all of that is paid: what it gave is what this brought."""
    portion: Portion = ALL
    """What it paid of that cycle, beside other payments."""
    refunds: tuple[Refund, ...] = ()
    disputes: tuple[Dispute, ...] = ()
    movements: tuple[Movement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """
    What the books say of a refund or dispute: how far it was seen to be, and what it has done to the lots.

    ``amount`` is the money it claims. ``used`` is what of ``taken`` had been used up, so that it is owed since, and
    ``lapsed`` what of its share had lapsed before it could be taken. ``parts`` are the micro-PT of its share in all
    units: those that were there still, those that had been used up, and those that had lapsed; of a refund as they were
    when its money was booked. ``closed`` is what of the money has left the dispute's side for good; ``turns`` counts
    what was done, which makes the keys of that.
    """

    stage: int
    kind: ClaimKind = ClaimKind.REFUND
    amount: int = 0
    frozen: Amounts = field(default_factory=dict[str, int])
    taken: Amounts = field(default_factory=dict[str, int])
    used: Amounts = field(default_factory=dict[str, int])
    lapsed: Amounts = field(default_factory=dict[str, int])
    parts: tuple[int, int, int] = (0, 0, 0)
    closed: int = 0
    turns: int = 0

    @property
    def in_force(self) -> bool:
        """Whether the money is gone, for good as far as one can see, so that its PT are taken back."""
        return self.stage == _IN_FORCE[self.kind]

    def had(self, unit: str) -> int:
        """How many micro-PT of its share are dealt with: taken, or lapsed."""
        return self.taken.get(unit, 0) + self.lapsed.get(unit, 0)

    def took(self, there: int, used: int, lapsed: int) -> Claim:
        """The same with so much more of its share; the money of a refund is booked at once, so its parts stay."""
        if self.kind is ClaimKind.REFUND and self.in_force:
            return self
        parts = zip(self.parts, (there, used, lapsed), strict=True)
        return replace(self, parts=tuple(before + more for before, more in parts))

    def gave_back(self, given: int, lapsed: int) -> Claim:
        """The same with so much less: of what is owed first, which it repays."""
        if self.kind is ClaimKind.REFUND:
            return self
        there, used, gone = self.parts
        repaid = min(given, used)
        return replace(self, parts=(there - (given - repaid), used - repaid, gone - lapsed))


_IN_FORCE: Final[Mapping[ClaimKind, int]] = {
    ClaimKind.REFUND: RefundStage.MADE,
    ClaimKind.DISPUTE: DisputeStage.LOST,
}

NO_REFUND: Final = Claim(stage=RefundStage.ASKED)
NO_DISPUTE: Final = Claim(stage=DisputeStage.INQUIRY, kind=ClaimKind.DISPUTE)
"""What is on record of one that the books have not heard of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentRecord:
    """
    What the books say of a payment: the lots it brought, by unit, and what was claimed back.

    What a cycle gave that several payments paid for is a lot of all of them: ``granted`` is the *portion* of this one.
    """

    id: str
    account: str
    amount: int
    tax: int
    currency: str
    at: datetime
    granted: Amounts
    lots: Mapping[str, int]
    portion: Portion = ALL
    claims: Mapping[str, Claim] = field(default_factory=dict[str, Claim])

    @property
    def lapsed(self) -> Amounts:
        """How much of its lots its claims have counted as lapsed."""
        total: Counter[str] = Counter()
        for claim in self.claims.values():
            total.update(claim.lapsed)
        return total

    def with_claim(self, name: str, claim: Claim) -> PaymentRecord:
        """The same with that claim."""
        return replace(self, claims={**self.claims, name: claim})


def claims_of(payment: Payment) -> tuple[Refund | Dispute, ...]:
    """All that is claimed back of a payment: first what gives back, then what takes, and last what sets aside."""

    def turn(each: Refund | Dispute) -> int:
        is_open = isinstance(each, Dispute) and each.stage is DisputeStage.OPEN
        return 2 if is_open else int(_takes(each))

    return tuple(sorted((*payment.refunds, *payment.disputes), key=turn))


def is_older(payment: Payment, known: Collection[str]) -> bool:
    """Whether Stripe was asked before what the books know: it lacks one of the movements that are *known*."""
    return not {*known} <= {each.id for each in payment.movements}


class Do(IntEnum):
    """What a step does to the lots."""

    FREEZE = 1
    UNFREEZE = 2
    TAKE = 3
    GIVE_BACK = 4


class Step(NamedTuple):
    """
    One thing to do for a claim: so many micro-PT of each unit, of which so many are frozen.

    Some of what is to be taken may have lapsed, and is not there to be given back then: see `less_lapsed`.
    """

    do: Do
    amounts: Amounts
    frozen: Amounts = NONE


def gone(record: PaymentRecord, payment: Payment) -> Mapping[str, int]:
    """How much of the money is given back, or kept by a bank, by claim: as it is now, whatever was taken for it."""
    found = {name: claim.amount for name, claim in record.claims.items() if claim.in_force}
    for each in claims_of(payment):
        if not is_old(on_record(record, each), each):
            found[each.id] = each.amount if _takes(each) else 0
    return found


def on_record(record: PaymentRecord, said: Refund | Dispute) -> Claim:
    """What the books say of a refund or dispute, though they may not have heard of it."""
    return record.claims.get(said.id, NO_REFUND if isinstance(said, Refund) else NO_DISPUTE)


def is_old(claim: Claim, said: Refund | Dispute) -> bool:
    """Whether what is said of a claim was so before what the books know of it."""
    known = min(claim.stage, DisputeStage.WON) if isinstance(said, Dispute) else claim.stage
    return said.stage < known


def steps(record: PaymentRecord, said: Refund | Dispute, gone: Mapping[str, int]) -> tuple[Step, ...]:
    """What a refund or dispute asks for that the books have not got, unless it is old."""
    claim, part = on_record(record, said), share(record, said, gone)
    if isinstance(said, Dispute) and said.stage is DisputeStage.OPEN:
        return (Step(Do.FREEZE, part),) if claim.stage < DisputeStage.OPEN and part else ()
    return tuple(_towards(claim, taken=part if _takes(said) else NONE))


def share(record: PaymentRecord, claim: Refund | Dispute, gone: Mapping[str, int]) -> Amounts:
    """
    What of the PT the money of *claim* stands for, beside what other claims have taken of them.

    All claims together take the PT that all their money stands for, rounded down, whichever of them came first. Others
    count as much as they come to now, which *gone* says, for they may have given some of it back.
    """
    others = {n: each for n, each in record.claims.items() if n != claim.id and each.in_force}
    money = min(record.amount, sum(gone[name] for name in others) + claim.amount)
    found: dict[str, int] = {}
    for unit, granted in record.granted.items():
        target = granted * money // record.amount if record.amount else granted
        before = sum(each.had(unit) for each in others.values())
        if (micro := target - before) > 0:
            found[unit] = micro
    return found


def customer_of_two(customer: str, account: str, other: str | None) -> InvariantError:
    """What is wrong with a customer at Stripe that is another account's already."""
    return InvariantError(f"customer {customer} cannot be {account!r} at Stripe: it is {other!r}")


def sold_for(payment: Payment, prices: Mapping[str, Money]) -> Amounts:
    """
    What the PT of each unit sold for, in nano-units, by their list *prices* where there are several.

    Nothing if the payment is in another currency than they are: no rate of exchange is good enough for that.
    """
    listed = {unit: prices[unit] for unit in payment.offer}
    if any(price.currency != payment.currency.upper() for price in listed.values()):
        return {}
    net = of_minor(payment.amount - payment.tax, payment.currency).nano
    return divide(net, payment.offer, {unit: price.nano for unit, price in listed.items()})


def _takes(claim: Refund | Dispute) -> bool:
    """Whether its money is gone, for good as far as one can see."""
    return claim.stage == _IN_FORCE[ClaimKind.REFUND if isinstance(claim, Refund) else ClaimKind.DISPUTE]


def _towards(claim: Claim, *, taken: Amounts) -> Iterator[Step]:
    """What leads from how a claim stands to nothing frozen and so much taken; of what is frozen first."""
    units = sorted({*claim.taken, *claim.lapsed, *claim.frozen, *taken})
    more = {unit: taken.get(unit, 0) - claim.had(unit) for unit in units}
    frozen = {unit: max(0, min(claim.frozen.get(unit, 0), more[unit])) for unit in units}
    for step in (
        Step(Do.UNFREEZE, _some({unit: claim.frozen.get(unit, 0) - frozen[unit] for unit in units})),
        Step(Do.TAKE, _some(more), _some(frozen)),
        Step(Do.GIVE_BACK, _some({unit: -micro for unit, micro in more.items()})),
    ):
        if step.amounts:
            yield step


def less_lapsed(step: Step, lapsed: Amounts) -> tuple[Amounts, Amounts]:
    """
    What is to be taken in fact, and what need not be, where so much of the lots has *lapsed*.

    What is frozen is there still, so it does not count as lapsed.
    """
    none = {
        unit: min(micro - step.frozen.get(unit, 0), lapsed.get(unit, 0))
        for unit, micro in step.amounts.items()
    }
    return _some({unit: micro - none[unit] for unit, micro in step.amounts.items()}), _some(none)


def first_taken(step: Step, taken: Amounts) -> tuple[Amounts, Amounts]:
    """What of a step back is given back in fact, of what was *taken*, and what had lapsed."""
    back = {unit: min(micro, taken.get(unit, 0)) for unit, micro in step.amounts.items()}
    return _some(back), _some({unit: micro - back[unit] for unit, micro in step.amounts.items()})


def spare(claim: Claim, lapsed: Amounts) -> Amounts:
    """What a claim in force need not owe of what had been used, where so much *lapsed* that is counted for none."""
    if not claim.in_force:
        return {}
    return _some({unit: min(micro, lapsed.get(unit, 0)) for unit, micro in claim.used.items()})


def _some(amounts: Amounts) -> Amounts:
    """What there is more than nothing of."""
    return {unit: micro for unit, micro in amounts.items() if micro > 0}
