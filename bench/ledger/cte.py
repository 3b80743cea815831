"""Rival (b), one statement: a guarded update whose result is inserted; a transaction by itself."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from . import rivals

if TYPE_CHECKING:
    import psycopg

    from .contest import Contestant

STATEMENT: Final = """
WITH changed AS (
    UPDATE wallet SET available = available + %(free)s, held = held + %(held)s, spent = spent + %(spent)s, seq = seq + 1
    WHERE wallet_id = %(wallet)s AND available + %(free)s >= 0 AND held + %(held)s >= 0
    RETURNING wallet_id, seq)
INSERT INTO journal (wallet_id, seq, id, free, held, spent)
SELECT wallet_id, seq, %(id)s, %(free)s, %(held)s, %(spent)s FROM changed RETURNING seq
"""


def contestants() -> list[Contestant]:
    """With 64 callers on one wallet and on a thousand, and with one caller."""
    return rivals.contestants("(b) one-statement CTE", post, alone=True)


def post(connection: psycopg.Connection[Any], wallet: int, change: rivals.Change) -> None:
    """All in one round trip; no row comes back if there is not enough."""
    asked = {**change._asdict(), "wallet": wallet, "id": uuid.uuid4()}
    if connection.execute(STATEMENT, asked).fetchone() is None:
        msg = "not enough"
        raise ValueError(msg)
