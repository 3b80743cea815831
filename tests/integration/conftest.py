"""Fixtures of the integration tests: worker processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.integration.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator

PROCESSES = 4


@pytest.fixture(scope="session")
def fleet() -> Iterator[Fleet]:
    """Four worker processes, which end with the session."""
    workers = Fleet(PROCESSES)
    yield workers
    workers.stop()
