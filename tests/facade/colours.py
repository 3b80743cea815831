"""
Both colours under one: `Meter` as if it were `AsyncMeter`, so that each test is written once.

What to await is read off the asynchronous class, by name; the parity tests say that the names are the same.
"""

from __future__ import annotations

import inspect
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine
from tests.integration.wiring import unprepared

from ptmeter import AsyncCall, AsyncMeter, Meter
from ptmeter._async.accounts import AsyncAccounts
from ptmeter._async.alerts import AsyncAlerts
from ptmeter._async.calibration import AsyncCalibrations
from ptmeter._async.checkpoints import AsyncCheckpoints
from ptmeter._async.funds import AsyncFunds
from ptmeter._async.margins import AsyncMargins
from ptmeter._async.mitigations import AsyncMitigations
from ptmeter._async.outbox import AsyncOutbox
from ptmeter._async.payments import AsyncPayments
from ptmeter._async.periods import AsyncPeriods
from ptmeter._async.prices import AsyncPrices
from ptmeter._async.quarantine import AsyncQuarantine
from ptmeter._async.referrals import AsyncReferrals
from ptmeter._async.subscriptions import AsyncSubscriptions
from ptmeter._async.top_ups import AsyncTopUps
from ptmeter._async.webhooks import AsyncWebhooks
from ptmeter._async.worker import AsyncWorker
from ptmeter.storage.engine import resolve

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable

ITS_OWN_NAME = {"aclose": "close"}
NAMESPACES: dict[str, type] = {
    "funds": AsyncFunds,
    "margins": AsyncMargins,
    "mitigations": AsyncMitigations,
    "plans": AsyncSubscriptions,
    "periods": AsyncPeriods,
    "checkpoints": AsyncCheckpoints,
    "calibration": AsyncCalibrations,
    "prices": AsyncPrices,
    "outbox": AsyncOutbox,
    "alerts": AsyncAlerts,
    "top_ups": AsyncTopUps,
    "quarantine": AsyncQuarantine,
    "accounts": AsyncAccounts,
    "referrals": AsyncReferrals,
    "payments": AsyncPayments,
    "webhooks": AsyncWebhooks,
    "worker": AsyncWorker,
}


def open_meter(target: str, *, asynchronous: bool, **options: Any) -> AsyncMeter:
    """A meter of either colour, with the asynchronous face."""
    if asynchronous:
        return AsyncMeter.open(target, **options)
    return _awaitable(Meter.open(target, **options))


def _awaitable(meter: Meter) -> Any:
    return _Awaitable(meter, AsyncMeter)


class _Awaitable:
    """A synchronous object, to be used like its asynchronous twin."""

    def __init__(self, inner: Any, twin: type) -> None:
        self.inner = inner
        self._twin = twin

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, ITS_OWN_NAME.get(name, name))
        if name in NAMESPACES:
            return _Awaitable(found, NAMESPACES[name])
        if inspect.iscoroutinefunction(getattr(self._twin, name, None)):
            return _awaited(found)
        if name in {"call", "joined"}:
            twin = AsyncCall if name == "call" else AsyncMeter
            return lambda *args, **named: _Awaitable(found(*args, **named), twin)
        return found

    async def __aenter__(self) -> Any:
        assert self.inner is self.inner.__enter__()
        return self

    async def __aexit__(self, *raised: object) -> Any:
        return self.inner.__exit__(*raised)

    async def stream(self, chunks: AsyncIterable[Any], **named: Any) -> AsyncIterator[Any]:
        """`Call.stream` over the same chunks, taken one by one."""
        ready = [chunk async for chunk in chunks] if hasattr(chunks, "__aiter__") else chunks
        for chunk in self.inner.stream(ready, **named):
            yield chunk


def _awaited(method: Callable[..., Any]) -> Callable[..., Any]:
    async def call(*args: Any, **named: Any) -> Any:
        return method(*args, **named)

    return call


async def streamed(chunks: Iterable[Any]) -> AsyncIterator[Any]:
    """Chunks as a provider's asynchronous client yields them."""
    for chunk in chunks:
        yield chunk


class Transaction:
    """A transaction of the application's own: its statements, and the connection for `joined`."""

    def __init__(self, connection: Any, *, asynchronous: bool) -> None:
        self.connection = connection
        self._asynchronous = asynchronous

    async def sql(self, statement: str) -> Any:
        """Carry out one of the application's statements."""
        result = self.connection.exec_driver_sql(statement)
        return await result if self._asynchronous else result


@asynccontextmanager
async def transaction(url: str, *, asynchronous: bool) -> AsyncIterator[Transaction]:
    """``engine.begin()`` on an engine of the application's own, in either colour."""
    place = resolve(url, asynchronous=asynchronous)
    if asynchronous:
        engine = create_async_engine(place, **unprepared(url, asynchronous=True))
        try:
            async with engine.begin() as connection:
                yield Transaction(connection, asynchronous=True)
        finally:
            await engine.dispose()
        return
    plain = create_engine(place, **unprepared(url, asynchronous=False))
    try:
        with plain.begin() as connection:
            yield Transaction(connection, asynchronous=False)
    finally:
        plain.dispose()
