"""The command for margins: what was earned, what it cost, and whether that is enough."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ..domain.margins import Grouping, Light
from ..domain.policy import Durability
from ..errors import ConfigurationError, InvalidArgumentError
from . import options
from .failures import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table
    from rich.text import Text

    from ..domain.margins import Margin, MarginReport

By = Annotated[Grouping, typer.Option("--by", help="What margins are told apart by.")]
Since = Annotated[
    str | None, typer.Option("--since", metavar="DAY", help="The first day, in UTC, such as 2026-08-01.")
]
Until = Annotated[str | None, typer.Option("--until", metavar="DAY", help="The day after the last.")]
Svg = Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="Draw the chart into this file.")]
Png = Annotated[
    Path | None,
    typer.Option("--png", metavar="FILE", help="Paint it into this file; takes ptmeter\\[pictures]."),
]

BAR: Final = 40
"""Columns of the longest bar in a terminal."""

LONGEST: Final = 26
"""Characters of a name beside its bar; the table has the whole of it."""

EXAMPLES: Final = (
    "ptmeter margins --by model --since 2026-08-01 --until 2026-09-01",
    "ptmeter margins --by day --png margins.png",
    "ptmeter margins --by account --json | jq '.lines[] | select(.light == \"red\")'",
)


def margins(
    *,
    db: options.Database,
    by: By = Grouping.PLATFORM,
    since: Since = None,
    until: Until = None,
    svg: Svg = None,
    png: Png = None,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """
    Show what was earned as PT were used, what the provider charged, and the margin.

    Green from 65 % on, yellow from 50 % on, red below; burn is the share of
    advanced PT in all that were used, against its target.
    """
    _check_suffix("--svg", svg, "an SVG", ".svg")
    _check_suffix("--png", png, "a PNG", ".png")
    options.must_exist(db)
    first, end = day(since, "--since"), day(until, "--until")
    with options.open_meter(db, options.rate_card(None), options.policy(durability)) as meter:
        found = meter.margins.report(by=by, since=first, until=end)
    undrawn = _draw(found, svg, png)
    from .writing import remark, screen, write_json

    if undrawn:
        told = f"no font here has {' '.join(undrawn)}: {png} has other letters instead; --svg has them all"
        screen(errors=True).print(remark(told))
    if as_json:
        write_json(_document(found))
    else:
        screen().print(_table(found), *_chart(found), *_remarks(found), sep="\n")
    return ExitCode.OK


def day(text: str | None, option: str) -> date | None:
    """
    The day that *text* names, if it names one.

    Raises:
        InvalidArgumentError: It is none.
    """
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        msg = f"{option} takes a day, such as 2026-08-01, not {text!r}"
        raise InvalidArgumentError(msg) from None


def _check_suffix(option: str, file: Path | None, what: str, suffix: str) -> None:
    """Refuse a name that says the file is something else; one without a suffix says nothing."""
    if file and file.suffix.lower() not in ("", suffix):
        msg = f"{option} writes {what}, and {file.name} does not end with {suffix}: name the file so"
        raise InvalidArgumentError(msg)


def _draw(found: MarginReport, svg: Path | None, png: Path | None) -> str:
    """Write the pictures; returns the letters that could not be drawn in the PNG."""
    if not (svg or png):
        return ""
    from . import margin_painting, margin_picture

    picture = margin_picture.layout(f"Gross margin by {found.by}, {_span(found)}", found.lines)
    try:
        if svg:
            svg.write_text(margin_picture.svg(picture), encoding="utf-8")
        return margin_painting.write_png(picture, png) if png else ""
    except OSError as problem:
        msg = f"the picture cannot be written: {problem}"
        raise ConfigurationError(msg) from problem


def _span(found: MarginReport) -> str:
    since = f"since {found.since}" if found.since else "from the beginning"
    return f"{since} until {found.until}" if found.until else since


# --- for scripts ---


def _document(found: MarginReport) -> dict[str, Any]:
    return {
        "by": str(found.by),
        "since": found.since and found.since.isoformat(),
        "until": found.until and found.until.isoformat(),
        "lines": [_line_document(line) for line in found.lines],
        "totals": [_line_document(line) for line in found.totals],
    }


def _line_document(line: Margin) -> dict[str, Any]:
    from .writing import amounts, money_text

    return {
        "name": line.name,
        "currency": line.revenue.currency,
        "calls": line.calls,
        "charged": amounts(line.charged),
        "unvalued": amounts(line.unvalued),
        "revenue": money_text(line.revenue),
        "cost": money_text(line.cost),
        "gross": money_text(line.gross),
        "share": _share(line.share),
        "light": line.light,
        "burn": _share(line.burn),
        "burn_light": line.burn_light,
    }


def _share(share: int | None) -> str | None:
    """A share as scripts read it: ``"0.8315"``."""
    from ..domain.pt import plain
    from ..domain.rates import WHOLE

    return None if share is None else plain(share, WHOLE).replace(",", "")


# --- for people ---


def _table(found: MarginReport) -> Table:
    from .writing import money, number, safe, table

    made = table(
        f"Margins by {found.by}, {_span(found)}",
        *(f"~{found.by}", ">calls", ">revenue", ">provider cost", ">gross margin", ">share", ">burn"),
    )
    for line in (*found.lines, *(() if found.by is Grouping.PLATFORM else found.totals)):
        if line is next(iter(found.totals), None):
            made.add_section()
        made.add_row(
            safe(line.name) or "(none)",
            number(line.calls),
            money(line.revenue),
            money(line.cost),
            money(line.gross),
            _lit(line.share, line.light),
            _lit(line.burn, line.burn_light),
        )
    if not found.lines:
        made.caption = "nothing was charged"
    return made


def _lit(share: int | None, light: Light | None) -> Text:
    """A share under its light, which is named too: not everybody sees colours, and no file has any."""
    from rich.text import Text

    from .margin_picture import percent

    if light is None:
        return Text("–", style="dim")
    return Text(f"{'–' if share is None else percent(share)} {light}", style=str(light))


def _chart(found: MarginReport) -> Iterator[Text]:
    """A bar for each line, as long as its revenue or, if that is more, its cost."""
    from rich.cells import cell_len, set_cell_size
    from rich.text import Text

    from .lettering import clipped
    from .writing import remark, safe

    longest = max((max(line.revenue.nano, line.cost.nano) for line in found.lines), default=0)
    if longest <= 0 or found.by is Grouping.PLATFORM:
        return
    names = [clipped(safe(line.name) or "(none)", LONGEST) for line in found.lines]
    width = max(map(cell_len, names))
    yield remark(f"{'':{width}}  ▒ cost  █ gross margin  ▚ loss: cost beyond revenue")
    for name, line in zip(names, found.lines, strict=True):
        revenue, cost = (_columns(money.nano, longest) for money in (line.revenue, line.cost))
        bar = Text(f"{set_cell_size(name, width)}  ")
        if line.gross.nano < 0:
            bar.append("▒" * min(revenue, cost), style="dim")
            bar.append("▚" * max(cost - revenue, 1), style="red")
        else:
            bar.append("▒" * cost, style="dim")
            bar.append("█" * max(revenue - cost, 1 if line.gross.nano else 0), style=str(line.light or ""))
        yield bar


def _columns(nano: int, longest: int) -> int:
    """How long an amount is drawn: one column at least, so that what there is is seen."""
    return max(nano * BAR // longest, 1) if nano > 0 else 0


def _remarks(found: MarginReport) -> Iterator[Text]:
    from .writing import amounts, remark

    for total in found.totals:
        if total.unvalued:
            told = ", ".join(f"{amount} {unit} PT" for unit, amount in amounts(total.unvalued).items())
            yield remark(f"{told} were charged for no call, and nobody said what they sold for: no revenue")
