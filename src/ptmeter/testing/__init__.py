"""What ptmeter's own tests stand on, shipped so that yours can: a clock to turn, and the contract of a store."""

from __future__ import annotations

from .blocking import Blocking
from .clock import Clock
from .contract import StoreContract
from .freeze_contract import FreezeContract
from .period_contract import PeriodContract

__all__ = ["Blocking", "Clock", "FreezeContract", "PeriodContract", "StoreContract"]
