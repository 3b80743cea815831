"""
The ledger: journal, projections, prices and rate cards, and triggers that keep the journal insert-only.

A migration says what was done on its day; it is never edited once released.
"""

from __future__ import annotations

from typing import Any

from alembic import op
from sqlalchemy import CheckConstraint, Column, UniqueConstraint

from ptmeter.storage.columns import Allocations, Body, Instant, Int16, Int32, Int64, Version, digest, name

revision = "0001"
down_revision = None

_JOURNAL = ("ptm_transfer", "ptm_usage", "ptm_period", "ptm_closing")

_TOKEN_CLASSES = (
    "input_uncached",
    "input_cache_read",
    "input_cache_write_5m",
    "input_cache_write_1h",
    "input_audio",
    "input_image",
    "output_text",
    "output_reasoning",
    "output_audio",
    "output_image",
)

_options: dict[str, Any] = {
    "sqlite_strict": True,
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
}
_clustered: dict[str, Any] = {**_options, "sqlite_with_rowid": False}


def upgrade() -> None:
    """Make the tables."""
    _create_accounts()
    _create_journal()
    _create_projections()
    _create_catalogue()
    _create_periods()
    for table in _JOURNAL:
        _keep_insert_only(table)
    _keep_closed()


def _create_accounts() -> None:
    op.create_table(
        "ptm_account",
        Column("account", name(), primary_key=True),
        Column("parent", name()),
        Column("plan", name(64)),
        Column("opened_at", Instant, nullable=False),
        **_clustered,
    )
    op.create_table(
        "ptm_wallet",
        Column("wallet_id", Int32, primary_key=True, autoincrement=True),
        Column("available", Int64, nullable=False, default=0),
        Column("held", Int64, nullable=False, default=0),
        Column("spent", Int64, nullable=False, default=0),
        Column("owed", Int64, nullable=False, default=0),
        Column("credit_limit", Int64, nullable=False, default=0),
        Column("seq", Int64, nullable=False, default=0),
        Column("booked_at", Instant, nullable=False),
        Column("closed_until", Instant, nullable=False, default=0),
        Column("head", digest(33), nullable=False),
        Column("state", Int16, nullable=False, default=0),
        Column("account", name(), nullable=False),
        Column("unit", name(32), nullable=False),
        UniqueConstraint("account", "unit", name="ptm_wallet_name"),
        CheckConstraint("available >= 0", name="ptm_wallet_available"),
        CheckConstraint("held >= 0", name="ptm_wallet_held"),
        CheckConstraint("spent >= 0", name="ptm_wallet_spent"),
        CheckConstraint("owed >= 0 AND (owed = 0 OR available = 0)", name="ptm_wallet_owed"),
        CheckConstraint("credit_limit >= 0", name="ptm_wallet_credit_limit"),
        CheckConstraint("booked_at >= closed_until - 1", name="ptm_wallet_closed"),
        **_options,
        postgresql_with={"fillfactor": 20},
    )


def _create_journal() -> None:
    op.create_table(
        "ptm_transfer",
        Column("wallet_id", Int32, primary_key=True, autoincrement=False),
        Column("kind", Int16, nullable=False),
        Column("priority", Int16),
        Column("seq", Int64, primary_key=True, autoincrement=False),
        Column("amount", Int64, nullable=False),
        Column("available_after", Int64, nullable=False),
        Column("held_after", Int64, nullable=False),
        Column("effective_at", Instant, nullable=False),
        Column("booked_at", Instant, nullable=False),
        Column("expires_at", Instant),
        Column("completes", Int64),
        Column("debit", Int16, nullable=False),
        Column("credit", Int16, nullable=False),
        Column("transfer_id", digest(16), nullable=False),
        Column("fingerprint", digest(16), nullable=False),
        Column("hash", digest(33), nullable=False),
        Column("allocations", Allocations),
        Column("note", Body),
        UniqueConstraint("transfer_id", name="ptm_transfer_id"),
        UniqueConstraint("wallet_id", "completes", name="ptm_transfer_completes"),
        CheckConstraint("amount > 0", name="ptm_transfer_amount"),
        CheckConstraint("available_after >= 0 AND held_after >= 0", name="ptm_transfer_after"),
        CheckConstraint("debit <> credit", name="ptm_transfer_sides"),
        **_clustered,
    )
    op.create_table(
        "ptm_usage",
        Column("wallet_id", Int32, primary_key=True, autoincrement=False),
        Column("requests", Int32, nullable=False),
        Column("seq", Int64, primary_key=True, autoincrement=False),
        Column("price_version", Version, nullable=False),
        Column("card_version", Version, nullable=False),
        Column("cost", Int64, nullable=False),
        *(Column(name_, Int32) for name_ in _TOKEN_CLASSES),
        Column("quality", name(32)),
        Column("tool_calls", Body),
        **_clustered,
    )


