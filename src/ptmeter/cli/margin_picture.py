"""
Margins as a picture: for each line what it cost, as a grey bar from zero on, and its revenue, as a mark.

What lies between the two is the margin: coloured by its light beyond the cost, and hatched, over the
cost, where it is a loss. So the grey is as long as the cost in every line, and no loss looks like a gain.
It is laid out once, as boxes and labels, and written as SVG, which needs nothing, or painted as PNG. All
lengths are whole pixels; nothing is decided by them.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple

from ..domain.margins import Light
from .lettering import shortened, width_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..domain.margins import Margin

WIDTH: Final = 900
NAMES, BARS, ROW, TOP, FOOT = 230, 420, 30, 72, 28
MARGIN: Final = 20
"""Pixels that stay empty at each edge."""

ROOM: Final = NAMES - MARGIN - 10
"""Pixels that a name has."""

DIME: Final = 100_000_000
"""An amount of fewer nano-units is told to more than cents."""

MOST: Final = 40
"""So many lines at most; beyond that a picture tells nobody anything."""

INK, DIM, PAPER, COST, LOSS = "#1f2328", "#57606a", "#ffffff", "#8c959f", "#82071e"
COLOURS: Final[Mapping[Light | None, str]] = {
    Light.GREEN: "#2da44e",
    Light.YELLOW: "#d4a72c",
    Light.RED: "#cf222e",
    None: "#d0d7de",
}


class Box(NamedTuple):
    """A rectangle, filled or hatched."""

    x: int
    y: int
    width: int
    height: int
    fill: str
    hatched: bool = False


class Label(NamedTuple):
    """A text whose base line begins, or ends, at a place; ``whole`` is what it was shortened from."""

    x: int
    y: int
    text: str
    fill: str = INK
    size: int = 13
    flush_right: bool = False
    whole: str = ""


class Layout(NamedTuple):
    """A picture before it is drawn."""

    title: str
    height: int
    boxes: Sequence[Box]
    labels: Sequence[Label]


class _Scale(NamedTuple):
    """Where an amount is drawn: from the lowest, on the left, to the highest."""

    low: int
    high: int

    def at(self, nano: int) -> int:
        """The pixel of an amount."""
        return NAMES + ((nano - self.low) * BARS // (self.high - self.low) if self.high > self.low else 0)


def layout(title: str, lines: Sequence[Margin]) -> Layout:
    """Where everything stands; the whole width is the largest revenue or cost."""
    shown = lines[:MOST]
    amounts = [money.nano for line in shown for money in (line.revenue, line.cost)]
    scale = _Scale(min(0, *amounts, 0), max(0, *amounts, 0))
    boxes: list[Box] = []
    labels = [Label(MARGIN, 30, title, size=17), *_legend(boxes)]
    for number, line in enumerate(shown):
        top = TOP + number * ROW
        name = line.name or "(none)"
        labels.append(Label(NAMES - 10, top + 16, shortened(name, ROOM, 13), flush_right=True, whole=name))
        boxes += _bar(line, top, scale)
        labels.append(Label(WIDTH - MARGIN, top + 16, _figures(line), DIM, flush_right=True))
    more = len(lines) - len(shown)
    height = TOP + max(len(shown), 1) * ROW + (FOOT if more else MARGIN - 10)
    if shown:
        boxes.append(Box(scale.at(0), TOP - 4, 1, len(shown) * ROW - 2, DIM))
    else:
        labels.append(Label(MARGIN, TOP + 16, "nothing was charged", DIM))
    if more:
        labels.append(Label(MARGIN, height - 12, f"and {more:,} more", DIM))
    return Layout(title, height, boxes, labels)


def svg(picture: Layout) -> str:
    """The picture as SVG."""
    view = f'viewBox="0 0 {WIDTH} {picture.height}" role="img" font-family="system-ui, sans-serif"'
    paper = Box(0, 0, WIDTH, picture.height, PAPER)
    hatch = '<pattern id="loss" width="6" height="6" patternUnits="userSpaceOnUse">'
    lines = f'<path d="M-1,1 L1,-1 M0,6 L6,0 M5,7 L7,5" stroke="{LOSS}" stroke-width="2"/>'
    parts = (
        f'<svg xmlns="http://www.w3.org/2000/svg" {view}>',
        f"<title>{escape(picture.title)}</title>",
        f"<defs>{hatch}{lines}</pattern></defs>",
        *(_rect(box) for box in (paper, *picture.boxes)),
        *(_text(label) for label in picture.labels),
        "</svg>\n",
    )
    return "\n".join(parts)


def _rect(box: Box) -> str:
    fill = f'"url(#loss)" stroke="{box.fill}"' if box.hatched else f'"{box.fill}"'
    return f'<rect x="{box.x}" y="{box.y}" width="{box.width}" height="{box.height}" fill={fill}/>'


def _text(label: Label) -> str:
    """A text; one that was shortened has the whole as its title, and the width it was taken to have."""
    anchor = ' text-anchor="end"' if label.flush_right else ""
    place = f'x="{label.x}" y="{label.y}" font-size="{label.size}" fill="{label.fill}"{anchor}'
    if not label.whole or label.whole == label.text:
        return f"<text {place}>{escape(label.text)}</text>"
    wide = f'textLength="{width_of(label.text, label.size)}" lengthAdjust="spacingAndGlyphs"'
    return f"<g><title>{escape(label.whole)}</title><text {place} {wide}>{escape(label.text)}</text></g>"


def _legend(boxes: list[Box]) -> Iterator[Label]:
    left = MARGIN
    told = (
        (COST, False, "provider cost"),
        *((COLOURS[light], False, f"gross margin, {light}") for light in Light),
        (LOSS, True, "loss: cost beyond revenue"),
        (INK, False, "revenue"),
    )
    for fill, hatched, text in told:
        mark = text == "revenue"
        if hatched:
            boxes.append(Box(left, 45, 12, 12, COST))
        boxes.append(Box(left + 5, 43, 2, 16, fill) if mark else Box(left, 45, 12, 12, fill, hatched))
        yield Label(left + 18, 56, text, DIM, 12)
        left += 36 + width_of(text, 12)


def _bar(line: Margin, top: int, scale: _Scale) -> Iterator[Box]:
    """The cost from zero on, what the revenue leaves beyond it or lacks of it, and the revenue."""
    zero, cost, revenue = map(scale.at, (0, line.cost.nano, line.revenue.nano))
    high = ROW - 10
    if line.cost.nano:
        yield Box(min(zero, cost), top, max(abs(cost - zero), 1), high, COST)
    if line.gross.nano > 0:
        yield Box(cost, top, max(revenue - cost, 1), high, COLOURS[line.light])
    elif line.gross.nano < 0:
        yield Box(revenue, top, max(cost - revenue, 2), high, LOSS, hatched=True)
    yield Box(revenue - 1, top - 3, 2, high + 6, INK)


def _figures(line: Margin) -> str:
    if line.share is None:
        earned = _amount(line.revenue.nano, line.revenue.currency)
        revenue = f"revenue {earned}" if line.revenue.nano else "no revenue"
        return f"{revenue}, cost {_amount(line.cost.nano, line.cost.currency)}"
    return f"{percent(line.share)} of {_amount(line.revenue.nano, line.revenue.currency)}"


def _amount(nano: int, currency: str) -> str:
    """An amount as short as there is room for: cents, or what a small one needs."""
    from ..domain.pt import Money
    from .writing import money_words

    return money_words(Money(nano, currency), 2 if abs(nano) >= DIME or not nano else 4)


def percent(share: int) -> str:
    """A share in ten-thousandths, as people read it: ``83.1 %``; rounded down, so that 65.0 % is green."""
    tenths = share // 10
    return f"{'-' if tenths < 0 else ''}{abs(tenths) // 10}.{abs(tenths) % 10} %"
