"""
Re-derive a wallet from its journal, row by row, and name the first row that disagrees.

This is written apart from the planner, on purpose: it knows what each kind of transfer *means*, not how
one is decided, so a fault in the planner shows up here instead of being repeated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from . import chain
from .keys import wallet_number
from .ledger import SETS_ASIDE, Kind
from .periods import booked_until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..errors import UnreadableRowError
    from .checkpoints import Checkpoint
    from .ledger import Allocation, Lot, OpenHold, Transfer, Wallet, WalletId


class Finding(NamedTuple):
    """Something that does not hold: in which wallet, at which row, and what."""

    account: str
    unit: str
    row: str
    problem: str

    def __str__(self) -> str:
        return f"{self.account}/{self.unit} {self.row}: {self.problem}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """
    What a verification looked at and what it found.

    ``uncovered`` lists what could not be checked: a report with gaps is never clean. ``checkpoint`` is the last of
    the signed checkpoints that the ledger was held against, if it was.
    """

    wallets: int
    transfers: int
    findings: tuple[Finding, ...]
    uncovered: tuple[str, ...] = ()
    checkpoint: Checkpoint | None = None

    @property
    def clean(self) -> bool:
        """Everything was checked and everything holds."""
        return not self.findings and not self.uncovered


def unreadable(problem: UnreadableRowError, wallet: WalletId | None = None) -> Finding:
    """That a row cannot be read: under its *wallet* if that is known, else under its table."""
    row, what = problem.row, problem.problem
    match problem.table:
        case "ptm_period":
            return Finding(problem.table, str(row["period"]), f"event {row['number']}", what)
        case "ptm_account":
            return Finding(problem.table, str(row["account"]), "row", what)
        case "ptm_payment":
            return Finding(problem.table, str(row["payment"]), "row", what)
        case "ptm_money":
            return Finding(problem.table, str(row["entry"]), "row", what)
        case "ptm_wallet":
            return Finding(str(row["account"]), str(row["unit"]), "wallet", what)
        case table if wallet and table in _ROWS:
            return Finding(*wallet, _ROWS[table].format(**row), what)
        case table:
            return Finding(table, ", ".join(f"{name}={value}" for name, value in row.items()), "row", what)


def misnamed(wallet: Wallet) -> Finding | None:
    """Whether the wallet's number, by which its rows are found, is another than that of its name."""
    if wallet.number == wallet_number(*wallet.id):
        return None
    return Finding(*wallet.id, "wallet", f"its number {wallet.number} is not that of its name")


_ROWS: Final = {
    "ptm_transfer": "transfer {seq}",
    "ptm_open_hold": "open hold {number}",
    "ptm_closing": "closing {period}",
}
"""What the rows of a wallet are called in findings."""

_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class _Bad(Exception):  # noqa: N818 - carries a problem out of the fold; it never leaves this module
    pass


@dataclass(slots=True)
class _Lot:
    granted: int
    remaining: int
    held: int
    priority: int
    expires_at: datetime | None
    paid: int | None
    frozen: int = 0

    def place(self) -> tuple[int, datetime]:
        return self.priority, self.expires_at or _NEVER


class _Held(NamedTuple):
    id: bytes
    amount: int
    allocations: tuple[Allocation, ...]
    expires_at: datetime | None
    member: str
    extends: bool


_BRINGS_IN: Final = frozenset({Kind.GRANT, Kind.ADVANCE, Kind.ADJUST_UP})
_TAKES_OUT: Final = frozenset({Kind.DEBIT, Kind.LAPSE, Kind.REPAY, Kind.ADJUST_DOWN, Kind.REVERSE})


