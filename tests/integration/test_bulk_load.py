"""What the benchmarks load in bulk is a ledger like any other."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from bench.ledger.load import build
from bench.ledger.ours import account
from bench.ledger.year import BEGIN, DAYS
from tests.integration.wiring import servers

from ptmeter import PT, Meter

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.backends import Backend

ROWS, ACCOUNTS = 1_000, 3


@pytest.mark.parametrize("name", servers("sqlite", "postgres"))
def test_a_year_in_bulk_is_clean_and_goes_on(name: str, backend_of: Callable[[str], Backend]) -> None:
    """It verifies, has as many rows as were asked for, and takes the next hold."""
    url = backend_of(name).empty()

    build(url, count=ROWS, accounts=ACCOUNTS, processes=1)

    with Meter.open(url) as meter:
        whole = {"since": BEGIN, "until": BEGIN + timedelta(days=DAYS + 1), "limit": ROWS}
        lines = [len(meter.statement(account(number), **whole).entries) for number in range(ACCOUNTS)]
        held = meter.hold(account(0), core=1, key="next")
        report = meter.verify()
    assert ROWS == sum(lines)
    assert {"core": PT.of(1)} == held.amounts
    assert report.clean, report.findings
