"""Mitigations that follow from margins: what they call for, applied once for a window and never twice at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from ..domain.keys import fingerprint
from ..domain.margin_mitigations import Mitigated, called_for, stands_in
from ..domain.margins import Grouping, day_number
from . import earning

if TYPE_CHECKING:
    from datetime import date

    from ..domain.margin_mitigations import MitigationTerms
    from ..domain.margins import MarginGoals
    from ..ports import Books


def from_margins(
    books: Books,
    *,
    since: date | None,
    until: date | None,
    apply: bool,
    terms: MitigationTerms,
    goals: MarginGoals,
) -> Mitigated:
    """
    What the margins of the days in [since, until) call for, and apply it if *apply* is true.

    Raises:
        InvalidArgumentError: A day is no date, or none is left between the two.
    """
    for day in (since, until):
        if day is not None:
            day_number(day)
    if apply:
        books.mitigations.lock_margins()
    at = books.ledger.now()
    until = until or at.astimezone(UTC).date() + timedelta(days=1)
    since = since or until - timedelta(days=terms.days)
    reports = [
        earning.report(books, by=by, since=since, until=until, goals=goals)
        for by in (Grouping.PLATFORM, *(each for each in terms.by if each is not Grouping.PLATFORM))
    ]
    calls = sum(total.calls for total in reports[0].totals)
    wanted = reports if Grouping.PLATFORM in terms.by else reports[1:]
    found = called_for(wanted, terms, since=since, until=until, at=at)
    done = Mitigated(since=since, until=until, calls=calls, called_for=tuple(found))
    if not found:
        return done
    holding = books.mitigations.holding([each.scope for each in found], at)
    for new in found:
        there = books.mitigations.find(new.id) or stands_in(holding, new)
        if there is not None:
            done = replace(done, standing=(*done.standing, there))
        elif apply:
            books.mitigations.add(new, fingerprint(new.scope, "mitigation", new.key))
            done = replace(done, applied=(*done.applied, new))
    return done
