"""Who is billed and who asks: accounts, their tree and their tallies, inside one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..domain.accounts import Account, Path


class Accounts(Protocol):
    """Who is billed, and on which plan."""

    def exists(self, name: str) -> bool:
        """Whether the account has ever been given anything."""
        ...

    def plan_of(self, name: str) -> str | None:
        """The name of the account's plan, if it has one."""
        ...

    def set_plan(self, name: str, plan: str | None) -> None:
        """Put the account on a plan or on none, opening it if need be."""
        ...

    def open(self, name: str) -> None:
        """Have the account, so that there is one to lock: whoever else opens it now waits for this transaction."""
        ...

    def payer(self, name: str) -> str:
        """Whose PT the account uses, as far as is known: the ledger sees under its lock whether it is so."""
        ...

    def former_payers(self, name: str) -> tuple[str, ...]:
        """Whose PT the account used before it was put elsewhere, as far as is known; that is seen under the lock too."""
        ...

    def forget(self, name: str) -> None:
        """Look up anew what is above the account when that is asked for next."""
        ...

    def find(self, names: Iterable[str]) -> dict[str, Account]:
        """The accounts of these names, as far as there are any, with their tallies."""
        ...

    def path(self, name: str) -> Path:
        """The account and all above it, as they are now."""
        ...

    def lock(self, names: Iterable[str]) -> dict[str, Account]:
        """Lock these accounts, in one order for everybody, and read them."""
        ...

    def below(self, name: str, *, after: str = "", limit: int = 1_000) -> list[Account]:
        """The accounts right below one, by name, beginning after *after*."""
        ...

    def levels_below(self, name: str) -> int:
        """How many levels of accounts there are below one: none if nobody is below it."""
        ...

    def tallied(self, *, after: str = "", limit: int = 1_000) -> list[Account]:
        """The accounts that have a tally, or had one to take elsewhere below them, by name, beginning after *after*."""
        ...

    def save(self, changed: Account) -> None:
        """Write all of an account: of one that is there it was locked before."""
        ...

    def topping_up(self, *, after: str = "", limit: int = 1_000) -> list[Account]:
        """The accounts that top themselves up, by name, beginning after *after*."""
        ...

    def names(self, *, after: str = "", limit: int = 1_000) -> list[str]:
        """Account names in order, beginning after *after*."""
        ...

    def missing(self, limit: int) -> list[str]:
        """Names of accounts that have wallets and do not exist."""
        ...
