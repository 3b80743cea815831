"""
How far what is held suffices for an answer that is still being written, and whether its text has come that far.

A text has no more tokens than bytes, so it is counted only when so many bytes have come that it might have
outrun the hold: a few times in an answer, however many pieces it comes in. The sound of an answer that is spoken
comes besides, and its tokens are known by how long it lasts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from .providers.usage import UsageStream

MARGIN: Final = 64
"""So many tokens before what is held is used up, more is held: time for the transaction."""

FARTHEST: Final = 1 << 31
"""What suffices for so many tokens suffices for any answer."""


class Reach:
    """
    The output tokens that a hold suffices for.

    Args:
        cost: What an answer of so many tokens is charged, in micro-PT, with all that was read: of text, or of sound
            if it is to be spoken.
        count: How many tokens a text has.
        held: What is held, in micro-PT.
    """

    def __init__(self, cost: Callable[[int], int], count: Callable[[str], int], held: int) -> None:
        self._cost = cost
        self._count = count
        self._held = held
        self._counted = 0
        self._counted_at = 0
        self.tokens = self._suffices_for(held)

    def is_outrun(self, stream: UsageStream) -> bool:
        """Whether the text has come, but for `MARGIN`, as far as what is held suffices."""
        if self._counted + stream.size + stream.sound - self._counted_at + MARGIN < self.tokens:
            return False
        self._counted = self._count(stream.text) + stream.sound
        self._counted_at = stream.size + stream.sound
        return self._counted + MARGIN >= self.tokens

    @property
    def steps(self) -> tuple[int, int]:
        """How many micro-PT more to hold: for an answer twice as long, or at least for the next few tokens."""
        farther = (2 * max(self.tokens, self._counted), max(self.tokens, self._counted) + 4 * MARGIN)
        double, least = (max(1, self._cost(tokens) - self._held) for tokens in farther)
        return max(double, least), least

    def extend(self, amount: int) -> None:
        """Note that so many micro-PT more are held."""
        self._held += amount
        self.tokens = self._suffices_for(self._held)

    def _suffices_for(self, held: int) -> int:
        """The longest answer that is charged no more than *held*; longer ones are never charged less."""
        low, high = 0, FARTHEST
        while low < high:
            middle = (low + high + 1) // 2
            if self._cost(middle) <= held:
                low = middle
            else:
                high = middle - 1
        return low
