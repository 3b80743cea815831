"""Rate limits: exact in memory and on Redis, in both colours and over processes, and what if nobody counts."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from time import sleep, time
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from tests import backends

from ptmeter import ConfigurationError, InvalidArgumentError, RateLimitedError
from ptmeter.web import rate_counters
from ptmeter.web.rate_outcomes import windows_of
from ptmeter.web.rates import (
    Allowed,
    AsyncRates,
    RateLimited,
    Rates,
    Unanswered,
    Window,
    answer_to,
    by_address,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

pytestmark = pytest.mark.anyio

NOBODY = "redis://127.0.0.1:1/0"
"""Where nothing listens."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def redis_url() -> str:
    return backends.redis()


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.redis)])
def place(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Where requests are counted, apart from those of any other test."""
    url = "memory://" if request.param == "memory" else request.getfixturevalue("redis_url")
    return {"url": url, "prefix": f"ptmeter:test:{uuid.uuid4().hex}"}


class Awaitable:
    """`Rates` with the face of `AsyncRates`."""

    def __init__(self, rates: Rates) -> None:
        self.rates = rates

    async def hit(self, name: str) -> Allowed | RateLimited:
        return self.rates.hit(name)

    async def hit_or_raise(self, name: str) -> Allowed:
        return self.rates.hit_or_raise(name)


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def opened(request: pytest.FixtureRequest, place: dict[str, Any]) -> Callable[..., Any]:
    """Opens limits of one colour in one place, each with the asynchronous face."""

    @asynccontextmanager
    async def opening(limits: dict[Any, int], **options: Any) -> AsyncIterator[Any]:
        if request.param:
            async with AsyncRates.open(limits=limits, **(place | options)) as rates:
                yield rates
        else:
            with Rates.open(limits=limits, **(place | options)) as rates:
                yield Awaitable(rates)

    return opening


async def test_so_many_pass_and_the_next_is_told_when(opened: Callable[..., Any]) -> None:
    """Three a minute: the fourth is refused until the first counts no more, whoever else asks."""
    async with opened({"minute": 3}) as rates:
        began = datetime.now(UTC)
        found = [await rates.hit("ann") for _ in range(4)]
        other = await rates.hit("bob")

    assert [True, True, True, False] == [bool(each) for each in found]
    assert [2, 1, 0] == [each.remaining for each in found[:3]]
    refused = found[3]
    assert isinstance(refused, RateLimited)
    assert began + timedelta(seconds=58) < refused.retry_at < began + timedelta(seconds=62)
    assert 59 <= refused.retry_after <= 61
    assert ("ann", Window(3, 60), 2) == (refused.name, refused.window, other.remaining)


async def test_the_window_moves(opened: Callable[..., Any]) -> None:
    """What was counted passes out of it one by one, and what was refused never was in it."""
    async with opened({"second": 2}) as rates:
        first = await rates.hit("ann")
        await anyio.sleep(0.6)
        second, third = await rates.hit("ann"), await rates.hit("ann")
        await anyio.sleep(0.5)
        fourth, fifth = await rates.hit("ann"), await rates.hit("ann")

    assert [True, True, False, True, False] == [bool(e) for e in (first, second, third, fourth, fifth)]


async def test_of_several_windows_each_may_refuse_and_none_counts_what_another_refused(
    opened: Callable[..., Any],
) -> None:
    """The hour's limit refuses too; what it refused takes nothing of the minute's, nor the other way round."""
    async with opened({"minute": 3, "hour": 4, timedelta(days=2): 100}) as rates:
        found = [await rates.hit("ann") for _ in range(5)]
        assert [True, True, True, False, False] == [bool(each) for each in found]
        assert Window(3, 60) == found[3].window
    async with opened({"hour": 4, timedelta(days=2): 100}) as longer:
        left = await longer.hit("ann")
    async with opened({"hour": 4, "minute": 9}) as rates:
        told = await rates.hit("carl"), await rates.hit("carl")
        refused = [await rates.hit("carl") for _ in range(5)][-1]

    assert isinstance(left, Allowed)
    assert (Window(4, 3_600), 2) == (told[1].window, told[1].remaining)
    assert Window(4, 3_600) == refused.window
    assert "9;w=60, 4;w=3600" == refused.headers["RateLimit-Policy"]


async def test_the_headers_say_how_it_stands(opened: Callable[..., Any]) -> None:
    """What is left while it passes; when to come back, and 429 with a document, once it does not."""
    async with opened({"minute": 1}) as rates:
        allowed, refused = await rates.hit("ann"), await rates.hit("ann")

    told = dict(allowed.headers)
    assert 59 <= int(told.pop("RateLimit-Reset")) <= 61
    assert {"RateLimit-Limit": "1", "RateLimit-Remaining": "0", "RateLimit-Policy": "1;w=60"} == told
    answer = refused.answer
    document = json.loads(answer.body)["error"]
    assert (429, "rate_limited", "application/json") == (
        answer.status,
        document["code"],
        answer.headers["Content-Type"],
    )
    assert str(refused.retry_after) == answer.headers["Retry-After"] == answer.headers["RateLimit-Reset"]
    assert refused.retry_at - datetime.fromisoformat(document["retry_at"]) < timedelta(seconds=1)


async def test_as_an_error_it_says_the_same_and_not_who(opened: Callable[..., Any]) -> None:
    """Raised, it can be answered alike; the name may be a key, so no message has it."""
    async with opened({"minute": 1}) as rates:
        assert 0 == (await rates.hit_or_raise("key:secret")).remaining
        with pytest.raises(RateLimitedError, match="more than 1 requests in 60 seconds") as raised:
            await rates.hit_or_raise("key:secret")

    error = raised.value
    assert ("key:secret", 1, 60, 429, True) == (
        error.name,
        error.allowed,
        error.seconds,
        error.status,
        error.retryable,
    )
    assert "secret" not in str(error)
    assert error.headers.items() <= answer_to(error).headers.items()
    assert "secret" not in answer_to(error).body


async def test_at_once_exactly_as_many_pass(opened: Callable[..., Any]) -> None:
    """Of forty at the same moment, in threads or tasks, ten pass."""
    found: list[bool] = []
    async with opened({"minute": 10}) as rates:
        if isinstance(rates, Awaitable):
            with ThreadPoolExecutor(8) as pool:
                found = [*map(bool, pool.map(rates.rates.hit, ["ann"] * 40))]
        else:

            async def ask() -> None:
                found.append(bool(await rates.hit("ann")))

            async with anyio.create_task_group() as group:
                for _ in range(40):
                    group.start_soon(ask)

    assert (10, 30) == (found.count(True), found.count(False))


# --- Redis ------------------------------------------------------------------------------------


@pytest.mark.redis
def test_processes_share_one_limit_exactly(redis_url: str) -> None:
    """Two processes, one in each colour, ask a hundred times each at once: of two hundred a hundred pass."""
    prefix = f"ptmeter:test:{uuid.uuid4().hex}"
    start = time() + 3
    options = f"{redis_url!r}, {{'minute': 100, 'hour': 5_000}}, prefix={prefix!r}"
    waiting = f"import time; time.sleep(max(0, {start} - time.time()))"
    sync = (
        f"from ptmeter.web.rates import Rates; {waiting}\n"
        f"with Rates.open({options}) as rates:\n"
        f"    print(sum(bool(rates.hit('ann')) for _ in range(100)))"
    )
    asynchronous = (
        f"import asyncio; from ptmeter.web.rates import AsyncRates; {waiting}\n"
        f"async def main():\n"
        f"    async with AsyncRates.open({options}) as rates:\n"
        f"        print(sum([bool(await rates.hit('ann')) for _ in range(100)]))\n"
        f"asyncio.run(main())"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        for program in (sync, sync, asynchronous)
    ]
    passed = [int(process.communicate(timeout=60)[0]) for process in running]

    assert 100 == sum(passed)


@pytest.mark.redis
def test_no_name_stands_in_redis(redis_url: str) -> None:
    """Addresses and keys are kept as hashes, under the prefix, and go with their window."""
    from redis import Redis

    prefix = f"ptmeter:test:{uuid.uuid4().hex}"
    with Rates.open(redis_url, {"second": 5, "minute": 9}, prefix=prefix) as rates:
        rates.hit("key:secret")
    with Redis.from_url(redis_url) as redis:
        keys: list[Any] = [*redis.scan_iter(f"{prefix}*")]
        lasts: list[Any] = [redis.ttl(key) for key in keys]

    assert 2 == len(keys)
    assert all(
        b"secret" not in key and rate_counters.identity("key:secret").encode() in key for key in keys
    )
    assert all(0 < each <= 60 for each in lasts)


# --- no answer --------------------------------------------------------------------------------


@pytest.fixture
def silent() -> Iterator[str]:
    """The URL of a server that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("unanswered", Unanswered)
async def test_a_redis_that_is_not_there_lets_pass_or_refuses(
    asynchronous: bool, unanswered: Unanswered, caplog: pytest.LogCaptureFixture
) -> None:
    """As was chosen; said once, and not asked again for the moment."""
    options: dict[str, Any] = {"unanswered": unanswered, "pause": timedelta(seconds=7)}
    caplog.set_level(logging.WARNING, "ptmeter.web")
    if asynchronous:
        async with AsyncRates.open(NOBODY, {"minute": 1}, **options) as rates:
            found = [await rates.hit("ann") for _ in range(3)]
    else:
        with Rates.open(NOBODY, {"minute": 1}, **options) as plain:
            found = [plain.hit("ann") for _ in range(3)]

    assert 1 == len(caplog.records)
    if unanswered is Unanswered.ALLOW:
        assert [(True, {}, None)] * 3 == [(bool(f), f.headers, getattr(f, "remaining", 0)) for f in found]
        return
    for each in found:
        assert isinstance(each, RateLimited)
        assert (503, {"Retry-After": "7"}) == (each.answer.status, dict(each.headers))
        assert "cannot be counted" in str(each.error)


def test_by_default_they_pass_and_are_counted_again_when_it_answers(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While it is silent nobody asks; then it is asked again, and that it answers is said too."""
    now = [0.0]
    prefix = f"ptmeter:test:{uuid.uuid4().hex}"
    caplog.set_level(logging.WARNING, "ptmeter.web")
    with Rates.open(redis_url, {"minute": 1}, prefix=prefix, ticks=lambda: now[0]) as rates:
        assert 0 == rates.hit("ann").remaining  # type: ignore[union-attr]
        counter = rates._counter
        monkeypatch.setattr(rates, "_counter", _Broken())
        assert rates.hit("ann")
        monkeypatch.setattr(rates, "_counter", counter)
        now[0] = 0.9
        assert rates.hit("ann")
        now[0] = 1.0
        assert not rates.hit("ann")

    silent, again = (record.message for record in caplog.records)
    assert "does not answer, so requests pass uncounted: connection reset" in silent
    assert "answers again" in again


class _Broken:
    """A counter whose connection breaks."""

    def hit(self, *_: object) -> bool:
        msg = "connection reset"
        raise ConnectionResetError(msg)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
async def test_nobody_waits_longer_than_patience(silent: str, asynchronous: bool) -> None:
    """A server that accepts and says nothing costs a fraction of a second, once; the next does not wait."""
    options: dict[str, Any] = {"patience": timedelta(milliseconds=200), "pause": timedelta(minutes=1)}
    took: list[float] = []
    if asynchronous:
        async with AsyncRates.open(silent, {"minute": 1}, **options) as rates:
            for _ in range(2):
                began = time()
                assert await rates.hit("ann")
                took.append(time() - began)
    else:
        with Rates.open(silent, {"minute": 1}, **options) as plain:
            for _ in range(2):
                began = time()
                assert plain.hit("ann")
                took.append(time() - began)

    assert 0.15 < took[0] < 2
    assert took[1] < 0.05


# --- arguments --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "limits"),
    [
        ("memcached://localhost", {"minute": 1}),
        ("memory://x", {"minute": 1}),
        ("memory://", {}),
        ("memory://", {"fortnight": 1}),
        ("memory://", {"minute": 0}),
        ("memory://", {"minute": 1.5}),
        ("memory://", {"minute": True}),
        ("memory://", {timedelta(milliseconds=1_500): 1}),
        ("memory://", {timedelta(0): 1}),
    ],
)
def test_what_cannot_be_a_limit_is_refused(url: str, limits: dict[Any, Any]) -> None:
    """A place that cannot count, no limit, none that lets anything pass, and stretches that are no whole seconds."""
    for kind in (Rates, AsyncRates):
        with pytest.raises(ConfigurationError):
            kind.open(url, limits)


def test_windows_come_shortest_first_and_the_stricter_of_two_counts() -> None:
    """By name or as a stretch of time, which may be one and the same."""
    limits: dict[str | timedelta, int] = {"hour": 9, "second": 1, timedelta(hours=1): 5, "day": 50}

    assert (Window(1, 1), Window(5, 3_600), Window(50, 86_400)) == windows_of(limits)


@pytest.mark.parametrize(
    ("ip", "name"),
    [
        ("203.0.113.7", "ip:203.0.113.7"),
        ("::ffff:203.0.113.7", "ip:203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "ip:2001:db8:1:2::"),
        ("2001:0db8:0001:0002::9", "ip:2001:db8:1:2::"),
    ],
)
def test_an_address_counts_as_its_network(ip: str, name: str) -> None:
    """Of IPv6 the half that says whose it is, however it is written; IPv4 in its clothes is IPv4."""
    assert name == by_address(ip)


def test_what_is_no_address_is_refused() -> None:
    """So that nobody is counted as something made up."""
    with pytest.raises(InvalidArgumentError):
        by_address("unknown")


def test_closed_memory_leaves_no_thread_behind() -> None:
    """What cleans up in memory ends by itself."""
    import threading

    with Rates.open("memory://", {"second": 1}) as rates:
        rates.hit("ann")
    sleep(0.1)

    assert [] == [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
