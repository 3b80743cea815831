"""Mitigations on every database: applied and undone by many at once, they are there once; and what reading them costs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import TYPE_CHECKING, Any, Final

import pytest
from sqlalchemy import event
from tests.integration.wiring import meter_on, query, servers

from ptmeter import (
    IdempotencyConflictError,
    Mitigated,
    Mitigation,
    MitigationOverError,
    MitigationTerms,
    Policy,
    PtmeterError,
    Usage,
    read_plans,
)
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.backends import Backend

    from ptmeter import Meter

START: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY: Final = Policy(mitigations=MitigationTerms(calls=1))
PLANS: Final = read_plans(
    {
        "downgrades": {"gpt-4o": ["gpt-4o-mini"]},
        "plans": {
            "pro": {
                "price_per_month": 0,
                "allowance": {"core": 900, "advanced": 100},
                "units": ["core", "advanced"],
            }
        },
    }
)


@pytest.fixture(params=servers("sqlite", "postgres", "mysql"))
def url(request: pytest.FixtureRequest, backend_of: Callable[[str], Backend]) -> str:
    return backend_of(request.param).empty()


def opened(url: str) -> Any:
    return meter_on(url, plans=PLANS, policy=POLICY, clock=Clock(START))


def at_once(url: str, works: Sequence[Callable[[Meter], Any]]) -> list[Any]:
    """Each of the works on a meter of its own, all at the same moment: what each came to."""
    barrier = Barrier(len(works))

    def carry_out(meter: Meter, work: Callable[[Meter], Any]) -> Any:
        barrier.wait()
        try:
            return work(meter)
        except PtmeterError as refused:
            return refused

    with ExitStack() as stack, ThreadPoolExecutor(len(works)) as pool:
        meters = [stack.enter_context(opened(url)) for _ in works]
        return [*pool.map(carry_out, meters, works)]


def applying(share: int = 0, key: str = "m1") -> Callable[[Meter], Mitigation]:
    return lambda meter: meter.mitigations.apply(
        unit="advanced", share=share, lasts=timedelta(hours=12), by="ann", reason="thin", key=key
    )


def test_applied_by_many_at_once_it_is_there_once(url: str) -> None:
    """One writes it, the others get its answer; with other arguments they are refused."""
    same = at_once(url, [applying()] * 6)
    others = at_once(url, [applying(share, "m2") for share in range(6)])

    assert 5 == sum(each.replayed for each in same)
    assert [Mitigation] * 6 == [type(each) for each in same]
    assert 1 == sum(isinstance(each, Mitigation) for each in others)
    assert 5 == sum(isinstance(each, IdempotencyConflictError) for each in others)
    assert [(2,)] == query(url, "SELECT count(*) FROM ptm_mitigation")


def test_undone_by_many_at_once_it_is_undone_by_one(url: str) -> None:
    """Who comes second is told by whom it was undone."""
    with opened(url) as meter:
        name = applying()(meter).id

    def undoing(by: str) -> Callable[[Meter], Mitigation]:
        return lambda meter: meter.mitigations.undo(name, by=by, reason="enough")

    done = at_once(url, [undoing(f"person {number}") for number in range(6)])
    ((by,),) = query(url, "SELECT undone_by FROM ptm_mitigation")

    assert [by] == [each.undone_by for each in done if isinstance(each, Mitigation)]
    assert 5 == sum(isinstance(each, MitigationOverError) and by in str(each) for each in done)


def test_margins_call_for_it_once_whoever_looks_at_the_same_moment(url: str) -> None:
    """Six jobs at once, over two windows: one mitigation holds, and the others find it standing."""
    with opened(url) as meter:
        meter.plans.assign("acme", "pro", key="p")
        meter.funds.grant("acme", core=9, source="top-up", key="g", paid=0, priority=1)
        meter.record("acme", model="gpt-4o-mini", response=Usage(output_text=9), key="r")

    def looking(days: int) -> Callable[[Meter], Mitigated]:
        since = START.date() - timedelta(days=days)
        return lambda meter: meter.mitigations.from_margins(since=since, apply=True)

    done = at_once(url, [looking(number % 2) for number in range(6)])

    assert 1 == sum(len(each.applied) for each in done)
    assert 5 == sum(len(each.standing) for each in done)
    assert [(1,)] == query(url, "SELECT count(*) FROM ptm_mitigation")


def test_they_survive_the_way_through_the_database(url: str) -> None:
    """Whatever is kept of one comes back as it was, keys and reasons that are no ASCII among it."""
    with opened(url) as meter:
        meter.plans.assign("Ünal & Söhne", "pro", key="p")
        given: dict[str, Any] = {"unit": "advanced", "share": 1_234, "lasts": timedelta(microseconds=7)}
        said = {"by": "Ånn", "reason": "Marge 38 % – zu dünn 🪙", "key": "m\u0001\0"}
        applied = meter.mitigations.apply(**given, **said, account="Ünal & Söhne")
        undone = meter.mitigations.undo(applied.id, by="Bøb", reason="genug")

        assert (undone,) == meter.mitigations.list()
        assert applied.id == undone.id


def test_routing_reads_them_in_one_query_however_many_there_are(url: str) -> None:
    """A statement more, by an index: of a thousand that are over or another's none is read."""
    with opened(url) as meter:
        meter.plans.assign("acme", "pro", key="p")
        meter.plans.assign("zeta", "pro", key="p")
        assert "gpt-4o" == meter.route("acme", model="gpt-4o").model
        before = _statements(meter)
        for number in range(20):
            one = meter.mitigations.apply(
                unit="advanced",
                share=0,
                lasts=timedelta(hours=1),
                by="ann",
                reason="thin",
                key=f"m{number}",
                account="zeta",
            )
            if number % 2:
                meter.mitigations.undo(one.id, by="ann", reason="enough")
        after = _statements(meter)

    assert 1 == sum("ptm_mitigation" in each for each in after)
    assert before == after


def _statements(meter: Meter) -> list[str]:
    """What `route` sends to the database."""
    engine = meter._platform.store._engine  # type: ignore[attr-defined]
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        meter.route("acme", model="gpt-4o")
    finally:
        event.remove(engine, "before_cursor_execute", note)
    return sent
