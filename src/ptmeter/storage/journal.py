"""Reading the ledger back: wallets, transfers with their usage, open holds, and what is due."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, delete, exists, func, select, update

from ..domain.instants import microseconds, moment
from ..domain.keys import wallet_number
from ..domain.ledger import Kind, Posted, WalletId
from ..domain.prices import UNPRICED
from . import rows
from .asked import Asked, listed
from .columns import version_from
from .places import BEFORE, THROUGH
from .statements import HAS_SOMETHING
from .tables import lot, open_hold, price, rejection, rollup, transfer, unpriced, wallet

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Connection, Executable, Row

    from ..domain.batches import Decided
    from ..domain.ledger import Lot, OpenHold, Transfer, Wallet
    from ..domain.prices import Price
    from ..domain.summaries import Span
    from .cards import PriceShelf
    from .paths import Paths
    from .statements import Statements

_UNPRICED = (transfer.c.wallet_id == unpriced.c.wallet_id) & (transfer.c.seq == unpriced.c.seq)
_HOLDS = select(open_hold, open_hold.c.hold_id.label("id"))


class Journal:
    """What can be read of the ledger inside one transaction."""

    def __init__(
        self,
        connection: Connection,
        statements: Statements,
        prices: PriceShelf,
        *,
        clock: Callable[[], datetime] | None,
        chain_key: bytes,
        paths: Paths,
    ) -> None:
        self._connection = connection
        self._sql = statements
        self._prices = prices
        self._clock = clock
        self._chain_key = chain_key
        self._paths = paths

    def now(self) -> datetime:
        """See `ports.Ledger.now`."""
        if self._clock:
            return self._clock()
        return moment(self._connection.execute(self._sql.now).scalar_one())

    def wallets(
        self,
        account: str | None = None,
        *,
        after: int | None = None,
        limit: int = 1_000,
        live: bool = False,
    ) -> list[Wallet]:
        """See `ports.Ledger.wallets`."""
        query = select(wallet).order_by(wallet.c.wallet_id).limit(limit)
        if after is not None:
            query = query.where(wallet.c.wallet_id > after)
        if account is not None:
            query = query.where(wallet.c.account == account)
        found = self._all(query)
        lots: defaultdict[int, list[Lot]] = defaultdict(list)
        theirs = select(lot).where(lot.c.wallet_id.in_([row.wallet_id for row in found]))
        if live:
            theirs = theirs.where(HAS_SOMETHING)
        for row in self._all(theirs.order_by(lot.c.wallet_id, lot.c.number)):
            lots[row.wallet_id].append(rows.lot_from(row))
        return [rows.wallet_from(row, tuple(lots[row.wallet_id])) for row in found]

    def journal(
        self,
        wallet: Wallet,
        *,
        after: int = 0,
        limit: int = 1_000,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Transfer]:
        """See `ports.Ledger.journal`."""
        place = (transfer.c.wallet_id == wallet.number) & (transfer.c.seq > after)
        query = select(transfer).where(place).order_by(transfer.c.seq).limit(limit)
        if since is not None:
            query = query.where(transfer.c.seq > self._place(wallet, since))
        if until is not None:
            query = query.where(transfer.c.seq <= self._place(wallet, until))
        found = self._all(query)
        prices = self._prices_of(found)
        return [rows.transfer_from(row, wallet.id, prices) for row in found]

    def lapsed(self, wallet: Wallet, lot: int) -> int:
        """See `ports.Ledger.lapsed`; each row of that kind is of one lot."""
        place = (transfer.c.wallet_id == wallet.number) & (transfer.c.seq > lot)
        of_lot = (transfer.c.kind == int(Kind.LAPSE)) & (transfer.c.allocations == str(lot))
        query = select(func.coalesce(func.sum(transfer.c.amount), 0)).where(place, of_lot)
        return int(self._connection.execute(query).scalar_one())

    def taken_back(self, wallet: Wallet, lot: int) -> list[Transfer]:
        """See `ports.Ledger.taken_back`."""
        place = (transfer.c.wallet_id == wallet.number) & (transfer.c.seq > lot)
        query = select(transfer).where(place, transfer.c.kind == int(Kind.REVERSE)).order_by(transfer.c.seq)
        found = [rows.transfer_from(row, wallet.id, {}) for row in self._all(query)]
        return [row for row in found if any(part.lot == lot for part in row.allocations)]

    def span(self, wallet: Wallet, since: datetime, until: datetime) -> Span:
        """See `ports.Ledger.span`."""
        ends = {BEFORE: microseconds(since), THROUGH: microseconds(until)}
        found = self._sql.span.fetch(self._connection, {**_journal_of(wallet), **ends})
        return rows.span_from(found, self._prices_of(found))

    def posted(self, account: str, ids: Sequence[bytes]) -> list[Posted]:
        """See `ports.Ledger.posted`."""
        decided = self._posted([Asked(account, name) for name in ids])
        outcomes = [decided[name].outcome for name in ids if name in decided]
        return [outcome for outcome in outcomes if isinstance(outcome, Posted)]

    def are_open(self, holds: Mapping[WalletId, bytes]) -> bool:
        """See `ports.Ledger.are_open`."""
        asked = [Asked(wallet_number(*name), hold_id) for name, hold_id in holds.items()]
        return len(self._asked(self._sql.holds, holds=asked)) == len(holds)

    def open_holds(self, wallet: Wallet) -> list[OpenHold]:
        """See `ports.Ledger.open_holds`."""
        query = _HOLDS.where(open_hold.c.wallet_id == wallet.number)
        return [rows.hold_from(row, wallet.id) for row in self._all(query)]

    def due_holds(self, limit: int) -> list[OpenHold]:
        """See `ports.Ledger.due_holds`."""
        due = open_hold.c.expires_at <= microseconds(self.now())
        found = self._all(_HOLDS.where(due).order_by(open_hold.c.expires_at).limit(limit))
        names = self._names(found)
        return [rows.hold_from(row, names[row.wallet_id]) for row in found if row.wallet_id in names]

    def hold_queue(self) -> tuple[int, datetime | None]:
        """See `ports.Ledger.hold_queue`; the first is at one end of an index, and all are counted."""
        query = select(func.count(), func.min(open_hold.c.expires_at)).select_from(open_hold)
        count, first = self._connection.execute(query).one()
        return count, None if first is None else moment(first)

    def unpriced(self, *, after: tuple[int, int] | None = None, limit: int = 1_000) -> list[Transfer]:
        """See `ports.Ledger.unpriced`."""
        query = (
            select(transfer, wallet.c.account, wallet.c.unit)
            .select_from(unpriced)
            .join(transfer, _UNPRICED)
            .join(wallet, wallet.c.wallet_id == unpriced.c.wallet_id)
            .order_by(unpriced.c.wallet_id, unpriced.c.seq)
            .limit(limit)
        )
        if after is not None:
            number, seq = after
            same = (unpriced.c.wallet_id == number) & (unpriced.c.seq > seq)
            query = query.where((unpriced.c.wallet_id > number) | same)
        found = self._all(query)
        prices = self._prices_of(found)
        return [rows.transfer_from(row, WalletId(row.account, row.unit), prices) for row in found]

    def lapsing(self, limit: int) -> list[WalletId]:
        """See `ports.Ledger.lapsing`."""
        expired = and_(
            lot.c.wallet_id == wallet.c.wallet_id,
            lot.c.remaining > 0,
            lot.c.expires_at <= microseconds(self.now()),
        )
        found = self._all(select(wallet).where(exists().where(expired)).limit(limit))
        return [rows.wallet_from(row).id for row in found]

    def set_credit_limit(self, wallet_number: int, limit: int) -> None:
        """Let a wallet owe up to *limit* micro-PT."""
        place = wallet.c.wallet_id == wallet_number
        self._execute(update(wallet).where(place).values(credit_limit=limit))

    def forget_rejections(self, before: datetime) -> int:
        """See `ports.Ledger.forget_rejections`."""
        old = rejection.c.refused_at < microseconds(before)
        return self._connection.execute(delete(rejection).where(old)).rowcount

    def strays(self) -> list[str]:
        """See `ports.Ledger.strays`."""
        found: list[str] = []
        for table in (transfer, lot, open_hold, rejection, rollup, unpriced):
            known = exists().where(wallet.c.wallet_id == table.c.wallet_id)
            row = self._connection.execute(select(table.c.wallet_id).where(~known).limit(1)).first()
            if row:
                found.append(f"{table.name} has rows of wallet {row.wallet_id}, which does not exist")
        return found + self._strays_of_unpriced()

    def _strays_of_unpriced(self) -> list[str]:
        """Whether what is kept of calls without a price is what the journal gives; it may read all of it."""
        found: list[str] = []
        ceilings = select(price.c.version).where(price.c.provider == UNPRICED)
        by_one = transfer.c.price_version.in_(ceilings)
        known = exists().where(_UNPRICED, by_one)
        if row := self._connection.execute(select(unpriced).where(~known).limit(1)).first():
            found.append(
                f"ptm_unpriced has rows of wallet {row.wallet_id}, whose transfer {row.seq} had a price"
            )
        if self._connection.execute(ceilings.limit(1)).first():
            missing = select(transfer.c.wallet_id, transfer.c.seq).where(by_one, ~exists().where(_UNPRICED))
            if row := self._connection.execute(missing.limit(1)).first():
                found.append(f"ptm_unpriced lacks rows of wallet {row.wallet_id}: its transfer {row.seq}")
        return found

    def _place(self, wallet: Wallet, moment: datetime) -> int:
        """The number of the last transfer that the wallet booked before *moment*."""
        asked = {**_journal_of(wallet), "moment": microseconds(moment)}
        ((number,),) = self._sql.place.fetch(self._connection, asked)
        return number

    def _prices_of(self, found: Iterable[Any]) -> Mapping[str, Price]:
        versions = {row.price_version for row in found if row.price_version is not None}
        return self._prices.find(map(version_from, versions))

    def _posted(self, asked: Collection[Asked]) -> dict[bytes, Decided]:
        """How earlier commands with these ids ended, in whichever wallet of their accounts."""
        decided: dict[bytes, Decided] = {}
        for row in self._asked(self._sql.posted, ids=asked):
            transfer = rows.transfer_from(row, WalletId(row.account, row.unit))
            decided[transfer.id] = rows.posted_from(transfer, tuple(row)[-3:])
        return decided

    def _names(self, found: Iterable[Row[Any]]) -> dict[int, WalletId]:
        numbers = {row.wallet_id for row in found}
        query = select(wallet).where(wallet.c.wallet_id.in_(numbers))
        return {row.wallet_id: rows.wallet_from(row).id for row in self._all(query)}

    def _asked(
        self,
        statement: Executable,
        *,
        ids: Collection[Asked] = (),
        holds: Collection[Asked] = (),
        **others: Any,
    ) -> Sequence[Row[Any]]:
        """Run a statement that looks for ids in accounts, for holds in wallets."""
        dialect = self._sql.dialect
        asked = {**listed("ids", dialect, ids), **listed("holds", dialect, holds)}
        return self._all(statement, **asked, **others)

    def _all(self, statement: Executable, **parameters: Any) -> Sequence[Row[Any]]:
        return self._connection.execute(statement, parameters).all()

    def _execute(self, statement: Executable, parameters: Any = None) -> None:
        self._connection.execute(statement, parameters)


def _journal_of(wallet: Wallet) -> dict[str, int]:
    """What `places` wants to know of a wallet."""
    return {"wallet": wallet.number, "beyond": wallet.seq + 1}
