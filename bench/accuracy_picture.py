"""Predicted against actual, a panel for each data set: an SVG that follows the reader's light or dark setting."""

from __future__ import annotations

from collections import Counter
from math import ceil, log2
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WIDTH, SIDE, GAP, TOP = 980, 270, 50, 54
ACROSS: Final = 3
FIRST, LAST = 4, 18
"""Powers of two at the ends of both axes: 16 to 262,144 tokens."""

CELLS: Final = 56

STYLE: Final = """
  svg { --ink: #1f2328; --dim: #57606a; --dot: #303f9f; --line: #b23c17; font-family: system-ui, sans-serif }
  @media (prefers-color-scheme: dark) { svg { --ink: #e6e8ec; --dim: #a2a9b4; --dot: #9fa8da; --line: #ff8a65 } }
  text { fill: var(--ink); font-size: 12px } .dim { fill: var(--dim) } .name { font-weight: 600 }
  .frame { fill: none; stroke: var(--dim) } .right { stroke: var(--line); stroke-dasharray: 4 3 }
  .dot { fill: var(--dot) }
"""


class Panel(NamedTuple):
    """A data set's calls: tokens expected, and tokens taken."""

    name: str
    model: str
    points: Sequence[tuple[int, int]]


def draw(panels: Sequence[Panel]) -> str:
    """The whole picture; the darker a cell, the more calls are in it, by doublings."""
    rows = ceil(len(panels) / ACROSS)
    height = rows * (SIDE + GAP + TOP) + 10
    title = "Tokens expected before each call held out, and tokens taken"
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
            f"<title>{title}</title><style>{STYLE}</style>",
            *(part for number, panel in enumerate(panels) for part in _panel(number, panel)),
            "</svg>\n",
        )
    )


def _panel(number: int, panel: Panel) -> Iterable[str]:
    left = 50 + (number % ACROSS) * (SIDE + GAP)
    top = TOP + (number // ACROSS) * (SIDE + GAP + TOP)
    head, _, rest = panel.name.partition(", ")
    yield f'<g transform="translate({left} {top})">'
    yield f'<text class="name" y="-26">{head}</text>'
    yield f'<text class="dim" x="{SIDE}" y="-26" text-anchor="end">{panel.model}</text>'
    yield f'<text class="dim" y="-10">{rest}</text>'
    yield f'<rect class="frame" width="{SIDE}" height="{SIDE}"/>'
    for power in range(FIRST, LAST + 1, 4):
        at = SIDE * (power - FIRST) / (LAST - FIRST)
        label = f"{2**power:,}"
        yield f'<text class="dim" x="{at:.0f}" y="{SIDE + 16}" text-anchor="middle">{label}</text>'
        yield f'<text class="dim" x="-5" y="{SIDE - at + 4:.0f}" text-anchor="end">{label}</text>'
    counts = Counter((_cell(expected), _cell(actual)) for expected, actual in panel.points)
    most = log2(max(counts.values()) + 1)
    size = SIDE / CELLS
    for (x, y), count in sorted(counts.items()):
        depth = 0.15 + 0.85 * log2(count + 1) / most
        yield (
            f'<rect class="dot" x="{x * size:.1f}" y="{SIDE - (y + 1) * size:.1f}" width="{size:.1f}" '
            f'height="{size:.1f}" opacity="{depth:.2f}"/>'
        )
    yield f'<line class="right" x1="0" y1="{SIDE}" x2="{SIDE}" y2="0"/>'
    yield f'<text class="dim" x="{SIDE / 2}" y="{SIDE + 32}" text-anchor="middle">expected</text>'
    yield f'<text class="dim" x="{SIDE - 6}" y="{SIDE - 8}" text-anchor="end">less than expected</text>'
    yield '<text class="dim" x="6" y="16">more than expected</text></g>'


def _cell(tokens: int) -> int:
    place = (log2(max(tokens, 1)) - FIRST) / (LAST - FIRST)
    return min(max(int(place * CELLS), 0), CELLS - 1)
