"""The command that meters a trace of real calls."""

from __future__ import annotations

import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..domain.policy import Durability, HoldSize
from ..errors import InvalidArgumentError, StorageError
from . import options
from .failures import ExitCode

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable
    from types import FrameType

    from .._sync import Meter
    from ..domain.ledger import Overage
    from .rating import Call, Rated, Rating
    from .replaying import Run
    from .traces import Malformed


TracePath = Annotated[Path, typer.Argument(metavar="TRACE", help="A trace's file, or ServeGen's folder.")]
Model = Annotated[
    str | None,
    typer.Option("--model", help="The model all calls are rated as; left out, those the trace names."),
]
Accounts = Annotated[
    int,
    typer.Option(
        "--accounts", metavar="N", min=1, help="Deal calls out to so many accounts, if the trace has none."
    ),
]
Batch = Annotated[
    int, typer.Option("--batch", metavar="N", min=1, max=5_000, help="Calls in one transaction.")
]
Limit = Annotated[int | None, typer.Option("--limit", metavar="N", min=1, help="Only so many calls.")]
Size = Annotated[HoldSize, typer.Option("--hold", help="What is held before the answer's length is known.")]
Key = Annotated[
    str | None, typer.Option("--key", help="Names the run; another key meters the same trace once more.")
]
Seed = Annotated[
    int, typer.Option("--seed", metavar="N", help="For the calls sampled from ServeGen's clients.")
]
Strict = Annotated[bool, typer.Option("--strict", help="Stop at the first malformed line.")]
Unverified = Annotated[bool, typer.Option("--no-verify", help="Leave out the check at the end.")]


@dataclass(slots=True)
class Stop:
    """Whether somebody asked to stop: `replay` finishes the running batch first."""

    asked: bool = False


def replay(
    *,
    trace: TracePath,
    db: options.Database,
    model: Model = None,
    accounts: Accounts = 10,
    batch: Batch = 500,
    limit: Limit = None,
    hold: Size = HoldSize.EXPECTED,
    key: Key = None,
    seed: Seed = 0,
    strict: Strict = False,
    unverified: Unverified = False,
    card: options.CardFile = None,
    prices: options.PricesFile = None,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    Meter a trace of real calls: fund its accounts, hold and settle each call.

    Run it again to finish a run that was interrupted, even killed: no call
    is charged twice. Calls are rated at today's prices and booked under the
    times in the trace.

    It reads the traces of Azure (2023, 2024), Mooncake with cached tokens,
    BurstGPT and ServeGen, and any file with the columns timestamp,
    input_tokens and output_tokens, and cached_tokens, model and account if
    it has them.
    """
    from .progress import bar
    from .rating import KnownCounts, Rating
    from .replaying import Run, Totals, survey
    from .traces import open_trace

    chosen = options.policy(durability, hold)
    rates = options.pricing(card, prices, chosen, KnownCounts())
    rating = Rating(open_trace(trace, seed=seed), rates, model=model, accounts=accounts, key=key)
    rating.check()
    with bar("rating", limit) as advance:
        surveyed = survey(rating.calls(limit), lambda line: _report(line, rating, strict=strict), advance)
    if not surveyed.calls:
        msg = f"{trace} has no call that can be metered, and {surveyed.malformed} malformed lines"
        raise InvalidArgumentError(msg)
    run = Run(rating, surveyed, Totals())
    with options.open_meter(db, rates.card, chosen) as meter:
        _meter(meter, run, limit=limit, size=batch, overage=chosen.overage)
        if not unverified and not run.stopped:
            run.report = meter.verify()
    return _conclude(run, as_json=as_json)


def _report(line: Malformed, rating: Rating, *, strict: bool) -> None:
    message = f"{rating.trace.name}, line {line.line}: {line.problem}"
    if strict:
        raise InvalidArgumentError(message)
    sys.stderr.write(f"ptmeter: {message}\n")


def _meter(meter: Meter, run: Run, *, limit: int | None, size: int, overage: Overage) -> None:
    from .progress import bar
    from .replaying import Metering, batches, fund

    begun = time.monotonic()
    fund(meter, run.rating, run.surveyed, size=size)
    metering = Metering(meter, run.totals, overage)
    try:
        with _stoppable() as stop, bar("metering", run.surveyed.calls) as advance:
            for batch in batches(_readable(run.rating.calls(limit)), size):
                metering.carry_out(batch)
                advance(len(batch))
                if stop.asked:
                    break
            run.stopped = stop.asked and run.totals.seen < run.surveyed.calls
    except (StorageError, KeyboardInterrupt):
        sys.stderr.write(_how_to_go_on(run))
        raise
    run.seconds = time.monotonic() - begun


def _readable(rated: Iterable[Rated]) -> Generator[Call]:
    from .rating import Call

    return (call for call in rated if isinstance(call, Call))


@contextmanager
def _stoppable() -> Generator[Stop]:
    """Let the first Ctrl-C ask to stop after the running batch; the second interrupts at once."""
    stop = Stop()

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.stderr.write("\nptmeter: finishing the running batch; Ctrl-C again stops at once\n")

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _how_to_go_on(run: Run) -> str:
    from .writing import counted

    return (
        f"ptmeter: stopped after {run.totals.calls:,} of {counted(run.surveyed.calls, 'call')}; run the same "
        f"command again to go on: what is metered already is not charged twice\n"
    )


def _conclude(run: Run, *, as_json: bool) -> int:
    from .replay_report import document, lines
    from .writing import screen, write_json

    if as_json:
        write_json(document(run))
    else:
        screen().print(*lines(run), sep="\n")
    if run.stopped:
        sys.stderr.write(_how_to_go_on(run))
        return ExitCode.INTERRUPTED
    if run.report and not run.report.clean:
        return ExitCode.FAILED
    return ExitCode.REFUSED if run.totals.refused else ExitCode.OK
