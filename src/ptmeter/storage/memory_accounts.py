"""Who is billed and who asks, in memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..domain.accounts import Account, former_payers, path, payer
from ..domain.tallies import NOTHING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..domain.accounts import Path


class MemoryAccounts:
    """Accounts inside one transaction on memory."""

    def __init__(self, accounts: dict[str, Account]) -> None:
        self._accounts = accounts

    def exists(self, name: str) -> bool:
        """See `ports.Accounts.exists`."""
        return name in self._accounts

    def plan_of(self, name: str) -> str | None:
        """See `ports.Accounts.plan_of`."""
        found = self._accounts.get(name)
        return found and found.plan

    def set_plan(self, name: str, plan: str | None) -> None:
        """See `ports.Accounts.set_plan`."""
        self._accounts[name] = replace(self._accounts.get(name) or Account(name=name), plan=plan)

    def open(self, name: str) -> None:
        """See `ports.Accounts.open`."""
        self._accounts.setdefault(name, Account(name=name))

    def payer(self, name: str) -> str:
        """See `ports.Accounts.payer`."""
        return payer(path(name, self._accounts))

    def former_payers(self, name: str) -> tuple[str, ...]:
        """See `ports.Accounts.former_payers`."""
        return former_payers(path(name, self._accounts))

    def forget(self, name: str) -> None:
        """See `ports.Accounts.forget`; nothing is remembered here."""

    def find(self, names: Iterable[str]) -> dict[str, Account]:
        """See `ports.Accounts.find`."""
        return {name: self._accounts[name] for name in names if name in self._accounts}

    def path(self, name: str) -> Path:
        """See `ports.Accounts.path`."""
        return path(name, self._accounts)

    def lock(self, names: Iterable[str]) -> dict[str, Account]:
        """See `ports.Accounts.lock`; the transaction holds the only lock there is."""
        return self.find(names)

    def below(self, name: str, *, after: str = "", limit: int = 1_000) -> list[Account]:
        """See `ports.Accounts.below`."""
        found = [a for a in self._accounts.values() if a.parent == name and a.name > after]
        return sorted(found, key=lambda account: account.name)[:limit]

    def levels_below(self, name: str) -> int:
        """See `ports.Accounts.levels_below`."""
        level, levels = {name}, -1
        while level:
            level = {account.name for account in self._accounts.values() if account.parent in level}
            levels += 1
        return levels

    def tallied(self, *, after: str = "", limit: int = 1_000) -> list[Account]:
        """See `ports.Accounts.tallied`."""
        counted = (a for a in self._accounts.values() if a.tally != NOTHING or a.placed_at)
        found = [account for account in counted if account.name > after]
        return sorted(found, key=lambda account: account.name)[:limit]

    def topping_up(self, *, after: str = "", limit: int = 1_000) -> list[Account]:
        """See `ports.Accounts.topping_up`."""
        found = [a for a in self._accounts.values() if a.top_ups and a.name > after]
        return sorted(found, key=lambda account: account.name)[:limit]

    def save(self, changed: Account) -> None:
        """See `ports.Accounts.save`."""
        self._accounts[changed.name] = changed

    def names(self, *, after: str = "", limit: int = 1_000) -> list[str]:
        """See `ports.Accounts.names`."""
        return sorted(name for name in self._accounts if name > after)[:limit]

    def missing(self, limit: int) -> list[str]:  # noqa: ARG002 - the port's own
        """See `ports.Accounts.missing`; a wallet is opened with its account here."""
        return []
