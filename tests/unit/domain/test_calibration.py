"""What settled calls teach: by route and size, bounded, mergeable, and silent while too little is known."""

from __future__ import annotations

import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptmeter import Calibration, InvalidArgumentError, Quantile
from ptmeter.domain.calibration import LEAST_CALLS, MOST_HABITS, Bound, Habits, Topic, checked_route
from ptmeter.domain.sketches import SPAN

MODEL = "small-1"
Q99 = Quantile.of(99)

calls = st.lists(
    st.tuples(
        st.sampled_from(["small-1", "acme/Small-1", "large-1"]),
        st.sampled_from(["", "chat", "report"]),
        st.integers(0, 300_000),
        st.integers(0, 300_000),
        st.integers(0, 5_000),
    ),
    max_size=30,
)


def taught(seen: list[tuple[str, str, int, int, int]]) -> Calibration:
    made = Calibration()
    for model, route, counted, used, answered in seen:
        made.learn(model, route, counted=counted, used=used, answered=answered)
    return made


def repeated(
    times: int, *, route: str = "", counted: int = 100, used: int = 100, answered: int = 10
) -> Calibration:
    return taught([(MODEL, route, counted, used, answered)] * times)


# --- input ---


@given(st.integers(0, 2**24), st.integers(LEAST_CALLS, 120))
def test_an_exact_count_stays_exact(counted: int, times: int) -> None:
    """A tokenizer that is always right is not corrected by a single token."""
    known = repeated(times, counted=counted, used=counted)

    assert known.calls_like(MODEL, "", counted).likely_input() == Bound(counted, times)


@pytest.mark.parametrize("percent", [70, 100, 135, 177, 400])
def test_a_biased_count_is_put_right(percent: int) -> None:
    """Less than 1/32 too high, and not too low."""
    known = repeated(150, counted=1_000, used=10 * percent)

    for bound in (
        known.calls_like(MODEL, "", 1_010).likely_input(),
        known.calls_like(MODEL, "", 1_010).input_within(Q99),
    ):
        assert bound is not None
        assert 10.1 * percent <= bound.tokens <= 10.1 * percent * 33 / 32 + 1


def test_a_count_of_another_size_is_not_held_by_this_ones_error() -> None:
    """What a provider adds to every call is most of a short one: it says nothing of a long one."""
    known = repeated(150, counted=1, used=683)

    assert known.calls_like(MODEL, "", 1_000).input_within(Q99) is None
    assert known.calls_like(MODEL, "", 1_000).output_within(Q99) is not None


def test_a_count_of_nothing_is_learnt_from_too() -> None:
    """A provider that adds a prompt of its own to an empty request: the ratio is to one token."""
    known = repeated(20, counted=0, used=683)

    bound = known.calls_like(MODEL, "", 1).likely_input()
    assert bound is not None
    assert bound.tokens >= 683


# --- output ---


def test_answers_are_expected_as_long_as_half_of_them_were() -> None:
    """The median; not before there are 16."""
    seen = [(MODEL, "", 100, 100, answered) for answered in range(1, 32)]

    assert taught(seen[: LEAST_CALLS - 1]).calls_like(MODEL, "", 100).likely_output() is None
    assert taught(seen).calls_like(MODEL, "", 100).likely_output() == Bound(16, 31)


def test_what_is_expected_follows_a_change_of_habits_sooner_than_a_bound() -> None:
    """After 1,000 short answers the long ones before them are expected no more, but 1 % of all may still come."""
    known = repeated(5_000, answered=400)
    known.merge(repeated(1_000, answered=20))

    like = known.calls_like(MODEL, "", 100)
    assert like.likely_output() == Bound(20, 500)
    assert like.output_within(Q99) == Bound(407, 6_000)


def test_a_bound_needs_enough_calls_of_its_own_route() -> None:
    """99 for 99 %; what other routes of the model did says nothing of a new one."""
    known = repeated(98, route="chat")
    assert known.calls_like(MODEL, "chat", 100).output_within(Q99) is None

    known.merge(repeated(1, route="chat"))

    assert known.calls_like(MODEL, "chat", 100).output_within(Q99) == Bound(10, 99)
    assert known.calls_like(MODEL, "report", 100).output_within(Q99) is None
    assert known.calls_like(MODEL, "report", 100).likely_output() == Bound(10, 99)


def test_calls_of_the_same_size_are_looked_at_first() -> None:
    """Long requests that get long answers do not make the short ones dear."""
    known = repeated(100, counted=100, answered=20)
    known.merge(repeated(100, counted=10_000, used=10_000, answered=900))

    assert known.calls_like(MODEL, "", 110).output_within(Q99) == Bound(20, 100)
    of_all_sizes = known.calls_like(MODEL, "", 1_000).output_within(Q99)
    assert of_all_sizes is not None
    assert 900 <= of_all_sizes.tokens <= 900 * 33 // 32
    assert of_all_sizes.calls == 200


