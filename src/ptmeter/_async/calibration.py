"""What settled calls taught: kept, read, and taken elsewhere."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..asking import typed
from ..operations import calibrating

if TYPE_CHECKING:
    from ..domain.calibration import Calibration
    from .platform import AsyncPlatform


@typed
class AsyncCalibrations:
    """What settled calls taught the estimates: ``meter.calibration``."""

    def __init__(self, platform: AsyncPlatform) -> None:
        self._platform = platform

    async def read(self) -> Calibration:
        """
        All that is kept, of all processes; what this one has learnt is written down first.

        Export it with ``as_json()``, which holds names of models and routes and numbers of tokens, and
        nothing of a request.
        """
        await self._platform.make_ready()
        await self._platform.keep_learning()
        return await self._platform.read(calibrating.recall)

    async def add(self, calibration: Calibration) -> None:
        """
        Add what was learnt elsewhere, as `Calibration.from_json` reads it.

        It counts like calls settled here: added twice, it counts twice. It moves no PT, so it needs no key.
        """
        kept = await self._platform.run(partial(calibrating.keep, fresh=calibration))
        self._platform.pricing.learning.take_in(kept)
