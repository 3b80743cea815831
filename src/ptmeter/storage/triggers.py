"""Triggers that keep the journal insert-only and closed periods closed, as the migration makes them."""

from __future__ import annotations

from alembic import op

_UNIQUE = {
    "ptm_transfer": (("wallet_id", "seq"), ("wallet_id", "transfer_id"), ("wallet_id", "completes")),
    "ptm_period": (("period", "number"),),
    "ptm_closing": (("wallet_id", "revision", "period"),),
    "ptm_money": (("entry",),),
}
"""By which rows of the journal SQLite would replace one for another."""


def keep_insert_only(table: str) -> None:
    """Defence in depth; on MySQL, where triggers may need SUPER, revoke UPDATE and DELETE instead."""
    dialect = op.get_context().dialect.name
    message = f"{table} is insert-only: correct it with a new transfer"
    if dialect == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
                f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
            )
        keys = (" AND ".join(f"{column} = NEW.{column}" for column in key) for key in _UNIQUE[table])
        same = f"SELECT 1 FROM {table} WHERE {' OR '.join(keys)}"  # noqa: S608 - our own names
        op.execute(
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
            f"WHEN EXISTS ({same}) "
            f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )
    elif dialect == "postgresql":
        op.execute(
            f"CREATE FUNCTION {table}_insert_only() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN RAISE EXCEPTION '{message}'; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {table}_insert_only BEFORE UPDATE OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {table}_insert_only()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_insert_only()"
        )


def keep_closed() -> None:
    """
    Refuse a transfer booked in a closed period; defence in depth, for a wallet's own booking time is past it.

    MySQL has the wallet's CHECK alone: see `keep_insert_only`.
    """
    dialect = op.get_context().dialect.name
    if dialect == "sqlite":
        op.execute(
            "CREATE TRIGGER ptm_transfer_period_closed BEFORE INSERT ON ptm_transfer "
            "WHEN NEW.booked_at < (SELECT closed_until FROM ptm_wallet WHERE wallet_id = NEW.wallet_id) "
            "BEGIN SELECT RAISE(ABORT, 'the period is closed: book it now, and say when it took effect "
            "(ptm_period_closed)'); END"
        )
    elif dialect == "postgresql":
        op.execute(
            "CREATE FUNCTION ptm_transfer_period_closed() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN IF EXISTS (SELECT 1 FROM inserted JOIN ptm_wallet USING (wallet_id) "
            "WHERE inserted.booked_at < ptm_wallet.closed_until) "
            "THEN RAISE EXCEPTION 'the period is closed: book it now, and say when it took effect "
            "(ptm_period_closed)'; END IF; RETURN NULL; END $$"
        )
        op.execute(
            "CREATE TRIGGER ptm_transfer_period_closed AFTER INSERT ON ptm_transfer "
            "REFERENCING NEW TABLE AS inserted "
            "FOR EACH STATEMENT EXECUTE FUNCTION ptm_transfer_period_closed()"
        )
