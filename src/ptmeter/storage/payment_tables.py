"""The tables of payments, of money, and of who is who at Stripe."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Table, UniqueConstraint

from .columns import Body, Instant, Int64, name
from .metadata import clustered, metadata

payment = Table(
    "ptm_payment",
    metadata,
    Column("payment", name(120), primary_key=True),
    Column("paid_at", Instant),
    Column("amount", Int64),
    Column("tax", Int64),
    Column("account", name()),
    Column("currency", name(8)),
    Column("body", Body),
    Index("ptm_payment_account", "account", "paid_at"),
    **clustered,
)

money = Table(
    "ptm_money",
    metadata,
    Column("entry", name(), primary_key=True),
    Column("happened_at", Instant, nullable=False),
    Column("amount", Int64, nullable=False),
    Column("debit", name(32), nullable=False),
    Column("credit", name(32), nullable=False),
    Column("currency", name(8), nullable=False),
    Column("account", name()),
    Column("reference", name(120)),
    CheckConstraint("amount > 0 AND debit <> credit", name="ptm_money_amount"),
    Index("ptm_money_reference", "reference"),
    **clustered,
)

customer = Table(
    "ptm_customer",
    metadata,
    Column("account", name(), primary_key=True),
    Column("customer", name(120), nullable=False),
    UniqueConstraint("customer", name="ptm_customer_customer"),
    **clustered,
)
