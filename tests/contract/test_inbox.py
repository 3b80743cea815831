"""The inbox, on every database: an event is kept once, a subject taken by one at a time, and nobody comes back too late."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from functools import partial
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from ptmeter import (
    Backoff,
    ConflictError,
    EventNotFoundError,
    EventState,
    Intake,
    InvalidArgumentError,
)
from ptmeter.domain.inbox import Event, Inboxes, KeptEvent, Subject, SubjectKind, Waiting
from ptmeter.domain.jobs import Job
from ptmeter.domain.keys import digest
from ptmeter.operations import receiving, working
from ptmeter.operations.posting import alone, together

if TYPE_CHECKING:
    from datetime import datetime

    from ptmeter import Received
    from ptmeter.operations.receiving import Task
    from ptmeter.ports import Books, Posting, Store
    from ptmeter.testing import Clock

BACKOFF = Backoff(attempts=3, first=timedelta(seconds=10), lease=timedelta(minutes=1))
PAYMENT = Subject(SubjectKind.PAYMENT, "pi_1")


def event(name: str, at: datetime, subject: Subject | None = PAYMENT, **more: Any) -> Event:
    facts: dict[str, Any] = {
        "id": name,
        "type": "charge.succeeded",
        "api_version": "2026-01-28.clover",
        "created": at - timedelta(seconds=3),
        "livemode": False,
        "account": "",
        "body": '{"€": "🙂"}'.encode(),
        "digest": digest((name,)),
    }
    return Event(subject=subject, **(facts | more))


def keep(store: Store, kept: Event, *, parked: str = "") -> Received:
    def work(books: Books) -> Posting[Received]:
        at = books.ledger.now()
        return receiving.keep(books, kept, parked=parked, source="webhook", at=at)

    return store.run(partial(alone, work=work))


def take(store: Store, limit: int = 10, backoff: Backoff = BACKOFF) -> list[Task]:
    return store.run(partial(receiving.take, backoff=backoff, limit=limit))


def apply(store: Store, task: Task, work: Any = None) -> EventState:
    def nothing(_books: Books) -> Posting[None]:
        return
        yield

    return store.run(partial(alone, work=partial(receiving.apply, task=task, work=work or nothing)))


def fail(store: Store, task: Task, problem: str = "no answer") -> EventState:
    return store.run(partial(receiving.fail, task=task, problem=problem, backoff=BACKOFF, jitter=0.0))


def find(store: Store, name: str) -> KeptEvent:
    return store.read(partial(receiving.find, event=name))


def states(store: Store) -> dict[str, EventState]:
    found = store.read(partial(receiving.listed, state=None, kind="", subject=None, limit=1_000))
    return {kept.event.id: kept.state for kept in found}


# --- keeping --------------------------------------------------------------------------------------


@pytest.mark.parametrize("subject", [PAYMENT, Subject(SubjectKind.CHARGE, "ch:1:2"), None], ids=str)
@pytest.mark.parametrize(
    "more", [{}, {"account": "acct_1", "livemode": True, "api_version": "", "body": b"{}"}], ids=len
)
def test_what_is_kept_is_found_again(
    store: Store, clock: Clock, subject: Subject | None, more: dict[str, Any]
) -> None:
    """Word for word, with when and how it came."""
    sent = event("evt_1", clock(), subject, **more)

    received = keep(store, sent)

    assert (Intake.STORED, sent) == (received.outcome, received.event)
    kept = KeptEvent(event=sent, state=EventState.WAITING, received_at=clock(), source="webhook")
    assert kept == find(store, "evt_1")


def test_an_event_is_kept_once(store: Store, clock: Clock) -> None:
    """Whatever it says the next time: that it came, and that it said something else, is counted."""
    first = event("evt_1", clock())
    keep(store, first)
    clock.turn(timedelta(hours=1))

    again = keep(store, first)
    other = keep(store, replace(first, digest=digest(("other",)), body=b"[]"))

    assert (Intake.DUPLICATE, Intake.DUPLICATE) == (again.outcome, other.outcome)
    assert "" == again.problem
    assert "something else" in other.problem
    kept = find(store, "evt_1")
    assert (3, 1, first) == (kept.deliveries, kept.altered, kept.event)


def test_what_is_parked_is_not_in_line(store: Store, clock: Clock) -> None:
    """It is kept with the reason, and nobody looks its subject up."""
    assert Intake.PARKED is keep(store, event("evt_1", clock()), parked="of no concern").outcome

    assert [] == take(store)
    assert (EventState.PARKED, "of no concern") == (
        find(store, "evt_1").state,
        find(store, "evt_1").problem,
    )


def test_names_are_compared_byte_for_byte(store: Store, clock: Clock) -> None:
    """Stripe's ids differ in case alone, on every database."""
    for name in ("evt_a", "evt_A"):
        assert (
            Intake.STORED
            is keep(store, event(name, clock(), Subject(SubjectKind.PAYMENT, f"pi_{name}"))).outcome
        )

    assert {"evt_a", "evt_A"} == set(states(store))
    assert 2 == len(take(store))


