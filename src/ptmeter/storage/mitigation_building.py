"""
How the table of mitigations is made: a part of the first migration.

It says what was done on its day, as that does; it is never edited once released.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Column

from .building import create_index, create_table
from .columns import Body, Id, Instant, Int32, name

_clustered: dict[str, Any] = {
    "sqlite_strict": True,
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "sqlite_with_rowid": False,
}


def create_mitigations() -> None:
    """Make the table."""
    create_table(
        "ptm_mitigation",
        Column("mitigation_id", Id, primary_key=True, autoincrement=False),
        Column("fingerprint", Id, nullable=False),
        Column("starts_at", Instant, nullable=False),
        Column("ends_at", Instant, nullable=False),
        Column("undone_at", Instant),
        Column("share", Int32, nullable=False),
        Column("scope", name(208), nullable=False),
        Column("unit", name(32), nullable=False),
        Column("author", name(), nullable=False),
        Column("undone_by", name()),
        Column("request_key", Body, nullable=False),
        Column("reason", Body, nullable=False),
        Column("undone_because", Body),
        CheckConstraint("share >= 0 AND share <= 10000", name="ptm_mitigation_share"),
        CheckConstraint("ends_at > starts_at", name="ptm_mitigation_ends"),
        CheckConstraint(
            "undone_at IS NULL AND undone_by IS NULL AND undone_because IS NULL "
            "OR undone_at IS NOT NULL AND undone_by IS NOT NULL AND undone_because IS NOT NULL",
            name="ptm_mitigation_undone",
        ),
        **_clustered,
    )
    create_index("ptm_mitigation_scope", "ptm_mitigation", ["scope", "ends_at"])
    create_index("ptm_mitigation_begun", "ptm_mitigation", ["starts_at", "mitigation_id"])
