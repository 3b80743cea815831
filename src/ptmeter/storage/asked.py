"""
Finding rows by account and id: what was asked for, of which the caller cannot know the wallet.

A key is scoped by account, not by unit, so what it stands for may be in any wallet of the account. Few are
looked for by ``IN``, whose plan a database can keep. That probes every id in every wallet, so many are
handed over as a table to join with: one parameter, however many there are.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import String, bindparam, column, text

from .columns import Int64
from .rows import id_row
from .tables import wallet

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import TypeAlias

    from sqlalchemy import ColumnElement, FromClause

    Finder: TypeAlias = Callable[[Any, FromClause, ColumnElement[Any]], Any]
    """Narrows a query of a table, whose ids are in the column, to what is asked for."""


class Asked(NamedTuple):
    """An id, and the account that it is looked for in."""

    account: str
    id: bytes


_MYSQL: Final = """
SELECT account, id FROM JSON_TABLE(:{name}, '$[*]' COLUMNS (
    account VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin PATH '$[0]', id BIGINT PATH '$[1]'
)) AS listed
"""
_SOURCES: Final = {
    "postgresql": """
SELECT account, id FROM unnest(CAST(:{name}_accounts AS text[]), CAST(:{name}_ids AS bigint[]))
    AS listed (account, id)
""",
    "sqlite": """
SELECT json_extract(value, '$[0]') AS account, json_extract(value, '$[1]') AS id FROM json_each(:{name})
""",
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
}


def few(name: str) -> Finder:
    """Looks for the ids in the list *name* of the accounts in the list ``accounts``."""

    def find(query: Any, table: FromClause, ids: ColumnElement[Any]) -> Any:
        return query.select_from(wallet.join(table, table.c.wallet_id == wallet.c.wallet_id)).where(
            wallet.c.account.in_(bindparam("accounts", expanding=True)),
            ids.in_(bindparam(name, expanding=True)),
        )

    return find


def many(name: str, dialect: str) -> Finder:
    """Looks for what `listed` says under *name*."""
    source = text(_SOURCES[dialect].format(name=name))
    asked = source.columns(column("account", String), column("id", Int64)).subquery(name)

    def find(query: Any, table: FromClause, ids: ColumnElement[Any]) -> Any:
        theirs = asked.join(wallet, wallet.c.account == asked.c.account)
        return query.select_from(
            theirs.join(table, (table.c.wallet_id == wallet.c.wallet_id) & (ids == asked.c.id))
        )

    return find


def listed(name: str, dialect: str, asked: Collection[Asked]) -> dict[str, Any]:
    """The parameters of `many`."""
    accounts, ids = [each.account for each in asked], [id_row(each.id) for each in asked]
    if dialect == "postgresql":
        return {f"{name}_accounts": accounts, f"{name}_ids": ids}
    return {name: json.dumps(list(zip(accounts, ids, strict=True)))}
