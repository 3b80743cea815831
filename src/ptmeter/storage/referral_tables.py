"""The tables of referrals: codes, who used them, and hashes of where they were seen; see `tables`."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Table, UniqueConstraint

from .columns import Body, Id, Instant, Int16, Int64, name
from .metadata import clustered, metadata

referral_code = Table(
    "ptm_referral_code",
    metadata,
    Column("account", name(), primary_key=True),
    Column("noted_at", Instant, nullable=False),
    Column("code", name(32), nullable=False),
    UniqueConstraint("code", name="ptm_referral_code_code"),
    **clustered,
)

referral = Table(
    "ptm_referral",
    metadata,
    Column("account", name(), primary_key=True),
    Column("request_id", Id, nullable=False),
    Column("fingerprint", Id, nullable=False),
    Column("used_at", Instant, nullable=False),
    Column("paid_at", Instant),
    Column("payment", Int64),
    Column("refunded", Int64),
    Column("state", Int16, nullable=False),
    Column("referrer", name(), nullable=False),
    Column("code", name(32), nullable=False),
    Column("currency", name(8)),
    Column("payment_id", name()),
    Column("refusal", name(32)),
    Column("rewards", Body),
    UniqueConstraint("payment_id", name="ptm_referral_payment"),
    Index("ptm_referral_used", "referrer", "used_at"),
    Index("ptm_referral_state", "referrer", "state"),
    CheckConstraint("referrer <> account", name="ptm_referral_not_its_own"),
    CheckConstraint("refunded >= 0 AND refunded <= payment", name="ptm_referral_refunded"),
    **clustered,
)

referral_trace = Table(
    "ptm_referral_trace",
    metadata,
    Column("trace_id", Id, primary_key=True, autoincrement=False),
    Column("account", name(), primary_key=True),
    Column("noted_at", Instant, nullable=False),
    **clustered,
)
