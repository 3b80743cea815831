"""Commands for mitigations: see which hold, apply one, undo it, and let margins call for them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer

from ..domain.margin_mitigations import MitigationTerms
from ..domain.policy import Durability
from ..domain.rates import WHOLE
from ..errors import InvalidArgumentError
from . import options
from .failures import ExitCode
from .margins import Since, Until, day

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from rich.table import Table

    from .._sync import Meter
    from ..domain.margin_mitigations import Mitigated
    from ..domain.mitigations import Mitigation

T = TypeVar("T")

TERMS: Final = MitigationTerms()

Id = Annotated[str, typer.Argument(metavar="ID", help="As `ptmeter mitigations list` shows it.")]
Unit = Annotated[str, typer.Argument(metavar="UNIT", help="Whose models are used less, such as advanced.")]
Share = Annotated[
    str,
    typer.Option(
        "--share", metavar="PERCENT", help="Of a cycle's PT so much may be of the unit; 0 closes it."
    ),
]
Hours = Annotated[int, typer.Option("--hours", metavar="N", min=1, help="For how long.")]
Author = Annotated[str, typer.Option("--by", metavar="NAME", help="Who does it; it stays on record.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it stays on record, and on the calls' rows.")]
Why = Annotated[str, typer.Option("--reason", help="Why; it stays on record.")]
Key = Annotated[str, typer.Option("--key", metavar="KEY", help="Your own name for the request.")]
Whose = Annotated[
    str | None, typer.Option("--account", metavar="ACCOUNT", help="For this account and all below it.")
]
OnPlan = Annotated[str | None, typer.Option("--plan", metavar="PLAN", help="For accounts on this plan.")]
From = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help="When it begins; now if left out.")
]
Active = Annotated[bool, typer.Option("--active", help="Only those that hold now.")]
Before = Annotated[
    str | None, typer.Option("--before", metavar="ID", help="Go on where the page before ended.")
]
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, max=10_000, help="Lines on a page.")]
Apply = Annotated[bool, typer.Option("--apply", help="Have them hold, instead of only saying what would.")]
Floor = Annotated[
    str,
    typer.Option(
        "--floor", metavar="PERCENT", help="Below this margin of the platform the unit is closed."
    ),
]
Calls = Annotated[
    int, typer.Option("--calls", metavar="N", min=1, help="What made fewer calls calls for nothing.")
]


def list_(
    *,
    db: options.Database,
    active: Active = False,
    before: Before = None,
    limit: Limit = 100,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """List mitigations, the last to begin first: of whom, until when, by whom and why, and who undid them."""
    from .writing import remark, screen, write_json

    options.must_exist(db)
    with options.open_meter(db, options.rate_card(None), options.policy(durability)) as meter:
        found = meter.mitigations.list(active=active, before=before, limit=limit)
    if as_json:
        write_json({"mitigations": [_document(each) for each in found]})
        return ExitCode.OK
    out = screen()
    out.print(_table(found))
    if len(found) == limit:
        out.print(remark(f"there may be more: add --before {found[-1].id}"))
    return ExitCode.OK


def apply(
    unit: Unit,
    *,
    db: options.Database,
    share: Share,
    hours: Hours,
    by: Author,
    reason: Reason,
    key: Key,
    account: Whose = None,
    plan: OnPlan = None,
    start: From = None,
    plans: options.PlansFile = None,
    card: options.CardFile = None,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """Have a unit used less, or not at all, for so many hours: by everybody, an account, or those on a plan."""
    begins = None if start is None else options.moment(start, "--from")
    found = _on_ledger(
        db,
        durability,
        lambda meter: meter.mitigations.apply(
            unit=unit,
            share=_percent(share, "--share"),
            lasts=timedelta(hours=hours),
            by=by,
            reason=reason,
            key=key,
            account=account,
            plan=plan,
            starts_at=begins,
        ),
        plans=plans,
        card=card,
    )
    return _answer(found, as_json=as_json)


def undo(
    mitigation: Id,
    *,
    db: options.Database,
    by: Author,
    reason: Why,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """Have a mitigation be over from now on; it stays on record, with who undid it and why."""
    found = _on_ledger(
        db, durability, lambda meter: meter.mitigations.undo(mitigation, by=by, reason=reason)
    )
    return _answer(found, as_json=as_json)


def from_margins(
    *,
    db: options.Database,
    since: Since = None,
    until: Until = None,
    apply: Apply = False,
    floor: Floor = f"{TERMS.floor / 100:g}",
    share: Share = f"{TERMS.share / 100:g}",
    calls: Calls = TERMS.calls,
    plans: options.PlansFile = None,
    card: options.CardFile = None,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    Say which mitigations the margins of some days call for, or apply them.

    The present day, in UTC, if no days are said. Run it as often as you like: a
    window is mitigated once.
    """
    from .writing import remark, screen, write_json

    first, end = day(since, "--since"), day(until, "--until")
    terms = replace(TERMS, floor=_percent(floor, "--floor"), share=_percent(share, "--share"), calls=calls)
    done = _on_ledger(
        db,
        durability,
        lambda meter: meter.mitigations.from_margins(since=first, until=end, apply=apply),
        plans=plans,
        card=card,
        terms=terms,
    )
    if as_json:
        write_json(_done_document(done))
        return ExitCode.OK
    out = screen()
    if done.called_for:
        out.print(_table(done.called_for))
    out.print(remark(str(done)))
    return ExitCode.OK


