"""
Distributions of whole numbers in bounded space: what nine calls in ten took, without keeping the calls.

A `Sketch` is a histogram whose buckets grow with the value (Masson et al., *DDSketch*, VLDB 2019; Tene,
*HdrHistogram*): the answer to "what do so many calls stay within" is never below the true one and less than
one part in 32 above it. It is made of integers alone, so that two machines agree on it, and sketches of the
same thing add up. The ``ddsketch`` package computes in floating point, and neither it nor ``hdrhistogram``
has a canonical form.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import total_ordering
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Final, Self, cast

from ..errors import InvalidArgumentError
from .pt import ceil_div, plain, scaled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .pt import Whole

DETAIL: Final = 32
"""Buckets for each doubling of the value: an answer is less than 1/32 too high. Up to 63 it is exact."""

_BITS: Final = DETAIL.bit_length() - 1

LARGEST_VALUE: Final = 2**31 - 1
"""More tokens than a call can have; a larger value counts as this one, so that buckets are few."""

SPAN: Final = 10_000
"""How many values a `Window` takes before it forgets the ones before them."""

THOUSAND: Final = 1_000


@total_ordering
@dataclass(frozen=True, slots=True)
class Quantile:
    """A share of calls, in thousandths: ``Quantile.of("99.9")`` is what 999 calls in 1,000 stay within."""

    permille: int

    def __post_init__(self) -> None:
        if type(self.permille) is not int or not THOUSAND // 2 <= self.permille < THOUSAND:
            msg = f"a quantile is from 500 to 999 calls in 1,000, not {self.permille!r}"
            raise InvalidArgumentError(msg)

    @classmethod
    def of(cls, percent: Whole | Quantile) -> Quantile:
        """
        Read a share in percent, from 50 to 99.9: ``Quantile.of(95)``, ``Quantile.of("99.9")``.

        Raises:
            TypeError: It is a ``float`` or a ``bool``.
            InvalidArgumentError: It is out of range, or finer than a tenth of a percent.
        """
        return percent if isinstance(percent, Quantile) else cls(scaled(percent, 10, "percent"))

    def __lt__(self, other: Quantile) -> bool:
        return self.permille < other.permille

    def __str__(self) -> str:
        return f"{plain(self.permille, 10)} %"

    @property
    def calls_needed(self) -> int:
        """How many calls must be known before one can say what so many of them stay within: 99 for 99 %."""
        return ceil_div(self.permille, THOUSAND - self.permille)


MEDIAN: Final = Quantile(500)


class Sketch:
    """How often which value came, by buckets. Not for several threads at once."""

    __slots__ = ("_buckets", "_counts", "_upto", "total")

    def __init__(self) -> None:
        """Make one that has seen nothing."""
        self._counts: dict[int, int] = {}
        self._buckets: list[int] = []
        """The buckets in order; empty until it is asked for."""
        self._upto: list[int] = []
        """For each of the buckets, how many values are in it and those below; empty until it is asked for."""
        self.total = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sketch) and self._counts == other._counts

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"Sketch({self.total:,} values in {len(self._counts)} buckets)"

    def add(self, value: int) -> None:
        """Take note of a value; a negative one counts as 0."""
        self.put(bucket_of(value), 1)

    def put(self, bucket: int, count: int) -> None:
        """Take note of so many values of one bucket."""
        if bucket not in self._counts:
            self._counts[bucket] = 0
            self._buckets = []
        self._counts[bucket] += count
        self._upto = []
        self.total += count

    def merge(self, other: Sketch) -> None:
        """Take over all that *other* has seen; the order in which sketches are merged makes no difference."""
        for bucket, count in other._counts.items():
            self.put(bucket, count)

    def within(self, quantile: Quantile) -> int | None:
        """
        What the next value stays within with this probability, if it is one like those before it.

        With n values it is the one at place ⌈(n + 1) · q⌉, rounded up to the end of its bucket: that holds
        for any distribution (the split-conformal bound). ``None`` if there are too few to tell.
        """
        place = ceil_div((self.total + 1) * quantile.permille, THOUSAND)
        if place > self.total:
            return None
        if not self._buckets:
            self._buckets = sorted(self._counts)
        if not self._upto:
            self._upto = list(accumulate(map(self._counts.__getitem__, self._buckets)))
        return end_of(self._buckets[bisect_left(self._upto, place)])

    @property
    def largest(self) -> int:
        """The largest value it has seen, rounded up to the end of its bucket; 0 if none."""
        return end_of(max(self._counts)) if self._counts else 0

    def as_rows(self) -> list[tuple[int, int]]:
        """Buckets and counts, in order: the same for all sketches that have seen the same."""
        return sorted(self._counts.items())

    @classmethod
    def from_rows(cls, rows: object) -> Self:
        """
        Read what `as_rows` wrote.

        Raises:
            InvalidArgumentError: It is not that.
        """
        made = cls()
        for bucket, count in _checked(rows):
            made.put(bucket, count)
        return made


class Window:
    """
    The last 10,000 to 20,000 values, as a sketch, or the last *span* to twice as many.

    Providers change a model behind its name and people change their habits, so what is old must go; but
    the rare long answers that a bound is made of must not fade one by one. So values are forgotten by
    generations: when a span of new ones is there, those before them go.
    """

    __slots__ = ("_newer", "_span", "whole")

    def __init__(self, span: int = SPAN) -> None:
        """Make one that has seen nothing."""
        self.whole = Sketch()
        self._newer = Sketch()
        self._span = span

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Window) and (self.whole, self._newer) == (other.whole, other._newer)

    __hash__ = None  # type: ignore[assignment]  # it changes

    def add(self, value: int) -> None:
        """Take note of a value."""
        bucket = bucket_of(value)
        self.whole.put(bucket, 1)
        self._newer.put(bucket, 1)
        self._age()

    def merge(self, other: Window) -> None:
        """Take over all that *other* still knows, as if it were new."""
        self.whole.merge(other.whole)
        self._newer.merge(other.whole)
        self._age()

    def as_json(self) -> dict[str, list[tuple[int, int]]]:
        """The window as JSON values."""
        return {"whole": self.whole.as_rows(), "newer": self._newer.as_rows()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any], span: int = SPAN) -> Self:
        """
        Read what `as_json` wrote of a window of that *span*.

        Raises:
            InvalidArgumentError: It is not that.
        """
        made = cls(span)
        made.whole = Sketch.from_rows(value.get("whole"))
        made._newer = Sketch.from_rows(value.get("newer"))
        older = dict(made.whole.as_rows())
        if any(older.get(bucket, 0) < count for bucket, count in made._newer.as_rows()):
            msg = "a window's newer values must be among all of its values"
            raise InvalidArgumentError(msg)
        return made

    def _age(self) -> None:
        if self._newer.total >= self._span:
            self.whole, self._newer = self._newer, Sketch()


def bucket_of(value: int) -> int:
    """The number of the bucket that *value* falls into."""
    value = min(max(value, 0), LARGEST_VALUE)
    shift = max(value.bit_length() - _BITS - 1, 0)
    return (shift << _BITS) + (value >> shift)


def end_of(bucket: int) -> int:
    """The largest value of a bucket."""
    shift = max((bucket >> _BITS) - 1, 0)
    return (((bucket - (shift << _BITS)) + 1) << shift) - 1


_LAST_BUCKET: Final = bucket_of(LARGEST_VALUE)
_MOST_VALUES: Final = 2**53
"""More than anybody counts; JSON's own limit for whole numbers."""


def _checked(rows: object) -> list[tuple[int, int]]:
    """Make sure that *rows* are buckets in ascending order with how often each came."""
    if isinstance(rows, list):
        pairs = cast("list[tuple[int, int]]", rows)
        if all(map(_is_row, pairs)) and all(low[0] < high[0] for low, high in pairwise(pairs)):
            return pairs
    msg = "a sketch is a list of buckets in ascending order, each with a count"
    raise InvalidArgumentError(msg)


def _is_row(row: object) -> bool:
    if not isinstance(row, list | tuple) or len(cast("list[object]", row)) != len(("bucket", "count")):
        return False
    bucket, count = cast("list[object]", row)
    if type(bucket) is not int or type(count) is not int:
        return False
    return 0 <= bucket <= _LAST_BUCKET and 0 < count <= _MOST_VALUES
