"""
Margins as a picture: a bar for each line, as long as its revenue, of which the cost is the dark part.

It is laid out once, as boxes and labels, and written as SVG, which needs nothing, or painted as PNG with Pillow.
All lengths are whole pixels; nothing is decided by them.
"""

from __future__ import annotations

from html import escape
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..domain.margins import Light
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ..domain.margins import Margin

WIDTH: Final = 900
NAMES, BARS, ROW, TOP, FOOT = 210, 470, 30, 72, 44
MOST: Final = 40
"""So many lines at most; beyond that a picture tells nobody anything."""

LONGEST: Final = 26
"""Characters of a name that there is room for."""

SCALE: Final = 2
"""Pixels of a PNG for each of the layout, for screens that are fine."""

INK, DIM, PAPER, COST = "#1f2328", "#57606a", "#ffffff", "#8c959f"
COLOURS: Final[Mapping[Light | None, str]] = {
    Light.GREEN: "#2da44e",
    Light.YELLOW: "#d4a72c",
    Light.RED: "#cf222e",
    None: "#d0d7de",
}


class Box(NamedTuple):
    """A filled rectangle."""

    x: int
    y: int
    width: int
    height: int
    fill: str


class Label(NamedTuple):
    """A text whose base line begins, or ends, at a place."""

    x: int
    y: int
    text: str
    fill: str = INK
    size: int = 13
    flush_right: bool = False


class Layout(NamedTuple):
    """A picture before it is drawn."""

    title: str
    height: int
    boxes: Sequence[Box]
    labels: Sequence[Label]


def layout(title: str, lines: Sequence[Margin]) -> Layout:
    """Where everything stands; the longest bar is the largest revenue or cost."""
    shown = lines[:MOST]
    longest = max((max(line.revenue.nano, line.cost.nano) for line in shown), default=0)
    boxes: list[Box] = []
    labels = [Label(20, 30, title, size=17), *_legend(boxes)]
    for number, line in enumerate(shown):
        top = TOP + number * ROW
        labels.append(Label(NAMES - 10, top + 16, _short(line.name or "(none)"), flush_right=True))
        boxes += _bar(line, top, longest)
        labels.append(Label(WIDTH - 20, top + 16, _figures(line), DIM, flush_right=True))
    height = TOP + max(len(shown), 1) * ROW + FOOT
    if not shown:
        labels.append(Label(20, TOP + 16, "nothing was charged", DIM))
    if len(lines) > len(shown):
        labels.append(Label(20, height - 16, f"and {len(lines) - len(shown)} more", DIM))
    return Layout(title, height, boxes, labels)


def svg(picture: Layout) -> str:
    """The picture as SVG."""
    view = f'viewBox="0 0 {WIDTH} {picture.height}" role="img" font-family="system-ui, sans-serif"'
    paper = Box(0, 0, WIDTH, picture.height, PAPER)
    parts = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {view}>',
        f"<title>{escape(picture.title)}</title>",
        *(_rect(box) for box in (paper, *picture.boxes)),
        *(_text(label) for label in picture.labels),
        "</svg>\n",
    )
    return "\n".join(parts)


def _rect(box: Box) -> str:
    return f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" fill="{box.fill}"/>'


def _text(label: Label) -> str:
    anchor = ' text-anchor="end"' if label.flush_right else ""
    place = f'x="{label.x}" y="{label.y}" font-size="{label.size}" fill="{label.fill}"{anchor}'
    return f"<text {place}>{escape(label.text)}</text>"


def write_png(picture: Layout, file: Path) -> None:
    """
    Paint the picture into *file*.

    Raises:
        ConfigurationError: Pillow is not installed.
    """
    pillow, drawing, fonts = map(_pillow, ("Image", "ImageDraw", "ImageFont"))
    image = pillow.new("RGB", (WIDTH * SCALE, picture.height * SCALE), PAPER)
    brush = drawing.Draw(image)
    for x, y, width, height, fill in picture.boxes:
        if width:
            corners = (x * SCALE, y * SCALE, (x + width) * SCALE - 1, (y + height) * SCALE - 1)
            brush.rectangle(corners, fill=fill)
    for label in picture.labels:
        font = fonts.load_default(label.size * SCALE)
        place = (label.x * SCALE, label.y * SCALE)
        brush.text(
            place, label.text, fill=label.fill, font=font, anchor="rs" if label.flush_right else "ls"
        )
    image.save(file, format="PNG", optimize=True)


def _pillow(module: str) -> Any:
    try:
        return import_module(f"PIL.{module}")
    except ImportError:
        msg = "a PNG needs Pillow: pip install 'ptmeter[pictures]', or write --svg, which needs nothing"
        raise ConfigurationError(msg) from None


def _legend(boxes: list[Box]) -> Iterator[Label]:
    told = ((COST, "provider cost"), *((COLOURS[light], f"gross margin, {light}") for light in Light))
    left = 20
    for fill, text in told:
        boxes.append(Box(left, 45, 12, 12, fill))
        yield Label(left + 18, 56, text, DIM, 12)
        left += 40 + 7 * len(text)


def _bar(line: Margin, top: int, longest: int) -> Iterator[Box]:
    """The cost from the left, and what it leaves; what it takes beyond the revenue is red."""
    revenue, cost = (_length(money, longest) for money in (line.revenue.nano, line.cost.nano))
    yield Box(NAMES, top, min(cost, revenue), ROW - 10, COST)
    if cost > revenue:
        yield Box(NAMES + revenue, top, cost - revenue, ROW - 10, COLOURS[Light.RED])
    else:
        yield Box(NAMES + cost, top, revenue - cost, ROW - 10, COLOURS[line.light])


def _length(nano: int, longest: int) -> int:
    return max(nano, 0) * BARS // longest if longest else 0


def _figures(line: Margin) -> str:
    if line.share is None:
        return "no revenue"
    cents = (abs(line.revenue.nano) + 5_000_000) // 10_000_000
    sign = "-" if line.revenue.nano < 0 else ""
    symbol = "$" if line.revenue.currency == "USD" else f"{line.revenue.currency} "
    return f"{percent(line.share)} of {sign}{symbol}{cents // 100:,}.{cents % 100:02}"


def percent(share: int) -> str:
    """A share in ten-thousandths, as people read it: ``83.1 %``; rounded down, so that 65.0 % is green."""
    tenths = share // 10
    return f"{'-' if tenths < 0 else ''}{abs(tenths) // 10}.{abs(tenths) % 10} %"


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
