"""
A network that fails: silent in one direction or both, torn in the middle of a packet, slow, or out.

Whatever it does, a caller is told within its patience, never hangs, and learns the truth by asking once more
under the same key: the effect is there exactly once. The meter then goes on with the wire that was mended,
and closes, with no connection left behind. With a patience beyond the test's, the same call does hang.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, wait
from datetime import timedelta
from threading import Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Self

import pytest
from tests.integration.proxy import (
    ANY,
    ARRIVES,
    COMMIT,
    ROLLBACK,
    STAYS_OPEN,
    Fault,
    Wire,
    without_encryption,
)
from tests.integration.test_failures import sessions_with
from tests.integration.wiring import SERVER_DRIVERS, clean, params, query, through, until

from ptmeter import (
    PT,
    AsyncMeter,
    ContentionError,
    Hold,
    IndeterminateError,
    LedgerBusyError,
    Meter,
    Policy,
    StorageError,
    UnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.backends import Backend, Driver

PATIENCE: Final = 1.0
SLACK: Final = 3.0
"""Beyond patience: a quarter until the watch looks again, two seconds in which asyncpg parts as friends."""

FAULTS: Final = tuple(fault for fault in Fault if fault is not Fault.FORGOTTEN)
MYSQL_DRIVERS: Final = tuple(driver for driver in SERVER_DRIVERS if driver.backend == "mysql")
IMPATIENT: Final = Policy(patience=timedelta(seconds=PATIENCE))

TOLD: Final = IndeterminateError | LedgerBusyError | UnavailableError | ContentionError
"""What a caller may be told of a network that is out: each says to try again."""


class Caller:
    """A meter of either colour, asked from outside, so that a call that hangs fails its test and no more."""

    def __init__(self, url: str, driver: Driver, policy: Policy = IMPATIENT) -> None:
        self._asynchronous = driver.asynchronous
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        opened = AsyncMeter if driver.asynchronous else Meter
        self.meter: Any = opened.open(without_encryption(through(driver, url), driver), policy=policy)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.close()
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(PATIENCE)
            self._loop.close()

    def start(self, verb: Callable[[Any], Any]) -> Future[Any]:
        """Begin a call."""
        if self._asynchronous:
            return asyncio.run_coroutine_threadsafe(_awaited(verb, self.meter), self._loop)
        ended: Future[Any] = Future()
        Thread(target=_carry_out, args=(verb, self.meter, ended), daemon=True).start()
        return ended

    def ask(self, verb: Callable[[Any], Any], *, within: float = PATIENCE + SLACK) -> Any:
        """What a call comes to, or the error it ends with; a call that takes longer is a hang."""
        started = self.start(verb)
        wait([started], timeout=within)
        assert started.done(), f"a call still hangs after {within} s"
        error = started.exception()
        if error is None:
            return started.result()
        assert isinstance(error, StorageError), repr(error)
        return error

    def insist(self, verb: Callable[[Any], Any]) -> Any:
        """What a caller gets that asks again under the same key for as long as it is told to."""
        until_then = monotonic() + 3 * (PATIENCE + SLACK)
        while isinstance(answer := self.ask(verb), StorageError):
            assert answer.retryable
            assert monotonic() < until_then, f"the meter does not recover: {answer!r}"
        return answer

    def close(self) -> float:
        """Close the meter and say how long that took."""
        begun = monotonic()
        self.ask(lambda meter: meter.aclose() if self._asynchronous else meter.close())
        return monotonic() - begun

    @property
    def checked_out(self) -> int:
        """How many connections have not come back to the pool."""
        return self.meter._platform.store._engine.pool.checkedout()


async def _awaited(verb: Callable[[Any], Any], meter: Any) -> Any:
    return await verb(meter)


def _carry_out(verb: Callable[[Any], Any], meter: Any, ended: Future[Any]) -> None:
    try:
        ended.set_result(verb(meter))
    except BaseException as error:  # noqa: BLE001 - handed to whoever asked
        ended.set_exception(error)


def give(meter: Any) -> Any:
    return meter.funds.grant("acme", source="test", key="g", core=10)


def hold(meter: Any) -> Any:
    return meter.hold("acme", key="h", core=4)


def balance(meter: Any) -> Any:
    return meter.balance("acme")


def holds(url: str) -> int:
    return query(url, "SELECT count(*) FROM ptm_open_hold")[0][0]


def assert_whole(caller: Caller, url: str) -> None:
    """The hold was placed once, the books are in order, and the pool has all its connections back."""
    there = caller.insist(balance).core

    assert (PT.of(6), PT.of(4), PT.of(0)) == (there.available, there.held, there.spent)
    assert 1 == holds(url)
    assert clean(url)
    until(lambda: caller.checked_out == 0)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("driver", params(SERVER_DRIVERS))
def test_a_fault_at_commit_is_indeterminate_and_converges(
    driver: Driver, fault: Fault, backend_of: Callable[[str], Backend]
) -> None:
    """However the wire fails at COMMIT, the caller is told in time; once more, and it is there exactly once."""
    url = backend_of(driver.backend).empty()
    with Wire(url) as wire, Caller(wire.url, driver) as caller:
        caller.ask(give)
        wire.strike(fault, COMMIT)
        lost = caller.ask(hold)
        there = until(lambda: holds(url)) if fault in ARRIVES else holds(url)
        again = caller.insist(hold)

        assert isinstance(lost, IndeterminateError)
        assert wire.was_struck.is_set()
        assert int(fault in ARRIVES) == there
        assert fault not in ARRIVES or again.replayed
        assert_whole(caller, url)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("driver", params(SERVER_DRIVERS))
def test_a_fault_before_commit_costs_an_attempt_or_is_indeterminate(
    driver: Driver, fault: Fault, backend_of: Callable[[str], Backend]
) -> None:
    """A lost connection is replaced and nobody sees it; of a silent one the caller is told in time."""
    url = backend_of(driver.backend).empty()
    with Wire(url) as wire, Caller(wire.url, driver) as caller:
        caller.ask(give)
        wire.strike(fault, ANY)
        first = caller.ask(hold)
        caller.insist(hold)

        assert wire.was_struck.is_set()
        assert isinstance(first, IndeterminateError) == (fault in STAYS_OPEN), repr(first)
        assert_whole(caller, url)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("driver", params(MYSQL_DRIVERS))
def test_a_fault_after_commit_does_not_undo_it(
    driver: Driver, fault: Fault, backend_of: Callable[[str], Backend]
) -> None:
    """On MySQL a pool asks the server once more when a connection comes back; what is done stays done."""
    url = backend_of(driver.backend).empty()
    with Wire(url) as wire, Caller(wire.url, driver) as caller:
        caller.ask(give)
        wire.strike(fault, ROLLBACK)
        first = caller.ask(hold)
        again = caller.insist(hold)

        assert wire.was_struck.is_set()
        assert isinstance(first, Hold) or (fault in STAYS_OPEN and isinstance(first, IndeterminateError))
        assert again.replayed
        assert_whole(caller, url)


@pytest.mark.sessions
@pytest.mark.parametrize("driver", params(SERVER_DRIVERS))
def test_a_server_that_misses_the_end_of_a_client_lets_its_wallet_go(
    driver: Driver, backend_of: Callable[[str], Backend]
) -> None:
    """A server that is told to give idle transactions up frees the wallet of a client that it lost."""
    setting = {
        "postgres": ("idle_in_transaction_session_timeout", "4000"),
        "mysql": ("idle_transaction_timeout", "4"),
    }
    url = backend_of(driver.backend).empty()
    with (
        sessions_with(url, driver, **dict([setting[driver.backend]])) as impatient,
        Wire(impatient) as wire,
        Caller(wire.url, driver) as caller,
    ):
        caller.ask(give)
        wire.strike(Fault.FORGOTTEN, COMMIT)
        lost = caller.ask(hold)
        stuck = caller.ask(hold)
        caller.insist(hold)

        assert isinstance(lost, IndeterminateError)
        assert isinstance(stuck, TOLD)  # the control: the wallet is locked for as long as the server waits
        assert_whole(caller, url)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("driver", params(SERVER_DRIVERS))
def test_a_fault_under_a_reader_is_worth_retrying(
    driver: Driver, fault: Fault, backend_of: Callable[[str], Backend]
) -> None:
    """Reading over a wire that fails ends in time with an error that says to try again, and it then works."""
    url = backend_of(driver.backend).empty()
    with Wire(url) as wire, Caller(wire.url, driver) as caller:
        caller.ask(give)
        caller.insist(hold)
        wire.strike(fault, ANY)
        first = caller.ask(balance)

        assert wire.was_struck.is_set()
        assert isinstance(first, ContentionError | IndeterminateError)
        assert_whole(caller, url)


@pytest.mark.parametrize("driver", params(SERVER_DRIVERS))
def test_an_outage_is_told_in_time_and_gone_once_it_is_over(
    driver: Driver, backend_of: Callable[[str], Backend]
) -> None:
    """While nothing gets through, not even to connect, every call ends in time; afterwards the next works."""
    url = backend_of(driver.backend).empty()
    with Wire(url) as wire, Caller(wire.url, driver) as caller:
        caller.ask(give)
        caller.ask(balance)
        wire.out = True
        ends = [caller.ask(verb) for verb in (hold, hold, balance, balance)]
        wire.out = False
        caller.insist(hold)

        assert all(isinstance(end, TOLD) and end.retryable for end in ends), ends
        assert_whole(caller, url)


@pytest.mark.parametrize("driver", params(SERVER_DRIVERS))
def test_the_first_call_in_an_outage_is_told_in_time(
    driver: Driver, backend_of: Callable[[str], Backend]
) -> None:
    """A server that accepts a connection and never says a word is as unreachable as none at all."""
    url = backend_of(driver.backend).empty()
    with Wire(url) as wire, Caller(wire.url, driver) as caller:
        wire.out = True
        first = caller.ask(give)
        wire.out = False

        assert isinstance(first, TOLD)
        caller.insist(give)
        caller.insist(hold)
        assert_whole(caller, url)


@pytest.mark.parametrize("driver", params(SERVER_DRIVERS))
def test_a_meter_closes_in_an_outage(driver: Driver, backend_of: Callable[[str], Backend]) -> None:
    """Closing waits for what is under way, but not for ever: neither for it nor for a server's good-bye."""
    url = backend_of(driver.backend).empty()
    with Wire(url) as wire:
        with Caller(wire.url, driver) as caller:
            caller.ask(give)
            caller.ask(balance)
            wire.out = True
            under_way = caller.start(hold)
            until(lambda: caller.checked_out)

            assert caller.close() < PATIENCE + SLACK
            wait([under_way], timeout=PATIENCE + SLACK)
            assert isinstance(under_way.exception(timeout=0), StorageError)
        until(lambda: not wire.alive())
    assert clean(url)


