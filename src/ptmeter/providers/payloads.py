"""
Whatever holds a provider's answer, as plain dictionaries: SDK objects, JSON, server-sent events.

Nothing is validated here and no SDK is imported: an object is asked for its ``model_dump`` or its
attributes, so a new version of an SDK, or one never heard of, reads as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Payload: TypeAlias = dict[str, Any]
"""A JSON object as Python reads it."""

DONE: Final[Payload] = {"object": "[DONE]"}
"""What OpenAI's closing ``data: [DONE]`` reads as."""

DEEPEST: Final = 32
"""Objects that hold themselves are followed no deeper; no provider nests half as deep."""

_LINE_END: Final = re.compile(r"\r\n|\n|\r")
"""The line ends of the event-stream format; a JSON string may hold the others Unicode knows."""


def body_of(answer: object) -> Payload | None:
    """Return a provider's whole answer as a dictionary, or ``None`` if it is none."""
    if isinstance(answer, str | bytes | bytearray):
        return _object(_text(answer))
    return _mapping(plain(answer))


def events_of(chunk: object) -> Iterator[Payload]:
    """
    Return the events of one piece of a stream: an SDK object, a dictionary, JSON, or SSE lines.

    A line that is not whole JSON is passed over: it is what a broken connection leaves behind, and
    the usage it may have held counts as never sent.
    """
    if isinstance(chunk, str | bytes | bytearray):
        yield from _events_in(_text(chunk))
    elif (event := _mapping(plain(chunk))) is not None:
        yield event


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
    return plain(held, depth + 1) if held else value


def object_at(facts: Mapping[str, object], name: str) -> Payload:
    """Return the object called *name*, or an empty one if there is none."""
    return _mapping(facts.get(name)) or {}


def objects_at(facts: Mapping[str, object], name: str) -> list[Payload]:
    """Return the objects in the list called *name*."""
    value = facts.get(name)
    items = cast("list[object]", value) if isinstance(value, list) else []
    return [found for item in items if (found := _mapping(item)) is not None]


def text_at(facts: Mapping[str, object], name: str) -> str | None:
    """Return the string called *name*, or ``None`` if there is none."""
    value = facts.get(name)
    return value if isinstance(value, str) else None


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
    return {name: getattr(value, name, None) for name in names if not name.startswith("_")}


def _slots(value: object) -> list[str]:
    slots = [getattr(base, "__slots__", ()) for base in type(value).__mro__]
    return [name for names in slots for name in ((names,) if isinstance(names, str) else names)]


def _events_in(text: str) -> Iterator[Payload]:
    if text.startswith("{"):
        if (event := _object(text)) is not None:
            yield event
        return
    for line in _LINE_END.split(text):
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            yield DONE
        elif data.startswith("{") and (event := _object(data)) is not None:
            yield event


def _text(raw: str | bytes | bytearray) -> str:
    text = raw if isinstance(raw, str) else raw.decode("utf-8", errors="replace")
    return text.lstrip("\ufeff \t\r\n")


def _object(text: str) -> Payload | None:
    try:
        return _mapping(json.loads(text))
    except (ValueError, RecursionError):
        return None


def _mapping(value: object) -> Payload | None:
    return cast("Payload", value) if isinstance(value, dict) else None
