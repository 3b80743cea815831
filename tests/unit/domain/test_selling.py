"""What was paid for several units together: who has how much of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ptmeter.domain.selling import divide

UNITS = ("advanced", "core", "voice")
amounts = st.dictionaries(st.sampled_from(UNITS), st.integers(1, 10**12), min_size=1)
prices = st.dictionaries(st.sampled_from(UNITS), st.integers(0, 10**9))


def test_units_share_by_what_they_sell_at() -> None:
    """1,000 core PT at a cent and 50 advanced ones at 3.5 cents share 49 dollars as 10 to 1.75."""
    shares = divide(49 * 10**9, {"core": 1_000, "advanced": 50}, {"core": 10, "advanced": 35})

    assert {"core": 41_702_127_660, "advanced": 7_297_872_340} == shares


def test_what_sells_at_nothing_came_for_nothing() -> None:
    """Beside a unit that sells at something it has no share; among its like each PT counts the same."""
    assert {"core": 9, "voice": 0} == divide(9, {"core": 1, "voice": 8}, {"core": 1})
    assert {"core": 1, "voice": 8} == divide(9, {"core": 1, "voice": 8}, {})
    assert {} == divide(9, {}, {"core": 1})


@given(st.integers(0, 10**15), amounts, prices)
def test_nothing_of_it_is_lost(paid: int, of: dict[str, int], sells_at: dict[str, int]) -> None:
    """Whatever units sell at, the parts are none below zero and sum to what was paid."""
    shares = divide(paid, of, sells_at)

    assert (paid, set(of)) == (sum(shares.values()), set(shares))
    assert min(shares.values()) >= 0
