"""The table of mitigations: what was ever applied, and who undid it; see `tables`."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Table

from ..domain.mitigations import LONGEST_SCOPE
from .columns import Body, Id, Instant, Int32, name
from .metadata import clustered, metadata

_UNDONE = "undone_at IS{0} NULL AND undone_by IS{0} NULL AND undone_because IS{0} NULL"

mitigation = Table(
    "ptm_mitigation",
    metadata,
    Column("mitigation_id", Id, primary_key=True, autoincrement=False),
    Column("fingerprint", Id, nullable=False),
    Column("starts_at", Instant, nullable=False),
    Column("ends_at", Instant, nullable=False),
    Column("undone_at", Instant),
    Column("share", Int32, nullable=False),
    Column("scope", name(LONGEST_SCOPE), nullable=False),
    Column("unit", name(32), nullable=False),
    Column("author", name(), nullable=False),
    Column("undone_by", name()),
    Column("request_key", Body, nullable=False),
    Column("reason", Body, nullable=False),
    Column("undone_because", Body),
    Index("ptm_mitigation_scope", "scope", "ends_at"),
    Index("ptm_mitigation_begun", "starts_at", "mitigation_id"),
    CheckConstraint("share >= 0 AND share <= 10000", name="ptm_mitigation_share"),
    CheckConstraint("ends_at > starts_at", name="ptm_mitigation_ends"),
    CheckConstraint(f"{_UNDONE.format('')} OR {_UNDONE.format(' NOT')}", name="ptm_mitigation_undone"),
    **clustered,
)
