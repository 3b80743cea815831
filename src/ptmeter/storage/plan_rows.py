"""What a plan changes, as rows: what is to be inserted, updated and deleted, for a writer to carry out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..domain.instants import microseconds
from ..domain.messages import message
from .account_rows import tally_row
from .message_rows import message_row, top_up_row
from .rollups import rollup_row
from .rows import hold_row, id_row, lot_row, refused_row, transfer_row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..domain.batches import Plan
    from ..domain.ledger import OpenHold, Wallet, WalletId
    from .writing import Rows


def rows_of(plan: Plan, before: Mapping[WalletId, Wallet]) -> Rows:
    """All rows of a plan, by what is to be done with them."""
    numbers = {name: wallet.number for name, wallet in before.items()}
    changes = [(before[after.id], after) for after in plan.wallets]
    return {
        "wallets": [_wallet_row(wallet) for wallet in plan.wallets],
        "transfers": [transfer_row(numbers[t.wallet], t) for t in plan.transfers],
        "new_lots": [row for old, new in changes for row in _new_lots(old, new)],
        "lots": [row for old, new in changes for row in _changed_lots(old, new)],
        "closed": [_closed_row(numbers[hold.wallet], hold) for hold in plan.closed],
        "opened": [hold_row(numbers[hold.wallet], hold) for hold in plan.opened],
        "forgotten": [{"wallet": numbers[r.wallet], "id": id_row(r.id)} for r in plan.rejections],
        "rejections": [refused_row(numbers[r.wallet], r) for r in plan.rejections],
        "tallies": [tally_row(account) for account in plan.accounts],
        "top_ups": [top_up_row(top_up) for top_up in plan.top_ups],
        "messages": [message_row(message(each)) for each in (*plan.notices, *plan.top_ups)],
        "rollups": [rollup_row(numbers[b.wallet], b, figures) for b, figures in plan.rollups.items()],
    }


def unpriced_of(plan: Plan, before: Mapping[WalletId, Wallet]) -> list[dict[str, Any]]:
    """The places of a plan's transfers that were rated by a ceiling; mostly there are none."""
    return [
        {"wallet_id": before[t.wallet].number, "seq": t.seq}
        for t in plan.transfers
        if t.usage is not None and t.usage.price.is_ceiling
    ]


def _wallet_row(wallet: Wallet) -> dict[str, Any]:
    return {
        "wallet": wallet.number,
        "available": wallet.available,
        "held": wallet.held,
        "spent": wallet.spent,
        "owed": wallet.owed,
        "seq": wallet.seq,
        "booked_at": microseconds(wallet.booked_at),
        "head": wallet.head,
    }


def _new_lots(before: Wallet, after: Wallet) -> list[dict[str, Any]]:
    old = {lot.number for lot in before.lots}
    return [lot_row(after.number, lot) for lot in after.lots if lot.number not in old]


def _changed_lots(before: Wallet, after: Wallet) -> list[dict[str, Any]]:
    old = {lot.number: lot for lot in before.lots}
    return [
        {
            "wallet": after.number,
            "lot": lot.number,
            "free": lot.remaining,
            "kept": lot.held,
            "cold": lot.frozen,
        }
        for lot in after.lots
        if old.get(lot.number, lot) is not lot
    ]


def _closed_row(wallet_id: int, hold: OpenHold) -> dict[str, Any]:
    """The name of a hold that is open no more."""
    return {"wallet": wallet_id, "hold": id_row(hold.id)}
