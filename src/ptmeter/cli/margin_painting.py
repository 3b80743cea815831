"""
The picture of margins painted as PNG, with Pillow and a font that has its letters.

Pillow brings a font of its own, which has the letters of English and little else. Where a picture needs
others it is painted in a font of the system that has them, if there is one; a letter that no font has
becomes the one it derives from (ü: u), or a question mark, and the picture says so.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final
from unicodedata import normalize

from ..errors import ConfigurationError
from .margin_picture import DIM, MARGIN, PAPER, WIDTH, Label, Layout

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SCALE: Final = 2
"""Pixels of a PNG for each of the layout, for screens that are fine."""

SYSTEM_FONTS: Final = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "arial.ttf",
    "Arial Unicode.ttf",
    "NotoSansCJK-Regular.ttc",
)
"""Fonts with many letters that systems come with; Pillow knows where they are kept."""

NOWHERE: Final = "\U0010ffff"
"""No font has this: what is drawn for it stands for every letter that a font does not have."""


def write_png(picture: Layout, file: Path) -> str:
    """
    Paint the picture into *file*; returns the letters that could not be drawn, if any.

    Raises:
        ConfigurationError: Pillow is not installed.
    """
    pillow, drawing, fonts = map(_pillow, ("Image", "ImageDraw", "ImageFont"))
    letters = {letter for label in picture.labels for letter in label.text}
    font, lacking = _best(fonts, letters)
    labels, height = list(picture.labels), picture.height
    if lacking:
        labels = [label._replace(text=_replaced(label.text, lacking, font)) for label in labels]
        told = "some letters cannot be drawn with the fonts there are here; the SVG has them"
        labels.append(Label(MARGIN, height + 10, told, DIM, 12))
        height += 24
    image = pillow.new("RGB", (WIDTH * SCALE, height * SCALE), PAPER)
    brush = drawing.Draw(image)
    for box in picture.boxes:
        x, y, width, height = (each * SCALE for each in box[:4])
        (_hatch if box.hatched else _fill)(brush, x, y, width, height, box.fill)
    for label in labels:
        place = (label.x * SCALE, label.y * SCALE)
        anchor = "rs" if label.flush_right else "ls"
        sized = font.font_variant(size=label.size * SCALE)
        brush.text(place, label.text, fill=label.fill, font=sized, anchor=anchor)
    image.save(file, format="PNG", optimize=True)
    return "".join(sorted(lacking))


def _fill(brush: Any, x: int, y: int, width: int, height: int, fill: str) -> None:
    brush.rectangle((x, y, x + width - 1, y + height - 1), fill=fill)


def _hatch(brush: Any, x: int, y: int, width: int, height: int, fill: str) -> None:
    """Lines from the lower left to the upper right, cut at the box's sides, and its outline."""
    for start in range(-height, width, 6 * SCALE):
        left, right = max(start, 0), min(start + height, width - 1)
        if left <= right:
            ends = (x + left, y + height - 1 - (left - start), x + right, y + height - 1 - (right - start))
            brush.line((ends[0], ends[1], ends[2], max(ends[3], y)), fill=fill, width=SCALE + 1)
    brush.rectangle((x, y, x + width - 1, y + height - 1), outline=fill, width=SCALE)


def _best(fonts: Any, letters: Iterable[str]) -> tuple[Any, set[str]]:
    """The first font that has all the letters, or that which lacks the fewest, and those it lacks."""
    found = ((font, _lacking(font, letters)) for font in _known(fonts))
    best = next(found)
    for font, lacking in found:
        if not best[1]:
            break
        best = min(best, (font, lacking), key=lambda each: len(each[1]))
    return best


def _known(fonts: Any) -> Iterator[Any]:
    """Pillow's own font, and those of the system that are there."""
    yield fonts.load_default(20)
    for name in SYSTEM_FONTS:
        try:
            yield fonts.truetype(name, 20)
        except OSError:
            continue


def _lacking(font: Any, letters: Iterable[str]) -> set[str]:
    unknown = bytes(font.getmask(NOWHERE))
    return {each for each in letters if not each.isspace() and bytes(font.getmask(each)) == unknown}


def _replaced(text: str, lacking: set[str], font: Any) -> str:
    return "".join(_stand_in(each, font) if each in lacking else each for each in text)


def _stand_in(letter: str, font: Any) -> str:
    """What a letter derives from, if the font has that: u for ü."""
    base = normalize("NFKD", letter)[:1]
    return "?" if base == letter or _lacking(font, base) else base


def _pillow(module: str) -> Any:
    try:
        return import_module(f"PIL.{module}")
    except ImportError:
        msg = "a PNG needs Pillow: pip install 'ptmeter[pictures]', or write --svg, which needs nothing"
        raise ConfigurationError(msg) from None
