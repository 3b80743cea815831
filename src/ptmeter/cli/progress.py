"""A progress bar on stderr, if somebody is looking at it; stdout stays for the answer."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from .writing import screen

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from rich.progress import Task


@contextmanager
def bar(what: str, total: int | None) -> Generator[Callable[[int], None]]:
    """Show how far *what* has got; yields what to call with each further count, from any thread."""
    console = screen(errors=True)
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=36),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(what, total=total)
        yield lambda count: shown.advance(task, count)


class _Rate(TextColumn):
    """Calls per second, lately."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        """Write the speed, once there is one."""
        return Text(f"{task.speed:,.0f} calls/s" if task.speed else "", style="dim")
