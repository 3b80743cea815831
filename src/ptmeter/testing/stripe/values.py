"""The plain values an API object is made of: copies, differences and merged parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias, cast

Obj: TypeAlias = dict[str, Any]
"""An API object, or a part of one, as JSON has it. What begins with ``_`` is the fake's own and never shown."""


def shown(value: Any) -> Any:
    """Return a copy of *value*, all the way down, without what is the fake's own."""
    if isinstance(value, dict):
        items = cast("Obj", value).items()
        return {name: shown(part) for name, part in items if not name.startswith("_")}
    if isinstance(value, list):
        return [shown(part) for part in cast("list[Any]", value)]
    return value


def copied(value: Any) -> Any:
    """Return a copy of *value*, all the way down."""
    if isinstance(value, Mapping):
        return {name: copied(part) for name, part in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [copied(part) for part in cast("list[Any]", value)]
    return value


def part(params: Mapping[str, Any], name: str) -> Obj:
    """Return the hash of this name, empty if there is none."""
    return params.get(name) or {}


def previous(before: Obj, after: Obj) -> Obj:
    """Return what *before* held where *after* differs: the ``previous_attributes`` of an event."""
    changed: Obj = {}
    for name in after:
        old, new = before.get(name), after[name]
        if old == new:
            continue
        if isinstance(old, dict) and isinstance(new, dict) and "object" not in new:
            changed[name] = previous(cast("Obj", old), cast("Obj", new))
        else:
            changed[name] = old
    return changed


def merge(target: Obj, params: Mapping[str, Any], names: tuple[str, ...] | None = None) -> None:
    """
    Put *params*, or those of *names*, into *target*: hashes are merged, and an empty string unsets.

    As Stripe has it: a key of ``metadata`` with an empty value goes, and ``metadata=""`` empties it.
    """
    for name in params if names is None else names:
        if name not in params:
            continue
        value, old = params[name], target.get(name)
        if name == "metadata":
            target[name] = _metadata(old, value)
        elif isinstance(value, dict) and isinstance(old, dict):
            merge(cast("Obj", old), cast("Obj", value))
        else:
            target[name] = copied(value)


def _metadata(old: Obj | None, new: Obj | None) -> Obj:
    if not new:
        return {}
    merged = {**(old or {}), **{key: "" if value is None else str(value) for key, value in new.items()}}
    return {key: value for key, value in merged.items() if value != ""}


def rows_of(rows: list[Obj], url: str, *, more: bool = False) -> Obj:
    """Return a page of a list, as Stripe wraps it."""
    return {"object": "list", "url": url, "has_more": more, "data": rows}


ADDRESS: Obj = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
