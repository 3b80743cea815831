"""
Where the tests keep a ledger: what a plan writes, kept in memory the way the SQL store keeps it.

It lets the planner see no more than that store would (lots that are live or named, the holds that are named or
due, how the others ended), and refuses to keep whatever the constraints of the tables forbid.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from tests.unit.domain.strategies import CHAIN_KEY

from ptmeter.domain import chain
from ptmeter.domain.batches import Decided, Plan, State
from ptmeter.domain.commands import Expire, LotCommand, Settle, Void
from ptmeter.domain.keys import wallet_number
from ptmeter.domain.ledger import Kind, Posted, Refused, Wallet
from ptmeter.domain.moves import Resolved
from ptmeter.domain.planner import plan

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from tests.naive import Terms

    from ptmeter.domain.accounts import Account
    from ptmeter.domain.alerts import Notice
    from ptmeter.domain.commands import Linked
    from ptmeter.domain.ledger import Lot, OpenHold, Outcome, Transfer, WalletId

LARGEST = 2**63
"""What the columns cannot hold."""


@dataclass
class Shelf:
    """The tables, in memory. Whatever the database would refuse to store is refused here."""

    wallets: dict[WalletId, Wallet] = field(default_factory=dict["WalletId", Wallet])
    lots: dict[WalletId, dict[int, Lot]] = field(default_factory=dict["WalletId", "dict[int, Lot]"])
    journal: dict[WalletId, list[Transfer]] = field(default_factory=dict["WalletId", "list[Transfer]"])
    holds: dict[bytes, OpenHold] = field(default_factory=dict[bytes, "OpenHold"])
    rejections: dict[bytes, Decided] = field(default_factory=dict[bytes, Decided])
    transfers: dict[bytes, Transfer] = field(default_factory=dict[bytes, "Transfer"])
    accounts: dict[str, Account] = field(default_factory=dict[str, "Account"])
    notices: list[Notice] = field(default_factory=list["Notice"])
    first_outcomes: dict[bytes, Decided] = field(default_factory=dict[bytes, Decided])

    def begin(self, accounts: Mapping[str, Account]) -> None:
        """Have accounts in which to count."""
        self.accounts |= accounts

    def open(self, name: WalletId, at: datetime) -> None:
        """What the store does when PT are first given."""
        if name not in self.wallets:
            head = chain.genesis(name, CHAIN_KEY)
            number = wallet_number(*name)
            self.wallets[name] = Wallet(id=name, number=number, booked_at=at, head=head)
            self.lots[name], self.journal[name] = {}, []

    def set_terms(self, name: WalletId, terms: Terms) -> None:
        """What the operator does."""
        self.wallets[name] = replace(self.wallets[name], credit_limit=terms.credit_limit, state=terms.state)

    def post(self, batch: Sequence[Linked], at: datetime) -> list[tuple[Outcome, ...]]:
        """Read, plan, write."""
        planned = plan(self.lock(batch, at), batch, chain_key=CHAIN_KEY)
        self.write(planned)
        self._remember(batch, planned, at)
        return planned.outcomes

    def full_wallet(self, name: WalletId) -> Wallet:
        """A wallet with all its lots, the used up ones too, as an audit wants it."""
        return replace(self.wallets[name], lots=tuple(self.lots[name].values()))

    def open_holds(self, name: WalletId) -> list[OpenHold]:
        """The wallet's holds that nobody has resolved."""
        return [hold for hold in self.holds.values() if hold.wallet == name]

    def lock(self, batch: Sequence[Linked], at: datetime) -> State:
        """What the SQL store reads: live lots, the holds that are named or due, how others ended."""
        commands = [command for group in batch for command in group]
        named = [c.hold_id for c in commands if isinstance(c, Settle | Void | Expire)]
        lots = {(c.wallet, c.lot) for c in commands if isinstance(c, LotCommand)}
        wallets = {
            c.wallet: replace(self.wallets[c.wallet], lots=self._live_lots(c.wallet, lots))
            for c in commands
            if c.wallet in self.wallets
        }
        holds = {
            hold.id: hold
            for hold in self.holds.values()
            if hold.wallet in wallets and (hold.id in named or hold.expires_at <= at)
        }
        decided = {c.id: d for c in commands if (d := self._decided(c.id))}
        resolved = {name: r for name in named if name not in holds and (r := self._resolved(name))}
        return State(at, wallets, decided, holds, resolved, dict(self.accounts))

    def write(self, planned: Plan) -> None:
        """What the SQL store writes, under the constraints of its tables."""
        for row in planned.transfers:
            self._insert(row)
        for wallet in planned.wallets:
            _check_wallet(wallet)
            self.wallets[wallet.id] = replace(wallet, lots=())
            for lot in wallet.lots:
                _check(lot.remaining >= 0 and lot.held >= 0 and lot.frozen >= 0, lot)
                _check(lot.remaining + lot.held + lot.frozen <= lot.granted, lot)
                self.lots[wallet.id][lot.number] = lot
        for hold in planned.closed:
            del self.holds[hold.id]
        for hold in planned.opened:
            _check(hold.id not in self.holds and hold.amount > 0, hold)
            self.holds[hold.id] = hold
        for rejection in planned.rejections:
            _check(rejection.wallet in self.wallets, rejection)
        self.accounts |= {account.name: account for account in planned.accounts}
        self.notices += planned.notices
        names = [rejection.id for rejection in planned.rejections]
        _check(len(set(names)) == len(names), names)
        self.rejections |= {rejection.id: rejection.decided for rejection in planned.rejections}

    def facts(self) -> tuple[object, ...]:
        """Everything but the memory of refusals, as it is now."""
        lots = {name: dict(theirs) for name, theirs in self.lots.items()}
        journal = {name: tuple(rows) for name, rows in self.journal.items()}
        return dict(self.wallets), lots, dict(self.holds), journal

    def _insert(self, row: Transfer) -> None:
        rows = self.journal[row.wallet]
        _check(row.id not in self.transfers, row)
        _check(row.seq == len(rows) + 1, row)
        _check(0 < row.amount < LARGEST and 0 <= row.available_after < LARGEST, row)
        _check(0 <= row.held_after < LARGEST and 0 <= row.frozen_after < LARGEST, row)
        completed = {earlier.completes for earlier in rows} - {None}
        _check(row.completes not in completed, row)
        self.transfers[row.id] = row
        rows.append(row)

    def _live_lots(self, name: WalletId, named: Collection[tuple[WalletId, int]]) -> tuple[Lot, ...]:
        return tuple(
            lot
            for lot in self.lots[name].values()
            if lot.remaining or lot.held or lot.frozen or (name, lot.number) in named
        )

    def _decided(self, name: bytes) -> Decided | None:
        row = self.transfers.get(name)
        if row is None:
            return self.rejections.get(name)
        unasked = Posted(transfer=row, charged=0, available=row.available_after, held=row.held_after)
        return self.first_outcomes.get(name) or Decided(row.fingerprint, unasked, row.booked_at)

    def _resolved(self, hold_id: bytes) -> Resolved | None:
        hold = self.transfers.get(hold_id)
        if hold is None or hold.kind not in (Kind.HOLD, Kind.EXTEND):
            return None
        rows = self.journal[hold.wallet]
        resolution = next((row for row in rows if row.completes == hold.seq), None)
        if resolution is None:
            return None
        late = any(row.completes == resolution.seq for row in rows)
        return Resolved(hold.wallet, resolution.kind, resolution.seq, late, hold.member)

    def _remember(self, batch: Sequence[Linked], planned: Plan, at: datetime) -> None:
        for group, outcomes in zip(batch, planned.outcomes, strict=True):
            for command, outcome in zip(group, outcomes, strict=True):
                if isinstance(outcome, Refused) or outcome.replayed:
                    continue
                if outcome.transfer.id == command.id:
                    self.first_outcomes[command.id] = Decided(command.fingerprint, outcome, at)


def _check_wallet(wallet: Wallet) -> None:
    _check(min(wallet.available, wallet.held, wallet.spent, wallet.owed) >= 0, wallet)
    _check(max(wallet.available, wallet.held, wallet.spent, wallet.owed) < LARGEST, wallet)
    _check(not wallet.owed or not wallet.available, wallet)


def _check(holds: bool, what: object) -> None:
    assert holds, f"a database would not store {what}"
