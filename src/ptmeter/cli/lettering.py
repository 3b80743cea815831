"""
How much room letters take, and names that are too long for theirs.

Both ends of a name are kept, for names that begin alike end differently. How wide a letter is depends on
the font, and nobody knows that of whoever looks at an SVG: widths are those of common fonts without
serifs, rounded up.
"""

from __future__ import annotations

from typing import Final
from unicodedata import combining, east_asian_width

NARROW: Final = frozenset("iljtfrI.,:;|!'`()[] ")
WIDE: Final = frozenset("mwMW@%—…")


def width_of(text: str, size: int) -> int:
    """Pixels that *text* takes at most in letters of *size* pixels."""
    return -(-sum(map(_hundredths, text)) * size // 100)


def shortened(text: str, room: int, size: int) -> str:
    """*text*, without so much of its middle that it fits into *room* pixels."""
    if width_of(text, size) <= room:
        return text
    kept = len(text) - 1
    while kept > 1 and width_of(_ends(text, kept), size) > room:
        kept -= 1
    return _ends(text, kept)


def clipped(text: str, length: int) -> str:
    """*text*, without so much of its middle that it has *length* characters at most."""
    return text if len(text) <= length else _ends(text, length - 1)


def _ends(text: str, kept: int) -> str:
    """So many characters of *text*, the first and the last; the end has the odd one."""
    head = kept // 2
    return f"{text[:head]}…{text[len(text) - (kept - head) :]}"


def _hundredths(letter: str) -> int:
    """How wide a letter is, in hundredths of its size."""
    if combining(letter):
        return 0
    if east_asian_width(letter) in "WF":
        return 100
    if letter in NARROW:
        return 36
    return 95 if letter in WIDE else 72 if letter.isupper() else 60
