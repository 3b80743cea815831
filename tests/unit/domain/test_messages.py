"""How often and how soon a message is tried again, and which handler has it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptmeter import Backoff, ConfigurationError
from ptmeter.domain.messages import route

AT = datetime(2026, 1, 1, tzinfo=UTC)


@given(st.integers(1, 60), st.floats(0, 1))
def test_a_pause_is_bounded_and_never_shrinks(attempts: int, jitter: float) -> None:
    """It lies between half of the undisturbed pause and all of it, which doubles up to the longest."""
    backoff = Backoff(attempts=100)
    whole = backoff.next_attempt(attempts, AT, 0)
    longer = backoff.next_attempt(attempts + 1, AT, 0)
    some = backoff.next_attempt(attempts, AT, jitter)

    assert whole is not None
    assert longer is not None
    assert some is not None
    assert AT < AT + (whole - AT) / 2 <= some <= whole <= longer <= AT + backoff.longest


def test_pauses_double() -> None:
    """Half a minute, a minute, two, four; in the end six hours each."""
    backoff = Backoff(attempts=20)
    pauses = [(backoff.next_attempt(n, AT, 0) or AT) - AT for n in (1, 2, 3, 4, 15)]

    assert [timedelta(seconds=s) for s in (30, 60, 120, 240, 6 * 3_600)] == pauses


def test_the_last_attempt_is_the_last() -> None:
    """After so many attempts there is no next one."""
    assert Backoff(attempts=3).next_attempt(2, AT, 0) is not None
    assert Backoff(attempts=3).next_attempt(3, AT, 0) is None


@pytest.mark.parametrize(
    "wrong",
    [{"attempts": 0}, {"first": timedelta(0)}, {"longest": timedelta(-1)}, {"lease": timedelta(0)}],
)
def test_a_backoff_has_attempts_and_time(wrong: dict[str, int]) -> None:
    """None, or no time between them, is refused."""
    with pytest.raises(ConfigurationError, match="at least once"):
        Backoff(**wrong)


def test_the_longest_prefix_has_the_message() -> None:
    """A handler for one topic comes before that for many, and what fits none has none."""
    prefixes = {"alert.": 1, "alert.low_balance": 2, "top_up.": 3}

    assert "alert.low_balance" == route("alert.low_balance", prefixes)
    assert "alert." == route("alert.expiring", prefixes)
    assert None is route("invoice.sent", prefixes)
    assert "" == route("invoice.sent", {**prefixes, "": 4})