def test_routes_are_told_apart() -> None:
    """A route with long answers and one with short ones; the model as a whole knows both."""
    known = repeated(200, route="chat", answered=40)
    known.merge(repeated(200, route="report", answered=60))

    assert known.calls_like(MODEL, "chat", 100).output_within(Q99) == Bound(40, 200)
    assert known.calls_like(MODEL, "report", 100).output_within(Q99) == Bound(60, 200)
    assert known.calls_like(MODEL, "", 100).output_within(Q99) == Bound(60, 400)


def test_a_name_with_its_provider_is_the_same_model() -> None:
    """As the rate card sees it."""
    known = taught([("openai/Small-1", "", 100, 100, 10)] * 20)

    assert known.calls_like(MODEL, "", 100).likely_output() == Bound(10, 20)


def test_what_has_changed_is_followed() -> None:
    """A new tokenizer behind an old name: the bound rises within 1 % of the calls, the median with half."""
    known = repeated(2_000, counted=1_000, used=1_000)
    changed = repeated(60, counted=1_000, used=1_400)
    known.merge(changed)
    bound = known.calls_like(MODEL, "", 1_000).input_within(Q99)
    assert bound is not None
    assert bound.tokens >= 1_400

    for _ in range(2 * SPAN):
        known.learn(MODEL, "", counted=1_000, used=700, answered=10)

    forgotten = known.calls_like(MODEL, "", 1_000).input_within(Quantile.of("99.9"))
    assert forgotten is not None
    assert forgotten.tokens < 730


# --- merging, exporting, bounds ---


@given(calls, calls)
def test_processes_that_learn_apart_know_together_what_one_would(one: list, other: list) -> None:
    """And the exported text is the same to the letter."""
    together = taught(one)
    together.merge(taught(other))

    assert together.habits == taught(one + other).habits
    assert together.as_json() == taught(other + one).as_json()


@given(calls)
def test_what_is_exported_is_read_back(seen: list) -> None:
    """All of it, and it is JSON."""
    known = taught(seen)
    text = known.as_json()

    assert json.loads(text)["format"] == 1
    assert Calibration.from_json(text).habits == known.habits
    assert all(Habits.from_json(each.as_json()) == each for each in known.habits.values())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format":1}',
        '{"format":1,"calibration":[{"model":"m"}]}',
        '{"format":1,"calibration":[{"model":"m","route":" r","habits":{"format":1,"sizes":{}}}]}',
        '{"format":1,"calibration":[{"model":"m","route":"","habits":{"format":1,"sizes":{"99":{}}}}]}',
        (
            '{"format":1,"calibration":[{"model":"m","route":"","habits":{"format":1,"sizes":{"7":'
            '{"ratio":{"whole":[],"newer":[]},"output":{"whole":[],"newer":[]},'
            '"lately":{"whole":[],"newer":[]}}}}}]}'
        ),
        '{"format":2,"calibration":[]}',
    ],
)
def test_what_is_no_calibration_is_refused(text: str) -> None:
    """Also one of a later format."""
    with pytest.raises(InvalidArgumentError):
        Calibration.from_json(text)


def test_it_is_bounded() -> None:
    """Routes without end do not fill the memory: the model still learns, and room is never exceeded."""
    known = Calibration()
    for number in range(MOST_HABITS + 50):
        known.learn(MODEL, f"route-{number}", counted=100, used=100, answered=10)

    assert len(known.habits) == MOST_HABITS
    assert known.habits[Topic(MODEL, "")].calls == MOST_HABITS + 50
    assert known.calls_like(MODEL, f"route-{MOST_HABITS + 9}", 100).output_within(Q99) is None


def test_its_text_is_bounded() -> None:
    """All sizes and lengths at once, 20,000 calls: less than 100 kB for a topic."""
    chance = Random(3)
    known = Calibration()
    for _ in range(20_000):
        counted = int(chance.lognormvariate(7, 2))
        known.learn(
            MODEL,
            "",
            counted=counted,
            used=int(counted * chance.uniform(0.5, 3)),
            answered=int(chance.lognormvariate(6, 2)),
        )

    assert len(known.as_json()) < 150_000


@pytest.mark.parametrize("route", [" chat", "chat\n", "x" * 201, None, 7])
def test_what_cannot_name_a_route_is_refused(route: object) -> None:
    """It becomes a key in the database."""
    with pytest.raises(InvalidArgumentError, match="route"):
        checked_route(route)


def test_a_route_may_be_left_out() -> None:
    """Then it is the model as a whole."""
    assert checked_route("") == ""
    assert checked_route("support: first line") == "support: first line"
