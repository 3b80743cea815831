"""
The door's two halves on SQL: lock and read what a batch may look at, write what was decided.

Locking comes first and alone: whatever is read afterwards, in statements of its own, is seen as the
last holder of the lock left it. (One statement that locks *and* reads other tables sees those as they
were before it waited, which is how wallets get overdrawn at READ COMMITTED.)
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..domain import chain
from ..domain.ledger import Adjust, Expire, Grant, Kind, Settle, Void
from ..domain.moves import Resolved
from ..domain.planner import State
from . import rows
from .journal import Journal
from .periods import locked_boundary
from .statements import HOLD, KNOWN, LOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Row

    from ..domain.ledger import Command, Linked, Lot, OpenHold, Wallet, WalletId
    from ..domain.planner import Decided, Plan


class SqlLedger(Journal):
    """The ledger inside one transaction."""

    _locked: Mapping[WalletId, Wallet]

    # --- lock and read ---

    def lock(self, batch: Sequence[Linked]) -> State:
        """See `ports.Ledger.lock`."""
        commands = [command for group in batch for command in group]
        wallets, now = self._lock_wallets(commands)
        at = self._clock() if self._clock else now or self.now()
        named = [c.hold_id for c in commands if isinstance(c, Settle | Void | Expire)]
        wanted = {
            "ids": [command.id for command in commands],
            "wallets": [wallet.number for wallet in wallets],
            "holds": named,
            "at": chain.microseconds(at),
        }
        found = self._sql.read.fetch(self._connection, wanted)
        self._locked = _with_lots(wallets, found)
        holds = self._holds(found)
        return State(
            at,
            self._locked,
            self._decided([bytes(row.id) for row in found if row.what == KNOWN]),
            holds,
            self._resolved([hold_id for hold_id in named if hold_id not in holds]),
        )

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
            name = {"account": names[0].account, "unit": names[0].unit}
            found = self._sql.lock_one.fetch(self._connection, name)
        else:
            found = self._all(self._sql.lock_many, names=names)
        now = found[0].now if found else None
        return [rows.wallet_from(row) for row in found], None if now is None else chain.moment(now)

    def _open(self, names: Sequence[WalletId], at: datetime) -> None:
        opened_at = chain.microseconds(at)
        accounts = [{"account": name.account, "opened_at": opened_at} for name in names]
        self._execute(self._sql.open_account, accounts)
        closed_until = locked_boundary(self._connection, shared=True)
        wallets = [
            {
                "account": name.account,
                "unit": name.unit,
                "booked_at": max(opened_at, closed_until - 1),
                "closed_until": closed_until,
                "head": chain.genesis(name, self._chain_key),
            }
            for name in names
        ]
        self._execute(self._sql.open_wallet, wallets)

    def _decided(self, known: list[bytes]) -> dict[bytes, Decided]:
        """How the commands that came before ended; mostly there are none."""
        if not known:
            return {}
        refused = self._all(self._sql.rejected, ids=known)
        return {bytes(row.transfer_id): rows.refused_from(row) for row in refused} | self._posted(known)

    def _holds(self, found: Sequence[Row[Any]]) -> dict[bytes, OpenHold]:
        names = {wallet.number: name for name, wallet in self._locked.items()}
        mine = [row for row in found if row.what == HOLD and row.wallet_id in names]
        return {bytes(row.id): rows.hold_from(row, names[row.wallet_id]) for row in mine}

    def _resolved(self, missing: list[bytes]) -> dict[bytes, Resolved]:
        """How the holds that are named but not open were resolved; mostly there are none."""
        if not missing:
            return {}
        names = {wallet.number: name for name, wallet in self._locked.items()}
        return {
            bytes(row.transfer_id): Resolved(
                names[row.wallet_id], Kind(row.kind), row.seq, row.late is not None
            )
            for row in self._all(self._sql.resolved, ids=missing)
            if row.wallet_id in names
        }

    # --- write ---

    def write(self, plan: Plan) -> None:
        """See `ports.Ledger.write`."""
        self._prices.keep(t.usage.price for t in plan.transfers if t.usage is not None)
        self._sql.writer.write(self._connection, rows.of_plan(plan, self._locked))


def _with_lots(wallets: Sequence[Wallet], found: Sequence[Row[Any]]) -> dict[WalletId, Wallet]:
    lots: defaultdict[int, list[Lot]] = defaultdict(list)
    for row in found:
        if row.what == LOT:
            lots[row.wallet_id].append(rows.live_lot_from(row))
    return {
        wallet.id: replace(wallet, lots=tuple(sorted(lots[wallet.number], key=lambda lot: lot.number)))
        for wallet in wallets
    }
