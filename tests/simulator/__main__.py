"""`python -m tests.simulator --seed N`: run one seed, or many, and say what happened."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections import Counter
from time import monotonic

from tests.simulator.simulation import Result, simulate

LAST = 40
"""Lines of a trace that are shown with a violation."""


def main() -> int:
    """Run what the command line asks for; returns 1 on a violation."""
    parser = ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the first seed to run")
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--steps", type=int, default=40, help="requests in a run")
    parser.add_argument("--trace", action="store_true", help="print everything that happened")
    asked = parser.parse_args()
    began = monotonic()
    seen: Counter[str] = Counter()
    hours = 0.0
    for seed in range(asked.seed, asked.seed + asked.seeds):
        result = simulate(seed, steps=asked.steps)
        seen += result.seen
        hours += result.seconds / 3_600
        if asked.trace:
            print(*result.trace, sep="\n")
        if result.violation:
            report(result, [] if asked.trace else result.trace[-LAST:])
            return 1
    for what, times in sorted(seen.items()):
        print(f"{times:8d}  {what}")
    took = monotonic() - began
    print(f"{asked.seeds} seeds, {hours:.1f} virtual hours in {took:.1f} s: nothing went wrong")
    return 0


def report(result: Result, trace: list[str]) -> None:
    """Say what was violated, what happened before, and how to see it again."""
    print(*trace, sep="\n")
    print(f"seed {result.seed}: {result.violation}")
    print(f"replay: python -m tests.simulator --seed {result.seed} --steps {result.steps} --trace")


if __name__ == "__main__":
    sys.exit(main())