@pytest.mark.parametrize("driver", params(SERVER_DRIVERS))
def test_a_slow_wire_is_no_fault(driver: Driver, backend_of: Callable[[str], Backend]) -> None:
    """Latency costs time and nothing else, as long as the answer comes within the caller's patience."""
    url = backend_of(driver.backend).empty()
    with Wire(url) as wire, Caller(wire.url, driver, Policy(patience=timedelta(seconds=20))) as caller:
        caller.ask(give)
        wire.latency = 0.05
        begun = monotonic()
        placed = caller.ask(hold, within=20)

        assert not placed.replayed
        assert monotonic() - begun > wire.latency
        assert_whole(caller, url)


@pytest.mark.parametrize("driver", params(SERVER_DRIVERS))
def test_a_wire_slower_than_patience_is_indeterminate(
    driver: Driver, backend_of: Callable[[str], Backend]
) -> None:
    """An answer that comes too late is no answer; the key finds out what became of it."""
    url = backend_of(driver.backend).empty()
    with Wire(url) as wire, Caller(wire.url, driver) as caller:
        caller.ask(give)
        wire.latency = PATIENCE
        late = caller.ask(hold)
        wire.latency = 0.0
        caller.insist(hold)

        assert isinstance(late, IndeterminateError)
        assert_whole(caller, url)


@pytest.mark.parametrize("driver", params(SERVER_DRIVERS))
def test_the_control_without_patience_a_silent_wire_does_hang(
    driver: Driver, backend_of: Callable[[str], Backend]
) -> None:
    """The control: it is patience that ends the wait; no driver and no socket does it by itself."""
    url = backend_of(driver.backend).empty()
    with Wire(url) as wire, Caller(wire.url, driver, Policy(patience=timedelta(seconds=60))) as caller:
        caller.ask(give)
        wire.strike(Fault.SILENT, COMMIT)
        hanging = caller.start(hold)
        wait([hanging], timeout=PATIENCE + SLACK)

        assert not hanging.done()
        wire.hang_up()
        wait([hanging], timeout=SLACK)
        assert isinstance(hanging.exception(timeout=0), IndeterminateError)
