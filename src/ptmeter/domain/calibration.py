"""
What settled calls teach about those to come: how far a count is off, and how long answers are.

Learnt by model and *route*, the caller's own name for a kind of call ("summarise", "support"): how long an
answer gets depends on who asks for what, hardly on the model. The route ``""`` is the model as a whole.
Within a route, calls of about the same size (within a factor of two) are looked at first.

Nothing here decides about money: it says what to set aside, and a charge never rests on it. Lost, it is
learnt again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..errors import InvalidArgumentError
from .checks import LONGEST_NAME
from .pt import ceil_div
from .rates import bare_name
from .sketches import MEDIAN, Window

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from .sketches import Quantile, Sketch

FORMAT: Final = 1
"""Of the exported JSON."""

ALIKE: Final = 1_023
"""What the ratio of an exact count is written as: the end of its bucket, so that it stays exact."""

MOST_HABITS: Final = 1_000
"""Models and routes that are told apart; a route beyond them is looked at as its model alone."""

LEAST_CALLS: Final = 16
"""Settled calls before what they took replaces the assumption about what is expected."""

LATELY: Final = 500
"""What is expected follows the last 500 to 1,000 calls, while a bound rests on all that are remembered."""

ALL_SIZES: Final = 0
_SMALLEST, _LARGEST = 6, 18
"""Sizes of calls, as the bits of their input tokens: up to 63 tokens together, and from 131,072 on."""


class Topic(NamedTuple):
    """What is learnt about: a model without its provider's name, and a route or ``""``."""

    model: str
    route: str


@dataclass(frozen=True, slots=True)
class Bound:
    """So many tokens, and on how many settled calls that rests."""

    tokens: int
    calls: int


class Habit:
    """Calls of one topic and size: actual ÷ counted input, in 1,023rds, and output tokens, of all and of late."""

    __slots__ = ("lately", "output", "ratio")

    def __init__(self) -> None:
        """Make one that knows of no call."""
        self.ratio = Window()
        self.output = Window()
        self.lately = Window(LATELY)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Habit) and self.as_json() == other.as_json()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def learn(self, ratio: int, answered: int) -> None:
        """Take note of a call."""
        self.ratio.add(ratio)
        self.output.add(answered)
        self.lately.add(answered)

    def merge(self, other: Habit) -> None:
        """Take over what *other* knows."""
        self.ratio.merge(other.ratio)
        self.output.merge(other.output)
        self.lately.merge(other.lately)

    def as_json(self) -> dict[str, Any]:
        """What is known, as JSON values."""
        return {name: getattr(self, name).as_json() for name in ("ratio", "output", "lately")}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Habit:
        """Read what `as_json` wrote; raises what `Habits.from_json` does."""
        made = cls()
        made.ratio = Window.from_json(value["ratio"])
        made.output = Window.from_json(value["output"])
        made.lately = Window.from_json(value["lately"], LATELY)
        return made


