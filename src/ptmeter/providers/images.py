"""
What an image costs in tokens, from its width and height alone.

The size is read from the first bytes of a PNG, JPEG, GIF or WebP file, so no imaging library is
needed and nothing is decompressed. An image whose size cannot be read, because it is a URL or
another format, costs the most its model can charge for one.
"""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

from ..domain.pt import ceil_div

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SCALE: Final = 1000


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Tiles:
    """
    A base and so much per 512-pixel tile: GPT-4o, GPT-4.1, GPT-5, o1, o3 (OpenAI vision guide).

    The image is first fitted into 2,048 x 2,048 and then down to 768 on its shorter side. Rounding
    the sides to whole pixels in between reproduces what was billed for 2049 x 513 and 2050 x 513
    (OpenAI forum, topic 1281361).
    """

    base: int
    tile: int

    def tokens(self, size: Size | None, detail: str) -> int:
        """Return what an image of *size* costs at the *detail* asked for."""
        if detail == "low":
            return self.base
        if size is None:
            return self.base + 8 * self.tile  # 768 x 2048, the largest there is after fitting
        size = _shrunk(size, 2048, max(size.width, size.height))
        size = _shrunk(size, 768, min(size.width, size.height))
        return self.base + self.tile * ceil_div(size.width, 512) * ceil_div(size.height, 512)


@dataclass(frozen=True, slots=True)
class Patches:
    """
    So much per square patch, up to a number of patches: Claude, and the other OpenAI models.

    OpenAI shrinks an image over the limit, in a way its guide and its bills disagree on (OpenAI
    forum, topic 1281361: the limit itself was billed), so the limit is what we count.
    """

    side: int
    limit: int
    thousandths: int = SCALE
    """Tokens per patch."""
    limits: Mapping[str, int] = field(default_factory=dict[str, int])
    """Other limits, by the detail asked for."""
    longest: int | None = None
    """A longer image is first shrunk to this length."""
    limited: bool = True
    """Whether a known size over the limit is known to be cut to it."""

    def tokens(self, size: Size | None, detail: str) -> int:
        """Return what an image of *size* costs at the *detail* asked for."""
        patches = limit = self.limits.get(detail, self.limit)
        if size is not None:
            scale = max(size.width, size.height)
            longest = min(scale, self.longest or scale)
            columns, rows = (
                ceil_div(side * longest, scale * self.side) for side in (size.width, size.height)
            )
            patches = columns * rows
            if self.limited or detail in self.limits:
                patches = min(patches, limit)
        return ceil_div(patches * self.thousandths, SCALE)


@dataclass(frozen=True, slots=True)
class Crops:
    """258 tokens a crop: Gemini up to 2.5 (Google's image guide, quoted in BerriAI/litellm#3269)."""

    crop: int = 258
    uncut: int = 384
    """An image no larger is one crop."""
    most: int = 16
    """Crops of an image whose size is not known."""

    def tokens(self, size: Size | None, _detail: str) -> int:
        """Return what an image of *size* costs."""
        if size is None:
            return self.crop * self.most
        if max(size.width, size.height) <= self.uncut:
            return self.crop
        side = min(max(min(size.width, size.height) * 2 // 3, 256), 768)
        return self.crop * ceil_div(size.width, side) * ceil_div(size.height, side)


@dataclass(frozen=True, slots=True)
class Flat:
    """The same for every image: Gemini 3, measured at 1,065 to 1,101."""

    each: int

    def tokens(self, _size: Size | None, _detail: str) -> int:
        """Return what an image costs."""
        return self.each


ImageRule: TypeAlias = "Tiles | Patches | Crops | Flat"


def _shrunk(size: Size, to: int, side: int) -> Size:
    """Scale by *to* / *side*, to the nearest whole pixel; never enlarge."""
    if side <= to:
        return size
    width, height = ((2 * each * to + side) // (2 * side) for each in (size.width, size.height))
    return Size(max(width, 1), max(height, 1))


# --- the size of a file ---------------------------------------------------------------------------

_HEADER_CHARS: Final = 400_000
"""Base64 to decode in search of the size: a JPEG may carry a thumbnail and colour profile first."""


def size_of(encoded: str) -> Size | None:
    """Read the size of a base64 image, or None if it is of another format or cut short."""
    try:
        data = binascii.a2b_base64(encoded[:_HEADER_CHARS])
        read = next((read for magic, read in _FORMATS.items() if data.startswith(magic)), None)
        size = read(data) if read else None
    except (ValueError, IndexError, struct.error):  # not base64, not ASCII, or too short
        return None
    return size if size and size.width and size.height else None


def _png(data: bytes) -> Size | None:
    return Size(*struct.unpack_from(">II", data, 16)) if data[12:16] == b"IHDR" else None


def _gif(data: bytes) -> Size:
    return Size(*struct.unpack_from("<HH", data, 6))


_MARKER: Final = 0xFF
_FRAME_HEADERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""SOF0 to SOF15; the three between them are tables."""
_BODILESS: Final = frozenset(range(0xD0, 0xDA)) | {0x01}


def _jpeg(data: bytes) -> Size | None:
    """Walk the segments up to the frame header."""
    at = 2
    while data[at] == _MARKER:
        kind = data[at + 1]
        if kind in _FRAME_HEADERS:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return Size(width, height)
        if kind == _MARKER:  # padding
            at += 1
        elif kind in _BODILESS:
            at += 2
        else:
            [length] = struct.unpack_from(">H", data, at + 2)
            at += 2 + length
    return None


def _webp(data: bytes) -> Size | None:
    match data[8:16]:
        case b"WEBPVP8X":
            width, height, more = struct.unpack_from("<HxHB", data, 24)
            return Size(width + (data[26] << 16) + 1, height + (more << 16) + 1)
        case b"WEBPVP8L":
            [bits] = struct.unpack_from("<I", data, 21)
            return Size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
        case b"WEBPVP8 ":
            width, height = struct.unpack_from("<HH", data, 26)
            return Size(width & 0x3FFF, height & 0x3FFF)
        case _:
            return None


_FORMATS: Final[Mapping[bytes, Callable[[bytes], Size | None]]] = {
    b"\x89PNG\r\n\x1a\n": _png,
    b"GIF8": _gif,
    b"\xff\xd8\xff": _jpeg,
    b"RIFF": _webp,
}
