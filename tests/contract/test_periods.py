"""The contract of closing, on every database, through every driver, in both colours."""

from __future__ import annotations

from ptmeter.testing import PeriodContract


class TestPeriods(PeriodContract):
    """See `ptmeter.testing.PeriodContract`; the fixtures are in conftest.py."""
