"""
Draw the two pictures of the ledger: `python docs/pictures/draw.py` writes the SVG files beside this one.

The arrows of `sides.svg` are checked against the ledger's own table of kinds and sides, so that the picture
cannot say anything else than the code. The files stand for themselves (they follow the reader's light or dark
setting) and may be put into a page, where they take the colours of its theme.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from ptmeter.domain.ledger import SIDES, Kind, Side

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE: Final = Path(__file__).parent

LIGHT: Final = "--in: #00695c; --out: #b23c17; --inner: #303f9f; --ink: #1f2328; --dim: #57606a; --back: #fff"
DARK: Final = "--in: #4db6ac; --out: #ff8a65; --inner: #9fa8da; --ink: #e6e8ec; --dim: #a2a9b4; --back: #1e2129"

STYLE: Final = f"""
    svg.ptm {{ {LIGHT} }}
    @media (prefers-color-scheme: dark) {{ svg.ptm {{ {DARK} }} }}
    [data-md-color-scheme="default"] svg.ptm {{ {LIGHT} }}
    [data-md-color-scheme="slate"] svg.ptm {{ {DARK} }}
    svg.ptm {{ --ground: var(--md-default-bg-color, var(--back)); font-family: system-ui, sans-serif }}
    svg.ptm .ground {{ fill: var(--ground) }}
    svg.ptm .box {{ fill: none; stroke: var(--ink); stroke-width: 1.5 }}
    svg.ptm .frame {{ fill: none; stroke: var(--dim); stroke-width: 1.2; stroke-dasharray: 5 4 }}
    svg.ptm text {{ fill: var(--ink); font-size: 16px; text-anchor: middle }}
    svg.ptm .name {{ font-weight: 600 }}
    svg.ptm .remark {{ fill: var(--dim); font-size: 13.5px }}
    svg.ptm .kind {{ font-family: ui-monospace, monospace; font-size: 15px; stroke: var(--ground);
      stroke-width: 7px; paint-order: stroke }}
    svg.ptm .line {{ fill: none; stroke-width: 2 }}
    svg.ptm .in {{ stroke: var(--in) }} svg.ptm .kind.in, svg.ptm .tip.in {{ fill: var(--in) }}
    svg.ptm .out {{ stroke: var(--out) }} svg.ptm .kind.out, svg.ptm .tip.out {{ fill: var(--out) }}
    svg.ptm .inner {{ stroke: var(--inner) }} svg.ptm .kind.inner, svg.ptm .tip.inner {{ fill: var(--inner) }}
    svg.ptm .kind.in, svg.ptm .kind.out, svg.ptm .kind.inner {{ stroke: var(--ground) }}
    svg.ptm .tip {{ stroke: none }}
"""


class Point(NamedTuple):
    """A place in the picture."""

    x: int
    y: int


class Box(NamedTuple):
    """A box with a name and a remark below it."""

    x: int
    y: int
    width: int
    height: int
    name: str
    remark: str

    def touches(self, point: Point) -> bool:
        """Whether *point* is on the box's edge or in it."""
        return (
            self.x <= point.x <= self.x + self.width
            and self.y <= point.y <= self.y + self.height
        )

    def svg(self) -> str:
        """The box with its two lines."""
        middle, half = self.x + self.width // 2, self.y + self.height // 2
        return (
            f'<rect class="box" x="{self.x}" y="{self.y}" width="{self.width}" height="{self.height}" rx="7"/>'
            f'<text class="name" x="{middle}" y="{half - 4}">{self.name}</text>'
            f'<text class="remark" x="{middle}" y="{half + 16}">{self.remark}</text>'
        )


class Arrow(NamedTuple):
    """A straight arrow between two boxes, with the kind of transfer it stands for."""

    label: str
    colour: str
    start: Point
    end: Point
    at: Point

    def svg(self) -> str:
        """The line, its tip and its label."""
        back_x, back_y = _towards(self.end, self.start, 9)
        side_x, side_y = (5, 0) if self.start.x == self.end.x else (0, 5)
        tip = f"{self.end.x},{self.end.y} {back_x - side_x},{back_y - side_y} {back_x + side_x},{back_y + side_y}"
        return (
            f'<path class="line {self.colour}" d="M{self.start.x} {self.start.y}L{back_x} {back_y}"/>'
            f'<polygon class="tip {self.colour}" points="{tip}"/>'
            f'<text class="kind {self.colour}" x="{self.at.x}" y="{self.at.y}">{self.label}</text>'
        )


BOXES: Final[Mapping[Side, Box]] = {
    Side.ISSUANCE: Box(12, 44, 126, 60, "issuance", "PT given"),
    Side.ADJUSTMENT: Box(152, 44, 126, 60, "adjustment", "corrections"),
    Side.RECEIVABLE: Box(292, 44, 126, 60, "receivable", "PT owed to you"),
    Side.BREAKAGE: Box(432, 44, 126, 60, "breakage", "PT lapsed"),
    Side.AVAILABLE: Box(
        30, 254, 510, 66, "available", "free to be held or charged"
    ),
    Side.HELD: Box(30, 464, 190, 66, "held", "set aside for open calls"),
    Side.SPENT: Box(288, 464, 112, 66, "spent", "charged"),
    Side.FROZEN: Box(428, 464, 112, 66, "frozen", "in dispute"),
}

