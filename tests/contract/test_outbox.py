"""Messages and top-ups are kept on every database: leased once, let go of by the dead, found again by what they are."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ptmeter import (
    PT,
    Alert,
    Backoff,
    InvalidArgumentError,
    Message,
    MessageNotFoundError,
    MessageState,
    Money,
    Notice,
    TopUp,
    TopUpState,
)
from ptmeter.domain.messages import message
from ptmeter.operations import delivering

if TYPE_CHECKING:
    from ptmeter.ports import Store
    from ptmeter.testing import Clock

BACKOFF = Backoff(attempts=3)


def notice(number: int, at: datetime, account: str = "acme") -> Message:
    told = Notice(alert=Alert.LOW_BALANCE, account=account, unit="core", reached=1, window=number, at=at)
    return message(told)


def top_up(name: int, at: datetime, **more: object) -> TopUp:
    facts = {
        "account": "acme",
        "unit": "core",
        "amount": PT(5),
        "price": Money(7, "EUR"),
        "requested_at": at,
    }
    made = TopUp(id=f"{name:016x}", cool_down=timedelta(hours=1), **facts)
    return replace(made, **more)


def take(store: Store, *topics: str, limit: int = 10) -> delivering.Taken:
    asked = topics or ("",)
    return store.run(partial(delivering.take, topics=asked, backoff=BACKOFF, limit=limit))


def listed(store: Store, state: MessageState | None = None) -> list[str]:
    found = store.read(lambda books: books.outbox.listed(state=state))
    return [each.id for each in found]


def test_what_is_written_is_read(store: Store, clock: Clock) -> None:
    """A notice, a top-up and a message of the application's come back as the values they were; each is written once."""
    until = clock() + timedelta(days=1)
    plain = notice(1, clock())
    ahead = message(
        Notice(
            alert=Alert.EXPIRING,
            account="Äcme",
            unit="core",
            reached=2**60,
            window=3,
            at=clock(),
            days=7,
            until=until,
        )
    )
    wanted = message(top_up(5, clock(), attempts=2))
    other = replace(plain, id="f" * 16, topic="app.hello", facts={"say": "hi", "n": [1]})
    all_four = [plain, ahead, wanted, other]

    assert 4 == store.run(lambda books: books.outbox.add(all_four))
    assert 0 == store.run(lambda books: books.outbox.add(all_four))
    for each in all_four:
        assert each == store.read(lambda books, m=each: books.outbox.find(m.account, m.id))
    assert None is store.read(lambda books: books.outbox.find("acme", ahead.id))


def test_a_message_is_leased_once_until_the_lease_ends(store: Store, clock: Clock) -> None:
    """Others do not see it meanwhile; nobody came back, so it is due again, with one attempt more."""
    store.run(lambda books: books.outbox.add([notice(n, clock()) for n in range(3)]))

    (first, second), rest = take(store, limit=2).messages, take(store).messages
    clock.turn(BACKOFF.lease)
    again = take(store).messages

    assert 3 == len({first.id, second.id, *(each.id for each in rest)})
    assert [2, 2, 2] == [each.attempts for each in again]
    assert [] == take(store).messages


def test_who_comes_back_too_late_changes_nothing(store: Store, clock: Clock) -> None:
    """The one who has the lease now says how it ended; a second one delivered in vain."""
    store.run(lambda books: books.outbox.add([notice(1, clock())]))
    (late,) = take(store).messages
    clock.turn(BACKOFF.lease)
    (now,) = take(store).messages

    store.run(partial(delivering.fail, message=late, problem="late", backoff=BACKOFF, jitter=0.0))
    kept = store.read(lambda books: books.outbox.find("acme", now.id))
    store.run(partial(delivering.finish, message=now))
    store.run(partial(delivering.fail, message=now, problem="x", backoff=BACKOFF, jitter=0.0))
    done = store.read(lambda books: books.outbox.find("acme", now.id))

    assert now == kept
    assert done is not None
    assert MessageState.DELIVERED is done.state
    assert [done.id] == listed(store, MessageState.DELIVERED)


def test_what_fails_waits_and_dies(store: Store, clock: Clock) -> None:
    """Two pauses, then it is dead with its last problem; retried it has all its attempts again."""
    store.run(lambda books: books.outbox.add([notice(1, clock())]))
    states: list[MessageState] = []
    for pause in (timedelta(0), timedelta(seconds=30), timedelta(seconds=60)):
        clock.turn(pause - timedelta(microseconds=1))
        assert not pause or [] == take(store).messages
        clock.turn(timedelta(microseconds=1))
        (taken,) = take(store).messages
        fail = partial(delivering.fail, message=taken, problem="no answer", backoff=BACKOFF, jitter=0.0)
        states.append(store.run(fail))
    clock.turn(timedelta(days=9))
    (dead,) = store.read(lambda books: books.outbox.listed(state=MessageState.DEAD))

    assert [MessageState.PENDING, MessageState.PENDING, MessageState.DEAD] == states
    assert [] == take(store).messages
    assert ("no answer", 3) == (dead.problem, dead.attempts)

    store.run(partial(delivering.retry, account="acme", message=dead.id))
    (once_more,) = take(store).messages
    assert (dead.id, 1) == (once_more.id, once_more.attempts)
    for unknown in ("0" * 16, "no id"):
        with pytest.raises(MessageNotFoundError):
            store.run(partial(delivering.retry, account="acme", message=unknown))


