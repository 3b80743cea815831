"""A sketch says what so many values stay within: never less than that, and hardly more."""

from __future__ import annotations

import json
from fractions import Fraction
from math import ceil
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptmeter import InvalidArgumentError, Quantile
from ptmeter.domain.sketches import (
    DETAIL,
    LARGEST_VALUE,
    MEDIAN,
    SPAN,
    Sketch,
    Window,
    bucket_of,
    end_of,
)

values = st.integers(0, LARGEST_VALUE) | st.integers(0, 300)
quantiles = st.integers(500, 999).map(Quantile)


def sketch(seen: list[int]) -> Sketch:
    made = Sketch()
    for value in seen:
        made.add(value)
    return made


# --- buckets ---


@given(values)
def test_a_bucket_ends_less_than_a_32nd_above_its_values(value: int) -> None:
    """The error that is stated: none up to 63, and less than 1/32 of the value above."""
    end = end_of(bucket_of(value))

    assert value <= end
    assert (end - value) * DETAIL < max(value, 1)


@given(values)
def test_buckets_follow_each_other_without_a_gap(value: int) -> None:
    """The value after a bucket's last is in the next bucket."""
    bucket = bucket_of(value)

    assert bucket_of(end_of(bucket)) == bucket
    if end_of(bucket) < LARGEST_VALUE:
        assert bucket_of(end_of(bucket) + 1) == bucket + 1


def test_a_sketch_is_bounded() -> None:
    """However large the values, there are fewer than a thousand buckets."""
    assert bucket_of(10**30) == bucket_of(LARGEST_VALUE) < 1_000
    assert bucket_of(-5) == 0


# --- quantiles ---


@given(st.lists(values, min_size=1, max_size=60), quantiles)
def test_the_answer_is_the_exact_one_or_hardly_above_it(seen: list[int], quantile: Quantile) -> None:
    """Beside the same quantile of the sorted list: never below it, less than 1/32 above."""
    place = ceil(Fraction((len(seen) + 1) * quantile.permille, 1000))
    found = sketch(seen).within(quantile)

    if place > len(seen):
        assert found is None
    else:
        exact = sorted(seen)[place - 1]
        assert found is not None
        assert exact <= found
        assert (found - exact) * DETAIL < max(exact, 1)


@pytest.mark.parametrize("percent", ["50", "95", "99", "99.9"])
def test_an_answer_takes_as_many_values_as_are_said_to_be_needed(percent: str) -> None:
    """One less, and there is none."""
    quantile = Quantile.of(percent)
    seen = list(range(1, quantile.calls_needed + 1))

    assert sketch(seen).within(quantile) is not None
    assert sketch(seen[:-1]).within(quantile) is None


def test_the_next_value_stays_within_it_as_often_as_is_said() -> None:
    """A fair number of trials: 200 sketches of 150 values, each asked for 95 % and then tried on the next."""
    chance = Random(7)
    inside = 0
    for _ in range(2_000):
        seen = [int(chance.lognormvariate(5, 1.5)) for _ in range(60)]
        bound = sketch(seen).within(Quantile.of(95))
        assert bound is not None
        inside += int(chance.lognormvariate(5, 1.5)) <= bound

    assert 0.94 <= inside / 2_000 <= 0.975
    # The positive control: the plain sample quantile of so few values does not keep its promise.
    assert _share_within_the_plain_quantile() < 0.94


def _share_within_the_plain_quantile() -> float:
    chance = Random(7)
    inside = 0
    for _ in range(2_000):
        seen = sorted(int(chance.lognormvariate(5, 1.5)) for _ in range(20))
        inside += int(chance.lognormvariate(5, 1.5)) <= seen[int(0.95 * 20) - 1]
    return inside / 2_000


# --- merging ---


