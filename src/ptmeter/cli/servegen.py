"""
ServeGen's traces: not calls but what each client's calls look like, from which calls are sampled.

Per client and ten minutes there is a rate and how bursty it is, and per six hours the distributions of
tokens. A window gets as many calls as its rate says, a fraction settled by chance, with gaps of the shape
that was fitted. The same files and seed give the same calls.
"""

from __future__ import annotations

import heapq
import json
import random
import re
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from ..domain.usage import Usage
from ..errors import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

WINDOW: Final = 600
"""Seconds for which a rate holds."""

CHUNK: Final = re.compile(r"chunk-(\d+)-trace\.csv")

GAPS: Final[Mapping[str, Callable[[random.Random, float], float]]] = {
    "Gamma": lambda chance, shape: chance.gammavariate(shape, 1),
    "Weibull": lambda chance, shape: chance.weibullvariate(1, shape),
}
"""The distributions that gaps between calls were fitted with; the mean is set by the rate."""


class Call(NamedTuple):
    """A sampled call, so many seconds after the beginning."""

    at: float
    client: str
    usage: Usage


class Unreadable(NamedTuple):
    """A line of a chunk that says nothing of a window, and why not."""

    at: float
    file: str
    line: int
    problem: str


Sampled: TypeAlias = "Call | Unreadable"


class _Distribution:
    """Values and how likely each is."""

    def __init__(self, text: str) -> None:
        """Read what is written as ``{45: 0.25, 46: 0.75}``."""
        written = [pair.partition(":") for pair in text.strip("{} ").split(",") if pair]
        likely = [(float(value), float(weight)) for value, _, weight in written if float(weight) > 0]
        self._values = [value for value, _ in likely]
        self._weights = list(accumulate(weight for _, weight in likely))

    def __bool__(self) -> bool:
        return bool(self._values)

    def sample(self, chance: random.Random) -> float:
        """Draw one of the values."""
        place = bisect_right(self._weights, chance.random() * self._weights[-1])
        return self._values[min(place, len(self._values) - 1)]


@dataclass(frozen=True, slots=True)
class _Habits:
    """What a client's calls look like from a time on."""

    since: int
    input: _Distribution
    output: _Distribution
    reasoning: _Distribution | None

    def usage(self, chance: random.Random) -> Usage:
        """Sample what a call used."""
        output = round(self.output.sample(chance))
        reasoning = round(output * min(self.reasoning.sample(chance), 1)) if self.reasoning else 0
        return Usage(
            input_uncached=max(1, round(self.input.sample(chance))),
            output_text=output - reasoning,
            output_reasoning=reasoning,
        )


def files(path: Path) -> list[Path]:
    """The chunks at *path*, one or a folder of them, by number; none if it is something else."""
    if path.is_dir():
        found = [(int(match[1]), each) for each in path.iterdir() if (match := CHUNK.fullmatch(each.name))]
        return [each for _, each in sorted(found)]
    return [path] if CHUNK.fullmatch(path.name) and path.is_file() else []


def dataset_of(chunk: Path) -> Path:
    """The distributions of tokens beside a chunk."""
    return chunk.with_name(chunk.name.replace("-trace.csv", "-dataset.json"))


def calls(chunks: Iterable[Path], seed: int) -> Iterator[Sampled]:
    """
    Sample the calls of all clients, in the order of their times.

    Raises:
        InvalidArgumentError: The distributions beside a chunk are missing or no distributions.
    """
    return heapq.merge(*(_client(chunk, seed) for chunk in chunks), key=lambda call: call.at)


def _client(chunk: Path, seed: int) -> Iterator[Sampled]:
    name = chunk.name.replace("chunk-", "client-").removesuffix("-trace.csv")
    chance = random.Random(f"{seed} {name}")  # noqa: S311 - a sample, not a secret
    habits = _habits(dataset_of(chunk))
    begin = 0.0
    with chunk.open(encoding="utf-8", errors="replace", newline="") as file:
        for line, text in enumerate(file, 1):
            try:
                begin, times = _window(text, chance)
            except (ValueError, OverflowError) as problem:
                yield Unreadable(begin, chunk.name, line, str(problem))
                continue
            kept = [each for each in habits if each.since <= begin]
            if kept:
                yield from (Call(at, name, kept[-1].usage(chance)) for at in times)


def _window(text: str, chance: random.Random) -> tuple[float, list[float]]:
    """Where a window begins, and when in it there are calls."""
    fields = text.strip().split(",")
    if len(fields) != 6:  # noqa: PLR2004 - t, rate, cv, dist, p1, p2
        msg = f"it has {len(fields)} fields, not t, rate, cv, dist, p1, p2"
        raise ValueError(msg)
    begin, rate, shape = float(fields[0]), float(fields[1]), float(fields[4])
    if not fields[3]:
        return begin, []
    if fields[3] not in GAPS or not (rate >= 0 and shape > 0):
        msg = f"a rate of {rate} with gaps of {fields[3]!r} and shape {shape} is none that can be sampled"
        raise ValueError(msg)
    count = int(rate * WINDOW + chance.random())
    gaps = [GAPS[fields[3]](chance, shape) for _ in range(count + 1)]
    whole = sum(gaps) or 1
    return begin, [begin + WINDOW * place / whole for place in accumulate(gaps[:-1])]


def _habits(path: Path) -> list[_Habits]:
    try:
        document: Mapping[str, Mapping[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        found = [
            _Habits(
                int(since),
                _Distribution(fields["input_tokens"]),
                _Distribution(fields["output_tokens"]),
                _Distribution(fields["reason_ratio"]) if "reason_ratio" in fields else None,
            )
            for since, fields in document.items()
        ]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        msg = f"{path} does not hold the distributions of tokens that go with its chunk: {error}"
        raise InvalidArgumentError(msg) from error
    complete = [h for h in found if h.input and h.output and (h.reasoning is None or h.reasoning)]
    return sorted(complete, key=lambda each: each.since)
