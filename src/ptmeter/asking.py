"""
What the verbs of a meter are asked with: an argument of a wrong type is refused before anything is done with it.

Signatures say what they take, so nothing else does: `typed` makes each public verb of a class look at its arguments
first. What an annotation names that is not public is left to whoever uses it.
"""

from __future__ import annotations

import inspect
from functools import cache, wraps
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TypeVar

from .domain.arguments import check_argument
from .homes import HOMES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")

_HOME_OF: Final = {name: home for home, names in HOMES.items() for name in names} | {
    "Subject": "domain.inbox"
}


def typed(cls: type[T]) -> type[T]:
    """Have every public verb of *cls* refuse arguments that are not of the types its signature says."""
    for name, verb in vars(cls).copy().items():
        if name.startswith("_"):
            continue
        if isinstance(verb, classmethod):
            setattr(cls, name, classmethod(_asked(vars(cls)[name].__func__)))
        elif inspect.isfunction(verb):
            setattr(cls, name, _asked_async(verb) if inspect.iscoroutinefunction(verb) else _asked(verb))
    return cls


def _asked(verb: Callable[..., Any]) -> Callable[..., Any]:
    check = _check_of(verb)

    @wraps(verb)
    def asked(self: object, /, *args: object, **named: object) -> Any:
        check(args, named)
        return verb(self, *args, **named)

    return asked


def _asked_async(verb: Callable[..., Any]) -> Callable[..., Any]:
    check = _check_of(verb)

    @wraps(verb)
    async def asked(self: object, /, *args: object, **named: object) -> Any:
        check(args, named)
        return await verb(self, *args, **named)

    return asked


def _check_of(verb: Callable[..., Any]) -> Callable[[tuple[object, ...], Mapping[str, object]], None]:
    """What looks at the arguments of a verb, as its signature has them; amounts by unit are in none."""
    parameters = [*inspect.signature(verb).parameters.values()][1:]
    named = {each.name: str(each.annotation) for each in parameters if each.kind is not each.VAR_KEYWORD}
    placed = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]

    def check(args: tuple[object, ...], given: Mapping[str, object]) -> None:
        for name, value in (*zip(placed, args, strict=False), *given.items()):
            if name in named:
                check_argument(name, value, named[name], _public)

    return check


@cache
def _public(name: str) -> type | None:
    """The public class of that name, loaded when it is first asked for."""
    home = _HOME_OF.get(name)
    found = getattr(import_module(f".{home}", __package__), name) if home else None
    return found if isinstance(found, type) else None
