"""The ledger in memory: its tables, and what the door does with them."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from ..domain import chain
from ..domain.accounts import Account, path
from ..domain.batches import Decided, State
from ..domain.commands import Adjust, Debit, Expire, Grant, Hold, LotCommand, Settle, Void
from ..domain.keys import wallet_number
from ..domain.ledger import SETS_ASIDE, Kind, Posted, Transfer, Wallet
from ..domain.lots import has_lapsed
from ..domain.messages import message
from ..domain.moves import Resolved
from ..domain.periods import booked_until
from ..domain.rollups import Figures
from ..domain.summaries import Span, Standing, Turnover
from .memory_inbox import InboxTables
from .memory_outbox import MemoryOutbox, MemoryTopUps
from .memory_payments import PaymentTables
from .memory_periods import ClosedTables
from .memory_referrals import ReferralTables
from .memory_subscriptions import SubscriptionTables

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import datetime

    from ..domain.batches import Plan
    from ..domain.calibration import Topic
    from ..domain.commands import Linked
    from ..domain.ledger import Lot, OpenHold, UsageEvent, WalletId
    from ..domain.messages import Message
    from ..domain.mitigations import Mitigation
    from ..domain.prices import Price
    from ..domain.quarantine import Quarantined
    from ..domain.rollups import Bucket
    from ..domain.top_ups import TopUp

T = TypeVar("T")


@dataclass(slots=True)
class Tables:
    """Everything there is. Values are immutable, so a shallow copy is a snapshot."""

    wallets: dict[WalletId, Wallet] = field(default_factory=dict["WalletId", Wallet])
    lots: dict[tuple[WalletId, int], Lot] = field(default_factory=dict[tuple["WalletId", int], "Lot"])
    journal: dict[WalletId, tuple[Transfer, ...]] = field(
        default_factory=dict["WalletId", tuple[Transfer, ...]]
    )
    holds: dict[bytes, OpenHold] = field(default_factory=dict[bytes, "OpenHold"])
    decided: dict[bytes, Decided] = field(default_factory=dict[bytes, Decided])
    accounts: dict[str, Account] = field(default_factory=dict[str, Account])
    outbox: dict[tuple[str, str], Message] = field(default_factory=dict[tuple[str, str], "Message"])
    top_ups: dict[str, TopUp] = field(default_factory=dict[str, "TopUp"])
    cards: dict[str, str] = field(default_factory=dict[str, str])
    calibration: dict[Topic, str] = field(default_factory=dict["Topic", str])
    prices: dict[str, Price] = field(default_factory=dict[str, "Price"])
    closed: ClosedTables = field(default_factory=ClosedTables)
    rollups: dict[Bucket, Figures] = field(default_factory=dict["Bucket", "Figures"])
    quarantine: dict[tuple[str, bytes], Quarantined] = field(
        default_factory=dict[tuple[str, bytes], "Quarantined"]
    )
    mitigations: dict[str, tuple[Mitigation, bytes]] = field(
        default_factory=dict[str, tuple["Mitigation", bytes]]
    )
    subscriptions: SubscriptionTables = field(default_factory=SubscriptionTables)
    referrals: ReferralTables = field(default_factory=ReferralTables)
    inbox: InboxTables = field(default_factory=InboxTables)
    payments: PaymentTables = field(default_factory=PaymentTables)

    def copy(self) -> Tables:
        """The tables as they are now."""
        return Tables(*(copy.copy(getattr(self, name)) for name in self.__slots__))


class MemoryLedger:
    """The ledger inside one transaction on memory."""

    def __init__(self, tables: Tables, clock: Callable[[], datetime], chain_key: bytes) -> None:
        self._tables = tables
        self._chain_key = chain_key
        self.now = clock

    def lock(self, batch: Sequence[Linked]) -> State:
        """See `ports.Ledger.lock`; the transaction holds the only lock there is."""
        at = self.now()
        commands = [command for group in batch for command in group]
        for command in commands:
            if isinstance(command, Grant | Adjust) and command.wallet not in self._tables.wallets:
                self._open(command.wallet, at)
        names = {command.wallet for command in commands}
        lots = {(c.wallet, c.lot) for c in commands if isinstance(c, LotCommand)}
        wallets = {
            name: self._with_lots(name, live=True, named=lots)
            for name in names & self._tables.wallets.keys()
        }
        named = {c.hold_id for c in commands if isinstance(c, Settle | Void | Expire)}
        holds = {
            name: hold
            for name, hold in self._tables.holds.items()
            if name in named or (hold.wallet in wallets and hold.expires_at <= at)
        }
        resolved = {name: r for name in named - holds.keys() if (r := self._resolution(name))}
        ids = {command.id for command in commands}
        decided = {name: d for name, d in self._tables.decided.items() if name in ids}
        members = {c.admission.account for c in commands if isinstance(c, Hold | Debit) and c.admission}
        members |= {each.member for each in (*holds.values(), *resolved.values()) if each.member}
        accounts = {a.name: a for member in members for a in path(member, self._tables.accounts)}
        known = {name: a for name, a in accounts.items() if name in self._tables.accounts}
        top_ups = MemoryTopUps(self._tables.top_ups)
        recent = {name: top_ups.recent(name, at) for name, account in known.items() if account.top_ups}
        return State(at, wallets, decided, holds, resolved, known, recent)

    def write(self, plan: Plan) -> None:
        """See `ports.Ledger.write`."""
        tables = self._tables
        for wallet in plan.wallets:
            tables.lots |= {(wallet.id, lot.number): lot for lot in wallet.lots}
            tables.wallets[wallet.id] = replace(wallet, lots=())
        for transfer in plan.transfers:
            tables.journal[transfer.wallet] += (transfer,)
        for hold in plan.closed:
            del tables.holds[hold.id]
        tables.holds |= {hold.id: hold for hold in plan.opened}
        tables.decided |= {rejection.id: rejection.decided for rejection in plan.rejections}
        tables.decided |= plan.decided
        tables.accounts |= {account.name: account for account in plan.accounts}
        tables.top_ups |= {top_up.id: top_up for top_up in plan.top_ups}
        MemoryOutbox(tables.outbox).add([message(each) for each in (*plan.notices, *plan.top_ups)])
        for bucket, more in plan.rollups.items():
            tables.rollups[bucket] = tables.rollups.get(bucket, Figures()).plus(more)

    def wallets(
        self,
        account: str | None = None,
        *,
        after: int | None = None,
        limit: int = 1_000,
        live: bool = False,
    ) -> list[Wallet]:
        """See `ports.Ledger.wallets`."""
        found = sorted(self._tables.wallets.values(), key=lambda wallet: wallet.number)
        chosen = [
            w for w in found if (after is None or w.number > after) and account in (None, w.id.account)
        ]
        return [self._with_lots(wallet.id, live=live) for wallet in chosen[:limit]]

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
        rows = self._tables.journal[wallet.id][after:]
        booked = [
            row
            for row in rows
            if (since is None or row.booked_at >= since) and (until is None or row.booked_at < until)
        ]
        return booked[:limit]

    def lapsed(self, wallet: Wallet, lot: int) -> int:
        """See `ports.Ledger.lapsed`."""
        rows = self._tables.journal[wallet.id]
        parts = (part for row in rows if row.kind is Kind.LAPSE for part in row.allocations)
        return sum(part.amount for part in parts if part.lot == lot)

    def taken_back(self, wallet: Wallet, lot: int) -> list[Transfer]:
        """See `ports.Ledger.taken_back`."""
        rows = (row for row in self._tables.journal[wallet.id] if row.kind is Kind.REVERSE)
        return [row for row in rows if any(part.lot == lot for part in row.allocations)]

    def span(self, wallet: Wallet, since: datetime, until: datetime) -> Span:
        """See `ports.Ledger.span`; not added up."""
        rows = self._tables.journal[wallet.id]
        booked = [(row, _rated(row, rows)) for row in rows if since <= row.booked_at < until]
        turnovers = [
            Turnover(
                row.kind,
                price=rated and rated.price,
                calls=1 if row.usage else 0,
                amount=row.amount,
                cost=row.usage.cost.nano if row.usage else 0,
            )
            for row, rated in booked
        ]
        return Span(_standing(rows, since), turnovers, _standing(rows, until))

    def posted(self, account: str, ids: Sequence[bytes]) -> list[Posted]:
        """See `ports.Ledger.posted`."""
        outcomes = [self._tables.decided[name].outcome for name in ids if name in self._tables.decided]
        posted = [outcome for outcome in outcomes if isinstance(outcome, Posted)]
        return [outcome for outcome in posted if outcome.transfer.wallet.account == account]

    def are_open(self, holds: Mapping[WalletId, bytes]) -> bool:
        """See `ports.Ledger.are_open`."""
        found = [(wallet, self._tables.holds.get(hold_id)) for wallet, hold_id in holds.items()]
        return all(hold is not None and hold.wallet == wallet for wallet, hold in found)

    def open_holds(self, wallet: Wallet) -> list[OpenHold]:
        """See `ports.Ledger.open_holds`."""
        return [hold for hold in self._tables.holds.values() if hold.wallet == wallet.id]

    def due_holds(self, limit: int) -> list[OpenHold]:
        """See `ports.Ledger.due_holds`."""
        due = [hold for hold in self._tables.holds.values() if hold.expires_at <= self.now()]
        return sorted(due, key=lambda hold: hold.expires_at)[:limit]

    def lapsing(self, limit: int) -> list[WalletId]:
        """See `ports.Ledger.lapsing`."""
        now = self.now()
        lapsed = {
            name for (name, _), lot in self._tables.lots.items() if lot.remaining and has_lapsed(lot, now)
        }
        return sorted(lapsed)[:limit]

    def forget_rejections(self, before: datetime) -> int:
        """See `ports.Ledger.forget_rejections`."""
        old = [
            name
            for name, decided in self._tables.decided.items()
            if not isinstance(decided.outcome, Posted) and decided.at < before
        ]
        for name in old:
            del self._tables.decided[name]
        return len(old)

    def hold_queue(self) -> tuple[int, datetime | None]:
        """See `ports.Ledger.hold_queue`."""
        holds = self._tables.holds.values()
        return len(holds), min((hold.expires_at for hold in holds), default=None)

    def unpriced(self, *, after: tuple[int, int] | None = None, limit: int = 1_000) -> list[Transfer]:
        """See `ports.Ledger.unpriced`; all are looked at here."""
        found = {
            (wallet_number(*row.wallet), row.seq): row
            for rows in self._tables.journal.values()
            for row in rows
            if row.usage and row.usage.price.is_ceiling
        }
        return [row for place, row in sorted(found.items()) if after is None or place > after][:limit]

    def strays(self) -> list[str]:
        """See `ports.Ledger.strays`; the tables here are keyed by wallet."""
        return []

    def _open(self, name: WalletId, at: datetime) -> None:
        head = chain.genesis(name, self._chain_key)
        number = wallet_number(*name)
        closed = self._tables.closed
        closed.first = closed.first or at
        wallet = Wallet(
            id=name,
            number=number,
            booked_at=booked_until(at, closed.boundary),
            head=head,
            closed_until=closed.boundary,
        )
        self._tables.wallets[name] = wallet
        self._tables.journal[name] = ()
        self._tables.accounts.setdefault(name.account, Account(name=name.account))

    def _with_lots(
        self, name: WalletId, *, live: bool, named: Collection[tuple[WalletId, int]] = ()
    ) -> Wallet:
        lots = [lot for (wallet, _), lot in self._tables.lots.items() if wallet == name]
        kept = [
            lot
            for lot in lots
            if not live or lot.remaining or lot.held or lot.frozen or (name, lot.number) in named
        ]
        return replace(self._tables.wallets[name], lots=tuple(sorted(kept, key=lambda lot: lot.number)))

    def _resolution(self, hold_id: bytes) -> Resolved | None:
        decided = self._tables.decided.get(hold_id)
        if decided is None or not isinstance(decided.outcome, Posted):
            return None
        placed = decided.outcome.transfer
        rows = self._tables.journal[placed.wallet]
        closer = next((row for row in rows if row.completes == placed.seq), None)
        if placed.kind not in SETS_ASIDE or closer is None:
            return None
        completed = any(row.completes == closer.seq for row in rows)
        return Resolved(placed.wallet, closer.kind, closer.seq, completed, placed.member)


def _standing(rows: Sequence[Transfer], moment: datetime) -> Standing:
    """What was there after the last of *rows* before a moment."""
    before = [row for row in rows if row.booked_at < moment]
    if not before:
        return Standing()
    last = before[-1]
    return Standing(last.available_after, last.held_after, last.frozen_after)


def _rated(row: Transfer, rows: Sequence[Transfer]) -> UsageEvent | None:
    """The usage that a row was charged for: its own, or that of the settle it completes."""
    if row.usage is None and row.completes and row.kind is Kind.DEBIT:
        return rows[row.completes - 1].usage
    return row.usage
