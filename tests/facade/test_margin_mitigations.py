"""`Meter.mitigations.from_margins`: proposed or applied, once for a window and never twice at once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.facade.test_mitigations import PLANS

from ptmeter import (
    ConfigurationError,
    InvalidArgumentError,
    MarginGoals,
    MitigationTerms,
    Policy,
    UnknownUnitError,
    Usage,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter
    from ptmeter.testing import Clock

pytestmark = pytest.mark.anyio

DAY = timedelta(days=1)
POLICY = Policy(mitigations=MitigationTerms(calls=1))


@pytest.fixture
async def meter(opened: Opener, clock: Clock) -> AsyncIterator[AsyncMeter]:
    """A meter with acme on plan pro, whose PT were sold for next to nothing; one call is enough to go by."""
    async with opened(clock=clock, plans=PLANS, policy=POLICY) as meter:
        await meter.plans.assign("acme", "pro", key="p")
        await meter.funds.grant("acme", core=100, source="top-up", key="g", paid="0.001", priority=1)
        yield meter


async def use(meter: AsyncMeter, key: str) -> None:
    usage = Usage(input_uncached=1_000, output_text=500)
    await meter.record("acme", model="gpt-4o-mini", response=usage, key=key)


async def test_what_is_proposed_is_not_applied(meter: AsyncMeter) -> None:
    """Without *apply* it says what would be, and changes nothing; with it, that holds."""
    await use(meter, "1")
    proposed = await meter.mitigations.from_margins()

    assert ("", 0, "ptmeter") == tuple(
        getattr(proposed.called_for[0], name) for name in ("scope", "share", "by")
    )
    assert (1, (), ()) == (proposed.calls, proposed.applied, proposed.standing)
    assert () == await meter.mitigations.list()
    applied = await meter.mitigations.from_margins(apply=True)
    assert proposed.called_for == applied.applied
    assert applied.applied == await meter.mitigations.list(active=True)
    route = await meter.route("acme", model="gpt-4o")
    assert "gpt-4o-mini" == route.model
    assert "below 40 % (revenue US$0" in route.reason


async def test_it_is_applied_once_for_a_window(meter: AsyncMeter, clock: Clock) -> None:
    """Again and again on one day it is there once, be it over or undone; the next day has its own."""
    await use(meter, "1")
    (first,) = (await meter.mitigations.from_margins(apply=True)).applied
    clock.turn(timedelta(hours=1))
    await use(meter, "2")
    again = await meter.mitigations.from_margins(apply=True)

    assert ((first,), ()) == (again.standing, again.applied)
    await meter.mitigations.undo(first.id, by="ann", reason="we know")
    undone = await meter.mitigations.from_margins(apply=True)
    assert ("ann", ()) == (undone.standing[0].undone_by, undone.applied)
    assert "gpt-4o" == (await meter.route("acme", model="gpt-4o")).model
    clock.turn(DAY)
    await use(meter, "3")
    assert 1 == len((await meter.mitigations.from_margins(apply=True)).applied)


async def test_never_two_at_once(meter: AsyncMeter, clock: Clock) -> None:
    """Another window's red light finds one that holds; when that is over it gets its own."""
    await use(meter, "1")
    today = clock().date()
    (first,) = (await meter.mitigations.from_margins(apply=True)).applied
    week: dict[str, Any] = {"since": today - 6 * DAY, "until": today + DAY}
    longer = await meter.mitigations.from_margins(**week, apply=True)

    assert ((first,), ()) == (longer.standing, longer.applied)
    clock.turn(timedelta(hours=12))
    assert 1 == len((await meter.mitigations.from_margins(**week, apply=True)).applied)
    assert 2 == len(await meter.mitigations.list())


async def test_where_nothing_was_charged_it_does_nothing_and_says_so(
    meter: AsyncMeter, clock: Clock
) -> None:
    """Neither today, if nobody asked, nor in a window before there was anything."""
    for window in ({}, {"until": clock().date() - DAY}):
        done = await meter.mitigations.from_margins(**window, apply=True)

        assert (0, (), ()) == (done.calls, done.called_for, done.applied)
        assert str(done).startswith("no call was charged in 20")
    await use(meter, "1")
    clock.turn(DAY)
    assert 0 == (await meter.mitigations.from_margins(apply=True)).calls
    yesterday = clock().date() - DAY
    assert 1 == (await meter.mitigations.from_margins(since=yesterday, until=yesterday + DAY)).calls
    assert 1 == (await meter.mitigations.from_margins(since=yesterday)).calls


async def test_good_margins_call_for_nothing(in_memory: Opener) -> None:
    """98 % are green, of PT that earn what the card says; and a floor that is set higher closes all the same."""
    for floor, count in ((4_000, 0), (9_990, 1)):
        terms = MitigationTerms(calls=1, floor=floor, by=())
        only = MitigationTerms(calls=1, floor=floor)
        async with in_memory(plans=PLANS, policy=Policy(mitigations=only)) as meter:
            await meter.plans.assign("acme", "pro", key="p")
            await meter.funds.grant("acme", core=10, source="top-up", key="g", priority=1)
            await use(meter, "1")
            done = await meter.mitigations.from_margins(apply=True)

            assert (1, count) == (done.calls, len(done.applied))
        async with in_memory(plans=PLANS, policy=Policy(mitigations=terms)) as meter:
            await meter.plans.assign("acme", "pro", key="p")
            await meter.funds.grant("acme", core=10, source="top-up", key="g", priority=1)
            await use(meter, "1")
            assert () == (await meter.mitigations.from_margins(apply=True)).applied


async def test_what_cannot_be_asked_for_is_refused(
    meter: AsyncMeter, in_memory: Opener, clock: Clock
) -> None:
    """No day, what is no day, a unit that there is not, and no plans to go by them."""
    today = clock().date()
    windows: tuple[dict[str, Any], ...] = (
        {"since": today, "until": today},
        {"until": "2026-08-31"},
        {"since": clock()},
    )
    for window in windows:
        with pytest.raises(InvalidArgumentError):
            await meter.mitigations.from_margins(**window)
    async with in_memory(policy=POLICY) as without:
        with pytest.raises(ConfigurationError):
            await without.mitigations.from_margins()
    golden = Policy(margins=MarginGoals(burn_unit="gold"))
    async with in_memory(plans=PLANS, policy=golden) as other:
        with pytest.raises(UnknownUnitError):
            await other.mitigations.from_margins()