@dataclass(slots=True)
class WalletAudit:
    """The fold of one wallet's journal: `read` its rows in order, then `compare` with what is stored."""

    wallet: WalletId
    chain_key: bytes = b""
    seq: int = 0
    available: int = 0
    held: int = 0
    spent: int = 0
    owed: int = 0
    frozen: int = 0
    head: bytes = b""
    booked_at: datetime | None = None
    lots: dict[int, _Lot] = field(default_factory=dict[int, _Lot])
    free: dict[int, _Lot] = field(default_factory=dict[int, _Lot])
    holds: dict[int, _Held] = field(default_factory=dict[int, _Held])
    last_settle: int = 0
    last_advance: int = 0
    expiries: set[int] = field(default_factory=set[int])

    def __post_init__(self) -> None:
        self.head = chain.genesis(self.wallet, self.chain_key)

    def read(self, rows: Iterable[Transfer]) -> Finding | None:
        """Fold the next rows in; the first that does not follow from those before it is returned."""
        for row in rows:
            try:
                whole = self._check_place(row)
                self._apply(row)
                self.head = whole
                self._check_balance(row)
            except _Bad as bad:
                return Finding(*self.wallet, f"transfer {row.seq} ({row.kind.name.lower()})", str(bad))
        return None

    def compare(self, wallet: Wallet, holds: Iterable[OpenHold]) -> list[Finding]:
        """What the stored wallet, lots and open holds say differently from the journal."""
        stored = {name: getattr(wallet, name) for name in ("available", "held", "spent", "owed", "seq")}
        found = [
            self._finding("wallet", f"{name} is {value}, the journal gives {getattr(self, name)}")
            for name, value in stored.items()
            if value != getattr(self, name)
        ]
        if self.owed and self.available:
            found.append(
                self._finding("wallet", f"{self.owed} is owed while {self.available} is available")
            )
        if wallet.head != self.head:
            found.append(self._finding("wallet", "its head hash is not that of the last transfer"))
        if self.booked_at and wallet.booked_at != booked_until(self.booked_at, wallet.closed_until):
            found.append(self._finding("wallet", "its booking time is not that of the last transfer"))
        return found + self._compare_lots(wallet) + self._compare_holds(holds)

    def _check_place(self, row: Transfer) -> bytes:
        """Whether the row follows the one before it; returns its whole hash."""
        if row.seq != self.seq + 1:
            missing = row.seq - self.seq - 1
            what = f"{missing} rows are missing" if missing > 0 else "it is there twice, or out of order"
            raise _Bad(f"it stands after transfer {self.seq}: {what}")
        if row.link[:1] != bytes([chain.VERSION]):
            raise _Bad(f"its hash is of version {row.link[:1].hex()}, which this ptmeter does not know")
        whole = chain.successor(row, self.head, self.chain_key)
        if row.link != chain.link(whole):
            raise _Bad("its hash does not match its content and the row before it")
        if self.booked_at is not None and row.booked_at <= self.booked_at:
            raise _Bad("it is booked no later than the row before it")
        if row.amount <= 0:
            raise _Bad(f"its amount is {row.amount}")
        return whole

    def _apply(self, row: Transfer) -> None:
        if row.kind in _BRINGS_IN:
            self._bring_in(row)
        elif row.kind in _TAKES_OUT:
            self._take_out(row)
        elif row.kind in SETS_ASIDE:
            self._check_burned(row)
            self._move(row.allocations, row.amount, remaining=-1, held=1)
            extends = row.kind is Kind.EXTEND
            self.holds[row.seq] = _Held(
                row.id, row.amount, row.allocations, row.expires_at, row.member, extends
            )
            self.available -= row.amount
            self.held += row.amount
        elif row.kind in (Kind.FREEZE, Kind.UNFREEZE):
            self._freeze(row, -1 if row.kind is Kind.FREEZE else 1)
        else:
            self._resolve(row)
        self.seq, self.booked_at = row.seq, row.booked_at

    def _bring_in(self, row: Transfer) -> None:
        priority = row.priority
        if priority is None:
            raise _Bad("it brings in PT without a priority")
        if row.allocations or row.completes is not None:
            raise _Bad("it brings in PT and takes some, or completes another")
        lot = _Lot(row.amount, row.amount, 0, priority, row.expires_at, row.paid)
        self.lots[row.seq] = self.free[row.seq] = lot
        self.available += row.amount
        if row.kind is Kind.ADVANCE:
            self.owed += row.amount
            self.last_advance = row.seq

    def _take_out(self, row: Transfer) -> None:
        if row.completes is not None and row.kind is not Kind.DEBIT:
            raise _Bad(f"it completes transfer {row.completes}, which only a debit can")
        self._check_burned(row)
        self._move(row.allocations, row.amount, remaining=-1)
        self.available -= row.amount
        if row.kind is Kind.REPAY:
            self.owed -= row.amount
        if row.kind is Kind.DEBIT:
            self.spent += row.amount
            self._check_completed(row)

    def _check_burned(self, row: Transfer) -> None:
        """Whether the row takes from the lots whose turn it is."""
        if row.kind is Kind.LAPSE:
            for number, _ in row.allocations:
                lot = self.lots.get(number)
                if lot and (lot.expires_at is None or row.booked_at < lot.expires_at):
                    raise _Bad(f"lot {number} is not over")
            return
        if row.kind is Kind.ADJUST_DOWN and len(row.allocations) == 1:
            return  # a correction may be bound to a lot; whether there is so much in it is seen in any case
        if row.kind is Kind.REVERSE:
            self._check_taken_back(row)
            return
        left = row.amount
        expected: list[tuple[int, int]] = []
        for number, lot in sorted(self.free.items(), key=lambda item: (item[1].place(), item[0])):
            if not left:
                break
            expected.append((number, min(left, lot.remaining)))
            left -= expected[-1][1]
        if not left and expected != [*row.allocations]:
            raise _Bad("it takes from other lots than those whose turn it is")

    def _check_taken_back(self, row: Transfer) -> None:
        """Whether the row takes from one lot, and what is not free there from what was lent for it just before."""
        lot, lent = row.allocations[:1], row.allocations[1:]
        if lot and lot[0].lot == self.last_advance == row.seq - 1:
            lot, lent = (), row.allocations
        if any(part.lot != self.last_advance or part.lot != row.seq - 1 for part in lent):
            raise _Bad("it takes from other lots than its own and what was lent for it")
        if lent and any(self._free(part.lot) != part.amount for part in (*lot, *lent)):
            raise _Bad("it was lent what was free in its lot, or more than it takes")

    def _free(self, number: int) -> int:
        lot = self.lots.get(number)
        return lot.remaining if lot else 0

    def _freeze(self, row: Transfer, sign: int) -> None:
        if len(row.allocations) != 1 or row.completes is not None:
            raise _Bad("it is of more than one lot, or completes another")
        self._move(row.allocations, row.amount, remaining=sign, frozen=-sign)
        self.available += sign * row.amount
        self.frozen -= sign * row.amount

    def _check_completed(self, row: Transfer) -> None:
        if row.completes is None:
            return
        if row.completes == self.last_settle != 0:
            self.last_settle = 0  # each at most once
            return
        if row.completes not in self.expiries:
            raise _Bad(f"it completes transfer {row.completes}, which is no open settle or expiry")
        self.expiries.remove(row.completes)

    def _resolve(self, row: Transfer) -> None:
        hold = self.holds.pop(row.completes or 0, None)
        if hold is None:
            raise _Bad(f"it completes transfer {row.completes}, which is not an open hold")
        spent = row.amount if row.kind is Kind.SETTLE else 0
        if row.amount != hold.amount and (not spent or row.amount > hold.amount):
            raise _Bad(f"it moves {row.amount} of a hold of {hold.amount}")
        self._move(hold.allocations, hold.amount, remaining=1, held=-1)
        if spent:
            if [*row.allocations] != _first(hold.allocations, spent):
                raise _Bad("it uses other lots than the hold took first")
            self._move(row.allocations, row.amount, remaining=-1)
            self.last_settle = row.seq
        elif row.allocations != hold.allocations:
            raise _Bad("it returns PT to other lots than the hold took them from")
        if row.kind is Kind.EXPIRE:
            if hold.expires_at is not None and row.booked_at < hold.expires_at:
                raise _Bad("the hold expired early")
            self.expiries.add(row.seq)
        self.available += hold.amount - spent
        self.held -= hold.amount
        self.spent += spent

    def _move(
        self,
        allocations: tuple[Allocation, ...],
        amount: int,
        *,
        remaining: int,
        held: int = 0,
        frozen: int = 0,
    ) -> None:
        if sum(part for _, part in allocations) != amount:
            raise _Bad(f"its allocations do not sum to {amount}")
        for number, part in allocations:
            lot = self.lots.get(number)
            if lot is None or part <= 0:
                raise _Bad(f"it allocates {part} from lot {number}, which does not hold it")
            lot.remaining += remaining * part
            lot.held += held * part
            lot.frozen += frozen * part
            if min(lot.remaining, lot.held, lot.frozen) < 0:
                raise _Bad(f"it takes more than lot {number} has")
            if lot.remaining:
                self.free[number] = lot
            else:
                self.free.pop(number, None)

    def _check_balance(self, row: Transfer) -> None:
        said = row.available_after, row.held_after, row.frozen_after
        given = self.available, self.held, self.frozen
        if said != given:
            raise _Bad(
                "its balance after it is {} available, {} held and {} frozen, the rows give {}, {} and {}".format(
                    *said, *given
                )
            )
        if self.available < 0 or self.held < 0 or self.owed < 0:
            raise _Bad("a balance is negative after it")

    def _compare_lots(self, wallet: Wallet) -> list[Finding]:
        stored = {lot.number: _facts(lot) for lot in wallet.lots}
        derived = {number: _facts(lot) for number, lot in self.lots.items()}
        return [
            self._finding(f"lot {number}", "what is stored of it is not what the journal gives")
            for number in sorted(stored.keys() | derived.keys())
            if stored.get(number) != derived.get(number)
        ]

    def _compare_holds(self, holds: Iterable[OpenHold]) -> list[Finding]:
        stored: dict[int, list[_Held]] = {}
        for h in holds:
            held = _Held(h.id, h.amount, h.allocations, h.expires_at, h.member, h.extends)
            stored.setdefault(h.number, []).append(held)
        derived = {number: [hold] for number, hold in self.holds.items()}
        return [
            self._finding(f"open hold {number}", "what is stored of it is not what the journal gives")
            for number in sorted(stored.keys() | derived.keys())
            if stored.get(number) != derived.get(number)
        ]

    def _finding(self, row: str, problem: str) -> Finding:
        return Finding(*self.wallet, row, problem)


def _facts(lot: Lot | _Lot) -> tuple[object, ...]:
    kept = lot.remaining, lot.held, lot.frozen
    return lot.granted, *kept, lot.priority, lot.expires_at, lot.paid


def _first(parts: tuple[Allocation, ...], amount: int) -> list[tuple[int, int]]:
    taken: list[tuple[int, int]] = []
    for number, part in parts:
        if take := min(part, amount):
            taken.append((number, take))
            amount -= take
    return taken
