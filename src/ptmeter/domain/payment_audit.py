"""
Hold payments against the journal and the money: written apart from what books them, on purpose.

Every step that a refund or dispute took has a key of its own, made of the claim's name and the step's number, so what
the steps moved is found again, and must come to what is on record of the claim. What is frozen of a lot is frozen for
its payment. The money of a payment is as much as was paid, went where its claims say, and belongs to a payment.

Whether all money is there that moved, only Stripe can say.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from .audit import Finding
from .keys import transfer_id, transfer_ids
from .ledger import Kind, WalletId
from .money import Side, exponent
from .payments import NANO, ClaimKind, DisputeStage, RefundStage
from .pt import allocate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .ledger import Transfer, Wallet
    from .money import MoneyEntry
    from .payments import Claim, PaymentRecord

_VERBS: Final = {
    "freeze": Kind.FREEZE,
    "unfreeze": Kind.UNFREEZE,
    "reverse": Kind.REVERSE,
    "grant": Kind.GRANT,
}
_MOST_TURNS: Final = 10_000
_CLOSED: Final = ":closed:"
_OTHERS: Final = {"fee": Side.FEES, "bank": Side.BANK}
"""What entries are called that are not called after their side."""


class PaymentAudit:
    """Compares payments with the wallets that are there, one by one."""

    def __init__(self) -> None:
        self._frozen: Counter[tuple[WalletId, int]] = Counter()
        self._claimed: Counter[tuple[WalletId, int]] = Counter()
        self._payments: dict[tuple[WalletId, int], str] = {}

    def read_lots(self, wallet: Wallet) -> None:
        """Take note of what is frozen in a wallet."""
        for lot in wallet.lots:
            if lot.frozen:
                self._frozen[wallet.id, lot.number] = lot.frozen

    def read(
        self,
        record: PaymentRecord,
        posted: Mapping[bytes, Transfer],
        lots: Mapping[str, Transfer],
        money: Sequence[MoneyEntry],
    ) -> list[Finding]:
        """
        What is wrong with a payment.

        *posted* is what there is of `asked`, *lots* what stands at the places of its lots, *money* what belongs to it.
        """
        problems = [*_lot_problems(record, lots), *_claim_problems(record, posted)]
        found = [_finding(record.id, each) for each in problems or _amount_problems(record, lots)]
        for unit, lot in record.lots.items():
            place = WalletId(record.account, unit), lot
            self._payments[place] = record.id
            self._claimed[place] += sum(claim.frozen.get(unit, 0) for claim in record.claims.values())
        return found + money_findings(record, money)

    def finish(self) -> list[Finding]:
        """What is wrong, once all payments are read."""
        return [
            _finding(
                payment,
                f"{claimed} of its lot {place[1]} are frozen by it, and {self._frozen[place]} in all",
            )
            for place, payment in self._payments.items()
            if (claimed := self._claimed[place]) != self._frozen[place]
        ]


def asked(record: PaymentRecord) -> dict[bytes, tuple[str, int, Kind]]:
    """The ids of all that can have been posted for a payment's claims, each with claim, turn and kind."""
    return {
        transfer_id(record.account, verb, f"{name}:{turn}", *unit): (name, turn, kind)
        for name, claim in record.claims.items()
        for turn in range(1, min(claim.turns, _MOST_TURNS) + 1)
        for verb, kind in _VERBS.items()
        for unit in ((), *((unit,) for unit in record.granted))
    }


def of_payout(name: str, money: Sequence[MoneyEntry]) -> list[Finding]:
    """What is wrong with something that has a place to be locked and is no payment: it went to the bank, or nowhere."""
    wrong = (each for each in money if each.account or each.key.rpartition(":")[2] not in _OTHERS)
    return [_money(each, f"it is of a payment, and {name} is none") for each in wrong] or _form_findings(
        money
    )


def astray(entry: MoneyEntry) -> Finding:
    """That an entry belongs to nothing that is there."""
    return Finding(
        "ptm_money", entry.key, "row", f"it belongs to {entry.reference or 'nothing'!r}, which is not there"
    )


# --- lots -----------------------------------------------------------------------------------------


def _lot_problems(record: PaymentRecord, lots: Mapping[str, Transfer]) -> Iterator[str]:
    """Whether the lots that it brought are there, and are those of its key or of a plan's cycle."""
    key = f"payment:{record.id}"
    ids = transfer_ids(record.account, "grant", key, record.granted) if record.granted else {}
    for unit in sorted({*record.granted, *record.lots}):
        granted, lot = record.granted.get(unit), lots.get(unit)
        if lot is None or lot.kind is not Kind.GRANT or lot.amount != granted:
            yield f"the {granted} micro-PT of {unit} that it brought are not in its lot {record.lots.get(unit)}"
        elif lot.id != ids[unit] and lot.note.startswith(("payment ", "top-up ")):
            yield f"lot {lot.seq} in {unit} was granted for another payment"


