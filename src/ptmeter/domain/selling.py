"""What was paid for PT of several units together, divided among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .pt import allocate

if TYPE_CHECKING:
    from collections.abc import Mapping


def divide(paid: int, amounts: Mapping[str, int], sells_at: Mapping[str, int]) -> dict[str, int]:
    """
    Whose PT sold for how much of *paid*, in nano-units of money by unit; the parts sum to it.

    They share it in proportion to what *amounts* (in micro-PT) sell at, by what one PT of each *sells_at*. A unit
    that sells at nothing came with the others for nothing. If none of them sells at anything, nothing says what
    one is worth beside another, and each PT counts the same: what was paid is not lost for that.
    """
    if not amounts:
        return {}
    listed = {unit: amount * sells_at.get(unit, 0) for unit, amount in amounts.items()}
    weights = listed if any(listed.values()) else amounts
    return dict(zip(amounts, allocate(paid, list(weights.values())), strict=True))
