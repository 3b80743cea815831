"""Limits, teams and their windows through the meter, in both colours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from ptmeter import (
    PT,
    AccountNotFoundError,
    ConfigurationError,
    ConflictError,
    HoldNotPendingError,
    IdempotencyConflictError,
    InvalidArgumentError,
    LimitError,
    ModelLockedError,
    UnknownUnitError,
    Usage,
    read_plans,
)
from ptmeter.testing import Clock

if TYPE_CHECKING:
    from tests.facade.conftest import Opener

    from ptmeter import AsyncMeter, Plans

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
QUESTION = [{"role": "user", "content": "Why is the sky blue?"}]


def plans(**limits: Any) -> Plans:
    """One plan, with these limits."""
    plan = {
        "price_per_month": 49,
        "allowance": {"core": 1000, "advanced": 50},
        "units": ["core", "advanced"],
    }
    return read_plans({"plans": {"pro": plan | limits, "small": plan | {"units": ["core"]}, "free": FREE}})


FREE = {"price_per_month": 0, "allowance": {"core": 10}, "units": ["core"]}


async def subscribed(meter: AsyncMeter, account: str = "acme", plan: str = "pro") -> None:
    await meter.plans.assign(account, plan, key=f"{account} joins")


async def refused(
    meter: AsyncMeter, account: str = "acme", key: str = "one more", **amounts: Any
) -> LimitError:
    with pytest.raises(LimitError) as caught:
        await meter.hold(account, key=key, **(amounts or {"core": 1}))
    return caught.value


async def use(meter: AsyncMeter, key: str, account: str = "acme", **amounts: Any) -> None:
    held = await meter.hold(account, key=key, **amounts)
    await meter.settle(held, key=key, **amounts)


async def test_a_pace_lets_the_next_request_in_when_it_says(opened: Opener) -> None:
    """Refused for its pace, a request is told when to come again; sent then, under the same key, it is let in."""
    clock = Clock(NOON)
    async with opened(plans=plans(requests_per_minute=2), clock=clock) as meter:
        await subscribed(meter)
        await use(meter, "r1", core=1)
        clock.turn(timedelta(seconds=10))
        await use(meter, "r2", core=1)

        error = await refused(meter)

        assert ("pace", "acme", 2, 2) == (error.limit, error.scope, error.allowed, error.used)
        assert NOON + MINUTE == error.retry_at
        assert "2 of 2 requests per minute used; try again at 2026-03-10 12:01:00 UTC" in str(error)
        clock.turn(MINUTE - timedelta(seconds=11))
        await refused(meter)
        clock.turn(timedelta(seconds=1))
        await use(meter, "one more", core=1)


async def test_a_call_nobody_ends_counts_until_it_expires(opened: Opener) -> None:
    """A hold that is left behind is a call under way until the minute of its expiry is over, swept or not."""
    clock = Clock(NOON)
    async with opened(plans=plans(concurrent=1), clock=clock) as meter:
        await subscribed(meter)
        await meter.hold("acme", core=1, key="left", ttl=5 * MINUTE)

        error = await refused(meter)

        assert ("concurrent", NOON + 6 * MINUTE) == (error.limit, error.retry_at)
        clock.turn(6 * MINUTE)
        await meter.hold("acme", core=1, key="next")


async def test_a_member_uses_the_teams_pt_within_caps_of_its_own(opened: Opener) -> None:
    """A member has no PT of its own: it takes the team's, under its own cap and the team's limits alike."""
    async with opened(plans=plans(caps={"core": {"day": 30}}), clock=Clock(NOON)) as meter:
        await subscribed(meter)
        await meter.accounts.place("ann", under="acme")
        await meter.accounts.place("bob", under="acme")
        await meter.accounts.limit("ann", caps={"core": {"month": 10}})
        await use(meter, "a1", "ann", core=9)
        await use(meter, "b1", "bob", core=20)

        own, teams = await refused(meter, "ann", core=2), await refused(meter, "bob", core=2)

        assert ("cap", "ann", PT.of(9).whole) == (own.limit, own.scope, own.used)
        assert ("cap", "acme", PT.of(29).whole) == (teams.limit, teams.scope, teams.used)
        assert PT.of(2).whole == teams.asked
        assert (
            "account 'bob' has reached the limit cap of 'acme': "
            "29 of 30 core PT a day used, 2 asked for, 1 would fit now; try again at"
        ) in str(teams)
        assert PT.of(971) == (await meter.balance("acme")).core.available
        with pytest.raises(AccountNotFoundError):
            await meter.balance("nobody")
        assert (await meter.verify()).clean


async def test_what_is_refused_of_a_member_names_the_member(opened: Opener) -> None:
    """Its keys are its own, whoever pays: a hold that is resolved, a key that means something else."""
    async with opened(plans=plans(), clock=Clock(NOON)) as meter:
        await subscribed(meter)
        await meter.accounts.place("ann", under="acme")
        held = await meter.hold("ann", core=2, key="k")
        await meter.settle(held, core=1, key="k")

        with pytest.raises(HoldNotPendingError, match="account 'ann' under key 'k'") as resolved:
            await meter.void(held, key="v")
        with pytest.raises(IdempotencyConflictError, match="'k'") as reused:
            await meter.hold("ann", core=5, key="k")

        assert ("ann", "ann") == (resolved.value.account, reused.value.account)


async def test_a_teams_statement_names_the_member(opened: Opener) -> None:
    """Who called is beside what it cost the team; for what the team did itself nobody is."""
    async with opened(plans=plans(), clock=Clock(NOON)) as meter:
        await subscribed(meter)
        await meter.accounts.place("ann", under="acme")
        await use(meter, "a1", "ann", core=2)
        await use(meter, "t1", "acme", core=1)

        lines = (await meter.statement("acme")).entries

        assert [("hold", "ann"), ("settle", "ann"), ("hold", ""), ("settle", "")] == [
            (line.kind, line.member) for line in lines if line.kind in {"hold", "settle"}
        ]


async def test_a_members_model_is_that_of_the_teams_plan(opened: Opener) -> None:
    """A member goes by the plan of the nearest account above it, for models too."""
    async with opened(plans=plans(), clock=Clock(NOON)) as meter:
        await subscribed(meter, plan="small")
        await meter.accounts.place("ann", under="acme")

        with pytest.raises(ModelLockedError) as caught:
            async with meter.call("ann", model="gpt-4o", messages=QUESTION, key="r1"):
                pass

        assert ("small", "pro") == (caught.value.plan, caught.value.opens_with)
        assert not (await meter.may("ann", model="gpt-4o")).allowed


async def test_beyond_a_hard_cap_who_agreed_pays_a_multiple(opened: Opener) -> None:
    """Refused at first; once agreed, a call is held and charged at twice the rate, and the receipt says so."""
    share = {"advanced": {"soft": "0.5%", "hard": "1%", "overflow": 2}}  # 10.5 of 1,050 PT
    async with opened(plans=plans(shares=share), clock=Clock(NOON)) as meter:
        await subscribed(meter)
        await use(meter, "r1", advanced=10)
        error = await refused(meter, advanced=1)
        await meter.accounts.agree_to_overflow("acme")

        async with meter.call("acme", model="gpt-4o", messages=QUESTION, key="r2", max_tokens=100) as call:
            call.record(Usage(input_uncached=10, output_text=10))

        assert "hard_cap" == error.limit
        assert call.hold
        assert call.receipt
        assert {"advanced": PT.of(6)} == call.receipt.charged  # a short call is 3 PT
        assert {"advanced": 2} == call.hold.multiples
        assert any("2 times" in warning for warning in call.receipt.warnings)
        found = await meter.find_hold("acme", key="r2")
        assert call.hold.multiples == found.multiples
        assert (await meter.verify()).clean


async def test_what_was_used_counts_whatever_the_limits_say(opened: Opener) -> None:
    """A call charged without a hold goes through, and what it used counts against the cap from then on."""
    async with opened(plans=plans(caps={"core": {"day": 2}}), clock=Clock(NOON)) as meter:
        await subscribed(meter)
        for key in ("r1", "r2", "r3"):
            response = Usage(input_uncached=10, output_text=10)
            await meter.record("acme", model="gpt-4o-mini", response=response, key=key)

        error = await refused(meter)

        assert (2, 3) == (error.allowed, error.used)
        assert datetime(2026, 3, 11, tzinfo=UTC) == error.retry_at


async def test_a_burn_rate_makes_wait_and_longer_the_second_time(opened: Opener) -> None:
    """Over 40 % of a cycle's PT within 72 hours is a wait of 30 minutes; again in the same cycle, of an hour."""
    second_s = timedelta(seconds=1)
    burn = {"steps": [{"share": "40%", "wait": "30 min"}], "repeats": 4}
    clock = Clock(NOON)
    async with opened(plans=plans(burn=burn), clock=clock) as meter:
        await subscribed(meter)
        await meter.funds.grant("acme", core=5000, source="top-up", key="t1")
        await use(meter, "r1", core=421)  # 40 % of 1,050 PT is 420
        first = await refused(meter)
        clock.turn(30 * MINUTE + timedelta(seconds=1))
        await use(meter, "r2", core=1)
        clock.turn(4 * DAY)
        await use(meter, "r3", core=421)
        second = await refused(meter)

        assert ("burn_rate", NOON + 30 * MINUTE + second_s) == (first.limit, first.retry_at)
        assert NOON + 4 * DAY + 30 * MINUTE + HOUR + 2 * second_s == second.retry_at