COMMANDS = (
    (list_, ("ptmeter mitigations list --active", "ptmeter mitigations list --json")),
    (
        apply,
        (
            "ptmeter mitigations apply advanced --share 0 --hours 12 --by ann --reason 'margin 38 %' --key m1",
            "ptmeter mitigations apply advanced --share 10 --hours 48 --by ann --reason abuse --key m2 --account acme",
        ),
    ),
    (undo, ("ptmeter mitigations undo 8f3a5be0c1d2e3f4 --by bob --reason 'prices were wrong'",)),
    (
        from_margins,
        (
            "ptmeter mitigations from-margins",
            "ptmeter mitigations from-margins --since 2026-08-01 --until 2026-09-01 --floor 45 --apply",
        ),
    ),
)
"""Every command, with examples of it."""


def _on_ledger(
    db: str,
    durability: Durability,
    work: Callable[[Meter], T],
    *,
    plans: Path | None = None,
    card: Path | None = None,
    terms: MitigationTerms = TERMS,
) -> T:
    options.must_exist(db)
    policy = replace(options.policy(durability), mitigations=terms)
    chosen = options.plan_file(plans)
    with options.open_meter(db, options.rate_card(card), policy, plans=chosen) as meter:
        return work(meter)


def _percent(text: str, option: str) -> int:
    """A percentage in ten-thousandths, exactly."""
    try:
        found = Decimal(text) * WHOLE / 100
        if found == found.to_integral_value():
            return int(found)
    except (InvalidOperation, OverflowError, ValueError):
        pass
    msg = f"{option} takes a percentage with at most two decimals, such as 12.5, not {text!r}"
    raise InvalidArgumentError(msg)


def _answer(found: Mitigation, *, as_json: bool) -> int:
    from .writing import screen, write_json

    if as_json:
        write_json(_document(found))
    else:
        screen().print(_table([found]))
    return ExitCode.OK


# --- for people ---


def _table(found: Sequence[Mitigation]) -> Table:
    from .writing import safe, table, time_text

    told = ("~begins (UTC)", "~ends (UTC)", "~by", "~reason", "~undone")
    made = table("mitigations", "id", "~for", "unit", ">share", *told)
    for each in found:
        undone = ""
        if each.undone_at:
            undone = f"{time_text(each.undone_at)} by {each.undone_by}: {each.undone_because}"
        made.add_row(
            each.id,
            safe(each.scope or "everybody"),
            safe(each.unit),
            f"{each.share / 100:g} %",
            time_text(each.starts_at),
            time_text(each.ends_at),
            safe(each.by),
            safe(each.reason),
            safe(undone),
        )
    return made


# --- for scripts ---


def _document(found: Mitigation) -> dict[str, Any]:
    return {
        "id": found.id,
        "key": found.key,
        "scope": found.scope,
        "unit": found.unit,
        "share": f"{Decimal(found.share) / WHOLE:f}",
        "starts_at": found.starts_at.isoformat(),
        "ends_at": found.ends_at.isoformat(),
        "by": found.by,
        "reason": found.reason,
        "undone_at": found.undone_at and found.undone_at.isoformat(),
        "undone_by": found.undone_by or None,
        "undone_because": found.undone_because or None,
        "replayed": found.replayed,
    }


def _done_document(done: Mitigated) -> dict[str, Any]:
    return {
        "since": done.since.isoformat(),
        "until": done.until.isoformat(),
        "calls": done.calls,
        "called_for": [_document(each) for each in done.called_for],
        "standing": [_document(each) for each in done.standing],
        "applied": [_document(each) for each in done.applied],
    }
