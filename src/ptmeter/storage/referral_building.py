"""
How the tables of referrals are made: a part of the first migration.

It says what was done on its day, as that does; it is never edited once released.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Column, UniqueConstraint

from .building import create_index, create_table
from .columns import Body, Id, Instant, Int16, Int64, name

_clustered: dict[str, Any] = {
    "sqlite_strict": True,
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "sqlite_with_rowid": False,
}


def create_referrals() -> None:
    """Make the tables."""
    create_table(
        "ptm_referral_code",
        Column("account", name(), primary_key=True),
        Column("noted_at", Instant, nullable=False),
        Column("code", name(32), nullable=False),
        UniqueConstraint("code", name="ptm_referral_code_code"),
        **_clustered,
    )
    create_table(
        "ptm_referral",
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
        CheckConstraint("referrer <> account", name="ptm_referral_not_its_own"),
        CheckConstraint("refunded >= 0 AND refunded <= payment", name="ptm_referral_refunded"),
        **_clustered,
    )
    create_index("ptm_referral_used", "ptm_referral", ["referrer", "used_at"])
    create_index("ptm_referral_state", "ptm_referral", ["referrer", "state"])
    create_table(
        "ptm_referral_trace",
        Column("trace_id", Id, primary_key=True, autoincrement=False),
        Column("account", name(), primary_key=True),
        Column("noted_at", Instant, nullable=False),
        **_clustered,
    )
