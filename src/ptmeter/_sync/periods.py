# Generated from src/ptmeter/_async/periods.py by scripts/unasync.py: edit that file, then run `make format`.
"""Accounting periods: close, reopen, and what a closed one comes to."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..asking import typed
from ..domain.periods import PeriodState
from ..operations import closing

if TYPE_CHECKING:
    from ..domain.accounting import RollForward, TrialBalance
    from ..domain.periods import PeriodReport
    from .platform import Platform


@typed
class Periods:
    """
    Accounting periods: ``meter.periods``.

    A period is a calendar month in UTC, named as in ``2026-08``. A row belongs to the month it was booked in.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def close(self, period: str, *, by: str) -> PeriodReport:
        """
        Close a month: record where every wallet stood at its end, then seal it.

        Nobody waits for it: wallets are recorded a page at a time, each in a short transaction. Run again, it
        goes on where it stopped, and a sealed month stays as it is, so it needs no key. Do not run it inside
        a transaction of yours, which would keep every wallet locked.

        Args:
            period: The month, such as ``2026-08``.
            by: Who closes it, for the record.

        Raises:
            PeriodNotOverError: The month has not ended by the database's clock.
            PeriodOrderError: Another month is to be closed first.
            InvariantError: The journal of a wallet does not hold together; see `Meter.verify`.
        """
        here = self._platform
        standing = here.run(partial(closing.begin, name=period, by=by))
        while standing.state is not PeriodState.SEALED:
            after: int | None = None
            while drafts := here.survey(partial(closing.draft, standing=standing, after=after)):
                here.run(partial(closing.record, standing=standing, drafts=drafts))
                after = drafts[-1].wallet.number
            measured = here.survey(partial(closing.measure, standing=standing))
            standing = here.run(partial(closing.seal, standing=standing, measured=measured, by=by))
        return standing

    def reopen(self, period: str, *, reason: str, by: str, approved_by: str) -> PeriodReport:
        """
        Withdraw the seal of the last sealed month, which takes two persons and a reason.

        Nothing can be booked into it, by this either: booking times only grow. What it is for is closing the
        month anew, after its journal was found wrong and put right; the old seal stays on record.

        Raises:
            ApprovalMissingError: *by* and *approved_by* are the same person.
            PeriodNotSealedError: The month is not sealed.
            PeriodOrderError: A later month is to be reopened first.
        """
        withdraw = partial(closing.reopen, name=period, reason=reason, by=by, approved_by=approved_by)
        return self._platform.run(withdraw)

    def show(self, period: str) -> PeriodReport:
        """How a month stands: open, closing, sealed or reopened, and how it came to."""
        return self._platform.read(partial(closing.show, name=period))

    def list(self) -> tuple[PeriodReport, ...]:
        """How all months stand whose close was ever begun, in order."""
        return self._platform.read(closing.every)

    def trial_balance(self, period: str) -> TrialBalance:
        """
        Every side of every unit when a sealed month began and when it ended; they sum to zero.

        Raises:
            PeriodNotSealedError: The month is not sealed.
        """
        return self._platform.survey(partial(closing.trial_balance, name=period))

    def roll_forward(self, period: str) -> RollForward:
        """
        From what there was before a sealed month to what there is at its end, by unit and age of the lots.

        Raises:
            PeriodNotSealedError: The month is not sealed.
        """
        return self._platform.survey(partial(closing.roll_forward, name=period))
