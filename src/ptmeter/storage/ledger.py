"""
The door's two halves on SQL: lock and read what a batch may look at, write what was decided.

Locking comes first and alone: whatever is read afterwards, in statements of its own, is seen as the
last holder of the lock left it. (One statement that locks *and* reads other tables sees those as they
were before it waited, which is how wallets get overdrawn at READ COMMITTED.)
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import insert, select, tuple_

from ..domain import chain
from ..domain.batches import State
from ..domain.commands import Adjust, Debit, Expire, Grant, Hold, LotCommand, Settle, Void
from ..domain.instants import microseconds, moment
from ..domain.keys import wallet_number
from ..domain.ledger import Kind
from ..domain.moves import Resolved
from ..errors import InvariantError
from . import rows
from .account_rows import account_from_json
from .accounts import locked
from .asked import Asked, listed, numbers_listed
from .journal import Journal
from .periods import locked_boundary
from .plan_rows import rows_of, unpriced_of
from .prepared import LONGEST
from .statements import HOLD, KNOWN, LOT, SEAT
from .tables import lot, unpriced
from .top_ups import recent

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Row

    from ..domain.accounts import Account
    from ..domain.batches import Decided, Plan
    from ..domain.commands import Command, Linked
    from ..domain.ledger import Lot, OpenHold, Wallet, WalletId


class SqlLedger(Journal):
    """The ledger inside one transaction."""

    _locked: Mapping[WalletId, Wallet]

    # --- lock and read ---

    def lock(self, batch: Sequence[Linked]) -> State:
        """See `ports.Ledger.lock`."""
        commands = [command for group in batch for command in group]
        wallets, now = self._lock_wallets(commands)
        at = self._time(now)
        ids = {Asked(c.wallet.account, c.id) for c in commands}
        numbers = {wallet.id: wallet.number for wallet in wallets}
        named = {
            Asked(numbers[c.wallet], c.hold_id)
            for c in commands
            if isinstance(c, Settle | Void | Expire) and c.wallet in numbers
        }
        asking = {c.admission.account for c in commands if isinstance(c, Hold | Debit) and c.admission}
        found = self._read(wallets, ids, named, at, set() if named else asking)
        lots = {
            (numbers[c.wallet], c.lot)
            for c in commands
            if isinstance(c, LotCommand) and c.wallet in numbers
        }
        self._locked = _with_lots(wallets, found, self._lots(lots) if lots else ())
        holds = self._holds(found)
        resolved = self._resolved([each for each in named if each.id not in holds])
        known = {rows.id_from(row.id) for row in found if row.what == KNOWN}
        counting = {each.member for each in (*holds.values(), *resolved.values()) if each.member}
        accounts = self._lock_accounts(asking | counting, already=found)
        topping_up = [name for name, account in accounts.items() if account.top_ups]
        return State(
            at,
            self._locked,
            self._decided([each for each in ids if each.id in known]),
            holds,
            resolved,
            accounts,
            recent(self._sql.recent_top_ups, self._connection, topping_up, at) if topping_up else {},
        )

    def _lock_wallets(self, commands: Sequence[Command]) -> tuple[list[Wallet], datetime | None]:
        names = sorted({command.wallet for command in commands})
        wallets, now = self._lock(names)
        found = {wallet.id for wallet in wallets}
        givers = {c.wallet for c in commands if isinstance(c, Grant | Adjust)}
        if new := sorted(givers - found):
            self._open(new, self._time(now))
            wallets, now = self._lock(names)
        return wallets, now

    def _time(self, now: datetime | None) -> datetime:
        """The time to decide by: the caller's clock if one was given, else the server's, read once."""
        return self._clock() if self._clock else now or self.now()

    def _lock(self, names: Sequence[WalletId]) -> tuple[list[Wallet], datetime | None]:
        numbers = {wallet_number(*name): name for name in names}
        if len(numbers) < len(names):
            msg = f"two of the wallets {names} share a number"
            raise InvariantError(msg)
        if len(names) == 1:
            found = self._sql.lock_one.fetch(self._connection, {"wallet": next(iter(numbers))})
        else:
            asked = numbers_listed(self._sql.dialect, sorted(numbers))
            found = self._sql.lock_many.fetch(self._connection, {"wallets": asked})
        now = found[0].now if found else None
        wallets = [rows.wallet_from(row) for row in found]
        for wallet in wallets:
            if wallet.id != numbers[wallet.number]:
                msg = (
                    f"wallet {wallet.number} is {wallet.id} already and cannot be {numbers[wallet.number]}"
                )
                raise InvariantError(msg)
        return wallets, None if now is None else moment(now)

    def _open(self, names: Sequence[WalletId], at: datetime) -> None:
        """Make wallets and their accounts, each in one order for everybody."""
        opened_at = microseconds(at)
        accounts = sorted({name.account for name in names})
        self._execute(
            self._sql.open_account, [{"account": account, "opened_at": opened_at} for account in accounts]
        )
        closed_until = locked_boundary(self._connection, shared=True)
        wallets = [
            {
                "wallet_id": wallet_number(*name),
                "account": name.account,
                "unit": name.unit,
                "booked_at": max(opened_at, closed_until - 1),
                "closed_until": closed_until,
                "head": chain.genesis(name, self._chain_key),
            }
            for name in names
        ]
        self._execute(self._sql.open_wallet, sorted(wallets, key=lambda row: row["wallet_id"]))

    def _read(
        self,
        wallets: Sequence[Wallet],
        ids: Collection[Asked],
        holds: Collection[Asked],
        at: datetime,
        asking: Collection[str],
    ) -> Sequence[Row[Any]]:
        """
        What a batch may look at; see `statements`.

        The accounts *asking* and all above them are locked by the same statement, where a database can. They are
        none if there are *holds*, for then others are to be locked with them, in one order for everybody.
        """
        numbers, when = [wallet.number for wallet in wallets], {"at": microseconds(at)}
        if max(len(ids), len(holds)) > LONGEST:
            dialect = self._sql.dialect
            many = {**listed("ids", dialect, ids), **listed("holds", dialect, holds)}
            asked = {**when, **many, "wallets": numbers_listed(dialect, numbers)}
            return self._sql.read_many.fetch(self._connection, asked)
        few = {
            **when,
            "wallets": numbers,
            "accounts": list({each.where for each in ids}),
            "ids": [rows.id_row(each.id) for each in ids],
            "holds": [rows.id_row(each.id) for each in holds],
        }
        if not asking or self._sql.read_few_locking is None:
            return self._sql.read_few.fetch(self._connection, few)
        few["names"] = sorted(self._paths.above(self._connection, asking))
        return self._sql.read_few_locking.fetch(self._connection, few)

    def _lots(self, named: Collection[tuple[int, int]]) -> Sequence[Row[Any]]:
        """Lots that a batch names, whatever is left in them; mostly it names none."""
        place = tuple_(lot.c.wallet_id, lot.c.number)
        return self._all(select(lot).where(place.in_(sorted(named))))

    def _decided(self, known: Collection[Asked]) -> dict[bytes, Decided]:
        """How the commands that came before ended; mostly there are none."""
        if not known:
            return {}
        found = self._asked(self._sql.rejected, ids=known)
        refused = {rows.id_from(row.transfer_id): rows.refused_from(row) for row in found}
        return refused | self._posted(known)

    def _holds(self, found: Sequence[Row[Any]]) -> dict[bytes, OpenHold]:
        names = {wallet.number: name for name, wallet in self._locked.items()}
        mine = [row for row in found if row.what == HOLD and row.wallet_id in names]
        holds = [rows.hold_from(row, names[row.wallet_id]) for row in mine]
        return {hold.id: hold for hold in holds}

    def _resolved(self, missing: Collection[Asked]) -> dict[bytes, Resolved]:
        """How the holds that are named but not open were resolved; mostly there are none."""
        if not missing:
            return {}
        names = {wallet.number: name for name, wallet in self._locked.items()}
        return {
            rows.id_from(row.transfer_id): Resolved(
                names[row.wallet_id],
                Kind(row.kind),
                row.seq,
                row.late is not None,
                row.member or "",
            )
            for row in self._asked(self._sql.resolved, holds=missing)
            if row.wallet_id in names
        }

    def _lock_accounts(self, members: set[str], already: Sequence[Row[Any]]) -> dict[str, Account]:
        """
        Lock the accounts in whose tallies the batch counts, and all above them, in one order for everybody.

        Wallets come first, so whoever waits here waits for nobody who waits for a wallet of theirs. Those that are
        *already* locked are among what was read.
        """
        seats = [account_from_json(row.allocations) for row in already if row.what == SEAT]
        lock = partial(locked, self._connection, self._sql)
        return self._paths.read(self._connection, members, lock, {seat.name: seat for seat in seats})

    # --- write ---

    def write(self, plan: Plan) -> None:
        """See `ports.Ledger.write`."""
        self._prices.keep(t.usage.price for t in plan.transfers if t.usage is not None)
        self._sql.writer.write(self._connection, rows_of(plan, self._locked))
        if parked := unpriced_of(plan, self._locked):
            self._execute(insert(unpriced), parked)


def _with_lots(
    wallets: Sequence[Wallet], found: Sequence[Row[Any]], named: Sequence[Row[Any]]
) -> dict[WalletId, Wallet]:
    lots: defaultdict[int, dict[int, Lot]] = defaultdict(dict)
    for row in found:
        if row.what == LOT:
            lots[row.wallet_id][row.number] = rows.live_lot_from(row)
    for row in named:
        lots[row.wallet_id][row.number] = rows.lot_from(row)
    return {
        wallet.id: replace(
            wallet, lots=tuple(sorted(lots[wallet.number].values(), key=lambda lot: lot.number))
        )
        for wallet in wallets
    }
