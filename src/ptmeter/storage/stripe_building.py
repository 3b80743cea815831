"""
How the tables of webhooks, payments and money are made: a part of the first migration.

It says what was done on its day, as that does; it is never edited once released.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Column, UniqueConstraint

from .building import create_index, create_table
from .columns import Body, Id, Instant, Int16, Int32, Int64, name

_clustered: dict[str, Any] = {
    "sqlite_strict": True,
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "sqlite_with_rowid": False,
}


def create_webhooks() -> None:
    """Make the tables of events, and of what is to be done."""
    create_table(
        "ptm_webhook",
        Column("event_id", name(120), primary_key=True),
        Column("received_at", Instant, nullable=False),
        Column("created_at", Instant, nullable=False),
        Column("done_at", Instant),
        Column("digest", Id, nullable=False),
        Column("deliveries", Int32, nullable=False),
        Column("altered", Int32, nullable=False),
        Column("state", Int16, nullable=False),
        Column("lined", Int16, nullable=False),
        Column("livemode", Int16, nullable=False),
        Column("type", name(120), nullable=False),
        Column("source", name(16), nullable=False),
        Column("api_version", name(64)),
        Column("account", name(120)),
        Column("subject", name(160)),
        Column("body", Body, nullable=False),
        Column("problem", Body),
        Column("resolver", name()),
        CheckConstraint("altered >= 0 AND altered < deliveries", name="ptm_webhook_deliveries"),
        **_clustered,
    )
    create_index("ptm_webhook_state", "ptm_webhook", ["state", "lined", "received_at"])
    create_index("ptm_webhook_subject_state", "ptm_webhook", ["subject", "state"])
    create_table(
        "ptm_task",
        Column("task", name(160), primary_key=True),
        Column("due_at", Instant),
        Column("attempts", Int32, nullable=False),
        Column("lease", Int64, nullable=False),
        **_clustered,
    )
    create_index("ptm_task_due", "ptm_task", ["due_at"])


def create_payments() -> None:
    """Make the tables of payments, money and customers."""
    create_table(
        "ptm_payment",
        Column("payment", name(120), primary_key=True),
        Column("paid_at", Instant),
        *(Column(each, Int64) for each in ("amount", "tax")),
        Column("account", name()),
        Column("currency", name(8)),
        Column("body", Body),
        **_clustered,
    )
    create_index("ptm_payment_account", "ptm_payment", ["account", "paid_at"])
    create_table(
        "ptm_money",
        Column("entry", name(), primary_key=True),
        Column("happened_at", Instant, nullable=False),
        Column("amount", Int64, nullable=False),
        *(Column(each, name(32), nullable=False) for each in ("debit", "credit")),
        Column("currency", name(8), nullable=False),
        Column("account", name()),
        Column("reference", name(120)),
        CheckConstraint("amount > 0 AND debit <> credit", name="ptm_money_amount"),
        **_clustered,
    )
    create_index("ptm_money_reference", "ptm_money", ["reference"])
    create_table(
        "ptm_customer",
        Column("account", name(), primary_key=True),
        Column("customer", name(120), nullable=False),
        UniqueConstraint("customer", name="ptm_customer_customer"),
        **_clustered,
    )
