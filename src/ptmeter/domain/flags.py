"""
Flags: a feature that is let out to some accounts first.

Whether a flag is on for an account follows from their names alone. It is the same on every server and
after every restart, and raising the share only ever adds accounts.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigurationError
from .keys import digest
from .rates import WHOLE


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """
    The feature *name* is on for a share of all accounts, in ten-thousandths.

    It is on besides for those in ``allow`` and, before all else, off for those in ``deny``.
    """

    name: str
    share: int
    allow: frozenset[str] = frozenset()
    deny: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not 0 <= self.share <= WHOLE:
            msg = f"the flag {self.name!r} is on for 0 to 100 % of all accounts, not for {self.share / 100:g} %"
            raise ConfigurationError(msg)

    def is_on(self, account: str) -> bool:
        """Whether the flag is on for *account*."""
        if account in self.deny:
            return False
        return account in self.allow or place(self.name, account) < self.share


def place(flag: str, account: str) -> int:
    """
    The place of an account in the queue for a flag, from 0 to 9,999; the first are let in first.

    Every flag has a queue of its own, so that it is not always the same accounts that try what is new.
    """
    return int.from_bytes(digest(("flag", flag, account)), "big") % WHOLE