# --- listing --------------------------------------------------------------------------------------


def test_events_are_listed_the_latest_first(store: Store, clock: Clock) -> None:
    """Of a state, of types that begin so, of a subject; those of one moment by their ids."""
    other = Subject(SubjectKind.PAYMENT, "pi_2")
    keep(store, event("evt_1", clock(), type="refund.created"))
    keep(store, event("evt_2", clock(), other, type="refund.failed"))
    clock.turn(timedelta(seconds=1))
    keep(store, event("evt_3", clock(), type="charge_100%.x"), parked="x")

    def listed(**asked: Any) -> list[str]:
        wanted: dict[str, Any] = {"state": None, "kind": "", "subject": None, "limit": 9} | asked
        return [kept.event.id for kept in store.read(partial(receiving.listed, **wanted))]

    assert ["evt_3", "evt_1", "evt_2"] == listed()
    assert ["evt_3", "evt_1"] == listed(limit=2)
    assert ["evt_1", "evt_2"] == listed(kind="refund.")
    assert ["evt_3"] == listed(kind="charge_100%")
    assert [] == listed(kind="%")
    assert ["evt_2"] == listed(subject=other)
    assert ["evt_3"] == listed(state=EventState.PARKED)
    with pytest.raises(InvalidArgumentError):
        listed(limit=0)


def test_the_standing_is_how_many_there_are_and_since_when(store: Store, clock: Clock) -> None:
    """Of each state, and when the oldest came that waits, and that is dead."""
    began = clock()
    assert Inboxes({}) == store.read(receiving.standing)
    keep(store, event("evt_1", clock()))
    (task,) = take(store)
    store.run(partial(receiving.bury, task=task, problem="x"))
    clock.turn(timedelta(hours=1))
    for name in ("evt_2", "evt_3"):
        keep(store, event(name, clock()))
    keep(store, event("evt_4", clock()), parked="x")

    counts = {EventState.WAITING: 2, EventState.PARKED: 1, EventState.DEAD: 1}
    assert Inboxes(counts, clock(), began) == store.read(receiving.standing)


def test_what_is_missing_is_not_found(store: Store, clock: Clock) -> None:
    """To find, retry or resolve; and what is about nothing is not looked up."""
    for work in (
        receiving.find,
        receiving.retry,
        partial(receiving.resolve, actor="ann", reason="so it is"),
    ):
        with pytest.raises(EventNotFoundError, match="evt_9"):
            store.run(partial(work, event="evt_9"))
    keep(store, event("evt_1", clock(), None), parked="x")
    with pytest.raises(InvalidArgumentError, match="nothing"):
        store.run(partial(receiving.retry, event="evt_1"))


# --- taking ---------------------------------------------------------------------------------------


def test_a_subject_is_looked_up_once_for_all_its_events(store: Store, clock: Clock) -> None:
    """Those first that came first; when it is done, all of them are."""
    for name in ("evt_b", "evt_a"):
        keep(store, event(name, clock()))
        clock.turn(timedelta(seconds=1))

    (task,) = take(store)

    assert ["evt_b", "evt_a"] == [*task.events]
    assert [] == take(store)
    assert EventState.APPLIED is apply(store, task)
    assert {EventState.APPLIED} == set(states(store).values())
    assert clock() == find(store, "evt_a").done_at
    clock.turn(timedelta(days=1))
    assert [] == take(store)


