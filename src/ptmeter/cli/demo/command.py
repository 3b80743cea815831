"""The command that shows ptmeter at work."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...domain.limits import NO_LIMITS
from ...domain.plans import Plans
from ...domain.policy import Policy
from ...errors import InvalidArgumentError
from .. import options
from ..failures import ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._sync import Meter
    from ...domain.estimates import Estimate
    from .figures import Figures
    from .workload import Planned


def demo(
    *,
    calls: Annotated[
        int, typer.Option("--calls", metavar="N", min=1, help="How many calls are made.")
    ] = 3_000,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="The same seed gives the same calls.")
    ] = 2023,
    keep: Annotated[
        Path | None,
        typer.Option(
            "--keep", metavar="PATH", help="Keep the ledger in this SQLite file, to look around in."
        ),
    ] = None,
    as_json: options.AsJson = False,
) -> int:
    """
    Show ptmeter at work: three accounts, eight threads, thousands of calls.

    Everything is real but the models: requests are counted and estimated, PT
    are held, charged, given back and expired on an SQLite ledger, one account
    runs dry, and in the end every row is verified. It needs no server, no key
    and no network.
    """
    with tempfile.TemporaryDirectory(prefix="ptmeter-demo-") as folder:
        if keep is not None and keep.exists():
            msg = f"{keep} exists already, and the demonstration begins with an empty ledger: name another file"
            raise InvalidArgumentError(msg)
        return _show(keep or Path(folder) / "demo.db", calls, seed, kept=keep, as_json=as_json)


def _show(file: Path, calls: int, seed: int, *, kept: Path | None, as_json: bool) -> int:
    from ... import configuration
    from ..._sync import Meter
    from ..writing import screen, write_json
    from .report import closing, document, opening
    from .workload import plan_calls

    planned = plan_calls(calls, seed)
    card, plans = configuration.reference_card(), _unhurried(configuration.reference_plans())
    out = screen()
    with Meter.open(f"sqlite:///{file}", card=card, plans=plans, policy=Policy()) as meter:
        estimates = _estimates(meter, planned)
        if not as_json:
            out.print(*opening(card, plans, estimates, calls), sep="\n")
        units = {model: card.rule(model).unit for model in {call.model for call in planned}}
        figures = _play(meter, planned, units, tuple(card.units))
    if as_json:
        write_json(document(figures, card, seed))
    else:
        out.print(*closing(figures, card, kept), sep="\n")
    return ExitCode.OK if figures.report.clean else ExitCode.FAILED


def _estimates(meter: Meter, planned: Sequence[Planned]) -> list[tuple[Planned, Estimate]]:
    """Estimate the first call of each model, for show; the calls themselves are estimated as they are made."""
    from .workload import MAX_TOKENS

    first = {call.model: call for call in reversed(planned)}
    shown = sorted(first.values(), key=lambda call: call.number)
    return [(call, meter.estimate(call.model, call.messages(), max_tokens=MAX_TOKENS)) for call in shown]


def _play(meter: Meter, planned: Sequence[Planned], units: dict[str, str], names: Sequence[str]) -> Figures:
    from ..progress import bar
    from .figures import Figures, read_back, refusals
    from .playing import ABANDONED_FOR, Application
    from .workload import CUSTOMERS, Ending

    application = Application(meter)
    application.subscribe(CUSTOMERS)
    begun = time.monotonic()
    with bar("metering", len(planned)) as advance:
        endings = application.play(planned, advance)
    seconds = time.monotonic() - begun
    if Ending.ABANDONED in endings:
        time.sleep(ABANDONED_FOR.total_seconds())
    meter.sweep()
    wallets, models = read_back(meter, CUSTOMERS, names, refusals(planned, endings, units))
    return Figures(
        wallets,
        models,
        endings=Counter(endings),
        report=meter.verify(),
        top_ups=application.top_ups,
        seconds=seconds,
    )


def _unhurried(plans: Plans) -> Plans:
    """The plans without their limits: what customers do in a month is done here within seconds."""
    return Plans({name: replace(plan, limits=NO_LIMITS) for name, plan in plans.by_name.items()})
