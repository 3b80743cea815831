"""Plans: which models they open, and which plan opens a locked one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptmeter.domain.plans import Plan, Plans
from ptmeter.domain.pt import PT, Money
from ptmeter.errors import ConfigurationError


def plan(name: str, price: int, *units: str, models: tuple[str, ...] = ()) -> Plan:
    return Plan(
        name=name,
        price_per_month=Money.usd(price),
        price_per_year=None,
        allowance={"core": PT.of(100)},
        units=frozenset(units),
        models=models,
    )


def all_of(*plans: Plan) -> Plans:
    return Plans({plan.name: plan for plan in plans})


PLANS = all_of(
    plan("free", 0, "core"),
    plan("team", 159, "core", "advanced"),
    plan("pro", 49, "core", "advanced"),
    plan("taster", 9, "core", models=("gpt-4o*",)),
)


def test_a_plan_opens_the_models_of_its_units() -> None:
    """A plan opens every model that is charged in one of its units, and no other."""
    assert PLANS.find("free").opens("gpt-4o-mini", "core")
    assert not PLANS.find("free").opens("gpt-4o", "advanced")


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4o-2024-08-06", "openai/gpt-4o", "OpenAI/GPT-4o"])
def test_a_plan_may_open_single_models(model: str) -> None:
    """A plan opens the models it names, however they are written: with their provider, in capitals."""
    assert PLANS.find("taster").opens(model, "advanced")
    assert not PLANS.find("taster").opens("o3", "advanced")


def test_the_cheapest_plan_that_opens_a_model_is_named() -> None:
    """Of the plans that open a model the cheapest is named, wherever it stands in the list."""
    assert "pro" == PLANS.cheapest("o3", "advanced")
    assert "taster" == PLANS.cheapest("openai/gpt-4o", "advanced")
    assert "free" == PLANS.cheapest("gpt-4o-mini", "core")


def test_no_plan_may_open_a_model() -> None:
    """For a model that no plan opens, none is named."""
    assert PLANS.cheapest("o3", "exotic") is None


@given(st.lists(st.tuples(st.integers(0, 10**6), st.booleans()), max_size=12))
def test_no_plan_that_opens_it_is_cheaper(prices: list[tuple[int, bool]]) -> None:
    """The plan named opens the model, and no other that does is cheaper; of equals it is the first."""
    plans = all_of(
        *(
            plan(f"p{number}", price, "advanced" if opening else "core")
            for number, (price, opening) in enumerate(prices)
        )
    )
    opening = [(price, number) for number, (price, opens) in enumerate(prices) if opens]

    assert plans.cheapest("o3", "advanced") == (f"p{min(opening)[1]}" if opening else None)


def test_an_unknown_plan_is_refused_with_those_there_are() -> None:
    """Asking for a plan that is not there names those that are."""
    with pytest.raises(
        ConfigurationError, match="there is no plan 'gold': the plans are free, team, pro, taster"
    ):
        PLANS.find("gold")