def test_an_event_that_comes_meanwhile_has_its_subject_looked_up_again(store: Store, clock: Clock) -> None:
    """It may tell of what happened after the looking up; a subject that is retried is taken at once."""
    keep(store, event("evt_1", clock()))
    (task,) = take(store)
    keep(store, event("evt_2", clock()))
    assert [] == take(store)  # one at a time

    apply(store, task)
    (again,) = take(store)

    assert ["evt_2"] == [*again.events]
    assert {"evt_1": EventState.APPLIED, "evt_2": EventState.WAITING} == states(store)
    assert 1 == again.waiting.attempts


def test_a_lease_that_ends_lets_another_try(store: Store, clock: Clock) -> None:
    """Whoever comes back after that changes nothing, whether it went well, failed or is a dead letter."""
    keep(store, event("evt_1", clock()))
    (late,) = take(store)
    clock.turn(BACKOFF.lease - timedelta(microseconds=1))
    assert [] == take(store)
    clock.turn(timedelta(microseconds=1))
    (now,) = take(store)

    def must_not(_books: Books) -> Posting[None]:
        pytest.fail("it was done by who had lost the lease")
        yield

    assert (2, 2) == (now.waiting.attempts, now.waiting.lease)
    assert EventState.WAITING is apply(store, late, must_not)
    fail(store, late, "late")
    store.run(partial(receiving.bury, task=late, problem="late"))
    assert (EventState.WAITING, "") == (find(store, "evt_1").state, find(store, "evt_1").problem)
    assert now.waiting == store.read(lambda books: books.inbox.lock(PAYMENT))
    assert EventState.APPLIED is apply(store, now)


def test_what_fails_waits_longer_each_time_and_is_dead_in_the_end(store: Store, clock: Clock) -> None:
    """With the reason; a retry gives it all its attempts again."""
    keep(store, event("evt_1", clock()))
    for pause in (10, 20):
        (task,) = take(store)
        assert EventState.WAITING is fail(store, task)
        assert "no answer" == find(store, "evt_1").problem
        clock.turn(timedelta(seconds=pause, microseconds=-1))
        assert [] == take(store)
        clock.turn(timedelta(microseconds=1))
    (last,) = take(store)
    assert EventState.DEAD is fail(store, last)
    assert (EventState.DEAD, clock()) == (find(store, "evt_1").state, find(store, "evt_1").done_at)
    clock.turn(timedelta(days=9))
    assert [] == take(store)

    assert EventState.WAITING is store.run(partial(receiving.retry, event="evt_1")).state
    (again,) = take(store)

    assert (1, ["evt_1"]) == (again.waiting.attempts, [*again.events])
    assert EventState.APPLIED is apply(store, again)
    assert "" == find(store, "evt_1").problem


def test_a_subject_that_kills_whoever_looks_it_up_is_dead_in_the_end(store: Store, clock: Clock) -> None:
    """Nobody comes back, as often as there are attempts: then nobody takes it any more."""
    keep(store, event("evt_1", clock()))
    for _ in range(BACKOFF.attempts):
        assert 1 == len(take(store))
        clock.turn(BACKOFF.lease)

    assert [] == take(store)
    assert EventState.DEAD is find(store, "evt_1").state
    keep(store, event("evt_2", clock()))
    assert ["evt_2"] == [*take(store)[0].events]


def test_those_are_taken_first_that_are_due_first(store: Store, clock: Clock) -> None:
    """As many as are asked for, jobs apart."""
    for number in range(5):
        keep(store, event(f"evt_{number}", clock(), Subject(SubjectKind.PAYMENT, f"pi_{9 - number}")))
        clock.turn(timedelta(seconds=1))
    job = Job(name="renew", every=timedelta(hours=1))
    store.run(partial(working.take, jobs=[job]))

    found = [task.waiting.subject.id for _ in range(3) for task in take(store, limit=2)]

    assert ["pi_9", "pi_8", "pi_7", "pi_6", "pi_5"] == found


