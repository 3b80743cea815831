"""Plans through the meter: what an account may use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ptmeter import (
    ConfigurationError,
    InvalidArgumentError,
    Outcome,
    UnknownModelError,
    Usage,
    read_plans,
    reference_plans,
)

if TYPE_CHECKING:
    from tests.facade.conftest import Opener

pytestmark = pytest.mark.anyio


async def test_a_locked_model_names_the_plan_that_opens_it(opened: Opener) -> None:
    """The answer for a model is the same as the call's: open on the plan, or locked with the cheapest."""
    async with opened(plans=reference_plans()) as meter:
        await meter.plans.assign("acme", "freemium", key="s1")

        assert (await meter.may("acme", model="gpt-4o-mini")).allowed
        locked = await meter.may("acme", model="gpt-4o")

        assert (False, "not_in_plan", "freemium", "pro") == (
            locked.allowed,
            locked.reason,
            locked.plan,
            locked.cheapest,
        )


async def test_a_feature_waits_for_its_flag(opened: Opener) -> None:
    """A feature of the plan is open where its flag is on, and locked elsewhere."""
    team = {"price_per_month": 9, "allowance": {"core": 1}, "units": ["core"], "features": ["editor"]}
    plans = read_plans({"plans": {"team": team}, "flags": {"editor": {"share": "0%", "allow": ["acme"]}}})
    async with opened(plans=plans) as meter:
        for account in ("acme", "zeta"):
            await meter.plans.assign(account, "team", key="s1")

        assert "in_plan" == (await meter.may("acme", feature="editor")).reason
        assert "not_yet" == (await meter.may("zeta", feature="editor")).reason
        assert "no_plan" == (await meter.may("nobody", feature="editor")).reason


async def test_without_plans_models_are_open_and_features_locked(in_memory: Opener) -> None:
    """A meter without plans lets everybody use every model it can rate, and no feature."""
    async with in_memory() as meter:
        assert (await meter.may("acme", model="gpt-4o")).allowed
        assert not (await meter.may("acme", feature="teams")).allowed
        with pytest.raises(UnknownModelError):
            await meter.may("acme", model="no-such-model")


async def test_one_thing_is_asked_at_a_time(in_memory: Opener) -> None:
    """A question for neither a model nor a feature, or for both, is refused."""
    async with in_memory(plans=reference_plans()) as meter:
        with pytest.raises(InvalidArgumentError, match="ask for a model or a feature"):
            await meter.may("acme")
        with pytest.raises(InvalidArgumentError, match="ask for a model or a feature"):
            await meter.may("acme", model="gpt-4o", feature="teams")


async def test_a_plan_that_was_dropped_from_the_file_is_missed(on_file: Opener) -> None:
    """An account on a plan that the file has no longer gets an error that names it."""
    async with on_file(plans=reference_plans()) as meter:
        await meter.plans.assign("acme", "pro", key="s1")
    free = {"price_per_month": 0, "allowance": {"core": 1}, "units": ["core"]}
    async with on_file(plans=read_plans({"plans": {"free": free}})) as meter:
        with pytest.raises(ConfigurationError, match="there is no plan 'pro'"):
            await meter.may("acme", model="gpt-4o-mini")


async def test_a_routed_call_says_so_on_its_row(opened: Opener) -> None:
    """What stands in a model's place is called, and the journal keeps from which model it was routed, and why."""
    free = {"price_per_month": 0, "allowance": {"core": 9}, "units": ["core"]}
    plans = read_plans({"plans": {"free": free}, "downgrades": {"gpt-4o": ["gpt-4o-mini"]}})
    async with opened(plans=plans) as meter:
        await meter.plans.assign("acme", "free", key="s1")
        route = await meter.route("acme", model="gpt-4o")
        assert route.model is not None

        async with meter.call(
            "acme", model=route.model, messages="Hi", key="r1", workload=route.workload()
        ) as call:
            call.record(Usage(input_uncached=5, output_text=5))

        assert call.receipt is not None
        assert call.receipt.charge is not None
        assert "gpt-4o: not in plan free" == call.receipt.charge.workload.routed
        assert Outcome.REQUESTED is (await meter.route("acme", model="gpt-4o-mini")).outcome
        assert (await meter.verify()).clean
    async with opened() as meter:
        with pytest.raises(ConfigurationError, match="no plans"):
            await meter.route("acme", model="gpt-4o")
