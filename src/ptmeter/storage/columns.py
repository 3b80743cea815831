"""
Column types that mean the same on every database.

Times are microseconds since 1970 and hashes are bytes, because three databases agree on integers and
bytes and on little else. SQLite's STRICT tables take only its own five type names, hence the variants.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Integer, LargeBinary, SmallInteger, String, Text
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.types import TypeDecorator
from typing_extensions import override

from ..domain.chain import microseconds, moment
from ..domain.ledger import LONGEST_NAME, Allocation

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Dialect
    from sqlalchemy.types import TypeEngine

Int64 = BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
Int32 = Integer().with_variant(sqlite.INTEGER(), "sqlite")
Int16 = SmallInteger().with_variant(sqlite.INTEGER(), "sqlite")
Body = Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


def name(length: int = LONGEST_NAME) -> TypeEngine[str]:
    """Text compared byte for byte: by default MySQL would take ``Acme`` and ``acme`` for one account."""
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return String(length).with_variant(exact, "mysql", "mariadb").with_variant(sqlite.TEXT(), "sqlite")


def digest(size: int) -> TypeEngine[bytes]:
    """A hash of *size* bytes."""
    return LargeBinary(size).with_variant(mysql.BINARY(size), "mysql", "mariadb")


class Instant(TypeDecorator["datetime"]):
    """An aware UTC time, as microseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    @override
    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(sqlite.INTEGER() if dialect.name == "sqlite" else BigInteger())

    @override
    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else microseconds(value)

    @override
    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else moment(value)


class Allocations(TypeDecorator["tuple[Allocation, ...]"]):
    """Lot numbers and amounts, as ``3:1000000;7:500``; NULL for none."""

    impl = Text
    cache_ok = True

    @override
    def process_bind_param(self, value: tuple[Allocation, ...] | None, dialect: Dialect) -> str | None:
        return ";".join(f"{lot}:{amount}" for lot, amount in value) if value else None

    @override
    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[Allocation, ...]:
        if not value:
            return ()
        pairs = (part.split(":") for part in value.split(";"))
        return tuple(Allocation(int(lot), int(amount)) for lot, amount in pairs)


class Version(TypeDecorator[str]):
    """Sixteen hex digits, as the signed 64-bit integer they spell."""

    impl = BigInteger
    cache_ok = True

    @override
    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(sqlite.INTEGER() if dialect.name == "sqlite" else BigInteger())

    @override
    def process_bind_param(self, value: str | None, dialect: Dialect) -> int | None:
        return None if value is None else int.from_bytes(bytes.fromhex(value), "big", signed=True)

    @override
    def process_result_value(self, value: int | None, dialect: Dialect) -> str | None:
        return None if value is None else value.to_bytes(8, "big", signed=True).hex()
