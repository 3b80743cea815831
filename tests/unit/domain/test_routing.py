"""Where a request goes: by the plan, then by what mitigations leave, then to what may stand in its place."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ptmeter import InvalidArgumentError, Workload
from ptmeter.domain.accounts import Account
from ptmeter.domain.admission import Rules
from ptmeter.domain.mitigations import Mitigation, strictest
from ptmeter.domain.plans import Plan, Plans
from ptmeter.domain.pt import PT, Money
from ptmeter.domain.routing import Candidate, Outcome, Route, route
from ptmeter.domain.tallies import Calendar

NOW = datetime(2026, 5, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LARGE, SMALL, TINY = Candidate("large", "advanced"), Candidate("small", "core"), Candidate("tiny", "core")


def plan(name: str, *units: str) -> Plan:
    return Plan(
        name=name,
        price_per_month=Money(0),
        price_per_year=None,
        allowance={"core": PT(900), "advanced": PT(100)},
        units=frozenset(units),
    )


RULES = Rules(
    plans=Plans(
        {"free": plan("free", "core"), "pro": plan("pro", "core", "advanced"), "none": plan("none")}
    ),
    sells_at={},
)
CORE_ONLY = Mitigation(
    key="m1",
    unit="advanced",
    share=0,
    scope="",
    starts_at=NOW - HOUR,
    ends_at=NOW + 11 * HOUR,
    by="ann",
    reason="margin 38 %",
)


def routed(
    plan: str | None,
    *mitigations: Mitigation,
    used: int = 0,
    candidates: tuple[Candidate, ...] = (LARGE, SMALL),
) -> Route:
    account = Account(name="acme", plan=plan)
    tally = account.tally.with_use("advanced", used, Calendar(), NOW) if used else account.tally
    return route((replace(account, tally=tally),), candidates, mitigations, RULES, NOW)


def test_what_is_open_is_what_was_asked_for() -> None:
    """A model that the plan opens, or any without a plan, is not touched, nor is the workload."""
    for name in ("pro", None):
        found = routed(name)

        assert (Outcome.REQUESTED, "large", "") == (found.outcome, found.model, found.reason)
        assert Workload(retry_rate=5) == found.workload(Workload(retry_rate=5))
        assert found


def test_what_the_plan_does_not_open_goes_to_what_it_does() -> None:
    """The first in its place that is open is taken; the reason is why the one asked for was not."""
    found = routed("free", candidates=(LARGE, Candidate("larger", "advanced"), TINY))

    assert (Outcome.DOWNGRADED, "tiny", "not in plan free") == (found.outcome, found.model, found.reason)
    assert Workload(retry_rate=5, routed="large: not in plan free") == found.workload(
        Workload(retry_rate=5)
    )


def test_where_nothing_is_open_it_is_refused() -> None:
    """Without anything in its place, or with nothing that is open either."""
    for found in (routed("none"), routed("free", candidates=(LARGE,))):
        assert (Outcome.REFUSED, None) == (found.outcome, found.model)
        assert not found


def test_a_mitigation_closes_a_unit_until_it_ends() -> None:
    """With a share of nothing large models are closed to all, and the route says until when."""
    found = routed("pro", CORE_ONLY)

    assert (Outcome.DOWNGRADED, "small", NOW + 11 * HOUR) == (found.outcome, found.model, found.until)
    assert "no advanced models for now (margin 38 %)" == found.reason


@pytest.mark.parametrize(
    ("used", "outcome"), [(0, Outcome.REQUESTED), (149, Outcome.REQUESTED), (150, Outcome.DOWNGRADED)]
)
def test_a_share_is_left_of_a_cycle(used: int, outcome: Outcome) -> None:
    """15 % of the 1,000 micro-PT of a cycle may be advanced: the next call beyond goes elsewhere."""
    assert outcome is routed("pro", replace(CORE_ONLY, share=1_500), used=used).outcome


def test_a_share_of_a_cycle_that_nobody_gives_is_left_alone() -> None:
    """An account on no plan has no cycle of which a share could be used up."""
    assert Outcome.REQUESTED is routed(None, replace(CORE_ONLY, share=1_500), used=10**9).outcome


@pytest.mark.parametrize(
    "mitigation",
    [
        replace(CORE_ONLY, ends_at=NOW),
        replace(CORE_ONLY, starts_at=NOW + HOUR),
        replace(CORE_ONLY, undone_at=NOW),
        replace(CORE_ONLY, scope="plan:free"),
        replace(CORE_ONLY, scope="account:zeta"),
        replace(CORE_ONLY, unit="core"),
    ],
    ids=["over", "not begun", "undone", "another plan's", "another account's", "another unit's"],
)
def test_what_does_not_hold_does_nothing(mitigation: Mitigation) -> None:
    """A mitigation holds within its time, until it is undone, where it says and for its unit."""
    assert Outcome.REQUESTED is routed("pro", mitigation).outcome


def test_a_mitigation_of_an_account_holds_below_it() -> None:
    """So it does for a member, by the plan of the team or by the team's name."""
    path = (Account(name="ann", parent="acme", pooled=True), Account(name="acme", plan="pro"))
    for scope in ("account:acme", "account:ann", "plan:pro"):
        found = route(path, (LARGE, SMALL), [replace(CORE_ONLY, scope=scope)], RULES, NOW)

        assert Outcome.DOWNGRADED is found.outcome


def test_of_several_the_strictest_counts() -> None:
    """The one that leaves least; of two that leave the same, the one that ends last."""
    long = replace(CORE_ONLY, key="m2", ends_at=NOW + 20 * HOUR)
    lax = replace(CORE_ONLY, key="m3", share=2_000, ends_at=NOW + 90 * HOUR)

    assert long == strictest([lax, CORE_ONLY, long], (Account(name="acme"),), None, "advanced", NOW)


@pytest.mark.parametrize(
    "wrong",
    [
        {"share": -1},
        {"share": 10_001},
        {"ends_at": NOW - HOUR},
        {"scope": "pro"},
        {"by": ""},
        {"reason": ""},
    ],
    ids=str,
)
def test_a_mitigation_that_cannot_be_is_none(wrong: dict[str, object]) -> None:
    """A share, an end, a scope, an author and a reason: it has all of them, or there is no mitigation."""
    with pytest.raises(InvalidArgumentError):
        replace(CORE_ONLY, **wrong)


def test_what_may_stand_in_its_place_is_found_by_pattern() -> None:
    """The first pattern that matches the model's bare name counts."""
    plans = Plans({}, downgrades={"gpt-4o-mini*": (), "gpt-4o*": ("gpt-4o-mini", "o-small")})

    assert ("gpt-4o-mini", "o-small") == plans.instead_of("openai/GPT-4o-2024-08-06")
    assert () == plans.instead_of("gpt-4o-mini")
    assert () == plans.instead_of("claude")