@given(st.lists(values, max_size=40), st.lists(values, max_size=40))
def test_merging_is_having_seen_both(one: list[int], other: list[int]) -> None:
    """In either order, and the text is the same to the letter."""
    merged, swapped = sketch(one), sketch(other)
    merged.merge(sketch(other))
    swapped.merge(sketch(one))

    assert merged == swapped == sketch(one + other)
    assert merged.total == len(one) + len(other)
    assert merged.as_rows() == sketch(sorted(one + other)).as_rows()


def test_an_answer_is_not_remembered_past_what_changed_it() -> None:
    """A value in a new bucket, and a merge, count at once."""
    grown = sketch([10])
    assert grown.within(MEDIAN) == 10

    grown.merge(sketch([50, 51]))

    assert grown.within(MEDIAN) == 50


# --- windows ---


def test_what_is_old_is_forgotten_by_generations() -> None:
    """A window knows at least the last 10,000 values and no more than 20,000."""
    window = Window()
    for value in [1] * SPAN + [2] * (SPAN - 1):
        window.add(value)
    assert window.whole.total == 2 * SPAN - 1
    assert window.whole.within(MEDIAN) == 1

    window.add(2)

    assert window.whole.total == SPAN
    assert window.whole.within(Quantile(999)) == 2


@given(st.lists(values, max_size=30), st.lists(values, max_size=30))
def test_merging_windows_is_having_seen_both(one: list[int], other: list[int]) -> None:
    """As long as nothing is forgotten."""
    first, second, both = Window(), Window(), Window()
    for window, seen in ((first, one), (second, other), (both, one + other)):
        for value in seen:
            window.add(value)
    first.merge(second)

    assert first == both
    assert Window.from_json(json.loads(json.dumps(first.as_json()))) == first


# --- reading back ---


@given(st.lists(values, max_size=40))
def test_a_sketch_is_read_back_as_it_was(seen: list[int]) -> None:
    """Through JSON, which knows lists only."""
    made = sketch(seen)

    assert Sketch.from_rows(json.loads(json.dumps(made.as_rows()))) == made


@pytest.mark.parametrize(
    "rows",
    [
        None,
        {"1": 2},
        [1, 2],
        [[1]],
        [[1, 0]],
        [[1, -1]],
        [[1, 2.0]],
        [[True, 2]],
        [[-1, 2]],
        [[10**6, 2]],
        [[1, 10**20]],
        [[2, 1], [1, 1]],
        [[1, 1], [1, 1]],
        [["1", 1]],
    ],
)
def test_what_is_no_sketch_is_refused(rows: object) -> None:
    """A file that somebody has edited must not become a hold."""
    with pytest.raises(InvalidArgumentError):
        Sketch.from_rows(rows)


def test_newer_values_must_be_among_all() -> None:
    """A window that contradicts itself is refused."""
    with pytest.raises(InvalidArgumentError, match="among all"):
        Window.from_json({"whole": [[5, 1]], "newer": [[5, 2]]})


# --- the quantile itself ---


@pytest.mark.parametrize(("percent", "permille"), [(50, 500), ("99.9", 999), ("95", 950), (99, 990)])
def test_a_quantile_is_written_in_percent(percent: int | str, permille: int) -> None:
    """And read back as it is shown."""
    quantile = Quantile.of(percent)

    assert quantile.permille == permille
    assert Quantile.of(str(quantile).removesuffix(" %")) == quantile
    assert Quantile.of(quantile) is quantile


@pytest.mark.parametrize("percent", [0, 49, "49.9", 100, "99.95", "many"])
def test_a_quantile_is_from_50_to_99_9_percent(percent: int | str) -> None:
    """100 % is no quantile: that is the hard maximum."""
    with pytest.raises(InvalidArgumentError):
        Quantile.of(percent)


def test_a_quantile_is_no_float() -> None:
    """99.9 has no binary representation; nor is a share of 1 meant."""
    with pytest.raises(TypeError):
        Quantile.of(99.9)  # type: ignore[arg-type]


def test_quantiles_have_an_order() -> None:
    """So that a caller's may be compared with the policy's."""
    assert max(Quantile.of(99), Quantile.of("99.9"), Quantile.of(50)) == Quantile(999)