def test_a_message_that_kills_who_takes_it_dies_itself(store: Store, clock: Clock) -> None:
    """Leased as often as it may be tried and never heard of again, it is dead and in nobody's way."""
    store.run(lambda books: books.outbox.add([notice(1, clock())]))
    for _ in range(BACKOFF.attempts):
        assert 1 == len(take(store).messages)
        clock.turn(BACKOFF.lease)

    assert delivering.Taken([], dead=1) == take(store)
    assert 1 == len(listed(store, MessageState.DEAD))


def test_topics_are_asked_for_by_how_they_begin(store: Store, clock: Clock) -> None:
    """Letter by letter: an underscore is one, and stands for no other."""
    made = notice(1, clock())
    topics = ("a_b.c", "axb.c", "A_b.c", "a_b")
    messages = [replace(made, id=f"{n:016x}", topic=topic) for n, topic in enumerate(topics)]
    store.run(lambda books: books.outbox.add(messages))

    assert ["a_b.c"] == [each.topic for each in take(store, "a_b.").messages]
    assert ["a_b", "axb.c"] == sorted(each.topic for each in take(store, "axb", "a_b").messages)


def test_the_latest_is_listed_first(store: Store, clock: Clock) -> None:
    """Of an account, or of all; so many at most."""
    for number in range(3):
        store.run(
            lambda books, n=number: books.outbox.add([notice(n, clock()), notice(n, clock(), "zeta")])
        )
        clock.turn(timedelta(seconds=1))
    found = store.read(lambda books: books.outbox.listed(account="acme", limit=2))

    assert ["acme", "acme"] == [each.account for each in found]
    assert [2, 1] == [each.facts.window for each in found if isinstance(each.facts, Notice)]
    assert 6 == len(listed(store))


def test_top_ups_are_kept(store: Store, clock: Clock) -> None:
    """As they were written and as they ended, and those are recent that the next may depend on."""
    old = clock() - timedelta(days=33)
    paid = top_up(1, old).paid("pi_1", old)
    cooling = replace(top_up(2, old).failed("declined", old), cools_until=clock() + timedelta(days=1))
    opened = top_up(3, old)
    month = top_up(4, clock() - timedelta(days=31), unit="advanced").paid("pi_2", clock())
    for each in (paid, cooling, opened, month):
        store.run(lambda books, t=each: books.top_ups.add(t))

    for each in (paid, cooling, opened, month):
        assert each == store.run(lambda books, t=each: books.top_ups.lock(t.id))
    recent = store.read(lambda books: books.top_ups.recent("acme", clock()))
    assert {cooling.id, opened.id, month.id} == {each.id for each in recent}
    assert [] == list(store.read(lambda books: books.top_ups.recent("zeta", clock())))
    store.run(lambda books: books.top_ups.save(opened.paid("pi_3", clock())))
    assert [] == store.read(lambda books: books.top_ups.listed(state=TopUpState.OPEN))
    assert month.id == store.read(lambda books: books.top_ups.listed(account="acme", limit=1))[0].id
    assert None is store.read(lambda books: books.top_ups.find("0" * 16))


def test_times_are_utc(store: Store) -> None:
    """Whatever the driver makes of them."""
    at = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    store.run(lambda books: books.outbox.add([notice(1, at)]))

    assert [at] == [each.noted_at for each in store.read(lambda books: books.outbox.listed())]


def test_only_what_was_delivered_long_ago_is_dropped(store: Store, clock: Clock) -> None:
    """What waits, is dead or was delivered of late stays; as many at a time as is said, until there are none."""
    names: dict[str, list[str]] = {}
    for word, days in (("long ago", 40), ("of late", 1), ("waiting", 0)):
        made = [notice(len(names) * 10 + number, clock()) for number in range(3)]
        store.run(lambda books, made=made: books.outbox.add(made))
        names[word] = [each.id for each in made]
        if word != "waiting":
            for each in take(store).messages:
                store.run(partial(delivering.finish, message=each))
        clock.turn(timedelta(days=days))
    (dead, *_) = take(store).messages
    once = Backoff(attempts=1)
    store.run(partial(delivering.fail, message=dead, problem="x", backoff=once, jitter=0))
    prune = partial(delivering.prune, older_than=timedelta(days=32), limit=2)
    dropped = [store.run(prune) for _ in range(3)]

    assert [2, 1, 0] == dropped
    assert sorted(names["of late"] + names["waiting"]) == sorted(listed(store))
    assert [dead.id] == listed(store, MessageState.DEAD)
    assert 0 == store.run(partial(delivering.prune, older_than=timedelta.max))


def test_less_than_a_month_is_not_dropped(store: Store) -> None:
    """What is told once a month would be told again."""
    with pytest.raises(InvalidArgumentError, match="32 days"):
        store.run(partial(delivering.prune, older_than=timedelta(days=31, hours=23)))
