"""
Hold the money of payments against what is on record of them: written apart from what books it, on purpose.

It goes by known names to known sides, is as much as was paid or claimed, and as much of it tax; what a bank keeps is
booked as lost, and nothing is held for disputes that are decided. Whether all money is there that moved, and what of it
Stripe kept, only Stripe can say.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from .audit import Finding
from .money import Side
from .payments import NO_REFUND, ClaimKind, DisputeStage
from .pt import allocate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .money import MoneyEntry
    from .payments import Claim, PaymentRecord

_CLOSED: Final = ":closed:"
_NEVER: Final = 10**9
_OTHERS: Final = {"fee": Side.FEES, "bank": Side.BANK}
"""What entries are called that are not called after their side."""


def money_findings(record: PaymentRecord, money: Sequence[MoneyEntry]) -> list[Finding]:
    """What is wrong with the money of a payment: the form of its entries, then what they come to."""
    found = _form_findings(money)
    found += [
        _money(each, f"it is of account {each.account!r}, and its payment of {record.account!r}")
        for each in money
        if each.account != record.account
    ]
    if found:
        return found
    groups = _groups(money)
    found += [_money(group.entries[0], problem) for group in groups for problem in _sums(record, group)]
    problems = (*_closed_problems(record, groups), *_held_problems(record, money))
    return found + [Finding("ptm_payment", record.id, "row", problem) for problem in problems]


def of_no_payment(name: str, money: Sequence[MoneyEntry]) -> list[Finding]:
    """What is wrong with something that has a place to be locked and is no payment: a payout, or an invoice."""
    if any(Side.RECEIVABLE in (each.debit, each.credit) for each in money):
        return [_money(money[0], each) for each in _invoice_problems(name, money)]
    wrong = (each for each in money if each.account or each.key.rpartition(":")[2] not in _OTHERS)
    return [_money(each, f"it is of a payment, and {name} is none") for each in wrong] or _form_findings(
        money
    )


def _invoice_problems(name: str, money: Sequence[MoneyEntry]) -> Iterator[str]:
    """Whether entries say in turn what was left to pay of an invoice, which is never less than nothing."""
    if any({each.debit, each.credit} != {Side.RECEIVABLE, Side.INVOICED} for each in money):
        yield f"of invoice {name} something else is booked than what is to be paid"
    if len({(each.account, each.currency) for each in money}) > 1 or not all(
        each.account for each in money
    ):
        yield f"invoice {name} is of one account, in one currency"
    if {each.key for each in money} != {f"{name}:receivable:{turn + 1}" for turn in range(len(money))}:
        yield f"entries of invoice {name} are not numbered one by one"
        return
    left = 0
    for each in sorted(money, key=lambda each: int(each.key.rpartition(":")[2])):
        left += each.amount if each.debit is Side.RECEIVABLE else -each.amount
        if left < 0:
            yield f"by {each.key} less than nothing is to be paid of invoice {name}"


def astray(entry: MoneyEntry) -> Finding:
    """That an entry belongs to nothing that is there."""
    return Finding(
        "ptm_money", entry.key, "row", f"it belongs to {entry.reference or 'nothing'!r}, which is not there"
    )


class _Group(NamedTuple):
    """The entries of one movement, or of one step of closing a dispute."""

    name: str
    entries: list[MoneyEntry]

    @property
    def closing(self) -> bool:
        return _CLOSED in self.name

    @property
    def anchor(self) -> Side:
        """Where all of it comes from or goes to."""
        return Side.DISPUTE_HOLD if self.closing else Side.CLEARING

    def amounts(self) -> dict[Side, int]:
        """By the other side, what came from there to the anchor, less what went."""
        return {
            each.credit if each.debit is self.anchor else each.debit: (
                each.amount if each.debit is self.anchor else -each.amount
            )
            for each in self.entries
        }


def _form_findings(money: Sequence[MoneyEntry]) -> list[Finding]:
    found: list[Finding] = []
    for group in _groups(money):
        first = group.entries[0]
        found += [
            _money(each, "its key goes with other sides, or another amount")
            for each in group.entries
            if {each.debit, each.credit} != {group.anchor, _named(each)} or each.amount <= 0
        ]
        if any((each.currency, each.at) != (first.currency, first.at) for each in group.entries):
            found.append(
                _money(first, "what was moved with it was moved at another time, or in another currency")
            )
    return found


def _sums(record: PaymentRecord, group: _Group) -> Iterator[str]:
    """Whether a movement is of an amount that the payment knows, and as much of it tax as of the payment."""
    amounts = group.amounts()
    amounts.pop(Side.FEES, None)
    if group.closing or not amounts or amounts.keys() & {Side.DISPUTE_HOLD, Side.OTHER}:
        return
    total, tax = sum(amounts.values()), amounts.get(Side.TAX, 0)
    expected, _ = _taxed(record, abs(total))
    if abs(tax) != expected or tax * total < 0:
        yield f"{tax} of {total} is tax, {expected} if it is as in all of {record.id}"
    claims = [claim.amount for claim in record.claims.values()]
    known = {record.amount, *claims, *(record.amount + each for each in claims)} if total > 0 else {*claims}
    if group.entries[0].currency == record.currency and abs(total) not in known:
        yield f"it moved {total}, which is no amount of {record.id} or of what was claimed of it"


def _held_problems(record: PaymentRecord, money: Sequence[MoneyEntry]) -> Iterator[str]:
    """Whether nothing is held for disputes that are decided."""
    held: Counter[str] = Counter()
    for each in money:
        if Side.DISPUTE_HOLD in (each.debit, each.credit):
            held[each.currency] += each.amount if each.debit is Side.DISPUTE_HOLD else -each.amount
    undecided = any(
        claim.kind is ClaimKind.DISPUTE and claim.stage in (DisputeStage.OPEN, DisputeStage.WON)
        for claim in record.claims.values()
    )
    for currency, amount in held.items():
        if amount and not undecided:
            yield f"{amount} {currency} are held for disputes, and all are decided"


def _closed_problems(record: PaymentRecord, groups: Sequence[_Group]) -> Iterator[str]:
    """Whether what banks keep for good was booked: for PT that were there, for used ones, and as tax."""
    closed: dict[str, Counter[Side]] = defaultdict(Counter)
    turns: Counter[str] = Counter()
    for group in groups:
        name, closing, turn = group.name.partition(_CLOSED)
        if closing:
            turns[name] = max(turns[name], int(turn) if turn.isdecimal() else _NEVER)
            for side, amount in group.amounts().items():
                closed[name][side] -= amount
    for name in sorted({*closed, *record.claims}):
        claim = record.claims.get(name, NO_REFUND)
        booked = {side: amount for side, amount in closed[name].items() if amount}
        if sum(booked.values()) != claim.closed or booked != _kept(record, claim):
            yield f"claim {name} keeps {claim.closed} for good, and {sum(booked.values())} were booked as {booked}"
        elif turns[name] > claim.turns:
            yield f"claim {name} has taken {claim.turns} turns, and its money {turns[name]}"
        elif claim.closed and not (claim.in_force and claim.kind is ClaimKind.DISPUTE):
            yield f"claim {name} keeps {claim.closed} for good, and is no dispute that was lost"


def _kept(record: PaymentRecord, claim: Claim) -> dict[Side, int]:
    """What a bank keeps for good, by what it was paid for."""
    sign = -1 if claim.closed < 0 else 1
    tax, net = _taxed(record, abs(claim.closed))
    left, gone = allocate(net, _weights(claim))
    shares = {Side.CREDITS: left, Side.TAX: tax, Side.DISPUTE_LOSS: gone}
    return {side: sign * amount for side, amount in shares.items() if amount}


def _weights(claim: Claim) -> tuple[int, int]:
    """What was there still, and what was used or had lapsed; all was there if there is nothing, or it cannot be."""
    there, used, lapsed = claim.parts
    return (there, used + lapsed) if any(claim.parts) and min(claim.parts) >= 0 else (1, 0)


def _taxed(record: PaymentRecord, amount: int) -> tuple[int, int]:
    """How much of an amount is tax, if it is as much as of the payment, and how much is not."""
    parts = (record.tax, record.amount - record.tax) if 0 <= record.tax <= record.amount > 0 else (0, 1)
    tax, net = allocate(amount, parts)
    return tax, net


def _groups(money: Sequence[MoneyEntry]) -> list[_Group]:
    groups: dict[str, list[MoneyEntry]] = defaultdict(list)
    for each in money:
        groups[each.key.rpartition(":")[0]].append(each)
    return [_Group(*each) for each in groups.items()]


def _named(entry: MoneyEntry) -> Side | None:
    """The side that its key names."""
    name = entry.key.rpartition(":")[2]
    return _OTHERS.get(name) or next((side for side in Side if side.value == name), None)


def _money(entry: MoneyEntry, problem: str) -> Finding:
    return Finding("ptm_money", entry.key, "row", problem)