def _amount_problems(record: PaymentRecord, lots: Mapping[str, Transfer]) -> Iterator[str]:
    """Whether its amounts go together with what its lots say was paid, and with what was taken for its claims."""
    if not 0 <= record.tax <= record.amount:
        yield f"{record.tax} of {record.amount} cannot be tax"
        return
    paid = [lot.paid for lot in lots.values()]
    net = (record.amount - record.tax) * NANO // 10 ** exponent(record.currency)
    if paid and None not in paid and sum(filter(None, paid)) != net:
        yield f"its lots were paid with {sum(filter(None, paid))} nano-units, and it has {net} without tax"
    for unit, granted in record.granted.items():
        yield from _share_problems(record, unit, granted)


def _share_problems(record: PaymentRecord, unit: str, granted: int) -> Iterator[str]:
    """Whether what claims took of a lot is as much as the money that is gone, and what they froze no more than they claim."""
    taken = sum(claim.taken.get(unit, 0) for claim in record.claims.values())
    claimed = min(record.amount, sum(claim.amount for claim in record.claims.values() if claim.in_force))
    if taken != granted * claimed // (record.amount or 1):
        yield f"{taken} of {granted} micro-PT of {unit} are taken back for {claimed} of {record.amount} of the money"
    for name, claim in record.claims.items():
        frozen = claim.frozen.get(unit, 0)
        if frozen * record.amount > granted * claim.amount + record.amount:
            yield f"claim {name} has {frozen} of {granted} micro-PT of {unit} frozen for {claim.amount} of the money"


# --- claims ---------------------------------------------------------------------------------------


class _Moved:
    """What the steps of a claim have moved, as the journal has it."""

    def __init__(self) -> None:
        self.frozen: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()
        self.parts: set[tuple[int, int]] = set()


def _claim_problems(record: PaymentRecord, posted: Mapping[bytes, Transfer]) -> Iterator[str]:
    steps: dict[str, dict[tuple[int, Kind], list[Transfer]]] = defaultdict(lambda: defaultdict(list))
    for name, (claim, turn, kind) in asked(record).items():
        transfer = posted.get(name)
        if transfer is not None and transfer.kind is kind:
            steps[claim][turn, kind].append(transfer)
    for name, claim in record.claims.items():
        moved = _Moved()
        for (_, kind), transfers in sorted(steps[name].items()):
            if any(kind is not Kind.GRANT and not _of_its_lot(record, each) for each in transfers):
                yield f"claim {name} has moved what is in another lot"
            _add(moved, kind, record, transfers)
        yield from (f"claim {name}: {problem}" for problem in _problems(claim, moved))


def _of_its_lot(record: PaymentRecord, transfer: Transfer) -> bool:
    """Whether all that was moved is of its lot, or was lent for it just before."""
    lot = record.lots.get(transfer.wallet.unit)
    may_be = {lot, transfer.seq - 1} if transfer.kind is Kind.REVERSE else {lot}
    return all(part.lot in may_be for part in transfer.allocations)


def _add(moved: _Moved, kind: Kind, record: PaymentRecord, transfers: Sequence[Transfer]) -> None:
    for each in transfers:
        unit = each.wallet.unit
        match kind:
            case Kind.FREEZE:
                moved.frozen[unit] += each.amount
            case Kind.UNFREEZE:
                moved.frozen[unit] -= each.amount
            case Kind.REVERSE:
                moved.taken[unit] += each.amount
                moved.frozen[unit] = (
                    0  # what was frozen is taken first, and what is not taken is free by then
                )
            case _:
                moved.taken[unit] -= each.amount
    if kind is Kind.REVERSE:
        there = sum(
            part.amount
            for each in transfers
            for part in each.allocations
            if part.lot == record.lots.get(each.wallet.unit)
        )
        moved.parts.add((there, sum(each.amount for each in transfers) - there))


def _problems(claim: Claim, moved: _Moved) -> Iterator[str]:
    taken, frozen = _some(moved.taken), _some(moved.frozen)
    if not 0 <= claim.turns <= _MOST_TURNS:
        yield f"it has taken {claim.turns} turns"
    if dict(claim.taken) != taken:
        yield f"it has taken {dict(claim.taken)}, the journal gives {taken}"
    if dict(claim.frozen) != frozen:
        yield f"{dict(claim.frozen)} are frozen for it, the journal gives {frozen}"
    if claim.parts not in {(0, 0), *moved.parts}:
        yield f"of what it took {claim.parts} were there and used, the journal gives {sorted(moved.parts)}"
    may_freeze, may_take = _MAY.get((claim.kind, claim.stage), (False, False))
    if (frozen and not may_freeze) or (taken and not may_take):
        yield f"at stage {claim.stage} it can have frozen {frozen} or taken {taken} no more"