class Habits:
    """All that is known of one topic, by the size of calls."""

    __slots__ = ("by_size",)

    def __init__(self) -> None:
        """Make one that knows of no call."""
        self.by_size: dict[int, Habit] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Habits) and self.by_size == other.by_size

    __hash__ = None  # type: ignore[assignment]  # it changes

    @property
    def calls(self) -> int:
        """How many calls it rests on: the last 10,000 to 20,000 of all sizes."""
        return self.by_size[ALL_SIZES].output.whole.total if self.by_size else 0

    def learn(self, counted: int, used: int, answered: int) -> None:
        """Take note of a call: its input as *counted* before and as *used*, and the tokens *answered*."""
        for size in (_size(counted), ALL_SIZES):
            habit = self.by_size.setdefault(size, Habit())
            habit.learn(ceil_div(used * ALIKE, max(counted, 1)), answered)

    def merge(self, other: Habits) -> None:
        """Take over what *other* knows."""
        for size, habit in other.by_size.items():
            self.by_size.setdefault(size, Habit()).merge(habit)

    def nearest(self, counted: int) -> Iterator[Habit]:
        """Yield calls of the same size, then those of all sizes."""
        for size in (_size(counted), ALL_SIZES):
            if size in self.by_size:
                yield self.by_size[size]

    def as_json(self) -> str:
        """What is known, canonically: equal habits give equal text."""
        sizes = {str(size): habit.as_json() for size, habit in self.by_size.items()}
        return json.dumps({"format": FORMAT, "sizes": sizes}, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Habits:
        """
        Read what `as_json` wrote.

        Raises:
            InvalidArgumentError: It is not that.
        """
        made = cls()
        try:
            written: Mapping[str, Mapping[str, Any]] = _content(text, "sizes")
            for size, habit in written.items():
                made.by_size[_known_size(size)] = Habit.from_json(habit)
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            msg = f"this is no calibration that ptmeter has written: {problem!r}"
            raise InvalidArgumentError(msg) from problem
        if not made.by_size or ALL_SIZES in made.by_size:
            return made
        msg = "a calibration must hold the calls of all sizes together"
        raise InvalidArgumentError(msg)


class Calibration:
    """
    What is known of every model and route. Not for several threads at once.

    It is bounded: `MOST_HABITS` topics of at most 14 sizes, each three windows of some hundred numbers.
    """

    def __init__(self, habits: Mapping[Topic, Habits] | None = None) -> None:
        """Make one that knows of no call, or what is given."""
        self.habits: dict[Topic, Habits] = dict(habits or {})
        self.calls = 0
        """How many calls it was taught, itself or by merging."""

    def __repr__(self) -> str:
        return f"Calibration({len(self.habits)} models and routes)"

    def learn(self, model: str, route: str, *, counted: int, used: int, answered: int) -> None:
        """Take note of a settled call, for its route and for its model as a whole."""
        self.calls += 1
        for topic in _topics(model, route):
            known = self._of(topic)
            if known is not None:
                known.learn(counted, used, answered)

    def merge(self, other: Calibration) -> None:
        """Take over what *other* knows."""
        self.calls += other.calls
        for topic, habits in other.habits.items():
            known = self._of(topic)
            if known is not None:
                known.merge(habits)

    def calls_like(self, model: str, route: str, counted: int) -> CallsLike:
        """What is known of calls like one of so many counted input tokens."""
        topics = _topics(model, route)
        own, whole = (self.habits.get(topic) for topic in (topics[0], topics[-1]))
        near = tuple(own.nearest(counted)) if own else ()
        others = tuple(whole.nearest(counted)) if whole and route else ()
        return CallsLike(counted, near, (*near, *others))

    def as_json(self) -> str:
        """All that is known, canonically, to be kept or taken elsewhere."""
        rows = [
            {"model": topic.model, "route": topic.route, "habits": json.loads(habits.as_json())}
            for topic, habits in sorted(self.habits.items())
        ]
        return json.dumps({"format": FORMAT, "calibration": rows}, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """
        Read what `as_json` wrote.

        Raises:
            InvalidArgumentError: It is not that, or of another format.
        """
        made = cls()
        try:
            rows: list[Mapping[str, Any]] = _content(text, "calibration")
            for row in rows:
                topic = Topic(bare_name(row["model"]), checked_route(row["route"]))
                made.habits[topic] = Habits.from_json(json.dumps(row["habits"]))
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            msg = f"this is no calibration that ptmeter has written: {problem!r}"
            raise InvalidArgumentError(msg) from problem
        return made

    def _of(self, topic: Topic) -> Habits | None:
        """What is known of *topic*, made if there is room for it."""
        if topic not in self.habits and len(self.habits) < MOST_HABITS:
            self.habits[topic] = Habits()
        return self.habits.get(topic)


@dataclass(frozen=True, slots=True)
class CallsLike:
    """
    Settled calls like one that is to be estimated, the most alike first: *own* are of its route.

    It looks into the calibration it came from, so it is for the moment.
    """

    counted: int
    own: tuple[Habit, ...]
    all: tuple[Habit, ...]

    def likely_input(self) -> Bound | None:
        """The input tokens that half of such calls stay within; ``None`` until `LEAST_CALLS` are known."""
        return self._scaled(_first((each.ratio.whole for each in self.all), MEDIAN, LEAST_CALLS))

    def likely_output(self) -> Bound | None:
        """The output tokens that half of such calls of late stay within; ``None`` until `LEAST_CALLS` are known."""
        return _first((each.lately.whole for each in self.all), MEDIAN, LEAST_CALLS)

    def input_within(self, quantile: Quantile) -> Bound | None:
        """
        The input tokens that such a share of calls of its route and size stays within; ``None`` if they are few.

        Nothing else will do: what is added to every call is most of a short one and little of a long one.
        """
        return self._scaled(_within([each.ratio.whole for each in self.own[:-1]], quantile))

    def output_within(self, quantile: Quantile) -> Bound | None:
        """
        The output tokens that such a share of calls of its route stays within; ``None`` if too few are known.

        Other routes of the model say nothing of a new one. Where calls of its size are too few, it rests on
        those of all sizes, and is no less than those of its size took.
        """
        return _within([each.output.whole for each in self.own], quantile)

    def input_at_most(self) -> int:
        """The input tokens by the worst count of a call of its route and size; 0 if none is known."""
        worst = self.own[0].ratio.whole.largest if self.own else 0
        return ceil_div(worst * self.counted, ALIKE)

    def output_at_most(self) -> int:
        """The longest answer to a call of its route; 0 if none is known."""
        return max((each.output.whole.largest for each in self.own), default=0)

    def _scaled(self, ratio: Bound | None) -> Bound | None:
        return ratio and Bound(ceil_div(ratio.tokens * self.counted, ALIKE), ratio.calls)


def checked_route(route: object) -> str:
    """
    Make sure that *route* can name a kind of call.

    Raises:
        InvalidArgumentError: It is no text, too long, padded, or has characters that cannot be printed.
    """
    if isinstance(route, str) and len(route) <= LONGEST_NAME and route == route.strip() and _plain(route):
        return route
    msg = f"{route!r} cannot name a route: use up to {LONGEST_NAME} printable characters"
    raise InvalidArgumentError(msg)


def _plain(text: str) -> bool:
    return text.isprintable() or not text


def _topics(model: str, route: str) -> tuple[Topic, ...]:
    """What a call teaches about: its own topic first."""
    whole = Topic(bare_name(model)[:LONGEST_NAME], "")
    return (whole._replace(route=route), whole) if route else (whole,)


def _size(counted: int) -> int:
    return min(max(counted.bit_length(), _SMALLEST), _LARGEST)


def _content(text: str, name: str) -> Any:
    value: Any = json.loads(text)
    if value["format"] != FORMAT:
        msg = f"its format is {value['format']!r}, and this version reads {FORMAT}"
        raise ValueError(msg)
    return value[name]


def _known_size(text: str) -> int:
    size = int(text)
    if size != ALL_SIZES and not _SMALLEST <= size <= _LARGEST:
        msg = f"there is no size {size} of calls"
        raise ValueError(msg)
    return size


def _first(sketches: Iterable[Sketch], quantile: Quantile, least: int) -> Bound | None:
    """The answer of the first sketch that has seen as many calls as *least*."""
    for sketch in sketches:
        if sketch.total >= least and (tokens := sketch.within(quantile)) is not None:
            return Bound(tokens, sketch.total)
    return None


def _within(sketches: Iterable[Sketch], quantile: Quantile) -> Bound | None:
    """The answer of the first sketch that has one, and no less than any before it has seen."""
    seen = 0
    for sketch in sketches:
        if (tokens := sketch.within(quantile)) is not None:
            return Bound(max(tokens, seen), sketch.total)
        seen = max(seen, sketch.largest)
    return None
