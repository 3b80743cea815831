"""
What limits cost: a hold with plan, limits, tallies and a team above it, routed or not, beside the bare hold.

All are made in turn, in one run, on the same database, each followed by its void. Run:
``python -m bench.bench_limits [--calls N] [--backend PostgreSQL|SQLite|MariaDB]``.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from random import Random
from statistics import median, quantiles
from time import perf_counter
from typing import TYPE_CHECKING

from bench.ledger.databases import BACKENDS, durability
from rich.console import Console
from rich.table import Table

from ptmeter import Meter, read_plans

if TYPE_CHECKING:
    from ptmeter import Plans

MANY = 10**9
"""Limits that are checked and never refuse."""


@dataclass
class Contender:
    """A meter and an account to hold for, and how long each hold took, in seconds."""

    name: str
    meter: Meter
    account: str
    wants: str = ""
    """The model that is asked for, if the call is routed before it is held for."""
    seconds: list[float] = field(default_factory=list[float])

    def once(self, key: str, *, timed: bool = True) -> None:
        """Hold one PT under that key, once it is said for which model, and give it back."""
        began = perf_counter()
        if self.wants:
            self.meter.route(self.account, model=self.wants)
        held = self.meter.hold(self.account, core=1, key=key)
        took = perf_counter() - began
        self.meter.void(held, key=key)
        if timed:
            self.seconds.append(took)

    def row(self, beside: Contender) -> tuple[str, ...]:
        """Median and 99th percentile in milliseconds, and how many times the other's they are."""
        mine, theirs = self.seconds, beside.seconds
        return (
            self.name,
            f"{1e3 * median(mine):.2f}",
            f"{1e3 * _p99(mine):.2f}",
            f"{median(mine) / median(theirs):.2f}",
            f"{_p99(mine) / _p99(theirs):.2f}",
        )


def main() -> None:
    """Time both and print one table; the ledger is verified at the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=4_000)
    parser.add_argument("--backend", choices=[*BACKENDS], default="PostgreSQL")
    asked = parser.parse_args()
    with (
        BACKENDS[asked.backend]() as url,
        Meter.open(url, migrate=True) as bare,
        Meter.open(url, plans=_plans()) as limited,
    ):
        contenders = _contenders(bare, limited)
        turns = Random(1)
        for number in range(asked.calls + 200):
            for each in turns.sample(contenders, len(contenders)):  # who comes next to himself is fastest
                each.once(f"{each.name} {number}", timed=number >= 200)
        clean = limited.verify().clean
    _show(contenders, asked.backend, asked.calls, clean=clean)


def _contenders(bare: Meter, limited: Meter) -> list[Contender]:
    bare.funds.grant("bare", core=1_000, source="bench", key="g")
    for account in ("alone", "team"):
        limited.plans.assign(account, "pro", key=account)
    limited.accounts.place("member", under="team")
    limited.accounts.limit("member", caps={"core": {"month": 1_000}})
    return [
        Contender("bare hold", bare, "bare"),
        Contender("with plan and limits", limited, "alone"),
        Contender("a member of a team, with a cap of its own", limited, "member"),
        Contender("the same, routed before", limited, "member", wants="gpt-4o"),
    ]


def _plans() -> Plans:
    """The reference plan pro, with room for a benchmark."""
    return read_plans(
        {
            "plans": {
                "pro": {
                    "price_per_month": 49,
                    "allowance": {"core": 100_000, "advanced": 50},
                    "units": ["core", "advanced"],
                    "requests_per_minute": MANY,
                    "requests_per_hour": MANY,
                    "concurrent": MANY,
                    "caps": {"core": {"day": 1_000_000}},
                    "spend_caps": {"month": 1_000_000},
                    "shares": {"advanced": {"soft": "20%", "hard": "25%", "overflow": 2}},
                    "burn": {"warn": "30%", "steps": [{"share": "40%", "wait": "30 min"}]},
                }
            },
            "downgrades": {"gpt-4o": ["gpt-4o-mini"]},
        }
    )


def _p99(seconds: list[float]) -> float:
    return quantiles(seconds, n=100)[98]


def _show(contenders: list[Contender], backend: str, calls: int, *, clean: bool) -> None:
    table = Table("hold", "p50 ms", "p99 ms", "p50 x bare", "p99 x bare")
    for each in contenders:
        table.add_row(*each.row(contenders[0]))
    console = Console()
    console.print(f"{backend}, {durability(backend)}; {calls} holds each, one caller; verified: {clean}")
    console.print(table)


if __name__ == "__main__":
    main()
