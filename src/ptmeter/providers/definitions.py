"""
Tool definitions and reply schemas, which become part of the prompt in a form no provider documents.

Where the overheads of a family have been fitted, a definition costs its words plus so much per
property, description and enumeration; whatever the fit does not know, and every definition of the
other families, is counted as the JSON it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..domain.pt import ceil_div
from .parts import DEEPEST, items, label, mapping, written

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .families import ToolFraming
    from .parts import Tally


def tools(tally: Tally, definitions: object) -> None:
    """Count the tools of a request; any at all bring a prompt that explains them."""
    fit = tally.family.tools
    note = f"tool definitions are counted {'with fitted overheads' if fit else 'as JSON'}"
    for index, definition in enumerate(items(definitions)):
        first, more = (fit.first, fit.more) if fit else (tally.family.tools_once, 0)
        overhead = more if index else first
        tally.add(overhead, ceil_div(overhead * 5, 4), note=note)
        _tool(tally, definition, fit)


def reply_format(tally: Tally, value: object) -> None:
    """Count the schema a reply must follow, if there is one."""
    form = mapping(value)
    if form is None:
        if value is not None:
            tally.unknown("the reply format", value)
        return
    form = mapping(form.get("format")) or form
    if "json_schema" in form or "schema" in form:
        tally.text(written(form))
        tally.add(0, note="the reply schema is counted as JSON")


def _tool(tally: Tally, definition: object, fit: ToolFraming | None) -> None:
    """Count one definition: Chat Completions nests it, Responses and Anthropic do not."""
    fields = mapping(definition) or {}
    what = mapping(fields.get("function")) or fields
    schema = mapping(what.get("parameters")) or mapping(what.get("input_schema"))
    if schema is None and fields.get("type") not in (None, "function", "custom"):
        tally.unseen(f"what the provider's tool {label(fields['type'])} adds was not counted")
    if fit is None or schema is None:
        tally.text(written(definition))
        return
    tally.text(what.get("name"))
    if what.get("description"):
        tally.add(fit.description)
        tally.text(what["description"])
    _object(tally, schema, fit, 0)
    _rest(tally, what, _TOOL_FIELDS)


def _object(tally: Tally, schema: Mapping[str, Any], fit: ToolFraming, depth: int) -> None:
    """Count an object schema property by property."""
    properties = mapping(schema.get("properties")) or {}
    for index, (name, value) in enumerate(properties.items()):
        tally.add(fit.property if index else fit.first_property)
        tally.text(name)
        _property(tally, value, fit, depth=depth + 1, nested=fit.nested)
    _rest(tally, schema, _SCHEMA_FIELDS)


def _property(tally: Tally, value: object, fit: ToolFraming, *, depth: int, nested: int) -> None:
    """Count one property, or the element of a list; *nested* is what an object costs there."""
    fields = mapping(value)
    if fields is None or depth > DEEPEST:
        tally.text(written(value))
        return
    if fields.get("description"):
        tally.add(fit.property_description)
        tally.text(fields["description"])
    if choices := items(fields.get("enum")):
        tally.add(fit.enum)
        for choice in choices:
            tally.text(choice)
    if "properties" in fields:
        tally.add(nested)
    _object(tally, fields, fit, depth)
    if "items" in fields:
        _property(tally, fields["items"], fit, depth=depth + 1, nested=fit.array)


def _rest(tally: Tally, fields: Mapping[str, Any], known: frozenset[str]) -> None:
    """Count as JSON what the fit does not cover."""
    if more := {key: value for key, value in fields.items() if key not in known}:
        tally.text(written(more))


_TOOL_FIELDS: Final = frozenset(
    ("name", "description", "parameters", "input_schema", "type", "strict", "cache_control")
)
_SCHEMA_FIELDS: Final = frozenset(
    ("type", "description", "enum", "properties", "items", "required", "additionalProperties", "$schema")
)
