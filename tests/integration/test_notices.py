"""
Exactly once: what is told, asked for and delivered, however many debit at once, and whoever is killed meanwhile.

Everything goes through meters on a real database, in threads and in processes of their own.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event
from time import monotonic, sleep
from typing import TYPE_CHECKING

import pytest
from tests.integration import jobs
from tests.integration.fleet import Fleet
from tests.integration.jobs import ONE_PT
from tests.integration.wiring import clean, execute, meter_on, query, servers

from ptmeter import (
    PT,
    Alert,
    Backoff,
    Delivered,
    Message,
    MessageState,
    Notice,
    Plans,
    TopUpState,
    read_plans,
)
from ptmeter.domain.messages import message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.backends import Backend

    from ptmeter import Meter
    from ptmeter.ports import Books, Posting

MANY = {"sqlite": 10_000, "postgres": 10_000, "mysql": 3_000}
SHARES = [8_000, 9_000, 10_000]
AT = datetime(2026, 1, 1, tzinfo=UTC)


def plans_of(core: int) -> Plans:
    pro = {"price_per_month": 9, "allowance": {"core": core}, "units": ["core"]}
    return read_plans({"plans": {"pro": pro}})


def told(meter: Meter) -> list[tuple[int, int]]:
    """Which shares of the allowance acme was told of, and at how many whole PT each was reached."""
    notices = [n for n in meter.alerts.list("acme") if n.alert is Alert.ALLOWANCE]
    return sorted((n.share, int(PT(n.reached).whole)) for n in notices)


@pytest.fixture
def doomed() -> Iterator[Fleet]:
    """A process that will not see the end."""
    fleet = Fleet(1)
    yield fleet
    fleet.stop()


@pytest.mark.slow
@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_many_debits_across_three_lines_are_told_of_three_times(
    name: str, backend_of: Callable[[str], Backend]
) -> None:
    """10,000 at once from 64 threads: one notice for each line, by the debit that reached it."""
    count, url = MANY[name], backend_of(name).empty()
    with meter_on(url, plans=plans_of(count)) as meter, ThreadPoolExecutor(64) as pool:
        meter.plans.subscribe("acme", "pro", key="s")

        def use(number: int) -> None:
            meter.record("acme", model="gpt-4o-mini", response=ONE_PT, key=f"k{number}")

        list(pool.map(use, range(count)))

        assert [(share, count * share // 10_000) for share in SHARES] == told(meter)
        assert [(3,)] == query(url, "SELECT count(*) FROM ptm_outbox")


@pytest.mark.slow
@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_no_notice_is_lost_with_a_process(
    name: str, backend_of: Callable[[str], Backend], doomed: Fleet, tmp_path: Path
) -> None:
    """A worker is killed about each line; what it did not finish is sent again, and each line is told of once."""
    count, url, log = 1_500, backend_of(name).empty(), tmp_path / "notes"
    plans = plans_of(count)
    keys = [f"k{number}" for number in range(count)]
    with meter_on(url, plans=plans) as meter:
        meter.plans.subscribe("acme", "pro", key="s")
    done: list[int] = []
    for share in SHARES:
        doomed.send([(jobs.use_in_threads, url, plans, keys, str(log))])
        wanted, give_up = count * share // 10_000 - 40, monotonic() + 60
        while len(answered(log)) < wanted and monotonic() < give_up:
            sleep(0.001)
        doomed.stop()
        done.append(len(answered(log)))
    assert done[0] < count * 9 // 10 < done[2] < count  # it was in the middle of it, each time
    jobs.use_in_threads(url, plans, keys)

    with meter_on(url, plans=plans) as meter:
        assert [(share, count * share // 10_000) for share in SHARES] == told(meter)
        assert PT.of(count) == meter.balance("acme").core.spent
    assert clean(url)


def answered(log: Path) -> set[str]:
    return set(log.read_text().split()) if log.exists() else set()


@pytest.mark.slow
@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_a_thousand_crossings_open_one_top_up(
    name: str, backend_of: Callable[[str], Backend], fleet: Fleet
) -> None:
    """Each of a thousand debits, in four processes, leaves too little: one asks, and once that is paid one more."""
    url, plans = backend_of(name).empty(), Plans({})
    with meter_on(url, plans=plans) as meter:
        meter.funds.grant("acme", core=1_000, source="trial", key="g")
        assert None is meter.top_ups.set("acme", unit="core", below=1_000, amount=10, per_month=500)
    for times, verb in ((1, "first"), (2, "second")):
        orders = [(jobs.use_in_threads, url, plans, _keys(verb, process)) for process in range(4)]
        assert 500 * times == sum(fleet.run(orders)) * times
        with meter_on(url, plans=plans) as meter:
            assert times == len(meter.top_ups.list())
            (opened,) = meter.top_ups.list(state=TopUpState.OPEN)
            assert times == len(meter.outbox.list(topic="top_up."))
            meter.top_ups.paid(opened.id, key=opened.id)

    assert clean(url)


def _keys(verb: str, process: int) -> list[str]:
    return [f"{verb}.{process}.{number}" for number in range(125)]


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_of_two_payments_at_once_one_is_granted(name: str, backend_of: Callable[[str], Backend]) -> None:
    """
    Eight payments of one top-up in eight threads: one grants, the others are told by which.

    They come while another transaction keeps the account's lane, so whatever may share a transaction does.
    """
    url = backend_of(name).empty()
    with meter_on(url, plans=Plans({})) as meter, ThreadPoolExecutor(8) as pool:
        meter.funds.grant("acme", core=1, source="trial", key="g")
        asked = meter.top_ups.set("acme", unit="core", below=5, amount=10, per_month=5)
        assert asked is not None
        busy, over = Event(), Event()

        def keep_the_lane(_: Books) -> Posting[None]:
            busy.set()
            over.wait(20)
            yield []

        with ThreadPoolExecutor(1) as first:
            first.submit(meter._platform.store.post, "acme", keep_the_lane)
            busy.wait(20)
            tried = [pool.submit(meter.top_ups.paid, asked.id, key=f"pi_{n}") for n in range(8)]
            sleep(0.3)
            over.set()
        failed = [type(each.exception()).__name__ for each in tried if each.exception()]

        assert ["TopUpNotOpenError"] * 7 == failed
        assert PT.of(11) == meter.balance("acme").core.available


# --- delivery -----------------------------------------------------------------------------------------


def written(meter: Meter, count: int) -> set[str]:
    """So many messages, and their ids."""
    made = [
        message(Notice(alert=Alert.LOW_BALANCE, account=f"a{n}", unit="core", reached=1, window=n, at=AT))
        for n in range(count)
    ]
    meter._platform.run(lambda books: books.outbox.add(made))
    return {each.id for each in made}


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_deliverers_do_not_get_in_each_others_way(name: str, backend_of: Callable[[str], Backend]) -> None:
    """Six at once deliver all there is, and nothing twice."""
    url, seen = backend_of(name).empty(), Counter[str]()
    with meter_on(url) as meter, ThreadPoolExecutor(6) as pool:
        ids = written(meter, 90)

        def deliver(_: int) -> int:
            return meter.outbox.deliver(lambda told: seen.update([told.id])).delivered

        delivered = list(pool.map(deliver, range(6)))

    assert Counter(ids) == seen
    assert 90 == sum(delivered)


@pytest.mark.slow
@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_a_deliverer_that_is_killed_loses_nothing(
    name: str, backend_of: Callable[[str], Backend], doomed: Fleet, tmp_path: Path
) -> None:
    """What it had taken is delivered when its lease is over; twice at most the one it was just handing over."""
    url, log, lease = backend_of(name).empty(), tmp_path / "notes", timedelta(seconds=2)
    with meter_on(url) as meter:
        ids = written(meter, 40)
    doomed.send([(jobs.deliver_all, url, str(log), lease, 0.01)])
    while not log.exists() or len(log.read_text().split()) < 13:
        sleep(0.002)
    doomed.stop()
    before = len(log.read_text().split())
    sleep(lease / timedelta(seconds=1))
    jobs.deliver_all(url, str(log), lease, 0)
    handed = Counter(log.read_text().split())

    assert before < 40
    assert ids == set(handed)
    assert handed.total() <= 41
    with meter_on(url) as meter:
        assert () == meter.outbox.list(state=MessageState.PENDING)


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_a_message_that_cannot_be_read_is_in_nobodys_way(
    name: str, backend_of: Callable[[str], Backend]
) -> None:
    """It is dead, with what is wrong with it, and the others are delivered."""
    url, seen = backend_of(name).empty(), list[Message]()
    with meter_on(url) as meter:
        written(meter, 3)
        execute(url, "UPDATE ptm_outbox SET body = '{' WHERE account = 'a1'")

        assert Delivered(delivered=2, dead=1) == meter.outbox.deliver(seen.append)
        assert {"a0", "a2"} == {each.account for each in seen}
    problem = query(url, "SELECT problem FROM ptm_outbox WHERE account = 'a1'")[0][0]
    assert problem.startswith("ptm_outbox has a row that cannot be read (account=a1")


@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_no_lock_is_held_while_a_handler_has_a_message(
    name: str, backend_of: Callable[[str], Backend]
) -> None:
    """A handler may use the meter itself, and wait for others who write to the same messages."""
    url = backend_of(name).empty()
    with meter_on(url) as meter:
        written(meter, 2)

        def handle(told: Message) -> None:
            meter.funds.grant(told.account, core=1, source="sorry", key=told.id)
            execute(url, "UPDATE ptm_outbox SET problem = 'seen'")

        assert Delivered(delivered=2) == meter.outbox.deliver(handle, backoff=Backoff(attempts=1))
