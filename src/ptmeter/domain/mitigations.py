"""
Mitigations: what is done for a while when margins are too thin, as data with an end, an author and an undo.

There is one kind: for so long, only a share of a cycle's PT may be of a unit. A share of nothing closes the unit:
"core models only" is a mitigation of ``advanced`` with a share of 0. It moves nobody's PT and changes no plan;
the router goes by it, and when it is over nothing has to be put back.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from ..errors import InvalidArgumentError, MitigationOverError
from .checks import LONGEST_NAME, check_moments, check_note
from .keys import transfer_id
from .rates import WHOLE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from .accounts import Path

PLATFORM: Final = ""
"""The scope of a mitigation that holds for everybody."""

_PLAN: Final = "plan:"
_ACCOUNT: Final = "account:"

LONGEST_SCOPE: Final = LONGEST_NAME + len(_ACCOUNT)
"""Characters of a scope at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mitigation:
    """
    For a while, at most *share* ten-thousandths of a cycle's PT may be of *unit*.

    ``scope`` is empty for the whole platform, or ``plan:pro``, or ``account:acme`` for an account and all below it.
    ``replayed`` is true of the answer to a request that was made before.
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
    replayed: bool = field(default=False, compare=False)

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
        check_authored(self.by, self.reason)

    @property
    def id(self) -> str:
        """Its id, by which it is undone: sixteen hex digits that follow from its scope and key."""
        return mitigation_id(self.scope, self.key).hex()

    def is_active(self, at: datetime) -> bool:
        """Whether it holds at that time."""
        return self.starts_at <= at < self.ends_at and (self.undone_at is None or at < self.undone_at)

    def covers(self, path: Path, plan: str | None) -> bool:
        """Whether it holds for the first account on *path*, which is on *plan*."""
        return self.scope in scopes_over(path, plan)


def check_authored(by: str, reason: str) -> None:
    """
    Make sure that it is said who does something, and why.

    Raises:
        InvalidArgumentError: One of them is empty, or cannot be written down.
    """
    if not by.strip() or not reason.strip() or len(by) > LONGEST_NAME:
        msg = (
            f"say who does it, in at most {LONGEST_NAME} characters, and why: by={by!r}, reason={reason!r}"
        )
        raise InvalidArgumentError(msg)
    check_note(by)
    check_note(reason)


def scope(account: str | None, plan: str | None) -> str:
    """
    For whom a mitigation holds: an account and all below it, a plan, or everybody.

    Raises:
        InvalidArgumentError: It is to hold for both.
    """
    if account is not None and plan is not None:
        msg = "a mitigation holds for an account or for a plan: apply two"
        raise InvalidArgumentError(msg)
    if account is not None:
        return f"{_ACCOUNT}{account}"
    return PLATFORM if plan is None else f"{_PLAN}{plan}"


def scopes_over(path: Path, plan: str | None) -> list[str]:
    """Every scope that the first account on *path* is in, which is on *plan*."""
    above = [scope(account.name, None) for account in path]
    return [PLATFORM, *above] if plan is None else [PLATFORM, scope(None, plan), *above]


def mitigation_id(scope: str, key: str) -> bytes:
    """The id under which a mitigation is kept; see `transfer_id`."""
    return transfer_id(scope, "mitigation", key)


def strictest(
    mitigations: Iterable[Mitigation], path: Path, plan: str | None, unit: str, at: datetime
) -> Mitigation | None:
    """What leaves least of *unit* to the first account on *path* at that time; of several the one that ends last."""
    holding = [m for m in mitigations if m.unit == unit and m.is_active(at) and m.covers(path, plan)]
    return min(holding, key=lambda m: (m.share, -m.ends_at.timestamp()), default=None)


def undone(found: Mitigation, *, by: str, reason: str, at: datetime) -> Mitigation:
    """
    The mitigation, over from *at* on; undone before by the same and for the same reason, it stays as it is.

    Raises:
        InvalidArgumentError: It is not said who undoes it, or why.
        MitigationOverError: It was undone otherwise, or has ended.
    """
    check_authored(by, reason)
    if found.undone_at is not None:
        if (found.undone_by, found.undone_because) == (by, reason):
            return replace(found, replayed=True)
        raise MitigationOverError(found.id, f"was undone by {found.undone_by!r} already")
    if found.ends_at <= at:
        raise MitigationOverError(found.id, f"ended at {found.ends_at:%Y-%m-%d %H:%M:%S} UTC")
    return replace(found, undone_at=at, undone_by=by, undone_because=reason)
