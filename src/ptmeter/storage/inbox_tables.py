"""The tables of webhook events, and of what is to be done by whoever takes it."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Table

from .columns import Body, Id, Instant, Int16, Int32, Int64, name
from .metadata import clustered, metadata

webhook = Table(
    "ptm_webhook",
    metadata,
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
    Index("ptm_webhook_state", "state", "lined", "received_at"),
    Index("ptm_webhook_subject_state", "subject", "state"),
    **clustered,
)

task = Table(
    "ptm_task",
    metadata,
    Column("task", name(160), primary_key=True),
    Column("due_at", Instant),
    Column("attempts", Int32, nullable=False),
    Column("lease", Int64, nullable=False),
    Index("ptm_task_due", "due_at"),
    **clustered,
)
