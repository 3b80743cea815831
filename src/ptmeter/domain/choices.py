"""Reading a word that names one of a few things."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from ..errors import InvalidArgumentError

if TYPE_CHECKING:
    from enum import StrEnum

    Choice = TypeVar("Choice", bound=StrEnum)


def one_of(choices: type[Choice], value: str) -> Choice:
    """
    The one that *value* is or names.

    Raises:
        InvalidArgumentError: It names none of them.
    """
    try:
        return choices(value)
    except ValueError:
        msg = f"{value!r} is none of {', '.join(choices)}"
        raise InvalidArgumentError(msg) from None
