# Generated from src/ptmeter/_async/calibration.py by scripts/unasync.py: edit that file, then run `make format`.
"""What settled calls taught: kept, read, and taken elsewhere."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..asking import typed
from ..operations import calibrating

if TYPE_CHECKING:
    from ..domain.calibration import Calibration
    from .platform import Platform


@typed
class Calibrations:
    """What settled calls taught the estimates: ``meter.calibration``."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def read(self) -> Calibration:
        """
        All that is kept, of all processes; what this one has learnt is written down first.

        Export it with ``as_json()``, which holds names of models and routes and numbers of tokens, and
        nothing of a request.
        """
        self._platform.make_ready()
        self._platform.keep_learning()
        return self._platform.read(calibrating.recall)

    def add(self, calibration: Calibration) -> None:
        """
        Add what was learnt elsewhere, as `Calibration.from_json` reads it.

        It counts like calls settled here: added twice, it counts twice. It moves no PT, so it needs no key.
        """
        kept = self._platform.run(partial(calibrating.keep, fresh=calibration))
        self._platform.pricing.learning.take_in(kept)
