"""
Accounts form a tree: who asks, whose PT that takes, and whose limits it falls under.

A member of a team uses the team's PT and counts in the tallies of the member, the team and whatever the team
belongs to. The path of an account leads from it up to the root; who pays is the first on it that has PT of
its own.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from ..errors import InvariantError
from .limits import NO_LIMITS, Limits
from .tallies import NOTHING, Calendar, Tally
from .windows import Every, Window, window

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from .top_up_terms import TopUpTerms

DEEPEST: Final = 32
"""So many accounts above one another at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """
    Who is billed or asks in somebody's name: a user, a team, an organisation, a reseller, a visitor.

    A *pooled* account uses its parent's PT. ``anchor`` and ``zone`` say where its windows begin; who has none
    goes by those of the account above. ``placed_at`` is when it, or what is below it, was last put elsewhere in
    the tree with something in its tally, and ``former`` whose PT it used before that, by name. ``terms`` are limits of its own, beside those of its plan; with
    ``overflow`` it has agreed to be charged a multiple beyond a hard cap; ``top_ups`` are how it tops up, by unit.
    """

    name: str
    parent: str | None = None
    pooled: bool = False
    plan: str | None = None
    anchor: datetime | None = None
    zone: str | None = None
    placed_at: datetime | None = None
    former: tuple[str, ...] = ()
    overflow: bool = False
    terms: Limits = NO_LIMITS
    top_ups: Mapping[str, TopUpTerms] = field(default_factory=dict[str, "TopUpTerms"])
    tally: Tally = NOTHING


Path = tuple[Account, ...]
"""An account and all above it, from the bottom up."""


def path(name: str, accounts: Mapping[str, Account]) -> Path:
    """
    The account of that name and all above it; one that is not there is one of which nothing is known.

    Raises:
        InvariantError: They lead round in a circle.
    """
    found: list[Account] = []
    at: str | None = name
    while at is not None:
        if len(found) > DEEPEST:
            msg = f"account {name!r} has more than {DEEPEST} accounts above it, or is above itself"
            raise InvariantError(msg)
        account = accounts.get(at) or Account(name=at)
        found.append(account)
        at = account.parent
    return tuple(found)


def payer(path: Iterable[Account]) -> str:
    """Whose PT are used: the first that has its own."""
    account = None
    for account in path:
        if not account.pooled:
            break
    assert account is not None
    return account.name


def former_payers(path: Sequence[Account]) -> tuple[str, ...]:
    """Whose PT the first account on *path* may have used before it, or one above it, was put elsewhere."""
    now = payer(path)
    return tuple(dict.fromkeys(name for account in path for name in account.former if name != now))


def plan_of(path: Iterable[Account]) -> str | None:
    """The plan an account is on: its own, or that of the nearest above."""
    return next((account.plan for account in path if account.plan), None)


def month(path: Iterable[Account], at: datetime) -> Window:
    """The month of the first account on *path* that holds *at*: its billing cycle."""
    when = calendar(path)
    return window(at, every=Every.MONTH, anchor=when.anchor, zone=when.zone)


def calendar(path: Iterable[Account]) -> Calendar:
    """Where the windows of the first account on *path* begin: as it says, or the nearest above; else at midnight."""
    anchor, zone = None, None
    for account in path:
        anchor = anchor or account.anchor
        zone = zone or account.zone
    clock = ZoneInfo(zone) if zone else UTC
    return Calendar(anchor or datetime(1970, 1, 1, tzinfo=clock), clock)


def holds_calls(account: Account, at: datetime) -> bool:
    """Whether calls of the account, or of one below it, are under way."""
    return account.tally.holds(at)
