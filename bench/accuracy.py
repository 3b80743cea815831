"""
How near estimates come to what calls took, and what holds at a stated quantile do: `make accuracy`.

Calls of each data set are in order of time. The second half is held out: it is estimated, never learnt from.
Estimates are made cold, and after the last 100, 1,000 and 10,000 calls of the first half were settled. Traces
say how many tokens went in, so there only the answer is uncertain; texts are counted here and by a tokenizer
that is not ours, so there the input is.

It prints the tables of docs/benchmarks-estimates.md and draws its picture. Traces: PTMETER_DATA, or
``../shared/data``. Texts: PTMETER_TOKENIZERS_PYTHON, an interpreter for reference_counts.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bench.accuracy_picture import Panel, draw

from ptmeter import Calibration, Estimate, GenaiPrices, Policy, Quantile, Tokenizers, Usage, reference_card
from ptmeter.cli.rating import KnownCounts
from ptmeter.cli.traces import Row, open_trace
from ptmeter.learning import Learning
from ptmeter.pricing import Pricing

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT: Final = Path(__file__).resolve().parent.parent
DATA: Final = Path(os.environ.get("PTMETER_DATA", ROOT.parent / "shared" / "data")) / "traces"
PICTURE: Final = ROOT / "docs" / "pictures" / "estimates.svg"

STAGES: Final = (0, 100, 1_000, 10_000)
POLICIES: Final = (Quantile.of(50), Quantile.of(95), Quantile.of(99), Quantile.of("99.9"), None)
AT_99: Final = Quantile.of(99)
MOST_HELD_OUT: Final = 5_000
LENGTHS_TRIED: Final = 200
WALLET: Final = 100 * 1_000_000
"""What an account begins with and is filled up to, in micro-PT: the reference plan that is free."""


class Call(NamedTuple):
    """A call as it was: its route, its request, and what it took."""

    route: str
    request: Any
    input: int
    output: int

    @property
    def usage(self) -> Usage:
        """As the provider would have reported it."""
        return Usage(input_uncached=self.input, output_text=self.output)


@dataclass(frozen=True)
class DataSet:
    """Calls of one model to learn from, and those held out."""

    name: str
    model: str
    learnt: list[Call]
    held_out: list[Call]
    tokens: Any = field(default_factory=KnownCounts)


class Texts:
    """Counts a text alone, as the reference does: nothing frames it."""

    def __init__(self) -> None:
        self._tokenizers = Tokenizers()

    def count_text(self, model: str, text: str) -> Any:
        """See `Tokens.count_text`."""
        return self._tokenizers.count_text(model, text)

    count_request = count_text


@dataclass
class Result:
    """What came of one data set under one policy after so many settlements."""

    input_error: list[float] = field(default_factory=list)
    total_error: list[float] = field(default_factory=list)
    under: list[float] = field(default_factory=list)
    held: list[float] = field(default_factory=list)
    points: list[tuple[int, int]] = field(default_factory=list)
    under_held: int = 0
    refused: int = 0

    def add(self, call: Call, estimate: Estimate, charged: int) -> None:
        """Compare an estimate with what the call took."""
        expected, actual = estimate.input.tokens + estimate.output_expected, call.input + call.output
        self.input_error.append(abs(estimate.input.tokens - call.input) / max(call.input, 1))
        self.total_error.append(abs(expected - actual) / actual)
        self.under.append(max(actual - expected, 0) / actual)
        self.held.append(estimate.hold.micro / charged)
        self.points.append((expected, actual))
        self.under_held += charged > estimate.hold.micro

    def row(self) -> list[str]:
        """The figures of the issue, in its order."""
        calls = len(self.held)
        return [
            _share(_at(self.input_error, 50)),
            _share(_at(self.total_error, 50)),
            _share(_at(self.under, 95)),
            f"{_at(self.held, 50):.2f}",
            f"{_at(self.held, 95):.2f}",
            f"{sum(self.held) / calls:.2f}",
            f"{100 * self.under_held / calls:.2f} %",
            f"{100 * self.refused / calls:.2f} %",
        ]


def tried(data: DataSet, known: Calibration, quantile: Quantile | None) -> Result:
    """Estimate every call held out, hold it on a wallet, and compare."""
    pricing = Pricing(
        [reference_card()], Policy(), catalogue=CATALOGUE, tokens=data.tokens, learning=Learning(known)
    )
    found, wallet = Result(), WALLET
    for call in data.held_out:
        estimate = pricing.estimate(data.model, call.request, route=call.route, quantile=quantile)
        charged = pricing.charge(data.model, call.usage).amount.micro
        found.add(call, estimate, charged)
        if charged > wallet:
            wallet = WALLET
        if estimate.hold.micro > wallet:
            found.refused += 1
            wallet = WALLET
        wallet -= min(charged, wallet)
    return found


def floor(data: DataSet) -> float:
    """
    The median error of somebody who knows all answers held out, but may say one length for each route only.

    The input's tokens are exact, as far as the trace knows them. Nobody who says beforehand how long answers
    on a route are comes much nearer: of the calls' texts a trace tells nothing.
    """
    routes: dict[str, list[Call]] = {}
    for call in data.held_out:
        routes.setdefault(call.route, []).append(call)
    return _at([error for calls in routes.values() for error in _nearest(calls)], 50)


def _nearest(calls: list[Call]) -> list[float]:
    """The errors of the one length, of those that answers had, whose median error is least."""
    lengths = sorted(call.output for call in calls)
    tried = lengths[:: max(len(lengths) // LENGTHS_TRIED, 1)]
    errors = ([abs(each - call.output) / (call.input + call.output) for call in calls] for each in tried)
    return min(errors, key=lambda found: _at(found, 50))


def taught(data: DataSet, settlements: int) -> Calibration:
    """What the last so many calls of the first half teach."""
    known = Calibration()
    calls = data.learnt[-settlements:] if settlements else []
    for call in calls:
        counted = data.tokens.count_request(data.model, call.request).tokens
        known.learn(data.model, call.route, counted=counted, used=call.input, answered=call.output)
    return known


# --- data -------------------------------------------------------------------------------------


def traces() -> Iterable[DataSet]:
    """The traces that are there."""
    named = (
        ("Azure 2023, conversation", "azure_llm_2023_conv.csv", "gpt-4o-mini"),
        ("Azure 2023, code", "azure_llm_2023_code.csv", "gpt-4o-mini"),
        ("Mooncake, conversation", "mooncake_conversation_with_cache.csv", "gpt-4o-mini"),
        ("ServeGen, reasoning, a route for each client", "servegen-deepseek-r1", "deepseek-r1"),
    )
    for name, file, model in named:
        if (DATA / file).exists():
            calls = list(_read(DATA / file))
            middle = len(calls) // 2
            yield DataSet(name, model, calls[:middle], _spread(calls[middle:]))


def _read(path: Path, most: int = 40_000) -> Iterable[Call]:
    for row in open_trace(path).rows():
        if isinstance(row, Row) and row.usage.output_total:
            used = row.usage
            yield Call(row.account or "", {"tokens": used.input_total}, used.input_total, used.output_total)
            most -= 1
        if not most:
            return


def _spread(calls: Sequence[Call]) -> list[Call]:
    """At most so many, evenly."""
    step = max(len(calls) // MOST_HELD_OUT, 1)
    return list(calls[::step][:MOST_HELD_OUT])


def texts(answers: DataSet) -> Iterable[DataSet]:
    """Texts whose tokens another interpreter has counted, with the answers of a trace."""
    python = os.environ.get("PTMETER_TOKENIZERS_PYTHON")
    if not python:
        sys.stderr.write("PTMETER_TOKENIZERS_PYTHON is not set: no texts, see bench/reference_counts.py\n")
        return
    script = Path(__file__).with_name("reference_counts.py")
    arguments = [python, str(script), str(STAGES[-1]), "2000"]
    ran = subprocess.run(arguments, capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    learnt, held_out = ([each for each in lines if each["half"] == half] for half in (0, 1))
    first, second = ([call.output for call in each] for each in (answers.learnt, answers.held_out))
    for name, model in (("Claude 4.5 (proxy)", "claude-sonnet-4-5"), ("Mistral", "mistral-large-latest")):
        for route in (False, True):
            title = f"{name}, texts of 15 kinds, {'a route for each' if route else 'one route'}"
            pairs = [
                [
                    Call(each["kind"] if route else "", each["text"], each["tokens"][model], output)
                    for each, output in zip(half, _repeated(outputs, len(half)), strict=True)
                ]
                for half, outputs in ((learnt, first), (held_out, second))
            ]
            yield DataSet(title, model, pairs[0], pairs[1], Texts())


def _repeated(values: list[int], length: int) -> list[int]:
    return (values * (length // len(values) + 1))[:length]


# --- figures ----------------------------------------------------------------------------------

HEAD: Final = (
    "settled before",
    "input, median error",
    "all tokens, median error",
    "p95 under-estimate",
    "hold ÷ charge p50",
    "p95",
    "mean",
    "under-held",
    "refused though affordable",
)


def _at(values: list[float], percent: int) -> float:
    return sorted(values)[min(len(values) * percent // 100, len(values) - 1)]


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def _table(rows: Iterable[Sequence[str]], first: str) -> str:
    head = (first, *HEAD[1:])
    lines = [head, ("---", *["---:"] * (len(head) - 1)), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Print a section for each data set, and draw."""
    panels: list[Panel] = []
    sets = list(traces())
    if not sets:
        sys.exit(f"there are no traces in {DATA}: set PTMETER_DATA")
    for data in (*sets, *texts(sets[0])):
        print(f"\n### {data.name}\n\n`{data.model}`, {len(data.held_out):,} calls held out.")
        print(f"All tokens, median error of the best length for each route: {_share(floor(data))}.\n")
        rows: list[list[str]] = []
        known = Calibration()
        for stage in STAGES:
            settled = min(stage, len(data.learnt))
            known = taught(data, settled)
            result = tried(data, known, AT_99)
            rows.append([f"{settled:,}" if settled else "0 (cold)", *result.row()])
        print(_table(rows, "settled before, holding 99 %"))
        panels.append(Panel(data.name, data.model, result.points))
        policies = ((str(each) if each else "at most", tried(data, known, each)) for each in POLICIES)
        print(
            "\n" + _table(([name, *each.row()] for name, each in policies), f"policy, {settled:,} settled")
        )
    PICTURE.write_text(draw(panels), encoding="utf-8")
    print(f"\nwrote {PICTURE.relative_to(ROOT)}")


CATALOGUE: Final = GenaiPrices()

if __name__ == "__main__":
    main()
