"""The worker: whatever is to be done beside requests, in one loop that may run anywhere, as often as you like."""

from __future__ import annotations

import logging
from dataclasses import astuple
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ..asking import typed
from ..domain.jobs import SECOND, Job, Round
from ..errors import PtmeterError, StorageError
from ..operations import sweeping, working
from ..pausing import pause_async

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..domain.inbox import Waiting
    from ..operations.delivering import AsyncHandler
    from .alerts import AsyncAlerts
    from .outbox import AsyncOutbox
    from .payments import AsyncPayments
    from .platform import AsyncPlatform
    from .subscriptions import AsyncSubscriptions
    from .top_ups import AsyncTopUps
    from .webhooks import AsyncWebhooks

_log: Final = logging.getLogger("ptmeter.worker")

_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_PORTION: Final = 500


@typed
class AsyncWorker:
    """
    What is to be done beside requests: ``meter.worker``.

    It looks up what webhooks are about, delivers messages, and does the jobs that are due: books what ran out,
    renews subscriptions, looks ahead for alerts and top-ups, writes down metered usage, and asks Stripe for events
    that did not come. Run one beside the application (``ptmeter worker``) or inside it; several share the work.
    Nothing is lost if none runs for a while: what waits is done by the next.
    """

    def __init__(
        self,
        platform: AsyncPlatform,
        *,
        webhooks: AsyncWebhooks,
        payments: AsyncPayments,
        outbox: AsyncOutbox,
        plans: AsyncSubscriptions,
        alerts: AsyncAlerts,
        top_ups: AsyncTopUps,
    ) -> None:
        self._platform = platform
        self._webhooks = webhooks
        self._payments = payments
        self._outbox = outbox
        self._plans = plans
        self._alerts = alerts
        self._top_ups = top_ups

    async def run(
        self,
        stopped: Callable[[], bool],
        *,
        handlers: Mapping[str, AsyncHandler] | None = None,
        every: timedelta = SECOND,
    ) -> None:
        """
        Work, round after round, until *stopped* says so; then the round that is under way is ended.

        Args:
            stopped: Whether to stop, such as ``threading.Event().is_set``; asked at least once a second.
            handlers: Who takes which messages, as `outbox.deliver` takes them; none are delivered without.
            every: How long to pause after a round that found nothing to do.

        Raises:
            StorageError: The database cannot be used, and will not be able to be by itself.
        """
        while not stopped():
            done = await self._round(handlers)
            left = timedelta(0) if done.busy else every
            while left > timedelta(0) and not stopped():
                await pause_async(min(left, SECOND).total_seconds())
                left -= SECOND

    async def _round(self, handlers: Mapping[str, AsyncHandler] | None) -> Round:
        """A round; a database that cannot be reached now is waited for."""
        try:
            return await self.round(handlers=handlers)
        except StorageError as problem:
            if not problem.retryable:
                raise
            _log.warning("nothing could be done: %s", problem)
            return Round()

    async def round(self, *, handlers: Mapping[str, AsyncHandler] | None = None, limit: int = 100) -> Round:
        """Do once what is due: up to *limit* subjects and messages, and every job whose time has come."""
        worked = await self._webhooks.work(limit=limit) if self._has_key else None
        delivered = await self._outbox.deliver(handlers, limit=limit) if handlers else None
        done, failed = await self._do_jobs()
        return Round(
            sum(astuple(worked)) if worked else 0,
            delivered.delivered if delivered else 0,
            done,
            failed,
        )

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The jobs of this meter, and how often each is done."""
        return tuple(self._jobs())

    @property
    def _has_key(self) -> bool:
        return bool(self._webhooks.settings.key)

    def _jobs(self) -> dict[Job, Callable[[], Any]]:
        sweep = partial(self._platform.run, partial(sweeping.sweep, limit=_PORTION))
        jobs: dict[Job, Callable[[], Any]] = {Job("sweep", _MINUTE): sweep}
        if self._platform.plans is not None:
            jobs[Job("renew", _MINUTE)] = self._plans.renew_due
            jobs[Job("look_ahead", _HOUR)] = self._alerts.scan
            jobs[Job("top_up", _HOUR)] = self._top_ups.scan
        if self._has_key:
            jobs[Job("catch_up", 5 * _MINUTE)] = self._webhooks.catch_up
            jobs[Job("sweep_events", 24 * _HOUR)] = partial(self._webhooks.catch_up, undelivered=False)
        if self._webhooks.settings.metered:
            jobs[Job("report_usage", _HOUR)] = self._payments.report_usage
        return jobs

    async def _do_jobs(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Each job by itself: one that fails keeps no other from being done, and is done again at its time."""
        jobs = {job.subject: (job, do) for job, do in self._jobs().items()}
        taken = await self._platform.run(partial(working.take, jobs=[job for job, _ in jobs.values()]))
        done: list[str] = []
        failed: list[str] = []
        for each in taken:
            job, do = jobs[each.subject]
            (done if await self._do(each, job, do) else failed).append(job.name)
        return tuple(done), tuple(failed)

    async def _do(self, taken: Waiting, job: Job, do: Callable[[], Any]) -> bool:
        try:
            await do()
        except PtmeterError as problem:
            _log.warning("job %s failed, and is done again in %s: %s", job.name, job.every, problem)
            return False
        except Exception:  # noqa: BLE001 - whatever it was, the other jobs are done all the same
            _log.exception("job %s failed, and is done again in %s", job.name, job.every)
            return False
        finally:
            await self._platform.run(partial(working.finish, taken=taken, job=job))
        return True