async def test_a_zone_that_changes_in_the_middle_of_a_day_opens_no_second_one(opened: Opener) -> None:
    """What was used today is used today by the new clock too, where that is the same day."""
    clock = Clock(NOON)
    async with opened(plans=plans(caps={"core": {"day": 10, "month": 100}}), clock=clock) as meter:
        await subscribed(meter)
        await meter.accounts.place("ann", under="acme")
        await use(meter, "r1", "ann", core=6)
        clock.turn(3 * HOUR)
        await use(meter, "r2", "ann", core=3)

        await meter.accounts.count_from("acme", None, zone="Asia/Tokyo")  # where it is past midnight now
        spent = {each.what: each.used for each in await meter.accounts.headroom("ann")}

        assert {"core PT a day": PT.of(3).micro, "core PT a month": PT.of(9).micro} == spent
        await meter.accounts.count_from("acme", None, zone="Europe/Berlin")
        error = await refused(meter, "ann", core=2)
        assert (9, datetime(2026, 3, 10, 23, tzinfo=UTC)) == (error.used, error.retry_at)
        assert (await meter.verify()).clean


async def test_nobody_has_no_headroom(opened: Opener) -> None:
    """An account that is not there is an error, not one without limits."""
    async with opened(plans=plans(requests_per_hour=9), clock=Clock(NOON)) as meter:
        with pytest.raises(AccountNotFoundError):
            await meter.accounts.headroom("nobody")


