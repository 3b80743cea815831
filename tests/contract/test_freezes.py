"""The contract of freezing and taking back, on every database, through every driver, in both colours."""

from __future__ import annotations

from ptmeter.testing import FreezeContract


class TestFreezes(FreezeContract):
    """See `ptmeter.testing.FreezeContract`; the fixtures are in conftest.py."""
