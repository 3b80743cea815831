"""
Hold payments against the journal: written apart from what books them, on purpose.

Every step that a refund or dispute took has a key of its own, made of the claim's name and the step's number, so what
the steps moved is found again, and must come to what is on record of the claim. What is frozen of a lot is frozen for
its payment.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from .audit import Finding
from .keys import transfer_id, transfer_ids
from .ledger import Kind, WalletId
from .money import exponent
from .money_audit import money_findings
from .payments import ClaimKind, DisputeStage, RefundStage
from .pt import NANO

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


# --- lots -----------------------------------------------------------------------------------------


def _lot_problems(record: PaymentRecord, lots: Mapping[str, Transfer]) -> Iterator[str]:
    """Whether the lots that it brought are there, and are those of its key or of a plan's cycle."""
    ids = _ids(record)
    for unit in sorted({*record.granted, *record.lots}):
        granted, lot = record.granted.get(unit), lots.get(unit)
        if lot is None or lot.kind is not Kind.GRANT or record.portion.of(lot.amount) != granted:
            yield f"the {granted} micro-PT of {unit} that it brought are not in its lot {record.lots.get(unit)}"
        elif lot.id != ids[unit] and lot.note.startswith(("payment ", "top-up ")):
            yield f"lot {lot.seq} in {unit} was granted for another payment"


def _amount_problems(record: PaymentRecord, lots: Mapping[str, Transfer]) -> Iterator[str]:
    """
    Whether its amounts go together with what its lots say was paid, and with what was taken for its claims.

    Lots of a plan's cycle carry what the plan costs: a payment at Stripe may be for a year, or less a coupon.
    """
    if not 0 <= record.tax <= record.amount:
        yield f"{record.tax} of {record.amount} cannot be tax"
        return
    ids = _ids(record)
    paid = [lot.paid for unit, lot in lots.items() if lot.id == ids.get(unit)]
    net = (record.amount - record.tax) * NANO // 10 ** exponent(record.currency)
    if paid and None not in paid and sum(filter(None, paid)) != net:
        yield f"its lots were paid with {sum(filter(None, paid))} nano-units, and it has {net} without tax"
    for unit, granted in record.granted.items():
        yield from _share_problems(record, unit, granted)


def _ids(record: PaymentRecord) -> Mapping[str, bytes]:
    """The ids of the grants that a payment of its own brings, by unit."""
    key = f"payment:{record.id}"
    return transfer_ids(record.account, "grant", key, record.granted) if record.granted else {}


def _share_problems(record: PaymentRecord, unit: str, granted: int) -> Iterator[str]:
    """Whether what claims took of a lot is as much as the money that is gone, and what they froze no more than they claim."""
    taken = sum(claim.had(unit) for claim in record.claims.values())
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
        self.used: Counter[str] = Counter()
        self.parts: list[tuple[int, int]] = [(0, 0)]
        """Those of all that was taken by then, step by step."""


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
                moved.used[unit] += each.amount - _there(record, each)
                moved.frozen[unit] = (
                    0  # what was frozen is taken first, and what is not taken is free by then
                )
            case _:
                moved.taken[unit] -= each.amount
                moved.used[unit] -= min(each.amount, moved.used[unit])
    if kind is Kind.REVERSE:
        there = sum(_there(record, each) for each in transfers)
        free, used = moved.parts[-1]
        moved.parts.append((free + there, used + sum(each.amount for each in transfers) - there))
    elif kind is Kind.GRANT:
        free, used = moved.parts[-1]
        given = sum(each.amount for each in transfers)
        moved.parts.append((free - max(0, given - used), max(0, used - given)))


def _there(record: PaymentRecord, transfer: Transfer) -> int:
    """What of a transfer was in the payment's lot."""
    lot = record.lots.get(transfer.wallet.unit)
    return sum(part.amount for part in transfer.allocations if part.lot == lot)


def _problems(claim: Claim, moved: _Moved) -> Iterator[str]:
    taken, frozen = _some(moved.taken), _some(moved.frozen)
    if not 0 <= claim.turns <= _MOST_TURNS:
        yield f"it has taken {claim.turns} turns"
    if dict(claim.taken) != taken:
        yield f"it has taken {dict(claim.taken)}, the journal gives {taken}"
    if dict(claim.used) != (used := _some(moved.used)):
        yield f"{dict(claim.used)} of it had been used, the journal gives {used}"
    if dict(claim.frozen) != frozen:
        yield f"{dict(claim.frozen)} are frozen for it, the journal gives {frozen}"
    if claim.parts[:2] not in (moved.parts if claim.kind is ClaimKind.REFUND else moved.parts[-1:]):
        yield f"of what it took {claim.parts[:2]} were there and used, the journal gives {moved.parts}"
    if not _may_have_lapsed(claim):
        yield f"{dict(claim.lapsed)} of its share had lapsed, of which {claim.parts[2]} are noted with its money"
    may_freeze, may_take = _MAY.get((claim.kind, claim.stage), (False, False))
    if (frozen and not may_freeze) or (taken and not may_take):
        yield f"at stage {claim.stage} it can have frozen {frozen} or taken {taken} no more"


def _may_have_lapsed(claim: Claim) -> bool:
    """Whether what had lapsed is what its money was booked by; a refund's is booked once, and may lapse since."""
    lapsed, noted = sum(claim.lapsed.values()), claim.parts[2]
    possible = all(micro >= 0 for micro in claim.lapsed.values())
    return possible and (lapsed == noted or (claim.kind is ClaimKind.REFUND and noted >= 0))


_MAY: Final[Mapping[tuple[ClaimKind, int], tuple[bool, bool]]] = {
    (ClaimKind.REFUND, RefundStage.MADE): (False, True),
    (ClaimKind.DISPUTE, DisputeStage.OPEN): (True, False),
    (ClaimKind.DISPUTE, DisputeStage.LOST): (False, True),
}
"""Whether a claim at that stage may have something frozen, and taken; at any other neither."""


def _some(amounts: Mapping[str, int]) -> dict[str, int]:
    return {unit: micro for unit, micro in sorted(amounts.items()) if micro}


def _finding(payment: str, problem: str) -> Finding:
    return Finding("ptm_payment", payment, "row", problem)
