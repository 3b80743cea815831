"""What settled calls taught is kept on every database: nothing is lost when two processes add at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

from ptmeter import Calibration
from ptmeter.domain.calibration import Topic
from ptmeter.operations import calibrating

if TYPE_CHECKING:
    from ptmeter.ports import Books, Store


def taught(*routes: str, calls: int = 1, model: str = "small-1") -> Calibration:
    made = Calibration()
    for route in routes:
        for _ in range(calls):
            made.learn(model, route, counted=100, used=120, answered=10)
    return made


def keep(store: Store, fresh: Calibration) -> Calibration:
    return store.run(partial(calibrating.keep, fresh=fresh))


def test_what_is_kept_is_recalled(store: Store) -> None:
    """Word for word, names compared byte for byte; nothing at first."""
    assert store.read(calibrating.recall).habits == {}
    fresh = taught("chat", "Chat", "überprüfen 🙂")

    keep(store, fresh)

    assert store.read(calibrating.recall).habits == fresh.habits
    assert store.read(calibrating.recall).as_json() == fresh.as_json()


def test_what_is_kept_adds_up(store: Store) -> None:
    """What one process learnt is added to what others did, and what is returned is the sum."""
    keep(store, taught("chat", calls=3))

    kept = keep(store, taught("chat", "report", calls=2))

    expected = taught("chat", calls=5)
    expected.merge(taught("report", calls=2))
    assert kept.habits == expected.habits == store.read(calibrating.recall).habits


def test_nothing_fresh_changes_nothing(store: Store) -> None:
    """A process that has learnt nothing may keep it."""
    keep(store, Calibration())

    assert store.read(calibrating.recall).habits == {}


def test_what_is_refused_leaves_nothing(store: Store) -> None:
    """It stands or falls with its transaction."""

    def fail(books: Books) -> None:
        calibrating.keep(books, taught("chat"))
        message = "on purpose"
        raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="on purpose"):
        store.run(fail)

    assert store.read(calibrating.recall).habits == {}


def test_processes_that_add_at_once_lose_nothing(store: Store) -> None:
    """Eight callers, the same two routes in both orders, new at first: every call of them counts."""
    batches = [taught(*order, calls=5) for order in (("chat", "report"), ("report", "chat")) * 4]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(partial(keep, store), batches))

    kept = store.read(calibrating.recall).habits
    assert kept[Topic("small-1", "chat")].calls == 40
    assert kept[Topic("small-1", "report")].calls == 40
    assert kept[Topic("small-1", "")].calls == 80


def test_what_changed_last_is_read_first(store: Store) -> None:
    """More topics than fit are read by when they changed."""
    for model in ("one", "two", "three"):
        keep(store, taught("", model=model))
    keep(store, taught("", model="one"))

    def read(books: Books) -> set[Topic]:
        return set(books.calibration.read(limit=2))

    newest = store.read(read)

    assert len(newest) == 2
    assert newest <= {Topic("one", ""), Topic("two", ""), Topic("three", "")}
