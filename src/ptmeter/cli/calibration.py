"""Commands for what settled calls taught the estimates: look at it, take it elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..domain.calibration import ALIKE, ALL_SIZES, Calibration
from ..domain.policy import Durability
from ..domain.sketches import MEDIAN, Quantile
from ..errors import InvalidArgumentError
from . import options
from .failures import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterator

Exported = Annotated[Path, typer.Argument(metavar="FILE", help="What `ptmeter calibration export` wrote.")]


def list_(
    *,
    db: options.Database,
    durability: options.Survival = Durability.STRICT,
    as_json: options.AsJson = False,
) -> int:
    """List models and routes: on how many settled calls each rests, and what they took."""
    from .writing import screen, write_json

    found = _read(db, durability)
    if as_json:
        write_json({"calibration": list(_documents(found))})
    else:
        screen().print(_table(found))
    return ExitCode.OK


def export(*, db: options.Database, durability: options.Survival = Durability.STRICT) -> int:
    """
    Write all that was learnt to standard output, as JSON.

    It holds numbers of tokens and the names of models and routes, and nothing
    of a request.
    """
    sys.stdout.write(_read(db, durability).as_json() + "\n")
    return ExitCode.OK


def import_(
    file: Exported, *, db: options.Database, durability: options.Survival = Durability.STRICT
) -> int:
    """
    Add what was learnt elsewhere to what was learnt here.

    It counts like calls settled here: imported twice, it counts twice.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{file} cannot be read: {error}"
        raise InvalidArgumentError(msg) from error
    learnt = Calibration.from_json(text)
    options.must_exist(db)
    with options.open_meter(db, options.rate_card(None), options.policy(durability)) as meter:
        meter.calibration.add(learnt)
    return ExitCode.OK


COMMANDS = (
    (list_, ("ptmeter calibration list",)),
    (export, ("ptmeter calibration export > calibration.json",)),
    (import_, ("ptmeter calibration import calibration.json",)),
)
"""Every command, with examples of it."""


def _read(db: str, durability: Durability) -> Calibration:
    options.must_exist(db)
    with options.open_meter(db, options.rate_card(None), options.policy(durability)) as meter:
        return meter.calibration.read()


def _documents(found: Calibration) -> Iterator[dict[str, Any]]:
    for topic, habits in sorted(found.habits.items(), key=lambda item: item[0]):
        if not habits.calls:
            continue
        every = habits.by_size[ALL_SIZES]
        yield {
            "model": topic.model,
            "route": topic.route,
            "calls": habits.calls,
            "input_ratio": _ratio(every.ratio.whole.within(MEDIAN)),
            "output_50": every.output.whole.within(MEDIAN),
            "output_95": every.output.whole.within(Quantile.of(95)),
            "output_99": every.output.whole.within(Quantile.of(99)),
        }


def _ratio(found: int | None) -> str | None:
    """Actual ÷ counted input, in the median, as scripts read it: ``"1.352"``."""
    return None if found is None else f"{found / ALIKE:.3f}"


def _table(found: Calibration) -> Any:
    from .writing import number, safe, table

    made = table(
        "calibration",
        *("~model", "~route", ">calls", ">input, actual ÷ counted"),
        *(">output 50 %", ">95 %", ">99 %"),
    )
    for row in _documents(found):
        figures = (row["output_50"], row["output_95"], row["output_99"])
        made.add_row(
            safe(row["model"]),
            safe(row["route"]),
            number(row["calls"]),
            row["input_ratio"],
            *("" if each is None else number(each) for each in figures),
        )
    return made
