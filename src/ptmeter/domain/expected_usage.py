"""
What usage is expected of a call that is not sent yet, as far as its request says.

Pieces, such as searches, are what the request turns on or what the caller says. A model that has a price for pieces
and none for tokens, such as one that reads pages, is expected to use pieces alone.

Sound is priced apart from text by models that take it, at up to sixteen times as much, so it is counted apart where
the model's price tells the two apart. What a model without such a price is sent counts as text, as it is charged.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from .usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .prices import Price

NO_PIECES: Final[Mapping[str, int]] = {}


class Sound(NamedTuple):
    """How many tokens of the input are sound, and whether the answer is to be spoken."""

    heard: int = 0
    spoken: bool = False


SILENT: Final = Sound()


def expected_usage(
    price: Price, tokens: int, output: int, sound: Sound = SILENT, pieces: Mapping[str, int] = NO_PIECES
) -> Usage:
    """So many input tokens, some of which may be sound, an answer of so many, and so many pieces."""
    if not price.rates and pieces:
        return Usage(tool_calls=pieces)
    heard = min(sound.heard, tokens) if "input_audio" in price.rates else 0
    said = output if sound.spoken and "output_audio" in price.rates else 0
    return Usage(
        input_uncached=tokens - heard,
        input_audio=heard,
        output_text=output - said,
        output_audio=said,
        tool_calls=pieces,
    )


def dearest_usage(
    price: Price, tokens: int, output: int, sound: Sound = SILENT, pieces: Mapping[str, int] = NO_PIECES
) -> Usage:
    """The same, with text at the dearest rate that input can have: a first request writes the cache."""
    usage, rates = expected_usage(price, tokens, output, sound, pieces), price.rates
    if rates.get("input_cache_write_5m", 0) <= rates.get("input_uncached", 0):
        return usage
    return replace(usage, input_uncached=0, input_cache_write_5m=usage.input_uncached)
