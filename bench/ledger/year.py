"""
A year of a wallet, decided by the domain's own planner on state kept in memory, and the same year in another.

Deciding takes a planner, so it is done once; another wallet lives through the same year under ids of its own,
so with a hash chain of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from ptmeter.domain import chain
from ptmeter.domain.batches import Plan, State
from ptmeter.domain.commands import Hold, Settle, Void
from ptmeter.domain.keys import digest, transfer_id
from ptmeter.domain.planner import plan
from ptmeter.domain.rollups import Figures, additions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ptmeter.domain.commands import Linked
    from ptmeter.domain.ledger import OpenHold, Transfer, Wallet
    from ptmeter.domain.pt import Money
    from ptmeter.domain.rollups import Bucket

BEGIN: Final = datetime(2025, 1, 1, tzinfo=UTC)
DAYS: Final = 365
_TTL: Final = timedelta(days=2)
_FINGERPRINT: Final = digest(("bulk",))


@dataclass(slots=True)
class History:
    """A wallet's journal as it grows in memory."""

    wallet: Wallet
    transfers: list[Transfer] = field(default_factory=list)
    holds: dict[bytes, OpenHold] = field(default_factory=dict)
    rollups: dict[Bucket, Figures] = field(default_factory=dict)

    def carry_out(self, batch: Sequence[Linked], at: datetime) -> None:
        """Let the planner decide *batch* and keep what it decided."""
        state = State(at, {self.wallet.id: self.wallet}, {}, self.holds, {})
        decided = plan(state, batch, chain_key=b"")
        self.transfers += decided.transfers
        self.wallet = decided.wallets[0]
        for bucket, more in additions(decided.transfers, decided.wallets, _no_card).items():
            self.rollups[bucket] = self.rollups.get(bucket, Figures()).plus(more)
        resolved = {command.hold_id for (command,) in batch if isinstance(command, Settle | Void)}
        self.holds = {name: hold for name, hold in self.holds.items() if name not in resolved}
        self.holds |= {hold.id: hold for hold in decided.opened}

    def as_plan(self) -> Plan:
        """All of it as one plan, to be written at once."""
        opened = list(self.holds.values())
        return Plan(
            [],
            [self.wallet],
            self.transfers,
            opened,
            closed=[],
            rejections=[],
            decided={},
            accounts=[],
            notices=[],
            rollups=self.rollups,
        )


def _no_card(_version: str) -> Mapping[str, Money]:
    """Nothing here was rated by a card."""
    return {}


def history(wallet: Wallet, length: int) -> History:
    """Let a wallet that has its grant go on until it has *length* transfers, spread over a year."""
    grown = History(wallet)
    for day in range(1, DAYS + 1):
        due = 1 + (length - 1) * day // DAYS - grown.wallet.seq
        if due > 0:
            batch = list(_commands(wallet, grown, due))
            grown.carry_out(batch, BEGIN + timedelta(days=day))
    return grown


def renamed(pattern: History, wallet: Wallet) -> History:
    """The same year in another wallet: its own ids, and so its own chain."""
    head, transfers, account = wallet.head, [], wallet.id.account
    ids: dict[bytes, bytes] = {}
    for transfer in pattern.transfers:
        ids[transfer.id] = _id(account, transfer.kind.name, transfer.seq)
        mine = replace(transfer, id=ids[transfer.id], wallet=wallet.id)
        head = chain.successor(mine, head)
        transfers.append(replace(mine, link=chain.link(head)))
    holds = [replace(hold, id=ids[hold.id], wallet=wallet.id) for hold in pattern.holds.values()]
    last = replace(pattern.wallet, id=wallet.id, number=wallet.number, head=head)
    rollups = {bucket._replace(wallet=wallet.id): figures for bucket, figures in pattern.rollups.items()}
    return History(last, transfers, {hold.id: hold for hold in holds}, rollups)


def _id(account: str, what: str, number: int) -> bytes:
    return transfer_id(account, what.lower(), str(number))


def _commands(wallet: Wallet, grown: History, due: int) -> Iterator[Linked]:
    """*due* commands: what was left open first, then holds and settles, now and then a void."""
    account = wallet.id.account
    seq, left = grown.wallet.seq, list(grown.holds)
    named: dict[str, Any] = {"wallet": wallet.id, "fingerprint": _FINGERPRINT}
    for number in range(seq + 1, seq + due + 1):
        if not left:
            left.append(_id(account, "hold", number))
            yield (Hold(id=left[0], amount=3_000_000 + number % 7, ttl=_TTL, **named),)
        elif number % 40 == 1:
            yield (Void(id=_id(account, "void", number), hold_id=left.pop(), **named),)
        else:
            amount = 1_000_000 + number % 1_000
            yield (Settle(id=_id(account, "settle", number), hold_id=left.pop(), amount=amount, **named),)
