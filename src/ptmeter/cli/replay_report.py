"""What a replayed trace came to, for scripts and for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from ..domain.pt import PT, Money
from ..domain.usage import INPUT_CLASSES
from .database import report_document, report_lines
from .earnings import margin, sales_value
from .writing import (
    facts,
    margin_light,
    money,
    money_text,
    number,
    pt,
    pt_text,
    remark,
    safe,
    share_text,
    table,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

    from .replaying import Run


def document(run: Run) -> dict[str, Any]:
    """The run as scripts read it."""
    totals, sales = run.totals, _sales(run)
    return {
        "trace": run.rating.trace.name,
        "format": run.rating.trace.format,
        "run": run.rating.key,
        "calls": totals.calls,
        "already_metered": totals.before,
        "malformed": run.surveyed.malformed,
        "refused": sum(totals.refused.values()),
        "refusals": totals.refused,
        "over_hold": totals.over_hold,
        "tokens": {name: count for name, count in totals.tokens.items() if count},
        "units": {
            name: {"held": pt_text(PT(unit.held)), "charged": pt_text(PT(unit.charged))}
            for name, unit in sorted(totals.units.items())
        },
        "cost": {currency: money_text(Money(nano, currency)) for currency, nano in totals.cost.items()},
        "sales": {sales.currency: money_text(sales)} if sales else {},
        "margin": share_text(margin(sales, totals.cost)),
        "seconds": round(run.seconds, 3),
        "calls_per_second": round(totals.calls / run.seconds, 1) if run.seconds else None,
        "interrupted": run.stopped,
        "verify": report_document(run.report) if run.report else None,
    }


def lines(run: Run) -> list[RenderableType]:
    """The run as people read it."""
    totals, sales = run.totals, _sales(run)
    share = margin(sales, totals.cost)
    speed = f"{run.seconds:,.1f} s, {totals.calls / run.seconds:,.0f} calls/s" if run.seconds else "–"
    costs = [money(Money(nano, currency)) for currency, nano in totals.cost.items()]
    summary: dict[str, RenderableType] = {
        "calls": Text.assemble(number(totals.calls), f"  in {speed}"),
        **({"before": Text(f"{totals.before:,} were metered by an earlier run")} if totals.before else {}),
        "malformed": number(run.surveyed.malformed),
        "refused": _refusals(run),
        "over hold": Text.assemble(number(totals.over_hold), remark("  cost more than was held for them")),
        "provider cost": Text(" + ").join(costs) if costs else remark("–"),
        "sales value": Text.assemble(money(sales, 2), "  margin ", margin_light(share))
        if sales
        else remark("–"),
    }
    return [
        facts(summary, f"{safe(run.rating.trace.name)}, {run.rating.trace.format}"),
        "",
        _tokens(run),
        "",
        _units(run),
        "",
        *(report_lines(run.report) if run.report else [remark("not verified")]),
    ]


def _sales(run: Run) -> Money | None:
    charged = {name: unit.charged for name, unit in run.totals.units.items()}
    return sales_value(charged, run.rating.pricing.card)


def _refusals(run: Run) -> Text:
    reasons = ", ".join(f"{count:,} {name}" for name, count in sorted(run.totals.refused.items()))
    return Text(reasons, style="red") if reasons else number(0)


def _tokens(run: Run) -> RenderableType:
    made = table("tokens", "class", ">tokens", ">a call")
    found = {name: count for name, count in run.totals.tokens.items() if count}
    for name, count in found.items():
        kind = "" if name in INPUT_CLASSES else "magenta"
        each = f"{count / run.totals.calls:,.0f}" if run.totals.calls else ""
        made.add_row(Text(name, style=kind), number(count), remark(each))
    return made


def _units(run: Run) -> RenderableType:
    made = table("PT", "unit", ">held", ">charged")
    for name, unit in sorted(run.totals.units.items()):
        made.add_row(name, pt(PT(unit.held)), pt(PT(unit.charged), "bold"))
    return made
