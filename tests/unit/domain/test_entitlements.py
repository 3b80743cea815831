"""Entitlements: open or locked, why, and which plan opens it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptmeter.domain.entitlements import may_use_feature, may_use_model
from ptmeter.domain.flags import Flag
from ptmeter.domain.plans import Plan, Plans
from ptmeter.domain.pt import PT, Money
from ptmeter.errors import ConfigurationError


def plan(name: str, price: int, units: set[str], features: set[str]) -> Plan:
    return Plan(
        name=name,
        price_per_month=Money.usd(price),
        price_per_year=None,
        allowance={"core": PT.of(100)},
        units=frozenset(units),
        features=frozenset(features),
    )


PLANS = Plans(
    {
        each.name: each
        for each in (
            plan("free", 0, {"core"}, set()),
            plan("team", 159, {"core", "advanced"}, {"teams", "editor"}),
            plan("pro", 49, {"core", "advanced"}, {"editor"}),
        )
    },
    {"editor": Flag(name="editor", share=0, allow=frozenset({"acme"}))},
)


@pytest.mark.parametrize(
    ("on", "unit", "expected"),
    [
        (None, "exotic", (True, "no_plan", None, None)),
        ("free", "core", (True, "in_plan", "free", None)),
        ("free", "advanced", (False, "not_in_plan", "free", "pro")),
        ("free", "exotic", (False, "not_in_plan", "free", None)),
    ],
)
def test_a_model_is_open_or_locked(
    on: str | None, unit: str, expected: tuple[bool, str, str | None, str | None]
) -> None:
    """An account on no plan may use every model; on a plan those it opens, and else the cheapest is named."""
    found = may_use_model(PLANS, on, model="m", unit=unit)

    assert expected == (found.allowed, found.reason, found.plan, found.cheapest)
    assert bool(found) is found.allowed


@pytest.mark.parametrize(
    ("on", "feature", "account", "expected", "said"),
    [
        (
            None,
            "editor",
            "acme",
            (False, "no_plan", None, "pro"),
            "feature 'editor' needs a plan: plan 'pro' opens it",
        ),
        (
            "pro",
            "teams",
            "acme",
            (False, "not_in_plan", "pro", "team"),
            "feature 'teams' is not part of plan 'pro': plan 'team' opens it",
        ),
        (
            "pro",
            "sso",
            "acme",
            (False, "not_in_plan", "pro", None),
            "feature 'sso' is not part of plan 'pro': no plan opens it",
        ),
        (
            "pro",
            "editor",
            "zeta",
            (False, "not_yet", "pro", None),
            "feature 'editor' is part of plan 'pro' and not let out to this account yet",
        ),
        ("pro", "editor", "acme", (True, "in_plan", "pro", None), "feature 'editor' is part of plan 'pro'"),
    ],
)
def test_a_feature_is_open_or_locked(
    on: str | None,
    feature: str,
    account: str,
    expected: tuple[bool, str, str | None, str | None],
    said: str,
) -> None:
    """A feature is open if the plan has it and its flag is on; if not, the sentence says what is missing."""
    found = may_use_feature(PLANS, on, feature=feature, account=account)

    assert expected == (found.allowed, found.reason, found.plan, found.cheapest)
    assert said == str(found)


def test_an_open_model_is_said_to_be() -> None:
    """The sentence of what is open says by what."""
    assert "model 'm' is part of plan 'free'" == str(may_use_model(PLANS, "free", model="m", unit="core"))
    assert "model 'm' is open to an account on no plan" == str(
        may_use_model(PLANS, None, model="m", unit="core")
    )


def test_a_plan_that_is_no_more_is_refused() -> None:
    """An account on a plan that the file has no longer is neither let in nor locked out in silence."""
    with pytest.raises(ConfigurationError, match="there is no plan 'gold'"):
        may_use_feature(PLANS, "gold", feature="sso", account="acme")
    with pytest.raises(ConfigurationError, match="there is no plan 'gold'"):
        may_use_model(PLANS, "gold", model="m", unit="core")


names = st.sampled_from(["teams", "sso", "editor"])


@given(st.lists(st.tuples(st.integers(0, 500), st.sets(names)), min_size=1, max_size=8), names)
def test_the_plan_that_is_named_opens_it(tiers: list[tuple[int, set[str]]], feature: str) -> None:
    """Whoever moves to the plan named has the feature, and no cheaper plan has it."""
    plans = Plans({f"p{i}": plan(f"p{i}", price, {"core"}, has) for i, (price, has) in enumerate(tiers)})
    found = may_use_feature(plans, None, feature=feature, account="acme")
    having = [price for price, has in tiers if feature in has]

    assert bool(having) is (found.cheapest is not None)
    if found.cheapest:
        assert may_use_feature(plans, found.cheapest, feature=feature, account="acme").allowed
        assert Money.usd(min(having)) == plans.find(found.cheapest).price_per_month
