"""What settled calls taught, kept for all processes: added to what is there, and recalled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..domain.calibration import Calibration

if TYPE_CHECKING:
    from ..ports import Books


def keep(books: Books, fresh: Calibration) -> Calibration:
    """Add what one process has learnt to what is kept of the same models and routes; returns all of that."""
    kept = Calibration(books.calibration.lock(sorted(fresh.habits)))

    kept.merge(fresh)

    books.calibration.write(kept.habits)
    return kept


def recall(books: Books) -> Calibration:
    """All that is kept."""
    return Calibration(books.calibration.read())
