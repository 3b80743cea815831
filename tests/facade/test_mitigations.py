"""`Meter.mitigations`: applied, gone by, undone and kept, in memory and on a file, in both colours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ptmeter import (
    AccountNotFoundError,
    ConfigurationError,
    IdempotencyConflictError,
    InvalidArgumentError,
    Mitigation,
    MitigationNotFoundError,
    MitigationOverError,
    UnknownUnitError,
    Usage,
    read_plans,
)
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter

pytestmark = pytest.mark.anyio

HALF_A_DAY = timedelta(hours=12)
PLANS = read_plans(
    {
        "downgrades": {"gpt-4o": ["gpt-4o-mini"]},
        "plans": {
            name: {
                "price_per_month": 0,
                "allowance": {"core": 900, "advanced": 100},
                "units": ["core", "advanced"],
            }
            for name in ("pro", "team")
        },
    }
)
CORE_ONLY: dict[str, Any] = {
    "unit": "advanced",
    "share": 0,
    "lasts": HALF_A_DAY,
    "by": "ann",
    "reason": "margin 38 %",
    "key": "m1",
}


def core_only(**changes: Any) -> dict[str, Any]:
    return CORE_ONLY | changes


@pytest.fixture
async def meter(opened: Opener, clock: Clock) -> AsyncIterator[AsyncMeter]:
    """A meter with acme on plan pro, a member bob of it, and zeta on plan team."""
    async with opened(clock=clock, plans=PLANS) as meter:
        await meter.plans.assign("acme", "pro", key="p")
        await meter.plans.assign("zeta", "team", key="p")
        await meter.accounts.place("bob", under="acme")
        yield meter


async def models(meter: AsyncMeter) -> list[str | None]:
    """Where a request for an advanced model is sent, of acme, its member and zeta."""
    return [(await meter.route(name, model="gpt-4o")).model for name in ("acme", "bob", "zeta")]


async def test_the_router_goes_by_what_is_kept(meter: AsyncMeter, clock: Clock) -> None:
    """Core models for everybody, until it ends by itself; the reason and the end are said."""
    applied = await meter.mitigations.apply(**CORE_ONLY)
    found = await meter.route("acme", model="gpt-4o")

    assert ("gpt-4o-mini", "no advanced models for now (margin 38 %)", applied.ends_at) == (
        found.model,
        found.reason,
        found.until,
    )
    assert ["gpt-4o-mini"] * 3 == await models(meter)
    assert clock() + HALF_A_DAY == applied.ends_at
    clock.turn(HALF_A_DAY)
    assert ["gpt-4o"] * 3 == await models(meter)


async def test_the_reason_is_on_the_row_of_the_call(meter: AsyncMeter) -> None:
    """What a call was sent elsewhere for stays with it, whatever becomes of the mitigation."""
    await meter.mitigations.apply(**CORE_ONLY)
    route = await meter.route("acme", model="gpt-4o")
    assert route.model
    receipt = await meter.record(
        "acme", model=route.model, response=Usage(output_text=5), key="r", workload=route.workload()
    )

    assert receipt.charge
    assert "gpt-4o: no advanced models for now (margin 38 %)" == receipt.charge.workload.routed


@pytest.mark.parametrize(
    ("whom", "sent"),
    [
        ({"account": "acme"}, ["gpt-4o-mini", "gpt-4o-mini", "gpt-4o"]),
        ({"account": "bob"}, ["gpt-4o", "gpt-4o-mini", "gpt-4o"]),
        ({"plan": "team"}, ["gpt-4o", "gpt-4o", "gpt-4o-mini"]),
        ({"plan": "pro"}, ["gpt-4o-mini", "gpt-4o-mini", "gpt-4o"]),
    ],
)
async def test_it_holds_for_an_account_and_what_is_below_or_for_a_plan(
    meter: AsyncMeter, whom: dict[str, str], sent: list[str]
) -> None:
    """Nobody else notices it."""
    await meter.mitigations.apply(**core_only(**whom))

    assert sent == await models(meter)


async def test_of_kept_and_handed_in_the_strictest_holds(meter: AsyncMeter, clock: Clock) -> None:
    """What is handed in holds besides what is kept, and does not loosen it."""
    await meter.mitigations.apply(**core_only(share=9_000, account="acme"))
    handed = Mitigation(
        key="h",
        unit="advanced",
        share=0,
        scope="plan:team",
        starts_at=clock(),
        ends_at=clock() + HALF_A_DAY,
        by="bob",
        reason="a trial",
    )

    assert ["gpt-4o"] * 3 == await models(meter)
    assert "gpt-4o-mini" == (await meter.route("zeta", model="gpt-4o", mitigations=[handed])).model
    await meter.mitigations.apply(**core_only(key="m2"))
    loose = Mitigation(**{**_fields(handed), "share": 9_000, "scope": ""})
    assert "gpt-4o-mini" == (await meter.route("zeta", model="gpt-4o", mitigations=[loose])).model


def _fields(found: Mitigation) -> dict[str, Any]:
    names = ("key", "unit", "share", "scope", "starts_at", "ends_at", "by", "reason")
    return {name: getattr(found, name) for name in names}


async def test_undone_it_is_over_and_kept(meter: AsyncMeter, clock: Clock) -> None:
    """Who undid it, when and why stays; the same again is answered alike, anything else is a conflict."""
    applied = await meter.mitigations.apply(**CORE_ONLY)
    clock.turn(timedelta(hours=1))
    undone = await meter.mitigations.undo(applied.id, by="bob", reason="enough")

    assert (clock(), "bob", "enough") == (undone.undone_at, undone.undone_by, undone.undone_because)
    assert ["gpt-4o"] * 3 == await models(meter)
    clock.turn(timedelta(minutes=1))
    again = await meter.mitigations.undo(applied.id, by="bob", reason="enough")
    assert (undone, True, False) == (again, again.replayed, undone.replayed)
    for who in ({"by": "cat", "reason": "enough"}, {"by": "bob", "reason": "another"}):
        with pytest.raises(MitigationOverError, match="'bob'"):
            await meter.mitigations.undo(applied.id, **who)
    assert (undone,) == await meter.mitigations.list()
    assert () == await meter.mitigations.list(active=True)


async def test_one_that_has_not_begun_never_does_once_undone(meter: AsyncMeter, clock: Clock) -> None:
    """Applied for later it waits; undone before, there is nothing to wait for."""
    later = clock() + timedelta(hours=1)
    first = await meter.mitigations.apply(**core_only(starts_at=later))
    second = await meter.mitigations.apply(**core_only(key="m2", starts_at=later, account="zeta"))
    await meter.mitigations.undo(first.id, by="ann", reason="not needed")

    assert ["gpt-4o"] * 3 == await models(meter)
    clock.turn(timedelta(hours=1))
    assert ["gpt-4o", "gpt-4o", "gpt-4o-mini"] == await models(meter)
    assert (second,) == await meter.mitigations.list(active=True)


async def test_what_has_ended_cannot_be_undone(meter: AsyncMeter, clock: Clock) -> None:
    """It would say that it held for a shorter time than it did."""
    applied = await meter.mitigations.apply(**CORE_ONLY)
    clock.turn(HALF_A_DAY)

    with pytest.raises(MitigationOverError, match="ended at"):
        await meter.mitigations.undo(applied.id, by="bob", reason="enough")
    for name in ("0" * 16, "not an id"):
        with pytest.raises(MitigationNotFoundError):
            await meter.mitigations.undo(name, by="bob", reason="enough")


async def test_the_same_key_applies_it_once(meter: AsyncMeter, clock: Clock) -> None:
    """The same request gets the first answer, later too, and another one under its key is a conflict."""
    applied = await meter.mitigations.apply(**CORE_ONLY)
    clock.turn(timedelta(hours=1))
    again = await meter.mitigations.apply(**CORE_ONLY)

    assert (applied, True, False) == (again, again.replayed, applied.replayed)
    for change in (
        {"share": 1},
        {"unit": "core"},
        {"lasts": timedelta(hours=1)},
        {"by": "bob"},
        {"reason": "another"},
        {"starts_at": clock()},
    ):
        with pytest.raises(IdempotencyConflictError):
            await meter.mitigations.apply(**core_only(**change))
    await meter.mitigations.apply(**core_only(account="acme"))
    assert 2 == len(await meter.mitigations.list())


async def test_they_are_listed_the_last_to_begin_first_page_by_page(
    meter: AsyncMeter, clock: Clock
) -> None:
    """Every one comes once, those that begin at one moment among them."""
    applied: list[Mitigation] = []
    for number in range(7):
        applied.append(await meter.mitigations.apply(**core_only(key=f"m{number}")))
        clock.turn(timedelta(hours=number % 2))
    pages: list[Mitigation] = []
    while page := await meter.mitigations.list(limit=2, before=pages[-1].id if pages else None):
        pages += page

    assert sorted(applied, key=lambda each: each.id) == sorted(pages, key=lambda each: each.id)
    assert [each.starts_at for each in pages] == sorted((m.starts_at for m in applied), reverse=True)
    with pytest.raises(MitigationNotFoundError):
        await meter.mitigations.list(before="0" * 16)
    with pytest.raises(InvalidArgumentError):
        await meter.mitigations.list(limit=0)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"by": ""}, InvalidArgumentError),
        ({"by": " "}, InvalidArgumentError),
        ({"reason": ""}, InvalidArgumentError),
        ({"reason": "\n"}, InvalidArgumentError),
        ({"reason": "a \0"}, InvalidArgumentError),
        ({"by": "a" * 201}, InvalidArgumentError),
        ({"key": ""}, InvalidArgumentError),
        ({"lasts": timedelta(0)}, InvalidArgumentError),
        ({"lasts": timedelta.max}, InvalidArgumentError),
        ({"share": 10_001}, InvalidArgumentError),
        ({"share": -1}, InvalidArgumentError),
        ({"starts_at": datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)}, InvalidArgumentError),
        ({"account": "acme", "plan": "pro"}, InvalidArgumentError),
        ({"unit": "gold"}, UnknownUnitError),
        ({"account": "nobody"}, AccountNotFoundError),
        ({"plan": "gold"}, ConfigurationError),
    ],
    ids=lambda value: None if isinstance(value, type) else repr(value)[:40],
)
async def test_what_cannot_be_one_is_refused(
    meter: AsyncMeter, change: dict[str, Any], error: type[Exception]
) -> None:
    """Without an author, a reason or an end, for whom there is not, of a unit that there is not."""
    with pytest.raises(error):
        await meter.mitigations.apply(**core_only(**change))
    assert () == await meter.mitigations.list()


async def test_undoing_takes_an_author_and_a_reason(meter: AsyncMeter) -> None:
    """What is undone by nobody or for nothing is not."""
    applied = await meter.mitigations.apply(**CORE_ONLY)
    for who in ({"by": "", "reason": "enough"}, {"by": "bob", "reason": " "}):
        with pytest.raises(InvalidArgumentError):
            await meter.mitigations.undo(applied.id, **who)
    assert (applied,) == await meter.mitigations.list(active=True)


async def test_without_plans_nobody_would_go_by_it(in_memory: Opener) -> None:
    """So it is refused instead of being kept for nothing."""
    async with in_memory() as meter:
        with pytest.raises(ConfigurationError):
            await meter.mitigations.apply(**CORE_ONLY)


async def test_it_is_there_for_every_meter_on_the_ledger(on_file: Opener) -> None:
    """Applied by one process, it holds for the next, whose local time is another."""
    clock = Clock(datetime(2026, 5, 5, tzinfo=UTC))
    async with on_file(plans=PLANS, clock=clock) as first, on_file(plans=PLANS, clock=clock) as second:
        await first.plans.assign("acme", "pro", key="p")
        applied = await first.mitigations.apply(**CORE_ONLY)

        assert (applied,) == await second.mitigations.list(active=True)
        assert "gpt-4o-mini" == (await second.route("acme", model="gpt-4o")).model
