"""What all tables have in common: where they are gathered, and how each database is to keep them."""

from __future__ import annotations

from typing import Any

from sqlalchemy import MetaData

metadata = MetaData()

options: dict[str, Any] = {
    "sqlite_strict": True,
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
}
clustered: dict[str, Any] = {**options, "sqlite_with_rowid": False}
