"""Rival (a), what people write first: ``SELECT … FOR UPDATE``, ``UPDATE``, ``INSERT``, ``COMMIT``."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from . import rivals

if TYPE_CHECKING:
    import psycopg

    from .contest import Contestant


def contestants() -> list[Contestant]:
    """With 64 callers on one wallet and on a thousand, and with one caller."""
    return rivals.contestants("(a) FOR UPDATE, 4 statements", post, alone=True, autocommit=False)


def post(connection: psycopg.Connection[Any], wallet: int, change: rivals.Change) -> None:
    """Lock, look, change, record, commit: each a round trip made while the lock is held."""
    found = connection.execute(
        "SELECT available, held, seq FROM wallet WHERE wallet_id = %s FOR UPDATE", [wallet]
    ).fetchone()
    if found is None or found[0] + change.free < 0 or found[1] + change.held < 0:
        connection.rollback()
        msg = "not enough"
        raise ValueError(msg)
    connection.execute(
        "UPDATE wallet SET available = available + %s, held = held + %s, spent = spent + %s, seq = seq + 1"
        " WHERE wallet_id = %s",
        [*change, wallet],
    )
    connection.execute(
        "INSERT INTO journal (wallet_id, seq, id, free, held, spent) VALUES (%s, %s, %s, %s, %s, %s)",
        [wallet, found[2] + 1, uuid.uuid4(), *change],
    )
    connection.commit()