_MAY: Final[Mapping[tuple[ClaimKind, int], tuple[bool, bool]]] = {
    (ClaimKind.REFUND, RefundStage.MADE): (False, True),
    (ClaimKind.DISPUTE, DisputeStage.OPEN): (True, False),
    (ClaimKind.DISPUTE, DisputeStage.LOST): (False, True),
}
"""Whether a claim at that stage may have something frozen, and taken; at any other neither."""


def _some(amounts: Mapping[str, int]) -> dict[str, int]:
    return {unit: micro for unit, micro in sorted(amounts.items()) if micro}


# --- money ----------------------------------------------------------------------------------------


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
    return found + [_finding(record.id, problem) for problem in _held_problems(record, money)]


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
    if group.closing:
        yield from _tax_problems(record, amounts)
        return
    amounts.pop(Side.FEES, None)
    if not amounts or amounts.keys() & {Side.DISPUTE_HOLD, Side.OTHER}:
        return
    yield from _tax_problems(record, amounts)
    total = sum(amounts.values())
    claims = [claim.amount for claim in record.claims.values()]
    known = {record.amount, *claims, *(record.amount + each for each in claims)} if total > 0 else {*claims}
    if group.entries[0].currency == record.currency and abs(total) not in known:
        yield f"it moved {total}, which is no amount of {record.id} or of what was claimed of it"


def _tax_problems(record: PaymentRecord, amounts: Mapping[Side, int]) -> Iterator[str]:
    total = sum(amounts.values())
    parts = (record.tax, record.amount - record.tax) if record.amount else (0, 1)
    tax, _ = allocate(abs(total), parts) if min(parts) >= 0 else (0, 0)
    if abs(amounts.get(Side.TAX, 0)) != tax:
        yield f"{abs(amounts.get(Side.TAX, 0))} of {abs(total)} is tax, {tax} if it is as in all of {record.id}"


def _held_problems(record: PaymentRecord, money: Sequence[MoneyEntry]) -> Iterator[str]:
    """Whether what disputes keep for good was booked, and nothing is held for those that are decided."""
    closed: Counter[str] = Counter()
    held: Counter[str] = Counter()
    turns: Counter[str] = Counter()
    for each in money:
        if Side.DISPUTE_HOLD not in (each.debit, each.credit):
            continue
        amount = each.amount if each.debit is Side.DISPUTE_HOLD else -each.amount
        held[each.currency] += amount
        name, is_closing, turn = each.key.partition(_CLOSED)
        if is_closing:
            closed[name] -= amount
            turns[name] = max(turns[name], _number(turn.partition(":")[0]))
    for name in sorted({*closed, *record.claims}):
        claim = record.claims.get(name)
        if closed[name] != (claim.closed if claim else 0):
            yield f"claim {name} keeps {claim.closed if claim else 0} for good, and {closed[name]} were booked"
        elif claim and turns[name] > claim.turns:
            yield f"claim {name} has taken {claim.turns} turns, and its money {turns[name]}"
        elif claim and claim.closed and (claim.kind, claim.stage) != (ClaimKind.DISPUTE, DisputeStage.LOST):
            yield f"claim {name} keeps {claim.closed} for good, and is no dispute that was lost"
    undecided = any(
        claim.kind is ClaimKind.DISPUTE and claim.stage in (DisputeStage.OPEN, DisputeStage.WON)
        for claim in record.claims.values()
    )
    for currency, amount in held.items():
        if amount and not undecided:
            yield f"{amount} {currency} are held for disputes, and all are decided"


def _groups(money: Sequence[MoneyEntry]) -> list[_Group]:
    groups: dict[str, list[MoneyEntry]] = defaultdict(list)
    for each in money:
        groups[each.key.rpartition(":")[0]].append(each)
    return [_Group(*each) for each in groups.items()]


def _named(entry: MoneyEntry) -> Side | None:
    """The side that its key names."""
    name = entry.key.rpartition(":")[2]
    return _OTHERS.get(name) or next((side for side in Side if side.value == name), None)


def _finding(payment: str, problem: str) -> Finding:
    return Finding("ptm_payment", payment, "row", problem)


def _money(entry: MoneyEntry, problem: str) -> Finding:
    return Finding("ptm_money", entry.key, "row", problem)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else _MOST_TURNS + 1
