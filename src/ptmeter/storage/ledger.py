"""
The door's two halves on SQL: lock and read what a batch may look at, write what was decided.

Locking comes first and alone: whatever is read afterwards, in statements of its own, is seen as the
last holder of the lock left it. (One statement that locks *and* reads other tables sees those as they
were before it waited, which is how wallets get overdrawn at READ COMMITTED.)
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from ..domain import chain
from ..domain.ledger import Adjust, Expire, Grant, Kind, Settle, Void
from ..domain.moves import Resolved
from ..domain.planner import State
from . import rows
from .journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Executable, Row

    from ..domain.ledger import Command, Linked, Lot, OpenHold, Transfer, Wallet, WalletId
    from ..domain.planner import Decided, Plan, Rejection


class SqlLedger(Journal):
    """The ledger inside one transaction."""

    _locked: Mapping[WalletId, Wallet]

    # --- lock and read ---

    def lock(self, batch: Sequence[Linked]) -> State:
        """See `ports.Ledger.lock`."""
        commands = [command for group in batch for command in group]
        wallets, now = self._lock_wallets(commands)
        at = self._clock() if self._clock else now or self.now()
        self._locked = self._with_lots(wallets)
        decided = self._decided([command.id for command in commands])
        holds = self._holds(commands, at)
        return State(at, self._locked, decided, holds, self._resolved(commands, holds))

    def _lock_wallets(self, commands: Sequence[Command]) -> tuple[list[Wallet], datetime | None]:
        names = sorted({command.wallet for command in commands})
        wallets, now = self._lock(names)
        found = {wallet.id for wallet in wallets}
        givers = {c.wallet for c in commands if isinstance(c, Grant | Adjust)}
        if new := sorted(givers - found):
            self._open(new, now or self.now())
            wallets, now = self._lock(names)
        return wallets, now

    def _lock(self, names: Sequence[WalletId]) -> tuple[list[Wallet], datetime | None]:
        if len(names) == 1:
            found = self._all(self._sql.lock_one, account=names[0].account, unit=names[0].unit)
        else:
            found = self._all(self._sql.lock_many, names=names)
        now = found[0].now if found else None
        return [rows.wallet_from(row) for row in found], None if now is None else chain.moment(now)

    def _open(self, names: Sequence[WalletId], at: datetime) -> None:
        accounts = [{"account": name.account, "opened_at": at} for name in names]
        self._execute(self._sql.open_account, accounts)
        wallets = [
            {
                "account": name.account,
                "unit": name.unit,
                "booked_at": at,
                "head": chain.genesis(name, self._chain_key),
            }
            for name in names
        ]
        self._execute(self._sql.open_wallet, wallets)

    def _with_lots(self, wallets: Iterable[Wallet]) -> dict[WalletId, Wallet]:
        by_number = {wallet.number: wallet for wallet in wallets}
        lots: defaultdict[int, list[Lot]] = defaultdict(list)
        if by_number:
            for row in self._all(self._sql.live_lots, wallets=list(by_number)):
                lots[row.wallet_id].append(rows.lot_from(row))
        return {
            wallet.id: rows.with_lots(wallet, tuple(lots[number])) for number, wallet in by_number.items()
        }

    def _decided(self, ids: list[bytes]) -> dict[bytes, Decided]:
        known = [bytes(row.transfer_id) for row in self._all(self._sql.known, ids=ids)]
        if not known:
            return {}
        refused = {
            bytes(r.transfer_id): rows.refused_from(r) for r in self._all(self._sql.rejected, ids=known)
        }
        return refused | self._posted(known)

    def _holds(self, commands: Sequence[Command], at: datetime) -> dict[bytes, OpenHold]:
        """The open holds that are named, and those that are due where funds may run short."""
        names = {wallet.number: name for name, wallet in self._locked.items()}
        found: list[Row[Any]] = []
        if ids := _named_holds(commands):
            found += self._all(self._sql.holds, ids=ids)
        if short := self._possibly_short(commands):
            found += self._all(self._sql.due, wallets=short, at=at)
        holds = [rows.hold_from(row, names[row.wallet_id]) for row in found if row.wallet_id in names]
        return {hold.id: hold for hold in holds}

    def _possibly_short(self, commands: Sequence[Command]) -> list[int]:
        wanted: defaultdict[WalletId, int] = defaultdict(int)
        for command in commands:
            wanted[command.wallet] += abs(getattr(command, "amount", 0))
        return [w.number for name, w in self._locked.items() if w.held and w.available < wanted[name]]

    def _resolved(
        self, commands: Sequence[Command], holds: Mapping[bytes, OpenHold]
    ) -> dict[bytes, Resolved]:
        missing = [hold_id for hold_id in _named_holds(commands) if hold_id not in holds]
        if not missing:
            return {}
        return {
            bytes(row.transfer_id): Resolved(Kind(row.kind), row.seq, row.late is not None)
            for row in self._all(self._sql.resolved, ids=missing)
        }

    # --- write ---

    def write(self, plan: Plan) -> None:
        """See `ports.Ledger.write`."""
        numbers = {name: wallet.number for name, wallet in self._locked.items()}
        sql = self._sql
        self._many(sql.update_wallet, [rows.wallet_row(wallet) for wallet in plan.wallets])
        self._many(sql.add_transfer, [rows.transfer_row(numbers[t.wallet], t) for t in plan.transfers])
        self._write_usage(plan.transfers, numbers)
        for wallet in plan.wallets:
            self._write_lots(self._locked[wallet.id], wallet)
        self._many(sql.drop_hold, [{"hold": hold_id} for hold_id in plan.closed])
        self._many(sql.add_hold, [rows.hold_row(numbers[h.wallet], h) for h in plan.opened])
        self._write_rejections(plan.rejections, numbers)

    def _write_usage(self, transfers: Sequence[Transfer], numbers: Mapping[WalletId, int]) -> None:
        events = [(t, t.usage) for t in transfers if t.usage is not None]
        self._prices.keep(event.price for _, event in events)
        used = [rows.usage_row(numbers[t.wallet], t.seq, event) for t, event in events]
        self._many(self._sql.add_usage, used)

    def _write_lots(self, before: Wallet, after: Wallet) -> None:
        old = {lot.number: lot for lot in before.lots}
        new = [rows.lot_row(after.number, lot) for lot in after.lots if lot.number not in old]
        changed = [
            {"wallet": after.number, "lot": lot.number, "free": lot.remaining, "set_aside": lot.held}
            for lot in after.lots
            if lot.number in old and lot is not old[lot.number]
        ]
        self._many(self._sql.add_lot, new)
        self._many(self._sql.update_lot, changed)

    def _write_rejections(self, rejections: Sequence[Rejection], numbers: Mapping[WalletId, int]) -> None:
        """Remember refusals; one that was forgotten after its day gives way to the new one."""
        self._many(self._sql.drop_rejection, [{"id": r.id} for r in rejections])
        self._many(self._sql.add_rejection, [rows.refused_row(numbers[r.wallet], r) for r in rejections])

    def _many(self, statement: Executable, parameters: list[dict[str, Any]]) -> None:
        if parameters:
            self._execute(statement, parameters[0] if len(parameters) == 1 else parameters)


def _named_holds(commands: Sequence[Command]) -> list[bytes]:
    return [c.hold_id for c in commands if isinstance(c, Settle | Void | Expire)]
