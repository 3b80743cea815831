"""
The ledger: journal, projections, prices and rate cards, and triggers that keep the journal insert-only.

A migration says what was done on its day; it is never edited once released.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Column, UniqueConstraint, text

from ptmeter.storage.building import create_index, create_table
from ptmeter.storage.columns import (
    Allocations,
    Body,
    Id,
    Instant,
    Int16,
    Int32,
    Int64,
    Version,
    digest,
    name,
)
from ptmeter.storage.mitigation_building import create_mitigations
from ptmeter.storage.referral_building import create_referrals
from ptmeter.storage.stripe_building import create_payments, create_webhooks
from ptmeter.storage.triggers import keep_closed, keep_insert_only

revision = "0001"
down_revision = None

_JOURNAL = ("ptm_transfer", "ptm_period", "ptm_closing", "ptm_money")

_CACHED = ("cache_read", "cache_read_audio", "cache_read_image", "cache_write_5m", "cache_write_1h")
_INPUT = ("uncached", *_CACHED, "audio", "image")
_OUTPUT = ("text", "reasoning", "audio", "image")
_TOKEN_CLASSES = (*(f"input_{each}" for each in _INPUT), *(f"output_{each}" for each in _OUTPUT))

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
    _create_calibration()
    _create_rollups()
    _create_outbox()
    _create_subscriptions()
    _create_queues()
    create_referrals()
    create_webhooks()
    create_payments()
    create_mitigations()
    for table in _JOURNAL:
        keep_insert_only(table)
    keep_closed()


def _create_accounts() -> None:
    create_table(
        "ptm_account",
        Column("account", name(), primary_key=True),
        Column("opened_at", Instant, nullable=False),
        Column("anchor", Instant),
        Column("placed_at", Instant),
        Column("pooled", Int16, nullable=False, default=0),
        Column("overflow", Int16, nullable=False, default=0),
        Column("parent", name()),
        Column("plan", name(64)),
        Column("zone", name(64)),
        Column("former", Body),
        Column("terms", Body),
        Column("top_ups", Body),
        Column("tally", Body),
        CheckConstraint("parent <> account", name="ptm_account_not_its_own_parent"),
        **_clustered,
    )
    create_index("ptm_account_parent", "ptm_account", ["parent"])
    create_table(
        "ptm_wallet",
        Column("wallet_id", Id, primary_key=True, autoincrement=False),
        Column("available", Int64, nullable=False, default=0),
        Column("held", Int64, nullable=False, default=0),
        Column("spent", Int64, nullable=False, default=0),
        Column("owed", Int64, nullable=False, default=0),
        Column("credit_limit", Int64, nullable=False, default=0),
        Column("seq", Int64, nullable=False, default=0),
        Column("booked_at", Instant, nullable=False),
        Column("closed_until", Instant, nullable=False, default=0),
        Column("state", Int16, nullable=False, default=0),
        Column("head", digest(33), nullable=False),
        Column("account", name(), nullable=False),
        Column("unit", name(32), nullable=False),
        CheckConstraint("available >= 0", name="ptm_wallet_available"),
        CheckConstraint("held >= 0", name="ptm_wallet_held"),
        CheckConstraint("spent >= 0", name="ptm_wallet_spent"),
        CheckConstraint("owed >= 0 AND (owed = 0 OR available = 0)", name="ptm_wallet_owed"),
        CheckConstraint("credit_limit >= 0", name="ptm_wallet_credit_limit"),
        CheckConstraint("booked_at >= closed_until - 1", name="ptm_wallet_closed"),
        **_options,
        postgresql_with={"fillfactor": 20},
    )
    create_index("ptm_wallet_account", "ptm_wallet", ["account"])


def _create_journal() -> None:
    create_table(
        "ptm_transfer",
        Column("wallet_id", Id, primary_key=True, autoincrement=False),
        Column("seq", Int64, primary_key=True, autoincrement=False),
        Column("transfer_id", Id, nullable=False),
        Column("fingerprint", Id, nullable=False),
        Column("link", Id, nullable=False),
        Column("amount", Int64, nullable=False),
        Column("available_after", Int64, nullable=False),
        Column("held_after", Int64, nullable=False),
        Column("booked_at", Instant, nullable=False),
        Column("effective_at", Instant),
        Column("expires_at", Instant),
        Column("completes", Int64),
        Column("price_version", Version),
        Column("card_version", Version),
        Column("cost", Int64),
        Column("paid", Int64),
        Column("frozen_after", Int64),
        *(Column(name_, Int32) for name_ in _TOKEN_CLASSES),
        Column("requests", Int32),
        Column("kind", Int16, nullable=False),
        Column("priority", Int16),
        Column("multiple", Int16),
        Column("allocations", Allocations),
        Column("member", name()),
        Column("plan", name(64)),
        Column("note", Body),
        Column("quality", name(32)),
        Column("tool_calls", Body),
        Column("workload", Body),
        UniqueConstraint("wallet_id", "transfer_id", name="ptm_transfer_id"),
        CheckConstraint("amount > 0", name="ptm_transfer_amount"),
        CheckConstraint(
            "available_after >= 0 AND held_after >= 0 AND frozen_after >= 0", name="ptm_transfer_after"
        ),
        **_clustered,
    )
    completing: Any = text("completes IS NOT NULL")
    create_index(
        "ptm_transfer_completes",
        "ptm_transfer",
        ["wallet_id", "completes"],
        unique=True,
        postgresql_where=completing,
        sqlite_where=completing,
    )


def _create_projections() -> None:
    create_table(
        "ptm_lot",
        Column("wallet_id", Id, primary_key=True, autoincrement=False),
        Column("number", Int64, primary_key=True, autoincrement=False),
        Column("granted", Int64, nullable=False),
        Column("remaining", Int64, nullable=False),
        Column("held", Int64, nullable=False),
        Column("frozen", Int64, nullable=False),
        Column("expires_at", Instant),
        Column("paid", Int64),
        Column("priority", Int16, nullable=False),
        CheckConstraint("remaining >= 0 AND held >= 0 AND frozen >= 0", name="ptm_lot_not_negative"),
        CheckConstraint("remaining + held + frozen <= granted", name="ptm_lot_granted"),
        **_clustered,
    )
    create_table(
        "ptm_open_hold",
        Column("wallet_id", Id, primary_key=True, autoincrement=False),
        Column("hold_id", Id, primary_key=True, autoincrement=False),
        Column("number", Int64, nullable=False),
        Column("amount", Int64, nullable=False),
        Column("expires_at", Instant, nullable=False),
        Column("extends", Int16),
        Column("allocations", Allocations),
        Column("member", name()),
        CheckConstraint("amount > 0", name="ptm_open_hold_amount"),
        **_clustered,
    )
    create_index("ptm_open_hold_wallet", "ptm_open_hold", ["wallet_id", "expires_at"])
    create_index("ptm_open_hold_due", "ptm_open_hold", ["expires_at"])
    create_table(
        "ptm_rejection",
        Column("wallet_id", Id, primary_key=True, autoincrement=False),
        Column("transfer_id", Id, primary_key=True, autoincrement=False),
        Column("fingerprint", Id, nullable=False),
        Column("available", Int64, nullable=False),
        Column("required", Int64, nullable=False),
        Column("refused_at", Instant, nullable=False),
        Column("reason", Int16, nullable=False),
        **_clustered,
    )
    create_index("ptm_rejection_age", "ptm_rejection", ["refused_at"])


def _create_catalogue() -> None:
    create_table(
        "ptm_price",
        Column("version", Version, primary_key=True, autoincrement=False),
        Column("provider", name(64), nullable=False),
        Column("model", name(), nullable=False),
        Column("body", Body, nullable=False),
        **_clustered,
    )
    create_table(
        "ptm_rate_card",
        Column("version", Version, primary_key=True, autoincrement=False),
        Column("body", Body, nullable=False),
        **_clustered,
    )


def _create_periods() -> None:
    create_table(
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
    create_table(
        "ptm_closing",
        Column("wallet_id", Id, primary_key=True, autoincrement=False),
        Column("revision", Int16, primary_key=True, autoincrement=False),
        Column("period", name(16), primary_key=True),
        Column("seq", Int64, nullable=False),
        Column("booked_at", Instant),
        *(Column(each, Int64, nullable=False) for each in ("available", "held", "spent", "owed")),
        *(Column(each, Int64, nullable=False) for each in ("issued", "lapsed", "adjusted")),
        *(Column(each, Int64, nullable=False) for each in ("frozen", "reversed")),
        Column("head", digest(33), nullable=False),
        Column("lots", Body),
        CheckConstraint(
            "available + held + frozen + spent + lapsed + reversed = issued + owed + adjusted",
            name="ptm_closing_ties",
        ),
        **_clustered,
    )
    create_index("ptm_closing_period", "ptm_closing", ["period", "revision", "wallet_id"])
    create_table(
        "ptm_boundary",
        Column("id", Int16, primary_key=True, autoincrement=False),
        Column("closed_until", Instant, nullable=False),
        **_clustered,
    )


def _create_calibration() -> None:
    create_table(
        "ptm_calibration",
        Column("model", name(), primary_key=True),
        Column("route", name(), primary_key=True),
        Column("changed_at", Instant, nullable=False),
        Column("body", Body, nullable=False),
        **_clustered,
    )


def _create_rollups() -> None:
    create_table(
        "ptm_rollup",
        Column("wallet_id", Id, primary_key=True, autoincrement=False),
        Column("day", Int32, primary_key=True, autoincrement=False),
        Column("model", name(), primary_key=True),
        Column("plan", name(64), primary_key=True),
        Column("currency", name(16), primary_key=True),
        Column("calls", Int64, nullable=False),
        Column("amount", Int64, nullable=False),
        Column("unvalued", Int64, nullable=False),
        Column("cost", Int64, nullable=False),
        Column("revenue", Int64, nullable=False),
        CheckConstraint("calls >= 0", name="ptm_rollup_calls"),
        **_clustered,
    )
    create_index("ptm_rollup_day", "ptm_rollup", ["day"])


def _create_outbox() -> None:
    create_table(
        "ptm_outbox",
        Column("account", name(), primary_key=True),
        Column("message_id", Id, primary_key=True, autoincrement=False),
        Column("noted_at", Instant, nullable=False),
        Column("due_at", Instant),
        Column("delivered_at", Instant),
        Column("attempts", Int32, nullable=False, default=0),
        Column("topic", name(32), nullable=False),
        Column("body", Body, nullable=False),
        Column("problem", Body),
        CheckConstraint("delivered_at IS NULL OR due_at IS NULL", name="ptm_outbox_delivered"),
        **_clustered,
    )
    create_index("ptm_outbox_due", "ptm_outbox", ["delivered_at", "due_at"])
    create_table(
        "ptm_top_up",
        Column("top_up_id", Id, primary_key=True, autoincrement=False),
        *(Column(each, Int64, nullable=False) for each in ("amount", "price")),
        Column("requested_at", Instant, nullable=False),
        Column("cool_down", Int64, nullable=False),
        *(Column(each, Instant) for each in ("done_at", "cools_until")),
        Column("attempts", Int32, nullable=False),
        Column("state", Int16, nullable=False),
        Column("account", name(), nullable=False),
        Column("unit", name(32), nullable=False),
        Column("open_unit", name(32)),
        Column("currency", name(8), nullable=False),
        Column("payment", name()),
        Column("problem", Body),
        UniqueConstraint("account", "open_unit", name="ptm_top_up_open"),
        CheckConstraint("amount > 0 AND price >= 0", name="ptm_top_up_amount"),
        **_clustered,
    )
    create_index("ptm_top_up_account", "ptm_top_up", ["account", "requested_at"])


def _create_subscriptions() -> None:
    create_table(
        "ptm_subscription",
        Column("account", name(), primary_key=True),
        Column("due_at", Instant),
        Column("changed_at", Instant, nullable=False),
        Column("body", Body),
        **_clustered,
    )
    create_index("ptm_subscription_due", "ptm_subscription", ["due_at"])
    create_table(
        "ptm_subscription_request",
        Column("account", name(), primary_key=True),
        Column("request_id", Id, primary_key=True, autoincrement=False),
        Column("fingerprint", Id, nullable=False),
        Column("noted_at", Instant, nullable=False),
        Column("body", Body, nullable=False),
        **_clustered,
    )


def _create_queues() -> None:
    create_table(
        "ptm_unpriced",
        Column("wallet_id", Id, primary_key=True, autoincrement=False),
        Column("seq", Int64, primary_key=True, autoincrement=False),
        **_clustered,
    )
    create_table(
        "ptm_quarantine",
        Column("account", name(), primary_key=True),
        Column("call_id", Id, primary_key=True, autoincrement=False),
        Column("received_at", Instant, nullable=False),
        Column("held", Int64),
        Column("resolved_at", Instant),
        Column("decision", Id),
        Column("state", Int16, nullable=False),
        Column("call_key", Body, nullable=False),
        Column("unit", name(32), nullable=False),
        Column("model", name(), nullable=False),
        Column("route", name(), nullable=False),
        Column("payer", name()),
        Column("problem", Body, nullable=False),
        Column("payload", Body, nullable=False),
        Column("workload", Body),
        Column("more", Body),
        Column("resolver", name()),
        Column("reason", Body),
        CheckConstraint(
            "state = 0 AND resolved_at IS NULL OR state <> 0 AND resolved_at IS NOT NULL "
            "AND resolver IS NOT NULL AND decision IS NOT NULL",
            name="ptm_quarantine_resolved",
        ),
        **_clustered,
    )
    create_index("ptm_quarantine_state", "ptm_quarantine", ["state", "received_at", "call_id"])