def test_somebody_deals_with_a_dead_letter_once(store: Store, clock: Clock) -> None:
    """Who and how is kept; what waits or was applied is not dealt with by hand."""
    resolve = partial(receiving.resolve, event="evt_1", actor="ann", reason="refunded by hand")
    keep(store, event("evt_1", clock()))
    with pytest.raises(ConflictError, match="waiting"):
        store.run(resolve)
    (task,) = take(store)
    store.run(partial(receiving.bury, task=task, problem="nobody knows it"))
    clock.turn(timedelta(hours=1))

    resolved = store.run(resolve)

    assert (EventState.RESOLVED, "ann", "refunded by hand", clock()) == (
        resolved.state,
        resolved.resolver,
        resolved.problem,
        resolved.done_at,
    )
    with pytest.raises(ConflictError, match="resolved"):
        store.run(resolve)


# --- jobs -----------------------------------------------------------------------------------------


def test_a_job_is_taken_by_one_and_again_when_its_time_comes(store: Store, clock: Clock) -> None:
    """However many put it in line; who lost the lease does not put it off."""
    job = Job(name="renew", every=timedelta(hours=1))
    take_job = partial(working.take, jobs=[job])
    (late,) = store.run(take_job)
    assert [] == store.run(take_job)
    clock.turn(timedelta(days=1))
    (now,) = store.run(take_job)
    store.run(partial(working.finish, taken=late, job=job))
    assert now == store.read(lambda books: books.inbox.lock(job.subject))

    store.run(partial(working.finish, taken=now, job=job))

    assert [] == store.run(take_job)
    clock.turn(job.every)
    assert 1 == len(store.run(take_job))


def test_a_job_that_is_no_more_is_let_go_of(store: Store, clock: Clock) -> None:
    """Of another version's jobs none is done, and none stays in line."""
    old, new = (Job(name=name, every=timedelta(hours=1)) for name in ("old", "new"))
    store.run(partial(working.finish, taken=store.run(partial(working.take, jobs=[old]))[0], job=old))
    clock.turn(timedelta(days=1))

    for _ in range(3):  # one portion may be all of what is no more
        taken = store.run(partial(working.take, jobs=[new]))
        if taken:
            break

    assert [new.subject] == [each.subject for each in taken]
    assert None is store.read(lambda books: _due(books.inbox.lock(old.subject)))


# --- what is of no concern, and what is old --------------------------------------------------------


def test_what_is_of_no_concern_leaves_no_dead_letters(store: Store, clock: Clock) -> None:
    """A subject that turns out to be of no concern has nothing that waits for somebody; others' dead letters stay."""
    other = Subject(SubjectKind.PAYMENT, "pi_other")
    keep(store, event("evt_1", clock()))
    keep(store, event("evt_2", clock(), other))
    for task in take(store, limit=2):
        store.run(partial(receiving.bury, task=task, problem="who is that?"))
    clock.turn(timedelta(seconds=1))
    keep(store, event("evt_3", clock()))
    (task,) = take(store)

    store.run(partial(receiving.park, task=task, problem="it is not for PT"))

    states = {name: find(store, name).state for name in ("evt_1", "evt_2", "evt_3")}
    assert {
        "evt_1": EventState.PARKED,
        "evt_2": EventState.DEAD,
        "evt_3": EventState.PARKED,
    } == states
    assert "it is not for PT" == find(store, "evt_1").problem


def test_what_is_of_no_concern_is_parked_and_out_of_line(store: Store, clock: Clock) -> None:
    """With the reason; it is looked up again once somebody asks for it, and by nobody who comes back too late."""
    keep(store, event("evt_1", clock()))
    (task,) = take(store)
    park = partial(receiving.park, task=task, problem="it is not for PT")

    assert EventState.PARKED is store.run(park)
    kept = find(store, "evt_1")
    assert (EventState.PARKED, "it is not for PT") == (kept.state, kept.problem)
    assert [] == take(store)
    store.run(partial(receiving.retry, event="evt_1"))
    (again,) = take(store)
    store.run(park)
    assert EventState.WAITING is find(store, "evt_1").state
    assert EventState.APPLIED is apply(store, again)


