"""
The asynchronous face: `AsyncMeter` and what it hands out.

``_sync`` is this folder's echo, written by ``scripts/unasync.py``: edit here, run ``make format``. Thin on
purpose: a verb checks its arguments, names an operation and runs it. It owns no decision and no SQL.
"""

from __future__ import annotations

from .call import AsyncCall
from .meter import AsyncMeter

__all__ = ["AsyncCall", "AsyncMeter"]
