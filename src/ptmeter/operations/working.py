"""Jobs in line: put there once, taken by one worker at a time, and in line again for the next time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ..domain.jobs import LEASE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..domain.inbox import Waiting
    from ..domain.jobs import Job
    from ..ports import Books


def take(books: Books, jobs: Sequence[Job]) -> list[Waiting]:
    """Put these jobs in line if they are not, and take those that are due."""
    at = books.ledger.now()
    for job in jobs:
        books.inbox.put_in_line(job.subject, at)
    taken = books.inbox.lease(at=at, until=at + LEASE, limit=len(jobs), jobs=True)
    wanted = {job.subject for job in jobs}
    for other in (
        each for each in taken if each.subject not in wanted
    ):  # a job of another version, or no more
        books.inbox.save(replace(other, due_at=None))
    return [each for each in taken if each.subject in wanted]


def finish(books: Books, taken: Waiting, job: Job) -> None:
    """Have a job done again when its time comes, unless another has taken it meanwhile."""
    now = books.inbox.lock(taken.subject)
    if now is not None and now.lease == taken.lease:
        books.inbox.save(replace(now, due_at=books.ledger.now() + job.every, attempts=0))
