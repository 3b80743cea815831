"""Pages of a list, and the expansion of ids into what they stand for."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final, cast

from .refusals import RefusedError
from .values import rows_of

if TYPE_CHECKING:
    from .values import Obj
    from .world import World

LARGEST = 100
COMPARED: Final = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}


def page(rows: list[Obj], params: Obj, url: str) -> Obj:
    """
    Return the page of *rows* that *params* ask for: oldest come in, newest go out first.

    Raises:
        RefusedError: The limit is not 1 to 100, or the cursor is not in the list.
    """
    limit = params.get("limit", 10)
    if not 1 <= limit <= LARGEST:
        raise RefusedError(
            f"This value must be greater than or equal to 1 and at most {LARGEST}.",
            code="parameter_invalid_integer",
            param="limit",
        )
    after, before = params.get("starting_after"), params.get("ending_before")
    if after and before:
        raise RefusedError("You can only use one of these parameters: starting_after, ending_before.")

    newest = [row for row in reversed(rows) if _within(row, params)]
    if before:
        ahead = newest[: _place(newest, before, "ending_before")]
        return rows_of(ahead[-limit:], url, more=len(ahead) > limit)
    start = _place(newest, after, "starting_after") + 1 if after else 0
    return rows_of(newest[start : start + limit], url, more=len(newest) > start + limit)


def _within(row: Obj, params: Obj) -> bool:
    """Whether each time of *row* lies in the range that a parameter of its name states."""
    for name in ("created", "arrival_date", "due_date"):
        if (wanted := params.get(name)) is None:
            continue
        if isinstance(wanted, int):
            if row.get(name) != wanted:
                return False
        elif row.get(name) is None or not all(COMPARED[sign](row[name], at) for sign, at in wanted.items()):
            return False
    return True


def _place(rows: list[Obj], identity: str, param: str) -> int:
    for place, row in enumerate(rows):
        if row["id"] == identity:
            return place
    raise RefusedError(f"No such object: '{identity}'", code="resource_missing", param=param)


def expand(world: World, answer: Obj, paths: list[str]) -> Obj:
    """
    Put whole objects where *paths* lead, in an *answer* that is a copy.

    Raises:
        RefusedError: There is nothing on the path that could be expanded.
    """
    for path in paths:
        _expand(world, answer, path.split("."), path)
    return answer


def _expand(world: World, value: Any, parts: list[str], path: str) -> None:
    if isinstance(value, list):
        for each in cast("list[Any]", value):
            _expand(world, each, parts, path)
        return
    if not isinstance(value, dict) or not parts:
        return
    obj = cast("Obj", value)
    name, *rest = parts
    computed = world.expansions.get((str(obj.get("object")), name))
    if computed and not isinstance(obj.get(name), dict):
        obj[name] = computed(world, obj)
    elif isinstance(obj.get(name), str):
        found = world.find(obj[name])
        if found is None:
            raise _refused(path)
        obj[name] = world.shown(found)
    elif name not in obj:
        raise _refused(path)
    _expand(world, obj[name], rest, path)


def _refused(path: str) -> RefusedError:
    return RefusedError(f"This property cannot be expanded ({path}).", param="expand")
