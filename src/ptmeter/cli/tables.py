"""
Tables that people read, and the one place that decides what of them may be broken on a narrow screen.

A figure, a key, an id or a hash is shown whole whatever the width, for half of it is worse than none: it
is taken for another, or typed again. Names, notes, problems and times of day go on in the next line.
Where not even that is enough, the table is wider than the screen, and says all that it says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from rich.console import ConsoleOptions, RenderableType, RenderResult

GAP: Final = 2
"""Columns of the screen between two of a table: padding, and the box's own divider."""

NARROWEST: Final = len("2026-11-22")
"""So narrow may a column get whose text goes on in the next line; narrower if all in it is."""

LONG_WORD: Final = 16
"""Words of up to so many letters are not broken for that."""


class Screen(Console):
    """Where people read; what is wider than it is neither cut off nor broken within a word."""

    def print(self, *objects: Any, **how: Any) -> None:
        """Write *objects* as rich does, whole."""
        how.setdefault("crop", False)
        how.setdefault("overflow", "ignore")  # lines are broken between words, and no word is
        super().print(*objects, **how)


class Sheet(Table):
    """A table that gives its columns their widths itself, by what may be broken in them."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Rich's way to ask for what is written."""
        room = options.max_width - GAP * (len(self.columns) - 1)
        widths = _widths(self.columns, room, console, options)
        for column, width in zip(self.columns, widths, strict=True):
            column.width = width
        whole = sum(widths) + GAP * (len(self.columns) - 1)
        yield from super().__rich_console__(console, options.update(width=max(whole, options.max_width)))


def table(title: str, *columns: str) -> Table:
    """
    A table; how a column's name begins says what it holds.

    ``>`` is for figures, flush right, and ``~`` for text that may go on in the next line. All else is shown
    in one line, however narrow the screen.
    """
    made = Sheet(
        title=title,
        title_justify="left",
        title_style="bold",
        caption_justify="left",
        header_style="dim",
        border_style="dim",
        box=SIMPLE_HEAD,
        padding=(0, GAP - 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    for position, name in enumerate(columns):
        made.add_column(
            name.lstrip(">~"),
            justify="right" if name.startswith(">") else "left",
            style="" if position else "cyan",
            no_wrap=not name.startswith("~"),
            overflow="fold",
        )
    return made


def facts(rows: Mapping[str, RenderableType], title: str | None = None) -> Table:
    """A list of facts, each beside its name."""
    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=None,
        padding=(0, 2, 0, 0),
        pad_edge=False,
        show_header=False,
    )
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in rows.items():
        made.add_row(name, value)
    return made


def _widths(columns: Sequence[Column], room: int, console: Console, options: ConsoleOptions) -> list[int]:
    """How wide each column is: what cannot be broken has what it needs, the rest shares what is left."""
    unlimited = options.update(width=100_000)
    needed = [_longest(column, console, unlimited) for column in columns]
    words = [_word(column, console, unlimited) for column in columns]
    widths, most = list(needed), max(needed, default=0)
    while sum(widths) > room and most > NARROWEST:
        most -= 1
        widths = [
            need if column.no_wrap else min(need, max(most, word))
            for column, need, word in zip(columns, needed, words, strict=True)
        ]
    return _tightened(columns, widths, needed, room, console)


def _tightened(
    columns: Sequence[Column], widths: list[int], needed: list[int], room: int, console: Console
) -> list[int]:
    """The widths, when what lines broken at words leave empty goes to the columns that can use it."""
    tight = [
        width if column.no_wrap or width == need else _broken(column, width, console)
        for column, width, need in zip(columns, widths, needed, strict=True)
    ]
    spare = min(room, sum(widths)) - sum(tight)
    for place in sorted(range(len(columns)), key=lambda place: needed[place] - tight[place], reverse=True):
        if spare > 0 and tight[place] == widths[place] < needed[place]:
            more = min(spare, needed[place] - tight[place])
            tight[place] += more
            spare -= more
    return tight


def _longest(column: Column, console: Console, options: ConsoleOptions) -> int:
    cells = (column.header, *column.cells)
    return max(Measurement.get(console, options, cell).maximum for cell in cells)


def _word(column: Column, console: Console, options: ConsoleOptions) -> int:
    """How long the longest word of a column is, or of its name if it has one that is too long."""
    header, *cells = (
        Measurement.get(console, options, cell).minimum for cell in (column.header, *column.cells)
    )
    return max(header, min(max(cells, default=0), LONG_WORD))


def _broken(column: Column, width: int, console: Console) -> int:
    """How wide a column's text is when it goes on in the next line after *width*."""
    texts = [cell if isinstance(cell, Text) else Text(str(cell)) for cell in (column.header, *column.cells)]
    lines = (line for text in texts for line in text.wrap(console, width, overflow="fold"))
    return max((line.cell_len for line in lines), default=width)
