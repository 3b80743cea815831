"""
What a request consists of: texts for a tokenizer, and tokens for everything that is not text.

The readers in `framing`, `blocks` and `definitions` fill a `Tally`; here is also how they look at
JSON that nobody has validated. Nothing in it may raise, recurse or be left uncounted: a request we
do not understand is still a request the provider may bill.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .families import Family

DEEPEST: Final = 16
"""Blocks inside blocks, and schemas inside schemas, beyond this depth are counted as JSON."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A request taken apart, for one family of models."""

    texts: tuple[str, ...]
    tokens: int
    """Besides the texts: framing, tool definitions, images, sound."""
    sound: int
    """How many of those are sound."""
    high: int
    fitted: bool
    """Whether any of those tokens rest on a fit or a rule of thumb."""
    unseen: bool
    """Whether part of the prompt is known to the provider only."""
    notes: tuple[str, ...]


class Tally:
    """The parts found so far."""

    _MOST_NOTES: Final = 20

    def __init__(self, family: Family) -> None:
        self.family = family
        self._texts: list[str] = []
        self._tokens = 0
        self._sound = 0
        self._high = 0
        self._fitted = False
        self._unseen = False
        self._notes: dict[str, None] = {}

    def parts(self) -> Parts:
        """Return what was found."""
        notes = tuple(self._notes)
        return Parts(
            tuple(self._texts), self._tokens, self._sound, self._high, self._fitted, self._unseen, notes
        )

    def text(self, text: object) -> None:
        """Count a text, or as JSON what stands in the place of one."""
        if text is not None and text != "":
            self._texts.append(text if isinstance(text, str) else written(text))

    def add(self, tokens: int, high: int | None = None, *, note: str = "") -> None:
        """Count tokens no text stands for, *high* at most; a *note* says they are fitted."""
        self._tokens += tokens
        self._high += tokens if high is None else high
        if note:
            self._fitted = True
            self._note(note)

    def sound(self, tokens: int, *, note: str) -> None:
        """Count tokens of a recording."""
        self._sound += tokens
        self.add(tokens, note=note)

    def unseen(self, note: str) -> None:
        """Say that part of the prompt cannot be counted here."""
        self._unseen = True
        self._note(note)

    def unknown(self, what: str, value: object) -> None:
        """Count *value* as JSON, and each file in it as the most an image can cost."""
        files: list[str] = []
        self.text(written(value, files))
        most = self.family.image.tokens(None, "auto")
        self.add(most * len(files), note=f"{what} is not known here: counted as JSON")

    def _note(self, note: str) -> None:
        if len(self._notes) < self._MOST_NOTES:
            self._notes[note] = None


# --- looking at JSON ------------------------------------------------------------------------------


def mapping(value: object) -> Mapping[str, Any] | None:
    """Return *value* if it is an object, also one of an SDK's own, and None otherwise."""
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value)
    dump = getattr(value, "model_dump", None)
    if dump is None or isinstance(value, type):
        return None
    return mapping(dump(exclude_none=True))


def items(value: object) -> Sequence[Any]:
    """Return the elements of a list; of anything else, itself as the only one."""
    if isinstance(value, list | tuple):
        return cast("Sequence[Any]", value)
    return [] if value is None else [value]


def word(value: object) -> str:
    """Return *value* if it is a text, and an empty one otherwise."""
    return value if isinstance(value, str) else ""


def label(key: object) -> str:
    """Quote a name from a request in a note, but no more than the start of it."""
    return repr(str(key)[:40])


class _Punctuation(str):
    """JSON that is written already."""

    __slots__ = ()


_MOST_PIECES: Final = 2_000_000
"""What is left of a structure that contains itself."""


def written(value: object, files: list[str] | None = None) -> str:
    """
    Write *value* as compact JSON, however deep it is and whatever it holds.

    Args:
        value: JSON, or objects an SDK would turn into JSON.
        files: If given, base64 files go here and are left out of the text.
    """
    pieces: list[str] = []
    waiting: list[object] = [value]
    while waiting and len(pieces) < _MOST_PIECES:
        item = waiting.pop()
        if isinstance(item, _Punctuation):
            pieces.append(item)
        elif isinstance(item, str):
            if files is not None and is_file(item):
                files.append(item)
                item = ""
            pieces.append(json.dumps(item, ensure_ascii=False))
        elif inside := _inside(item):
            waiting.extend(reversed(inside))
        else:
            pieces.append(_scalar(item))
    return "".join(pieces)


def _inside(item: object) -> list[object]:
    """Return what an object or a list is written as; nothing for a scalar."""
    if isinstance(item, type) and hasattr(item, "model_json_schema"):
        return [cast("Any", item).model_json_schema()]
    inside: list[object] = []
    if (fields := mapping(item)) is not None:
        for key, value in fields.items():
            name = json.dumps(str(key), ensure_ascii=False)
            inside += [_Punctuation(f"{',' if inside else ''}{name}:"), value]
        return [_Punctuation("{"), *inside, _Punctuation("}")]
    if isinstance(item, list | tuple):
        for value in items(cast("object", item)):
            inside += [_Punctuation("," if inside else ""), value]
        return [_Punctuation("["), *inside, _Punctuation("]")]
    return []


_LONGEST_NUMBER: Final = 10_000
"""Bits of a number Python will still write in decimals."""


def _scalar(item: object) -> str:
    if isinstance(item, int) and item.bit_length() > _LONGEST_NUMBER:
        return f"{item:x}"
    if item is None or isinstance(item, bool | int | float):
        return json.dumps(item)
    return json.dumps(str(item), ensure_ascii=False)


# --- base64 ---------------------------------------------------------------------------------------

_BASE64: Final = re.compile(r"[A-Za-z0-9+/_=\r\n-]{1024,}")


def is_file(text: str) -> bool:
    """Tell whether *text* is a data URL, or so long a run of base64 that it can only be a file."""
    return (text.startswith("data:") and ";base64," in text[:200]) or bool(_BASE64.fullmatch(text))


def base64_in(fields: Mapping[str, Any]) -> str:
    """Return the base64 a source, an ``image_url`` or a file carries; empty if it is elsewhere."""
    for key in ("data", "file_data", "url", "image_url"):
        value = fields.get(key)
        if not isinstance(value, str):
            continue
        if value.startswith("data:"):
            head, _, rest = value.partition(",")
            return rest if head.endswith(";base64") else ""
        if key in ("data", "file_data"):
            return value
    return ""
