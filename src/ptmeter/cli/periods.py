"""Commands for accounting months: close one, see how they stand, and what a closed one comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ..domain.policy import Durability
from . import options
from .failures import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.table import Table
    from rich.text import Text

    from .._sync import Meter
    from ..domain.accounting import Movement, RollForward, TrialBalance
    from ..domain.periods import PeriodEvent, PeriodReport

T = TypeVar("T")

Month = Annotated[str, typer.Argument(metavar="PERIOD", help="The month, such as 2026-08.")]
By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who does it; it stays on record.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stays on record.")]
Approver = Annotated[str, typer.Option("--approved-by", metavar="NAME", help="The second person.")]


def close(
    period: Month,
    *,
    db: options.Database,
    by: By,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    Record where every wallet stood at the end of a month, and seal it.

    Nobody has to stop writing. Run again, it goes on where it stopped; a
    sealed month stays as it is. Publish the hash that it prints.
    """
    report = _on_ledger(db, durability, lambda meter: meter.periods.close(period, by=by))
    return _answer(report_document(report), [str(report)], as_json=as_json)


def reopen(
    period: Month,
    *,
    db: options.Database,
    by: By,
    approved_by: Approver,
    reason: Reason,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    Withdraw the seal of the last sealed month: takes a reason and two persons.

    Nothing can be booked into it by this. Closing it again records every
    wallet anew; the old seal stays on record.
    """
    report = _on_ledger(
        db,
        durability,
        lambda meter: meter.periods.reopen(period, reason=reason, by=by, approved_by=approved_by),
    )
    return _answer(report_document(report), [str(report)], as_json=as_json)


def show(
    period: Month,
    *,
    db: options.Database,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """Show how a month stands, and everything that happened to it."""
    report = _on_ledger(db, durability, lambda meter: meter.periods.show(period))
    return _answer(report_document(report), [str(report), _history_table(report)], as_json=as_json)


def list_(
    *,
    db: options.Database,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """List the months whose close was ever begun, and how each stands."""
    found = _on_ledger(db, durability, lambda meter: meter.periods.list())
    document = {"periods": [report_document(report) for report in found]}
    return _answer(document, [_standings_table(found)], as_json=as_json)


def trial_balance(
    period: Month,
    *,
    db: options.Database,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """Show every side of every unit at both ends of a sealed month; they sum to zero."""
    found = _on_ledger(db, durability, lambda meter: meter.periods.trial_balance(period))
    return _answer(_balance_document(found), [_balance_table(found)], as_json=as_json)


def roll_forward(
    period: Month,
    *,
    db: options.Database,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """Show how a sealed month led from what there was to what there is, by unit and age of the lots."""
    found = _on_ledger(db, durability, lambda meter: meter.periods.roll_forward(period))
    return _answer(_roll_document(found), [_roll_table(found)], as_json=as_json)


COMMANDS = (
    (close, ("ptmeter periods close 2026-08 --by ann",)),
    (show, ("ptmeter periods show 2026-08 --json | jq -r .hash",)),
    (list_, ("ptmeter periods list",)),
    (
        reopen,
        ("ptmeter periods reopen 2026-08 --by ann --approved-by bob --reason 'a wallet was restored'",),
    ),
    (trial_balance, ("ptmeter periods trial-balance 2026-08",)),
    (roll_forward, ("ptmeter periods roll-forward 2026-08 --json",)),
)
"""Every command, with examples of it."""


def _on_ledger(db: str, durability: Durability, work: Callable[[Meter], T]) -> T:
    options.must_exist(db)
    with options.open_meter(db, options.rate_card(None), options.policy(durability)) as meter:
        return work(meter)


def _answer(document: dict[str, Any], shown: Sequence[Any], *, as_json: bool) -> int:
    from .writing import screen, write_json

    if as_json:
        write_json(document)
    else:
        screen().print(*shown, sep="\n")
    return ExitCode.OK


# --- for scripts ---


def report_document(report: PeriodReport) -> dict[str, Any]:
    """How a period stands, as scripts read it."""
    return {
        "period": report.name,
        "start": report.start.isoformat(),
        "end": report.end.isoformat(),
        "state": report.state.name.lower(),
        "revision": report.revision,
        "wallets": report.wallets,
        "hash": report.hash,
        "history": [_event_document(event) for event in report.history],
    }


def _event_document(event: PeriodEvent) -> dict[str, Any]:
    return {
        "number": event.number,
        "state": event.state.name.lower(),
        "at": event.at.isoformat(),
        "by": event.by,
        "approved_by": event.approved_by,
        "reason": event.reason,
        "wallets": event.wallets,
        "hash": event.hash.hex(),
    }


def _balance_document(found: TrialBalance) -> dict[str, Any]:
    from .writing import pt_text

    return {
        "period": found.period,
        "balanced": found.balanced,
        "lines": [
            {
                "unit": line.unit,
                "side": line.side,
                "opening": pt_text(line.opening),
                "closing": pt_text(line.closing),
            }
            for line in found.lines
        ],
    }


def _roll_document(found: RollForward) -> dict[str, Any]:
    from ..domain.accounting import Movement
    from .writing import pt_text

    def line(movement: Movement) -> dict[str, str]:
        unit, age, *figures = movement
        amounts = zip(Movement._fields[2:], figures, strict=True)
        written = {name: pt_text(amount) for name, amount in amounts}
        return {"unit": unit, "age": age, **written, "closing": pt_text(movement.closing)}

    return {
        "period": found.period,
        "ties": found.ties,
        "lines": [line(movement) for movement in found.lines],
        "totals": [line(movement) for movement in found.totals],
    }


# --- for people ---


def _history_table(report: PeriodReport) -> Table:
    from .writing import number, safe, table, time_text

    made = table(report.name, ">#", "~when (UTC)", "what", "~by", "~approved by", ">wallets", "~reason")
    for event in report.history:
        made.add_row(
            number(event.number),
            time_text(event.at),
            event.state.name.lower(),
            safe(event.by),
            safe(event.approved_by),
            number(event.wallets),
            safe(event.reason),
        )
    return made


def _standings_table(found: Sequence[PeriodReport]) -> Table:
    from .writing import number, table

    made = table("periods", "period", "state", ">wallets", "hash")
    for report in found:
        made.add_row(report.name, report.state.name.lower(), number(report.wallets), report.hash)
    return made


def _balance_table(found: TrialBalance) -> Table:
    from .writing import pt, remark, table

    made = table(f"trial balance {found.period}", "unit", "side", ">opening", ">closing")
    for line in found.lines:
        made.add_row(line.unit, line.side, pt(line.opening), pt(line.closing))
    made.caption = remark("each unit sums to zero" if found.balanced else "A UNIT DOES NOT SUM TO ZERO")
    return made


def _roll_table(found: RollForward) -> Table:
    from .writing import remark, table

    lines = [*found.lines, *found.totals]
    columns = figures(lines)
    made = table(f"roll-forward {found.period}", "unit", "age", *(f">{column}" for column in columns))
    for place, line in enumerate(lines):
        made.add_row(line.unit, line.age, *(column[place] for column in columns.values()))
    went_out = [name for name in ("charged", "lapsed", "reversed") if name in columns]
    made.caption = remark(
        f"opening + granted + adjusted + lent - {' - '.join(went_out)} = closing; age in days"
        if found.ties
        else "IT DOES NOT ADD UP"
    )
    return made


def figures(lines: Sequence[Movement], closing: str = "") -> dict[str, list[Text]]:
    """The columns of a table of movements, by name; what no payment was disputed or refunded for is left out."""
    from .writing import pt

    came_in, went_out = ("opening", "granted", "adjusted", "lent"), ("charged", "lapsed", "reversed")
    columns = {name: [pt(getattr(line, name)) for line in lines] for name in (*came_in, *went_out)}
    columns["closing"] = [pt(line.closing, closing) for line in lines]
    columns["of it held"] = [pt(line.held) for line in lines]
    columns["of it frozen"] = [pt(line.frozen) for line in lines]
    if not any(line.reversed for line in lines):
        del columns["reversed"]
    if not any(line.frozen for line in lines):
        del columns["of it frozen"]
    return columns
