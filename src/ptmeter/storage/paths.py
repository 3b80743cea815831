"""
Which accounts are above which: remembered, so that a hold need not ask for it.

It may be out of date, and that does no harm: whoever goes by it locks what it names and then sees by the rows
themselves whether that was right.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, select

from ..domain.accounts import Account, former_payers, path, payer
from ..errors import InvariantError
from .account_rows import names_from
from .tables import account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sqlalchemy import Connection

    from ..domain.accounts import Path

MOST: Final = 100_000
"""So many accounts are remembered at most."""

_ABOVE: Final = select(account.c.account, account.c.parent, account.c.pooled, account.c.former).where(
    account.c.account.in_(bindparam("names", expanding=True))
)


_NONE: Final[Mapping[str, Account]] = MappingProxyType({})


class Paths:
    """The tree as far as this process has seen it."""

    def __init__(self) -> None:
        self._places: dict[str, Account] = {}
        """Of each no more than where it is, and whose PT it used."""

    def above(self, connection: Connection, names: Iterable[str]) -> set[str]:
        """These accounts and all above them, as far as is known or can be looked up."""
        found: set[str] = set()
        asked = set(names)
        while asked:
            if unknown := asked - self._places.keys():
                self._look_up(connection, unknown)
            found |= asked
            places = [self._places[name] for name in asked if name in self._places]
            asked = {place.parent for place in places if place.parent} - found
        return found

    def read(
        self,
        connection: Connection,
        names: Iterable[str],
        read: Callable[[set[str]], Mapping[str, Account]],
        already: Mapping[str, Account] = _NONE,
    ) -> dict[str, Account]:
        """
        These accounts and all above them, as *read* finds them: in one go, as far as what is remembered is so.

        Those that were read *already* are not read again. Where the rows say that somebody was put elsewhere, what
        is above is read besides, and remembered anew.
        """
        found, asked = dict(already), set(already)
        missing = self.above(connection, names) - asked
        while True:
            if missing:
                asked |= missing
                found |= read(missing)
            missing = {account.parent for account in found.values() if account.parent} - asked
            if not missing:
                return found
            self.forget(asked)

    def payer(self, connection: Connection, name: str) -> str:
        """Whose PT an account uses: its own, or those of the first above it that has its own."""
        return payer(self._path(connection, name))

    def former_payers(self, connection: Connection, name: str) -> tuple[str, ...]:
        """Whose PT an account used before it, or one above it, was put elsewhere."""
        return former_payers(self._path(connection, name))

    def forget(self, names: Iterable[str]) -> None:
        """Look these accounts up again when they are asked for next."""
        for name in names:
            self._places.pop(name, None)

    def _path(self, connection: Connection, name: str) -> Path:
        """An account and all above it, as far as is remembered of them."""
        found = self.above(connection, {name})
        try:
            return path(name, self._places)
        except InvariantError:  # remembered at different times, places may lead round in a circle
            self.forget(found)
            self.above(connection, {name})
            return path(name, self._places)

    def _look_up(self, connection: Connection, names: set[str]) -> None:
        if len(self._places) >= MOST:
            self._places.clear()
        rows: Any = connection.execute(_ABOVE, {"names": sorted(names)})
        for row in rows:
            self._places[row.account] = Account(
                name=row.account,
                parent=row.parent,
                pooled=bool(row.pooled),
                former=names_from(row.former),
            )
