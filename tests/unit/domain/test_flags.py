"""Flags: on for a share of accounts, always the same ones."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptmeter.domain.flags import Flag, place
from ptmeter.errors import ConfigurationError

ACCOUNTS = [f"user-{number}" for number in range(10_000)]


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.text(min_size=1, max_size=20))
def test_raising_the_share_only_adds_accounts(low: int, high: int, account: str) -> None:
    """Whoever has a feature keeps it when its share is raised."""
    low, high = sorted((low, high))

    assert Flag(name="f", share=high).is_on(account) >= Flag(name="f", share=low).is_on(account)


@given(st.text(min_size=1, max_size=20))
def test_nobody_and_everybody(account: str) -> None:
    """At 0 % a flag is on for nobody, at 100 % for everybody."""
    assert (False, True) == tuple(Flag(name="f", share=share).is_on(account) for share in (0, 10_000))


@pytest.mark.parametrize("share", [500, 2_500, 7_000])
def test_the_share_is_about_as_stated(share: int) -> None:
    """Of ten thousand accounts as many are let in as the share says, give or take two in a hundred."""
    on = sum(Flag(name="new_editor", share=share).is_on(account) for account in ACCOUNTS)

    assert abs(on - share) < 200


def test_every_flag_has_a_queue_of_its_own() -> None:
    """Two flags at 20 % are both on for about 4 %, not for the same 20 %."""
    first, second = Flag(name="first", share=2_000), Flag(name="second", share=2_000)
    both = sum(first.is_on(account) and second.is_on(account) for account in ACCOUNTS)

    assert 250 < both < 550


def test_who_is_named_is_let_in_or_kept_out() -> None:
    """Those allowed are let in at 0 %, those denied kept out at 100 % and though they are allowed."""
    assert Flag(name="f", share=0, allow=frozenset({"acme"})).is_on("acme")
    assert not Flag(name="f", share=10_000, deny=frozenset({"acme"})).is_on("acme")
    assert not Flag(name="f", share=0, allow=frozenset({"acme"}), deny=frozenset({"acme"})).is_on("acme")


def test_another_process_says_the_same() -> None:
    """The place in the queue does not depend on the process, as Python's own hash of a text does."""
    script = "from ptmeter.domain.flags import place; print(place('new_editor', 'acme'))"
    said = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=None
    ).stdout

    assert f"{place('new_editor', 'acme')}\n" == said
    assert 1_000 < len({place("new_editor", account) for account in ACCOUNTS})


def test_a_share_is_at_most_all() -> None:
    """A flag cannot be on for more accounts than there are."""
    with pytest.raises(ConfigurationError, match=r"not for 100\.01 %"):
        Flag(name="f", share=10_001)
