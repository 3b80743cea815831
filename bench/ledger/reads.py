"""
Reading from a large ledger: ``python -m bench.ledger.reads URL`` after `load` has built it.

A balance, a page of a statement, and a month's summary, of one account after another at random, by one
caller, through the public face.
"""

from __future__ import annotations

import argparse
import random
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from ptmeter import Meter

from .load import ACCOUNTS
from .ours import account
from .year import BEGIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def measure(url: str, *, accounts: int = ACCOUNTS, count: int = 1_000) -> Iterator[tuple[str, list[float]]]:
    """What each kind of read took, in seconds, sorted; every account is as likely as every other."""
    chosen = random.Random(1)

    def anyone() -> str:
        return account(chosen.randrange(accounts))

    with Meter.open(url) as meter:
        yield "balance", _timed(lambda: meter.balance(anyone()), count)
        yield (
            "statement, first page of a month",
            _timed(
                lambda: meter.statement(anyone(), since=(month := _month(chosen)), until=month + _MONTH),
                count,
            ),
        )
        yield (
            "summary of a month",
            _timed(
                lambda: meter.summary(anyone(), since=(month := _month(chosen)), until=month + _MONTH),
                count,
            ),
        )


_MONTH: Final = timedelta(days=30)


def _month(chosen: random.Random) -> Any:
    return BEGIN + timedelta(days=1 + 30 * chosen.randrange(12))


def _timed(read: Callable[[], object], count: int) -> list[float]:
    for _ in range(min(count, 50)):
        read()
    took: list[float] = []
    for _ in range(count):
        begin = time.perf_counter()
        read()
        took.append(time.perf_counter() - begin)
    return sorted(took)


def main() -> None:
    """Measure reads at a URL."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="a ledger that `load` built")
    parser.add_argument("--accounts", type=int, default=ACCOUNTS)
    parser.add_argument("--count", type=int, default=1_000)
    asked = parser.parse_args()
    for what, took in measure(asked.url, accounts=asked.accounts, count=asked.count):
        p50, p99 = (took[int(len(took) * q)] * 1e3 for q in (0.5, 0.99))
        print(f"{what:<36} p50 {p50:6.2f} ms   p99 {p99:6.2f} ms")


if __name__ == "__main__":
    main()
