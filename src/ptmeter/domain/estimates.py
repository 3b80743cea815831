"""What a call will cost, before it is sent: expected, at most, and how sure the count is."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .pt import PT, Money


class Method(StrEnum):
    """How the input tokens were counted."""

    EXACT = "exact"
    """By the model's own tokenizer."""
    CALIBRATED = "calibrated"
    """By another family's tokenizer times a measured factor."""
    APPROXIMATE = "approximate"
    """From the bytes alone: no tokenizer is known, or the text is too long to count in full."""


@dataclass(frozen=True, slots=True)
class Count:
    """Input tokens: the best guess, a bound that holds for 99 of 100 texts, and how they were got."""

    tokens: int
    high: int
    method: Method
    notes: tuple[str, ...] = ()
    sound: int = 0
    """How many of them are sound, which many models price apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """
    What a call is expected to take and what it may take at most, in tokens, PT and provider cost.

    ``hold`` is what `Meter.call` sets aside: what may be spent at most, unless the policy says what is
    expected or what so many calls stay within. ``notes`` say what the figures rest on, such as a tokenizer
    that is not the model's own, or the calls that were settled before. ``counted`` is the input as the
    tokenizer had it; ``input`` is that as settled calls have corrected it. ``pieces`` are what is charged beside the
    tokens at most, such as searches, by name. An answer that is to be ``spoken`` is estimated at the price of sound, if
    the model's is another than that of text.
    """

    model: str
    unit: str
    route: str = ""
    counted: int
    input: Count
    output_expected: int
    output_at_most: int
    spoken: bool = False
    expected: PT
    at_most: PT
    hold: PT
    cost_expected: Money
    cost_at_most: Money
    definition: str
    pieces: Mapping[str, int] = field(default_factory=dict[str, int])
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"expected {self.expected}, at most {self.at_most} ({self.unit}); {self.definition}"
