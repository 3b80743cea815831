"""
Whatever holds a provider's answer, as plain dictionaries: SDK objects and JSON.

Nothing is validated here and no SDK is imported: an object is asked for its ``model_dump`` or its
attributes, so a new version of an SDK, or one never heard of, reads as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

Payload: TypeAlias = dict[str, Any]
"""A JSON object as Python reads it."""

DONE: Final[Payload] = {"object": "[DONE]"}
"""What OpenAI's closing ``data: [DONE]`` reads as."""

DEEPEST: Final = 32
"""Objects that hold themselves are followed no deeper; no provider nests half as deep."""


def body_of(answer: object) -> Payload | None:
    """Return a provider's whole answer as a dictionary, or ``None`` if it is none."""
    if isinstance(answer, str | bytes | bytearray):
        return object_in(_text(answer))
    return mapping(plain(answer))


def plain(value: object, depth: int = 0) -> Any:
    """Return *value* with every object in it turned into a dictionary of what it holds."""
    if value is None or isinstance(value, str | int | float) or depth > DEEPEST:
        return value
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return {str(key): plain(item, depth + 1) for key, item in pairs}
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in cast("Iterable[object]", value)]
    held = _held_by(value)
    return value if held is None else plain(held, depth + 1)


def object_at(facts: Mapping[str, object], name: str) -> Payload:
    """Return the object called *name*, or an empty one if there is none."""
    return mapping(facts.get(name)) or {}


def objects_at(facts: Mapping[str, object], name: str) -> list[Payload]:
    """Return the objects in the list called *name*."""
    return [found for item in _list_at(facts, name) if (found := mapping(item)) is not None]


def texts_at(facts: Mapping[str, object], name: str) -> list[str]:
    """Return the strings in the list called *name*."""
    return [item for item in _list_at(facts, name) if isinstance(item, str)]


def text_at(facts: Mapping[str, object], name: str) -> str | None:
    """Return the string called *name*, or ``None`` if there is none."""
    value = facts.get(name)
    return value if isinstance(value, str) else None


def _list_at(facts: Mapping[str, object], name: str) -> list[object]:
    value = facts.get(name)
    return cast("list[object]", value) if isinstance(value, list) else []


def _held_by(value: object) -> Mapping[str, object] | None:
    dump = getattr(value, "model_dump", None)
    if callable(dump):
        # An SDK keeps what it did not expect, and pydantic would warn of each such field.
        try:
            dumped = dump(warnings=False)
        except TypeError:
            dumped = dump()
        return cast("Mapping[str, object]", dumped) if isinstance(dumped, Mapping) else None
    names: Iterable[str] = getattr(value, "__dict__", None) or _slots(value)
    if not names and not hasattr(value, "__dict__"):
        return None
    return {name: getattr(value, name, None) for name in names if not name.startswith("_")}


def _slots(value: object) -> list[str]:
    slots = [getattr(base, "__slots__", ()) for base in type(value).__mro__]
    return [name for names in slots for name in ((names,) if isinstance(names, str) else names)]


def _text(raw: str | bytes | bytearray) -> str:
    text = raw if isinstance(raw, str) else raw.decode("utf-8", errors="replace")
    return text.lstrip("\ufeff \t\r\n")


def object_in(text: str) -> Payload | None:
    """Return the JSON object that *text* is, or ``None`` if it is none."""
    try:
        return mapping(json.loads(text))
    except (ValueError, RecursionError):
        return None


def mapping(value: object) -> Payload | None:
    """Return *value* if it is an object, or ``None``."""
    return cast("Payload", value) if isinstance(value, dict) else None
