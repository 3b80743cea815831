"""What all errors have in common."""

from __future__ import annotations

from typing import ClassVar


class PtmeterError(Exception):
    """Anything ptmeter raises on purpose; catch this to catch them all."""

    code: ClassVar[str] = "ptmeter"
    retryable: ClassVar[bool] = False
