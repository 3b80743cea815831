# Generated from src/ptmeter/_async/__init__.py by scripts/unasync.py: edit that file, then run `make format`.
"""
The synchronous face: `Meter` and what it hands out.

``_sync`` is this folder's echo, written by ``scripts/unasync.py``: edit here, run ``make format``. Thin on
purpose: a verb checks its arguments, names an operation and runs it. It owns no decision and no SQL.
"""

from __future__ import annotations

from .call import Call
from .meter import Meter

__all__ = ["Call", "Meter"]
