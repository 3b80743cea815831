"""
Column types that mean the same on every database.

Times are microseconds since 1970, and ids the eight bytes of a hash as a signed integer, because three
databases agree on integers and on little else; `rows` turns them into the domain's values. SQLite's STRICT tables take only
its own five type names, hence the variants.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Integer, LargeBinary, SmallInteger, String, Text
from sqlalchemy.dialects import mysql, sqlite

from ..domain.checks import LONGEST_NAME

if TYPE_CHECKING:
    from sqlalchemy.types import TypeEngine

Int64 = BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
Int32 = Integer().with_variant(sqlite.INTEGER(), "sqlite")
Int16 = SmallInteger().with_variant(sqlite.INTEGER(), "sqlite")
Instant = Int64
"""A time, as microseconds since 1970."""

Version = Int64
"""Sixteen hex digits, as the signed integer they spell."""

Id = Int64
"""Eight bytes, as the signed integer they are."""

Body = Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


Allocations = Body
"""Lot numbers and amounts, as ``3:1000000;7:500``; a number alone stands for all of it, NULL for none."""


def name(length: int = LONGEST_NAME) -> TypeEngine[str]:
    """Text compared byte for byte: by default MySQL would take ``Acme`` and ``acme`` for one account."""
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return String(length).with_variant(exact, "mysql", "mariadb").with_variant(sqlite.TEXT(), "sqlite")


def digest(size: int) -> TypeEngine[bytes]:
    """A hash of *size* bytes."""
    return LargeBinary(size).with_variant(mysql.BINARY(size), "mysql", "mariadb")


def version_from(value: int) -> str:
    """A version as its sixteen hex digits."""
    return value.to_bytes(8, "big", signed=True).hex()


def version_row(version: str) -> int:
    """A version as the signed integer that its hex digits spell."""
    return int.from_bytes(bytes.fromhex(version), "big", signed=True)
