"""
Webhooks on real servers: many workers, any order, any number of times, some of them killed, and it comes to the same.

They ask one fake Stripe over HTTP, so what they asked, and when, is on record there.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from random import Random
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final

import pytest
from tests.integration import jobs, lives
from tests.integration.fleet import Fleet
from tests.integration.wiring import clean, meter_on, query, servers

from ptmeter import Backoff, EventState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.backends import Backend

    from ptmeter.testing.stripe import FakeStripe

LEASE: Final = timedelta(seconds=1)
ASKED: Final = ("payment_intents", "sessions", "refunds", "disputes")
"""What is asked of Stripe, one after the other, when a payment is looked up."""


@pytest.fixture
def fake() -> Iterator[FakeStripe]:
    """The Stripe that all workers ask; it takes a while to answer, so that they meet."""
    with lives.fake_stripe() as fake:
        fake.fail(times=None, status=None, latency=0.003)
        yield fake


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the lives come to if everything is heard of once, at once and in order."""
    url = f"sqlite:///{tmp_path_factory.mktemp('lives')}/in-order.db"
    with meter_on(url):
        return lives.in_order(url)


def lived(url: str, fake: FakeStripe) -> list[Any]:
    """Have everything happen and tell nobody; returns all that there is to tell."""
    for _ in lives.live(fake, lives.begin(url, fake)):
        pass
    return fake.events()


def shuffled(events: Sequence[Any], seed: int) -> list[Any]:
    """Each event one to five times, in any order."""
    random = Random(seed)
    deliveries = [event for event in events for _ in range(random.randrange(1, 6))]
    random.shuffle(deliveries)
    return deliveries


def looks(fake: FakeStripe, since: int) -> dict[str, list[str]]:
    """What was asked about each payment, in order, by the last part of what was asked for."""
    found: dict[str, list[str]] = {}
    for _, path, params in fake.requests[since:]:
        *_, noun, name = ["", *path.split("/")]
        payment = params.get("payment_intent") or name
        what = noun if name == payment else name
        if what in ASKED:
            found.setdefault(payment, []).append(what)
    return found


def are_whole(nouns: Sequence[str]) -> bool:
    """Whether these are looks one after the other, and no two at once."""
    return [*ASKED] * (len(nouns) // len(ASKED)) == [*nouns]


# --- many at once ---------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("how", ["threads", "processes"])
@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_eight_workers_and_any_order_come_to_the_same(
    name: str,
    how: str,
    backend_of: Callable[[str], Backend],
    fleet: Fleet,
    fake: FakeStripe,
    expected: dict[str, bytes],
) -> None:
    """Wallets, trial balance and money are, to the byte, those of one delivery in order; one looks at a time."""
    url = backend_of(name).empty()
    deliveries, since = shuffled(lived(url, fake), seed=7), len(fake.requests)

    if how == "threads":
        jobs.hear(url, fake.url, deliveries, 1, 8)
    else:
        parts = [deliveries[number :: fleet.size] for number in range(fleet.size)]
        fleet.run([(jobs.hear, url, fake.url, part, seed, 2) for seed, part in enumerate(parts)])

    with meter_on(url) as meter:
        backlog = meter.webhooks.backlog()
    assert {EventState.WAITING, EventState.DEAD}.isdisjoint(backlog.counts)
    assert [(len(deliveries) + _told_before(fake),)] == query(
        url, "SELECT sum(deliveries) FROM ptm_webhook"
    )
    asked = looks(fake, since)
    assert len(lives.USED) == len(asked)
    for payment, nouns in asked.items():
        assert are_whole(nouns), payment
    assert expected == lives.outcome(url, fake)


def _told_before(fake: FakeStripe) -> int:
    """How many events there were when all was only paid for: each was told once by then."""
    kinds = [event["type"] for event in fake.events()]
    return next(place for place, kind in enumerate(kinds) if "refund" in kind)


@pytest.mark.slow
@pytest.mark.sqlite
def test_two_who_look_at_once_are_noticed(sqlite_url: str, fake: FakeStripe) -> None:
    """The control: workers whose lease ends at once do look one payment up at the same time, and that shows."""
    events, since = lived(sqlite_url, fake), len(fake.requests)
    with meter_on(sqlite_url, stripe=lives.set_up(fake.url)) as meter:
        for event in events:
            lives.receive(meter, event, datetime.now(UTC))

    def work(_: int) -> None:
        with meter_on(sqlite_url, stripe=lives.set_up(fake.url)) as meter:
            meter.webhooks.work(backoff=Backoff(lease=timedelta(microseconds=1), attempts=99))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))

    assert not all(map(are_whole, looks(fake, since).values()))
    assert clean(sqlite_url)


# --- until somebody pulls the plug ----------------------------------------------------------------


@pytest.fixture
def doomed() -> Iterator[Fleet]:
    """Workers that will not see the end."""
    fleet = Fleet(2)
    yield fleet
    fleet.stop()


@pytest.mark.slow
@pytest.mark.parametrize("name", servers("sqlite", "postgres", "mysql"))
def test_workers_that_are_killed_leave_nothing_half_done(
    name: str,
    backend_of: Callable[[str], Backend],
    doomed: Fleet,
    fake: FakeStripe,
    expected: dict[str, bytes],
) -> None:
    """Whenever it is, the ledger verifies; what they had taken is taken by others when the lease ends."""
    url = backend_of(name).empty()
    events = lived(url, fake)
    fake.recover()
    fake.fail(times=None, status=None, latency=0.05)  # so that they die in the middle of a look
    with meter_on(url, stripe=lives.set_up(fake.url)) as meter:
        for round_ in range(3):
            for event in shuffled(events, seed=round_):
                lives.receive(meter, event, datetime.now(UTC))
            for waiting in meter.webhooks.list(state=EventState.APPLIED, limit=1_000):
                meter.webhooks.retry(waiting.event.id)
            asked = len(fake.requests)
            doomed.send([(jobs.work_off, url, fake.url, LEASE)] * doomed.size)
            give_up = monotonic() + 60
            while len(fake.requests) < asked + 5 + 3 * round_ and monotonic() < give_up:
                sleep(0.002)
            doomed.stop()
            assert clean(url)

        fake.recover()
        under_way = {row for (row,) in query(url, "SELECT task FROM ptm_task WHERE due_at IS NOT NULL")}
        assert under_way  # they were in the middle of it
        give_up = monotonic() + 60
        while EventState.WAITING in meter.webhooks.backlog().counts and monotonic() < give_up:
            meter.webhooks.work(backoff=Backoff(lease=LEASE, attempts=99))
            sleep(0.05)

        counts = meter.webhooks.backlog().counts
    assert {EventState.WAITING, EventState.DEAD}.isdisjoint(counts), counts
    found = lives.outcome(url, fake)
    assert expected["money"] == found["money"]
    assert expected["wallets"] == found["wallets"]
