"""Reports of usage that is billed afterwards: what is said in sum is what was charged, whatever happens between."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ptmeter.domain.ledger import WalletId
from ptmeter.domain.metered_usage import by_day, report
from ptmeter.domain.rollups import Bucket, Figures

WALLET = WalletId("acme", "advanced")
AT = datetime(2026, 5, 1, 23, 30, tzinfo=UTC)
TODAY = 20_574


@given(st.lists(st.tuples(st.integers(-50, 100), st.booleans()), max_size=20))
def test_what_was_reported_is_what_was_charged(steps: list[tuple[int, bool]]) -> None:
    """Each report may be computed by two at once; the same id makes them one message."""
    kept: dict[str, Any] = {}
    charged = 0
    for more, twice in steps:
        charged += more
        for _ in range(1 + twice):
            if found := report(WALLET, TODAY, charged, kept.get):
                kept.setdefault(found.id, found.message("event", AT).facts)

        assert charged == sum(facts["amount"] for facts in kept.values())
        assert None is report(WALLET, TODAY, charged, kept.get)


def test_a_late_report_is_dated_within_its_day() -> None:
    """Stripe bills it in the period that it was used in."""
    found = report(WALLET, TODAY - 1, 5, {}.get)
    today = report(WALLET, TODAY, 5, {}.get)

    assert found
    assert today
    facts: Any = found.message("event", AT).facts
    now: Any = today.message("event", AT).facts
    assert datetime(2026, 4, 30, 23, 59, 59, tzinfo=UTC) == datetime.fromtimestamp(facts["timestamp"], UTC)
    assert AT == datetime.fromtimestamp(now["timestamp"], UTC)


def test_days_before_the_first_are_left_out() -> None:
    """And of a day all models, plans and currencies are one."""
    buckets = {
        Bucket(WALLET, day, model, "pro", "USD"): Figures(1, 5, 0, 0, 0)
        for day in (1, 2, 3)
        for model in ("a", "b")
    }

    assert {2: 10, 3: 10} == by_day(buckets, 2)
