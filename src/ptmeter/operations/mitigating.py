"""Mitigations: apply one, undo it, and see which hold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..domain.checks import check_moments
from ..domain.instants import microseconds
from ..domain.keys import fingerprint, is_id
from ..domain.mitigations import Mitigation, scope, undone
from ..errors import (
    AccountNotFoundError,
    IdempotencyConflictError,
    InvalidArgumentError,
    MitigationNotFoundError,
)

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from ..errors import PtmeterError
    from ..ports import Books


def apply(
    books: Books,
    *,
    unit: str,
    share: int,
    account: str | None,
    plan: str | None,
    starts_at: datetime | None,
    lasts: timedelta,
    by: str,
    reason: str,
    key: str,
) -> Mitigation | PtmeterError:
    """Have at most a share of a unit used for a while, by an account and all below it, on a plan, or by everybody."""
    check_moments(starts_at)
    if account is not None and not books.accounts.exists(account):
        return AccountNotFoundError(account)
    begins = books.ledger.now() if starts_at is None else starts_at
    try:
        ends = begins + lasts
    except OverflowError:
        msg = f"a mitigation has an end, and {lasts} is none"
        raise InvalidArgumentError(msg) from None
    new = Mitigation(
        key=key,
        unit=unit,
        share=share,
        scope=scope(account, plan),
        starts_at=begins,
        ends_at=ends,
        by=by,
        reason=reason,
    )
    since = "" if starts_at is None else microseconds(starts_at)
    asked = fingerprint(new.scope, "mitigation", key, unit, share, since, lasts, by, reason)
    if books.mitigations.add(new, asked):
        return new
    found = books.mitigations.find(new.id)
    if found is None or books.mitigations.asked(new.id) != asked:
        return IdempotencyConflictError(new.scope or "platform", key)
    return replace(found, replayed=True)


def undo(books: Books, name: str, *, by: str, reason: str) -> Mitigation | PtmeterError:
    """Have a mitigation be over from now on, and note who did it and why."""
    found = books.mitigations.lock(name) if is_id(name) else None
    if found is None:
        return MitigationNotFoundError(name)
    after = undone(found, by=by, reason=reason, at=books.ledger.now())
    if not after.replayed:
        books.mitigations.undo(after)
    return after


def listed(
    books: Books, *, active: bool, before: str | None, limit: int
) -> tuple[Mitigation, ...] | PtmeterError:
    """
    Mitigations, the last to begin first, beginning behind the one of id *before*: all, or those that hold now.

    Raises:
        InvalidArgumentError: *limit* is not positive.
    """
    if limit < 1:
        msg = f"ask for at least one mitigation, not {limit}"
        raise InvalidArgumentError(msg)
    behind = None
    if before is not None:
        last = books.mitigations.find(before) if is_id(before) else None
        if last is None:
            return MitigationNotFoundError(before)
        behind = last.starts_at, last.id
    at = books.ledger.now() if active else None
    return tuple(books.mitigations.listed(at=at, before=behind, limit=limit))
