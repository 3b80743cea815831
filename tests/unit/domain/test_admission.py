"""What admits a call or refuses it, by examples: each limit at its border, and what a refusal says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.limits import HOUR, MINUTE, SELLS_AT, START

from ptmeter.domain.accounts import Account
from ptmeter.domain.admission import Admission, Admitted, Limit, Limited, Rules, admit, extend
from ptmeter.domain.instants import microseconds
from ptmeter.domain.limits import Burn, BurnStep, Limits, Pace, Share
from ptmeter.domain.plans import Plan, Plans
from ptmeter.domain.pt import PT, Money
from ptmeter.domain.tallies import NOTHING, Waits

FREE = Plan(name="free", price_per_month=Money(0), price_per_year=None, allowance={}, units=frozenset())
PRO = replace(
    FREE, name="pro", allowance={"core": PT(60), "advanced": PT(40)}, units=frozenset({"core", "advanced"})
)
RULES = Rules(plans=Plans({"free": FREE, "pro": PRO}), sells_at=SELLS_AT)
ACME = Account(name="acme", plan="pro")
HALF = Share(unit="advanced", hard=5_000, overflow=3)


def limited(limits: Limits) -> Rules:
    """The same rules, in which the plan limits so."""
    return replace(RULES, plans=Plans({"free": FREE, "pro": replace(PRO, limits=limits)}))


def asked(account: Account, rules: Rules = RULES, *, amount: int = 1, **more: Any) -> Admitted | Limited:
    """What becomes of a call for so many micro-PT of advanced."""
    return admit(
        (account,), Admission(account=account.name, rules=rules, **more), "advanced", amount, START
    )


def test_limits_are_called_as_they_are_documented() -> None:
    """Callers tell them apart by these words."""
    assert {
        Limit.MODEL: "model",
        Limit.WAIT: "burn_rate",
        Limit.PACE: "pace",
        Limit.CONCURRENT: "concurrent",
        Limit.CAP: "cap",
        Limit.SPEND: "spend_cap",
        Limit.SHARE: "hard_cap",
    } == {limit: str(limit) for limit in Limit}


def test_who_is_limited_by_nothing_is_asked_nothing() -> None:
    """Neither a plan nor terms of its own: nothing to look at, no allowance, the plain rate."""
    nobody = Account(name="nobody")

    assert () == RULES.limits(nobody) == RULES.limits(ACME)
    assert (0, 100) == (RULES.allowance(nobody), RULES.allowance(ACME))
    assert Admitted(1) == asked(nobody) == asked(ACME)


def test_a_hold_that_names_no_model_needs_none_opened() -> None:
    """PT are held for something that is no model; a model that no plan opens is refused, and counts nothing."""
    account = replace(ACME, plan="free")

    assert Admitted(1) == asked(account)
    refused = asked(account, model="gpt-x")
    assert isinstance(refused, Limited)
    assert (Limit.MODEL, "acme", "free", "pro") == (
        refused.limit,
        refused.account,
        refused.what,
        refused.opens_with,
    )
    assert (0, 0, 1) == (refused.allowed, refused.used, refused.asked)


def test_a_wait_says_until_when_and_no_more() -> None:
    """It counts nothing: there are no figures to show."""
    burn = Burn(steps=(BurnStep(1_000, MINUTE),))
    ends = START + MINUTE
    tally = replace(NOTHING, waits=Waits(until=microseconds(ends)))

    refused = asked(replace(ACME, tally=tally), limited(Limits(burn=burn)))

    assert isinstance(refused, Limited)
    assert (Limit.WAIT, ends, "", 0, 0, 1) == (
        refused.limit,
        refused.retry_at,
        refused.what,
        refused.allowed,
        refused.used,
        refused.asked,
    )


@pytest.mark.parametrize(
    ("agreed", "multiple", "amount", "goes_on"),
    [
        (False, 1, 50, True),
        (False, 1, 51, False),
        (False, 3, 17, False),
        (False, 3, 16, True),
        (True, 3, 51, True),
        (True, 1, 51, False),
    ],
)
def test_a_call_goes_on_beyond_a_hard_cap_as_it_was_agreed(
    agreed: bool, multiple: int, amount: int, goes_on: bool
) -> None:
    """At the multiple it began at, which counts, if its account agreed to the overflow; half of 100 are 50."""
    account = replace(ACME, overflow=agreed)
    rules = limited(Limits(shares={"advanced": HALF}))

    decided = extend((account,), rules, multiple, "advanced", amount, START)

    assert (Admitted(multiple) == decided) is goes_on


def test_a_pace_is_what_refuses_beside_a_share() -> None:
    """A share of a unit that is not asked for has no say, and a pace of nothing never opens."""
    rules = limited(
        Limits(paces=(Pace(per=HOUR, requests=0),), shares={"core": Share(unit="core", hard=0)})
    )

    refused = asked(ACME, rules)

    assert isinstance(refused, Limited)
    assert (Limit.PACE, None) == (refused.limit, refused.retry_at)
