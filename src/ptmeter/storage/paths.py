"""
Which accounts are above which: remembered, so that a hold need not ask for it.

It may be out of date, and that does no harm: whoever goes by it locks what it names and then sees by the rows
themselves whether that was right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import bindparam, select

from ..domain.accounts import DEEPEST
from .tables import account

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sqlalchemy import Connection

MOST: Final = 100_000
"""So many accounts are remembered at most."""

_ABOVE: Final = select(account.c.account, account.c.parent, account.c.pooled).where(
    account.c.account.in_(bindparam("names", expanding=True))
)


class _Place(NamedTuple):
    """What an account is below, and whether it uses the PT of that."""

    parent: str | None
    pooled: bool


_NOWHERE: Final = _Place(None, pooled=False)


class Paths:
    """The tree as far as this process has seen it."""

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}

    def above(self, connection: Connection, names: Iterable[str]) -> set[str]:
        """These accounts and all above them, as far as is known or can be looked up."""
        found: set[str] = set()
        asked = set(names)
        while asked:
            if unknown := asked - self._places.keys():
                self._look_up(connection, unknown)
            found |= asked
            parents = {self._places.get(name, _NOWHERE).parent for name in asked}
            asked = {parent for parent in parents if parent} - found
        return found

    def payer(self, connection: Connection, name: str) -> str:
        """Whose PT an account uses: its own, or those of the first above it that has its own."""
        for _ in range(DEEPEST):
            if name not in self._places:
                self._look_up(connection, {name})
            place = self._places.get(name, _NOWHERE)
            if not place.pooled or place.parent is None:
                break
            name = place.parent
        return name

    def forget(self, names: Iterable[str]) -> None:
        """Look these accounts up again when they are asked for next."""
        for name in names:
            self._places.pop(name, None)

    def _look_up(self, connection: Connection, names: set[str]) -> None:
        if len(self._places) >= MOST:
            self._places.clear()
        rows: Any = connection.execute(_ABOVE, {"names": sorted(names)})
        for row in rows:
            self._places[row.account] = _Place(row.parent, bool(row.pooled))
