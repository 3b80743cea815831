"""
Whether what was given is of the type that its annotation says, so that what is not is refused in words that help.

Annotations are read as they are written (``timedelta | None``), so nothing has to be imported for it. Amounts are no
business of this: whoever reads one refuses floats (`pt.scaled`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import PurePath
from typing import Any, Final, NamedTuple, TypeAlias

from ..errors import ConfigurationError, InvalidArgumentError
from .checks import check_moments, check_name

Finder: TypeAlias = Callable[[str], type | None]
"""Finds a class by its name, if that is one to be checked."""


class Kind(NamedTuple):
    """What an annotation takes, but for what is of a type that it does not take, and how that is said."""

    takes: Any
    said: str
    but: tuple[type, ...] = ()


KINDS: Final[Mapping[str, Kind]] = {
    "None": Kind(type(None), "None"),
    "str": Kind(str, "a text"),
    "bytes": Kind(bytes, "bytes"),
    "int": Kind(int, "a whole number", but=(bool,)),
    "bool": Kind(bool, "True or False"),
    "timedelta": Kind(timedelta, "a timedelta, such as timedelta(days=90)"),
    "datetime": Kind(datetime, "a time with its zone, such as datetime.now(UTC)"),
    "date": Kind(date, "a day, such as date(2026, 8, 31)", but=(datetime,)),
    "Path": Kind(PurePath, "a Path"),
    "tuple": Kind(tuple, "a tuple"),
    "Mapping": Kind(Mapping, "a mapping, such as a dict"),
    "Sequence": Kind(Sequence, "a list", but=(str, bytes)),
    "Callable": Kind(Callable, "something that can be called"),
}
"""What is the same wherever it is written."""

READ_BY: Final[Mapping[str, str]] = {"Plans": "read_plans", "RateCard": "read_rate_card"}
"""What reads those from a file whose path somebody may have given instead."""


def check_argument(name: str, value: object, annotation: str, find: Finder) -> None:
    """
    Make sure that *value* may be given for *name*, which is annotated so.

    Raises:
        InvalidArgumentError: It is of another type, a time without a zone, cannot name an account, or asks for
            less than one.
    """
    if problem := _problem(name, value, _kinds(annotation, find)):
        raise InvalidArgumentError(problem)
    if isinstance(value, datetime):
        check_moments(value)
    if name in ("limit", "portion") and isinstance(value, int) and value < 1:
        msg = f"ask for at least one: {name} is {value}"
        raise InvalidArgumentError(msg)
    if name == "account" and isinstance(value, str):
        check_name(value)


def check_fields(made: Any, *others: type) -> None:
    """
    Make sure that each field of a dataclass that was *made* is of its type, as far as that is known here.

    *others* are classes that its annotations name.

    Raises:
        ConfigurationError: One is not.
    """
    for name, kinds in _fields_of(made.__class__, others):
        if problem := _problem(name, getattr(made, name), kinds):
            raise ConfigurationError(problem)


def check_rates(rates: Mapping[str, int], of: str) -> None:
    """
    Make sure that each of somebody's *rates* is a whole number: of pico- or nano-units, so nothing has to be finer.

    Raises:
        ConfigurationError: One is not, such as a float of dollars.
    """
    for name, rate in rates.items():
        if type(rate) is not int:
            msg = f"{of}: the rate of {name} is a whole number, not {rate!r}; read_prices reads dollars"
            raise ConfigurationError(msg)


def _problem(name: str, value: object, kinds: Sequence[Kind]) -> str | None:
    if not kinds or any(
        isinstance(value, kind.takes) and not isinstance(value, kind.but) for kind in kinds
    ):
        return None
    said = " or ".join(dict.fromkeys(kind.said for kind in kinds))
    return f"{name} is {said}, not {_shown(value)}"


def _shown(value: object) -> str:
    """A number as it is; of what else was given only its type, for it may be long, or secret."""
    return repr(value) if value is None or isinstance(value, int | float) else type(value).__name__


@cache
def _fields_of(of: Any, others: tuple[type, ...]) -> Sequence[tuple[str, Sequence[Kind]]]:
    """The fields that a dataclass is made of, and what each takes."""
    classes = {each.__name__: each for each in others}
    return [(each.name, _kinds(str(each.type), classes.get)) for each in fields(of) if each.init]


@cache
def _kinds(annotation: str, find: Finder) -> Sequence[Kind]:
    """What an annotation takes, one or the other; nothing if not all of it is known here."""
    kinds = [_kind(part, find) for part in _parts(annotation)]
    known = [kind for kind in kinds if kind is not None]
    return known if len(known) == len(kinds) else ()


def _kind(part: str, find: Finder) -> Kind | None:
    """What one part of an annotation takes; ``None`` if that is not known here."""
    if found := KINDS.get(part):
        return found
    wanted = find(part)
    how = f", as {READ_BY[part]} returns," if part in READ_BY else ""
    return wanted and Kind(wanted, f"{'an' if part[0] in 'AEIOU' else 'a'} {part}{how}")


def _parts(annotation: str) -> list[str]:
    """The types that an annotation names; of a generic type only that itself."""
    parts: list[str] = []
    depth = 0
    for word in annotation.split(" | "):
        if not depth:
            parts.append(word.partition("[")[0])
        depth += word.count("[") - word.count("]")
    return parts
