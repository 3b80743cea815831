"""Pausing, in both colours, for that is all they differ in."""

from __future__ import annotations

import asyncio
import time


def pause(seconds: float) -> None:
    """Let others run for a while; the thread sleeps."""
    time.sleep(seconds)


async def pause_async(seconds: float) -> None:
    """Let others run for a while; only the task sleeps."""
    await asyncio.sleep(seconds)
