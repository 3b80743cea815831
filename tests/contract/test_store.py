"""The contract of a store, on every database, through every driver, in both colours."""

from __future__ import annotations

from ptmeter.testing import StoreContract


class TestStore(StoreContract):
    """See `ptmeter.testing.StoreContract`; the fixtures are in conftest.py."""
