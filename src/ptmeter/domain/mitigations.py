"""
Mitigations: what is done for a while when margins are too thin, as data with an end, an author and an undo.

There is one kind: for so long, only a share of a cycle's PT may be of a unit. A share of nothing closes the unit:
"core models only" is a mitigation of ``advanced`` with a share of 0. It moves nobody's PT and changes no plan;
the router goes by it, and when it is over nothing has to be put back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..errors import InvalidArgumentError
from .checks import check_moments
from .rates import WHOLE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from .accounts import Path

PLATFORM: Final = ""
"""The scope of a mitigation that holds for everybody."""

_PLAN: Final = "plan:"
_ACCOUNT: Final = "account:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mitigation:
    """
    For a while, at most *share* ten-thousandths of a cycle's PT may be of *unit*.

    ``scope`` is empty for the whole platform, or ``plan:pro``, or ``account:acme`` for an account and all below it.
    """

    key: str
    unit: str
    share: int
    scope: str
    starts_at: datetime
    ends_at: datetime
    by: str
    reason: str
    undone_at: datetime | None = None
    undone_by: str = ""
    undone_because: str = ""

    def __post_init__(self) -> None:
        check_moments(self.starts_at, self.ends_at)
        if not 0 <= self.share <= WHOLE:
            msg = (
                f"a mitigation leaves a share of a cycle's PT, from 0 to 100 %, not {self.share / 100:g} %"
            )
            raise InvalidArgumentError(msg)
        if self.ends_at <= self.starts_at:
            msg = f"a mitigation ends after it begins, not at {self.ends_at} when it begins at {self.starts_at}"
            raise InvalidArgumentError(msg)
        if self.scope and not self.scope.startswith((_PLAN, _ACCOUNT)):
            msg = f"a mitigation holds for '' (everybody), 'plan:…' or 'account:…', not {self.scope!r}"
            raise InvalidArgumentError(msg)
        if not self.by or not self.reason:
            msg = "a mitigation says who applied it and why"
            raise InvalidArgumentError(msg)

    def is_active(self, at: datetime) -> bool:
        """Whether it holds at that time."""
        return self.starts_at <= at < self.ends_at and (self.undone_at is None or at < self.undone_at)

    def covers(self, path: Path, plan: str | None) -> bool:
        """Whether it holds for the first account on *path*, which is on *plan*."""
        if self.scope == PLATFORM:
            return True
        kind, _, name = self.scope.partition(":")
        return name == plan if kind == "plan" else any(account.name == name for account in path)


def strictest(
    mitigations: Iterable[Mitigation], path: Path, plan: str | None, unit: str, at: datetime
) -> Mitigation | None:
    """What leaves least of *unit* to the first account on *path* at that time; of several the one that ends last."""
    holding = [m for m in mitigations if m.unit == unit and m.is_active(at) and m.covers(path, plan)]
    return min(holding, key=lambda m: (m.share, -m.ends_at.timestamp()), default=None)