async def test_headroom_shows_every_limit_from_the_member_up(opened: Opener) -> None:
    """What is used of each limit, in the order in which they are asked, with what is held now."""
    limits = {"requests_per_hour": 9, "concurrent": 3, "spend_caps": {"month": 20}}
    async with opened(plans=plans(**limits), clock=Clock(NOON)) as meter:
        await subscribed(meter)
        await meter.accounts.place("ann", under="acme")
        await meter.accounts.limit("ann", concurrent=2, spend={"day": "1.50"}, requests={HOUR: 5})
        await meter.hold("ann", core=10, key="r1")

        found = [
            (each.account, each.what, each.used, each.left) for each in await meter.accounts.headroom("ann")
        ]

        ten_cents, dollar = 10**8, 10**9
        assert [
            ("ann", "requests per hour", 1, 4),
            ("ann", "calls at once", 1, 1),
            ("ann", "USD a day", ten_cents, 14 * ten_cents),
            ("acme", "requests per hour", 1, 8),
            ("acme", "calls at once", 1, 2),
            ("acme", "USD a month", ten_cents, 20 * dollar - ten_cents),
        ] == found


async def test_an_account_is_put_elsewhere_between_its_calls(opened: Opener) -> None:
    """Not while a call is under way; then it uses the new team's PT, and what it used stays with the old one."""
    async with opened(plans=plans(caps={"core": {"day": 100}}), clock=Clock(NOON)) as meter:
        for team in ("acme", "zeta"):
            await subscribed(meter, team)
        await meter.accounts.place("ann", under="acme")
        await use(meter, "r1", "ann", core=7)
        held = await meter.hold("ann", core=1, key="r2")
        with pytest.raises(ConflictError, match="under way"):
            await meter.accounts.place("ann", under="zeta")
        await meter.void(held, key="r2")

        moved = await meter.accounts.place("ann", under="zeta")
        await use(meter, "r3", "ann", core=5)

        assert ("zeta", True) == (moved.parent, moved.pooled)
        used = {
            name: {each.account: each.used for each in await meter.accounts.headroom(name)}
            for name in ("acme", "ann")
        }
        assert {"acme": {"acme": PT.of(7).micro}, "ann": {"zeta": PT.of(5).micro}} == used
        assert PT.of(995) == (await meter.balance("zeta")).core.available
        assert ["ann"] == [account.name for account in await meter.accounts.below("zeta")]
        assert (await meter.verify()).clean


