"""Rival (d), a function in the database: one call for each post, its statements run beside the data."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from . import rivals

if TYPE_CHECKING:
    import psycopg

    from .contest import Contestant

FUNCTION: Final = """
CREATE FUNCTION post(which int, request uuid, add_free bigint, add_held bigint, add_spent bigint) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE before wallet;
BEGIN
    SELECT * INTO before FROM wallet WHERE wallet_id = which FOR UPDATE;
    IF before.available + add_free < 0 OR before.held + add_held < 0 THEN
        RAISE EXCEPTION 'not enough';
    END IF;
    UPDATE wallet SET available = available + add_free, held = held + add_held, spent = spent + add_spent, seq = seq + 1
        WHERE wallet_id = which;
    INSERT INTO journal (wallet_id, seq, id, free, held, spent)
        VALUES (which, before.seq + 1, request, add_free, add_held, add_spent);
    RETURN before.seq + 1;
END $$
"""


def contestants() -> list[Contestant]:
    """With 64 callers on one wallet and on a thousand."""
    return rivals.contestants("(d) PL/pgSQL, a call per post", post, prepare=FUNCTION)


def post(connection: psycopg.Connection[Any], wallet: int, change: rivals.Change) -> None:
    """Call the function; it raises if there is not enough."""
    connection.execute("SELECT post(%s, %s, %s, %s, %s)", [wallet, uuid.uuid4(), *change])
