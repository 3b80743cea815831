"""Writing what was decided, with a statement for each kind of row: what any database understands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import BindParameter, bindparam, delete, insert, update

from .prepared import Prepared
from .tables import account, lot, open_hold, outbox, rejection, rollup, top_up, transfer, wallet

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sqlalchemy import Connection, Executable, Insert, Table

Rows = dict[str, list[dict[str, Any]]]
"""Rows by what is to be done with them; see `plan_rows`."""

WALLET_COLUMNS: Final = ("available", "held", "spent", "owed", "seq", "booked_at", "head")


class Writer:
    """A statement for each kind of row, repeated for each row by the driver."""

    def __init__(self, insert_new: Callable[[Table], Insert], add_up: Callable[[Table], Insert]) -> None:
        """*insert_new* inserts a row unless it is there, *add_up* adds its figures to those that are."""
        columns: dict[str, BindParameter[Any]] = {name: bindparam(name) for name in WALLET_COLUMNS}
        this_lot = (lot.c.wallet_id == bindparam("wallet"), lot.c.number == bindparam("lot"))
        this_hold = (open_hold.c.wallet_id == bindparam("wallet"), open_hold.c.hold_id == bindparam("hold"))
        refused = (rejection.c.wallet_id == bindparam("wallet"), rejection.c.transfer_id == bindparam("id"))
        statements: Mapping[str, Executable] = {
            "wallets": update(wallet).where(wallet.c.wallet_id == bindparam("wallet")).values(columns),
            "transfers": insert(transfer),
            "new_lots": insert(lot),
            "lots": update(lot)
            .where(*this_lot)
            .values(remaining=bindparam("free"), held=bindparam("kept"), frozen=bindparam("cold")),
            "closed": delete(open_hold).where(*this_hold),
            "opened": insert(open_hold),
            "forgotten": delete(rejection).where(*refused),
            "rejections": insert(rejection),
            "tallies": update(account)
            .where(account.c.account == bindparam("who"))
            .values(tally=bindparam("count")),
            "top_ups": insert(top_up),
            "messages": insert_new(outbox),
            "rollups": add_up(rollup),
        }
        self._prepared = {kind: Prepared(statement) for kind, statement in statements.items()}

    def write(self, connection: Connection, rows: Rows, /) -> None:
        """Write the rows of a plan in the transaction of *connection*."""
        for kind, prepared in self._prepared.items():
            if found := rows[kind]:
                prepared.repeat(connection, found)