def test_only_what_is_done_with_and_old_is_dropped(store: Store, clock: Clock) -> None:
    """What waits or is dead stays however old it is; as many at a time as is said, until there are none."""
    for name, parked in (("applied", ""), ("parked", "no concern"), ("dead", "")):
        keep(store, event(name, clock(), Subject(SubjectKind.PAYMENT, name)), parked=parked)
    applied, dead = sorted(take(store), key=lambda task: task.waiting.subject.id)
    apply(store, applied)
    store.run(partial(receiving.bury, task=dead, problem="no such payment"))
    keep(store, event("waiting", clock(), Subject(SubjectKind.PAYMENT, "waiting")))
    clock.turn(timedelta(days=33))
    keep(store, event("of late", clock(), None), parked="no concern")
    prune = partial(receiving.prune, older_than=timedelta(days=32), limit=1)

    assert [1, 1, 0] == [store.run(prune) for _ in range(3)]
    assert {"dead", "waiting", "of late"} == states(store).keys()
    assert 0 == store.run(partial(receiving.prune, older_than=timedelta.max))
    with pytest.raises(InvalidArgumentError, match="32 days"):
        store.run(partial(receiving.prune, older_than=timedelta(days=31, hours=23)))


def test_what_is_known_is_told_from_what_is_not(store: Store, clock: Clock) -> None:
    """By the page, as Stripe lists events."""
    keep(store, event("evt_1", clock()))
    assert {"evt_1"} == store.read(partial(receiving.known, events=["evt_0", "evt_1"]))
    assert set() == store.read(partial(receiving.known, events=[]))


def test_what_comes_again_at_the_same_moment_is_counted_each_time(store: Store, clock: Clock) -> None:
    """In one transaction: the same twice, and another that has something else to say."""
    first, second = event("evt_1", clock()), event("evt_2", clock())
    for each in (first, second):
        keep(store, each)
    altered = replace(second, digest=digest(("other",)))

    def work(books: Books, kept: Event) -> Posting[Received]:
        return receiving.keep(books, kept, parked="", source="webhook", at=clock())

    received = store.run(
        partial(together, works=[partial(work, kept=each) for each in (altered, first, second, first)])
    )

    assert [Intake.DUPLICATE] * 4 == [each.outcome for each in received]
    assert [True, False, False, False] == ["something else" in each.problem for each in received]
    assert [(3, 0), (3, 1)] == [
        (kept.deliveries, kept.altered) for kept in (find(store, "evt_1"), find(store, "evt_2"))
    ]


def _due(waiting: Waiting | None) -> datetime | None:
    assert waiting is not None
    return waiting.due_at


# --- many at once ---------------------------------------------------------------------------------


def test_of_many_deliveries_at_once_one_is_stored(store: Store, clock: Clock) -> None:
    """All others are duplicates, counted; the subject is in line once."""
    gate, sent = Barrier(8), event("evt_1", clock())

    def deliver(_: int) -> Intake:
        gate.wait()
        return keep(store, sent).outcome

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(deliver, range(8)))

    assert [Intake.STORED] == [each for each in outcomes if each is not Intake.DUPLICATE]
    assert 8 == find(store, "evt_1").deliveries
    assert 1 == len(take(store))


def test_no_two_take_the_same(store: Store, clock: Clock) -> None:
    """Eight at once, three at a time, of twenty subjects: each is taken by one."""
    for number in range(20):
        keep(store, event(f"evt_{number}", clock(), Subject(SubjectKind.PAYMENT, f"pi_{number}")))
    gate = Barrier(8)

    def work(_: int) -> list[str]:
        gate.wait()
        mine: list[str] = []
        while tasks := take(store, limit=3):
            mine += [task.waiting.subject.id for task in tasks]
        return mine

    with ThreadPoolExecutor(8) as pool:
        taken = [name for mine in pool.map(work, range(8)) for name in mine]

    assert sorted(f"pi_{number}" for number in range(20)) == sorted(taken)