async def test_what_cannot_be_is_refused_in_words(opened: Opener) -> None:
    """A circle, a parent nobody knows, a unit, window or zone that is none, a meter without plans."""
    async with opened(plans=plans(), clock=Clock(NOON)) as meter:
        await subscribed(meter)
        await meter.accounts.place("ann", under="acme")

        with pytest.raises(
            InvalidArgumentError, match="'acme' cannot be put under 'ann': it is above 'ann'"
        ):
            await meter.accounts.place("acme", under="ann")
        with pytest.raises(InvalidArgumentError, match="an account is not above itself"):
            await meter.accounts.place("ann", under="ann")
        with pytest.raises(AccountNotFoundError):
            await meter.accounts.place("ann", under="nobody")
        with pytest.raises(UnknownUnitError):
            await meter.accounts.limit("ann", caps={"gold": {"day": 1}})
        with pytest.raises(InvalidArgumentError, match="no window"):
            await meter.accounts.limit("ann", caps={"core": {"fortnight": 1}})
        with pytest.raises(InvalidArgumentError, match="no time zone"):
            await meter.accounts.count_from("ann", None, zone="Europe/Atlantis")
        with pytest.raises(TypeError):
            await meter.accounts.limit("ann", caps={"core": {"day": 1.5}})  # pyright: ignore[reportArgumentType]
        with pytest.raises(InvalidArgumentError, match=r"caps\['core'\]\['day'\]: 'x' is no number of PT"):
            await meter.accounts.limit("ann", caps={"core": {"day": "x"}})
        with pytest.raises(ConfigurationError, match="a cap of core a day allows 0 PT or more, not -5 PT"):
            await meter.accounts.limit("ann", caps={"core": {"day": -5}})
        with pytest.raises(
            ConfigurationError, match="a cap of money a month allows 0 or more, not -US\\$5"
        ):
            await meter.accounts.limit("ann", spend={"month": -5})
        with pytest.raises(AccountNotFoundError):
            await meter.accounts.limit("nobody", concurrent=1)
    async with opened() as meter:
        with pytest.raises(ConfigurationError, match="no plans"):
            await meter.accounts.place("ann", under="acme")


async def test_an_account_may_have_so_many_above_it(opened: Opener) -> None:
    """Thirty-two, as the page says; one more is refused, and told why."""
    async with opened(plans=plans(), clock=Clock(NOON)) as meter:
        await subscribed(meter)
        names = ["acme", *(f"a{depth}" for depth in range(1, 34))]
        for above, name in pairwise(names[:33]):
            await meter.accounts.place(name, under=above)
        await use(meter, "r1", "a32", core=1)

        with pytest.raises(
            InvalidArgumentError, match="cannot be put under 'a32': that has 32 accounts above"
        ):
            await meter.accounts.place("a33", under="a32")


async def test_a_tree_is_not_put_so_deep_that_somebody_below_has_too_many_above(opened: Opener) -> None:
    """Those below would be refused whatever they ask for; so deep that they just fit, the tree may go."""
    async with opened(plans=plans(), clock=Clock(NOON)) as meter:
        await subscribed(meter)
        for above, name in pairwise(["acme", *(f"a{depth}" for depth in range(1, 31))]):
            await meter.accounts.place(name, under=above)
        for above, name in pairwise([None, "b0", "b1", "b2"]):
            await meter.accounts.place(name or "", under=above)

        with pytest.raises(InvalidArgumentError, match="with 2 levels below it, some would have more"):
            await meter.accounts.place("b0", under="a30")
        await meter.accounts.place("b0", under="a29")
        await use(meter, "r1", "b2", core=1)

        assert (await meter.verify()).clean


async def test_who_has_no_pt_for_a_locked_model_is_told_of_the_plan(opened: Opener) -> None:
    """An account without a wallet in the model's unit is not sent to buy PT that its plan would not let it use."""
    async with opened(plans=plans(), clock=Clock(NOON)) as meter:
        await meter.plans.assign("zeta", "free", key="s1")
        await meter.accounts.place("ann", under="zeta")

        with pytest.raises(ModelLockedError):
            async with meter.call("ann", model="gpt-4o", messages=QUESTION, key="r1"):
                pass


