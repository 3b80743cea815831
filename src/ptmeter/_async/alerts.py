"""What accounts are told: ``meter.alerts``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..asking import typed
from ..domain.forecasts import Ahead
from ..operations import alerting
from ..operations.alerting import Scanned

if TYPE_CHECKING:
    from ..domain.alerts import Notice
    from .platform import AsyncPlatform


@typed
class AsyncAlerts:
    """What accounts are told: ``meter.alerts``."""

    def __init__(self, platform: AsyncPlatform) -> None:
        self._platform = platform

    async def scan(self, *, ahead: Ahead | None = None, portion: int = 500) -> Scanned:
        """
        Look at every wallet, and write what is to be told ahead of time; run it every hour or day.

        That is, lots that lapse soon, and wallets that will be empty soon if PT are used on as in the last 72 hours
        (which a meter with plans counts). Each is written once, however often it is run, for `outbox.deliver` to
        deliver.

        Args:
            ahead: How many days ahead: 7 and 1 for what lapses, 3 for what is used up, unless said.
            portion: How many wallets are looked at in one transaction.
        """
        found = Scanned()
        after: int | None = None
        while True:
            look = partial(
                alerting.scan,
                ahead=ahead or Ahead(),
                rules=self._platform.rules,
                after=after,
                limit=portion,
            )
            part = await self._platform.run(look)
            found = Scanned(found.wallets + part.wallets, found.notices + part.notices)
            after = part.after
            if after is None:
                return found

    async def list(self, account: str, *, limit: int = 100) -> tuple[Notice, ...]:
        """What an account was told or is to be told, the latest first."""
        return await self._platform.read(partial(alerting.listed, account=account, limit=limit))