KINDS: Final[Mapping[Kind, Arrow]] = {
    Kind.GRANT: Arrow(
        "grant", "in", Point(46, 104), Point(46, 254), Point(46, 148)
    ),
    Kind.REVERSE: Arrow(
        "reverse", "out", Point(104, 254), Point(104, 104), Point(104, 182)
    ),
    Kind.ADJUST_UP: Arrow(
        "adjust_up", "in", Point(185, 104), Point(185, 254), Point(185, 148)
    ),
    Kind.ADJUST_DOWN: Arrow(
        "adjust_down", "out", Point(245, 254), Point(245, 104), Point(245, 182)
    ),
    Kind.ADVANCE: Arrow(
        "advance", "in", Point(328, 104), Point(328, 254), Point(328, 148)
    ),
    Kind.REPAY: Arrow(
        "repay", "out", Point(388, 254), Point(388, 104), Point(388, 182)
    ),
    Kind.LAPSE: Arrow(
        "lapse", "out", Point(495, 254), Point(495, 104), Point(495, 162)
    ),
    Kind.HOLD: Arrow(
        "hold", "inner", Point(46, 320), Point(46, 464), Point(46, 376)
    ),
    Kind.EXTEND: Arrow(
        "extend", "inner", Point(97, 320), Point(97, 464), Point(97, 412)
    ),
    Kind.VOID: Arrow(
        "void", "inner", Point(148, 464), Point(148, 320), Point(148, 376)
    ),
    Kind.EXPIRE: Arrow(
        "expire", "inner", Point(199, 464), Point(199, 320), Point(199, 412)
    ),
    Kind.SETTLE: Arrow(
        "settle", "inner", Point(220, 497), Point(288, 497), Point(251, 488)
    ),
    Kind.DEBIT: Arrow(
        "debit", "inner", Point(344, 320), Point(344, 464), Point(344, 394)
    ),
    Kind.FREEZE: Arrow(
        "freeze", "inner", Point(456, 320), Point(456, 464), Point(456, 376)
    ),
    Kind.UNFREEZE: Arrow(
        "unfreeze", "inner", Point(514, 464), Point(514, 320), Point(510, 412)
    ),
}

OPEN: Final = Box(12, 16, 546, 66, "hold is open", "PT moved to held")
ENDS: Final = (
    Box(12, 180, 172, 66, "settled", "charged, rest freed"),
    Box(200, 180, 170, 66, "voided", "all freed"),
    Box(386, 180, 172, 66, "expired", "all freed"),
    Box(12, 344, 172, 66, "overage", "charged beyond it"),
    Box(386, 344, 172, 66, "settled late", "charged after all"),
)
LIFE: Final = (
    Arrow("settle", "inner", Point(98, 82), Point(98, 180), Point(98, 137)),
    Arrow("void", "inner", Point(285, 82), Point(285, 180), Point(285, 137)),
    Arrow("expire", "inner", Point(472, 82), Point(472, 180), Point(472, 137)),
    Arrow("debit", "inner", Point(98, 246), Point(98, 344), Point(98, 301)),
    Arrow("debit", "inner", Point(472, 246), Point(472, 344), Point(472, 301)),
)


def sides() -> str:
    """
    Where PT can be and which kinds of transfer move them.

    Raises:
        ValueError: An arrow does not go from its kind's debit side to its credit side.
    """
    for kind, (debit, credit) in SIDES.items():
        arrow = KINDS[kind]
        if not (
            BOXES[debit].touches(arrow.start) and BOXES[credit].touches(arrow.end)
        ):
            msg = f"{kind.name} goes from {debit.name} to {credit.name}, and is drawn otherwise"
            raise ValueError(msg)
    parts = [
        '<text class="remark" x="285" y="28">outside the wallet</text>',
        '<rect class="frame" x="12" y="226" width="546" height="340" rx="10"/>',
        '<text class="remark" x="285" y="553">the wallet: one account in one unit</text>',
        *(box.svg() for box in BOXES.values()),
        *(arrow.svg() for arrow in KINDS.values()),
    ]
    title = "The sides of a wallet and the kinds of transfer between them"
    return _svg(570, 578, title, parts)


def hold() -> str:
    """How a hold ends, and what may follow."""
    parts = [
        OPEN.svg(),
        *(box.svg() for box in ENDS),
        *(arrow.svg() for arrow in LIFE),
        '<text class="remark" x="285" y="368">each arrow at most</text>',
        '<text class="remark" x="285" y="386">once for a hold</text>',
    ]
    return _svg(570, 424, "The life of a hold", parts)


PICTURES: Final = {"sides.svg": sides, "hold.svg": hold}


def _svg(width: int, height: int, title: str, parts: list[str]) -> str:
    body = "\n  ".join(parts)
    return (
        f'<svg class="ptm" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" role="img" aria-label="{title}" style="max-width: 100%; height: auto">\n'
        f"  <title>{title}</title>\n  <style>{STYLE}  </style>\n"
        f'  <rect class="ground" width="{width}" height="{height}"/>\n  {body}\n</svg>\n'
    )


def _towards(start: Point, end: Point, distance: int) -> Point:
    """The point *distance* from *start* on the way to *end*, along one axis."""
    if start.x == end.x:
        return Point(
            start.x, start.y + (distance if end.y > start.y else -distance)
        )
    return Point(start.x + (distance if end.x > start.x else -distance), start.y)


if __name__ == "__main__":
    for name, draw in PICTURES.items():
        (HERE / name).write_text(draw(), encoding="utf-8")