async def test_a_subscription_begins_its_own_windows(opened: Opener) -> None:
    """What was used before its cycle began is no use of the cycle; what was used since is, though it comes later."""
    clock = Clock(NOON)
    async with opened(plans=plans(caps={"core": {"month": 10}}), clock=clock) as meter:
        await meter.funds.grant("acme", core=100, source="trial", key="g")
        for key, hours in (("before", 24), ("since", 24)):
            await use(meter, key, core=4)
            clock.turn(hours * HOUR)

        await meter.plans.subscribe("acme", "pro", anchor=NOON + 12 * HOUR, key="s1")
        (cap,) = await meter.accounts.headroom("acme")

        assert (PT.of(4).micro, PT.of(6).micro) == (cap.used, cap.left)
        await use(meter, "within", core=6)
        assert "cap" == (await refused(meter)).limit
        assert (await meter.verify()).clean


# --- requests that come again after an account was put elsewhere -------------------------------------


@pytest.mark.parametrize("way", [("zeta",), ("zeta", "acme"), (None,), ("acme/sales",)])
async def test_a_request_that_comes_again_after_a_move_is_found(
    opened: Opener, way: tuple[str | None, ...]
) -> None:
    """Hold, settle, void and record are replayed from where they were booked, wherever the account is now."""
    clock = Clock(NOON)
    async with opened(plans=plans(), clock=clock) as meter:
        for team in ("acme", "zeta"):
            await subscribed(meter, team)
        await meter.accounts.place("acme/sales", under="zeta", pooled=False)
        await meter.accounts.place("ann", under="acme")
        for stop in way[:-1]:
            await asked_for(meter, "elsewhere")
            clock.turn(MINUTE)
            await meter.accounts.place("ann", under=stop)
        first = await asked_for(meter, "r")
        clock.turn(MINUTE)
        await meter.accounts.place("ann", under=way[-1])
        before = {team: await meter.balance(team) for team in ("acme", "zeta")}

        assert [(amount, True) for amount, _ in first] == await asked_for(meter, "r")
        assert before == {team: await meter.balance(team) for team in ("acme", "zeta")}
        assert "r:h" == (await meter.find_hold("ann", key="r:h")).key
        with pytest.raises(IdempotencyConflictError):
            await meter.hold("ann", core=4, key="r:h")
        assert (await meter.verify()).clean


async def test_below_an_account_that_was_put_elsewhere_requests_are_found_too(opened: Opener) -> None:
    """Whoever uses the PT of an account that moved finds what was booked with the one above it, and on from there."""
    async with opened(plans=plans(), clock=Clock(NOON)) as meter:
        for team in ("acme", "zeta"):
            await subscribed(meter, team)
        await meter.accounts.place("sales", under="acme")
        await meter.accounts.place("ann", under="sales")
        first = await asked_for(meter, "r")
        for account, under in (("sales", "zeta"), ("ann", "zeta"), ("ann", None)):
            await meter.accounts.place(account, under=under)

            assert [(amount, True) for amount, _ in first] == await asked_for(meter, "r")
        assert ("zeta", "acme") == (await meter.accounts.find("ann")).former


async def asked_for(meter: AsyncMeter, key: str) -> list[tuple[PT, bool]]:
    """Hold and settle, hold and void, and record, each under a key that *key* begins; what each came to."""
    held = await meter.hold("ann", core=3, key=f"{key}:h")
    settled = await meter.settle(held, core=2, key=f"{key}:s")
    given_up = await meter.hold("ann", core=5, key=f"{key}:g")
    void = await meter.void(given_up, key=f"{key}:v")
    usage = Usage(input_uncached=1_000, output_text=100)
    recorded = await meter.record("ann", model="gpt-4o-mini", response=usage, key=f"{key}:r")
    receipts = [(each.charged["core"], each.replayed) for each in (settled, void, recorded)]
    return [*((each.amounts["core"], each.replayed) for each in (held, given_up)), *receipts]


async def test_who_has_not_heard_of_the_moves_finds_it_all_the_same(on_file: Opener) -> None:
    """Another process that knew the account before it went away and came back looks again under the lock."""
    options = {"plans": plans(), "clock": Clock(NOON)}
    async with on_file(**options) as here, on_file(**options) as there:
        for team in ("acme", "zeta"):
            await subscribed(here, team)
        await here.accounts.place("ann", under="acme")
        await asked_for(there, "before")
        await here.accounts.place("ann", under="zeta")
        first = await asked_for(here, "r")
        await here.accounts.place("ann", under="acme")

        assert [(amount, True) for amount, _ in first] == await asked_for(there, "r")
