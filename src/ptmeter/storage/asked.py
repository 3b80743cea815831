"""
Finding rows by their ids: in a wallet, or in whichever wallet of an account.

A key is scoped by account, not by unit, so what it stands for may be in any wallet of the account. Few ids
are looked for by ``IN``, whose plan a database can keep. That probes every id in every wallet, so many are
handed over as a table to join with: one parameter, however many there are. Left to themselves, databases
that know too little of the tables yet would read whole wallets and join those: ``OFFSET 0`` on PostgreSQL
and ``STRAIGHT_JOIN`` on MySQL keep it a probe for each id.
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from sqlalchemy import ARRAY, BigInteger, bindparam, cast, column, func, literal_column, select, text, true

from .rows import id_row
from .tables import wallet

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from sqlalchemy import BindParameter, Column, ColumnElement, FromClause, Table

Maker: TypeAlias = "Callable[[FromClause, FromClause], Any]"
"""Makes a query of a table's columns, to be selected from a source that has joined it with what is asked for."""

Finder: TypeAlias = "Callable[[Maker, Table, str], Any]"
"""Has a query made that is narrowed to the ids, in the table's column of that name, that are asked for."""

Among: TypeAlias = "Callable[[Column[int]], ColumnElement[bool]]"
"""Whether a column's number is one of those in a list."""


class Asked(NamedTuple):
    """An id, and the account or the number of the wallet that it is looked for in."""

    where: str | int
    id: bytes


class Where(StrEnum):
    """What ids are looked for in."""

    ACCOUNT = "account"
    WALLET = "wallet"


_MYSQL: Final = """
SELECT place, id FROM JSON_TABLE(:{name}, '$[*]' COLUMNS (place {kind} PATH '$[0]', id BIGINT PATH '$[1]'))
    AS listed
"""
_SOURCES: Final = {
    "postgresql": """
SELECT place, id FROM unnest(CAST(:{name}_places AS {kind}[]), CAST(:{name}_ids AS bigint[]))
    AS listed (place, id)
""",
    "sqlite": """
SELECT json_extract(value, '$[0]') AS place, json_extract(value, '$[1]') AS id FROM json_each(:{name})
""",
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
}
_TEXT: Final = "VARCHAR(200) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
_NAMES: Final = {"postgresql": "text", "sqlite": "", "mysql": _TEXT, "mariadb": _TEXT}


def one_parameter(dialect: str) -> bool:
    """
    Whether a list of numbers is one parameter, so that the text for a list of any length is the same.

    Not on MySQL, which may read and lock a whole table to join it with such a list.
    """
    return dialect in ("postgresql", "sqlite")


def among_few(name: str) -> Among:
    """Among those in the list *name*, each a parameter."""
    asked: BindParameter[Any] = bindparam(name, expanding=True)
    return lambda numbers: numbers.in_(asked)


def among_many(name: str, dialect: str) -> Among:
    """Among those in the list *name*, which is one parameter if it can be; see `numbers_listed`."""
    if dialect == "postgresql":
        numbers: Any = func.any_(cast(bindparam(name), ARRAY(BigInteger)))
        return lambda column: column == numbers
    if dialect == "sqlite":
        each = select(func.json_each(bindparam(name)).table_valued("value").c.value)
        return lambda column: column.in_(each)
    return among_few(name)


def few(name: str, where: Where) -> Finder:
    """Looks for the ids in the list *name* in all that the list ``accounts`` or ``wallets`` names."""
    asked: BindParameter[Any] = bindparam(name, expanding=True)
    accounts: BindParameter[Any] = bindparam("accounts", expanding=True)
    wallets: BindParameter[Any] = bindparam("wallets", expanding=True)

    def find(make: Maker, table: Table, ids: str) -> Any:
        if where is Where.WALLET:
            return make(table, table).where(table.c[ids].in_(asked), table.c.wallet_id.in_(wallets))
        theirs = wallet.join(table, table.c.wallet_id == wallet.c.wallet_id)
        return make(table, theirs).where(table.c[ids].in_(asked), wallet.c.account.in_(accounts))

    return find


def many(name: str, where: Where, dialect: str) -> Finder:
    """Looks for what `listed` says under *name*."""
    kind = _NAMES[dialect] if where is Where.ACCOUNT else "BIGINT"
    source = text(_SOURCES[dialect].format(name=name, kind=kind))
    asked = source.columns(column("place"), column("id")).subquery(name)

    def find(make: Maker, table: Table, ids: str) -> Any:
        theirs: FromClause = asked
        place: ColumnElement[Any] = asked.c.place
        if where is Where.ACCOUNT:
            theirs, place = asked.join(wallet, wallet.c.account == asked.c.place), wallet.c.wallet_id
        its_own = (table.c.wallet_id == place) & (table.c[ids] == asked.c.id)
        if dialect == "postgresql":
            fenced = select(table).where(its_own).offset(literal_column("0")).lateral(table.name)
            return make(fenced, theirs.join(fenced, true()))
        query = make(table, theirs.join(table, its_own))
        return query if dialect == "sqlite" else query.prefix_with("STRAIGHT_JOIN")

    return find


def numbers_listed(dialect: str, numbers: list[int]) -> Any:
    """The parameter of `among_many`."""
    return json.dumps(numbers) if dialect == "sqlite" else numbers


def listed(name: str, dialect: str, asked: Collection[Asked]) -> dict[str, Any]:
    """The parameters of `many`."""
    places, ids = [each.where for each in asked], [id_row(each.id) for each in asked]
    if dialect == "postgresql":
        return {f"{name}_places": places, f"{name}_ids": ids}
    return {name: json.dumps(list(zip(places, ids, strict=True)))}
