"""
What a call consumed, in disjoint token classes whose sum is the provider's total.

Providers count differently: OpenAI's ``prompt_tokens`` include the cached ones, Anthropic's
``input_tokens`` leave them out. Here no token is in two classes, so a price per class times the
tokens in it can neither charge a cached token twice nor forget it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Final

from ..errors import InvalidArgumentError


class Quality(StrEnum):
    """How sure we are of a usage: who counted it."""

    EXACT = "exact"
    """The provider reported it and the classes add up."""
    PARTIAL_ESTIMATED = "partial_estimated"
    """The stream broke off: what arrived was counted here; reconciliation corrects it later."""


INPUT_CLASSES: Final = (
    "input_uncached",
    "input_cache_read",
    "input_cache_read_audio",
    "input_cache_read_image",
    "input_cache_write_5m",
    "input_cache_write_1h",
    "input_audio",
    "input_image",
)
OUTPUT_CLASSES: Final = ("output_text", "output_reasoning", "output_audio", "output_image")
TOKEN_CLASSES: Final = INPUT_CLASSES + OUTPUT_CLASSES


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """
    Tokens by class, requests, and what is billed by the piece.

    ``input_cache_write_5m`` is the provider's default cache lifetime (five minutes at Anthropic, not
    stated at OpenAI). ``tool_calls`` counts the pieces by name: calls of the provider's own tools such as
    ``web_search``, pages that were read (``ocr_page``), seconds of sound (``audio_second``).
    """

    input_uncached: int = 0
    input_cache_read: int = 0
    input_cache_read_audio: int = 0
    input_cache_read_image: int = 0
    input_cache_write_5m: int = 0
    input_cache_write_1h: int = 0
    input_audio: int = 0
    input_image: int = 0
    output_text: int = 0
    output_reasoning: int = 0
    output_audio: int = 0
    output_image: int = 0
    requests: int = 1
    tool_calls: Mapping[str, int] = field(default_factory=dict[str, int])
    quality: Quality = Quality.EXACT

    def __post_init__(self) -> None:
        for name in (*TOKEN_CLASSES, "requests"):
            _check_count(name, getattr(self, name))
        if not isinstance(self.tool_calls, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            msg = 'tool_calls counts the pieces by name, such as {"web_search": 2}'
            raise InvalidArgumentError(msg)
        for name, count in self.tool_calls.items():
            _check_count(f"tool_calls[{name!r}]", count)

    @property
    def input_total(self) -> int:
        """All input tokens, cached or not."""
        return (
            self.input_uncached
            + self.input_cache_read
            + self.input_cache_read_audio
            + self.input_cache_read_image
            + self.input_cache_write_5m
            + self.input_cache_write_1h
            + self.input_audio
            + self.input_image
        )

    @property
    def output_total(self) -> int:
        """All output tokens, hidden reasoning included."""
        return self.output_text + self.output_reasoning + self.output_audio + self.output_image

    @property
    def total(self) -> int:
        """All tokens of the call; what a banded rate card goes by."""
        return self.input_total + self.output_total

    def pieces(self) -> dict[str, int]:
        """The tool calls, pages and seconds of sound that are not zero, by name."""
        return {name: count for name, count in self.tool_calls.items() if count}

    def tokens(self) -> dict[str, int]:
        """The classes that are not zero, by name."""
        return {name: count for name in TOKEN_CLASSES if (count := getattr(self, name))}

    def facts(self) -> tuple[object, ...]:
        """What was used, without what was not: two usages are the same if and only if these are."""
        tools = sorted((name, count) for name, count in self.tool_calls.items() if count)
        return (*self.tokens().items(), *tools, self.requests, str(self.quality))

    def __add__(self, other: Usage) -> Usage:
        names = [f.name for f in fields(self) if f.name not in ("tool_calls", "quality")]
        tools = {
            name: self.tool_calls.get(name, 0) + other.tool_calls.get(name, 0)
            for name in {**self.tool_calls, **other.tool_calls}
        }
        worst = (
            Quality.EXACT if self.quality == other.quality == Quality.EXACT else Quality.PARTIAL_ESTIMATED
        )
        counts = {name: getattr(self, name) + getattr(other, name) for name in names}
        return Usage(**counts, tool_calls=tools, quality=worst)


def checked_pieces(pieces: Mapping[str, int]) -> dict[str, int]:
    """
    Pieces by name, without those of which there are none.

    Raises:
        InvalidArgumentError: One of the counts is no whole number or below zero.
    """
    return Usage(tool_calls=pieces).pieces()


def _check_count(name: str, count: object) -> None:
    if type(count) is not int or count < 0:
        msg = f"{name} must be a whole number of tokens or calls, not {count!r}"
        raise InvalidArgumentError(msg)
