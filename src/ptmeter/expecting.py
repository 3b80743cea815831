"""What a call that is not sent yet is expected to take beside tokens, and at most: searches, pages, seconds of sound."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .domain.usage import checked_pieces
from .errors import UnknownModelError
from .providers.asked_tools import asked_tools

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .domain.prices import Price


class Pieces(NamedTuple):
    """How many of each are expected and how many there are at most, and sentences about what that rests on."""

    expected: Mapping[str, int]
    most: Mapping[str, int]
    notes: tuple[str, ...] = ()


def expected_pieces(
    price: Price, model: str, request: Any, said: Mapping[str, int], allowed: int
) -> Pieces:
    """
    What the caller *said*, and of the tools that the request turns on one call each, or *allowed* at most.

    A tool without a price is left out with a note: what it would cost is not known.

    Raises:
        UnknownModelError: Something that was said has no price, or nothing was said and tokens have none.
    """
    said = checked_pieces(said)
    expected, most, notes = dict(said), dict(said), list[str]()
    for name, limit in asked_tools(request, model, price.provider).items():
        if name in said or limit == 0:
            continue
        if name not in price.priced_pieces():
            notes.append(f"{name} has no price: a call that uses it is charged to nobody until it has one")
            continue
        expected[name], most[name] = 1, allowed if limit is None else limit
        if limit is None:
            notes.append(f"{name} is turned on without a limit: {allowed} are allowed for")
    if not price.rates and not most and price.tools:
        names = ", ".join(sorted(price.priced_pieces()))
        remedy = f"it is charged by the piece, so say how many there are, pieces={{...}} of {names}"
        raise UnknownModelError(model, "price for tokens", remedy)
    return Pieces(expected, most, tuple(notes))
