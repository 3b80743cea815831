"""Run the contest and print one table: ``python -m bench.ledger`` from the repository's root."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from rich.console import Console

from . import cte, hordak, machine, ours, pgbench, plain, plpgsql, race, raw_sqlite, table
from .contest import compete

EVERYONE = (plain, cte, pgbench, plpgsql, hordak, ours, raw_sqlite)
WIDTH = 250


def main() -> int:
    """Run, print, and fail if a ledger does not verify."""
    asked = _arguments()
    words = asked.only.lower().split(",") if asked.only else [""]
    contestants = [
        contestant
        for module in EVERYONE
        for contestant in module.contestants()
        if any(
            word in f"{module.__name__} {contestant.name} {contestant.about.backend}".lower()
            for word in words
        )
    ]
    progress, console = Console(stderr=True), Console(width=WIDTH)
    title = f"hold + settle, {asked.rounds} rounds of {asked.seconds:g} s each; {machine.described()}"

    def told(what: str) -> None:
        progress.print(what, style="dim", highlight=False)

    standings = compete(
        contestants, rounds=asked.rounds, seconds=asked.seconds, fsync=machine.fsync_latency, told=told
    )
    races = []
    if not asked.only or "race" in words:
        told("a thousand holds at the same moment")
        races = race.races(asked.rounds)

    console.print(table.drawn(standings, races, title))
    for aim in table.aims(standings, races):
        console.print(aim, highlight=False)
    if asked.json:
        result = {"title": title, "rows": table.as_json(standings, races)}
        Path(asked.json).write_text(json.dumps(result, indent=1))
    return int(any(s.problem for s in standings) or any(r.problem or not r.exact for r in races))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.ledger", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3, help="how long each runs in a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only", help="words, separated by commas: run what has one in its name or backend"
    )
    parser.add_argument("--json", metavar="FILE", help="write every figure to FILE, too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
