"""Making tables and indexes in a migration, so that one that was cut off can be run again."""

from __future__ import annotations

from typing import Any, Final

from alembic import op

_INDEX_UNLESS_THERE: Final = (
    (
        "SET @ptm_sql = IF((SELECT count(*) FROM information_schema.statistics WHERE table_schema = DATABASE() "
        "AND table_name = '{table}' AND index_name = '{name}') = 0, "
        "'CREATE {kind} {name} ON {table} ({columns})', 'DO 0')"
    ),
    "PREPARE ptm_statement FROM @ptm_sql",
    "EXECUTE ptm_statement",
    "DEALLOCATE PREPARE ptm_statement",
)
"""MySQL has no CREATE INDEX IF NOT EXISTS."""


def create_table(name_: str, *columns: Any, **options: Any) -> None:
    """MySQL commits each statement by itself: what an earlier run made before it was cut off is kept."""
    op.create_table(name_, *columns, if_not_exists=_commits_by_itself() or None, **options)


def create_index(
    name_: str, table: str, columns: list[str], *, unique: bool = False, **options: Any
) -> None:
    """See `create_table`."""
    if not _commits_by_itself():
        op.create_index(name_, table, columns, unique=unique, **options)
        return
    kind = "UNIQUE INDEX" if unique else "INDEX"
    for statement in _INDEX_UNLESS_THERE:
        op.execute(statement.format(kind=kind, name=name_, table=table, columns=", ".join(columns)))


def _commits_by_itself() -> bool:
    return op.get_context().dialect.name in {"mysql", "mariadb"}
