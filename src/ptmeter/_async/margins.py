"""What was earned by what was used, what that cost, and whether it is enough."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ..asking import typed
from ..domain.margins import Grouping
from ..operations import earning

if TYPE_CHECKING:
    from datetime import date

    from ..domain.margins import MarginGoals, MarginReport
    from .platform import AsyncPlatform


@typed
class AsyncMargins:
    """Revenue, provider cost and gross margin: ``meter.margins``."""

    def __init__(self, platform: AsyncPlatform) -> None:
        self._platform = platform

    async def report(
        self,
        *,
        by: Grouping | str = Grouping.PLATFORM,
        since: date | None = None,
        until: date | None = None,
        goals: MarginGoals | None = None,
    ) -> MarginReport:
        """
        The margins of the days in [since, until), in UTC: one query, however many calls there were.

        Args:
            by: What they are told apart by: ``platform``, ``plan``, ``account``, ``model`` or ``day``.
            since: The first day; from the beginning, if left out.
            until: The day after the last; up to now, if left out.
            goals: From where on lights change; what the policy says, if left out.

        Raises:
            InvalidArgumentError: *by* is none of these, a day is no date, or none is left between the two.
        """
        goals = goals or self._platform.policy.margins
        read = partial(earning.report, by=by, since=since, until=until, goals=goals)
        return await self._platform.read(read)