def _create_projections() -> None:
    op.create_table(
        "ptm_lot",
        Column("wallet_id", Int32, primary_key=True, autoincrement=False),
        Column("priority", Int16, nullable=False),
        Column("number", Int64, primary_key=True, autoincrement=False),
        Column("granted", Int64, nullable=False),
        Column("remaining", Int64, nullable=False),
        Column("held", Int64, nullable=False),
        Column("expires_at", Instant),
        CheckConstraint("remaining >= 0 AND held >= 0", name="ptm_lot_not_negative"),
        CheckConstraint("remaining + held <= granted", name="ptm_lot_granted"),
        **_clustered,
    )
    op.create_table(
        "ptm_open_hold",
        Column("hold_id", digest(16), primary_key=True),
        Column("wallet_id", Int32, nullable=False),
        Column("number", Int64, nullable=False),
        Column("amount", Int64, nullable=False),
        Column("expires_at", Instant, nullable=False),
        Column("allocations", Allocations),
        CheckConstraint("amount > 0", name="ptm_open_hold_amount"),
        **_clustered,
    )
    op.create_index("ptm_open_hold_wallet", "ptm_open_hold", ["wallet_id", "expires_at"])
    op.create_index("ptm_open_hold_due", "ptm_open_hold", ["expires_at"])
    op.create_table(
        "ptm_rejection",
        Column("transfer_id", digest(16), primary_key=True),
        Column("wallet_id", Int32, nullable=False),
        Column("reason", Int16, nullable=False),
        Column("available", Int64, nullable=False),
        Column("required", Int64, nullable=False),
        Column("refused_at", Instant, nullable=False),
        Column("fingerprint", digest(16), nullable=False),
        **_clustered,
    )
    op.create_index("ptm_rejection_age", "ptm_rejection", ["refused_at"])


def _create_catalogue() -> None:
    op.create_table(
        "ptm_price",
        Column("version", Version, primary_key=True, autoincrement=False),
        Column("provider", name(64), nullable=False),
        Column("model", name(), nullable=False),
        Column("body", Body, nullable=False),
        **_clustered,
    )
    op.create_table(
        "ptm_rate_card",
        Column("version", Version, primary_key=True, autoincrement=False),
        Column("body", Body, nullable=False),
        **_clustered,
    )


def _create_periods() -> None:
    op.create_table(
        "ptm_period",
        Column("period", name(16), primary_key=True),
        Column("number", Int16, primary_key=True, autoincrement=False),
        Column("state", Int16, nullable=False),
        Column("starts_at", Instant, nullable=False),
        Column("ends_at", Instant, nullable=False),
        Column("noted_at", Instant, nullable=False),
        Column("actor", name(), nullable=False),
        Column("approver", name()),
        Column("reason", Body),
        Column("wallets", Int64),
        Column("hash", digest(33)),
        CheckConstraint("approver IS NULL OR approver <> actor", name="ptm_period_two_persons"),
        **_clustered,
    )
    op.create_table(
        "ptm_closing",
        Column("wallet_id", Int32, primary_key=True, autoincrement=False),
        Column("revision", Int16, primary_key=True, autoincrement=False),
        Column("period", name(16), primary_key=True),
        Column("seq", Int64, nullable=False),
        Column("booked_at", Instant),
        Column("available", Int64, nullable=False),
        Column("held", Int64, nullable=False),
        Column("spent", Int64, nullable=False),
        Column("owed", Int64, nullable=False),
        Column("issued", Int64, nullable=False),
        Column("lapsed", Int64, nullable=False),
        Column("adjusted", Int64, nullable=False),
        Column("head", digest(33), nullable=False),
        Column("lots", Body),
        CheckConstraint(
            "available + held + spent + lapsed = issued + owed + adjusted", name="ptm_closing_ties"
        ),
        **_clustered,
    )
    op.create_index("ptm_closing_period", "ptm_closing", ["period", "revision", "wallet_id"])
    op.create_table(
        "ptm_boundary",
        Column("id", Int16, primary_key=True, autoincrement=False),
        Column("closed_until", Instant, nullable=False),
        **_clustered,
    )


def _keep_insert_only(table: str) -> None:
    """Defence in depth; on MySQL, where triggers may need SUPER, revoke UPDATE and DELETE instead."""
    dialect = op.get_context().dialect.name
    message = f"{table} is insert-only: correct it with a new transfer"
    if dialect == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
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


def _keep_closed() -> None:
    """
    Refuse a transfer booked in a closed period; defence in depth, for a wallet's own booking time is past it.

    MySQL has the wallet's CHECK alone: see `_keep_insert_only`.
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
